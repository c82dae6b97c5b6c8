//! Sending spans to a collector: OTLP over HTTP, told by the standard `OTEL_*` variables, off without
//! them.
//!
//! A thread of its own sends batches; whoever ends a span puts it into a bounded queue, or drops it when
//! that is full. So a collector that is slow or away costs traces and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::{info, warn};

use super::names::attribute;
use super::span::TRACER;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
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
const HTTP_PROTOBUF: &str = "http/protobuf";

/// How long a process that stops goes on sending what it has.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

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
    #[error("this process exports its traces already")]
    Twice,
}

/// Spans are being exported; [`Self::stop`] sends the last of them.
#[derive(Debug)]
pub struct Exporting(SdkTracerProvider);

/// Starts exporting when the environment names a collector; `None` when it does not. The sampler, its
/// argument, batches, headers, timeouts and resource attributes come from their own `OTEL_*` variables.
///
/// # Errors
/// [`Error`]; nothing is exported then.
pub fn start(
    service: &Service,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Exporting>, Error> {
    let told = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    let is =
        |name: &str, value: &str| told(name).is_some_and(|told| told.eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    let below = |base: String| format!("{}/v1/traces", base.trim_end_matches('/'));
    let Some(endpoint) = told(TRACES_ENDPOINT).or_else(|| told(ENDPOINT).map(below)) else {
        return Ok(None);
    };
    let spoken = PROTOCOLS.iter().find_map(|variable| Some((*variable, told(variable)?)));
    if let Some((variable, protocol)) = spoken.filter(|(_, protocol)| protocol != HTTP_PROTOBUF) {
        return Err(Error::Protocol { variable, protocol });
    }
    if let Some(doubt) = sampler_doubt(&told) {
        warn!("{doubt}: all traces are sampled");
    }
    let exporter = Otlp::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&endpoint)
        .build()?;
    let exporter = Reporting {
        exporter,
        endpoint: without_credentials(&endpoint),
        failing: AtomicBool::new(false),
    };
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource(service))
        .build();
    TRACER.set(provider.tracer("onhand")).map_err(|_set| Error::Twice)?;
    info!(endpoint = without_credentials(&endpoint), "traces go to a collector");
    Ok(Some(Exporting(provider)))
}

impl Exporting {
    /// Sends what is left, for a second at most. Not for an asynchronous task: it blocks.
    pub fn stop(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH_WITHIN) {
            warn!(%error, "not all traces were exported before the end");
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

/// What all spans of the process say. The environment goes before what is known here.
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

/// Says once that exporting fails, and once that it works again.
#[derive(Debug)]
struct Reporting {
    exporter: Otlp,
    endpoint: String,
    failing: AtomicBool,
}

impl SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        let was_failing = self.failing.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Err(error) if !was_failing => {
                let endpoint = &self.endpoint;
                warn!(%error, endpoint, "traces cannot be exported and are lost until they can; nothing else is affected");
            }
            Ok(()) if was_failing => info!(endpoint = self.endpoint, "traces are exported again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
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
        assert!(started(&[named, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
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
