//! A collector: takes OTLP over HTTP, and keeps spans and log lines for tests to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1;
use prost::Message as _;

/// A span as a collector got it; ids are hexadecimal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// Its trace.
    pub trace_id: String,
    /// Itself.
    pub span_id: String,
    /// The span it is part of; empty for a trace's first.
    pub parent_id: String,
    /// Its name.
    pub name: String,
    /// `Server`, `Internal`, …
    pub kind: String,
    /// `service.name` of the process that told of it.
    pub service: String,
    /// Its attributes, numbers in digits.
    pub attributes: BTreeMap<String, String>,
    /// Spans of other traces that it served too: trace and span.
    pub links: Vec<(String, String)>,
}

/// A log line as a collector got it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its words.
    pub body: String,
    /// Who logged it: a module.
    pub target: String,
    /// `service.name` of the process that did.
    pub service: String,
    /// Its trace; empty when it has none.
    pub trace_id: String,
}

/// How a collector treats what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes it.
    Takes,
    /// Answers 500.
    Fails,
    /// Answers 500 to spans, and takes log lines.
    TakesLines,
    /// Takes it, after a quarter of a second.
    Slow,
    /// Never answers.
    Hangs,
}

/// A running collector, on a thread of its own until the process ends.
#[derive(Debug)]
pub struct Collector {
    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: String,
    kept: Arc<Kept>,
}

/// How long a slow collector takes.
const SLOW: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Kept {
    manner: Manner,
    requests: AtomicUsize,
    spans: Mutex<Vec<Span>>,
    lines: Mutex<Vec<Line>>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    /// When the system refuses a port or a thread.
    #[must_use]
    pub fn start(manner: Manner) -> Self {
        let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = listener.expect("a free port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = AtomicUsize::new(0);
        let kept = Kept { manner, requests, spans: Mutex::default(), lines: Mutex::default() };
        let kept = Arc::new(kept);
        let router = Router::new()
            .route("/v1/traces", post(take_spans))
            .route("/v1/logs", post(take_lines))
            .with_state(Arc::clone(&kept));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, router).await.expect("serve");
            });
        });
        Self { endpoint, kept }
    }

    /// Requests it has had.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.kept.requests.load(Ordering::Relaxed)
    }

    /// The spans of a trace.
    #[must_use]
    pub fn trace(&self, trace_id: &str) -> Vec<Span> {
        let spans = self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect()
    }

    /// All log lines.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.kept.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Kept {
    /// Counts a request; gives how it is to be answered when that is decided already.
    async fn met(&self) -> Option<StatusCode> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match self.manner {
            Manner::Takes | Manner::TakesLines => None,
            Manner::Fails => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Manner::Slow => {
                tokio::time::sleep(SLOW).await;
                None
            }
            Manner::Hangs => std::future::pending().await,
        }
    }
}

/// What a trace is made of: each kind of span once, by service and name, with the same of its parent.
#[must_use]
pub fn shape(spans: &[Span]) -> BTreeSet<(String, String)> {
    let title = |span: &Span| format!("{}: {}", span.service, span.name);
    let parent = |span: &Span| {
        let parent = spans.iter().find(|parent| parent.span_id == span.parent_id);
        parent.map_or_else(|| "outside".to_owned(), title)
    };
    spans.iter().map(|span| (title(span), parent(span))).collect()
}

/// Spans whose parent nobody told of: not their trace's first, and not the caller's own.
#[must_use]
pub fn orphans<'s>(spans: &'s [Span], caller: &str) -> Vec<&'s Span> {
    let known =
        |id: &str| id.is_empty() || id == caller || spans.iter().any(|span| span.span_id == id);
    spans.iter().filter(|span| !known(&span.parent_id)).collect()
}

async fn take_lines(State(kept): State<Arc<Kept>>, body: Bytes) -> StatusCode {
    if let Some(answer) = kept.met().await {
        return answer;
    }
    let Ok(request) = ExportLogsServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut lines = kept.lines.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in request.resource_logs {
        let about = attributes(resource.resource.unwrap_or_default().attributes);
        let service = about.get("service.name").cloned().unwrap_or_default();
        for scope in resource.scope_logs {
            let target = scope.scope.unwrap_or_default().name;
            lines.extend(scope.log_records.into_iter().map(|line| Line {
                body: text(line.body),
                target: target.clone(),
                service: service.clone(),
                trace_id: hex(&line.trace_id),
            }));
        }
    }
    StatusCode::OK
}

async fn take_spans(State(kept): State<Arc<Kept>>, body: Bytes) -> StatusCode {
    if let Some(answer) = kept.met().await {
        return answer;
    }
    if kept.manner == Manner::TakesLines {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut spans = kept.spans.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in request.resource_spans {
        let about = attributes(resource.resource.unwrap_or_default().attributes);
        let service = about.get("service.name").cloned().unwrap_or_default();
        let told = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(told.map(|span| read(span, service.clone())));
    }
    StatusCode::OK
}

fn read(span: v1::Span, service: String) -> Span {
    let kind = format!("{:?}", span.kind());
    Span {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        kind,
        name: span.name,
        service,
        attributes: attributes(span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
    }
}

fn attributes(told: Vec<KeyValue>) -> BTreeMap<String, String> {
    told.into_iter().map(|one| (one.key, text(one.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
