//! What a reservation needs by now, and when it will need something again.

use shared_events::ledger::{
    AllocationState, CloseReason, LedgerAllocation, Reservation, ReservationState, Transition,
};
use shared_events::reservation::ReleaseReason;
use shared_events::{Sku, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::{is_doubtful, missing, units};

/// How long things may take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A store that has not answered an ask for this long is withdrawn from, and another one is asked.
    pub step_ms: u64,
    /// A command that was not answered for this long is sent again, each further time after twice as
    /// long.
    pub resend_ms: u64,
    /// So long after a reservation's time every store has let go, whatever its clock says.
    pub lapse_ms: u64,
}

/// Longest pause between two sendings of one command, in milliseconds.
const RESEND_MS_MAX: u64 = 300_000;

/// The next thing to be done, if any is due. Apply it and ask again until there is none.
#[must_use]
pub fn next(reservation: &Reservation, now: Timestamp, timing: &Timing) -> Option<Transition> {
    close(reservation, now, timing)
        .or_else(|| lapse(reservation, now, timing))
        .or_else(|| regroup(reservation, now, timing))
        .or_else(|| withdraw(reservation, now, timing))
        .or_else(|| release(reservation, now, timing))
        .or_else(|| send_again(reservation, now, timing))
}

/// When [`next`] has to be asked again at the latest; `None` when only an answer or a caller can move
/// the reservation, or nothing can.
#[must_use]
pub fn due(reservation: &Reservation, timing: &Timing) -> Option<Timestamp> {
    let end = is_running(reservation).then_some(reservation.expires_at);
    let doubt = in_doubt_until(reservation, timing);
    let open = |known: &&LedgerAllocation| known.state.is_open();
    let lapse =
        reservation.allocations.iter().find(open).map(|_open| lapse_at(reservation, timing));
    let overdue = reservation.allocations.iter().filter_map(|known| known.answer_by);
    overdue.chain(end).chain(doubt).chain(lapse).min()
}

/// When the answer to a command sent so many times is overdue. Reservations of one moment are spread,
/// by a fifth either way, so that they do not all come again at one moment.
#[must_use]
pub fn overdue_at(
    reservation: &Reservation,
    command: u32,
    sent: u32,
    now: Timestamp,
    timing: &Timing,
) -> Timestamp {
    spread(reservation, command, sent, now, resend_after(timing.resend_ms, sent.saturating_sub(1)))
}

/// When the answer to an ask is overdue.
pub(super) fn answer_by(
    reservation: &Reservation,
    command: u32,
    now: Timestamp,
    timing: &Timing,
) -> Timestamp {
    spread(reservation, command, 0, now, timing.step_ms)
}

/// How long to wait before a command is sent again: twice as long each time, at most five minutes. In
/// milliseconds.
#[must_use]
pub fn resend_after(first_ms: u64, doublings: u32) -> u64 {
    let times = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    first_ms.saturating_mul(times).min(RESEND_MS_MAX)
}

fn spread(
    reservation: &Reservation,
    command: u32,
    sent: u32,
    now: Timestamp,
    millis: u64,
) -> Timestamp {
    let name = format!("{}:{command}:{sent}", reservation.reservation_id);
    // 80 to 120 percent.
    let percent = xxh3_64(name.as_bytes()).checked_rem(41).unwrap_or_default().saturating_add(80);
    let spread = millis.saturating_mul(percent).checked_div(100).unwrap_or(millis);
    now.plus_millis(spread)
}

fn is_running(reservation: &Reservation) -> bool {
    reservation.closed.is_none() && reservation.state != ReservationState::Fulfilled
}

fn lapse_at(reservation: &Reservation, timing: &Timing) -> Timestamp {
    reservation.expires_at.plus_millis(timing.lapse_ms)
}

/// A rebuilt reservation that never was whole was still being asked for when its centre lost it.
fn in_doubt_until(reservation: &Reservation, timing: &Timing) -> Option<Timestamp> {
    let doubtful = is_doubtful(reservation) && is_running(reservation);
    let first = reservation.history.first().filter(|_| doubtful)?;
    Some(first.at.plus_millis(timing.step_ms))
}

fn close(reservation: &Reservation, now: Timestamp, timing: &Timing) -> Option<Transition> {
    let closed = |reason| Transition::Closed { reason, lines: Vec::new() };
    if is_running(reservation) && now >= reservation.expires_at {
        return Some(closed(CloseReason::Expired));
    }
    let given_up = in_doubt_until(reservation, timing).is_some_and(|until| now >= until);
    given_up.then(|| closed(CloseReason::Rejected))
}

fn lapse(reservation: &Reservation, now: Timestamp, timing: &Timing) -> Option<Transition> {
    let open = reservation.allocations.iter().find(|known| known.state.is_open());
    let known = open.filter(|_| now >= lapse_at(reservation, timing))?;
    Some(Transition::Lapsed { attempt: known.attempt, store_id: known.store_id.clone() })
}

