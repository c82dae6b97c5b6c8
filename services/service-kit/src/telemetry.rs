//! Logs: for people on a terminal, JSON lines elsewhere.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::util::TryInitError;

/// Put before every filter: what a request logs has its trace's id, whatever else is logged.
pub const ALWAYS: &str = "trace_of_request=error";

/// Starts logging to standard error with a filter such as `info` or `store_service=debug`.
///
/// # Errors
/// When logging was started before.
pub fn start(filter: EnvFilter) -> Result<(), TryInitError> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).finish().try_init()
    } else {
        builder.json().flatten_event(true).with_span_list(false).finish().try_init()
    }
}
