//! Any request to a store: an answer within the contract, and never one that blames the store.
//!
//! Input: `METHOD /path`, a line; `name: value` lines; an empty line; the body.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use event_log::MemoryLog;
use libfuzzer_sys::fuzz_target;
use shared_events::topic::Topics;
use store_service::opening::Unwitnessed;
use store_service::{App, Config};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

struct Store {
    runtime: Runtime,
    router: Router,
    _folder: TempDir,
}

/// One store for the whole run: what earlier requests did is what later ones find.
static STORE: LazyLock<Store> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config {
        store: "A".parse().expect("a name"),
        data_dir: folder.path().join("A"),
        topics: Topics::new("", 1),
        location: None,
        witness_wait: Duration::ZERO,
        unwitnessed: Unwitnessed::Serve,
        heartbeat_every: Duration::from_secs(60),
        release_grace: Duration::from_secs(120),
    };
    let app = App::build(config, Arc::new(MemoryLog::default())).expect("a store");
    let runtime = Runtime::new().expect("a runtime");
    let router = app.router();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    runtime.spawn(app.run(listener, CancellationToken::new()));
    Store { runtime, router, _folder: folder }
});

fuzz_target!(|input: &[u8]| {
    let Some(request) = parse(input) else { return };
    let (store, has_body) = (&*STORE, request.method() != Method::HEAD);
    store.runtime.block_on(async {
        let answer = store.router.clone().oneshot(request).await.expect("routers do not fail");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        assert!(!status.is_server_error(), "{status}: {}", String::from_utf8_lossy(&body));
        let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
        if has_body && kind == Some(b"application/problem+json") {
            let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(problem["status"], status.as_u16());
        }
    });
});

fn parse(input: &[u8]) -> Option<Request<Body>> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, path) = first.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(path);
    let mut length = first.len() + 1;
    for line in lines {
        length += line.len() + 1;
        if line.is_empty() {
            break;
        }
        let colon = line.windows(2).position(|two| two == b": ")?;
        request = request.header(&line[..colon], &line[colon + 2..]);
    }
    request.body(Body::from(input.get(length..).unwrap_or_default().to_vec())).ok()
}
