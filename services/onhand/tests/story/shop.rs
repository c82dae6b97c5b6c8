//! A chain in one process, and how to talk to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use central_service::ledger::Settings;
use event_log::{EventLog, MemoryLog};
use reqwest::Client;
use serde_json::{Value, json};
use service_kit::circuit_breaker;
use shared_events::topic::Topics;
use store_service::config::DEFAULT_RELEASE_GRACE_MS;
use store_service::opening::Unwitnessed;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a store has to answer: longer than any takes here.
const STEP_MS: u64 = 20_000;
/// The same where one is meant not to answer.
const SHORT_STEP_MS: u64 = 1_000;

/// A service that runs until it is closed.
pub(crate) struct Open {
    pub(crate) url: String,
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Open {
    async fn close(self) {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
    }
}

/// Stores A, B, C (Berlin, Hamburg, Munich) and a centre. Dropping it leaves threads that end with the
/// process.
pub(crate) struct Chain {
    pub(crate) centre: String,
    stores: Vec<(String, Option<Open>)>,
    _centres: Vec<Open>,
    folder: TempDir,
    log: Arc<dyn EventLog>,
    pub(crate) client: Client,
    step_ms: u64,
}

/// A status, the headers, and a JSON body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) repeated: bool,
    pub(crate) traceresponse: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// A problem document of a code.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Value {
        let body = self.is(status);
        assert_eq!(body["code"], code, "{body}");
        body
    }
}

fn topics() -> Topics {
    Topics::new("", 3)
}

const PLACES: [(&str, &str); 3] =
    [("A", "52.52,13.405"), ("B", "53.5511,9.9937"), ("C", "48.1372,11.5756")];

impl Chain {
    /// A chain whose stores all answer.
    pub(crate) async fn open() -> Self {
        Self::with_step(STEP_MS).await
    }

    /// A chain whose centre does not wait long for a store.
    pub(crate) async fn impatient() -> Self {
        Self::with_step(SHORT_STEP_MS).await
    }

    async fn with_step(step_ms: u64) -> Self {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
        let folder = tempfile::tempdir().unwrap();
        let mut chain = Self {
            centre: String::new(),
            stores: PLACES.map(|(store, _)| (store.to_owned(), None)).into(),
            _centres: Vec::new(),
            folder,
            log,
            client: Client::new(),
            step_ms,
        };
        for (store, _) in PLACES {
            chain.open_store(store).await;
        }
        chain.centre = chain.open_centre("c1").await;
        chain
    }

    /// One more centre over the same stores; gives its URL.
    pub(crate) async fn open_centre(&mut self, id: &str) -> String {
        let mut ledger = Settings::new(id.parse().unwrap(), self.step_ms, DEFAULT_RELEASE_GRACE_MS);
        ledger.source_again_ms = 200;
        ledger.breaker = circuit_breaker::Settings { timeouts: 3, open_ms: 3_600_000 };
        let config = central_service::Config {
            data_dir: self.folder.path().join(id),
            topics: topics(),
            freshness: inventory_core::FreshnessBounds::default(),
            gap_grace: Duration::from_secs(1),
            ledger,
            history_events: central_service::history::DEFAULT_EVENTS,
        };
        let app = central_service::App::build(config, Arc::clone(&self.log)).unwrap();
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let served = tokio::spawn(app.run(listener, stop.clone()));
        self._centres.push(Open { url: url.clone(), stop, served });
        self.until("the centre knows all stores", async || {
            let known = self.get_from(&url, "/stores").await.body;
            let fresh = known["stores"].as_array()?.iter().all(|store| {
                let freshness = &store["freshness"];
                freshness["state"] == "fresh" || freshness["otherwise"] == "fresh"
            });
            (fresh && known["stores"].as_array()?.len() == PLACES.len()).then_some(())
        })
        .await;
        url
    }

