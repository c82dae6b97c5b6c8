//! What stores say that nobody expected, or in an order nobody expected.

use shared_events::RecordedEvent;
use shared_events::ledger::ReservationState::{Confirmed, Fulfilled};
use shared_events::reservation::BreakReason::Sold;
use shared_events::reservation::ReleaseReason::{Moved, TimedOut};

use crate::support::{TIMING, TTL, given, given_together, noon, store};
use crate::words::{broken, handed_over, refused, released, reserved};

#[test]
fn a_release_to_regroup_does_not_end_a_rebuilt_reservation_that_was_confirmed_later() {
    let moved = given_together(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .hears(broken("A", 1, "X", Sold))
        .acts(&["2: withdraw A1, Moved"])
        .hears(reserved("A", 1, "Y"))
        .asked("B", &[("X", 2), ("Y", 1)])
        .hears(released("A", 1, "Y", Moved))
        .hears(reserved("B", 3, "X"))
        .hears(reserved("B", 3, "Y"))
        .stands(Confirmed);
    let said = [
        reserved("A", 1, "X"),
        broken("A", 1, "X", Sold),
        reserved("A", 1, "Y"),
        released("A", 1, "Y", Moved),
        reserved("B", 3, "X"),
        reserved("B", 3, "Y"),
    ];
    let journal: Vec<RecordedEvent> =
        (1..).zip(&said).map(|(place, word)| word.recorded(&moved.it, place)).collect();
    moved.lost(&journal).does_what_is_due().stands(Confirmed);
}

#[test]
fn of_too_much_the_part_that_was_given_up_is_let_go() {
    let moved = given(&[("X", 3)])
        .asked("A", &[("X", 1)])
        .asked("B", &[("X", 2)])
        .hears(reserved("A", 1, "X"))
        .when_due()
        .acts(&["3: withdraw B2, TimedOut"])
        .asked("C", &[("X", 2)]);
    let said = [reserved("A", 1, "X"), reserved("B", 2, "X"), reserved("C", 4, "X")];
    let journal: Vec<RecordedEvent> =
        (1..).zip(&said).map(|(place, word)| word.recorded(&moved.it, place)).collect();
    let rebuilt = moved.lost(&journal).does_what_is_due();
    // What the centre had told B before it lost its ledger is done in the end.
    rebuilt.hears(released("B", 2, "X", TimedOut)).stands(Confirmed);
}

#[test]
fn what_a_withdrawn_store_hands_over_frees_what_another_keeps() {
    let fetched = given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .when_due()
        .acts(&["2: withdraw A1, TimedOut"])
        .asked("B", &[("X", 2)])
        .hears(reserved("B", 3, "X"))
        .stands(Confirmed)
        .hears(reserved("A", 1, "X"))
        .hears(handed_over("A", 1, "X"))
        .stands(Fulfilled)
        .does_what_is_due();
    let over = fetched.at(TTL).does_what_is_due();
    over.has(&["A1 X2 Fulfilled", "B3 X2 Releasing"]);
}

#[test]
fn an_ask_of_which_one_line_has_ended_already_is_not_timed_out() {
    for ended in [broken("A", 1, "X", Sold), handed_over("A", 1, "X")] {
        given(&[("X", 2), ("Y", 1)])
            .asked("A", &[("X", 2), ("Y", 1)])
            .hears(ended.from(1, 3))
            .ignores(reserved("A", 1, "X").from(1, 1))
            .later(4_000)
            .rests()
            .hears(reserved("A", 1, "Y"));
    }
}

#[test]
fn a_command_is_never_sent_again_at_once_however_often_it_was() {
    let reservation = given(&[("X", 2)]).it;
    for sent in 8..=200 {
        let again = inventory_core::saga::overdue_at(&reservation, 2, sent, noon(), &TIMING);
        let pause = again.unix_millis() - noon().unix_millis();
        assert!((240_000..=360_000).contains(&pause), "{pause} ms after sending {sent}");
    }
}

#[test]
fn a_restored_store_may_say_again_what_it_keeps() {
    given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .hears(reserved("A", 1, "X").from(1, 5))
        .hears(reserved("A", 1, "X").from(2, 1))
        .stands(Confirmed)
        .rests();
}

#[test]
fn an_attempt_that_was_heard_of_is_not_used_again() {
    given(&[("X", 2)])
        .hears(refused("A", 1, "X"))
        .asked("A", &[("X", 2)])
        .hears(reserved("A", 2, "X"))
        .stands(Confirmed);
}

#[test]
fn a_rebuilt_reservation_knows_what_its_customer_said_of_the_stores() {
    let mut chosen = given_together(&[("X", 2)]).asked("A", &[("X", 2)]);
    for store_id in [None, Some(store("A"))] {
        chosen.it.store_id = store_id;
        let rebuilt = chosen.lost(&[reserved("A", 1, "X").recorded(&chosen.it, 1)]);
        assert_eq!(rebuilt.it.store_id, chosen.it.store_id);
        assert!(!rebuilt.it.allow_split);
        rebuilt.stands(Confirmed);
    }
}
