//! What the ledger counts.

use std::time::Duration;

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
}

impl Default for LedgerMetrics {
    fn default() -> Self {
        Self {
            came_to: Family::default(),
            confirmed_seconds: Histogram::new(SECONDS),
            timeouts: Family::default(),
            open_breakers: Family::default(),
            running: Gauge::default(),
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
    }

    pub(super) fn came_to(&self, state: ReservationState) {
        let state = inventory_core::saga::requests::name(state);
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

    pub(super) fn running(&self, count: usize) {
        self.running.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

fn label(store: &StoreId) -> StoreLabel {
    StoreLabel { store: store.to_string() }
}
