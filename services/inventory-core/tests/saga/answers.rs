//! What stores say, in whatever order it is heard: the store decides, and nothing counts twice.

use shared_events::StoreCommand;
use shared_events::ledger::ReservationState::{Confirmed, Fulfilled, Rejected, Requested};
use shared_events::reservation::BreakReason::Sold;
use shared_events::reservation::ReleaseReason::{Incomplete, TimedOut};
use shared_events::reservation::{Binding, ReserveStock, WantedLine};

use crate::support::{TTL, given, given_together, noon, sku};
use crate::words::{broken, handed_over, refused, released, reserved};

#[test]
fn a_store_is_asked_for_its_part_and_told_how_large_the_whole_is() {
    let saga = given(&[("X", 5), ("Y", 1)]).asked("A", &[("X", 3), ("Y", 1)]).misses(&[("X", 2)]);
    let wanted = |line, name, quantity, line_quantity| {
        let sku = sku(name);
        WantedLine { line, sku, quantity, line_quantity }
    };
    let ask = ReserveStock {
        reservation_id: "c1.r1".parse().unwrap(),
        order_id: "web-1".parse().unwrap(),
        attempt: 1,
        lines: 2,
        expires_at: noon().plus_millis(TTL),
        binding: Binding::Any,
        wanted: vec![wanted(1, "X", 3, 5), wanted(2, "Y", 1, 1)],
    };
    assert_eq!(saga.command(1), ("A", &StoreCommand::Reserve(ask)));
}

