//! W3C trace context.

use std::fmt;

use opentelemetry::logs::LogRecord;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// A place in a trace: a span of it, and whether the trace is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

impl Context {
    /// From a `traceparent` of version 00; `None` when it is broken, which costs the trace and no more.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: &[u8; LENGTH] = text.as_bytes().try_into().ok()?;
        let well_formed = bytes.iter().zip(0..).all(|(byte, place)| match place {
            2 | 35 | 52 => *byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
        });
        if !well_formed || !text.starts_with("00") {
            return None;
        }
        let trace = TraceId::from_hex(text.get(3..35)?).ok()?;
        let span = SpanId::from_hex(text.get(36..52)?).ok()?;
        let flags = u8::from_str_radix(text.get(53..)?, 16).ok()?;
        let sampled = TraceFlags::new(flags).is_sampled();
        let valid = trace != TraceId::INVALID && span != SpanId::INVALID;
        valid.then_some(Self { trace, span, sampled })
    }

    /// The trace's id, as people look it up.
    #[must_use]
    pub const fn trace_id(&self) -> impl fmt::Display + use<> {
        self.trace
    }

    pub(super) const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Marks a log line as part of this.
    pub(super) fn mark(&self, line: &mut impl LogRecord) {
        let flags = TraceFlags::default().with_sampled(self.sampled);
        line.set_trace_context(self.trace, self.span, Some(flags));
    }

    /// As another process told of it.
    pub(super) fn remote(&self) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.sampled);
        SpanContext::new(self.trace, self.span, flags, true, TraceState::NONE)
    }

    /// Where a span stands; `None` for one that was started after the last was exported.
    pub(super) fn of(context: &SpanContext) -> Option<Self> {
        context.is_valid().then(|| Self {
            trace: context.trace_id(),
            span: context.span_id(),
            sampled: context.is_sampled(),
        })
    }
}

/// As a `traceparent` or `traceresponse`.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// The trace id of a `traceparent`, for a log line about what came with it; absent from the line when
/// there is none.
#[must_use]
pub fn id(
    traceparent: Option<&str>,
) -> Option<tracing::field::DisplayValue<impl fmt::Display + use<>>> {
    let context = Context::parse(traceparent?)?;
    Some(tracing::field::display(context.trace_id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_reads_what_it_writes() {
        for text in [VALID, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"] {
            assert_eq!(Context::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Context::parse(VALID).unwrap().trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
    }

    #[test]
    fn a_broken_context_is_none() {
        let broken = [
            "",
            "not a trace",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333é-1",
        ];
        for text in broken {
            assert_eq!(Context::parse(text), None, "{text}");
        }
    }
}
