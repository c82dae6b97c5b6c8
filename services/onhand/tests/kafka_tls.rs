//! Stores and a centre on a real broker that lets in whom it knows, and allows each what an ACL says.
//! Run by `scripts/test-kafka-tls`, which starts the broker and gives the rights.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use event_log::{
    Error, EventLog, KafkaConfig, KafkaLog, Position, Publication, RecordKey, RecordKeys,
    SignedLog, Speaker,
};
use serde_json::{Value, json};
use shared_events::topic::{TopicSpec, Topics};
use shared_events::wire::OutgoingRecord;
use test_support::{eventually, eventually_async};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(60);

fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test-kafka-tls"))
}

fn address() -> String {
    given("ONHAND_TEST_KAFKA_TLS")
}

fn secret(name: &str) -> PathBuf {
    Path::new(&given("ONHAND_TEST_KAFKA_TLS_DIR")).join(name)
}

/// `onhand` with the way in of a user.
fn onhand(user: &str, password: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onhand"));
    command
        .env("ONHAND_KAFKA", address())
        .env("ONHAND_KAFKA_SECURITY_PROTOCOL", "sasl_ssl")
        .env("ONHAND_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
        .env("ONHAND_KAFKA_SASL_USERNAME", user)
        .env("ONHAND_KAFKA_SASL_PASSWORD_FILE", password)
        .env("ONHAND_KAFKA_SSL_CA", secret("ca.pem"));
    command
}

/// A service that is killed with its test.
struct Service(Child, PathBuf);

impl Service {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let output = File::create(&log).expect("a log");
        let child = command.stdout(Stdio::null()).stderr(output).spawn().expect("it runs");
        Self(child, log)
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.1).expect("a log")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().expect("it can be ended");
        self.0.wait().expect("it ends");
    }
}

async fn get(url: &str) -> Option<Value> {
    let answer = reqwest::get(url).await.ok()?;
    answer.status().is_success().then_some(())?;
    answer.json().await.ok()
}

fn key_file(path: &Path, id: &str, byte: u8) {
    // 43 characters of base64url are 32 bytes.
    let secret = format!("{id} {}A\n", char::from(byte).to_string().repeat(42));
    fs::write(path, secret).expect("a key file");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("its mode");
}

fn store(id: &str, user: &str, folder: &Path, port: u16, key: &Path) -> Service {
    let mut command = onhand(user, &secret(&format!("{user}.password")));
    command.args(["store", "--store-id", id, "--witness-wait-ms", "0"]);
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    command.arg("--data-dir").arg(folder.join(id)).arg("--record-key").arg(key);
    Service::start(command, folder.join(format!("{id}.log")))
}

async fn count(port: u16, store: &str, sku: &str, quantity: i64) {
    let url = format!("http://127.0.0.1:{port}/api/commands/inventory/replace");
    let body = json!({"storeId": store, "sku": sku, "quantity": quantity});
    eventually_async("the store takes the count", SOON, async || {
        let answer = reqwest::Client::new().post(&url).json(&body).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_sell_over_tls_and_one_cannot_speak_for_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).expect("a folder");
    key_file(&keys.join("A.key"), "a1", b'A');
    key_file(&keys.join("B.key"), "b1", b'B');
    let mut command = onhand("centre", &secret("centre.password"));
    command.args(["central", "--listen", "127.0.0.1:20980"]);
    command.arg("--data-dir").arg(folder.path().join("central")).arg("--record-keys").arg(&keys);
    let centre = Service::start(command, folder.path().join("central.log"));
    let shop = store("A", "store-A", folder.path(), 20_981, &keys.join("A.key"));
    count(20_981, "A", "TEA", 7).await;
    let item = "http://127.0.0.1:20980/api/query/inventory/store/A/TEA";
    eventually_async("the centre sees it", SOON, async || {
        (get(item).await?["onHand"] == 7).then_some(())
    })
    .await;

    // The broker lets store B write to the topic of events, in whatever name: its key does not.
    let forger = SignedLog::new(Arc::new(as_user("store-B")), Arc::new(KeyOfB), None);
    let record = OutgoingRecord {
        key: b"A|TEA".to_vec(),
        headers: vec![("ce_source".to_owned(), b"/stores/A".to_vec())],
        value: None,
    };
    let topic = Topics::default().stock_events();
    assert_eq!(write(&forger, topic, record), None);
    let letters = "http://127.0.0.1:20980/api/dead-letters?cause=unverified";
    let reason = eventually_async("it is put aside", SOON, async || {
        let page = get(letters).await?;
        page["deadLetters"].get(0).map(|letter| letter["reason"].clone())
    })
    .await;
    assert_eq!(reason, "it is signed with key \"b1\", which is none of store A");
    assert_eq!(get(item).await.expect("it answers")["onHand"], 7);

    // Nor does any secret stand in a log.
    let passwords = ["store-A", "store-B", "centre"]
        .map(|user| fs::read_to_string(secret(&format!("{user}.password"))).expect("a password"));
    for service in [&centre, &shop] {
        let log = service.log();
        assert!(passwords.iter().all(|password| !log.contains(password.trim())), "{log}");
        assert!(!log.contains("AAAAAAAA") && !log.contains("BBBBBBBB"), "{log}");
    }
}

fn doctor(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.arg("doctor").output().expect("it runs");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn who_is_not_known_is_told_why_it_is_not_let_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = folder.path().join("password");
    fs::write(&wrong, "hunter2\n").expect("a file");
    let (code, told) = doctor(onhand("store-A", &wrong));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("Authentication failed") && !told.contains("hunter2"), "{told}");

    // What is wrong is known when the broker hangs up; a busy one may take longer for that than doctor waits.
    eventually("it is told that the broker wants TLS", SOON, || {
        let mut plain = Command::new(env!("CARGO_BIN_EXE_onhand"));
        plain.env("ONHAND_KAFKA", address());
        let (code, told) = doctor(plain);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("does not answer"), "{told}");
        told.to_lowercase().contains("ssl").then_some(())
    });

    // A broker that somebody else vouches for is none of ours.
    let mut stranger = onhand("store-A", &secret("store-A.password"));
    stranger.env_remove("ONHAND_KAFKA_SSL_CA");
    let (code, told) = doctor(stranger);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("certificate verify failed"), "{told}");
}

