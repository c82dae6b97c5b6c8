//! Log lines to a collector, each as part of its trace; nothing while there is none.
//!
//! What an exporter says of itself is not exported: the SDK leaves out what its own threads log, and
//! what its HTTP client logs elsewhere is known by where it comes from.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::SystemTime;

use opentelemetry::logs::{LogRecord as _, Logger as _, Severity};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Where lines go; set once when a process starts to export.
pub(super) static LOGGER: OnceLock<SdkLogger> = OnceLock::new();

/// Crates whose lines may be about the export itself.
const EXPORTERS: [&str; 6] = ["opentelemetry", "reqwest", "hyper", "hyper_util", "h2", "want"];

/// Hands on each line that the log's filter lets through, once there is somewhere to hand it.
#[derive(Debug)]
pub(crate) struct Lines(&'static OnceLock<SdkLogger>);

impl Lines {
    /// To where the process exports.
    pub(crate) const fn new() -> Self {
        Self(&LOGGER)
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let Some(logger) = self.0.get() else {
            return;
        };
        let about = event.metadata();
        let severity = severity(*about.level());
        if !logger.event_enabled(severity, about.target(), None) {
            return;
        }
        let mut line = Line { record: logger.create_log_record(), target: None };
        event.record(&mut line);
        let Line { mut record, target } = line;
        let target = target.map_or_else(|| Cow::Borrowed(about.target()), Cow::Owned);
        let (by, _) = target.split_once("::").unwrap_or((&target, ""));
        if EXPORTERS.contains(&by) || by.starts_with("opentelemetry") {
            return;
        }
        if let Some(context) = super::current() {
            context.mark(&mut record);
        }
        record.set_timestamp(SystemTime::now());
        record.set_severity_number(severity);
        record.set_severity_text(about.level().as_str());
        record.set_target(target);
        logger.emit(record);
    }
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

/// A line being read.
struct Line {
    record: SdkLogRecord,
    /// Who logs, of a line that came from the `log` crate.
    target: Option<String>,
}

impl Line {
    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.record.set_body(text.into()),
            // Of a record of a topic, whose trace no request carries.
            "trace_id" => {
                if let Ok(trace) = TraceId::from_hex(&text) {
                    self.record.set_trace_context(trace, SpanId::INVALID, None);
                }
            }
            "log.target" => self.target = Some(text),
            name if name.starts_with("log.") => {}
            name => self.record.add_attribute(name, text),
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record.add_attribute(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record.add_attribute(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record.add_attribute(field.name(), value),
            Err(_) => self.record.add_attribute(field.name(), value.to_string()),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record.add_attribute(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::InstrumentationScope;
    use opentelemetry::logs::{AnyValue, LoggerProvider as _};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::logs::{LogProcessor, SdkLoggerProvider};
    use tracing::{error, info, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::trace;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SdkLogRecord>>>);

    impl LogProcessor for Kept {
        fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
            self.0.lock().unwrap().push(record.clone());
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }
    }

    /// What is handed on of the lines that this logs.
    fn handed_on(log: impl FnOnce()) -> Vec<SdkLogRecord> {
        let kept = Kept::default();
        let provider = SdkLoggerProvider::builder().with_log_processor(kept.clone()).build();
        let place: &'static OnceLock<SdkLogger> = Box::leak(Box::default());
        place.set(provider.logger("test")).unwrap();
        let subscriber = tracing_subscriber::registry().with(Lines(place));
        tracing::subscriber::with_default(subscriber, log);
        kept.0.lock().unwrap().clone()
    }

    fn trace_of(line: &SdkLogRecord) -> Option<String> {
        line.trace_context().map(|context| context.trace_id.to_string())
    }

    #[tokio::test]
    async fn a_line_has_its_words_its_fields_and_the_trace_of_its_request_or_record() {
        let request = trace::Context::parse(&format!("00-{TRACE}-b7ad6b7169203331-01")).unwrap();
        let other = "1af7651916cd43dd8448eb211c80319c";
        let lines = handed_on(|| {
            trace::CURRENT.sync_scope(request, || warn!(store = "A", events = 3_u64, "it waits"));
            error!(trace_id = other, "a record of it could not be read");
            info!("nobody asked");
        });
        let traces: Vec<_> = lines.iter().map(trace_of).collect();
        assert_eq!(traces, [Some(TRACE.to_owned()), Some(other.to_owned()), None]);
        let [waits, ..] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(waits.body(), Some(&AnyValue::from("it waits")));
        assert_eq!(waits.severity_number(), Some(Severity::Warn));
        assert_eq!(waits.target().map(|target| &**target), Some(module_path!()));
        let fields: Vec<_> =
            waits.attributes_iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        assert_eq!(fields, [("store", AnyValue::from("A")), ("events", AnyValue::from(3))]);
    }

    #[test]
    fn what_an_exporter_says_is_not_exported() {
        let lines = handed_on(|| {
            info!(target: "hyper_util::client::legacy::connect", "connecting");
            info!(target: "reqwest", "starting new connection");
            info!(target: "opentelemetry_sdk", "exported");
            // As the `log` crate's lines come.
            tracing::event!(target: "log", Level::INFO, { log.target = "reqwest::connect" }, "connecting");
            let _sending = opentelemetry::Context::enter_telemetry_suppressed_scope();
            warn!("telemetry cannot be exported");
        });
        assert!(lines.is_empty(), "{lines:?}");
    }
}
