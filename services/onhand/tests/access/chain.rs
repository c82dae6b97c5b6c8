//! Two stores and a centre that ask for tokens, in one process over a broker in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use access::mint::{Wanted, mint};
use access::{Access, Scope, Tokens};
use central_service::ledger::Settings;
use event_log::{EventLog, MemoryLog};
use reqwest::{Client, Method};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service_kit::key_file::{KeyFile, KeyRing};
use shared_events::topic::Topics;
use store_service::opening::Unwitnessed;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);
/// Open reservations that each subject may have.
pub(crate) const OPEN_RESERVATIONS: u32 = 8;

pub(crate) struct Chain {
    folder: TempDir,
    log: Arc<dyn EventLog>,
    pub(crate) store: String,
    pub(crate) centre: String,
    centre_stop: CancellationToken,
    centre_served: Option<JoinHandle<anyhow::Result<()>>>,
    pub(crate) client: Client,
}

/// A status and a body: JSON, where it is.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

impl Chain {
    pub(crate) async fn open() -> Self {
        Self::open_as(false).await
    }

    /// With both stores behind one listener.
    pub(crate) async fn open_with_stores_together() -> Self {
        Self::open_as(true).await
    }

    async fn open_as(together: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("tokens.key");
        let line = service_kit::key_file::new_line(&"k1".parse().unwrap()).unwrap();
        write_private(&keys, &line);
        let mut chain = Self {
            folder,
            log: Arc::new(MemoryLog::default()),
            store: String::new(),
            centre: String::new(),
            centre_stop: CancellationToken::new(),
            centre_served: None,
            client: Client::new(),
        };
        if together {
            chain.store = format!("{}/stores/A", chain.open_together(&["A", "B"]).await);
        } else {
            chain.open_store("B").await;
            chain.store = chain.open_store("A").await;
        }
        chain.open_centre().await;
        let admin = chain.token(&[Scope::StockRead, Scope::StockWrite], None);
        for sku in ["MUG", "CUP"] {
            let body = json!({ "storeId": "A", "sku": sku, "quantity": 5 });
            let path = "/api/commands/inventory/replace";
            chain.ask(&chain.store, Method::POST, path, Some(&admin), Some(&body)).await.is(200);
        }
        chain.until_known(&admin).await;
        chain
    }

    fn access(&self) -> Access {
        let keys = KeyFile::open(&self.folder.path().join("tokens.key")).unwrap();
        let tokens = Tokens::new(Some(keys), None, "onhand".to_owned(), "onhand".to_owned());
        Access { tokens: Some(Arc::new(tokens)), ..Access::default() }
    }

    fn store_config(&self, id: &str) -> store_service::Config {
        store_service::Config {
            store: id.parse().unwrap(),
            data_dir: self.folder.path().join(id),
            topics: Topics::new("", 3),
            location: None,
            heartbeat_every: Duration::from_millis(50),
            witness_wait: Duration::ZERO,
            unwitnessed: Unwitnessed::Serve,
            release_grace: Duration::from_secs(120),
        }
    }

