//! What holds for every reservation, whatever is heard, whoever comes, and however time passes.

use std::collections::BTreeSet;

use inventory_core::saga::{
    due, evolve, is_final, is_settled, missing, next, rebuild, state, state_at, units,
};
use proptest::collection::vec;
use proptest::prelude::*;
use shared_events::ledger::{AllocationState, Reservation, ReservationState, Transition};

use crate::histories::{Event, Story, begun, says, stories};
use crate::support::{Saga, TIMING, noon};
use crate::words::reserved;

pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Tells a story, with a look at the reservation after each event, and whether its centre had looked
/// after it.
fn tell(story: &Story, look: impl Fn(&Saga, bool)) -> Saga {
    let (wanted, split, events) = story;
    let mut saga = begun(wanted, *split);
    for (event, looked) in events {
        saga.happens(event);
        if *looked {
            saga.settle();
        }
        look(&saga, *looked);
    }
    saga
}

fn any(reservation: &Reservation, state: AllocationState) -> bool {
    reservation.allocations.iter().any(|known| known.state == state)
}

/// Whether every unit of every line is in such an allocation.
fn whole(reservation: &Reservation, chosen: impl Fn(AllocationState) -> bool) -> bool {
    reservation.lines.len() == usize::try_from(reservation.line_count).expect("small")
        && reservation.lines.iter().all(|line| {
            let of_line = reservation.allocations.iter().filter(|known| known.line == line.line);
            let had: i64 = of_line.filter(|a| chosen(a.state)).map(|known| known.quantity).sum();
            had >= line.quantity
        })
}

fn consistent(it: &Reservation) {
    assert_eq!(it.state, state(it), "the record says where it stands");
    let (open, handed_over) = (
        it.allocations.iter().any(|known| known.state.is_open()),
        whole(it, |state| state == AllocationState::Fulfilled),
    );
    assert_eq!(it.state == ReservationState::Fulfilled, handed_over);
    let kept = whole(it, AllocationState::covers) && !any(it, AllocationState::Asked);
    let confirmed = it.closed.is_none() && !handed_over && kept;
    assert_eq!(it.state == ReservationState::Confirmed, confirmed);
    assert!(it.confirmed_at.is_some() || !confirmed);
    if is_final(it) {
        assert!(!open, "nothing of it is open any more");
        assert!(it.closed.is_some() || handed_over, "and it has an end");
        assert!(is_settled(it) && missing(it).is_empty());
        assert_eq!(due(it, &TIMING), None);
    }
    if it.closed.is_some() {
        assert!(missing(it).is_empty(), "nobody looks for more");
    }
}

/// Each line is kept, asked for or missing, and nothing of it twice in that sum.
fn accounted_for(it: &Reservation) {
    if it.closed.is_some() || it.rebuilt {
        return;
    }
    let had = units(it, |known| known.state.covers() || known.state == AllocationState::Asked);
    let missing = missing(it);
    for line in &it.lines {
        let lacking = missing.iter().find(|other| other.line == line.line);
        let lacking = lacking.map_or(0, |line| line.quantity);
        let had = had.get(&line.line).copied().unwrap_or_default();
        assert_eq!(lacking, (line.quantity - had).max(0));
    }
}

/// Nothing that may be kept somewhere is forgotten.
fn looked_after(it: &Reservation) {
    for known in it.allocations.iter().filter(|known| known.state.is_open()) {
        let expected = known.answer_by.is_some();
        match known.state {
            AllocationState::Stray => panic!("nobody let it go: {known:?}"),
            AllocationState::Withdrawn
            | AllocationState::Releasing
            | AllocationState::Fulfilling => assert!(expected, "an answer comes: {known:?}"),
            AllocationState::Asked | AllocationState::Reserved => {
                assert!(it.closed.is_none(), "the end is told to its store: {known:?}");
            }
            closed => panic!("{closed:?} is not open"),
        }
    }
}

/// What is to be done next is to be done when it is due: no earlier, and no later.
fn is_due_when_it_is(saga: &Saga, percent: u64) {
    let acts = |at| next(&saga.it, at, &TIMING).is_some();
    match due(&saga.it, &TIMING) {
        None => {
            for later in [0, 3_000, 900_000, 86_400_000] {
                assert!(!acts(saga.now.plus_millis(later)), "nothing was due");
            }
        }
        Some(due) => {
            assert!(due > saga.now, "all that was due was done");
            let span = (due.unix_millis() - saga.now.unix_millis()).unsigned_abs();
            for later in [0, span * percent / 100, span - 1] {
                assert!(later >= span || !acts(saga.now.plus_millis(later)), "not due yet");
            }
            assert!(acts(due), "something is to be done when it is due");
        }
    }
}

