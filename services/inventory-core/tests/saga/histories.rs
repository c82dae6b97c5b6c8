//! Whatever may happen to a reservation: answers nobody could expect, callers at any moment, and time.

use inventory_core::saga::{self, requests};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use shared_events::Sku;
use shared_events::ledger::Answer;
use shared_events::reservation::{BreakReason, RefusalReason, ReleaseReason};

use crate::support::{Saga, TIMING, given, given_together, sku, store};
use crate::words::{Word, word};

const STORES: [&str; 3] = ["A", "B", "C"];
const ITEMS: [&str; 3] = ["X", "Y", "Z"];

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A store is asked for what is missing, at most so many units of each line.
    Asks(usize, i64),
    /// Nobody has what is missing.
    Unsourced,
    /// A store says something.
    Says(Said),
    /// Milliseconds go by.
    Passes(u64),
    /// The customer does not want it.
    Cancels,
    /// The customer comes for these.
    Fulfils(Vec<&'static str>),
    /// The centre was away.
    Away,
}

/// What a store says: mostly of something it was asked, and mostly news.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    about: Index,
    answer: Answer,
    /// Of an ask nobody may have made.
    wild: Option<(&'static str, u32, &'static str)>,
    /// Of another number of units.
    units: Option<i64>,
    /// Long ago, or in another life of its journal.
    at: Option<(u64, u64)>,
}

/// A story: what is wanted, whether it may be split, and what happens; whether the centre looks after it
/// each time.
pub(crate) type Story = (Vec<i64>, bool, Vec<(Event, bool)>);

pub(crate) fn stories() -> impl Strategy<Value = Story> {
    let looks = prop_oneof![4 => Just(true), 1 => Just(false)];
    (vec(1..5_i64, 1..=3), any::<bool>(), vec((happens(), looks), 1..40))
}

pub(crate) fn answers() -> impl Strategy<Value = Answer> {
    use BreakReason::{Damaged, NotFound, Recounted, Sold};
    use ReleaseReason::{Cancelled, Expired, Incomplete, Moved, TimedOut};
    let refusals = select(&[RefusalReason::InsufficientStock, RefusalReason::Expired][..]);
    let releases = select(&[Cancelled, Expired, Incomplete, Moved, TimedOut][..]);
    let breaks = select(&[Damaged, NotFound, Recounted, Sold][..]);
    prop_oneof![
        6 => Just(Answer::Reserved),
        2 => (refusals, 0..4_i64)
            .prop_map(|(reason, available)| Answer::Refused { reason, available }),
        2 => releases.prop_map(|reason| Answer::Released { reason }),
        2 => Just(Answer::Fulfilled),
        2 => breaks.prop_map(|reason| Answer::Broken { reason }),
    ]
}

pub(crate) fn says() -> impl Strategy<Value = Said> {
    let wild = (select(&STORES[..]), 1..9_u32, select(&ITEMS[..]));
    let places = (1..3_u64, 1..60_u64);
    let rarely = |chance| option::weighted(chance, Just(()));
    (any::<Index>(), answers(), wild, 1..6_i64, places, (rarely(0.1), rarely(0.1), rarely(0.2)))
        .prop_map(|(about, answer, wild, units, at, (is_wild, is_other, is_old))| Said {
            about,
            answer,
            wild: is_wild.map(|()| wild),
            units: is_other.map(|()| units),
            at: is_old.map(|()| at),
        })
}

fn happens() -> impl Strategy<Value = Event> {
    let times = prop_oneof![6 => 0..5_000_u64, 2 => 0..60_000_u64, 1 => 0..1_200_000_u64];
    prop_oneof![
        8 => (0..3_usize, 1..5_i64).prop_map(|(store, most)| Event::Asks(store, most)),
        1 => Just(Event::Unsourced),
        14 => says().prop_map(Event::Says),
        6 => times.prop_map(Event::Passes),
        1 => Just(Event::Cancels),
        2 => subsequence(ITEMS.to_vec(), 0..3).prop_map(Event::Fulfils),
        1 => Just(Event::Away),
    ]
}

/// Just asked for.
pub(crate) fn begun(wanted: &[i64], split: bool) -> Saga {
    let lines: Vec<_> = ITEMS.into_iter().zip(wanted.iter().copied()).collect();
    let begun = if split { given(&lines) } else { given_together(&lines) };
    Saga { sane_stores: false, ..begun }
}

impl Saga {
    /// It happens; what is not allowed, or about nothing, does not.
    pub(crate) fn happens(&mut self, event: &Event) {
        match event {
            Event::Asks(place, most) => self.asks(STORES[*place], *most),
            Event::Unsourced if saga::missing(&self.it).is_empty() => {}
            Event::Unsourced => {
                requests::unsourced(&self.it, Vec::new()).into_iter().for_each(|t| self.apply(t));
            }
            Event::Says(said) => self.told_by_a_store(said),
            Event::Passes(millis) => self.now = self.now.plus_millis(*millis),
            Event::Cancels => {
                let cancel = requests::cancel(&self.it, self.now);
                cancel.ok().flatten().into_iter().for_each(|t| self.apply(t));
            }
            Event::Fulfils(names) => {
                let skus: Vec<Sku> = names.iter().map(|name| sku(name)).collect();
                let told = requests::fulfil(&self.it, &skus, self.now, &TIMING);
                told.unwrap_or_default().into_iter().for_each(|t| self.apply(t));
            }
            Event::Away => requests::forgive(&mut self.it, self.now, &TIMING),
        }
    }

    fn asks(&mut self, name: &str, most: i64) {
        let mut wanted = saga::missing(&self.it);
        let bound = saga::bound_to(&self.it);
        let may_be = bound.is_empty() || bound.contains(&store(name));
        // A caller who allows no split is never offered one.
        if wanted.is_empty() || !may_be {
            return;
        }
        for line in wanted.iter_mut().filter(|_| self.it.allow_split) {
            line.quantity = line.quantity.min(most);
        }
        let ask = requests::ask(&self.it, store(name), wanted, self.now, &TIMING);
        self.apply(ask);
    }

    fn told_by_a_store(&mut self, said: &Said) {
        let known = (!self.it.allocations.is_empty()).then(|| said.about.get(&self.it.allocations));
        let known = known.map(|known| (known.store_id.as_str(), known.attempt, known.sku.as_str()));
        // Of an ask nobody made, or ever will.
        let wild = said.wild.map(|(store, attempt, item)| {
            (store, if attempt > self.it.commands { attempt + 500 } else { attempt }, item)
        });
        let Some((store, attempt, item)) = wild.or(known) else { return };
        if !self.it.lines.iter().any(|line| line.sku.as_str() == item) {
            return;
        }
        let mut word: Word = word(store, attempt, item, said.answer);
        word = said.units.into_iter().fold(word, Word::of);
        word = said.at.into_iter().fold(word, |word, (epoch, place)| word.from(epoch, place));
        self.sequence += 1;
        let event = word.recorded(&self.it, self.sequence);
        if let Some(answer) = saga::answer(&self.it, &event) {
            self.apply(answer);
            assert_eq!(saga::answer(&self.it, &event), None, "news is news once");
        }
    }
}
