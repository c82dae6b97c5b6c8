//! `/metrics`, and what every service counts alike.
//!
//! Who asks for `OpenMetrics` gets that, as Prometheus does; everybody else gets the older text format,
//! which more tools read.

use std::fmt::Write as _;
use std::path::PathBuf;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::problem::{ErrorCode, Problem};
use crate::server::Counts;
use crate::sqlite;
use crate::trace::outgoing;
use crate::watched::Requests;

/// Buckets for durations from a page-cache write to a bad day, in seconds.
pub const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Label of a database's files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabel {
    /// `main` or `wal`.
    file: &'static str,
}

/// Label of the build.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabel {
    version: &'static str,
}

/// What every service counts alike; no service's name is in the names, so that one query asks all.
#[derive(Debug)]
pub struct Common {
    registry: Registry,
    /// Requests served.
    pub requests: Requests,
    /// What the server refuses and closes.
    pub server: Counts,
    /// Messages that wait for the thread that writes.
    pub mailbox: Gauge,
    database: Option<PathBuf>,
    database_bytes: Family<FileLabel, Gauge>,
}

impl Common {
    /// Registers everything, for a build of this version with this database, where it has one.
    #[must_use]
    pub fn new(version: &'static str, database: impl Into<Option<PathBuf>>) -> Self {
        let database = database.into();
        let mut registry = Registry::with_prefix("onhand");
        let (requests, mailbox) = (Requests::default(), Gauge::default());
        let server = Counts::default();
        let (build, database_bytes) = (Family::<BuildLabel, Gauge>::default(), Family::default());
        build.get_or_create(&BuildLabel { version }).set(1);
        requests.register(&mut registry);
        outgoing::register(&mut registry);
        server.register(&mut registry);
        registry.register("build_info", "1 for the version that runs", build);
        registry.register(
            "mailbox_messages",
            "Messages that wait for the thread that writes the database",
            mailbox.clone(),
        );
        registry.register_with_unit(
            "database",
            "Size of the database's files",
            Unit::Bytes,
            database_bytes.clone(),
        );
        Self { registry, requests, server, mailbox, database, database_bytes }
    }

    /// Renders this and a service's own registry in the format asked for, with the size that its database
    /// has now.
    #[must_use]
    pub fn render(&self, own: &Registry, asked: &HeaderMap) -> Response {
        let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        for (file, bytes) in self.database.iter().flat_map(|path| sqlite::sizes(path)) {
            self.database_bytes.get_or_create(&FileLabel { file }).set(size(bytes));
        }
        let mut text = String::new();
        let encoded = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, own))
            .and_then(|()| encode_eof(&mut text));
        match encoded {
            Ok(()) if wants_open_metrics(asked) => {
                ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
            }
            Ok(()) => ([(header::CONTENT_TYPE, CLASSIC)], classic(&text)).into_response(),
            Err(error) => Problem::new(ErrorCode::Internal, error.to_string()).into_response(),
        }
    }
}

fn wants_open_metrics(asked: &HeaderMap) -> bool {
    let mut accepted = asked.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("application/openmetrics-text"))
}

/// `OpenMetrics` as the older format, which has no units, knows counters by their whole names, and ends
/// where it ends.
fn classic(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            help = Some(told);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|told| told.split_once(' '))
        {
            let whole = if kind == "counter" { "_total" } else { "" };
            let help = help.take().and_then(|told| told.strip_prefix(name)).unwrap_or_default();
            // Writing to a String cannot fail.
            writeln!(classic, "# HELP {name}{whole}{help}\n# TYPE {name}{whole} {kind}")
                .unwrap_or_default();
        } else if !line.starts_with('#') {
            classic.push_str(line);
            classic.push('\n');
        }
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_counters_wholly_and_has_no_units() {
        let open = "# HELP a_b Bs.\n# TYPE a_b counter\na_b_total{x=\"1\"} 2\n\
                    # HELP a_seconds Time.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n\
                    a_seconds 3\n# EOF\n";
        let older = "# HELP a_b_total Bs.\n# TYPE a_b_total counter\na_b_total{x=\"1\"} 2\n\
                     # HELP a_seconds Time.\n# TYPE a_seconds gauge\na_seconds 3\n";
        assert_eq!(classic(open), older);
    }
}
