//! How far long work is: a bar on a terminal, a log line now and then elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

const TELL_EVERY: Duration = Duration::from_secs(5);

/// The progress of one piece of work.
#[derive(Debug)]
pub(crate) struct Bar {
    what: &'static str,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Bar {
    /// Work that counts these.
    pub(crate) fn new(what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{elapsed_precise} {wide_bar} {human_pos}/{human_len} {msg}",
            );
            let bar = ProgressBar::new(0);
            bar.set_style(style.unwrap_or_else(|_invalid| ProgressStyle::default_bar()));
            bar
        });
        Self { what, bar, told: Instant::now() }
    }

    /// So many of so many, and what else there is to say.
    pub(crate) fn at(&mut self, done: u64, of: u64, more: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message(format!("{}, {more}", self.what));
        } else if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            info!(done, of, "{}, {more}", self.what);
        }
    }

    /// It is done, or was given up.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
