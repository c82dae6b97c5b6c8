//! A reservation's life: the saga in which the store that holds the unit decides.
//!
//! [`begin`] and [`rebuild`] start one. [`answer`] takes what a store said, [`requests`] what a caller
//! wants, [`next`] says what is to be done by now, [`evolve`] applies each of these transitions, and
//! [`command`] is what a store is told in consequence. Nothing here knows a clock, a disk or a network.
//!
//! **Invariant:** an allocation is settled by the store's events alone. A store that does not answer
//! is told to let go, behind what it was told to keep, and its units count as held until it answers or
//! has let go for certain.

mod command;
mod evolve;
mod next;
pub mod requests;

use std::collections::{BTreeMap, BTreeSet};

use shared_events::ledger::{
    AllocationState, Answer, CloseReason, LedgerAllocation, Reason, Reservation, ReservationLine,
    ReservationState, Step, Transition,
};
use shared_events::reservation::{Binding, WantedLine};
use shared_events::{
    Location, OrderId, RecordedEvent, ReservationId, Sku, StockEvent, StoreId, Subject, Timestamp,
};

pub use command::command;
pub use evolve::evolve;
pub use next::{Timing, due, next, overdue_at, resend_after};

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The order it is for.
    pub order_id: OrderId,
    /// Items and units; no item twice.
    pub lines: Vec<(Sku, i64)>,
    /// The only store to be asked.
    pub store_id: Option<StoreId>,
    /// Stores near this are asked first.
    pub near: Option<Location>,
    /// Whether several stores may each keep a part.
    pub allow_split: bool,
    /// Until when.
    pub expires_at: Timestamp,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
    /// Who asks; `None` where nobody is asked who they are.
    pub owner: Option<Subject>,
}

/// Commands that a centre may have sent before it lost its ledger: those of a rebuilt reservation are
/// numbered behind them, so that no store takes one for a command it knows.
const COMMANDS_LOST_AT_MOST: u32 = 1_000;

/// A reservation that was just asked for.
#[must_use]
pub fn begin(reservation_id: ReservationId, wish: Wish, now: Timestamp) -> Reservation {
    let line_count = u32::try_from(wish.lines.len()).unwrap_or(u32::MAX);
    let lines = (1..).zip(wish.lines);
    Reservation {
        reservation_id,
        order_id: wish.order_id,
        owner: wish.owner,
        state: ReservationState::Requested,
        created_at: now,
        expires_at: wish.expires_at,
        store_id: wish.store_id,
        near: wish.near,
        allow_split: wish.allow_split,
        line_count,
        lines: lines
            .map(|(line, (sku, quantity))| ReservationLine { line, sku, quantity })
            .collect(),
        allocations: Vec::new(),
        commands: 0,
        confirmed_at: None,
        closed: None,
        short: false,
        // No life of the ledger before this one can have come so far.
        revision: now.unix_millis().unsigned_abs(),
        rebuilt: false,
        traceparent: wish.traceparent,
        history: vec![Step {
            at: now,
            transition: Transition::Requested,
            state: ReservationState::Requested,
        }],
    }
}

/// A reservation its centre no longer knows, as far as a store's event tells: without lines yet, which
/// [`answer`] brings. `None` for an event that is about none.
#[must_use]
pub fn rebuild(recorded: &RecordedEvent, now: Timestamp) -> Option<Reservation> {
    let allocation = recorded.event.allocation()?;
    let wish = Wish {
        order_id: allocation.order_id.clone(),
        lines: Vec::new(),
        store_id: (allocation.binding == Binding::ThisStore).then(|| recorded.id.store.clone()),
        near: None,
        allow_split: allocation.binding == Binding::Any,
        expires_at: allocation.expires_at,
        traceparent: recorded.traceparent.clone(),
        // Stores are not told for whom they keep what.
        owner: None,
    };
    let mut reservation = begin(allocation.reservation_id.clone(), wish, now);
    reservation.created_at = recorded.occurred_at;
    reservation.line_count = allocation.lines;
    reservation.commands = COMMANDS_LOST_AT_MOST;
    reservation.rebuilt = true;
    if let Some(first) = reservation.history.first_mut() {
        first.transition = Transition::Rebuilt;
    }
    Some(reservation)
}

/// What a store's event means for a reservation; `None` when a newer one is known.
#[must_use]
pub fn answer(reservation: &Reservation, recorded: &RecordedEvent) -> Option<Transition> {
    let said = recorded.event.allocation()?;
    let answer = match &recorded.event {
        StockEvent::Reserved(_) => Answer::Reserved,
        StockEvent::ReservationRefused(refused) => {
            Answer::Refused { reason: refused.reason, available: refused.available }
        }
        StockEvent::Released(released) => Answer::Released { reason: released.reason },
        StockEvent::Fulfilled(_) => Answer::Fulfilled,
        StockEvent::Broken(broken) => Answer::Broken { reason: broken.reason },
        StockEvent::Replaced(_) | StockEvent::Adjusted(_) | StockEvent::CommandRefused(_) => {
            return None;
        }
    };
    let at = (recorded.id.epoch, recorded.id.sequence);
    let known = reservation.allocations.iter().find(|known| {
        known.attempt == said.attempt
            && known.store_id == recorded.id.store
            && known.sku == recorded.sku
    });
    if known.is_some_and(|known| (known.epoch, known.sequence) >= at) {
        return None;
    }
    Some(Transition::Answered {
        event_id: recorded.id.clone(),
        attempt: said.attempt,
        line: said.line,
        sku: recorded.sku.clone(),
        quantity: said.quantity,
        line_quantity: said.line_quantity,
        answer,
    })
}

