//! Sending spans and log lines to a collector: OTLP over HTTP, told by the standard `OTEL_*` variables,
//! off without them. Metrics are fetched from `/metrics`, by a collector too.
//!
//! Threads of their own send batches; whoever ends a span or logs a line puts it into a bounded queue, or
//! drops it when that is full. So a collector that is slow or away costs telemetry and nothing else.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::logs::LoggerProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, Value};
use opentelemetry_otlp::{Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use tracing::{info, warn};

use super::lines::LOGGER;
use super::names::attribute;
use super::outgoing::{Failing, Outgoing, Signal};
use super::span::TRACER;
use super::watched::Watched;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];
/// Both ask for metrics to be sent, which is not done.
const METRICS: [&str; 2] = ["OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"];
const HTTP_PROTOBUF: &str = "http/protobuf";
/// What a queue holds unless its variable says otherwise; as the SDK has it.
const QUEUE: usize = 2_048;

/// How long a process that stops goes on sending what it has.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// Variables of a signal.
struct Variables {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    queue: &'static str,
}

const TRACES: Variables = Variables {
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    queue: "OTEL_BSP_MAX_QUEUE_SIZE",
};
const LOGS: Variables = Variables {
    exporter: "OTEL_LOGS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
    queue: "OTEL_BLRP_MAX_QUEUE_SIZE",
};

/// Which service a process is.
#[derive(Debug, Clone)]
pub struct Service {
    /// One of [`super::names::service`]; `OTEL_SERVICE_NAME` goes before it.
    pub name: &'static str,
    /// Which of them: an attribute's name, and the store's or centre's id.
    pub id: Option<(&'static str, String)>,
    /// The program's version.
    pub version: &'static str,
}

/// Why nothing is exported although it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another protocol than the one that is spoken here.
    #[error("{variable}={protocol}: only {HTTP_PROTOBUF} is spoken here")]
    Protocol {
        /// The variable that names it.
        variable: &'static str,
        /// What it says.
        protocol: String,
    },
    /// The address makes no sense, or no client could be made.
    #[error(transparent)]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// This process exports already.
    #[error("this process exports already")]
    Twice,
}

