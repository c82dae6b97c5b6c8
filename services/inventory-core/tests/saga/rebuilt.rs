//! A centre that lost its ledger learns its reservations again from the stores' events alone, in whatever
//! order they come.

use inventory_core::saga::{due, is_doubtful, is_settled, rebuild};
use shared_events::ledger::ReservationState::{
    Confirmed, Fulfilled, Rejected, Released, Requested, Resourcing,
};
use shared_events::ledger::Transition;
use shared_events::reservation::BreakReason::Sold;
use shared_events::reservation::ReleaseReason::{Cancelled, Expired, Incomplete, TimedOut};
use shared_events::{RecordedEvent, StockAdjusted, StockEvent, StoreCommand, Version};

use crate::support::{Saga, TIMING, TTL, given, noon};
use crate::words::{Word, broken, handed_over, refused, released, reserved};

/// These events in each of their orders; each store's journal is as given.
fn in_any_order(about: &Saga, journal: &[Word], check: impl Fn(Saga)) {
    let written = (1..).zip(journal).map(|(sequence, word)| word.recorded(&about.it, sequence));
    for events in orders(&written.collect::<Vec<_>>()) {
        check(about.lost(&events));
    }
}

fn orders(events: &[RecordedEvent]) -> Vec<Vec<RecordedEvent>> {
    if events.is_empty() {
        return vec![Vec::new()];
    }
    let first = |place: usize| {
        let mut rest = events.to_vec();
        let first = rest.remove(place);
        orders(&rest).into_iter().map(move |mut order| {
            order.insert(0, first.clone());
            order
        })
    };
    (0..events.len()).flat_map(first).collect()
}

/// Three items, the first of them in two stores.
fn split() -> Saga {
    given(&[("X", 5), ("Y", 1), ("Z", 4)])
        .asked("A", &[("X", 3), ("Y", 1)])
        .asked("B", &[("X", 2), ("Z", 4)])
}

#[test]
fn a_confirmed_reservation_comes_back_from_its_stores_alone() {
    let kept = [
        reserved("A", 1, "X"),
        reserved("A", 1, "Y"),
        reserved("B", 2, "X"),
        reserved("B", 2, "Z"),
    ];
    in_any_order(&split(), &kept, |saga| {
        let confirmed = saga.stands(Confirmed).rests().misses(&[]).holds(0);
        let (it, now) = (&confirmed.it, confirmed.now);
        assert_eq!(it.confirmed_at, Some(now));
        assert_eq!((it.created_at, it.expires_at), (noon(), noon().plus_millis(TTL)));
        assert_eq!(it.order_id.as_str(), "web-1");
        let lines: Vec<_> =
            it.lines.iter().map(|line| (line.line, line.sku.as_str(), line.quantity)).collect();
        assert_eq!(lines, [(1, "X", 5), (2, "Y", 1), (3, "Z", 4)]);
        assert!(is_settled(it) && !is_doubtful(it));
        confirmed
            .later(60_000)
            .rests()
            .fulfilled(&["Y"], &["1003: hand over A1 Y"])
            .at(TTL)
            .stands(Released);
    });
}

#[test]
fn its_record_is_newer_than_any_before_the_loss() {
    let mut saga = split().hears(reserved("A", 1, "X"));
    for _ in 0..100 {
        saga = saga.later(1).hears(refused("C", 9, "X"));
    }
    let event = reserved("A", 1, "X").recorded(&saga.it, 1);
    assert!(saga.lost(&[event]).it.revision > saga.it.revision);
}

