//! A store to test: real SQLite in a folder of its own, its whole HTTP interface, a broker in memory.

mod centre;
mod reply;
mod spy;
mod topic;
mod witness;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use event_log::{EventLog, MemoryLog};
use serde_json::{Value, json};
use service_kit::http;
use service_kit::watched::Requests;
use shared_events::StoreId;
use shared_events::topic::Topics;
use store_service::opening::Unwitnessed;
use store_service::{App, Config};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub(crate) use centre::{Centre, ask, in_seconds};
pub(crate) use reply::{Reply, check_problem};
pub(crate) use spy::{Said, Spy};
pub(crate) use topic::{Topic, sequences_by_key};
pub(crate) use witness::{Witness, seen};

/// Long enough for a busy machine; nothing waits it out unless it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const REPLACE: &str = "/api/commands/inventory/replace";
pub(crate) const ADJUST: &str = "/api/commands/inventory/adjust";
pub(crate) const BATCH: &str = "/api/commands/inventory/batch";

/// Store A, running.
pub(crate) struct TestStore {
    setup: Setup,
    caller: Caller,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// What outlives a restart.
#[derive(Clone)]
pub(crate) struct Setup {
    folder: PathBuf,
    _temporary: Option<Arc<TempDir>>,
    log: Arc<dyn EventLog>,
    heartbeat_every: Duration,
    release_grace: Duration,
    witness_wait: Duration,
    unwitnessed: Unwitnessed,
}

impl Setup {
    /// A fresh folder, and this broker.
    pub(crate) fn with_log(log: impl EventLog + 'static) -> Self {
        let temporary = test_support::folder();
        let folder = temporary.path().join("A");
        let heartbeat_every = Duration::from_millis(20);
        Self {
            folder,
            _temporary: Some(Arc::new(temporary)),
            log: Arc::new(log),
            heartbeat_every,
            release_grace: Duration::from_secs(120),
            witness_wait: Duration::ZERO,
            unwitnessed: Unwitnessed::Serve,
        }
    }

    /// Asks a centre for so long before it opens.
    pub(crate) fn asking(self, witness_wait: Duration) -> Self {
        Self { witness_wait, ..self }
    }

    /// Waits for a centre as long as it takes.
    pub(crate) fn holding(self) -> Self {
        Self { unwitnessed: Unwitnessed::Hold, ..self }
    }

    /// Lets go of reservations as soon as their time is over.
    pub(crate) fn without_grace(self) -> Self {
        Self { release_grace: Duration::ZERO, ..self }
    }

    pub(crate) fn in_folder(self, folder: PathBuf) -> Self {
        Self { folder, ..self }
    }

    pub(crate) fn with_other_log(self, log: impl EventLog + 'static) -> Self {
        Self { log: Arc::new(log), ..self }
    }

    /// For journals that must hold still while nobody sells.
    pub(crate) fn without_heartbeats(self) -> Self {
        Self { heartbeat_every: Duration::from_secs(3_600), ..self }
    }

    pub(crate) fn centre(&self) -> Centre {
        Centre::new(Arc::clone(&self.log))
    }

