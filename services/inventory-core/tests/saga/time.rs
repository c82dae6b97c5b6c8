//! Time: when a store is given up, how often it is told again, and when it is all over for certain.

use inventory_core::saga::requests::forgive;
use inventory_core::saga::{due, next, overdue_at};
use shared_events::Timestamp;
use shared_events::ledger::ReservationState::{Confirmed, Fulfilled, Released};
use shared_events::reservation::BreakReason::Sold;
use shared_events::reservation::ReleaseReason;

use crate::support::{Saga, TIMING, TTL, given, noon};
use crate::words::{broken, handed_over, released, reserved};

fn millis_until(at: Timestamp, now: Timestamp) -> i64 {
    at.unix_millis() - now.unix_millis()
}

fn confirmed() -> Saga {
    given(&[("X", 2)]).asked("A", &[("X", 2)]).hears(reserved("A", 1, "X")).stands(Confirmed)
}

#[test]
fn a_store_has_its_time_to_answer_give_or_take_a_fifth_and_not_a_millisecond_less() {
    let asked = given(&[("X", 2)]).asked("A", &[("X", 2)]).rests();
    let by = due(&asked.it, &TIMING).unwrap();
    assert!((2_400..=3_600).contains(&millis_until(by, noon())), "{by}");
    let before = by.unix_millis() - noon().unix_millis() - 1;
    asked.later(before.unsigned_abs()).rests().later(1).acts(&["2: withdraw A1, TimedOut"]);
}

#[test]
fn a_command_is_told_again_after_pauses_that_double_until_it_is_answered() {
    let mut saga = confirmed().cancelled().acts(&["2: release A1 X, Cancelled"]);
    // By its store's silence alone; long before its time is over for certain.
    for pause in [6_000, 12_000, 24_000, 48_000, 96_000, 192_000, 300_000] {
        let from = saga.now;
        saga = saga.when_due().acts(&["2 again"]);
        let waited = millis_until(saga.now, from);
        assert!((pause * 8 / 10..=pause * 12 / 10).contains(&waited), "{waited} for {pause}");
    }
    saga.hears(broken("A", 1, "X", Sold)).ended(true);
}

#[test]
fn pauses_stay_within_five_minutes_and_a_fifth() {
    let reservation = confirmed().it;
    for sent in 1..=50 {
        let by = overdue_at(&reservation, 2, sent, noon(), &TIMING);
        let pause = 6_000_i64.saturating_mul(1 << (sent - 1).min(20)).min(300_000);
        let waited = millis_until(by, noon());
        assert!((pause * 8 / 10..=pause * 12 / 10).contains(&waited), "{waited} at {sent}");
    }
}

#[test]
fn reservations_of_one_moment_do_not_come_again_at_one_moment() {
    let mut pauses = std::collections::BTreeSet::new();
    for number in 0..50 {
        let mut reservation = confirmed().it;
        reservation.reservation_id = format!("c1.r{number}").parse().unwrap();
        pauses.insert(overdue_at(&reservation, 2, 1, noon(), &TIMING));
    }
    assert!(pauses.len() > 20, "{}", pauses.len());
}

#[test]
fn repeats_are_no_history_but_each_is_a_newer_record() {
    let saga = confirmed().cancelled().acts(&["2: release A1 X, Cancelled"]);
    let (steps, revision) = (saga.it.history.len(), saga.it.revision);
    let saga = saga.when_due().acts(&["2 again"]).when_due().acts(&["2 again"]);
    assert_eq!((saga.it.history.len(), saga.it.revision), (steps, revision + 2));
}

#[test]
fn a_repeat_stops_with_the_last_answer_to_its_command() {
    let saga = given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2), ("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .hears(reserved("A", 1, "Y"))
        .fulfilled(&[], &["2: hand over A1 X Y"])
        .when_due()
        .acts(&["2 again"])
        .hears(handed_over("A", 1, "Y"))
        // All of it again, though a part is done: a store knows a command by its content.
        .when_due()
        .acts(&["2 again"])
        .hears(handed_over("A", 1, "X"));
    assert_eq!(due(&saga.it, &TIMING), None);
    saga.stands(Fulfilled).at(TTL * 2).rests();
}

#[test]
fn nobody_is_asked_again_once_withdrawn_from_until_the_store_says_or_all_is_over() {
    let mut saga = given(&[("X", 2)]).asked("A", &[("X", 2)]).when_due();
    saga = saga.acts(&["2: withdraw A1, TimedOut"]);
    for _ in 0..5 {
        saga = saga.when_due().acts(&["2 again"]);
        assert!(saga.now < noon().plus_millis(TTL));
    }
    saga.holds(2).hears(reserved("A", 1, "X")).when_due().acts(&["2 again"]);
}

