//! Whatever a centre may tell of its reservations.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use shared_events::ledger::{
    AllocationState, Answer, CloseReason, LedgerAllocation, Reason, Reservation, ReservationLine,
    ReservationState, Shortfall, Step, Transition,
};
use shared_events::reservation::{MAX_LINES, WantedLine};
use shared_events::{Epoch, Sequence};

use super::{
    allocation, break_reason, event_id, level, location, order_id, position, refusal_reason,
    release_reason, reservation_id, reserve, sku, store, subject, time, traceparent,
};

fn state() -> impl Strategy<Value = ReservationState> {
    use ReservationState::{
        Confirmed, Fulfilled, Rejected, Released, Requested, Resourcing, Short,
    };
    select(&[Requested, Confirmed, Resourcing, Short, Fulfilled, Released, Rejected][..])
}

fn close_reason() -> impl Strategy<Value = CloseReason> {
    select(&[CloseReason::Cancelled, CloseReason::Expired, CloseReason::Rejected][..])
}

fn allocation_state() -> impl Strategy<Value = AllocationState> {
    use AllocationState::{
        Asked, Broken, Fulfilled, Fulfilling, Lapsed, NotKept, Refused, Released, Releasing,
        Reserved, Stray, Withdrawn,
    };
    let open = [Asked, Withdrawn, Reserved, Stray, Fulfilling, Releasing];
    let closed = [Refused, NotKept, Released, Fulfilled, Broken, Lapsed];
    select([open, closed].concat())
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        refusal_reason().prop_map(Reason::from),
        release_reason().prop_map(Reason::from),
        break_reason().prop_map(Reason::from),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Reserved),
        (refusal_reason(), level())
            .prop_map(|(reason, available)| Answer::Refused { reason, available }),
        release_reason().prop_map(|reason| Answer::Released { reason }),
        Just(Answer::Fulfilled),
        break_reason().prop_map(|reason| Answer::Broken { reason }),
    ]
}

fn line() -> impl Strategy<Value = ReservationLine> {
    allocated().prop_map(|WantedLine { line, sku, line_quantity, .. }| {
        let quantity = line_quantity;
        ReservationLine { line, sku, quantity }
    })
}

/// One line of an ask.
fn allocated() -> impl Strategy<Value = WantedLine> {
    (allocation(), sku()).prop_map(|(allocation, sku)| WantedLine {
        line: allocation.line,
        sku,
        quantity: allocation.quantity,
        line_quantity: allocation.line_quantity,
    })
}

fn ledger_allocation() -> impl Strategy<Value = LedgerAllocation> {
    let heard = prop_oneof![Just((0, 0)), (position(), position())];
    let why = (allocation_state(), option::of(reason()), option::of(level()));
    let command = (1..=u32::MAX, 1..=u32::MAX, option::of(time()));
    (1..=u32::MAX, store(), allocated(), why, command, heard).prop_map(
        |(attempt, store_id, asked, (state, reason, available), command, (epoch, sequence))| {
            let (command, sent, answer_by) = command;
            LedgerAllocation {
                attempt,
                store_id,
                line: asked.line,
                sku: asked.sku,
                quantity: asked.quantity,
                state,
                reason,
                available,
                command,
                sent,
                answer_by,
                epoch: Epoch::new(epoch),
                sequence: Sequence::new(sequence),
            }
        },
    )
}

/// What a centre does by a command: its number, the ask, the store and when an answer is overdue.
fn commanding() -> impl Strategy<Value = Transition> {
    let command = || (1..=u32::MAX, 1..=u32::MAX, store(), time());
    let skus = || vec(sku(), 1..3);
    prop_oneof![
        (command(), reserve()).prop_map(|((_, attempt, store_id, answer_by), reserve)| {
            Transition::Asked { attempt, store_id, wanted: reserve.wanted, answer_by }
        }),
        (command(), release_reason()).prop_map(|(command, reason)| {
            let (command, attempt, store_id, answer_by) = command;
            Transition::Withdrawn { command, attempt, store_id, reason, answer_by }
        }),
        (command(), skus(), release_reason()).prop_map(|(command, skus, reason)| {
            let (command, attempt, store_id, answer_by) = command;
            Transition::Releasing { command, attempt, store_id, skus, reason, answer_by }
        }),
        (command(), skus()).prop_map(|((command, attempt, store_id, answer_by), skus)| {
            Transition::Fulfilling { command, attempt, store_id, skus, answer_by }
        }),
        command().prop_map(|(command, _, _, answer_by)| {
            Transition::SentAgain { command, answer_by }
        }),
    ]
}

fn answered() -> impl Strategy<Value = Transition> {
    (event_id(), 1..=u32::MAX, allocated(), answer()).prop_map(
        |(event_id, attempt, WantedLine { line, sku, quantity, line_quantity }, answer)| {
            Transition::Answered { event_id, attempt, line, sku, quantity, line_quantity, answer }
        },
    )
}

fn shortfall() -> impl Strategy<Value = Shortfall> {
    (line(), level()).prop_map(|(ReservationLine { line, sku, quantity }, available)| Shortfall {
        line,
        sku,
        requested: quantity,
        available,
    })
}

fn transition() -> impl Strategy<Value = Transition> {
    prop_oneof![
        1 => Just(Transition::Requested),
        1 => Just(Transition::Rebuilt),
        5 => commanding(),
        5 => answered(),
        1 => (close_reason(), vec(shortfall(), 0..3))
            .prop_map(|(reason, lines)| Transition::Closed { reason, lines }),
        1 => vec(shortfall(), 0..3).prop_map(|lines| Transition::Short { lines }),
        1 => (1..=u32::MAX, store())
            .prop_map(|(attempt, store_id)| Transition::Lapsed { attempt, store_id }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    (time(), transition(), state()).prop_map(|(at, transition, state)| Step {
        at,
        transition,
        state,
    })
}

/// Whatever a centre may tell of a reservation.
pub(crate) fn reservation() -> impl Strategy<Value = Reservation> {
    let names = (reservation_id(), order_id(), option::of(subject()), traceparent());
    let times = (time(), time(), option::of(time()));
    let wishes = (option::of(store()), option::of(location()), any::<bool>());
    let standing = (state(), option::of(close_reason()), any::<(bool, bool)>(), any::<u32>());
    let revision = 0..=1_u64 << 53;
    let lists = (vec(line(), 0..3), vec(ledger_allocation(), 0..3), vec(step(), 0..5));
    (names, times, wishes, standing, revision, lists).prop_map(
        |(names, (created_at, expires_at, confirmed_at), wishes, standing, revision, lists)| {
            let (reservation_id, order_id, owner, traceparent) = names;
            let (store_id, near, allow_split) = wishes;
            let (state, closed, (rebuilt, short), commands) = standing;
            let (lines, allocations, history) = lists;
            Reservation {
                reservation_id,
                order_id,
                owner,
                state,
                created_at,
                expires_at,
                store_id,
                near,
                allow_split,
                line_count: MAX_LINES,
                lines,
                allocations,
                commands,
                confirmed_at,
                closed,
                short,
                revision,
                rebuilt,
                traceparent,
                history,
            }
        },
    )
}
