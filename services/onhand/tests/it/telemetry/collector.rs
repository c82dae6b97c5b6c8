//! The real collector, and what it printed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use test_support::otlp::Span;

use super::{CANNOT_BE_HAD, script};
use crate::process::free_port;

/// A running collector, stopped when dropped.
pub(super) struct Collector {
    pub(super) endpoint: String,
    folder: PathBuf,
    port: u16,
}

impl Collector {
    /// Starts it; `None`, and a word why, where it is not built and cannot be.
    pub(super) fn start(folder: &Path) -> Option<Self> {
        Self::fetching(folder, &[])
    }

    /// The same, for one that also fetches metrics from these services.
    pub(super) fn fetching(folder: &Path, services: &[&str]) -> Option<Self> {
        let port = free_port();
        let mut started = script("collector");
        started.args(["start", "--port", &port.to_string(), "--dir"]).arg(folder);
        for service in services {
            started.args(["--scrape", service.trim_start_matches("http://")]);
        }
        let started = started.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&started.stderr);
        if started.status.code() == Some(CANNOT_BE_HAD) {
            eprintln!("not tested against the real collector: {said}");
            return None;
        }
        assert!(started.status.success(), "scripts/collector start: {said}");
        let endpoint = String::from_utf8(started.stdout).unwrap().trim().to_owned();
        Some(Self { endpoint, folder: folder.to_owned(), port })
    }

    /// All that it printed.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("collector.log")).unwrap()
    }

    /// The spans that it printed.
    pub(super) fn spans(&self) -> Vec<Span> {
        spans(&self.log())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let mut stopped = script("collector");
        stopped.args(["stop", "--port", &self.port.to_string(), "--dir"]).arg(&self.folder);
        stopped.stdin(Stdio::null()).output().unwrap();
    }
}

/// Reads what the debug exporter prints; attributes of spans are left out.
fn spans(log: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut service = String::new();
    for line in log.lines() {
        if let Some(name) = line.trim_start().strip_prefix("-> service.name: Str(") {
            service = name.trim_end_matches(')').to_owned();
        } else if line.starts_with("Span #") {
            spans.push(Span { service: service.clone(), ..Span::default() });
        }
        let (Some(span), Some((field, value))) =
            (spans.last_mut(), line.strip_prefix("    ").and_then(|line| line.split_once(" : ")))
        else {
            continue;
        };
        let value = value.trim().to_owned();
        match field.trim_end() {
            "Trace ID" => span.trace_id = value,
            "Parent ID" => span.parent_id = value,
            "ID" => span.span_id = value,
            "Name" => span.name = value,
            "Kind" => span.kind = value,
            _ => {}
        }
    }
    // The last may still be being printed.
    spans.retain(|span| !span.kind.is_empty());
    spans
}
