//! `/livez` and `/readyz`: what an orchestrator and a person ask first.

use std::borrow::Cow;
use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

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
    pub name: Cow<'static, str>,
    /// How it is doing.
    pub condition: Condition,
}

/// Query of `/readyz`.
#[derive(Debug, Clone, Deserialize)]
pub struct ReadyQuery {
    verbose: Option<String>,
}

impl Check {
    /// A part and its condition.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, condition: Condition) -> Self {
        Self { name: name.into(), condition }
    }

    /// Whether the service cannot do its job for this.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        matches!(self.condition, Condition::Failed(_))
    }
}

impl ReadyQuery {
    /// Whether a line for each part is wanted.
    #[must_use]
    pub const fn is_verbose(&self) -> bool {
        self.verbose.is_some()
    }
}

/// Answers `/readyz`: 503 when a check failed, else 200; with `?verbose`, a line for each check.
#[must_use]
pub fn readiness(checks: &[Check], query: &ReadyQuery) -> Response {
    telling(checks, |_| query.is_verbose())
}

/// The same with a line for each check that is to be told.
pub fn telling(checks: &[Check], told: impl Fn(&Check) -> bool) -> Response {
    let failed = checks.iter().any(Check::has_failed);
    let degraded = checks.iter().any(|check| matches!(check.condition, Condition::Degraded(_)));
    let mut text = String::new();
    for Check { name, condition } in checks.iter().filter(|check| told(check)) {
        let line = match condition {
            Condition::Ok => format!("[+] {name} ok"),
            Condition::Degraded(detail) => format!("[~] {name} degraded: {detail}"),
            Condition::Failed(detail) => format!("[-] {name} failed: {detail}"),
        };
        // Writing to a String cannot fail.
        writeln!(text, "{line}").unwrap_or_default();
    }
    let (status, verdict) = match (failed, degraded) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        (false, true) => (StatusCode::OK, "ready, degraded"),
        (false, false) => (StatusCode::OK, "ready"),
    };
    (status, format!("{text}{verdict}\n")).into_response()
}
