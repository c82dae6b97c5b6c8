//! How promises to customers are made and how they end.

use inventory_core::allocations::Ending::{Broken, Fulfilled, Released};
use inventory_core::allocations::{end, evolve_allocations, reserve};
use shared_events::reservation::BreakReason::{Damaged, NotFound, Recounted, Sold};
use shared_events::reservation::RefusalReason::{Expired, InsufficientStock};
use shared_events::reservation::ReleaseReason;
use shared_events::{Allocation, MAX_UNITS, StockEvent};

use crate::support::{
    EventDetails as _, Given, adjusted, broken, fulfilled, given, noon, order, refused, released,
    replaced, reserved, sell, shelf,
};

#[test]
fn units_kept_for_a_customer_stay_on_the_shelf_and_are_not_offered_again() {
    shelf(10, [])
        .when_asked("A", 4)
        .then([reserved(2, 10, order("A", 4)).reserving(4)])
        .has(10, 4, 6)
        .when_asked("B", 6)
        .then([reserved(3, 10, order("B", 6)).reserving(10)])
        .has(10, 10, 0)
        .keeps(["A", "B"]);
}

#[test]
fn the_last_free_unit_can_be_kept_and_not_one_more() {
    shelf(10, [("A", 4)])
        .when_asked("B", 7)
        .then([refused(order("B", 7), InsufficientStock, 6)])
        .has(10, 4, 6)
        .when_asked("B", 6)
        .then([reserved(3, 10, order("B", 6)).reserving(10)])
        .when_asked("C", 1)
        .then([refused(order("C", 1), InsufficientStock, 0)])
        .keeps(["A", "B"]);
}

#[test]
fn nothing_is_kept_of_an_item_never_seen() {
    given([]).when_asked("A", 1).then([refused(order("A", 1), InsufficientStock, 0)]).keeps([]);
}

#[test]
fn a_full_shelf_can_be_promised_whole() {
    shelf(MAX_UNITS, [])
        .when_asked("A", MAX_UNITS)
        .then([reserved(2, MAX_UNITS, order("A", MAX_UNITS)).reserving(MAX_UNITS)])
        .has(MAX_UNITS, MAX_UNITS, 0);
}

#[test]
fn an_ask_that_comes_after_its_time_is_refused_though_the_shelf_could_cover_it() {
    shelf(10, [("A", 4)])
        .when_asked_at(noon(1), "B", 2)
        .then([refused(order("B", 2), Expired, 6)])
        .when_asked_at(noon(1), "B", 7)
        .then([refused(order("B", 7), Expired, 6)])
        .when_asked_at(noon(0), "B", 2)
        .then([reserved(3, 10, order("B", 2)).reserving(6)]);
}

#[test]
fn a_refusal_is_no_version_of_the_item() {
    shelf(3, [])
        .when_asked("A", 9)
        .then([refused(order("A", 9), InsufficientStock, 3)])
        .when_asked("A", 3)
        .then([reserved(2, 3, order("A", 3)).reserving(3)]);
}

/// An ask for units of several items, and where each of the answers belongs.
fn asked<const N: usize>(wanted: [(&Given, Allocation); N]) -> Vec<(usize, StockEvent)> {
    reserve(&wanted.map(|(given, allocation)| (given.item, allocation)), noon(0))
}

#[test]
fn all_lines_of_an_ask_are_kept_together() {
    let (plenty, enough) = (shelf(10, [("Z", 1)]), shelf(2, []));
    let events = asked([(&plenty, order("A", 9)), (&enough, order("A", 2))]);
    let expected = [
        (0, reserved(3, 10, order("A", 9)).reserving(10)),
        (1, reserved(2, 2, order("A", 2)).reserving(2)),
    ];
    assert_eq!(events, expected);
}

#[test]
fn one_line_that_cannot_be_kept_leaves_all_lines_unkept() {
    let (plenty, short) = (shelf(10, []), shelf(5, [("Z", 4)]));
    let events =
        asked([(&plenty, order("A", 1)), (&short, order("A", 2)), (&plenty, order("A", 3))]);
    assert_eq!(events, [(1, refused(order("A", 2), InsufficientStock, 1))]);
}

