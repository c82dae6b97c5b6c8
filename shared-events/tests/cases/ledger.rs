//! What a centre tells of its reservations.

use shared_events::ledger::{
    AllocationState, Answer, CloseReason, LedgerAllocation, Reason, Reservation, ReservationLine,
    ReservationState, Shortfall, Step, Transition,
};
use shared_events::reservation::{BreakReason, RefusalReason, ReleaseReason, WantedLine};
use shared_events::{Epoch, Location, Sequence, StoreId, Timestamp};

use super::reservations::{reservation as id, sku};
use super::{TRACE, time};

/// When a reservation's record is written: a header tells it, for routers, and the data does not.
pub(crate) fn written_at() -> Timestamp {
    time("2026-11-21T11:45:00.500Z")
}

/// Everything that can be said of a reservation; no single one has been through all of it.
pub(crate) fn reservation() -> Reservation {
    Reservation {
        reservation_id: id(),
        order_id: "web/2026#000451".parse().expect("valid"),
        owner: Some("web-shop".parse().expect("valid")),
        state: ReservationState::Released,
        created_at: time("2026-11-21T09:30:00.000Z"),
        expires_at: time("2026-11-21T11:30:00.250Z"),
        store_id: Some(store("north.7")),
        near: Some(Location::from_degrees(52.520_008, -13.4).expect("on the earth")),
        allow_split: true,
        line_count: 4,
        lines: vec![line(1, "Käse 5 kg", 5), line(2, "ABC-1", 1)],
        allocations: allocations(),
        commands: 5,
        confirmed_at: Some(time("2026-11-21T09:30:01.000Z")),
        closed: Some(CloseReason::Expired),
        short: true,
        revision: 1_790_000_000_015,
        rebuilt: true,
        traceparent: Some(TRACE.to_owned()),
        history: asking().into_iter().chain(answers()).chain(ending()).collect(),
    }
}

/// A reservation that was just made.
pub(crate) fn minimal() -> Reservation {
    Reservation {
        reservation_id: "c1.8".parse().expect("valid"),
        order_id: "7".parse().expect("valid"),
        owner: None,
        state: ReservationState::Requested,
        created_at: time("2026-11-21T09:30:00.000Z"),
        expires_at: time("2026-11-21T09:30:00.001Z"),
        store_id: None,
        near: None,
        allow_split: false,
        line_count: 1,
        lines: vec![line(1, "ABC-1", 1)],
        allocations: Vec::new(),
        commands: 0,
        confirmed_at: None,
        closed: None,
        short: false,
        revision: 1_790_000_000_000,
        rebuilt: false,
        traceparent: None,
        history: vec![step(Transition::Requested, ReservationState::Requested)],
    }
}

fn store(text: &str) -> StoreId {
    text.parse().expect("valid")
}

fn line(line: u32, name: &str, quantity: i64) -> ReservationLine {
    ReservationLine { line, sku: sku(name), quantity }
}

fn step(transition: Transition, state: ReservationState) -> Step {
    Step { at: time("2026-11-21T09:30:00.007Z"), transition, state }
}

fn overdue() -> Timestamp {
    time("2026-11-21T09:30:05.000Z")
}

/// One that is not answered, and one that was refused.
fn allocations() -> Vec<LedgerAllocation> {
    let asked = LedgerAllocation {
        attempt: 1,
        store_id: store("north.7"),
        line: 1,
        sku: sku("Käse 5 kg"),
        quantity: 3,
        state: AllocationState::Asked,
        reason: None,
        available: None,
        command: 1,
        sent: 2,
        answer_by: Some(overdue()),
        epoch: Epoch::ZERO,
        sequence: Sequence::ZERO,
    };
    let refused = LedgerAllocation {
        attempt: 2,
        store_id: store("south_2"),
        line: 2,
        sku: sku("ABC-1"),
        quantity: 1,
        state: AllocationState::Refused,
        reason: Some(Reason::InsufficientStock),
        available: Some(0),
        command: 5,
        sent: 1,
        answer_by: None,
        epoch: Epoch::new(2),
        sequence: Sequence::new(1_041),
    };
    vec![asked, refused]
}

fn asking() -> [Step; 5] {
    let wanted = vec![
        WantedLine { line: 1, sku: sku("Käse 5 kg"), quantity: 3, line_quantity: 5 },
        WantedLine { line: 2, sku: sku("ABC-1"), quantity: 1, line_quantity: 1 },
    ];
    let (store_id, answer_by) = (store("north.7"), overdue());
    let asked = Transition::Asked { attempt: 1, store_id: store_id.clone(), wanted, answer_by };
    let withdrawn = Transition::Withdrawn {
        command: 2,
        attempt: 1,
        store_id,
        reason: ReleaseReason::TimedOut,
        answer_by,
    };
    [
        step(Transition::Requested, ReservationState::Requested),
        step(Transition::Rebuilt, ReservationState::Requested),
        step(asked, ReservationState::Requested),
        step(Transition::SentAgain { command: 1, answer_by }, ReservationState::Requested),
        step(withdrawn, ReservationState::Resourcing),
    ]
}

fn answers() -> [Step; 5] {
    let answered = |answer, state| {
        let answered = Transition::Answered {
            event_id: "north.7/2/1041".parse().expect("valid"),
            attempt: 1,
            line: 1,
            sku: sku("Käse 5 kg"),
            quantity: 3,
            line_quantity: 5,
            answer,
        };
        step(answered, state)
    };
    let refused = Answer::Refused { reason: RefusalReason::InsufficientStock, available: 2 };
    [
        answered(Answer::Reserved, ReservationState::Confirmed),
        answered(refused, ReservationState::Rejected),
        answered(Answer::Broken { reason: BreakReason::NotFound }, ReservationState::Short),
        answered(Answer::Fulfilled, ReservationState::Fulfilled),
        answered(Answer::Released { reason: ReleaseReason::Expired }, ReservationState::Released),
    ]
}

fn ending() -> [Step; 6] {
    let (store_id, answer_by) = (store("north.7"), overdue());
    let skus = vec![sku("Käse 5 kg"), sku("ABC-1")];
    let fulfilling = Transition::Fulfilling {
        command: 3,
        attempt: 1,
        store_id: store_id.clone(),
        skus: skus.clone(),
        answer_by,
    };
    let releasing = Transition::Releasing {
        command: 4,
        attempt: 1,
        store_id: store_id.clone(),
        skus,
        reason: ReleaseReason::Incomplete,
        answer_by,
    };
    let short = Shortfall { line: 2, sku: sku("ABC-1"), requested: 1, available: 0 };
    let rejected = Transition::Closed { reason: CloseReason::Rejected, lines: vec![short.clone()] };
    let short = Transition::Short { lines: vec![short] };
    let cancelled = Transition::Closed { reason: CloseReason::Cancelled, lines: Vec::new() };
    [
        step(fulfilling, ReservationState::Confirmed),
        step(releasing, ReservationState::Confirmed),
        step(short, ReservationState::Short),
        step(rejected, ReservationState::Rejected),
        step(cancelled, ReservationState::Released),
        step(Transition::Lapsed { attempt: 1, store_id }, ReservationState::Released),
    ]
}
