//! What the centre may claim about a store's numbers.

/// How far a store's numbers can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// No heartbeat seen since this centre started: it does not know.
    Unknown,
    /// Alive, and everything it reported is applied.
    Fresh,
    /// Alive, but its numbers here are known not to be its own: its journal went back behind what it
    /// once reported, or everything is applied and the digests differ.
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
}

/// When silence becomes `Stale`, and when `Dark`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshnessBounds {
    /// Milliseconds without a heartbeat.
    pub stale_after_ms: u64,
    /// Milliseconds without a heartbeat.
    pub dark_after_ms: u64,
}

impl Default for FreshnessBounds {
    fn default() -> Self {
        Self { stale_after_ms: 5_000, dark_after_ms: 60_000 }
    }
}

impl Freshness {
    /// Judges a store by the time since its last live heartbeat and the events it is behind.
    ///
    /// `since_start_ms` is the age of the observer: a centre that has itself watched in silence for
    /// long enough may say `Stale` or `Dark`, a new one may not say anything.
    #[must_use]
    pub fn judge(
        bounds: FreshnessBounds,
        since_heartbeat_ms: Option<u64>,
        since_start_ms: u64,
        lag_events: u64,
        diverged: bool,
    ) -> Self {
        let silence_ms = since_heartbeat_ms.unwrap_or(since_start_ms);
        if silence_ms >= bounds.dark_after_ms {
            Self::Dark
        } else if silence_ms >= bounds.stale_after_ms {
            Self::Stale
        } else if since_heartbeat_ms.is_none() {
            Self::Unknown
        } else if diverged {
            Self::Diverged
        } else if lag_events > 0 {
            Self::Lagging { events: lag_events }
        } else {
            Self::Fresh
        }
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
        }
    }

    /// Whether the store's units may be offered online.
    #[must_use]
    pub const fn sellable(self) -> bool {
        !matches!(self, Self::Dark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(since_heartbeat_ms: Option<u64>, since_start_ms: u64, lag: u64, expected: Freshness) {
        let bounds = FreshnessBounds::default();
        let judged = Freshness::judge(bounds, since_heartbeat_ms, since_start_ms, lag, false);
        assert_eq!(judged, expected);
    }

    #[test]
    fn a_centre_that_just_started_claims_nothing() {
        check(None, 10, 0, Freshness::Unknown);
    }

    #[test]
    fn silence_is_stale_then_dark_even_when_nothing_was_ever_heard() {
        check(None, 5_000, 0, Freshness::Stale);
        check(Some(5_000), 9_000, 0, Freshness::Stale);
        check(None, 60_000, 0, Freshness::Dark);
        check(Some(60_000), 90_000, 3, Freshness::Dark);
    }

    #[test]
    fn a_store_that_contradicts_itself_is_never_fresh() {
        let judged = Freshness::judge(FreshnessBounds::default(), Some(0), 90_000, 0, true);
        assert_eq!(judged, Freshness::Diverged);
    }

    #[test]
    fn a_live_store_is_fresh_only_when_everything_is_applied() {
        check(Some(4_999), 90_000, 0, Freshness::Fresh);
        check(Some(0), 90_000, 7, Freshness::Lagging { events: 7 });
    }
}
