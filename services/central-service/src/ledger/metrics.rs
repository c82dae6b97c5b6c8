//! What the ledger counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use inventory_core::saga::requests;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use service_kit::metrics::SECONDS;
use shared_events::ledger::{Reservation, ReservationState};
use shared_events::{StoreId, Timestamp};

use crate::metrics::StoreLabel;

/// Label of reservations by where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    /// The state's name on the wire.
    state: &'static str,
}

/// Counts of the ledger; clones share them.
#[derive(Debug, Clone)]
pub struct LedgerMetrics {
    came_to: Family<StateLabel, Counter>,
    confirmed_seconds: Histogram,
    timeouts: Family<StoreLabel, Counter>,
    open_breakers: Family<StoreLabel, Gauge>,
    running: Gauge,
    unanswered_seconds: Gauge<f64, AtomicU64>,
    /// When the oldest of them was asked for, in milliseconds since the epoch.
    unanswered_since: Arc<AtomicI64>,
}

/// Nobody waits.
const NEVER: i64 = i64::MAX;

impl Default for LedgerMetrics {
    fn default() -> Self {
        let came_to = Family::default();
        // Where each begins, none comes to.
        let begins = |state: &ReservationState| *state == ReservationState::Requested;
        for state in ReservationState::ALL.into_iter().filter(|state| !begins(state)) {
            drop(came_to.get_or_create(&StateLabel { state: requests::name(state) }));
        }
        Self {
            came_to,
            confirmed_seconds: Histogram::new(SECONDS),
            timeouts: Family::default(),
            open_breakers: Family::default(),
            running: Gauge::default(),
            unanswered_seconds: Gauge::default(),
            unanswered_since: Arc::new(AtomicI64::new(NEVER)),
        }
    }
}

impl LedgerMetrics {
    /// Registers everything.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "reservations",
            "Reservations that came to a state, each time they did",
            self.came_to.clone(),
        );
        registry.register_with_unit(
            "reservation_confirmed",
            "Time from a reservation's request to its first confirmation",
            Unit::Seconds,
            self.confirmed_seconds.clone(),
        );
        registry.register(
            "ask_timeouts",
            "Asks a store did not answer in time",
            self.timeouts.clone(),
        );
        registry.register(
            "open_breaker",
            "1 for a store that is left out because it kept not answering",
            self.open_breakers.clone(),
        );
        registry.register(
            "running_reservations",
            "Reservations something can still happen to",
            self.running.clone(),
        );
        registry.register_with_unit(
            "oldest_unanswered_reservation",
            "Age of the oldest reservation no store has answered yet; 0 when there is none",
            Unit::Seconds,
            self.unanswered_seconds.clone(),
        );
    }

    /// What is looked up when somebody scrapes; with these stores, of which some may never have given
    /// anything to count.
    pub(crate) fn scraped<'s>(&self, stores: impl Iterator<Item = &'s StoreLabel>, now: i64) {
        for store in stores {
            drop(self.timeouts.get_or_create(store));
            drop(self.open_breakers.get_or_create(store));
        }
        let since = self.unanswered_since.load(Ordering::Relaxed);
        let age = u64::try_from(now.saturating_sub(since)).unwrap_or_default();
        self.unanswered_seconds.set(Duration::from_millis(age).as_secs_f64());
    }

    pub(super) fn came_to(&self, state: ReservationState) {
        let state = requests::name(state);
        self.came_to.get_or_create(&StateLabel { state }).inc();
    }

    pub(super) fn confirmed(&self, reservation: &Reservation, now: Timestamp) {
        let took = now.unix_millis().saturating_sub(reservation.created_at.unix_millis());
        let took = Duration::from_millis(took.unsigned_abs());
        self.confirmed_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn timed_out(&self, store: &StoreId) {
        self.timeouts.get_or_create(&label(store)).inc();
    }

    pub(super) fn breaker(&self, store: &StoreId, open: bool) {
        self.open_breakers.get_or_create(&label(store)).set(i64::from(open));
    }

    pub(super) fn running(&self, count: usize, unanswered_since: Option<Timestamp>) {
        self.running.set(i64::try_from(count).unwrap_or(i64::MAX));
        let since = unanswered_since.map_or(NEVER, |since| since.unix_millis());
        self.unanswered_since.store(since, Ordering::Relaxed);
    }
}

fn label(store: &StoreId) -> StoreLabel {
    StoreLabel { store: store.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(metrics: &LedgerMetrics, name: &str) -> Vec<String> {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_never_happened_is_counted_as_none() {
        let metrics = LedgerMetrics::default();
        assert_eq!(told(&metrics, "reservations_total{"), ["0"; 6]);
        metrics.scraped([StoreLabel { store: "A".to_owned() }].iter(), 0);
        assert_eq!(told(&metrics, "ask_timeouts_total{"), ["0"]);
        assert_eq!(told(&metrics, "open_breaker{"), ["0"]);
    }

    #[test]
    fn the_oldest_unanswered_reservation_has_an_age_while_there_is_one() {
        let metrics = LedgerMetrics::default();
        let age = || {
            metrics.scraped([].iter(), 10_500);
            told(&metrics, "oldest_unanswered_reservation_seconds ")
        };
        assert_eq!(age(), ["0.0"]);
        metrics.running(1, Some(Timestamp::from_unix_millis(3_000).unwrap()));
        assert_eq!(age(), ["7.5"]);
        metrics.running(1, None);
        assert_eq!(age(), ["0.0"]);
    }
}
