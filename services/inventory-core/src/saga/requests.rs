//! What callers may ask of a reservation, and what the ledger decides about its stores.

use std::collections::BTreeMap;

use shared_events::ledger::{
    AllocationState, CloseReason, LedgerAllocation, Reservation, ReservationState, Shortfall,
    Transition,
};
use shared_events::reservation::WantedLine;
use shared_events::{Sku, StoreId, Timestamp};

use super::next::{Timing, answer_by, overdue_at};
use super::{state_at, units};

/// A transition its state does not allow. Nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// It has ended.
    #[error("the reservation is {}", name(*state))]
    Ended {
        /// Where it stands.
        state: ReservationState,
    },
    /// Not all units that were named are kept.
    #[error("the reservation is {}: not all units that were named are kept", name(*state))]
    NotKept {
        /// Where it stands.
        state: ReservationState,
        /// An item of which units are missing.
        sku: Sku,
    },
    /// It was not confirmed yet.
    #[error("the reservation is {}: it can be fetched once it was confirmed", name(*state))]
    NotConfirmed {
        /// Where it stands.
        state: ReservationState,
    },
    /// A store has been told to hand it over.
    #[error("a store has been told to hand it over; what comes of that is not known yet")]
    HandingOver {
        /// Where it stands.
        state: ReservationState,
    },
    /// It has no such line.
    #[error("the reservation has no line of {sku}")]
    UnknownItem {
        /// The item.
        sku: Sku,
    },
}

/// A state's name on the wire.
#[must_use]
pub const fn name(state: ReservationState) -> &'static str {
    match state {
        ReservationState::Requested => "requested",
        ReservationState::Confirmed => "confirmed",
        ReservationState::Resourcing => "resourcing",
        ReservationState::Short => "short",
        ReservationState::Fulfilled => "fulfilled",
        ReservationState::Released => "released",
        ReservationState::Rejected => "rejected",
    }
}

/// The customer does not want it any more. What is kept is then let go, see [`super::next`]. `None` when it
/// is released already.
///
/// # Errors
/// [`Illegal::Ended`]: it was handed over, or never kept; [`Illegal::HandingOver`]: it is about to be.
pub fn cancel(reservation: &Reservation, now: Timestamp) -> Result<Option<Transition>, Illegal> {
    let state = state_at(reservation, now);
    let handing_over = |known: &LedgerAllocation| known.state == AllocationState::Fulfilling;
    if reservation.allocations.iter().any(handing_over) {
        return Err(Illegal::HandingOver { state });
    }
    match state {
        ReservationState::Fulfilled | ReservationState::Rejected => Err(Illegal::Ended { state }),
        ReservationState::Released => Ok(None),
        ReservationState::Requested
        | ReservationState::Confirmed
        | ReservationState::Resourcing
        | ReservationState::Short => {
            Ok(Some(Transition::Closed { reason: CloseReason::Cancelled, lines: Vec::new() }))
        }
    }
}

/// The customer takes the units: of the named items, or of all when none is named. Empty when the stores
/// have been told already.
///
/// # Errors
/// [`Illegal`]: it has ended, or something of it is not kept.
pub fn fulfil(
    reservation: &Reservation,
    skus: &[Sku],
    now: Timestamp,
    timing: &Timing,
) -> Result<Vec<Transition>, Illegal> {
    let state = state_at(reservation, now);
    if let Some(sku) =
        skus.iter().find(|sku| !reservation.lines.iter().any(|line| line.sku == **sku))
    {
        return Err(Illegal::UnknownItem { sku: sku.clone() });
    }
    if matches!(state, ReservationState::Released | ReservationState::Rejected) {
        return Err(Illegal::Ended { state });
    }
    if reservation.confirmed_at.is_none() {
        return Err(Illegal::NotConfirmed { state });
    }
    let named = |sku: &Sku| skus.is_empty() || skus.contains(sku);
    let had = units(reservation, |known| known.state.covers());
    let short = reservation
        .lines
        .iter()
        .filter(|line| named(&line.sku))
        .find(|line| had.get(&line.line).copied().unwrap_or_default() < line.quantity);
    if let Some(line) = short {
        return Err(Illegal::NotKept { state, sku: line.sku.clone() });
    }
    let mut parts: BTreeMap<(u32, StoreId), Vec<Sku>> = BTreeMap::new();
    for known in &reservation.allocations {
        if known.state == AllocationState::Reserved && named(&known.sku) {
            let part = parts.entry((known.attempt, known.store_id.clone())).or_default();
            part.push(known.sku.clone());
        }
    }
    let commands = reservation.commands.saturating_add(1)..;
    let told = |(command, ((attempt, store_id), skus))| Transition::Fulfilling {
        command,
        attempt,
        store_id,
        skus,
        answer_by: overdue_at(reservation, command, 1, now, timing),
    };
    Ok(commands.zip(parts).map(told).collect())
}

/// A store is asked to keep units.
#[must_use]
pub fn ask(
    reservation: &Reservation,
    store_id: StoreId,
    wanted: Vec<WantedLine>,
    now: Timestamp,
    timing: &Timing,
) -> Transition {
    let attempt = reservation.commands.saturating_add(1);
    Transition::Asked {
        attempt,
        store_id,
        wanted,
        answer_by: answer_by(reservation, attempt, now, timing),
    }
}

/// No store can keep what is missing: nothing more comes of it, or, once it was confirmed, the customer
/// is told of the shortfall and decides. `None` where that was told already.
#[must_use]
pub fn unsourced(reservation: &Reservation, lines: Vec<Shortfall>) -> Option<Transition> {
    if reservation.confirmed_at.is_none() {
        Some(Transition::Closed { reason: CloseReason::Rejected, lines })
    } else {
        (!reservation.short).then_some(Transition::Short { lines })
    }
}

/// A centre that was away gives its stores the time to answer again that they may not have had.
pub fn forgive(reservation: &mut Reservation, now: Timestamp, timing: &Timing) {
    let until = now.plus_millis(timing.step_ms);
    let asked = |known: &&mut LedgerAllocation| known.state == AllocationState::Asked;
    for known in reservation.allocations.iter_mut().filter(asked) {
        known.answer_by = known.answer_by.map(|by| by.max(until));
    }
}