#[test]
fn what_was_not_heard_in_full_is_doubted_for_a_while_and_then_let_go() {
    let kept = [reserved("A", 1, "X"), reserved("A", 1, "Y"), reserved("B", 2, "X")];
    in_any_order(&split(), &kept, |saga| {
        assert!(is_doubtful(&saga.it));
        let from = saga.now;
        // Nobody is asked meanwhile: it may all be kept.
        let saga = saga.stands(Requested).misses(&[]).rests().later(TIMING.step_ms - 1).rests();
        assert_eq!(due(&saga.it, &TIMING), Some(from.plus_millis(TIMING.step_ms)));
        let saga = saga
            .later(1)
            .does_what_is_due()
            .stands(Rejected)
            .hears(released("A", 1, "X", Incomplete))
            .hears(released("A", 1, "Y", Incomplete))
            .ended(false)
            .hears(released("B", 2, "X", Incomplete))
            .ended(true);
        let told: Vec<_> = saga.told.values().map(|(store, _)| store.as_str()).collect();
        assert_eq!(told.iter().filter(|store| **store == "A").count(), 1, "all of an ask at once");
        assert_eq!(told.len(), 2);
        // What comes later still is let go at once.
        let number = saga.it.commands + 1;
        saga.hears(reserved("B", 2, "Z"))
            .stands(Rejected)
            .acts(&[&format!("{number}: release B2 Z, Incomplete")]);
    });
}

#[test]
fn the_missing_answer_within_the_doubt_confirms_it() {
    let split = split();
    let event = reserved("A", 1, "X").from(1, 1).recorded(&split.it, 1);
    split
        .lost(&[event])
        .later(TIMING.step_ms - 1)
        .rests()
        .hears(reserved("B", 2, "X"))
        .hears(reserved("B", 2, "Z"))
        .stands(Requested)
        .hears(reserved("A", 1, "Y"))
        .stands(Confirmed)
        .later(TIMING.step_ms)
        .rests();
}

#[test]
fn it_ends_in_time_whether_doubted_or_not() {
    let split = split().at(TTL - 60_001);
    let event = reserved("A", 1, "X").from(1, 1).recorded(&split.it, 1);
    split
        .lost(&[event])
        .later(1)
        .stands(Released)
        .acts(&["close, Expired", "1002: release A1 X, Expired"]);
}

#[test]
fn a_hand_over_that_was_under_way_is_known_by_its_end() {
    let one = given(&[("X", 2), ("Y", 1)]).asked("A", &[("X", 2), ("Y", 1)]);
    let journal = [
        reserved("A", 1, "X"),
        reserved("A", 1, "Y"),
        handed_over("A", 1, "Y"),
        handed_over("A", 1, "X"),
    ];
    in_any_order(&one, &journal[..3], |saga| {
        saga.stands(Confirmed).rests().has_units("Y", "Fulfilled").has_units("X", "Reserved");
    });
    in_any_order(&one, &journal, |saga| {
        saga.stands(Fulfilled).rests().ended(true);
    });
}

#[test]
fn what_broke_had_been_kept_and_is_looked_for_again() {
    let one = given(&[("X", 2), ("Y", 1)]).asked("A", &[("X", 2), ("Y", 1)]);
    let journal = [reserved("A", 1, "X"), reserved("A", 1, "Y"), broken("A", 1, "Y", Sold)];
    in_any_order(&one, &journal, |saga| {
        saga.stands(Resourcing).misses(&[("Y", 1)]).later(TIMING.step_ms).rests();
    });
}

#[test]
fn a_release_tells_what_its_centre_had_decided() {
    let one = given(&[("X", 2), ("Y", 1)]).asked("A", &[("X", 2)]).asked("B", &[("Y", 1)]);
    for reason in [Cancelled, Expired] {
        let journal = [reserved("A", 1, "X"), reserved("B", 2, "Y"), released("A", 1, "X", reason)];
        in_any_order(&one, &journal, |saga| {
            let number = saga.it.commands + 1;
            saga.stands(Released)
                .misses(&[])
                .acts(&[&format!("{number}: release B2 Y, {reason:?}")])
                .hears(released("B", 2, "Y", reason))
                .stands(Released)
                .ended(true);
        });
    }
}

