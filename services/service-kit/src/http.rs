//! Serving a router with the bounds every route has.

use std::any::Any;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{debug, error, warn};

use crate::extract::MAX_BODY_BYTES;
use crate::problem::{ErrorCode, Problem};
use crate::watched::{Requests, watched};

/// Longest time open requests get to finish after a stop was asked for.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);

/// Adds what every service answers alike: bounds, unknown paths and methods, defects. Each request is
/// counted, and traced where traces are wanted.
pub fn bounded(router: Router, requests: &Requests) -> Router {
    completed(router)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(hardened))
        .layer(from_fn_with_state(requests.clone(), watched))
}

/// Answers unknown paths and methods as problems. What is to stand around those answers too is layered
/// on the result.
pub fn completed(router: Router) -> Router {
    router
        .fallback(async || Problem::new(ErrorCode::NotFound, "see /api/docs for what there is"))
        .method_not_allowed_fallback(async || {
            Problem::new(ErrorCode::MethodNotAllowed, "see /api/docs for what there is")
        })
}

/// What browsers are told with every answer: it is what it says it is, no page may frame it, no link from
/// it tells where it was, and nothing keeps it that does not say for how long.
const HARDENING: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

async fn hardened(mut response: Response) -> Response {
    for (name, value) in HARDENING {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let cause = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    error!(cause, "a request handler panicked");
    Problem::new(ErrorCode::Internal, "the log has the cause").into_response()
}

/// A text as one segment of a path: what means something there is percent-encoded.
#[must_use]
pub fn path_segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// Opens a listening socket.
///
/// # Errors
/// When the address cannot be bound, with the fix.
pub async fn bind(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}: is the port taken? choose another one"))
}

/// Serves until the token is cancelled, then lets open requests finish for a bounded time.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    requests: &Requests,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let drained = stop.clone();
    let listener = listener.tap_io(|stream| {
        // Answers are small and complete: none should wait for an acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "the connection stays with Nagle's algorithm");
        }
    });
    let server = axum::serve(listener, bounded(router, requests))
        .with_graceful_shutdown(async move { drained.cancelled().await });
    tokio::select! {
        served = server => served.context("serve http"),
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN_WITHIN).await } => {
            warn!("requests were still open after {DRAIN_WITHIN:?}; closing them");
            Ok(())
        }
    }
}
