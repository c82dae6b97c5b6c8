//! What every router answers alike, and where it is to be heard.

use std::any::Any;

use anyhow::Context as _;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::error;

use crate::extract::MAX_BODY_BYTES;
use crate::problem::{ErrorCode, Problem};
use crate::watched::{Requests, watched};

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
