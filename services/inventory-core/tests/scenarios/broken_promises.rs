//! What counts, sales and deliveries do to units that are promised: the newest promises give way,
//! and only where they must.

use shared_events::OnShortfall::{BreakReservations, RecordDiscrepancy, Reject};
use shared_events::reservation::BreakReason::{self, Recounted, Sold};
use shared_events::{MAX_UNITS, StockEvent};

use crate::support::{
    CommandDetails as _, EventDetails as _, Given, add, adjusted, broken, conflict, count,
    insufficient, order, replaced, sell, shelf, too_many,
};

#[test]
fn a_sale_that_may_be_refused_never_touches_a_promise() {
    shelf(10, [("A", 4)])
        .when(sell(7))
        .then_rejected(insufficient(7, 6, 10))
        .when(sell(7).on_shortfall(Reject))
        .then_rejected(insufficient(7, 6, 10))
        .when(sell(6))
        .then([adjusted(3, -6, 4).reserving(4)])
        .has(4, 4, 0)
        .when(sell(1))
        .then_rejected(insufficient(1, 0, 4))
        .keeps(["A"]);
}

/// Ten units on hand, nine promised to three customers.
fn three_orders() -> Given {
    shelf(10, [("A", 4), ("B", 3), ("C", 2)])
}

fn gives_way(version: u64, name: &str, units: i64, reason: BreakReason) -> StockEvent {
    broken(version, 0, 10, order(name, units), reason)
}

#[test]
fn a_customer_with_the_item_in_hand_goes_before_the_newest_promises() {
    let sold = |units| sell(units).on_shortfall(BreakReservations);
    three_orders().when(sold(1)).then([adjusted(5, -1, 9).reserving(9)]).keeps(["A", "B", "C"]);
    three_orders()
        .when(sold(2))
        .then([gives_way(5, "C", 2, Sold).reserving(7), adjusted(6, -2, 8).reserving(7)])
        .has(8, 7, 1)
        .keeps(["A", "B"]);
    three_orders()
        .when(sold(4))
        .then([
            gives_way(5, "C", 2, Sold).reserving(7),
            gives_way(6, "B", 3, Sold).reserving(4),
            adjusted(7, -4, 6).reserving(4),
        ])
        .has(6, 4, 2)
        .keeps(["A"]);
    three_orders()
        .when(sold(10))
        .then([
            gives_way(5, "C", 2, Sold).reserving(7),
            gives_way(6, "B", 3, Sold).reserving(4),
            gives_way(7, "A", 4, Sold),
            adjusted(8, -10, 0),
        ])
        .has(0, 0, 0)
        .keeps([]);
}

#[test]
fn promises_that_just_fit_are_kept() {
    three_orders()
        .when(sell(3).on_shortfall(BreakReservations))
        .then([gives_way(5, "C", 2, Sold).reserving(7), adjusted(6, -3, 7).reserving(7)])
        .has(7, 7, 0)
        .when(sell(3).on_shortfall(BreakReservations))
        .then([broken(7, 0, 7, order("B", 3), Sold).reserving(4), adjusted(8, -3, 4).reserving(4)])
        .has(4, 4, 0)
        .keeps(["A"]);
}

#[test]
fn breaking_reservations_conjures_no_units() {
    three_orders()
        .when(sell(11).on_shortfall(BreakReservations))
        .then_rejected(insufficient(11, 1, 10))
        .keeps(["A", "B", "C"]);
}

#[test]
fn a_count_below_what_is_promised_breaks_the_newest_promises() {
    three_orders().when(count(9)).then([replaced(5, -1, 9).reserving(9)]).has(9, 9, 0);
    three_orders()
        .when(count(8))
        .then([gives_way(5, "C", 2, Recounted).reserving(7), replaced(6, -2, 8).reserving(7)])
        .has(8, 7, 1)
        .keeps(["A", "B"]);
    three_orders()
        .when(count(3))
        .then([
            gives_way(5, "C", 2, Recounted).reserving(7),
            gives_way(6, "B", 3, Recounted).reserving(4),
            gives_way(7, "A", 4, Recounted),
            replaced(8, -7, 3),
        ])
        .has(3, 0, 3)
        .keeps([]);
}

#[test]
fn a_count_that_finds_more_keeps_every_promise() {
    three_orders()
        .when(count(10))
        .then([replaced(5, 0, 10).reserving(9)])
        .when(count(12))
        .then([replaced(6, 2, 12).reserving(9)])
        .has(12, 9, 3)
        .keeps(["A", "B", "C"]);
}

#[test]
fn an_empty_shelf_keeps_no_promise() {
    shelf(2, [("A", 1), ("B", 1)])
        .when(count(0))
        .then([
            broken(4, 0, 2, order("B", 1), Recounted).reserving(1),
            broken(5, 0, 2, order("A", 1), Recounted),
            replaced(6, -2, 0),
        ])
        .has(0, 0, 0)
        .keeps([]);
}

#[test]
fn a_sale_that_reaches_into_promised_units_is_no_discrepancy() {
    shelf(10, [("A", 3), ("B", 5)])
        .when(sell(5).on_shortfall(RecordDiscrepancy))
        .then([gives_way(4, "B", 5, Sold).reserving(3), adjusted(5, -5, 5).reserving(3)])
        .has(5, 3, 2)
        .when(sell(7).on_shortfall(RecordDiscrepancy))
        .then([broken(6, 0, 5, order("A", 3), Sold), adjusted(7, -5, 0).short_by(2)])
        .has(0, 0, 0)
        .keeps([]);
}

#[test]
fn no_promise_gives_way_while_free_units_suffice() {
    for choice in [Reject, BreakReservations, RecordDiscrepancy] {
        shelf(10, [("A", 2)])
            .when(sell(8).on_shortfall(choice))
            .then([adjusted(3, -8, 2).reserving(2)])
            .keeps(["A"]);
        shelf(10, [("A", 2)])
            .when(add(8).on_shortfall(choice))
            .then([adjusted(3, 8, 18).reserving(2)])
            .keeps(["A"]);
    }
}

#[test]
fn whoever_expects_a_version_expects_the_one_before_promises_give_way() {
    three_orders()
        .when(count(8).at_version(3))
        .then_rejected(conflict(3, 4))
        .when(count(8).at_version(5))
        .then_rejected(conflict(5, 4))
        .keeps(["A", "B", "C"])
        .when(count(8).at_version(4))
        .then([gives_way(5, "C", 2, Recounted).reserving(7), replaced(6, -2, 8).reserving(7)])
        .when(sell(1).at_version(6))
        .then([adjusted(7, -1, 7).reserving(7)]);
}

#[test]
fn what_the_caller_wrote_stands_in_the_change_and_the_promise_gives_its_own_reason() {
    three_orders().when(count(8).because("stocktaking", "sheet 17")).then([
        gives_way(5, "C", 2, Recounted).reserving(7),
        replaced(6, -2, 8).reserving(7).because("stocktaking", "sheet 17"),
    ]);
}

#[test]
fn a_delivery_that_does_not_fit_breaks_nothing() {
    shelf(MAX_UNITS, [("A", MAX_UNITS)])
        .when(add(1).on_shortfall(BreakReservations))
        .then_rejected(too_many(MAX_UNITS, 1))
        .keeps(["A"])
        .when(sell(1).on_shortfall(BreakReservations))
        .then([
            broken(3, 0, MAX_UNITS, order("A", MAX_UNITS), Sold),
            adjusted(4, -1, MAX_UNITS - 1),
        ])
        .keeps([]);
}
