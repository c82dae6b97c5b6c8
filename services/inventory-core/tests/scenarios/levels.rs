//! Counts, sales and deliveries of an item of which nothing is promised.

use crate::support::{
    CommandDetails as _, EventDetails as _, add, adjusted, conflict, count, given, insufficient,
    replaced, sell, too_many,
};
use shared_events::MAX_UNITS;
use shared_events::OnShortfall::{BreakReservations, RecordDiscrepancy, Reject};

#[test]
fn the_first_count_of_an_item_sets_its_level() {
    given([]).when(count(40)).then([replaced(1, 40, 40)]).has(40, 0, 40);
}

#[test]
fn a_count_replaces_whatever_the_books_said() {
    given([replaced(1, 40, 40)])
        .when(count(37))
        .then([replaced(2, -3, 37)])
        .when(count(52))
        .then([replaced(3, 15, 52)])
        .when(count(0))
        .then([replaced(4, -52, 0)])
        .has(0, 0, 0);
}

#[test]
fn a_count_that_confirms_the_books_is_recorded_all_the_same() {
    given([replaced(1, 40, 40)]).when(count(40)).then([replaced(2, 0, 40)]).has(40, 0, 40);
    given([]).when(count(0)).then([replaced(1, 0, 0)]);
}

#[test]
fn a_shelf_can_be_counted_up_to_its_bound() {
    given([]).when(count(MAX_UNITS)).then([replaced(1, MAX_UNITS, MAX_UNITS)]);
}

#[test]
fn reason_and_reference_of_a_command_stand_in_its_event() {
    given([])
        .when(count(5).because("stocktaking", "sheet 17"))
        .then([replaced(1, 5, 5).because("stocktaking", "sheet 17")])
        .when(sell(2).because("sale", "receipt 451"))
        .then([adjusted(2, -2, 3).because("sale", "receipt 451")])
        .when(add(1))
        .then([adjusted(3, 1, 4)]);
}

#[test]
fn an_item_never_seen_counts_as_zero() {
    given([]).when(add(5)).then([adjusted(1, 5, 5)]).has(5, 0, 5);
    given([]).when(sell(1)).then_rejected(insufficient(1, 0, 0));
}

#[test]
fn sales_and_deliveries_change_the_level_by_their_difference() {
    given([adjusted(1, 5, 5)])
        .when(sell(2))
        .then([adjusted(2, -2, 3)])
        .when(add(7))
        .then([adjusted(3, 7, 10)])
        .has(10, 0, 10);
}

#[test]
fn the_last_unit_can_be_sold_and_not_one_more() {
    given([adjusted(1, 3, 3)])
        .when(sell(4))
        .then_rejected(insufficient(4, 3, 3))
        .when(sell(3))
        .then([adjusted(2, -3, 0)])
        .when(sell(1))
        .then_rejected(insufficient(1, 0, 0));
}

#[test]
fn a_sale_the_books_cannot_explain_empties_the_shelf_and_records_the_difference() {
    given([replaced(1, 3, 3)])
        .when(sell(5).on_shortfall(RecordDiscrepancy))
        .then([adjusted(2, -3, 0).short_by(2)])
        .when(sell(1).on_shortfall(RecordDiscrepancy))
        .then([adjusted(3, 0, 0).short_by(1)])
        .has(0, 0, 0);
}

#[test]
fn a_difference_is_recorded_even_for_an_item_never_seen() {
    given([])
        .when(sell(MAX_UNITS).on_shortfall(RecordDiscrepancy))
        .then([adjusted(1, 0, 0).short_by(MAX_UNITS)]);
}

#[test]
fn a_delivery_beyond_the_bound_is_refused_whole() {
    let almost = MAX_UNITS - 1;
    for choice in [Reject, BreakReservations, RecordDiscrepancy] {
        given([replaced(1, almost, almost)])
            .when(add(2).on_shortfall(choice))
            .then_rejected(too_many(almost, 2))
            .when(add(1))
            .then([adjusted(2, 1, MAX_UNITS)])
            .when(add(MAX_UNITS))
            .then_rejected(too_many(MAX_UNITS, MAX_UNITS));
    }
}

#[test]
fn a_full_shelf_can_be_emptied_at_once() {
    given([replaced(1, MAX_UNITS, MAX_UNITS)])
        .when(sell(MAX_UNITS))
        .then([adjusted(2, -MAX_UNITS, 0)]);
}

#[test]
fn a_caller_who_saw_the_current_version_is_served() {
    given([replaced(1, 10, 10)])
        .when(sell(1).at_version(1))
        .then([adjusted(2, -1, 9)])
        .when(count(9).at_version(2))
        .then([replaced(3, 0, 9)]);
}

#[test]
fn a_caller_who_saw_another_version_is_told_the_current_one() {
    for expected in [0, 1, 3, u64::MAX] {
        given([replaced(1, 10, 10), adjusted(2, -1, 9)])
            .when(count(10).at_version(expected))
            .then_rejected(conflict(expected, 2))
            .when(sell(1).at_version(expected))
            .then_rejected(conflict(expected, 2));
    }
}

#[test]
fn version_zero_asks_for_an_item_never_seen() {
    given([])
        .when(add(5).at_version(0))
        .then([adjusted(1, 5, 5)])
        .when(add(5).at_version(0))
        .then_rejected(conflict(0, 1));
    given([]).when(count(5).at_version(0)).then([replaced(1, 5, 5)]);
    given([]).when(count(5).at_version(1)).then_rejected(conflict(1, 0));
}

#[test]
fn a_version_conflict_is_told_before_a_shortfall() {
    given([replaced(1, 1, 1)]).when(sell(9).at_version(7)).then_rejected(conflict(7, 1));
}

#[test]
fn a_refusal_says_its_numbers_to_people() {
    let texts = [
        insufficient(4, 3, 5).to_string(),
        conflict(1, 2).to_string(),
        too_many(1, MAX_UNITS).to_string(),
    ];
    let expected = [
        "4 asked for, 3 available",
        "the item has version 2, not 1",
        "1 plus 1000000000 is more than the 1000000000 units an item can hold",
    ];
    assert_eq!(texts, expected);
}
