//! Applying what happened to a reservation. Total: it judges nothing.

use shared_events::ledger::{
    AllocationState, Answer, CloseReason, LedgerAllocation, Reason, Reservation, ReservationLine,
    Step, Transition,
};
use shared_events::reservation::{ReleaseReason, WantedLine};
use shared_events::{Epoch, EventId, Sequence, StoreId, Timestamp};

use super::{COMMANDS_LOST_AT_MOST, state, whole};

/// Applies a transition and writes it into the history.
pub fn evolve(reservation: &mut Reservation, transition: Transition, at: Timestamp) {
    apply(reservation, &transition);
    reservation.revision = reservation.revision.saturating_add(1);
    if reservation.confirmed_at.is_none() && was_kept(reservation) {
        reservation.confirmed_at = Some(at);
    }
    reservation.state = state(reservation);
    // Repeats change nothing, and there may be many.
    if !matches!(transition, Transition::SentAgain { .. }) {
        reservation.history.push(Step { at, transition, state: reservation.state });
    }
}

/// Whether all units are kept. A rebuilt reservation may never be seen whole: what broke since had been
/// kept as well.
fn was_kept(reservation: &Reservation) -> bool {
    let asked = |known: &LedgerAllocation| known.state == AllocationState::Asked;
    let rebuilt = reservation.rebuilt;
    !reservation.allocations.iter().any(asked)
        && whole(reservation, |known| {
            known.state.covers() || (rebuilt && known.state == AllocationState::Broken)
        })
}

fn apply(reservation: &mut Reservation, transition: &Transition) {
    match transition {
        Transition::Requested | Transition::Rebuilt => {}
        Transition::Asked { attempt, store_id, wanted, answer_by } => {
            reservation.commands = *attempt;
            reservation.short = false;
            let asked = |line| asked(*attempt, store_id, line, *answer_by);
            reservation.allocations.extend(wanted.iter().map(asked));
        }
        Transition::Answered { event_id, attempt, line, sku, quantity, line_quantity, answer } => {
            let place = reservation.allocations.iter().position(|known| {
                known.attempt == *attempt && known.store_id == event_id.store && known.sku == *sku
            });
            let place = place.unwrap_or_else(|| {
                let wanted = WantedLine {
                    line: *line,
                    sku: sku.clone(),
                    quantity: *quantity,
                    line_quantity: *line_quantity,
                };
                surprise(reservation, *attempt, event_id, &wanted)
            });
            answered(reservation, place, event_id, *quantity, answer);
        }
        Transition::Withdrawn { command, attempt, store_id, reason, answer_by } => {
            let to = (AllocationState::Withdrawn, Some(Reason::from(*reason)));
            let which = |known: &LedgerAllocation| {
                known.state == AllocationState::Asked && is_of(known, *attempt, store_id)
            };
            told(reservation, *command, *answer_by, to, which);
        }
        Transition::Releasing { command, attempt, store_id, skus, reason, answer_by } => {
            let to = (AllocationState::Releasing, Some(Reason::from(*reason)));
            let which = |known: &LedgerAllocation| {
                known.state.is_open()
                    && is_of(known, *attempt, store_id)
                    && skus.contains(&known.sku)
            };
            told(reservation, *command, *answer_by, to, which);
        }
        Transition::Fulfilling { command, attempt, store_id, skus, answer_by } => {
            let to = (AllocationState::Fulfilling, None);
            let which = |known: &LedgerAllocation| {
                known.state == AllocationState::Reserved
                    && is_of(known, *attempt, store_id)
                    && skus.contains(&known.sku)
            };
            told(reservation, *command, *answer_by, to, which);
        }
        Transition::SentAgain { command, answer_by } => {
            let waiting = |known: &&mut LedgerAllocation| {
                known.command == *command && known.answer_by.is_some()
            };
            for known in reservation.allocations.iter_mut().filter(waiting) {
                known.sent = known.sent.saturating_add(1);
                known.answer_by = Some(*answer_by);
            }
        }
        Transition::Closed { reason, .. } => reservation.closed = Some(*reason),
        Transition::Short { .. } => reservation.short = true,
        Transition::Lapsed { attempt, store_id } => {
            for known in &mut reservation.allocations {
                if known.state.is_open() && is_of(known, *attempt, store_id) {
                    known.state = AllocationState::Lapsed;
                    known.answer_by = None;
                }
            }
        }
    }
}

fn is_of(known: &LedgerAllocation, attempt: u32, store: &StoreId) -> bool {
    known.attempt == attempt && known.store_id == *store
}

fn asked(
    attempt: u32,
    store: &StoreId,
    wanted: &WantedLine,
    answer_by: Timestamp,
) -> LedgerAllocation {
    LedgerAllocation {
        attempt,
        store_id: store.clone(),
        line: wanted.line,
        sku: wanted.sku.clone(),
        quantity: wanted.quantity,
        state: AllocationState::Asked,
        reason: None,
        available: None,
        command: attempt,
        sent: 1,
        answer_by: Some(answer_by),
        epoch: Epoch::ZERO,
        sequence: Sequence::ZERO,
    }
}

