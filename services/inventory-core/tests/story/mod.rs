//! What happens at a store with two items: counts, sales, asks and ends, in any order.

use inventory_core::allocations::{Ending, end, evolve_allocations, reserve};
use inventory_core::{StockItem, decide, evolve};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use shared_events::reservation::{Binding, BreakReason, ReleaseReason};
use shared_events::{Allocation, MAX_UNITS, OnShortfall, StockEvent, Text, Timestamp};

use crate::auditor::{Asked, Promise};

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// At one of the items: a count, a sale, a delivery.
    Asked(usize, Asked),
    /// So many units are wanted of each item, in time or not.
    Wanted([Option<i64>; 2], bool),
    /// One of the promises ends, if there is any.
    Ends(Index, Ending),
}

/// An item, and what is kept of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shelf {
    pub(crate) item: StockItem,
    pub(crate) kept: Vec<Allocation>,
}

impl Shelf {
    pub(crate) fn apply(&mut self, event: &StockEvent) {
        evolve(&mut self.item, event);
        evolve_allocations(&mut self.kept, event);
    }

    /// What is kept, in the auditor's words.
    pub(crate) fn promises(&self) -> Vec<Promise> {
        self.kept.iter().map(promise).collect()
    }
}

/// An allocation in the auditor's words.
pub(crate) fn promise(allocation: &Allocation) -> Promise {
    let (_, name) = allocation.reservation_id.as_str().split_once('.').expect("centre and name");
    let reservation: u32 = name.parse().expect("a number");
    (reservation * 2 + allocation.attempt - 1, allocation.quantity.into())
}

/// The other way round. Two asks in a row belong to one reservation.
fn allocation(number: u32, quantity: i64) -> Allocation {
    Allocation {
        reservation_id: format!("c1.{}", number / 2).parse().expect("valid"),
        order_id: "web-1".parse().expect("valid"),
        attempt: 1 + number % 2,
        line: 1,
        lines: 1,
        quantity,
        line_quantity: quantity,
        expires_at: at(1_000),
        binding: Binding::Any,
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis).expect("in range")
}

/// Where the promise stands that a step ends: the item, and its place there.
pub(crate) fn chosen(shelves: &[Shelf; 2], which: &Index) -> Option<(usize, Allocation)> {
    let kept = |place: usize| shelves[place].kept.iter().map(move |kept| (place, kept.clone()));
    let all: Vec<_> = kept(0).chain(kept(1)).collect();
    if all.is_empty() { None } else { Some(which.get(&all).clone()) }
}

/// What the rules make of an ask.
pub(crate) fn wanted(
    shelves: &[Shelf; 2],
    number: u32,
    units: [Option<i64>; 2],
    late: bool,
) -> Vec<(usize, StockEvent)> {
    let places: Vec<_> = (0..2).filter(|place| units[*place].is_some()).collect();
    let lines = places
        .iter()
        .map(|place| (shelves[*place].item, allocation(number, units[*place].unwrap_or_default())));
    let deadline = at(if late { 1_001 } else { 1_000 });
    let events = reserve(&lines.collect::<Vec<_>>(), deadline);
    events.into_iter().map(|(place, event)| (places[place], event)).collect()
}

/// What the rules make of a step; nothing where they refuse.
pub(crate) fn follows(shelves: &[Shelf; 2], number: u32, step: &Step) -> Vec<(usize, StockEvent)> {
    match step {
        Step::Asked(place, asked) => {
            let Shelf { item, kept } = &shelves[*place];
            let decided = decide(item, kept, &asked.command(item.version)).unwrap_or_default();
            decided.into_iter().map(|event| (*place, event)).collect()
        }
        Step::Wanted(units, late) => wanted(shelves, number, *units, *late),
        Step::Ends(which, ending) => chosen(shelves, which)
            .map(|(place, kept)| (place, end(&shelves[place].item, &kept, *ending)))
            .into_iter()
            .collect(),
    }
}

/// One event: at which item, how that stood before, what happened.
pub(crate) type Entry = (usize, Shelf, StockEvent);

/// Runs steps; returns how all ended and every event on the way.
pub(crate) fn live(steps: &[Step]) -> ([Shelf; 2], Vec<Entry>) {
    let (mut shelves, mut history) = (<[Shelf; 2]>::default(), Vec::new());
    for (number, step) in (0..).zip(steps) {
        for (place, event) in follows(&shelves, number, step) {
            history.push((place, shelves[place].clone(), event.clone()));
            shelves[place].apply(&event);
        }
    }
    (shelves, history)
}

fn units() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..12_i64, 1 => 0..=MAX_UNITS, 1 => MAX_UNITS - 3..=MAX_UNITS]
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

fn ending() -> impl Strategy<Value = Ending> {
    use BreakReason::{Damaged, NotFound, Recounted, Sold};
    use ReleaseReason::{Cancelled, Expired, Incomplete, TimedOut};
    prop_oneof![
        2 => select(&[Cancelled, Expired, Incomplete, TimedOut][..]).prop_map(Ending::Released),
        2 => Just(Ending::Fulfilled),
        2 => select(&[Damaged, NotFound][..]).prop_map(Ending::Broken),
        1 => select(&[Recounted, Sold][..]).prop_map(Ending::Broken),
    ]
}

/// A story of a store.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = || option::weighted(0.7, prop_oneof![9 => 1..6_i64, 1 => 1..=MAX_UNITS]);
    let units = [some(), some()].prop_filter("of some item", |units| *units != [None, None]);
    let late = prop_oneof![9 => Just(false), 1 => Just(true)];
    vec(
        prop_oneof![
            4 => (0..2_usize, asked()).prop_map(|(place, asked)| Step::Asked(place, asked)),
            4 => (units, late).prop_map(|(units, late)| Step::Wanted(units, late)),
            2 => (any::<Index>(), ending()).prop_map(|(which, how)| Step::Ends(which, how)),
        ],
        1..60,
    )
}
