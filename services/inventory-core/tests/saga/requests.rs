//! What callers ask of a reservation, and when they are told no.

use inventory_core::saga::is_settled;
use inventory_core::saga::requests::Illegal::{
    Ended, HandingOver, NotConfirmed, NotKept, UnknownItem,
};
use shared_events::StoreCommand;
use shared_events::ledger::ReservationState::{
    Confirmed, Fulfilled, Rejected, Released, Requested, Resourcing, Short,
};
use shared_events::reservation::BreakReason::Sold;
use shared_events::reservation::ReleaseReason::{Cancelled, Expired};
use shared_events::reservation::{FulfilReservation, ReleaseReservation};

use crate::support::{Saga, TTL, given, sku};
use crate::words::{broken, handed_over, refused, released, reserved};

/// Two items, each kept by another store.
fn confirmed() -> Saga {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2)])
        .asked("B", &[("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .hears(reserved("B", 2, "Y"))
        .stands(Confirmed)
}

#[test]
fn cancelling_before_anybody_was_asked_ends_it_at_once() {
    given(&[("X", 2)])
        .cancelled()
        .stands(Released)
        .rests()
        .misses(&[])
        .ended(true)
        .cancelled_again();
}

#[test]
fn cancelling_what_is_asked_is_undone_behind_the_ask_without_waiting_for_its_time() {
    given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .cancelled()
        .stands(Released)
        .acts(&["2: withdraw A1, Cancelled"])
        .holds(2)
        .misses(&[])
        .ended(false)
        .hears(reserved("A", 1, "X"))
        .stands(Released)
        .rests()
        .hears(released("A", 1, "X", Cancelled))
        .stands(Released)
        .ended(true);
}

#[test]
fn a_refusal_after_cancelling_is_as_good_as_a_release() {
    given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .cancelled()
        .acts(&["2: withdraw A1, Cancelled"])
        .hears(refused("A", 1, "X"))
        .stands(Released)
        .ended(true);
}

#[test]
fn cancelling_a_half_kept_ask_lets_both_halves_go() {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .cancelled()
        .acts(&["2: withdraw A1, Cancelled", "3: release A1 X, Cancelled"])
        .has(&["A1 X2 Releasing", "A1 Y1 Withdrawn"])
        .hears(reserved("A", 1, "Y"))
        .rests()
        .hears(released("A", 1, "Y", Cancelled))
        .hears(released("A", 1, "X", Cancelled))
        .ended(true);
}

#[test]
fn cancelling_what_is_kept_tells_each_store_to_let_go() {
    let saga = confirmed()
        .cancelled()
        .stands(Released)
        .acts(&["3: release A1 X, Cancelled", "4: release B2 Y, Cancelled"])
        .cancelled_again()
        .hears(released("A", 1, "X", Cancelled))
        .ended(false)
        .hears(released("B", 2, "Y", Cancelled))
        .ended(true)
        .stands(Released);
    let release = ReleaseReservation {
        reservation_id: "c1.r1".parse().unwrap(),
        attempt: 2,
        skus: vec![sku("Y")],
        reason: Cancelled,
    };
    assert_eq!(saga.command(4), ("B", &StoreCommand::Release(release)));
}

#[test]
fn cancelling_what_is_short_lets_the_rest_go() {
    confirmed()
        .hears(broken("A", 1, "X", Sold))
        .unsourced("X", 2, 0)
        .stands(Short)
        .cancelled()
        .acts(&["3: release B2 Y, Cancelled"])
        .hears(released("B", 2, "Y", Cancelled))
        .ended(true);
}

#[test]
fn what_is_being_handed_over_cannot_be_cancelled() {
    confirmed()
        .fulfilled(&["X"], &["3: hand over A1 X"])
        .cancel_refused(HandingOver { state: Confirmed })
        .hears(handed_over("A", 1, "X"))
        // The rest can.
        .cancelled()
        .acts(&["4: release B2 Y, Cancelled"])
        .hears(released("B", 2, "Y", Cancelled))
        .stands(Released)
        .ended(true);
}

#[test]
fn what_has_ended_cannot_be_cancelled() {
    confirmed()
        .fulfilled(&[], &["3: hand over A1 X", "4: hand over B2 Y"])
        .hears(handed_over("A", 1, "X"))
        .hears(handed_over("B", 2, "Y"))
        .cancel_refused(Ended { state: Fulfilled })
        .at(TTL)
        .cancel_refused(Ended { state: Fulfilled });
    given(&[("X", 2)])
        .unsourced("X", 2, 1)
        .stands(Rejected)
        .cancel_refused(Ended { state: Rejected })
        .at(TTL)
        .cancel_refused(Ended { state: Rejected });
}

#[test]
fn a_fulfilled_reservation_had_each_store_told_once() {
    let saga = confirmed()
        .fulfilled(&[], &["3: hand over A1 X", "4: hand over B2 Y"])
        .stands(Confirmed)
        .rests();
    assert!(!is_settled(&saga.it), "what comes of it is not known yet");
    let fulfil = FulfilReservation {
        reservation_id: "c1.r1".parse().unwrap(),
        attempt: 1,
        skus: vec![sku("X")],
    };
    assert_eq!(saga.command(3), ("A", &StoreCommand::Fulfil(fulfil)));
    let saga = saga
        // Told already.
        .fulfilled(&[], &[])
        .hears(handed_over("B", 2, "Y"))
        .stands(Confirmed)
        .fulfilled(&[], &[])
        .hears(handed_over("A", 1, "X"))
        .stands(Fulfilled)
        .fulfilled(&[], &[])
        .at(TTL)
        .stands(Fulfilled)
        .fulfilled(&["Y"], &[])
        .rests()
        .ended(true);
    assert!(is_settled(&saga.it));
}

#[test]
fn items_can_be_handed_over_one_by_one() {
    confirmed()
        .fulfilled(&["Y"], &["3: hand over B2 Y"])
        .hears(handed_over("B", 2, "Y"))
        .stands(Confirmed)
        .fulfilled(&["Y"], &[])
        .fulfilled(&["X", "Y", "X"], &["4: hand over A1 X"])
        .hears(handed_over("A", 1, "X"))
        .stands(Fulfilled);
}

#[test]
fn a_line_in_two_stores_is_handed_over_by_both() {
    given(&[("X", 5)])
        .asked("A", &[("X", 3)])
        .asked("B", &[("X", 2)])
        .hears(reserved("A", 1, "X"))
        .hears(reserved("B", 2, "X"))
        .fulfilled(&["X"], &["3: hand over A1 X", "4: hand over B2 X"])
        .hears(handed_over("A", 1, "X"))
        .stands(Confirmed)
        .hears(handed_over("B", 2, "X"))
        .stands(Fulfilled);
}

#[test]
fn what_was_never_confirmed_cannot_be_fetched() {
    given(&[("X", 2), ("Y", 1)])
        .fulfil_refused(&[], NotConfirmed { state: Requested })
        .asked("A", &[("X", 2)])
        .asked("B", &[("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .fulfil_refused(&[], NotConfirmed { state: Requested })
        // Not even the line that is kept: the customer was promised nothing yet.
        .fulfil_refused(&["X"], NotConfirmed { state: Requested });
}

#[test]
fn while_something_is_missing_what_is_kept_can_be_fetched() {
    let broken = confirmed().hears(broken("A", 1, "X", Sold));
    broken
        .clone()
        .fulfil_refused(&[], NotKept { state: Resourcing, sku: sku("X") })
        .fulfil_refused(&["Y", "X"], NotKept { state: Resourcing, sku: sku("X") })
        .fulfilled(&["Y"], &["3: hand over B2 Y"]);
    broken
        .unsourced("X", 2, 1)
        .fulfil_refused(&["X"], NotKept { state: Short, sku: sku("X") })
        .fulfilled(&["Y"], &["3: hand over B2 Y"]);
}

#[test]
fn what_is_asked_again_is_not_kept_yet() {
    confirmed()
        .hears(broken("A", 1, "X", Sold))
        .asked("A", &[("X", 2)])
        .fulfil_refused(&["X"], NotKept { state: Resourcing, sku: sku("X") });
}

#[test]
fn what_has_ended_cannot_be_fetched() {
    confirmed().cancelled().fulfil_refused(&[], Ended { state: Released });
    given(&[("X", 2)]).unsourced("X", 2, 1).fulfil_refused(&[], Ended { state: Rejected });
}

#[test]
fn an_item_it_does_not_have_cannot_be_fetched() {
    confirmed()
        .fulfil_refused(&["X", "Z"], UnknownItem { sku: sku("Z") })
        .fulfil_refused(&["x"], UnknownItem { sku: sku("x") });
}

#[test]
fn its_time_is_over_exactly_when_it_is_over() {
    confirmed().at(TTL - 1).stands(Confirmed).rests().fulfilled(&["X"], &["3: hand over A1 X"]);
    // Nobody has noticed yet, and still:
    confirmed()
        .at(TTL)
        .stands(Released)
        .fulfil_refused(&[], Ended { state: Released })
        .cancelled_again()
        .acts(&["close, Expired", "3: release A1 X, Expired", "4: release B2 Y, Expired"])
        .cancelled_again()
        .hears(released("A", 1, "X", Expired))
        .hears(released("B", 2, "Y", Expired))
        .ended(true);
}

#[test]
fn a_hand_over_that_began_in_time_may_end_behind_it() {
    let late = confirmed()
        .at(TTL - 1)
        .fulfilled(&[], &["3: hand over A1 X", "4: hand over B2 Y"])
        .at(TTL)
        // The stores are not told otherwise: they decide.
        .acts(&["close, Expired"])
        .stands(Released)
        .cancel_refused(HandingOver { state: Released });
    late.clone()
        .hears(handed_over("A", 1, "X"))
        .hears(handed_over("B", 2, "Y"))
        .stands(Fulfilled)
        .ended(true);
    late.hears(handed_over("A", 1, "X"))
        .hears(released("B", 2, "Y", Expired))
        .stands(Released)
        .misses(&[])
        .ended(true);
}
