//! Waiting between attempts: exponential, jittered, bounded, cancellable. The only user of `backoff`.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use tokio_util::sync::CancellationToken;

/// Pauses of a thread that tries something again until it works.
#[derive(Debug)]
pub struct Retry {
    pauses: ExponentialBackoff,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            pauses: ExponentialBackoff {
                initial_interval: Duration::from_millis(100),
                max_interval: Duration::from_secs(5),
                // For ever: a shop's line may be away for days.
                max_elapsed_time: None,
                ..ExponentialBackoff::default()
            },
        }
    }
}

impl Retry {
    /// Waits before the next attempt. `false` when cancelled meanwhile.
    pub fn pause(&mut self, cancel: &CancellationToken) -> bool {
        let mut left = self.pauses.next_backoff().unwrap_or(self.pauses.max_interval);
        while !left.is_zero() && !cancel.is_cancelled() {
            let step = left.min(Duration::from_millis(50));
            std::thread::sleep(step);
            left = left.saturating_sub(step);
        }
        !cancel.is_cancelled()
    }

    /// It worked: the next pause is short again.
    pub fn succeeded(&mut self) {
        self.pauses.reset();
    }
}
