//! Which trace a piece of work belongs to, and the spans that are exported of it.
//!
//! A [`Context`] is where a piece of work stands: it comes with a request or a record, and goes on with
//! what that leads to. A [`Span`] is what is told of it, if anything: spans exist only while
//! [`export`] has somewhere to send them, and, for anything but a request, only for traces that are
//! sampled. Everything else sees nothing and allocates nothing. Log lines go to the same collector
//! (`lines`). All names are in [`names`].

mod context;
pub mod export;
pub(crate) mod lines;
pub mod names;
pub(crate) mod outgoing;
mod span;
mod watched;

use std::future::Future;
use std::time::Duration;

use tokio::task_local;

use crate::clock;

pub use context::{Context, id};
pub use span::{Span, commit, is_exported, process, send, server};

task_local! {
    /// Where the request that this task serves stands.
    static CURRENT: Context;
}

/// Where the request that is being served stands: its own span, or its caller's where none is recorded.
#[must_use]
pub fn current() -> Option<Context> {
    CURRENT.try_with(|context| *context).ok()
}

/// The same as a W3C `traceparent`, for what the request leads to.
#[must_use]
pub fn traceparent() -> Option<String> {
    current().map(|context| context.to_string())
}

/// What happened longer ago is not told of any more: whoever keeps traces has closed it by then, and a
/// journal that is published again, or a topic that is read again, holds years of them.
const TOLD_FOR: Duration = Duration::from_secs(3_600);

/// The trace of something that happened at this time, in milliseconds since the epoch, unless that is too
/// long ago.
#[must_use]
pub fn recent(traceparent: Option<&str>, happened_at: i64) -> Option<Context> {
    let since = |now: i64| u64::try_from(now.saturating_sub(happened_at)).unwrap_or_default();
    let recent = || Duration::from_millis(since(clock::unix_millis())) < TOLD_FOR;
    traceparent.filter(|_| is_exported() && recent()).and_then(Context::parse)
}

/// Serves a request as part of a trace: [`current`] tells where it stands, and each line that is logged
/// meanwhile has the trace's id.
pub(crate) async fn within<T>(context: Context, work: impl Future<Output = T>) -> T {
    CURRENT.scope(context, work).await
}

/// The same for a part of it that goes on in another thread.
pub fn carrying<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let context = current();
    move || match context {
        Some(context) => CURRENT.sync_scope(context, work),
        None => work(),
    }
}
