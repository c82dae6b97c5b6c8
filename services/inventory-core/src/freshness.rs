//! What the centre may claim about a store's numbers, and since when.
//!
//! Judged by what the observer itself saw arrive, on its own steady clock. No clock of a store or a
//! broker is asked, so none can make a number look fresher than it is.

use crate::availability::StalenessBuffer;

/// How far a store's numbers can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// No heartbeat seen since this centre started, or none that could be compared yet: it does not know.
    Unknown,
    /// Alive, everything it reported is applied, and that gives the digest it reported.
    Fresh,
    /// Alive, but its numbers here are known not to be its own: its journal went back behind what it
    /// once reported, or what was applied does not give the digest it reported.
    Diverged,
    /// Alive, and this many events behind.
    Lagging {
        /// Events reported by the store and not applied here.
        events: u64,
    },
    /// No heartbeat for a while; numbers may be old.
    Stale,
    /// Out of contact: not sold online.
    Dark,
    /// An operator has said that it does not sell online.
    SwitchedOff,
}

/// When silence becomes `Stale`, and when `Dark`; and what a stale store keeps back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshnessBounds {
    /// Milliseconds without a heartbeat.
    pub stale_after_ms: u64,
    /// Milliseconds without a heartbeat.
    pub dark_after_ms: u64,
    /// Units of each item that a stale store keeps back.
    pub buffer: StalenessBuffer,
}

impl Default for FreshnessBounds {
    fn default() -> Self {
        Self { stale_after_ms: 5_000, dark_after_ms: 60_000, buffer: StalenessBuffer::default() }
    }
}

/// What an observer has seen of a store. All moments are milliseconds since the observer started, by
/// its own steady clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Observed {
    /// Now.
    pub now_ms: u64,
    /// When the last live heartbeat arrived; `None` when none did.
    pub heard_ms: Option<u64>,
    /// Since when what follows says what it says.
    pub changed_ms: u64,
    /// Events the store reported that are not applied.
    pub lag_events: u64,
    /// Whether its numbers are known not to be its own.
    pub diverged: bool,
    /// Whether they were compared with what it reported; without that nobody knows.
    pub compared: bool,
}

/// A state, and since when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub freshness: Freshness,
    /// When a bound was passed, when the observer started for `Unknown`, or when what was seen of a
    /// store in contact changed to this; in milliseconds since the observer started.
    pub since_ms: u64,
}

impl Freshness {
    /// Judges a store by what was seen of it.
    ///
    /// An observer that has itself watched in silence for long enough may say `Stale` or `Dark`; a new
    /// one may not say anything.
    #[must_use]
    pub fn judge(bounds: FreshnessBounds, seen: Observed) -> Verdict {
        let silent_since_ms = seen.heard_ms.unwrap_or_default();
        let dark_ms = silent_since_ms.saturating_add(bounds.dark_after_ms);
        let stale_ms = silent_since_ms.saturating_add(bounds.stale_after_ms);
        let (freshness, since_ms) = if seen.now_ms >= dark_ms {
            (Self::Dark, dark_ms)
        } else if seen.now_ms >= stale_ms {
            (Self::Stale, stale_ms)
        } else if seen.heard_ms.is_none() {
            (Self::Unknown, 0)
        } else if seen.diverged {
            (Self::Diverged, seen.changed_ms)
        } else if seen.lag_events > 0 {
            (Self::Lagging { events: seen.lag_events }, seen.changed_ms)
        } else if !seen.compared {
            (Self::Unknown, seen.changed_ms)
        } else {
            (Self::Fresh, seen.changed_ms)
        };
        Verdict { freshness, since_ms }
    }

    /// The state's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Fresh => "fresh",
            Self::Diverged => "diverged",
            Self::Lagging { .. } => "lagging",
            Self::Stale => "stale",
            Self::Dark => "dark",
            Self::SwitchedOff => "switchedOff",
        }
    }

    /// The names of all states, the least doubtful first.
    pub const NAMES: [&str; 7] =
        ["fresh", "lagging", "unknown", "stale", "diverged", "dark", "switchedOff"];

    /// How much is to be doubted: 0 for `Fresh`. It orders stores to be asked, and finds the worst of
    /// those behind a sum.
    #[must_use]
    pub const fn doubt(self) -> u8 {
        match self {
            Self::Fresh => 0,
            Self::Lagging { .. } => 1,
            Self::Unknown => 2,
            Self::Stale => 3,
            Self::Diverged => 4,
            Self::Dark => 5,
            Self::SwitchedOff => 6,
        }
    }

    /// Whether the store's units may be offered online.
    #[must_use]
    pub const fn sellable(self) -> bool {
        !matches!(self, Self::Dark | Self::SwitchedOff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: u64 = 88_000;
    const COMPARED: Observed = Observed {
        now_ms: 0,
        heard_ms: Some(0),
        changed_ms: 0,
        lag_events: 0,
        diverged: false,
        compared: true,
    };

    #[track_caller]
    fn check(
        heard_ms: Option<u64>,
        now_ms: u64,
        lag_events: u64,
        freshness: Freshness,
        since_ms: u64,
    ) {
        let seen = Observed { now_ms, heard_ms, changed_ms: CHANGED, lag_events, ..COMPARED };
        let judged = Freshness::judge(FreshnessBounds::default(), seen);
        assert_eq!(judged, Verdict { freshness, since_ms });
    }

    #[test]
    fn a_centre_that_just_started_claims_nothing() {
        check(None, 10, 0, Freshness::Unknown, 0);
    }

    #[test]
    fn silence_is_stale_then_dark_even_when_nothing_was_ever_heard() {
        check(None, 5_000, 0, Freshness::Stale, 5_000);
        check(Some(4_000), 9_007, 0, Freshness::Stale, 9_000);
        check(None, 60_000, 0, Freshness::Dark, 60_000);
        check(Some(30_000), 90_001, 3, Freshness::Dark, 90_000);
    }

    #[test]
    fn a_store_that_contradicts_itself_is_never_fresh() {
        let seen = Observed { diverged: true, ..COMPARED };
        let judged = Freshness::judge(FreshnessBounds::default(), seen);
        assert_eq!(judged.freshness, Freshness::Diverged);
    }

    #[test]
    fn a_store_that_was_not_compared_is_not_fresh() {
        let seen = Observed { compared: false, ..COMPARED };
        let judged = Freshness::judge(FreshnessBounds::default(), seen);
        assert_eq!(judged.freshness, Freshness::Unknown);
    }

    #[test]
    fn a_live_store_is_fresh_only_when_everything_is_applied() {
        check(Some(90_000), 94_999, 0, Freshness::Fresh, CHANGED);
        check(Some(90_000), 90_000, 7, Freshness::Lagging { events: 7 }, CHANGED);
    }

    #[test]
    fn states_are_ordered_by_doubt_and_the_last_two_are_not_sold_from() {
        let lagging = Freshness::Lagging { events: 1 };
        use Freshness::{Dark, Diverged, Fresh, Stale, SwitchedOff, Unknown};
        let all = [Fresh, lagging, Unknown, Stale, Diverged, Dark, SwitchedOff];
        for (state, place) in all.into_iter().zip(0_u8..) {
            assert_eq!(state.doubt(), place, "{state:?}");
            assert_eq!(state.name(), Freshness::NAMES[usize::from(place)]);
            assert_eq!(state.sellable(), place < 5, "{state:?}");
        }
    }
}