    /// The line to a store is back, or its power.
    pub(crate) async fn open_store(&mut self, id: &str) {
        let (_, place) = PLACES.iter().find(|(store, _)| *store == id).unwrap();
        let config = store_service::Config {
            store: id.parse().unwrap(),
            data_dir: self.journal(id),
            topics: topics(),
            location: Some(place.parse().unwrap()),
            heartbeat_every: Duration::from_millis(50),
            witness_wait: Duration::from_secs(5),
            unwitnessed: Unwitnessed::Serve,
            release_grace: Duration::from_millis(DEFAULT_RELEASE_GRACE_MS),
        };
        let app = store_service::App::build(config, Arc::clone(&self.log)).unwrap();
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let served = tokio::spawn(app.run(listener, stop.clone()));
        let store = self.stores.iter_mut().find(|(store, _)| store == id).unwrap();
        store.1 = Some(Open { url, stop, served });
    }

    /// A store is cut off.
    pub(crate) async fn close_store(&mut self, id: &str) {
        let store = self.stores.iter_mut().find(|(store, _)| store == id).unwrap();
        store.1.take().unwrap().close().await;
    }

    fn journal(&self, store: &str) -> PathBuf {
        self.folder.path().join(store)
    }

    /// A store's URL.
    pub(crate) fn store(&self, id: &str) -> String {
        let store = self.stores.iter().find(|(store, _)| store == id).unwrap();
        store.1.as_ref().unwrap().url.clone()
    }

    /// Puts units on a shelf and waits until the centre knows.
    pub(crate) async fn stock(&self, store: &str, sku: &str, units: i64) {
        let body = json!({"storeId": store, "sku": sku, "quantity": units});
        self.post_to(&self.store(store), "/commands/inventory/replace", &body).await.is(200);
        self.until("the centre knows the shelf", async || {
            let item = self.get(&format!("/query/inventory/store/{store}/{sku}")).await;
            (item.status == 200 && item.body["onHand"] == units).then_some(())
        })
        .await;
    }

    /// A sale in the shop.
    pub(crate) async fn sell(
        &self,
        store: &str,
        sku: &str,
        units: i64,
        on_shortfall: &str,
    ) -> Answer {
        let body = json!({
            "storeId": store, "sku": sku, "delta": -units, "onShortfall": on_shortfall
        });
        self.post_to(&self.store(store), "/commands/inventory/adjust", &body).await
    }

    /// Reserves and waits for the stores.
    pub(crate) async fn reserve(&self, body: &Value) -> Answer {
        self.post("/reservations", body).await
    }

    /// One item for an order.
    pub(crate) async fn reserve_one(&self, order: &str, sku: &str, units: i64) -> Answer {
        self.reserve(&json!({"orderId": order, "lines": [{"sku": sku, "quantity": units}]})).await
    }

    pub(crate) async fn reservation(&self, id: &Value) -> Value {
        self.get(&format!("/reservations/{}", id.as_str().unwrap())).await.is(200)
    }

    /// Waits until a reservation is as wanted.
    pub(crate) async fn reservation_is(
        &self,
        id: &Value,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        self.until("the reservation is as wanted", async || {
            let known = self.reservation(id).await;
            wanted(&known).then_some(known)
        })
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_to(&self.centre, path, body).await
    }

    pub(crate) async fn post_to(&self, base: &str, path: &str, body: &Value) -> Answer {
        self.send(base, path, &body.to_string(), &[("prefer", "wait=20")]).await
    }

    pub(crate) async fn send(
        &self,
        base: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.client.post(format!("{base}{path}"));
        request = request.header("content-type", "application/json").body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_from(&self.centre, path).await
    }

    pub(crate) async fn get_from(&self, base: &str, path: &str) -> Answer {
        answer(self.client.get(format!("{base}{path}"))).await
    }

    /// Asks again and again until there is an answer.
    pub(crate) async fn until<T>(&self, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
        test_support::eventually_async(what, PATIENCE, ask).await
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let (location, repeated) = (header("location"), header("idempotent-replayed").is_some());
    let traceresponse = header("traceresponse");
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, location, repeated, traceresponse, body }
}
