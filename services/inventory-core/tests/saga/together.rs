//! A caller who wants everything from one store: nothing is ever split.

use shared_events::ledger::ReservationState::{Confirmed, Rejected, Requested, Resourcing, Short};
use shared_events::reservation::BreakReason::{NotFound, Sold};
use shared_events::reservation::ReleaseReason::Moved;

use crate::support::{Saga, given, given_together};
use crate::words::{broken, handed_over, refused, released, reserved};

fn asked() -> Saga {
    given_together(&[("X", 2), ("Y", 1)]).asked("A", &[("X", 2), ("Y", 1)])
}

fn confirmed() -> Saga {
    asked().hears(reserved("A", 1, "X")).hears(reserved("A", 1, "Y")).stands(Confirmed)
}

#[test]
fn a_refusal_frees_the_whole_for_the_next_store() {
    asked()
        .hears(refused("A", 1, "X"))
        .rests()
        .misses(&[("X", 2), ("Y", 1)])
        .bound_to(&[])
        .asked("B", &[("X", 2), ("Y", 1)])
        .hears(reserved("B", 2, "Y"))
        .hears(reserved("B", 2, "X"))
        .stands(Confirmed);
}

#[test]
fn a_timeout_frees_the_whole_for_the_next_store() {
    asked()
        .when_due()
        .acts(&["2: withdraw A1, TimedOut"])
        .misses(&[("X", 2), ("Y", 1)])
        .bound_to(&[]);
}

#[test]
fn a_line_that_fails_before_all_are_kept_lets_the_rest_go() {
    asked()
        .hears(reserved("A", 1, "X"))
        .hears(broken("A", 1, "X", Sold))
        // The other line's answer is still on its way.
        .acts(&["2: withdraw A1, Moved"])
        .misses(&[("X", 2), ("Y", 1)])
        .bound_to(&[])
        .holds(1)
        .hears(reserved("A", 1, "Y"))
        .rests()
        .asked("B", &[("X", 2), ("Y", 1)])
        .hears(released("A", 1, "Y", Moved))
        .hears(reserved("B", 3, "X"))
        .hears(reserved("B", 3, "Y"))
        .stands(Confirmed)
        .has(&["A1 X2 Broken", "A1 Y1 Released", "B3 X2 Reserved", "B3 Y1 Reserved"]);
}

#[test]
fn the_rest_is_let_go_also_where_it_is_kept_already() {
    given_together(&[("X", 2), ("Y", 1), ("Z", 4)])
        .asked("A", &[("X", 2), ("Y", 1), ("Z", 4)])
        .hears(reserved("A", 1, "X"))
        .hears(reserved("A", 1, "Y"))
        .hears(reserved("A", 1, "Z").of(3))
        .stands(Requested)
        .acts(&["2: release A1 X, Moved", "3: release A1 Y, Moved", "4: release A1 Z, TimedOut"])
        .misses(&[("X", 2), ("Y", 1), ("Z", 4)])
        .bound_to(&[]);
}

#[test]
fn with_a_split_allowed_the_rest_stays() {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .hears(broken("A", 1, "X", Sold))
        .rests()
        .hears(reserved("A", 1, "Y"))
        .misses(&[("X", 2)])
        .bound_to(&[])
        .has(&["A1 X2 Broken", "A1 Y1 Reserved"]);
}

#[test]
fn once_it_was_confirmed_only_the_store_that_keeps_the_rest_may_be_asked() {
    confirmed()
        .bound_to(&["A"])
        .hears(broken("A", 1, "X", Sold))
        .stands(Resourcing)
        // The customer keeps what is kept.
        .rests()
        .misses(&[("X", 2)])
        .bound_to(&["A"])
        .asks_again("A", "X", true)
        .asked("A", &[("X", 2)])
        .hears(reserved("A", 2, "X"))
        .stands(Confirmed)
        .bound_to(&["A"]);
}

#[test]
fn once_all_of_it_broke_any_store_may_be_asked_for_the_whole() {
    confirmed()
        .hears(broken("A", 1, "X", NotFound))
        .bound_to(&["A"])
        .asks_again("A", "X", false)
        .unsourced("X", 2, 0)
        .stands(Short)
        .hears(broken("A", 1, "Y", NotFound))
        .stands(Resourcing)
        .bound_to(&[])
        .misses(&[("X", 2), ("Y", 1)])
        .asked("B", &[("X", 2), ("Y", 1)])
        .bound_to(&["B"])
        .hears(reserved("B", 2, "X"))
        .hears(reserved("B", 2, "Y"))
        .stands(Confirmed);
}

#[test]
fn what_was_handed_over_binds_as_well() {
    confirmed()
        .fulfilled(&["Y"], &["2: hand over A1 Y"])
        .bound_to(&["A"])
        .hears(handed_over("A", 1, "Y"))
        .hears(broken("A", 1, "X", Sold))
        .rests()
        .bound_to(&["A"]);
}

#[test]
fn what_nobody_has_as_a_whole_is_rejected_and_nothing_is_left() {
    asked()
        .hears(reserved("A", 1, "X"))
        .hears(broken("A", 1, "X", Sold))
        .acts(&["2: withdraw A1, Moved"])
        .unsourced("X", 2, 0)
        .stands(Rejected)
        .rests()
        .ended(false)
        .hears(reserved("A", 1, "Y"))
        .hears(released("A", 1, "Y", Moved))
        .ended(true);
}