#[test]
fn every_line_that_cannot_be_kept_is_named() {
    let (none, plenty, short) = (given([]), shelf(10, []), shelf(5, []));
    let events = asked([(&none, order("A", 1)), (&plenty, order("A", 1)), (&short, order("A", 6))]);
    let expected = [
        (0, refused(order("A", 1), InsufficientStock, 0)),
        (2, refused(order("A", 6), InsufficientStock, 5)),
    ];
    assert_eq!(events, expected);
}

#[test]
fn an_ask_after_its_time_is_refused_in_every_line() {
    let (plenty, short) = (shelf(10, []), shelf(1, []));
    let wanted = [(plenty.item, order("A", 2)), (short.item, order("A", 2))];
    let expected =
        [(0, refused(order("A", 2), Expired, 10)), (1, refused(order("A", 2), Expired, 1))];
    assert_eq!(reserve(&wanted, noon(1)), expected);
}

#[test]
fn released_units_may_be_sold_again() {
    use ReleaseReason::{Cancelled, Expired, Incomplete, TimedOut};
    for reason in [Cancelled, Expired, TimedOut, Incomplete] {
        shelf(10, [("A", 4), ("B", 6)])
            .when_ends("A", Released(reason))
            .then([released(4, 10, order("A", 4), reason).reserving(6)])
            .has(10, 6, 4)
            .keeps(["B"])
            .when_asked("C", 4)
            .then([reserved(5, 10, order("C", 4)).reserving(10)])
            .keeps(["B", "C"]);
    }
}

#[test]
fn fulfilled_units_leave_the_shelf_with_their_customer() {
    shelf(10, [("A", 4), ("B", 6)])
        .when_ends("B", Fulfilled)
        .then([fulfilled(4, -6, 4, order("B", 6)).reserving(4)])
        .has(4, 4, 0)
        .keeps(["A"])
        .when_ends("A", Fulfilled)
        .then([fulfilled(5, -4, 0, order("A", 4))])
        .has(0, 0, 0)
        .keeps([]);
}

#[test]
fn units_that_are_lost_or_damaged_leave_the_shelf_and_the_promise_is_broken() {
    for reason in [NotFound, Damaged] {
        shelf(10, [("A", 4), ("B", 3)])
            .when_ends("A", Broken(reason))
            .then([broken(4, -4, 6, order("A", 4), reason).reserving(3)])
            .has(6, 3, 3)
            .keeps(["B"]);
    }
}

#[test]
fn a_promise_that_gives_way_takes_nothing_off_the_shelf_by_itself() {
    for reason in [Sold, Recounted] {
        shelf(10, [("A", 4), ("B", 3)])
            .when_ends("A", Broken(reason))
            .then([broken(4, 0, 10, order("A", 4), reason).reserving(3)])
            .has(10, 3, 7)
            .keeps(["B"]);
    }
}

#[test]
fn an_end_is_the_end_of_one_ask_and_not_of_its_whole_reservation() {
    let (first, second) = (order("A", 4), Allocation { attempt: 2, ..order("A", 3) });
    let mut kept = vec![first.clone(), second.clone(), order("B", 1)];
    let item = shelf(10, [("Z", 8)]).item;
    for ending in [Released(ReleaseReason::TimedOut), Fulfilled, Broken(NotFound)] {
        let mut kept = kept.clone();
        evolve_allocations(&mut kept, &end(&item, &first, ending));
        assert_eq!(kept, [second.clone(), order("B", 1)]);
    }
    evolve_allocations(&mut kept, &refused(first.clone(), InsufficientStock, 0));
    evolve_allocations(&mut kept, &replaced(9, 0, 10).reserving(8));
    assert_eq!(kept, [first, second, order("B", 1)]);
}

#[test]
fn a_released_order_can_be_asked_for_again_and_is_then_the_newest() {
    shelf(10, [("A", 4), ("B", 4)])
        .when_ends("A", Released(ReleaseReason::Cancelled))
        .then([released(4, 10, order("A", 4), ReleaseReason::Cancelled).reserving(4)])
        .when_asked("A", 4)
        .then([reserved(5, 10, order("A", 4)).reserving(8)])
        .keeps(["B", "A"])
        .when(sell(2))
        .then([adjusted(6, -2, 8).reserving(8)]);
}