#[test]
fn a_reservation_is_confirmed_once_when_all_lines_are_kept() {
    let saga = given(&[("X", 2), ("Y", 1)])
        .stands(Requested)
        .misses(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .stands(Requested)
        .misses(&[])
        .holds(3)
        .hears(reserved("A", 1, "X"))
        .stands(Requested)
        .holds(1)
        .later(7)
        .hears(reserved("A", 1, "Y"))
        .stands(Confirmed)
        .holds(0)
        .rests()
        .ended(false);
    assert_eq!(saga.it.confirmed_at, Some(noon().plus_millis(7)));
    assert_eq!(saga.became(Confirmed), 1);
}

#[test]
fn parts_of_a_line_in_several_stores_are_a_whole_only_together() {
    given(&[("X", 5)])
        .asked("A", &[("X", 3)])
        .asked("B", &[("X", 2)])
        .misses(&[])
        .hears(reserved("B", 2, "X"))
        .stands(Requested)
        .hears(reserved("A", 1, "X"))
        .stands(Confirmed)
        .has(&["A1 X3 Reserved", "B2 X2 Reserved"]);
}

#[test]
fn a_refusal_of_one_line_ends_the_whole_ask_and_nothing_else() {
    given(&[("X", 2), ("Y", 1), ("Z", 4)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .asked("B", &[("Z", 4)])
        .hears(refused("A", 1, "Y"))
        .has(&["A1 X2 NotKept", "A1 Y1 Refused", "B2 Z4 Asked"])
        .misses(&[("X", 2), ("Y", 1)])
        .holds(4)
        .rests()
        // What it did not have it is not asked for again; the other line was no failure of its.
        .asks_again("A", "Y", false)
        .asks_again("A", "X", true)
        .stands(Requested);
}

#[test]
fn what_no_store_can_keep_is_rejected_and_the_rest_let_go() {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2)])
        .asked("B", &[("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .hears(refused("B", 2, "Y"))
        .unsourced("Y", 1, 0)
        .stands(Rejected)
        .misses(&[])
        .ended(false)
        .acts(&["3: release A1 X, Incomplete"])
        .hears(released("A", 1, "X", Incomplete))
        .stands(Rejected)
        .ended(true);
}

#[test]
fn an_ask_that_was_not_answered_in_time_is_undone_behind_itself_and_stays_a_hold() {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .rests()
        .when_due()
        .acts(&["2: withdraw A1, TimedOut"])
        .has(&["A1 X2 Withdrawn", "A1 Y1 Withdrawn"])
        .holds(3)
        .misses(&[("X", 2), ("Y", 1)])
        .asks_again("A", "X", false)
        .asked("B", &[("X", 2), ("Y", 1)])
        .holds(6)
        .hears(reserved("B", 3, "X"))
        .hears(reserved("B", 3, "Y"))
        .stands(Confirmed)
        .holds(3);
}

#[test]
fn a_late_yes_is_undone_by_the_release_that_is_under_way() {
    let saga = given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .when_due()
        .acts(&["2: withdraw A1, TimedOut"])
        .hears(reserved("A", 1, "X"))
        .has(&["A1 X2 Releasing", "A1 Y1 Withdrawn"])
        .misses(&[("X", 2), ("Y", 1)])
        // The same command does for both: nothing new is sent.
        .rests()
        .holds(1)
        .hears(reserved("A", 1, "Y"))
        .rests()
        .holds(0)
        .hears(released("A", 1, "X", TimedOut))
        .hears(released("A", 1, "Y", TimedOut))
        .has(&["A1 X2 Released", "A1 Y1 Released"])
        .stands(Requested)
        .misses(&[("X", 2), ("Y", 1)]);
    assert_eq!(saga.told.len(), 2);
}

#[test]
fn a_late_no_leaves_nothing_to_undo() {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .when_due()
        .acts(&["2: withdraw A1, TimedOut"])
        .hears(refused("A", 1, "X"))
        .has(&["A1 X2 Refused", "A1 Y1 NotKept"])
        .holds(0)
        .at(TTL - 1)
        .rests();
}

#[test]
fn a_store_that_has_answered_one_line_of_an_ask_is_waited_for() {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .hears(reserved("A", 1, "Y"))
        .later(3_600)
        .rests()
        .at(TTL - 1)
        .rests()
        .holds(2)
        .hears(reserved("A", 1, "X"))
        .stands(Confirmed);
}

#[test]
fn another_asks_answer_does_not_save_an_ask_from_its_timeout() {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2)])
        .asked("B", &[("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .when_due()
        .acts(&["3: withdraw B2, TimedOut"])
        .misses(&[("Y", 1)]);
}

#[test]
fn what_is_heard_again_or_too_late_changes_nothing() {
    given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .hears(reserved("A", 1, "X").from(1, 5))
        .ignores(reserved("A", 1, "X").from(1, 5))
        .hears(broken("A", 1, "X", Sold).from(1, 9))
        .ignores(reserved("A", 1, "X").from(1, 5))
        .ignores(handed_over("A", 1, "X").from(1, 8))
        // A restored journal begins anew: its life counts before its place.
        .hears(released("A", 1, "X", TimedOut).from(2, 1))
        .ignores(reserved("A", 1, "X").from(1, 700))
        .has(&["A1 X2 Released"])
        .misses(&[("X", 2)]);
}

#[test]
fn the_end_of_a_promise_may_be_heard_before_its_beginning() {
    given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .hears(handed_over("A", 1, "X").from(1, 6))
        .ignores(reserved("A", 1, "X").from(1, 5))
        .stands(Fulfilled)
        .ended(true);
    given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .when_due()
        .acts(&["2: withdraw A1, TimedOut"])
        .hears(released("A", 1, "X", TimedOut).from(1, 6))
        .ignores(reserved("A", 1, "X").from(1, 5))
        .has(&["A1 X2 Released"])
        .at(TTL - 1)
        .rests();
}

#[test]
fn units_of_a_store_that_was_not_asked_are_let_go_and_never_count() {
    given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .hears(reserved("B", 1, "X"))
        .stands(Requested)
        .acts(&["2: release B1 X, TimedOut"])
        .hears(reserved("A", 1, "X"))
        .stands(Confirmed)
        .hears(released("B", 1, "X", TimedOut))
        .stands(Confirmed)
        .has(&["A1 X2 Reserved", "B1 X2 Released"]);
}

#[test]
fn units_of_an_ask_nobody_made_are_let_go_and_never_count() {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2)])
        .hears(reserved("A", 7, "X"))
        .hears(reserved("A", 1, "Y"))
        .stands(Requested)
        .misses(&[("Y", 1)])
        .acts(&["8: release A7 X, TimedOut", "9: release A1 Y, TimedOut"])
        .hears(reserved("A", 1, "X"))
        .stands(Requested)
        .has(&["A1 X2 Reserved", "A7 X2 Releasing", "A1 Y1 Releasing"]);
}

#[test]
fn another_number_of_units_than_was_asked_is_let_go_and_never_counts() {
    for units in [1, 3] {
        given(&[("X", 2)])
            .asked("A", &[("X", 2)])
            .hears(reserved("A", 1, "X").of(units))
            .stands(Requested)
            .misses(&[("X", 2)])
            .acts(&["2: release A1 X, TimedOut"])
            .asks_again("A", "X", false)
            .hears(released("A", 1, "X", TimedOut).of(units))
            .misses(&[("X", 2)]);
    }
}

#[test]
fn a_refusal_by_a_store_that_was_not_asked_changes_nothing_that_is_kept() {
    given_together(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .hears(refused("B", 1, "X"))
        .hears(refused("A", 4, "X"))
        .stands(Requested)
        .rests()
        .hears(reserved("A", 1, "X"))
        .stands(Confirmed)
        .rests();
}