/// Makes room for an answer to something that was not asked, as far as is known here. Gives its place.
fn surprise(
    reservation: &mut Reservation,
    attempt: u32,
    event: &EventId,
    wanted: &WantedLine,
) -> usize {
    let mut known = asked(attempt, &event.store, wanted, reservation.expires_at);
    known.state = AllocationState::Stray;
    known.answer_by = None;
    let place = reservation.allocations.len();
    reservation.commands = reservation.commands.max(attempt);
    if reservation.rebuilt {
        // Commands that were lost with the ledger came behind this one.
        let behind = attempt.saturating_add(COMMANDS_LOST_AT_MOST);
        reservation.commands = reservation.commands.max(behind);
        let at = reservation.lines.partition_point(|line| line.line < wanted.line);
        if reservation.lines.get(at).is_none_or(|line| line.line != wanted.line) {
            let line = ReservationLine {
                line: wanted.line,
                sku: wanted.sku.clone(),
                quantity: wanted.line_quantity,
            };
            reservation.lines.insert(at, line);
        }
        if reservation.lines.get(at).is_some_and(|line| line.sku == wanted.sku) {
            known.state = AllocationState::Asked;
        }
    }
    reservation.allocations.push(known);
    place
}

fn answered(
    reservation: &mut Reservation,
    place: usize,
    event: &EventId,
    quantity: i64,
    answer: &Answer,
) {
    let Some(known) = reservation.allocations.get_mut(place) else {
        return;
    };
    (known.epoch, known.sequence) = (event.epoch, event.sequence);
    // Another number of units is another ask's, of a ledger that was lost.
    let as_asked = known.quantity == quantity;
    known.quantity = quantity;
    let before = known.state;
    (known.state, known.reason) = match *answer {
        Answer::Reserved => match before {
            AllocationState::Asked if as_asked => (AllocationState::Reserved, None),
            // It has been told to let go already, behind the ask.
            AllocationState::Withdrawn => (AllocationState::Releasing, known.reason),
            // Said again, by a journal that was restored.
            AllocationState::Reserved if as_asked => (AllocationState::Reserved, None),
            AllocationState::Asked
            | AllocationState::Stray
            | AllocationState::Reserved
            | AllocationState::Fulfilling
            | AllocationState::Releasing
            | AllocationState::Refused
            | AllocationState::NotKept
            | AllocationState::Released
            | AllocationState::Fulfilled
            | AllocationState::Broken
            | AllocationState::Lapsed => (AllocationState::Stray, known.reason),
        },
        Answer::Refused { reason, available } => {
            known.available = Some(available);
            (AllocationState::Refused, Some(reason.into()))
        }
        Answer::Released { reason } => (AllocationState::Released, Some(reason.into())),
        Answer::Fulfilled => (AllocationState::Fulfilled, None),
        Answer::Broken { reason } => (AllocationState::Broken, Some(reason.into())),
    };
    if known.state != AllocationState::Releasing {
        known.answer_by = None;
    }
    match answer {
        Answer::Refused { .. } => return nothing_kept(reservation, place),
        Answer::Released { reason } if reservation.rebuilt => infer_end(reservation, *reason),
        // What was missing may be somewhere else by now, or more of it.
        Answer::Broken { .. } => reservation.short = false,
        Answer::Reserved | Answer::Released { .. } | Answer::Fulfilled => {}
    }
    certain(reservation, place);
}

/// A store that kept one line of an ask kept all: the other answers are on their way, however long that
/// takes.
fn certain(reservation: &mut Reservation, place: usize) {
    let Some(kept) = reservation.allocations.get(place) else {
        return;
    };
    let (attempt, store) = (kept.attempt, kept.store_id.clone());
    for known in &mut reservation.allocations {
        if known.state == AllocationState::Asked && is_of(known, attempt, &store) {
            known.answer_by = None;
        }
    }
}

/// A store keeps all lines of an ask or none.
fn nothing_kept(reservation: &mut Reservation, place: usize) {
    let Some(refused) = reservation.allocations.get(place) else {
        return;
    };
    let (attempt, store) = (refused.attempt, refused.store_id.clone());
    for known in &mut reservation.allocations {
        if known.state.is_hold() && is_of(known, attempt, &store) {
            known.state = AllocationState::NotKept;
            known.answer_by = None;
        }
    }
}

/// What a store was told is all that is left of a decision its centre lost.
fn infer_end(reservation: &mut Reservation, reason: ReleaseReason) {
    let closed = match reason {
        ReleaseReason::Cancelled => CloseReason::Cancelled,
        ReleaseReason::Expired => CloseReason::Expired,
        ReleaseReason::Incomplete => CloseReason::Rejected,
        ReleaseReason::TimedOut | ReleaseReason::Moved => return,
    };
    reservation.closed.get_or_insert(closed);
}

fn told(
    reservation: &mut Reservation,
    command: u32,
    answer_by: Timestamp,
    (state, reason): (AllocationState, Option<Reason>),
    which: impl Fn(&LedgerAllocation) -> bool,
) {
    reservation.commands = reservation.commands.max(command);
    for known in reservation.allocations.iter_mut().filter(|known| which(known)) {
        known.state = state;
        known.reason = reason;
        known.command = command;
        known.sent = 1;
        known.answer_by = Some(answer_by);
    }
}