/// Where a reservation stands, by what its allocations are.
#[must_use]
pub fn state(reservation: &Reservation) -> ReservationState {
    let any = |state| reservation.allocations.iter().any(|known| known.state == state);
    // The common cases first: a reservation may have many lines, and each is answered on its own.
    if any(AllocationState::Fulfilled)
        && whole(reservation, |known| known.state == AllocationState::Fulfilled)
    {
        return ReservationState::Fulfilled;
    }
    match reservation.closed {
        Some(CloseReason::Rejected) => ReservationState::Rejected,
        Some(CloseReason::Cancelled | CloseReason::Expired) => ReservationState::Released,
        None if any(AllocationState::Asked) => in_progress(reservation),
        None if whole(reservation, |known| known.state.covers()) => ReservationState::Confirmed,
        None if reservation.short => ReservationState::Short,
        None => in_progress(reservation),
    }
}

const fn in_progress(reservation: &Reservation) -> ReservationState {
    match reservation.confirmed_at {
        None => ReservationState::Requested,
        Some(_) => ReservationState::Resourcing,
    }
}

/// Where it stands at a moment: its time is over exactly when it is over, whoever has noticed.
#[must_use]
pub fn state_at(reservation: &Reservation, now: Timestamp) -> ReservationState {
    let over = now >= reservation.expires_at && reservation.closed.is_none();
    if over && reservation.state != ReservationState::Fulfilled {
        ReservationState::Released
    } else {
        reservation.state
    }
}

/// Units that no store keeps and none is asked for, by line.
#[must_use]
pub fn missing(reservation: &Reservation) -> Vec<WantedLine> {
    if reservation.closed.is_some() || is_doubtful(reservation) {
        return Vec::new();
    }
    let had = units(reservation, |allocation| {
        allocation.state.covers() || allocation.state == AllocationState::Asked
    });
    let missing = |line: &ReservationLine| {
        let had = had.get(&line.line).copied().unwrap_or_default();
        let quantity = line.quantity.saturating_sub(had);
        (quantity > 0).then(|| WantedLine {
            line: line.line,
            sku: line.sku.clone(),
            quantity,
            line_quantity: line.quantity,
        })
    };
    reservation.lines.iter().filter_map(missing).collect()
}

/// Whether a store has failed a line before: it is not asked for it again. A walk-in customer is no
/// failure: the store has said what is left.
#[must_use]
pub fn has_failed(reservation: &Reservation, store: &StoreId, line: u32) -> bool {
    let failed = |known: &LedgerAllocation| {
        matches!(known.reason, Some(Reason::NotFound | Reason::Damaged))
            || matches!(
                known.state,
                AllocationState::Withdrawn
                    | AllocationState::Stray
                    | AllocationState::Releasing
                    | AllocationState::Refused
                    | AllocationState::Released
                    | AllocationState::Lapsed
            )
    };
    let mut there = reservation
        .allocations
        .iter()
        .filter(|known| known.line == line && known.store_id == *store);
    there.any(failed)
}

/// Whether it was lost and never heard of as a whole since: it may have been confirmed, or not.
#[must_use]
pub const fn is_doubtful(reservation: &Reservation) -> bool {
    reservation.rebuilt && reservation.confirmed_at.is_none()
}

/// The only stores that may be asked for what is missing, where a part is kept and may not be split
/// from the rest.
#[must_use]
pub fn bound_to(reservation: &Reservation) -> BTreeSet<&StoreId> {
    let kept =
        |known: &&LedgerAllocation| known.state.covers() || known.state == AllocationState::Asked;
    let bound = reservation.allocations.iter().filter(|_| !reservation.allow_split).filter(kept);
    bound.map(|known| &known.store_id).collect()
}

/// Whether its caller has nothing to wait for.
#[must_use]
pub fn is_settled(reservation: &Reservation) -> bool {
    let asked =
        matches!(reservation.state, ReservationState::Requested | ReservationState::Resourcing);
    let fulfilling = |known: &LedgerAllocation| known.state == AllocationState::Fulfilling;
    !asked && !reservation.allocations.iter().any(fulfilling)
}

/// Whether nothing more can happen to it.
#[must_use]
pub fn is_final(reservation: &Reservation) -> bool {
    let ended = reservation.closed.is_some() || reservation.state == ReservationState::Fulfilled;
    ended && !reservation.allocations.iter().any(|known| known.state.is_open())
}

/// Units of each line in the chosen allocations.
#[must_use]
pub fn units(
    reservation: &Reservation,
    chosen: impl Fn(&LedgerAllocation) -> bool,
) -> BTreeMap<u32, i64> {
    let mut units: BTreeMap<u32, i64> = BTreeMap::new();
    for known in reservation.allocations.iter().filter(|known| chosen(known)) {
        let sum = units.entry(known.line).or_default();
        *sum = sum.saturating_add(known.quantity);
    }
    units
}

/// Whether the chosen allocations hold every unit of every line.
fn whole(reservation: &Reservation, chosen: impl Fn(&LedgerAllocation) -> bool) -> bool {
    let known = u32::try_from(reservation.lines.len()).is_ok_and(|n| n == reservation.line_count);
    let had = units(reservation, chosen);
    known
        && reservation
            .lines
            .iter()
            .all(|line| had.get(&line.line).is_some_and(|units| *units >= line.quantity))
}
