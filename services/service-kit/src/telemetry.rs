//! Logs: for people on a terminal, JSON lines elsewhere; each line of a request has its trace's id.

use std::fmt;
use std::io::IsTerminal as _;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::util::TryInitError;

use crate::trace;
use crate::trace::lines::Lines;

/// Starts logging to standard error with a filter such as `info` or `store_service=debug`; also to a
/// collector, from when [`trace::export`] has one.
///
/// # Errors
/// When logging was started before.
pub fn start(filter: EnvFilter) -> Result<(), TryInitError> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        let lines = builder.with_target(false).map_event_format(Traced::text);
        lines.finish().with(Lines::new()).try_init()
    } else {
        let lines = builder.json().flatten_event(true).map_event_format(Traced::json);
        lines.finish().with(Lines::new()).try_init()
    }
}

/// Lines as another format has them, each with the id of the trace that the request being served is
/// part of. Looked up when there is a line: most requests log none.
pub(crate) struct Traced<F> {
    format: F,
    /// What ends a line, and what stands between its end and what is put in front of that.
    end: &'static str,
    quote: &'static str,
    name: &'static str,
}

impl<F> Traced<F> {
    /// ` trace_id=…` at the end.
    const fn text(format: F) -> Self {
        Self { format, end: "\n", quote: "", name: " trace_id=" }
    }

    /// A field beside the line's own.
    pub(crate) const fn json(format: F) -> Self {
        Self { format, end: "}\n", quote: "\"", name: ",\"trace_id\":" }
    }
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(trace) = trace::current() else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let Self { end, quote, name, .. } = self;
        let body = line.strip_suffix(end).unwrap_or(&line);
        write!(writer, "{body}{name}{quote}{}{quote}{end}", trace.trace_id())
    }
}