    fn config(&self) -> Config {
        Config {
            store: store_id(),
            data_dir: self.folder.clone(),
            topics: topics(),
            heartbeat_every: self.heartbeat_every,
            location: None,
            witness_wait: self.witness_wait,
            unwitnessed: self.unwitnessed,
            release_grace: self.release_grace,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A store that is not served.
    pub(crate) fn app(&self) -> App {
        App::build(self.config(), Arc::clone(&self.log)).unwrap()
    }

    pub(crate) async fn start(self) -> TestStore {
        let app = self.app();
        let caller = Caller { router: http::bounded(app.router(), &Requests::default()) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(listener, stop.clone()));
        TestStore { setup: self, caller, address, stop, task }
    }
}

/// A copy of a store's folder as it lies there.
pub(crate) fn copy_of(folder: &Path) -> TempDir {
    let copy = test_support::folder();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

pub(crate) fn store_id() -> StoreId {
    StoreId::parse("A").unwrap()
}

pub(crate) fn topics() -> Topics {
    Topics::new("", 3)
}

impl TestStore {
    pub(crate) async fn start() -> Self {
        Setup::with_log(MemoryLog::default()).start().await
    }

    /// Ends it as a process ends it, and tells how to start it again.
    pub(crate) async fn stop(self) -> Setup {
        self.stop_timed().await.0
    }

    pub(crate) async fn stop_timed(self) -> (Setup, Duration) {
        let Self { setup, stop, task, .. } = self;
        let asked = Instant::now();
        stop.cancel();
        task.await.unwrap().unwrap();
        (setup, asked.elapsed())
    }

    /// Waits until it ends by itself, and gives why.
    pub(crate) async fn ended(self) -> (Setup, anyhow::Error) {
        let ended = tokio::time::timeout(DEADLINE, self.task).await.expect("it ends");
        (self.setup, ended.unwrap().unwrap_err())
    }

    pub(crate) async fn restart(self) -> Self {
        self.stop().await.start().await
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.setup.folder
    }

    /// The other end of its topics.
    pub(crate) fn centre(&self) -> Centre {
        self.setup.centre()
    }

    /// Somebody who talks to it, and may hold on longer than the store is open.
    pub(crate) fn caller(&self) -> Caller {
        self.caller.clone()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        self.caller.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.caller.post(path, body).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Reply {
        self.caller.post_with(path, body, headers).await
    }

    pub(crate) async fn replace(&self, sku: &str, quantity: i64) -> Reply {
        let reply = self.post(REPLACE, &replace(sku, quantity)).await;
        reply.accepted();
        reply
    }

    pub(crate) async fn adjust(&self, sku: &str, delta: i64) -> Reply {
        let reply = self.post(ADJUST, &adjust(sku, delta)).await;
        reply.accepted();
        reply
    }

    /// One result for each line that is not blank.
    pub(crate) async fn batch(&self, lines: &str, headers: &[(&str, &str)]) -> Vec<Value> {
        let mut request = Request::post(BATCH).header(header::CONTENT_TYPE, "application/x-ndjson");
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        let reply = self.send(request.body(Body::from(lines.to_owned())).unwrap()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
        reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until it may be written.
    pub(crate) async fn opened(&self) {
        test_support::eventually_async("it opens", DEADLINE, async || {
            (self.get("/readyz").await.status == 200).then_some(())
        })
        .await;
    }

    /// Waits until the broker has everything.
    pub(crate) async fn published(&self) {
        test_support::eventually_async("all is published", DEADLINE, async || {
            let sync = self.get("/api/sync").await.accepted();
            (sync["publishedThrough"] == sync["head"]).then_some(())
        })
        .await;
    }

    /// Waits until a heartbeat has told of everything.
    pub(crate) async fn witnessed(&self) {
        let head = self.head().await;
        test_support::eventually_async("a heartbeat tells it", DEADLINE, async || {
            let heartbeats =
                Topic::read(self.setup.log.as_ref(), &topics().heartbeats()).heartbeats();
            heartbeats.iter().any(|said| !said.opening && said.head.get() == head).then_some(())
        })
        .await;
    }

    /// Units on hand and version.
    pub(crate) async fn item(&self, sku: &str) -> (i64, i64) {
        let item = self.get(&format!("/api/query/inventory/store/A/{sku}")).await.accepted();
        (item["onHand"].as_i64().unwrap(), item["version"].as_i64().unwrap())
    }

    /// The newest sequence in the journal, as the service says it.
    pub(crate) async fn head(&self) -> u64 {
        self.metric("onhand_store_journal_head").await
    }

    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").await.text().to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

/// The HTTP interface, for callers in this process.
#[derive(Clone)]
pub(crate) struct Caller {
    router: Router,
}

impl Caller {
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        Reply::read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_with(path, body, &[]).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }
}

pub(crate) fn replace(sku: &str, quantity: i64) -> Value {
    json!({"storeId": "A", "sku": sku, "quantity": quantity})
}

pub(crate) fn adjust(sku: &str, delta: i64) -> Value {
    json!({"storeId": "A", "sku": sku, "delta": delta})
}

/// The same body with more in it.
pub(crate) fn with(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("an object") };
    body.as_object_mut().unwrap().extend(more);
    body
}