#[test]
fn what_was_let_go_for_want_of_the_rest_comes_to_nothing() {
    let one = given(&[("X", 2), ("Y", 1)]).asked("A", &[("X", 2)]).asked("B", &[("Y", 1)]);
    let journal = [reserved("A", 1, "X"), released("A", 1, "X", Incomplete), reserved("B", 2, "Y")];
    in_any_order(&one, &journal, |saga| {
        saga.later(TIMING.step_ms)
            .does_what_is_due()
            .stands(Rejected)
            .hears(released("B", 2, "Y", Incomplete))
            .ended(true);
    });
}

#[test]
fn a_store_that_was_given_up_decided_nothing() {
    let moved = given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .when_due()
        .acts(&["2: withdraw A1, TimedOut"])
        .asked("B", &[("X", 2)]);
    let journal = [reserved("A", 1, "X"), released("A", 1, "X", TimedOut), reserved("B", 3, "X")];
    in_any_order(&moved, &journal, |saga| {
        saga.stands(Confirmed).has_units("X", "Reserved").later(60_000).stands(Confirmed);
    });
}

#[test]
fn refusals_alone_are_no_promise() {
    let one = given(&[("X", 2), ("Y", 1)]).asked("A", &[("X", 2), ("Y", 1)]);
    in_any_order(&one, &[refused("A", 1, "X"), refused("A", 1, "Y")], |saga| {
        saga.stands(Requested)
            .misses(&[])
            .later(TIMING.step_ms)
            .acts(&["close, Rejected"])
            .ended(true);
    });
}

#[test]
fn the_units_of_an_earlier_ask_are_too_many_and_let_go() {
    let moved = given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .when_due()
        .acts(&["2: withdraw A1, TimedOut"])
        .asked("B", &[("X", 2), ("Y", 1)]);
    let journal = [
        reserved("A", 1, "X"),
        reserved("A", 1, "Y"),
        reserved("B", 3, "X"),
        reserved("B", 3, "Y"),
    ];
    in_any_order(&moved, &journal, |saga| {
        let saga = saga.stands(Confirmed).does_what_is_due();
        let to_a = |(store, command): &(shared_events::StoreId, StoreCommand)| {
            store.as_str() == "A"
                && matches!(command, StoreCommand::Release(one) if one.attempt == 1)
        };
        assert!(saga.told.values().all(to_a), "{:?}", saga.told);
        saga.stands(Confirmed)
            .hears(released("A", 1, "X", TimedOut))
            .hears(released("A", 1, "Y", TimedOut))
            .stands(Confirmed)
            .misses(&[])
            .rests();
    });
}

#[test]
fn what_was_released_by_a_walk_in_and_kept_again_is_no_surplus() {
    let moved = given(&[("X", 2)]).asked("A", &[("X", 2)]).asked("B", &[("X", 2)]);
    let journal = [reserved("A", 1, "X"), broken("A", 1, "X", Sold), reserved("B", 2, "X")];
    in_any_order(&moved, &journal, |saga| {
        saga.stands(Confirmed).rests();
    });
}

#[test]
fn commands_are_numbered_behind_all_that_may_have_been_sent() {
    let one = given(&[("X", 2)]).asked("A", &[("X", 2)]);
    let seen = reserved("A", 700, "X").from(1, 1).recorded(&one.it, 1);
    let lost = one.lost(&[seen]);
    assert_eq!(lost.it.commands, 1_700);
    lost.cancelled().acts(&["1701: release A700 X, Cancelled"]);
}

#[test]
fn only_what_is_about_a_reservation_brings_one_back() {
    let mut event = reserved("A", 1, "X").recorded(&split().it, 1);
    let rebuilt = rebuild(&event, noon()).unwrap();
    assert_eq!(rebuilt.history[0].transition, Transition::Rebuilt);
    event.event = StockEvent::Adjusted(StockAdjusted {
        version: Version::new(1),
        delta: 1,
        on_hand: 1,
        reserved: 0,
        discrepancy: 0,
        reason: None,
        reference: None,
    });
    assert_eq!(rebuild(&event, noon()), None);
}
