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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use serde_json::Value;
    use tower::ServiceExt as _;
    use tracing_subscriber::EnvFilter;

    use super::*;
    use crate::http::bounded;
    use crate::telemetry::Traced;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn router(requests: &Requests) -> Router {
        let router = Router::new()
            .route("/warns/{id}", get(async || tracing::warn!("something is odd")))
            .route("/panics", get(async || -> () { panic!("a defect") }));
        bounded(router, requests)
    }

    async fn ask(router: Router, path: &str, traced: bool) -> (Response, Value) {
        let mut request = axum::http::Request::get(path);
        if traced {
            request = request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        (Response::from_parts(parts, Body::empty()), body)
    }

    #[tokio::test]
    async fn each_line_of_a_request_has_its_trace_whatever_the_filter_lets_through() {
        let log = Log::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new("service_kit=warn"))
            .map_event_format(Traced::json)
            .with_writer(move || written.clone())
            .finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        // A line that another test comes to first, on a thread without a subscriber, would count as one
        // that nobody wants; once known, each is asked about anew.
        for path in ["/warns/1", "/panics"] {
            ask(router(&Requests::default()), path, true).await;
        }
        tracing::callsite::rebuild_interest_cache();
        log.0.lock().unwrap().clear();
        for path in ["/warns/1", "/panics"] {
            ask(router(&Requests::default()), path, true).await;
        }
        ask(router(&Requests::default()), "/warns/1", false).await;

        let lines = log.0.lock().unwrap().clone();
        let lines: Vec<Value> = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let traces: Vec<_> = lines.iter().map(|line| line["trace_id"].as_str()).collect();
        assert_eq!(traces, [Some(TRACE), Some(TRACE), None], "{lines:?}");
    }

    #[tokio::test]
    async fn an_answer_and_a_problem_name_the_callers_trace_also_while_nothing_is_exported() {
        let (response, problem) = ask(router(&Requests::default()), "/nowhere", true).await;
        let told = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_eq!(response.headers()["traceresponse"], told.as_str());
        assert_eq!(problem["traceId"], TRACE);
        let (response, problem) = ask(router(&Requests::default()), "/nowhere", false).await;
        assert!(!response.headers().contains_key("traceresponse"));
        assert_eq!(problem.get("traceId"), None);
    }

    #[tokio::test]
    async fn requests_are_counted_by_template_and_never_by_what_callers_make_up() {
        let requests = Requests::default();
        for path in ["/warns/1", "/warns/2", "/nowhere", "/also/nowhere", "/panics"] {
            ask(router(&requests), path, false).await;
        }
        let mut registry = Registry::default();
        requests.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let mut counts: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("http_request_duration_seconds_count"))
            .collect();
        counts.sort_unstable();
        assert_eq!(
            counts,
            [
                r#"{method="GET",route="/panics",status="5xx"} 1"#,
                r#"{method="GET",route="/warns/{id}",status="2xx"} 2"#,
                r#"{method="GET",route="other",status="4xx"} 2"#,
            ]
        );
    }
}
