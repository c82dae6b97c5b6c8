//! Several stores in one process.

use std::path::Path;

use event_log::MockBroker;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use shared_events::topic::Topics;
use test_support::{kafka, unique_prefix};

use crate::process::{Service, eventually, free_port, onhand};

const STORES: [&str; 2] = ["A", "B"];

/// Two stores in one process, and a centre.
struct Shops {
    stores: Service,
    centre: Service,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Shops {
    async fn start(kafka: &str, prefix: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = async |args: &[&str], name: &str| {
            let data = folder.path().join(name);
            let place = ["--kafka", kafka, "--topic-prefix", prefix, "--partitions", "3"];
            let args = [args, &place[..], &["--data-dir", data.to_str().unwrap()]].concat();
            let log = folder.path().join(format!("{name}.log"));
            Service::start(&args, free_port(), &log).await
        };
        let centre = start(&["central", "--centre-id", "c1"], "centre").await;
        let stores = ["store", "--store-id", "A,B", "--heartbeat-ms", "200"];
        let stores = start(&stores, "stores").await;
        stores.opened().await;
        Self { stores, centre, client: Client::new(), _folder: folder }
    }

    async fn ask(&self, method: Method, url: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, url).header("prefer", "wait=10");
        if let Some(body) = body {
            let json = request.header("content-type", "application/json");
            request = json.body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    fn at(&self, store: &str, path: &str) -> String {
        format!("{}/stores/{store}{path}", self.stores.url)
    }

    async fn adjust(&self, store: &str, delta: i64) {
        let url = self.at(store, "/api/commands/inventory/adjust");
        let body = json!({ "storeId": store, "sku": "MUG", "delta": delta });
        let (status, answer) = self.ask(Method::POST, &url, Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// A reservation at a store: a command of the centre to it, and its answer.
    async fn reserve(&self, store: &str, order: &str) {
        let url = format!("{}/api/reservations", self.centre.url);
        let line = json!([{ "sku": "MUG", "quantity": 1 }]);
        let body = json!({ "orderId": order, "storeId": store, "lines": line });
        let (status, answer) = self.ask(Method::POST, &url, Some(&body)).await;
        assert_eq!((status.as_u16(), &answer["state"]), (201, &json!("confirmed")), "{answer}");
    }

    /// Waits until the centre shows this of each store: on hand, and reserved.
    async fn centre_shows(&self, expected: [[i64; 2]; 2]) {
        for (store, [on_hand, reserved]) in STORES.into_iter().zip(expected) {
            let url = format!("{}/api/query/inventory/store/{store}/MUG", self.centre.url);
            eventually("the centre shows what is there", async || {
                let (_, item) = self.ask(Method::GET, &url, None).await;
                let shown = [&item["onHand"], &item["reserved"], &item["freshness"]["state"]];
                let wanted = [&json!(on_hand), &json!(reserved), &json!("fresh")];
                (shown == wanted).then_some(())
            })
            .await;
        }
    }

    async fn sells_and_reserves(&mut self) {
        self.adjust("A", 10).await;
        self.adjust("B", 20).await;
        self.centre_shows([[10, 0], [20, 0]]).await;
        self.reserve("A", "order-a").await;
        self.reserve("B", "order-b").await;
        self.centre_shows([[10, 1], [20, 1]]).await;

        self.adjust("A", -3).await;
        self.adjust("B", -4).await;
        self.stores.kill_and_restart().await;
        self.stores.opened().await;
        self.adjust("A", -1).await;
        self.reserve("B", "order-c").await;
        self.centre_shows([[6, 1], [16, 2]]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_of_one_process_sell_and_keep_and_lose_nothing_when_it_is_killed() {
    let mut shops = Shops::start(&kafka(), &unique_prefix("several")).await;
    shops.sells_and_reserves().await;
    let clients = eventually("the consumer of the opening is gone", async || {
        let clients = threads(shops.stores.pid(), "rdk:main");
        (clients <= 3).then_some(clients)
    })
    .await;
    assert_eq!(clients, 3, "one that publishes, one that reads, one that asks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_a_broker_in_memory() {
    let topics = Topics::new("", 3);
    let mut all = Vec::from(topics.shared());
    all.extend(STORES.map(|store| topics.commands(&store.parse().unwrap())));
    let broker = MockBroker::start(&all).unwrap();
    Shops::start(&broker.config().brokers, "").await.sells_and_reserves().await;
}

#[tokio::test]
async fn each_store_is_beneath_its_name_and_the_process_tells_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("stores");
    let args = ["store", "--store-id", "A,B", "--kafka", "127.0.0.1:1", "--witness-wait-ms"];
    let args = [&args[..], &["3000", "--unwitnessed", "hold"]].concat();
    let args = [&args[..], &["--data-dir", data.to_str().unwrap()]].concat();
    let stores = Service::start(&args, free_port(), &folder.path().join("log")).await;
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", stores.url)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, told) = get("/readyz").await;
    assert_eq!(status, 503);
    assert!(told.contains("store A: opening failed") && told.contains("store B"), "{told}");
    assert!(!told.contains("journal ok"), "what is fine is told who asks for it: {told}");
    assert!(get("/readyz?verbose").await.1.contains("[+] store B: journal ok"));
    assert_eq!(get("/stores/A/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(get("/stores/A/readyz").await.0, 503);
    assert!(get("/stores/B/metrics").await.1.contains("onhand_store_journal_head 0"));
    assert!(get("/metrics").await.1.contains("onhand_http_connections"));

    for (path, code, detail) in [
        ("/stores/C/readyz", "unknown_store", "store C is not served here; these are: A, B"),
        ("/api/sync", "not_found", "each store is beneath /stores/ID; there are: A, B"),
        ("/", "not_found", "there are: A, B"),
        ("/stores/A/api/none", "not_found", "see /api/docs"),
    ] {
        let (status, body) = get(path).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &problem["code"]), (404, &json!(code)), "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
    let (_, description) = get("/stores/B/api/openapi.json").await;
    let description: Value = serde_json::from_str(&description).unwrap();
    assert_eq!(description["servers"], json!([{ "url": ".." }]), "from where it lies");
}

#[tokio::test]
async fn a_journal_that_cannot_be_had_ends_the_process_with_its_stores_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("stores");
    let place = |data: &Path| ["--data-dir".to_owned(), data.to_str().unwrap().to_owned()];
    let one = ["store", "--store-id", "B", "--kafka", "127.0.0.1:1"].map(str::to_owned);
    let one = [&one[..], &place(&data.join("B"))].concat();
    let one: Vec<_> = one.iter().map(String::as_str).collect();
    let _holds_it = Service::start(&one, free_port(), &folder.path().join("log")).await;

    let port = free_port();
    let two = onhand()
        .args(["store", "--store-id", "A,B,C", "--kafka", "127.0.0.1:1"])
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(place(&data))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&two.stderr).into_owned();
    assert!(!two.status.success());
    assert!(said.contains("open store B") && said.contains("in use by another process"), "{said}");
}

#[test]
fn stores_that_do_not_go_together_are_refused_with_the_fix() {
    for (args, fix) in [
        (&["--store-id", "A,B,A"][..], "--store-id has A twice: name each store once"),
        (&["--store-id", "A,B", "--location", "52.5,13.4"][..], "in a process of its own"),
        (&["--store-id", "A,B", "--record-key", "none"][..], "none/A.key"),
    ] {
        let output = onhand()
            .args(["store", "--kafka", "127.0.0.1:1", "--data-dir", "never-made"])
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(fix), "{said}");
        assert!(!Path::new("never-made").exists(), "nothing was opened");
    }
}

#[test]
fn a_store_that_was_one_of_several_does_not_begin_a_second_journal_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("stores");
    let alone = folder.path().join("alone");
    for place in [data.join("A"), alone.clone()] {
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("journal.db"), "what was sold").unwrap();
    }
    for (stores, data, fix) in [
        ("A", &data, format!("--data-dir {} serves it alone", data.join("A").display())),
        ("A,B", &alone, "to a folder with the store's name".to_owned()),
    ] {
        let output = onhand()
            .args(["store", "--kafka", "127.0.0.1:1", "--store-id", stores, "--data-dir"])
            .arg(data)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(&fix), "{said}");
    }
    assert!(!data.join("journal.db").exists() && !alone.join("A").exists(), "nothing was opened");
}

/// Threads of a process by their name.
fn threads(process: u32, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let comm = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    tasks.map(comm).filter(|comm| comm.trim() == name).count()
}
