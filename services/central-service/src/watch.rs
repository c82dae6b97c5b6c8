//! How far each store can be believed, by the centre's own watch.
//!
//! A steady clock that started with the centre judges every arrival; the wall clock is looked at once,
//! to tell callers when that was.

use std::sync::Arc;
use std::time::Instant;

use inventory_core::selling::SellingSwitches;
use inventory_core::{Freshness, FreshnessBounds, Observed, Verdict};
use shared_events::Timestamp;
use shared_events::policy::Selling;

use crate::clock::now;
use crate::read_model::StoreView;

/// A store at a moment, and how far it can be believed.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What is known of it.
    pub view: Arc<StoreView>,
    /// The verdict.
    pub freshness: Freshness,
    /// The verdict if no operator had switched the store off.
    pub contact: Freshness,
    /// Since when the verdict holds, by the clock that the centre had when it started.
    pub since: Timestamp,
    /// Milliseconds since the last live heartbeat; `None` when there was none since the centre started.
    pub age_ms: Option<u64>,
    /// Units of each item kept back because the store is stale.
    pub staleness: i64,
    /// What an operator said, where one switched it off.
    pub switched_off: Option<Selling>,
}

/// A store, and since when what is said of it is said while it is in contact.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) view: Arc<StoreView>,
    /// In milliseconds since the centre started.
    changed_ms: u64,
}

/// The watch.
#[derive(Debug)]
pub(crate) struct Watch {
    bounds: FreshnessBounds,
    started: Instant,
    /// The wall clock then: from it on, moments are counted by the steady one.
    started_at: Timestamp,
}

impl Watch {
    /// Starts now.
    pub(crate) fn new(bounds: FreshnessBounds) -> Self {
        Self { bounds, started: Instant::now(), started_at: now() }
    }

    /// When silence means something.
    pub(crate) const fn bounds(&self) -> FreshnessBounds {
        self.bounds
    }

    /// A store of which something new is known: what is said of it is as old as before, unless it changes
    /// with that.
    pub(crate) fn known(&self, before: Option<&Known>, view: StoreView) -> Known {
        let now_ms = self.steady_ms(Instant::now());
        let said = |view: &StoreView| self.judge(view, now_ms, now_ms).freshness.name();
        let same = before.filter(|before| said(&before.view) == said(&view));
        let changed_ms = same.map_or(now_ms, |before| before.changed_ms);
        Known { view: Arc::new(view), changed_ms }
    }

    /// A store as it can be believed now.
    pub(crate) fn seen(
        &self,
        Known { view, changed_ms }: Known,
        switches: &SellingSwitches,
    ) -> Seen {
        let now_ms = self.steady_ms(Instant::now());
        let Verdict { freshness: contact, since_ms } = self.judge(&view, changed_ms, now_ms);
        let staleness = match contact {
            Freshness::Stale => self.bounds.buffer.units(now_ms.saturating_sub(since_ms)),
            _ => 0,
        };
        let heard_ms = view.heard_at.map(|heard| self.steady_ms(heard));
        let switched_off = switches.get(&view.id).filter(|said| !said.enabled).cloned();
        let (freshness, since) = match &switched_off {
            Some(said) => (Freshness::SwitchedOff, said.changed_at),
            None => (contact, self.started_at.plus_millis(since_ms)),
        };
        let age_ms = heard_ms.map(|heard_ms| now_ms.saturating_sub(heard_ms));
        Seen { view, freshness, contact, since, age_ms, staleness, switched_off }
    }

    fn judge(&self, view: &StoreView, changed_ms: u64, now_ms: u64) -> Verdict {
        let seen = Observed {
            now_ms,
            heard_ms: view.heard_at.map(|heard| self.steady_ms(heard)),
            changed_ms,
            lag_events: view.missing,
            diverged: view.diverged,
            compared: view.compared,
        };
        Freshness::judge(self.bounds, seen)
    }

    /// A moment in milliseconds since the centre started.
    fn steady_ms(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