/// Store B signs as itself, whatever name it writes in.
#[derive(Debug)]
struct KeyOfB;

impl RecordKeys for KeyOfB {
    fn signing(&self) -> Option<Arc<RecordKey>> {
        Some(Arc::new(RecordKey::new("b1", b"store B's own secret")))
    }

    fn verifying(&self, _speaker: Speaker<'_>) -> Option<Vec<Arc<RecordKey>>> {
        None
    }
}

/// The client of a user.
fn as_user(user: &str) -> KafkaLog {
    let password = fs::read_to_string(secret(&format!("{user}.password"))).expect("a password");
    let config = KafkaConfig::new(address())
        .set("security.protocol", "sasl_ssl")
        .set("sasl.mechanism", "SCRAM-SHA-512")
        .set("sasl.username", user)
        .set("sasl.password", password.trim())
        .set("ssl.ca.location", &secret("ca.pem").to_string_lossy());
    KafkaLog::new(config)
}

fn write(log: &dyn EventLog, topic: TopicSpec, record: OutgoingRecord) -> Option<Error> {
    let mut publisher = log.publisher().expect("a publisher");
    publisher.publish(&[Publication { topic: topic.name, record }], &CancellationToken::new()).error
}

#[test]
fn a_store_may_do_what_it_needs_and_nothing_else() {
    let (log, topics) = (as_user("store-A"), Topics::default());
    let own = topics.commands(&"A".parse().expect("a store id"));
    let other = topics.commands(&"B".parse().expect("a store id"));
    // Topics that exist are found, without a right to make any.
    log.ensure_topics(&[topics.stock_events(), topics.heartbeats(), own.clone()]).expect("all");
    assert_eq!(log.extents(&own).expect("it may read its commands").len(), 1);

    let denied =
        |error: Option<Error>| assert!(matches!(error, Some(Error::Denied(_))), "{error:?}");
    let record = OutgoingRecord { key: b"A".to_vec(), headers: Vec::new(), value: None };
    for topic in
        [other.clone(), own, topics.reservations(), topics.policies(), topics.dead_letters()]
    {
        denied(write(&log, topic, record.clone()));
    }

    // What one may not read is not there, for who asks, and gives nothing to who tries all the same.
    assert_eq!(write(&as_user("centre"), other.clone(), record), None);
    let extent = as_user("store-B").extents(&other).expect("it is its own")[0];
    assert!(extent.high > extent.low, "there is a command");
    assert!(matches!(log.extents(&other), Err(Error::TopicMissing(_) | Error::Denied(_))));
    let at = Position { topic: other.name, partition: 0, next: extent.low };
    let read = |user: &str| {
        let mut reader = as_user(user).subscriber(std::slice::from_ref(&at)).expect("a reader");
        reader.poll(1, Duration::from_secs(5), &mut |_record| ()).unwrap_or_default()
    };
    assert_eq!((read("store-B"), read("store-A")), (1, 0));
    let new = TopicSpec { name: "inventory.commands.v1.Z".to_owned(), ..topics.heartbeats() };
    let error = log.ensure_topics(&[new]).expect_err("it may not make topics");
    assert!(error.to_string().contains("deploy/kafka/create-topics"), "{error}");
    denied(Some(error));
}
