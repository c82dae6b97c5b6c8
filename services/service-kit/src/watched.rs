//! Around every request: its bound in time, its part in a trace, and its count.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::SECONDS;
use crate::problem::{ErrorCode, Problem};
use crate::trace::{self, Context};

/// Longest time a request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What orchestrators and scrapers ask every few seconds: not worth a trace of their own.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Labels of a kind of request; as many as there are routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    method: &'static str,
    /// Template of the path; `other` where no route matches.
    route: String,
    /// `2xx` to `5xx`.
    status: &'static str,
}

/// Counts requests and their durations; clones share them.
#[derive(Debug, Clone)]
pub struct Requests(Family<Kind, Histogram, fn() -> Histogram>);

impl Default for Requests {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(SECONDS)))
    }
}

impl Requests {
    /// Registers what is counted.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "http_request_duration",
            "Time to answer a request, by route and kind of status; a stream's, until it begins",
            Unit::Seconds,
            self.0.clone(),
        );
    }
}

/// Serves a request within its bounds, as part of a trace where there is one, and counts it.
pub(crate) async fn watched(
    State(requests): State<Requests>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let caller = caller(request.headers());
    let mut span = match route {
        Some(probe) if PROBES.contains(&probe) => trace::Span::default(),
        _ => trace::server(method, route, request.uri().path(), caller),
    };
    let context = span.context().or(caller);
    let mut response = match context {
        Some(context) => trace::within(context, within_time(request, next)).await,
        None => within_time(request, next).await,
    };
    span.answered(response.status());
    if let Some(header) =
        context.and_then(|context| HeaderValue::try_from(context.to_string()).ok())
    {
        response.headers_mut().insert(HeaderName::from_static("traceresponse"), header);
    }
    let route = route.unwrap_or("other").to_owned();
    let status = class(response.status().as_u16());
    let kind = Kind { method, route, status };
    requests.0.get_or_create(&kind).observe(started.elapsed().as_secs_f64());
    response
}

async fn within_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await.unwrap_or_else(|_elapsed| {
        Problem::new(
            ErrorCode::Timeout,
            format!(
                "no answer within {ANSWER_WITHIN:?}; a command may still be executed, its id tells"
            ),
        )
        .into_response()
    })
}

/// Where the caller stands, unless what it says of that is broken.
fn caller(headers: &HeaderMap) -> Option<Context> {
    Context::parse(headers.get("traceparent")?.to_str().ok()?)
}

/// A method's name; callers can make up as many as they like.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

const fn class(status: u16) -> &'static str {
    match status {
        0..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