    async fn open_store(&self, id: &str) -> String {
        let config = self.store_config(id);
        let app = store_service::App::build(config, Arc::clone(&self.log)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(app.guarded(self.access()).run(listener, CancellationToken::new()));
        url
    }

    async fn open_together(&self, ids: &[&str]) -> String {
        let stores = ids.iter().map(|id| (self.store_config(id), Arc::clone(&self.log)));
        let stores = store_service::Several::build(stores.collect()).unwrap();
        let stores = stores.guarded(self.access(), |_store, access| Ok(access.clone())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(stores.run(listener, CancellationToken::new()));
        url
    }

    async fn open_centre(&mut self) {
        let config = central_service::Config {
            data_dir: self.folder.path().join("c1"),
            topics: Topics::new("", 3),
            freshness: inventory_core::FreshnessBounds::default(),
            gap_grace: Duration::from_secs(1),
            ledger: Settings {
                max_open_reservations: OPEN_RESERVATIONS,
                ..Settings::new("c1".parse().unwrap(), 20_000, 120_000)
            },
            history_events: central_service::history::DEFAULT_EVENTS,
        };
        let app = central_service::App::build(config, Arc::clone(&self.log)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.centre = format!("http://{}", listener.local_addr().unwrap());
        self.centre_stop = CancellationToken::new();
        let app = app.guarded(self.access());
        self.centre_served = Some(tokio::spawn(app.run(listener, self.centre_stop.clone())));
    }

    /// The centre starts again, perhaps without its disk.
    pub(crate) async fn restart_the_centre(&mut self, lost: bool) {
        self.centre_stop.cancel();
        self.centre_served.take().unwrap().await.unwrap().unwrap();
        if lost {
            std::fs::remove_dir_all(self.folder.path().join("c1")).unwrap();
        }
        self.open_centre().await;
        let token = self.token(&[Scope::StockRead], None);
        self.until_known(&token).await;
    }

    async fn until_known(&self, token: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let path = "/api/query/inventory/store/A/CUP";
            let item = self.ask(&self.centre, Method::GET, path, Some(token), None).await;
            let stores =
                self.ask(&self.centre, Method::GET, "/api/stores", Some(token), None).await;
            let stores = stores.body["stores"].as_array().map_or(0, Vec::len);
            // Before everything is read, nothing is said to be unknown.
            let staff = self.token(&[Scope::Staff], None);
            let path = "/api/reservations/c1.none";
            let none = self.ask(&self.centre, Method::GET, path, Some(&staff), None).await;
            let read = none.status == 404;
            if item.status == 200 && item.body["onHand"] == 5 && stores == 2 && read {
                return;
            }
            assert!(Instant::now() < deadline, "the centre does not know the shelf: {item:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A token for somebody.
    pub(crate) fn token(&self, scopes: &[Scope], stores: Option<&[&str]>) -> String {
        self.token_of("somebody", scopes, stores)
    }

    /// A token with every scope, whose time was over an hour ago.
    pub(crate) fn expired(&self) -> String {
        let hour_ago = service_kit::clock::unix_millis() / 1_000 - 3_600;
        let claims = json!({
            "iss": "onhand", "aud": "onhand", "sub": "somebody", "exp": hour_ago,
            "scope": Scope::ALL.map(Scope::as_str).join(" "),
        });
        let ring = self.ring();
        let header = jsonwebtoken::Header {
            kid: Some(ring.signing().id().to_string()),
            ..jsonwebtoken::Header::default()
        };
        let key = jsonwebtoken::EncodingKey::from_secret(ring.signing().secret());
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    }

    fn ring(&self) -> KeyRing {
        KeyRing::read(&self.folder.path().join("tokens.key")).unwrap()
    }

    pub(crate) fn token_of(
        &self,
        subject: &str,
        scopes: &[Scope],
        stores: Option<&[&str]>,
    ) -> String {
        let wanted = Wanted {
            subject: subject.parse().unwrap(),
            scopes: scopes.iter().copied().collect(),
            stores: stores.map(|all| all.iter().map(|store| store.parse().unwrap()).collect()),
            valid: Duration::from_secs(600),
            issuer: "onhand".to_owned(),
            audience: "onhand".to_owned(),
        };
        mint(self.ring().signing(), wanted).unwrap().expose_secret().to_owned()
    }

    pub(crate) async fn ask(
        &self,
        base: &str,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{base}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            let json = path.ends_with("/batch");
            let kind = if json { "application/x-ndjson" } else { "application/json" };
            request = request.header("content-type", kind).body(body.to_string());
        }
        let response = request.header("prefer", "wait=20").send().await.unwrap();
        let status = response.status().as_u16();
        let is_json = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind.to_str().unwrap().ends_with("json"));
        // A stream has no end.
        let body = if is_json { response.json().await.unwrap_or_default() } else { Value::Null };
        Answer { status, body }
    }
}

pub(crate) fn write_private(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
