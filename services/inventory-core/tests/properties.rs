//! The rules of stock against an auditor's book that shares no code with them.

#[cfg(test)]
mod auditor;
#[cfg(test)]
mod story;

use auditor::{Asked, Book, audit_ask, audit_change, leaves_the_shop};
use inventory_core::allocations::end;
use inventory_core::available;
use proptest::prelude::*;
use shared_events::{MAX_UNITS, OnShortfall};
use story::{Entry, Shelf, Step, chosen, follows, live, promise, steps};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn replaying_the_events_gives_the_live_state(steps in steps()) {
        let (shelves, history) = live(&steps);
        let mut replayed = <[Shelf; 2]>::default();
        for (place, before, event) in &history {
            prop_assert_eq!(&replayed[*place], before);
            replayed[*place].apply(event);
        }
        prop_assert_eq!(replayed, shelves);
    }

    #[test]
    fn the_newest_event_with_levels_alone_gives_the_live_levels(steps in steps()) {
        let (shelves, history) = live(&steps);
        for (place, shelf) in shelves.iter().enumerate() {
            let known = |(at, _, event): &&Entry| *at == place && event.levels().is_some();
            let mut late = Shelf::default();
            history.iter().rfind(known).iter().for_each(|(_, _, newest)| late.apply(newest));
            prop_assert_eq!(late.item, shelf.item);
        }
    }

    #[test]
    fn after_every_event_the_books_balance(steps in steps()) {
        for (_, before, event) in live(&steps).1 {
            let mut after = before.clone();
            after.apply(&event);
            let promised: i64 = after.kept.iter().map(|kept| kept.quantity).sum();
            prop_assert_eq!(after.item.reserved, promised);
            prop_assert!((0..=after.item.on_hand).contains(&promised));
            prop_assert!(after.item.on_hand <= MAX_UNITS);
            prop_assert_eq!(after.item.available(), after.item.on_hand - promised);
            if let Some(levels) = event.levels() {
                prop_assert_eq!(after.item.on_hand, before.item.on_hand + levels.delta);
                prop_assert_eq!(after.item.version, before.item.version.next());
            } else {
                prop_assert_eq!(after, before);
            }
        }
    }

    #[test]
    fn what_may_be_refused_and_what_comes_in_never_touches_a_promise(steps in steps()) {
        let mut shelves = <[Shelf; 2]>::default();
        for (number, step) in (0..).zip(&steps) {
            let before = shelves.clone();
            for (place, event) in follows(&shelves, number, step) {
                shelves[place].apply(&event);
            }
            if let Step::Asked(place, Asked { change: Err((delta, choice)), .. }) = step
                && (*delta > 0 || *choice == OnShortfall::Reject)
            {
                prop_assert_eq!(&before[*place].kept, &shelves[*place].kept);
            }
        }
    }

    #[test]
    fn every_decision_is_the_auditors(steps in steps()) {
        let (mut shelves, mut books) = (<[Shelf; 2]>::default(), <[Book; 2]>::default());
        for (number, step) in (0..).zip(&steps) {
            match step {
                Step::Asked(place, asked) => {
                    audit_change(&mut shelves[*place], &mut books[*place], asked)?;
                }
                Step::Wanted(units, late) => {
                    audit_ask(&mut shelves, &mut books, number, *units, *late)?;
                }
                Step::Ends(which, ending) => {
                    if let Some((place, kept)) = chosen(&shelves, which) {
                        let event = end(&shelves[place].item, &kept, *ending);
                        prop_assert_eq!(event.allocation(), Some(&kept));
                        shelves[place].apply(&event);
                        books[place].end(promise(&kept).0, leaves_the_shop(*ending));
                    }
                }
            }
            for (shelf, book) in shelves.iter().zip(&books) {
                let levels = [shelf.item.on_hand, shelf.item.reserved, shelf.item.available()];
                let expected = [book.shelf, book.promised(), book.free()];
                prop_assert_eq!(levels.map(i128::from), expected);
                prop_assert_eq!(i128::from(shelf.item.version.get()), book.changes);
                prop_assert_eq!(shelf.promises(), book.promises.clone());
                prop_assert_eq!(book.walked_out, 0, "what the events do not explain");
            }
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
