//! How often a thread does something at the most.

use std::time::{Duration, Instant};

/// Keeps begins apart: what comes alone is begun at once, and what comes faster gathers meanwhile.
#[derive(Debug)]
pub struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    /// One begin in so much time.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self { every, next: Instant::now() }
    }

    /// Waits until the next begin may be.
    pub fn wait(&self) {
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
    }

    /// It begins now.
    pub fn begin(&mut self) {
        self.next = Instant::now() + self.every;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_begins_at_once_and_the_next_when_its_time_has_come() {
        let mut pace = Pace::new(Duration::from_secs(3_600));
        pace.wait();
        pace.begin();
        assert!(pace.next > Instant::now() + Duration::from_secs(3_000));
        let mut pace = Pace::new(Duration::from_millis(5));
        let begun = Instant::now();
        for _ in 0..3 {
            pace.wait();
            pace.begin();
        }
        assert!(begun.elapsed() >= Duration::from_millis(10));
    }
}