#[test]
fn every_saga_ends_when_all_stores_have_let_go_for_certain() {
    let end = TTL + TIMING.lapse_ms;
    let silent = [
        // Never answered.
        given(&[("X", 2)]).asked("A", &[("X", 2)]),
        // Kept, never fetched, and never let go.
        confirmed(),
        // Told to hand over, and silent since.
        confirmed().fulfilled(&[], &["2: hand over A1 X"]),
        // Told to let go, and silent since.
        confirmed().cancelled().acts(&["2: release A1 X, Cancelled"]),
        // Units that nobody wanted.
        given(&[("X", 2)]).unsourced("X", 2, 0).hears(reserved("B", 9, "X")),
        // One of two lines was heard of, and nothing since.
        given(&[("X", 2), ("Y", 1)]).asked("A", &[("X", 2), ("Y", 1)]).hears(reserved("A", 1, "Y")),
    ];
    for saga in silent {
        let mut saga = saga;
        while let Some(at) = due(&saga.it, &TIMING) {
            assert!(at <= noon().plus_millis(end), "nothing is due behind the end");
            saga.now = saga.now.max(at);
            assert!(next(&saga.it, saga.now, &TIMING).is_some(), "what is due can be done");
            while let Some(transition) = next(&saga.it, saga.now, &TIMING) {
                saga.apply(transition);
            }
        }
        assert_eq!(saga.now, noon().plus_millis(end), "not a moment before");
        saga.ended(true).holds(0);
    }
}

#[test]
fn a_centre_that_was_away_all_the_time_ends_a_saga_in_one_go() {
    given(&[("X", 2), ("Y", 1)])
        .asked("A", &[("X", 2)])
        .asked("B", &[("Y", 1)])
        .hears(reserved("B", 2, "Y"))
        .at(TTL + TIMING.lapse_ms)
        .acts(&["close, Expired", "lapse A1", "lapse B2"])
        .stands(Released)
        .has(&["A1 X2 Lapsed", "B2 Y1 Lapsed"])
        .ended(true);
}

#[test]
fn what_a_store_says_behind_the_end_is_recorded_and_counts_for_nothing() {
    given(&[("X", 2)])
        .asked("A", &[("X", 2)])
        .at(TTL + TIMING.lapse_ms)
        .acts(&["close, Expired", "lapse A1"])
        .hears(reserved("A", 1, "X"))
        .stands(Released)
        .acts(&["lapse A1"])
        .ended(true);
}

#[test]
fn a_centre_that_was_away_gives_its_stores_their_time_again_and_never_less() {
    let mut saga = given(&[("X", 2)]).asked("A", &[("X", 2)]).later(60_000);
    forgive(&mut saga.it, saga.now, &TIMING);
    saga.rests().later(2_999).rests().later(1).acts(&["2: withdraw A1, TimedOut"]);
    // Nor is a store that answers hurried by it.
    let mut saga =
        given(&[("X", 2), ("Y", 1)]).asked("A", &[("X", 2), ("Y", 1)]).hears(reserved("A", 1, "X"));
    forgive(&mut saga.it, saga.now, &TIMING);
    saga.at(TTL - 1).rests();
}

#[test]
fn what_ended_in_time_is_not_closed_by_it() {
    let saga = confirmed()
        .fulfilled(&[], &["2: hand over A1 X"])
        .hears(handed_over("A", 1, "X"))
        .at(TTL)
        .rests();
    assert_eq!(saga.it.closed, None);
    let saga = confirmed().cancelled().acts(&["2: release A1 X, Cancelled"]);
    saga.hears(released("A", 1, "X", ReleaseReason::Cancelled)).at(TTL).rests();
}

#[test]
fn what_is_asked_when_its_time_is_over_is_withdrawn_for_that_and_its_answer_counts_no_more() {
    let over = given(&[("X", 2), ("Y", 1)])
        .at(TTL - 1_000)
        .asked("A", &[("X", 2)])
        .asked("B", &[("Y", 1)])
        .hears(reserved("A", 1, "X"))
        .at(TTL)
        .stands(Released)
        .acts(&["close, Expired", "3: withdraw B2, Expired", "4: release A1 X, Expired"])
        .holds(1)
        .hears(reserved("B", 2, "Y"))
        .rests()
        .stands(Released)
        .misses(&[]);
    assert_eq!(over.it.confirmed_at, None);
    over.hears(released("A", 1, "X", ReleaseReason::Expired))
        .hears(released("B", 2, "Y", ReleaseReason::Expired))
        .ended(true);
}
