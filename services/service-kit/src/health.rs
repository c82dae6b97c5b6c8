//! `/livez` and `/readyz`: what an orchestrator and a person ask first.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::fmt::Write as _;

/// How one part of a service is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Fine.
    Ok,
    /// Not fine, but the service does its job; with what an operator should know.
    Degraded(String),
    /// The service cannot do its job; with what an operator should know.
    Failed(String),
}

/// One named part and its condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Short name.
    pub name: &'static str,
    /// How it is doing.
    pub condition: Condition,
}

/// Query of `/readyz`.
#[derive(Debug, Clone, Deserialize)]
pub struct ReadyQuery {
    verbose: Option<String>,
}

/// Answers `/readyz`: 503 when a check failed, else 200; with `?verbose`, a line for each check.
#[must_use]
pub fn readiness(checks: &[Check], query: &ReadyQuery) -> Response {
    let failed = checks.iter().any(|check| matches!(check.condition, Condition::Failed(_)));
    let degraded = checks.iter().any(|check| matches!(check.condition, Condition::Degraded(_)));
    let mut text = String::new();
    if query.verbose.is_some() {
        for Check { name, condition } in checks {
            let line = match condition {
                Condition::Ok => format!("[+] {name} ok"),
                Condition::Degraded(detail) => format!("[~] {name} degraded: {detail}"),
                Condition::Failed(detail) => format!("[-] {name} failed: {detail}"),
            };
            // Writing to a String cannot fail.
            writeln!(text, "{line}").unwrap_or_default();
        }
    }
    let (status, verdict) = match (failed, degraded) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        (false, true) => (StatusCode::OK, "ready, degraded"),
        (false, false) => (StatusCode::OK, "ready"),
    };
    (status, format!("{text}{verdict}\n")).into_response()
}