/// As told by its history alone: times of answers and numbers of repeats are not in it.
fn retold(first: Reservation, history: &Reservation) -> Reservation {
    let mut retold = first;
    for step in &history.history[1..] {
        evolve(&mut retold, step.transition.clone(), step.at);
    }
    retold
}

fn without_repeats(mut it: Reservation) -> Reservation {
    it.revision = 0;
    for known in &mut it.allocations {
        known.sent = known.sent.min(1);
        known.answer_by = known.answer_by.map(|_| noon());
    }
    it
}

proptest! {
    #![proptest_config(config(1_024))]

    #[test]
    fn where_it_stands_is_what_its_allocations_are(story in stories()) {
        tell(&story, |saga, _| {
            consistent(&saga.it);
            accounted_for(&saga.it);
        });
    }

    #[test]
    fn a_centre_that_looks_after_it_forgets_nothing(story in stories()) {
        tell(&story, |saga, looked| if looked { looked_after(&saga.it) });
    }

    #[test]
    fn something_is_due_exactly_when_there_is_something_to_do(
        story in stories(),
        percent in 0..100_u64,
    ) {
        tell(&story, |saga, looked| if looked { is_due_when_it_is(saga, percent) });
    }

    #[test]
    fn every_saga_ends_when_its_time_is_over_for_certain(story in stories()) {
        let mut saga = tell(&story, |_, _| {});
        saga.now = saga.now.max(saga.it.expires_at.plus_millis(TIMING.lapse_ms));
        saga.settle();
        prop_assert!(is_final(&saga.it));
        consistent(&saga.it);
    }

    #[test]
    fn what_is_over_stays_over(story in stories()) {
        let (wanted, split, events) = &story;
        let mut saga = begun(wanted, *split);
        let (mut closed, mut confirmed_at, mut revision) = (None, None, saga.it.revision);
        for (event, looked) in events {
            let (before, over) = (saga.it.clone(), saga.now >= saga.it.expires_at);
            saga.happens(event);
            if *looked {
                saga.settle();
            }
            prop_assert!(closed.is_none() || closed == saga.it.closed);
            prop_assert!(confirmed_at.is_none() || confirmed_at == saga.it.confirmed_at);
            let changed = saga.it.history != before.history;
            prop_assert!(saga.it.revision > revision || !changed);
            prop_assert!(saga.it.history.starts_with(&before.history));
            if over {
                let ends = [ReservationState::Released, ReservationState::Rejected,
                    ReservationState::Fulfilled];
                prop_assert!(ends.contains(&state_at(&saga.it, saga.now)));
            }
            (closed, confirmed_at) = (saga.it.closed, saga.it.confirmed_at);
            revision = saga.it.revision;
        }
    }

    #[test]
    fn only_what_a_store_was_asked_for_is_ever_counted_as_kept(story in stories()) {
        let saga = tell(&story, |_, _| {});
        let mut asked = BTreeSet::new();
        for step in &saga.it.history {
            if let Transition::Asked { attempt, store_id, wanted, .. } = &step.transition {
                let each = wanted.iter().map(|line| (line.sku.clone(), line.quantity));
                asked.extend(each.map(|(sku, units)| (*attempt, store_id.clone(), sku, units)));
            }
        }
        for known in &saga.it.allocations {
            let keeps =
                matches!(known.state, AllocationState::Reserved | AllocationState::Fulfilling);
            let as_asked =
                (known.attempt, known.store_id.clone(), known.sku.clone(), known.quantity);
            prop_assert!(!keeps || asked.contains(&as_asked), "{:?}", known);
        }
    }

    #[test]
    fn its_history_alone_tells_what_it_is(story in stories()) {
        let (wanted, split, _) = &story;
        let saga = tell(&story, |_, _| {});
        let retold = retold(begun(wanted, *split).it, &saga.it);
        prop_assert_eq!(without_repeats(retold), without_repeats(saga.it));
    }

    #[test]
    fn a_rebuilt_one_is_as_sound_as_any_and_ends(
        wanted in vec(1..5_i64, 1..=3),
        heard in vec((says(), 0..2_000_u64), 1..30),
        percent in 0..100_u64,
    ) {
        let before = begun(&wanted, true);
        let first = reserved("A", 1, "X").from(1, 1).recorded(&before.it, 1);
        let mut saga = before.lost(std::slice::from_ref(&first));
        for (said, millis) in heard {
            saga.happens(&Event::Says(said));
            saga.settle();
            consistent(&saga.it);
            looked_after(&saga.it);
            is_due_when_it_is(&saga, percent);
            saga.happens(&Event::Passes(millis));
        }
        let again = retold(rebuild(&first, saga.it.history[0].at).expect("as before"), &saga.it);
        prop_assert_eq!(without_repeats(again), without_repeats(saga.it.clone()));
        saga.now = saga.it.expires_at.plus_millis(TIMING.lapse_ms);
        saga.settle();
        prop_assert!(is_final(&saga.it));
    }
}
