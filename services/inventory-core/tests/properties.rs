//! The rules of stock against an auditor's book that shares no code with them.

#[cfg(test)]
mod auditor;

use auditor::{Asked, Book, No};
use inventory_core::{StockItem, available, decide, evolve};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use shared_events::{MAX_UNITS, OnShortfall, StockEvent, StockReplaced, Text, Version};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// One thing that happens to an item.
#[derive(Debug, Clone)]
enum Step {
    Asked(Asked),
    /// Reservations as they stand afterwards; the saga that makes them is not part of this test.
    Reserved(i64),
}

fn units() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0..12_i64, 1 => 0..=MAX_UNITS, 1 => MAX_UNITS - 3..=MAX_UNITS]
}

fn asked() -> impl Strategy<Value = Asked> {
    use OnShortfall::{BreakReservations, RecordDiscrepancy, Reject};
    let delta = (units(), any::<bool>())
        .prop_map(|(units, taken)| if taken { -units } else { units })
        .prop_filter("a delta is not 0", |delta| *delta != 0);
    let choice = select(&[Reject, BreakReservations, RecordDiscrepancy][..]);
    let change = prop_oneof![
        1 => units().prop_map(Ok),
        4 => (delta, choice).prop_map(Err),
    ];
    let seen = prop_oneof![6 => Just(None), 3 => Just(Some(0)), 1 => (-2..3_i64).prop_map(Some)];
    let reason = option::of("[a-z]{1,3}".prop_map(|text| Text::parse(&text).expect("plain")));
    (change, seen, reason).prop_map(|(change, seen, reason)| Asked { change, seen, reason })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(
        prop_oneof![5 => asked().prop_map(Step::Asked), 1 => units().prop_map(Step::Reserved)],
        1..60,
    )
}

/// Reservations changed, levels did not: an event as a later version of the rules will write it.
fn reserved_event(item: &StockItem, reserved: i64) -> StockEvent {
    StockEvent::Replaced(StockReplaced {
        version: item.version.next(),
        delta: 0,
        on_hand: item.on_hand,
        reserved,
        reason: None,
        reference: None,
    })
}

/// Runs steps; returns every event with the item as it stood before it.
fn live(steps: &[Step]) -> (StockItem, Vec<(StockItem, StockEvent)>) {
    let (mut item, mut history) = (StockItem::default(), Vec::new());
    for step in steps {
        let events = match step {
            Step::Asked(asked) => decide(&item, &asked.command(item.version)).unwrap_or_default(),
            Step::Reserved(units) => vec![reserved_event(&item, *units)],
        };
        for event in events {
            history.push((item, event.clone()));
            evolve(&mut item, &event);
        }
    }
    (item, history)
}

fn discrepancy(event: &StockEvent) -> i128 {
    match event {
        StockEvent::Replaced(_) => 0,
        StockEvent::Adjusted(event) => event.discrepancy.into(),
    }
}

fn remarks(event: &StockEvent) -> [&Option<Text>; 2] {
    match event {
        StockEvent::Replaced(event) => [&event.reason, &event.reference],
        StockEvent::Adjusted(event) => [&event.reason, &event.reference],
    }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn replaying_the_events_gives_the_live_state(steps in steps()) {
        let (item, history) = live(&steps);
        let mut replayed = StockItem::default();
        for (before, event) in &history {
            prop_assert_eq!(&replayed, before);
            evolve(&mut replayed, event);
        }
        prop_assert_eq!(replayed, item);
    }

    #[test]
    fn the_newest_event_alone_gives_the_live_state(steps in steps()) {
        let (item, history) = live(&steps);
        let mut late = StockItem { on_hand: 7, reserved: 7, version: Version::new(7) };
        if let Some((_, newest)) = history.last() {
            evolve(&mut late, newest);
            prop_assert_eq!(late, item);
        }
    }

    #[test]
    fn levels_stay_within_their_bounds_and_events_add_up(steps in steps()) {
        let (_, history) = live(&steps);
        for (before, event) in history {
            let mut after = before;
            evolve(&mut after, &event);
            prop_assert!((0..=MAX_UNITS).contains(&after.on_hand));
            prop_assert!((0..=MAX_UNITS).contains(&after.available()));
            prop_assert_eq!(after.on_hand, before.on_hand + event.delta());
            prop_assert_eq!(after.version, before.version.next());
        }
    }

    #[test]
    fn every_decision_is_the_auditors(steps in steps()) {
        let (mut item, mut book, mut walked_out) = (StockItem::default(), Book::default(), 0);
        for step in &steps {
            match step {
                Step::Reserved(units) => {
                    let event = reserved_event(&item, *units);
                    evolve(&mut item, &event);
                    book.promised = i128::from(*units);
                    book.changes += 1;
                }
                Step::Asked(asked) => {
                    let decided = decide(&item, &asked.command(item.version));
                    let refused = decided.as_ref().err().cloned().map(No::from);
                    prop_assert_eq!(refused, book.apply(asked).err());
                    for event in decided.into_iter().flatten() {
                        prop_assert_eq!(remarks(&event), [&asked.reason, &asked.reason]);
                        walked_out += discrepancy(&event);
                        evolve(&mut item, &event);
                    }
                }
            }
            let levels: [i128; 3] =
                [item.on_hand.into(), item.reserved.into(), item.version.get().into()];
            prop_assert_eq!(levels, [book.shelf, book.promised, book.changes]);
            prop_assert_eq!(i128::from(item.available()), book.free());
            prop_assert_eq!(walked_out, book.walked_out);
        }
    }

    #[test]
    fn available_is_what_is_there_and_not_promised_whatever_the_numbers(
        on_hand: i64,
        reserved: i64,
    ) {
        let exact = i128::from(on_hand) - i128::from(reserved);
        let expected = exact.clamp(0, i64::MAX.into());
        prop_assert_eq!(i128::from(available(on_hand, reserved)), expected);
    }
}
