//! How many open reservations each subject has, so that none hoards the chain's stock.

use std::collections::{HashMap, HashSet};

use inventory_core::saga;
use shared_events::ledger::Reservation;
use shared_events::{ReservationId, Subject};

/// Open reservations of one subject unless configured otherwise: more than any storefront with a token of
/// its own has at once.
pub const DEFAULT_MAX_OPEN_RESERVATIONS: u32 = 100_000;

/// Open reservations by who made them; those that nobody is known to have made are in no count.
#[derive(Debug, Default)]
pub(super) struct Quota {
    open: HashMap<Subject, HashSet<ReservationId>>,
}

impl Quota {
    /// Takes note of where a reservation stands: it is open until nothing more can happen to it.
    pub(super) fn note(&mut self, reservation: &Reservation) {
        let Some(owner) = &reservation.owner else {
            return;
        };
        if !saga::is_final(reservation) {
            let open = self.open.entry(owner.clone()).or_default();
            open.insert(reservation.reservation_id.clone());
        } else if let Some(open) = self.open.get_mut(owner) {
            open.remove(&reservation.reservation_id);
            if open.is_empty() {
                self.open.remove(owner);
            }
        }
    }

    /// Whether a subject has as many as it may; 0 is no bound.
    pub(super) fn is_used_up(&self, owner: Option<&Subject>, most: u32) -> bool {
        let open = owner.and_then(|owner| self.open.get(owner)).map_or(0, HashSet::len);
        most > 0 && open >= usize::try_from(most).unwrap_or(usize::MAX)
    }
}
