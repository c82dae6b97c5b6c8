//! The auditor stands beside the store and compares each answer with the books.

use inventory_core::allocations::Ending;
use inventory_core::decide;
use proptest::prelude::*;
use shared_events::StockEvent;
use shared_events::reservation::{BreakReason, RefusalReason};

use super::{Asked, Book, No, Promise};
use crate::story::{Shelf, promise, wanted};

/// A count or a sale, as the rules and as the auditor see it.
pub(crate) fn audit_change(
    shelf: &mut Shelf,
    book: &mut Book,
    asked: &Asked,
) -> Result<(), TestCaseError> {
    let decided = decide(&shelf.item, &shelf.kept, &asked.command(shelf.item.version));
    let audited = book.apply(asked);
    let events = match decided {
        Ok(events) => events,
        Err(rejection) => {
            prop_assert_eq!(Err(No::from(rejection)), audited);
            return Ok(());
        }
    };
    let (change, given_way) = events.split_last().expect("a change is an event");
    let why = if asked.change.is_ok() { BreakReason::Recounted } else { BreakReason::Sold };
    let mut broken: Vec<Promise> = Vec::new();
    for event in given_way {
        let StockEvent::Broken(event) = event else {
            return Err(TestCaseError::fail(format!("{event:?} in front of a change")));
        };
        prop_assert_eq!((event.reason, event.delta), (why, 0));
        broken.push(promise(&event.allocation));
    }
    prop_assert_eq!(Ok(broken), audited);
    let (remarks, short, counted) = match change {
        StockEvent::Replaced(event) => ([&event.reason, &event.reference], 0, true),
        StockEvent::Adjusted(event) => {
            ([&event.reason, &event.reference], event.discrepancy, false)
        }
        other => return Err(TestCaseError::fail(format!("{other:?} is no change of a level"))),
    };
    prop_assert_eq!((remarks, counted), ([&asked.reason, &asked.reason], asked.change.is_ok()));
    book.walked_out -= i128::from(short);
    events.iter().for_each(|event| shelf.apply(event));
    Ok(())
}

/// An ask for units of one item or both, as the rules and as the auditor see it.
pub(crate) fn audit_ask(
    shelves: &mut [Shelf; 2],
    books: &mut [Book; 2],
    number: u32,
    units: [Option<i64>; 2],
    late: bool,
) -> Result<(), TestCaseError> {
    let lines = [(0, units[0]), (1, units[1])];
    let lines: Vec<(usize, i128)> =
        lines.into_iter().filter_map(|(place, units)| Some((place, units?.into()))).collect();
    let unfit: Vec<_> =
        lines.iter().filter(|(place, units)| late || *units > books[*place].free()).collect();
    let events = wanted(shelves, number, units, late);
    let answers = if unfit.is_empty() { lines.iter().collect() } else { unfit.clone() };
    prop_assert_eq!(events.len(), answers.len());
    for ((place, event), (expected, units)) in events.iter().zip(answers) {
        prop_assert_eq!(place, expected);
        let asked = event.allocation().map(promise);
        prop_assert_eq!(asked, Some((number, *units)));
        match event {
            StockEvent::Reserved(_) => {
                prop_assert!(unfit.is_empty());
                books[*place].keep((number, *units));
            }
            StockEvent::ReservationRefused(refused) => {
                prop_assert!(!unfit.is_empty());
                prop_assert_eq!(refused.reason == RefusalReason::Expired, late);
                prop_assert_eq!(i128::from(refused.available), books[*place].free());
            }
            other => return Err(TestCaseError::fail(format!("{other:?} answers no ask"))),
        }
        shelves[*place].apply(event);
    }
    Ok(())
}

/// Whether units leave the shop when a promise ends so.
pub(crate) fn leaves_the_shop(ending: Ending) -> bool {
    match ending {
        Ending::Fulfilled | Ending::Broken(BreakReason::NotFound | BreakReason::Damaged) => true,
        Ending::Released(_) | Ending::Broken(_) => false,
    }
}