/// Spans, log lines or both are being exported; [`Self::stop`] sends the last of them.
#[derive(Debug)]
pub struct Exporting {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

/// Starts exporting what the environment names a collector for; `None` when it names none. The sampler,
/// its argument, batches, headers, timeouts and resource attributes come from their own `OTEL_*`
/// variables.
///
/// # Errors
/// [`Error`]; nothing is exported then.
pub fn start(
    service: &Service,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Exporting>, Error> {
    let told = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    if told("OTEL_SDK_DISABLED").is_some_and(|told| told.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let failing = Arc::default();
    let traces = outgoing(Signal::Traces, &TRACES, &told, &failing)?;
    let logs = outgoing(Signal::Logs, &LOGS, &told, &failing)?;
    if METRICS
        .iter()
        .filter_map(|name| told(name))
        .any(|value| value != "none" && value != "prometheus")
    {
        info!("metrics are not sent; have the collector fetch them from /metrics");
    }
    if traces.is_none() && logs.is_none() {
        return Ok(None);
    }
    if let Some(doubt) = sampler_doubt(&told) {
        warn!("{doubt}: all traces are sampled");
    }
    let resource = resource(service);
    let traces = traces.map(|to| tracer(to, &resource)).transpose()?;
    let logs = logs.map(|to| logger(to, &resource)).transpose()?;
    if let Some(traces) = &traces {
        TRACER.set(traces.tracer("onhand")).map_err(|_set| Error::Twice)?;
    }
    if let Some(logs) = &logs {
        LOGGER.set(logs.logger("onhand")).map_err(|_set| Error::Twice)?;
    }
    Ok(Some(Exporting { traces, logs }))
}

/// Where a signal goes, and a queue for it; nothing when no collector is named for it.
fn outgoing(
    signal: Signal,
    variables: &Variables,
    told: &impl Fn(&str) -> Option<String>,
    failing: &Arc<Failing>,
) -> Result<Option<(String, Arc<Outgoing>)>, Error> {
    if told(variables.exporter).is_some_and(|told| told.eq_ignore_ascii_case("none")) {
        return Ok(None);
    }
    let name = signal.name();
    let below = |base: String| format!("{}/v1/{name}", base.trim_end_matches('/'));
    let Some(endpoint) = told(variables.endpoint).or_else(|| told(ENDPOINT).map(below)) else {
        return Ok(None);
    };
    let spoken = [variables.protocol, PROTOCOL]
        .into_iter()
        .find_map(|variable| Some((variable, told(variable)?)));
    if let Some((variable, protocol)) = spoken.filter(|(_, protocol)| protocol != HTTP_PROTOBUF) {
        return Err(Error::Protocol { variable, protocol });
    }
    let room = told(variables.queue).and_then(|room| room.parse().ok()).unwrap_or(QUEUE);
    let shown = without_credentials(&endpoint);
    info!(signal = name, endpoint = shown, "telemetry goes to a collector");
    let outgoing = Outgoing::new(signal, shown, room, Arc::clone(failing));
    Ok(Some((endpoint, Arc::new(outgoing))))
}

fn tracer(
    (endpoint, outgoing): (String, Arc<Outgoing>),
    resource: &Resource,
) -> Result<SdkTracerProvider, Error> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .build()?;
    let exporter = Watched { inner: exporter, outgoing: Arc::clone(&outgoing) };
    let queue = BatchSpanProcessor::builder(exporter).build();
    let bounded = Watched { inner: queue, outgoing };
    let provider = SdkTracerProvider::builder().with_span_processor(bounded);
    Ok(provider.with_resource(resource.clone()).build())
}

fn logger(
    (endpoint, outgoing): (String, Arc<Outgoing>),
    resource: &Resource,
) -> Result<SdkLoggerProvider, Error> {
    let exporter = opentelemetry_otlp::LogExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .build()?;
    let exporter = Watched { inner: exporter, outgoing: Arc::clone(&outgoing) };
    let queue = BatchLogProcessor::builder(exporter).build();
    let bounded = Watched { inner: queue, outgoing };
    let provider = SdkLoggerProvider::builder().with_log_processor(bounded);
    Ok(provider.with_resource(resource.clone()).build())
}

impl Exporting {
    /// Sends what is left, for a second at most. Not for an asynchronous task: it blocks.
    pub fn stop(self) {
        let Self { traces, logs } = self;
        let ended = std::thread::scope(|both| {
            let traces = both.spawn(|| traces.map(|to| to.shutdown_with_timeout(FLUSH_WITHIN)));
            let logs = logs.map(|to| to.shutdown_with_timeout(FLUSH_WITHIN));
            [traces.join().unwrap_or_default(), logs]
        });
        for error in ended.into_iter().flatten().filter_map(Result::err) {
            warn!(%error, "not all telemetry was exported before the end");
        }
    }
}

/// An address as it may be logged.
fn without_credentials(endpoint: &str) -> String {
    let Some((scheme, rest)) = endpoint.split_once("://") else {
        return endpoint.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// What is wrong with the sampler's variables: the SDK says nothing and samples all.
fn sampler_doubt(told: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let sampler = told(SAMPLER)?;
    if !SAMPLERS.contains(&sampler.as_str()) {
        return Some(format!("{SAMPLER}={sampler} is not one of {}", SAMPLERS.join(", ")));
    }
    let ratio = told(SAMPLER_ARG).unwrap_or_default();
    let is_ratio = ratio.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio));
    let doubtful = sampler.ends_with("ratio") && !is_ratio;
    doubtful.then(|| format!("{SAMPLER_ARG}={ratio} is not a number from 0 to 1"))
}

/// What all spans and lines of the process say. The environment goes before what is known here.
fn resource(service: &Service) -> Resource {
    let detected = Resource::builder().build();
    let mut attributes = vec![
        KeyValue::new("service.name", service.name),
        KeyValue::new(attribute::VERSION, service.version),
    ];
    if let Some((name, id)) = &service.id {
        attributes.push(KeyValue::new(*name, id.clone()));
        attributes.push(KeyValue::new(attribute::INSTANCE, id.clone()));
    }
    // The SDK makes a name up when it is told none.
    let told = |value: &Value| !value.as_str().starts_with("unknown_service");
    attributes.retain(|one| !detected.get(&one.key).as_ref().is_some_and(told));
    Resource::builder().with_attributes(attributes).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Service = Service { name: "test", id: None, version: "1" };

    fn started(environment: &[(&str, &str)]) -> Result<Option<Exporting>, Error> {
        let find = |name: &str| environment.iter().find(|(known, _)| *known == name);
        start(&SERVICE, |name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_named() {
        assert!(started(&[]).unwrap().is_none());
        assert!(started(&[(ENDPOINT, " ")]).unwrap().is_none());
        let named = (ENDPOINT, "http://127.0.0.1:4318");
        assert!(started(&[named, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
        let neither = [named, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")];
        assert!(started(&neither).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let named = (ENDPOINT, "http://127.0.0.1:4317");
        let grpc = started(&[named, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
        let said = "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: only http/protobuf is spoken here";
        assert_eq!(grpc.to_string(), said);
        assert!(matches!(started(&[(ENDPOINT, "not a url")]), Err(Error::Exporter(_))));
        assert!(!crate::trace::is_exported());
    }

    #[test]
    fn credentials_are_not_logged() {
        let shown = without_credentials("http://user:secret@host:4318/v1/traces");
        assert_eq!(shown, "http://host:4318/v1/traces");
        assert_eq!(without_credentials("http://host:4318/a@b"), "http://host:4318/a@b");
    }

    #[test]
    fn a_sampler_that_the_sdk_would_pass_over_is_doubted() {
        let doubt = |sampler: &'static str, argument: &'static str| {
            sampler_doubt(&|name: &str| {
                Some(if name == SAMPLER { sampler } else { argument }.to_owned())
            })
        };
        assert_eq!(doubt("parentbased_traceidratio", "0.1"), None);
        assert_eq!(doubt("always_off", ""), None);
        assert!(doubt("parentbased_traceidratio", "10%").is_some());
        assert!(doubt("sometimes", "0.1").is_some());
    }
}
