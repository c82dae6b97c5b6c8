//! When a store is asked for its events again: a rule without clock or I/O.

/// Longest pause between two requests that did not help, in milliseconds.
const PAUSE_MS_MAX: u64 = 60_000;

/// Watches one store for events that are missing and do not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapWatch {
    grace_ms: u64,
    missing: u64,
    applied_through: u64,
    /// When something last arrived, or when the gap was first seen.
    progress_at_ms: u64,
    /// How long to wait from there.
    patience_ms: u64,
}

impl GapWatch {
    /// A watch that lets a gap live for `grace_ms`.
    #[must_use]
    pub const fn new(grace_ms: u64) -> Self {
        Self { grace_ms, missing: 0, applied_through: 0, progress_at_ms: 0, patience_ms: grace_ms }
    }

    /// Takes what is known at a moment; `true` when the store should be asked now.
    ///
    /// As long as events arrive nothing is asked: a backlog is no gap. A request that does not help
    /// is repeated after twice the pause.
    pub fn should_ask(&mut self, now_ms: u64, missing: u64, applied_through: u64) -> bool {
        let arrived = self.applied_through != applied_through || missing < self.missing;
        let first_seen = self.missing == 0;
        (self.missing, self.applied_through) = (missing, applied_through);
        if missing == 0 || arrived || first_seen {
            self.progress_at_ms = now_ms;
            self.patience_ms = self.grace_ms;
            return false;
        }
        if now_ms.saturating_sub(self.progress_at_ms) < self.patience_ms {
            return false;
        }
        self.progress_at_ms = now_ms;
        self.patience_ms = self.patience_ms.saturating_mul(2).min(PAUSE_MS_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_asked_for_once_its_grace_is_over() {
        let mut watch = GapWatch::new(100);
        assert!(!watch.should_ask(0, 3, 7));
        assert!(!watch.should_ask(99, 3, 7));
        assert!(watch.should_ask(100, 3, 7));
    }

    #[test]
    fn a_backlog_that_moves_is_no_gap() {
        let mut watch = GapWatch::new(100);
        for step in 0..50 {
            assert!(!watch.should_ask(step * 99, 1_000 - step, 7 + step));
        }
    }

    #[test]
    fn a_request_that_does_not_help_is_repeated_ever_more_slowly() {
        let mut watch = GapWatch::new(100);
        let asked: Vec<u64> = (0..2_000).filter(|now| watch.should_ask(*now, 3, 7)).collect();
        assert_eq!(asked, [100, 300, 700, 1_500]);
    }

    #[test]
    fn a_healed_gap_is_forgotten() {
        let mut watch = GapWatch::new(100);
        assert!(!watch.should_ask(0, 3, 7));
        assert!(!watch.should_ask(50, 0, 10));
        assert!(!watch.should_ask(120, 1, 10));
        assert!(watch.should_ask(220, 1, 10));
    }
}
