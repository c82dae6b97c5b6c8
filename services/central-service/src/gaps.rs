//! When a store is asked for its events again: a rule without clock or I/O.

use shared_events::Sequence;

/// Longest pause between two requests that did not help, in milliseconds.
const PAUSE_MS_MAX: u64 = 60_000;

/// Watches one store for events that are missing and do not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapWatch {
    grace_ms: u64,
    /// What is watched: everything up to here. It stays until all of it is there, since a store that
    /// goes on selling always has something on its way.
    head: Sequence,
    missing: u64,
    /// When something last arrived, or when the gap was first seen.
    progress_at_ms: u64,
    /// How long to wait from there.
    patience_ms: u64,
}

impl GapWatch {
    /// A watch that lets a gap live for `grace_ms`.
    #[must_use]
    pub const fn new(grace_ms: u64) -> Self {
        Self {
            grace_ms,
            head: Sequence::ZERO,
            missing: 0,
            progress_at_ms: 0,
            patience_ms: grace_ms,
        }
    }

    /// Forgets the gap: what is asked about from now on is another life of the journal.
    pub const fn forget(&mut self) {
        *self = Self::new(self.grace_ms);
    }

    /// Takes the head a store reports at a moment and how many events are missing up to a sequence;
    /// `true` when the store should be asked now.
    ///
    /// As long as events arrive nothing is asked: a backlog is no gap. A request that does not help
    /// is repeated after twice the pause.
    pub fn should_ask(
        &mut self,
        now_ms: u64,
        head: Sequence,
        missing_through: impl Fn(Sequence) -> u64,
    ) -> bool {
        let missing = missing_through(self.head);
        if missing == 0 || missing < self.missing {
            if missing == 0 {
                self.head = head;
            }
            self.missing = missing_through(self.head);
            self.progress_at_ms = now_ms;
            self.patience_ms = self.grace_ms;
            return false;
        }
        self.missing = missing;
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

    const HEAD: Sequence = Sequence::new(10);

    fn asked(watch: &mut GapWatch, now_ms: u64, head: u64, applied: &[u64]) -> bool {
        watch.should_ask(now_ms, Sequence::new(head), |through| {
            (1..=through.get()).filter(|sequence| !applied.contains(sequence)).count() as u64
        })
    }

    #[test]
    fn a_gap_is_asked_for_once_its_grace_is_over() {
        let mut watch = GapWatch::new(100);
        assert!(!watch.should_ask(0, HEAD, |_| 3));
        assert!(!watch.should_ask(99, HEAD, |_| 3));
        assert!(watch.should_ask(100, HEAD, |_| 3));
    }

    #[test]
    fn a_backlog_that_moves_is_no_gap() {
        let mut watch = GapWatch::new(100);
        for step in 0..50 {
            assert!(!watch.should_ask(step * 99, HEAD, |_| 1_000 - step));
        }
    }

    #[test]
    fn a_gap_is_found_although_the_store_goes_on_selling() {
        let mut watch = GapWatch::new(100);
        // Event 3 is lost; each report is three events ahead of what has arrived.
        let mut applied = vec![1, 2];
        let mut first_asked = None;
        for step in 0..20 {
            let arrived = 4 + step;
            applied.push(arrived);
            if asked(&mut watch, step * 20, arrived + 3, &applied) {
                first_asked.get_or_insert(step * 20);
            }
        }
        assert!(first_asked.is_some_and(|at_ms| at_ms <= 200), "{first_asked:?}");
    }

    #[test]
    fn a_request_that_does_not_help_is_repeated_ever_more_slowly() {
        let mut watch = GapWatch::new(100);
        let asked: Vec<u64> =
            (0..2_000).filter(|now| watch.should_ask(*now, HEAD, |_| 3)).collect();
        assert_eq!(asked, [100, 300, 700, 1_500]);
    }

    #[test]
    fn a_healed_gap_is_forgotten() {
        let mut watch = GapWatch::new(100);
        assert!(!watch.should_ask(0, HEAD, |_| 3));
        assert!(!watch.should_ask(50, HEAD, |_| 0));
        assert!(!watch.should_ask(120, HEAD, |_| 1));
        assert!(watch.should_ask(220, HEAD, |_| 1));
    }
}
