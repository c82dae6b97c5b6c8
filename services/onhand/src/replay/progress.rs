//! How far it is: a bar on a terminal, a log line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

const REDRAW_EVERY: Duration = Duration::from_millis(150);
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Lines between two looks at what others are doing.
const LINES_PER_LOOK: u64 = 256;

/// Counts of a pass over the file.
#[derive(Debug)]
pub(super) struct Progress {
    bytes_total: u64,
    bytes: AtomicU64,
    settled: AtomicU64,
}

impl Progress {
    pub(super) const fn new(bytes_total: u64) -> Self {
        Self { bytes_total, bytes: AtomicU64::new(0), settled: AtomicU64::new(0) }
    }

    /// A line was read. `true` now and then, when it is time to look whether to stop.
    pub(super) fn read(&self, line: u64, bytes: u64) -> bool {
        let look = line.is_multiple_of(LINES_PER_LOOK);
        if look {
            self.bytes.store(bytes, Ordering::Relaxed);
        }
        look
    }

    /// Lines have their final answer.
    pub(super) fn settle(&self, lines: usize) {
        self.settled.fetch_add(u64::try_from(lines).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn percent(&self) -> u64 {
        let bytes = self.bytes.load(Ordering::Relaxed);
        bytes.saturating_mul(100).checked_div(self.bytes_total).unwrap_or(100).min(100)
    }
}

/// Shows progress until the guard is dropped.
pub(super) fn show(progress: &Arc<Progress>, what: &'static str) -> DropGuard {
    let done = CancellationToken::new();
    let (progress, ended) = (Arc::clone(progress), done.clone());
    if std::io::stderr().is_terminal() {
        tokio::spawn(draw(progress, what, ended));
    } else {
        tokio::spawn(tell(progress, what, ended));
    }
    done.drop_guard()
}

async fn draw(progress: Arc<Progress>, what: &'static str, ended: CancellationToken) {
    let bar = ProgressBar::new(progress.bytes_total);
    // Bytes know how long it takes, lines are what people count.
    if let Ok(style) =
        ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3} %  {msg}  {eta} left")
    {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    let started = Instant::now();
    while ended.run_until_cancelled(tokio::time::sleep(REDRAW_EVERY)).await.is_some() {
        bar.set_position(progress.bytes.load(Ordering::Relaxed));
        let settled = progress.settled.load(Ordering::Relaxed);
        if settled > 0 {
            let rate = per_second(settled, started.elapsed());
            bar.set_message(format!("{} lines, {}/s", HumanCount(settled), HumanCount(rate)));
        }
    }
    bar.finish_and_clear();
}

async fn tell(progress: Arc<Progress>, what: &'static str, ended: CancellationToken) {
    let started = Instant::now();
    while ended.run_until_cancelled(tokio::time::sleep(TELL_EVERY)).await.is_some() {
        let lines = progress.settled.load(Ordering::Relaxed);
        let lines_per_second = per_second(lines, started.elapsed());
        info!(lines, lines_per_second, percent = progress.percent(), "{what}");
    }
}

/// A rate in whole units.
pub(super) fn per_second(count: u64, time: Duration) -> u64 {
    let millis = time.as_millis().max(1);
    u64::try_from(u128::from(count).saturating_mul(1_000) / millis).unwrap_or(u64::MAX)
}
