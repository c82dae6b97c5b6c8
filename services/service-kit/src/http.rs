//! What every router answers alike, and where it is to be heard.

use std::any::Any;

use anyhow::Context as _;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{error, warn};

use crate::extract::MAX_BODY_BYTES;
use crate::problem::{ErrorCode, Problem};
use crate::watched::{Requests, watched};

/// Adds what every service answers alike: bounds, unknown paths and methods, defects. Each request is
/// counted, and traced where traces are wanted.
pub fn bounded(router: Router, requests: &Requests) -> Router {
    router
        .fallback(async || Problem::new(ErrorCode::NotFound, "see /api/docs for what there is"))
        .method_not_allowed_fallback(async || {
            Problem::new(ErrorCode::MethodNotAllowed, "see /api/docs for what there is")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(requests.clone(), watched))
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
    if !address.ip().is_loopback() {
        warn!(%address, "listening beyond this machine without authentication");
    }
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}: is the port taken? choose another one"))
}
