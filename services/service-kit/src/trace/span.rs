//! The spans of Onhand, a function for each.

use std::fmt::Display;
use std::sync::OnceLock;

use axum::http::StatusCode;
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context as Parent, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span as Recorded};

use super::context::Context;
use super::names::{PROCESS, SEND, attribute};

/// Where spans go; set once when a process starts to export, as the subscriber of its log is.
pub(super) static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Whether spans go anywhere.
#[must_use]
pub fn is_exported() -> bool {
    TRACER.get().is_some()
}

/// Links that one span may have; exporters drop more.
const MAX_LINKS: usize = 128;

/// What is told of a piece of work from now until this is dropped: or nothing, when nobody wants to know.
#[derive(Debug, Default)]
#[must_use = "a span lasts until it is dropped"]
pub struct Span {
    context: Option<Context>,
    /// Nothing for a trace that is not sampled.
    recorded: Option<Box<Recorded>>,
}

impl Span {
    /// Where it stands, for what the work leads to.
    #[must_use]
    pub const fn context(&self) -> Option<Context> {
        self.context
    }

    /// The same as a W3C `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.context().map(|context| context.to_string())
    }

    /// The request was answered.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        let Some(span) = &mut self.recorded else {
            return;
        };
        span.set_attribute(KeyValue::new(attribute::STATUS, i64::from(status.as_u16())));
        if status.is_server_error() {
            span.set_attribute(KeyValue::new(attribute::ERROR, status.as_u16().to_string()));
            span.set_status(Status::error(""));
        }
    }

    /// The work did not succeed; `kind` is a name of [`super::names`].
    pub fn failed(&mut self, kind: &'static str) {
        if let Some(span) = &mut self.recorded {
            span.set_attribute(KeyValue::new(attribute::ERROR, kind));
            span.set_status(Status::error(""));
        }
    }

    fn start(
        tracer: &SdkTracer,
        name: impl FnOnce() -> String,
        kind: SpanKind,
        parent: Option<Context>,
        links: Vec<Link>,
    ) -> Self {
        let parent = parent.map_or_else(Parent::new, |parent| {
            Parent::new().with_remote_span_context(parent.remote())
        });
        // Its name is made only when somebody will read it.
        let builder = SpanBuilder::from_name("").with_kind(kind).with_links(links);
        let mut span = tracer.build_with_context(builder, &parent);
        let context = Context::of(span.span_context());
        let recorded = span.is_recording().then(|| {
            span.update_name(name());
            Box::new(span)
        });
        Self { context, recorded }
    }

    /// Adds what nobody reads in a span that is not sampled.
    fn with<const N: usize>(mut self, attributes: impl FnOnce() -> [KeyValue; N]) -> Self {
        if let Some(span) = &mut self.recorded {
            span.set_attributes(attributes());
        }
        self
    }
}

/// A request being served, in its caller's trace when it has one. Also a request of a trace that is
/// not sampled has one, so that what it leads to is not sampled either.
pub fn server(
    method: &'static str,
    route: Option<&str>,
    path: &str,
    caller: Option<Context>,
) -> Span {
    let Some(tracer) = TRACER.get() else {
        return Span::default();
    };
    let name = || route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    let span = Span::start(tracer, name, SpanKind::Server, caller, Vec::new()).with(|| {
        [
            KeyValue::new(attribute::METHOD, method),
            KeyValue::new(attribute::PATH, path.to_owned()),
            KeyValue::new(attribute::SCHEME, "http"),
        ]
    });
    match route {
        Some(route) => span.with(|| [KeyValue::new(attribute::ROUTE, route.to_owned())]),
        None => span,
    }
}

/// A record of a topic being handled, in the trace that it came with.
pub fn process(topic: &str, message: impl Display, trace: Option<Context>) -> Span {
    let Some((tracer, parent)) = TRACER.get().zip(trace.filter(Context::is_sampled)) else {
        return Span::default();
    };
    let name = || format!("{PROCESS} {topic}");
    Span::start(tracer, name, SpanKind::Consumer, Some(parent), Vec::new()).with(|| {
        [
            KeyValue::new(attribute::MESSAGING_SYSTEM, "kafka"),
            KeyValue::new(attribute::OPERATION, PROCESS),
            KeyValue::new(attribute::OPERATION_TYPE, PROCESS),
            KeyValue::new(attribute::DESTINATION, topic.to_owned()),
            KeyValue::new(attribute::MESSAGE, message.to_string()),
        ]
    })
}

/// Records being published to a topic. They carry the contexts they were written with, not this one.
pub fn send(topic: &str, messages: usize, traces: impl Iterator<Item = Option<Context>>) -> Span {
    let kind = SpanKind::Producer;
    serving(kind, traces, || format!("{SEND} {topic}")).with(|| {
        [
            KeyValue::new(attribute::MESSAGING_SYSTEM, "kafka"),
            KeyValue::new(attribute::OPERATION, SEND),
            KeyValue::new(attribute::OPERATION_TYPE, SEND),
            KeyValue::new(attribute::DESTINATION, topic.to_owned()),
            KeyValue::new(attribute::MESSAGES, i64::try_from(messages).unwrap_or(i64::MAX)),
        ]
    })
}

/// A transaction for what came with these traces; `name` is one of [`super::names::transaction`].
pub fn commit(
    name: &'static str,
    size: usize,
    traces: impl Iterator<Item = Option<Context>>,
) -> Span {
    serving(SpanKind::Internal, traces, || name.to_owned()).with(|| {
        [
            KeyValue::new(attribute::DATABASE_SYSTEM, "sqlite"),
            KeyValue::new(attribute::BATCH, i64::try_from(size).unwrap_or(i64::MAX)),
        ]
    })
}

/// Work done for many at once: it is part of the first sampled trace, and linked to the others.
fn serving(
    kind: SpanKind,
    traces: impl Iterator<Item = Option<Context>>,
    name: impl FnOnce() -> String,
) -> Span {
    let Some(tracer) = TRACER.get() else {
        return Span::default();
    };
    let mut served = traces.flatten().filter(Context::is_sampled);
    let Some(first) = served.next() else {
        return Span::default();
    };
    let mut links: Vec<Link> = Vec::new();
    // Commands of one body, and the events of one command, come together.
    let mut before = first;
    for one in served {
        if one != before && links.len() < MAX_LINKS {
            links.push(Link::with_context(one.remote()));
        }
        before = one;
    }
    Span::start(tracer, name, kind, Some(first), links)
}