/// A store failed a line before all were kept, and the rest may not be split from it: everything is let
/// go, to be looked for as a whole elsewhere.
fn regroup(reservation: &Reservation, now: Timestamp, timing: &Timing) -> Option<Transition> {
    if reservation.confirmed_at.is_some() || reservation.allow_split {
        return None;
    }
    let had = reservation
        .allocations
        .iter()
        .find(|known| matches!(known.state, AllocationState::Asked | AllocationState::Reserved))?;
    if missing(reservation).is_empty() {
        return None;
    }
    let command = reservation.commands.saturating_add(1);
    let answer_by = overdue_at(reservation, command, 1, now, timing);
    let (attempt, store_id) = (had.attempt, had.store_id.clone());
    let reason = ReleaseReason::Moved;
    Some(if had.state == AllocationState::Asked {
        Transition::Withdrawn { command, attempt, store_id, reason, answer_by }
    } else {
        let skus = vec![had.sku.clone()];
        Transition::Releasing { command, attempt, store_id, skus, reason, answer_by }
    })
}

fn withdraw(reservation: &Reservation, now: Timestamp, timing: &Timing) -> Option<Transition> {
    let ended = reservation.closed.map(end_reason);
    let known = reservation.allocations.iter().find(|known| {
        let overdue = known.answer_by.is_some_and(|by| now >= by);
        known.state == AllocationState::Asked && (ended.is_some() || overdue)
    })?;
    let command = reservation.commands.saturating_add(1);
    Some(Transition::Withdrawn {
        command,
        attempt: known.attempt,
        store_id: known.store_id.clone(),
        reason: ended.unwrap_or(ReleaseReason::TimedOut),
        answer_by: overdue_at(reservation, command, 1, now, timing),
    })
}

fn release(reservation: &Reservation, now: Timestamp, timing: &Timing) -> Option<Transition> {
    let ended = reservation.closed.map(end_reason);
    let unwanted = |known: &LedgerAllocation| {
        known.state == AllocationState::Stray
            || (known.state == AllocationState::Reserved && ended.is_some())
    };
    let (first, skus) = match reservation.allocations.iter().find(|known| unwanted(known)) {
        Some(first) => {
            let together = |known: &&LedgerAllocation| {
                unwanted(known)
                    && known.attempt == first.attempt
                    && known.store_id == first.store_id
            };
            let skus: Vec<Sku> = reservation
                .allocations
                .iter()
                .filter(together)
                .map(|known| known.sku.clone())
                .collect();
            (first, skus)
        }
        None => {
            let first = surplus(reservation)?;
            (first, vec![first.sku.clone()])
        }
    };
    let command = reservation.commands.saturating_add(1);
    Some(Transition::Releasing {
        command,
        attempt: first.attempt,
        store_id: first.store_id.clone(),
        skus,
        reason: ended.unwrap_or(ReleaseReason::TimedOut),
        answer_by: overdue_at(reservation, command, 1, now, timing),
    })
}

/// What is kept beyond what is wanted: a store answered that nobody waited for any more, or a ledger
/// that was lost had given it up. An earlier ask goes before a later one, and one whose units are just
/// the excess before all: it is the one that was given up.
fn surplus(reservation: &Reservation) -> Option<&LedgerAllocation> {
    let had = units(reservation, |known| known.state.covers());
    let excess = |known: &LedgerAllocation| {
        let line = reservation.lines.iter().find(|line| line.line == known.line);
        line.map_or(0, |line| {
            had.get(&line.line).copied().unwrap_or_default().saturating_sub(line.quantity)
        })
    };
    let over =
        |known: &&LedgerAllocation| known.state == AllocationState::Reserved && excess(known) > 0;
    reservation.allocations.iter().filter(over).min_by_key(|known| {
        let left = excess(known).saturating_sub(known.quantity);
        // Rather a little too much than too little; else the smallest, and the rest is sought anew.
        (left != 0, left < 0, left.saturating_abs(), known.attempt)
    })
}

fn send_again(reservation: &Reservation, now: Timestamp, timing: &Timing) -> Option<Transition> {
    let overdue = |known: &&LedgerAllocation| known.answer_by.is_some_and(|by| now >= by);
    let known = reservation.allocations.iter().find(overdue)?;
    Some(Transition::SentAgain {
        command: known.command,
        answer_by: overdue_at(
            reservation,
            known.command,
            known.sent.saturating_add(1),
            now,
            timing,
        ),
    })
}

pub(super) const fn end_reason(closed: CloseReason) -> ReleaseReason {
    match closed {
        CloseReason::Cancelled => ReleaseReason::Cancelled,
        CloseReason::Expired => ReleaseReason::Expired,
        CloseReason::Rejected => ReleaseReason::Incomplete,
    }
}
