//! The command that a transition puts on its way.

use shared_events::ledger::{AllocationState, LedgerAllocation, Reason, Reservation};
use shared_events::reservation::{
    Binding, FulfilReservation, ReleaseReason, ReleaseReservation, ReserveStock, WantedLine,
};
use shared_events::{Sku, StoreCommand, StoreId};

/// A reservation's command of a number, with the store it is for: the same each time it is asked for.
/// `None` when no answer to it is expected any more.
#[must_use]
pub fn command(reservation: &Reservation, number: u32) -> Option<(StoreId, StoreCommand)> {
    let about = || reservation.allocations.iter().filter(|known| known.command == number);
    let open = about().find(|known| known.answer_by.is_some())?;
    let skus = || about().map(|known| known.sku.clone()).collect::<Vec<Sku>>();
    let (reservation_id, attempt) = (reservation.reservation_id.clone(), open.attempt);
    let command = match open.state {
        AllocationState::Asked => StoreCommand::Reserve(ReserveStock {
            reservation_id,
            order_id: reservation.order_id.clone(),
            attempt,
            lines: reservation.line_count,
            expires_at: reservation.expires_at,
            binding: binding(reservation),
            wanted: about().map(|known| wanted(reservation, known)).collect(),
        }),
        AllocationState::Withdrawn | AllocationState::Releasing => {
            let reason = release_reason(open.reason);
            let skus = skus();
            StoreCommand::Release(ReleaseReservation { reservation_id, attempt, skus, reason })
        }
        AllocationState::Fulfilling => {
            let skus = skus();
            StoreCommand::Fulfil(FulfilReservation { reservation_id, attempt, skus })
        }
        AllocationState::Reserved
        | AllocationState::Stray
        | AllocationState::Refused
        | AllocationState::NotKept
        | AllocationState::Released
        | AllocationState::Fulfilled
        | AllocationState::Broken
        | AllocationState::Lapsed => return None,
    };
    Some((open.store_id.clone(), command))
}

const fn binding(reservation: &Reservation) -> Binding {
    match (&reservation.store_id, reservation.allow_split) {
        (Some(_), _) => Binding::ThisStore,
        (None, true) => Binding::Any,
        (None, false) => Binding::OneStore,
    }
}

fn wanted(reservation: &Reservation, known: &LedgerAllocation) -> WantedLine {
    let line = reservation.lines.iter().find(|line| line.line == known.line);
    WantedLine {
        line: known.line,
        sku: known.sku.clone(),
        quantity: known.quantity,
        line_quantity: line.map_or(known.quantity, |line| line.quantity),
    }
}

const fn release_reason(reason: Option<Reason>) -> ReleaseReason {
    match reason {
        Some(Reason::Cancelled) => ReleaseReason::Cancelled,
        Some(Reason::Expired) => ReleaseReason::Expired,
        Some(Reason::Incomplete) => ReleaseReason::Incomplete,
        Some(Reason::Moved) => ReleaseReason::Moved,
        Some(
            Reason::TimedOut
            | Reason::InsufficientStock
            | Reason::Sold
            | Reason::Recounted
            | Reason::NotFound
            | Reason::Damaged
            | Reason::Lost,
        )
        | None => ReleaseReason::TimedOut,
    }
}
