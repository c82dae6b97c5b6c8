//! Promises that break after the customer was told of them.

use shared_events::ledger::ReservationState::{
    Confirmed, Fulfilled, Released, Requested, Resourcing, Short,
};
use shared_events::ledger::{Answer, Shortfall, Transition};
use shared_events::reservation::BreakReason::{Damaged, NotFound, Recounted, Sold};
use shared_events::reservation::ReleaseReason;

use inventory_core::saga::requests::{Illegal, unsourced};

use crate::support::{Saga, TTL, given, sku};
use crate::words::{broken, handed_over, refused, released, reserved};

/// Two items, both kept by one store.
fn confirmed() -> Saga {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .hears(reserved("A", 1, "Y"))
        .stands(Confirmed)
}

#[test]
fn a_broken_promise_is_looked_for_elsewhere_and_the_rest_is_kept() {
    let saga = confirmed();
    let first = saga.it.confirmed_at;
    let saga = saga
        .later(60_000)
        .hears(broken("A", 1, "X", Sold))
        .stands(Resourcing)
        .misses(&[("X", 2)])
        .rests()
        .asked("B", &[("X", 2)])
        .stands(Resourcing)
        .misses(&[])
        .hears(reserved("B", 2, "X"))
        .stands(Confirmed)
        .has(&["A1 X2 Broken", "A1 Y1 Reserved", "B2 X2 Reserved"]);
    assert_eq!(saga.it.confirmed_at, first, "when it was first kept stays");
}

#[test]
fn a_shortfall_is_told_once_and_again_only_when_more_breaks() {
    let short = confirmed()
        .hears(broken("A", 1, "X", Sold))
        .unsourced("X", 2, 1)
        .stands(Short)
        .misses(&[("X", 2)]);
    let told = Transition::Short {
        lines: vec![Shortfall { line: 1, sku: sku("X"), requested: 2, available: 1 }],
    };
    assert_eq!(short.it.history.last().map(|step| &step.transition), Some(&told));
    assert_eq!(unsourced(&short.it, Vec::new()), None, "told already");
    let short = short.later(60_000).rests();
    assert_eq!(unsourced(&short.it, Vec::new()), None, "still told already");
    short
        .hears(broken("A", 1, "Y", Recounted))
        .stands(Resourcing)
        .misses(&[("X", 2), ("Y", 1)])
        .unsourced("X", 2, 1)
        .stands(Short);
}

#[test]
fn what_was_short_may_be_found_again() {
    let saga = confirmed()
        .hears(broken("A", 1, "X", Sold))
        .unsourced("X", 2, 0)
        .later(60_000)
        .asked("B", &[("X", 2)])
        .stands(Resourcing)
        .hears(reserved("B", 2, "X"))
        .stands(Confirmed)
        .rests();
    assert_eq!(saga.became(Short), 1);
}

#[test]
fn a_store_that_was_asked_in_vain_leaves_it_short_again() {
    confirmed()
        .hears(broken("A", 1, "X", Sold))
        .unsourced("X", 2, 0)
        .asked("B", &[("X", 2)])
        .hears(refused("B", 2, "X"))
        .stands(Resourcing)
        .misses(&[("X", 2)])
        .asks_again("B", "X", false)
        .unsourced("X", 2, 0)
        .stands(Short)
        .asked("C", &[("X", 2)])
        .when_due()
        .acts(&["4: withdraw C3, TimedOut"])
        .stands(Resourcing)
        .misses(&[("X", 2)]);
}

#[test]
fn a_short_reservation_ends_in_time_like_any_other() {
    confirmed()
        .hears(broken("A", 1, "X", Sold))
        .unsourced("X", 2, 0)
        .at(TTL)
        .stands(Released)
        .acts(&["close, Expired", "2: release A1 Y, Expired"])
        .misses(&[])
        .hears(released("A", 1, "Y", ReleaseReason::Expired))
        .ended(true);
}

#[test]
fn staff_who_found_nothing_are_not_sent_again_but_a_walk_in_customer_is_no_failure() {
    for (reason, again) in [(Sold, true), (Recounted, true), (NotFound, false), (Damaged, false)] {
        confirmed()
            .hears(broken("A", 1, "X", reason))
            .asks_again("A", "X", again)
            .asks_again("A", "Y", true)
            .asks_again("B", "X", true);
    }
}

#[test]
fn a_store_may_keep_again_what_a_walk_in_took_from_it() {
    confirmed()
        .hears(broken("A", 1, "X", Sold))
        .asked("A", &[("X", 2)])
        .hears(reserved("A", 2, "X"))
        .stands(Confirmed)
        .has(&["A1 X2 Broken", "A1 Y1 Reserved", "A2 X2 Reserved"])
        .hears(broken("A", 2, "X", NotFound))
        .asks_again("A", "X", false);
}

#[test]
fn a_part_that_breaks_is_all_that_is_missing() {
    given(&[("X", 5)])
        .asked("A", &[("X", 3)])
        .asked("B", &[("X", 2)])
        .hears(reserved("A", 1, "X"))
        .hears(reserved("B", 2, "X"))
        .hears(broken("B", 2, "X", Damaged))
        .misses(&[("X", 2)])
        .stands(Resourcing);
}

#[test]
fn a_promise_that_breaks_before_the_rest_is_kept_was_never_told_to_the_customer() {
    let saga = given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2)])
        .asked("B", &[("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .hears(broken("A", 1, "X", Sold))
        .hears(reserved("B", 2, "Y"))
        .stands(Requested)
        .misses(&[("X", 2)])
        .rests();
    assert_eq!(saga.it.confirmed_at, None);
    assert_eq!(saga.became(Confirmed), 0);
}

#[test]
fn what_breaks_while_it_is_handed_over_is_missing() {
    confirmed()
        .fulfilled(&[], &["2: hand over A1 X Y"])
        .hears(handed_over("A", 1, "Y"))
        .hears(broken("A", 1, "X", NotFound))
        .stands(Resourcing)
        .misses(&[("X", 2)])
        .fulfil_refused(&[], Illegal::NotKept { state: Resourcing, sku: sku("X") })
        .rests()
        .asked("B", &[("X", 2)])
        .hears(reserved("B", 3, "X"))
        .stands(Confirmed)
        .fulfilled(&[], &["4: hand over B3 X"])
        .hears(handed_over("B", 3, "X"))
        .stands(Fulfilled)
        .ended(true);
}

#[test]
fn a_release_that_finds_nothing_more_ends_by_what_is_heard() {
    let saga = confirmed()
        .cancelled()
        .acts(&["2: release A1 X Y, Cancelled"])
        .hears(broken("A", 1, "X", Sold))
        .hears(released("A", 1, "Y", ReleaseReason::Cancelled))
        .stands(Released)
        .misses(&[])
        .ended(true);
    let last = saga.it.history.last().map(|step| &step.transition);
    let answer = Answer::Released { reason: ReleaseReason::Cancelled };
    assert!(matches!(last, Some(Transition::Answered { answer: said, .. }) if *said == answer));
}
