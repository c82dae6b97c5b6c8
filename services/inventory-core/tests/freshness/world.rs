//! A store and an observer, made of the real rules, and everything that can go wrong between them.

use std::collections::BTreeMap;

use inventory_core::{
    Digest, DigestTrail, Freshness, FreshnessBounds, Observed, SequenceTracker, StockItem,
};
use proptest::prelude::*;
use proptest::sample::Index;
use shared_events::{Epoch, Sequence, Sku};

const ITEMS: u8 = 4;
const LIFE: Epoch = Epoch::new(1);

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The store counts an item.
    Count(u8, i64),
    /// The store says how it is.
    Beat,
    /// A record on its way arrives, and perhaps once more later.
    Arrive(Index, bool),
    /// A heartbeat on its way arrives, and perhaps once more later.
    Hear(Index, bool),
    /// Everything on its way arrives in order.
    Calm,
    /// A record is lost for ever.
    Lose(Index),
    /// The store publishes everything again.
    Replay,
    /// Time passes for the observer.
    Wait(u64),
    /// The observer starts anew over its rows.
    Restart,
    /// A row of the store is changed behind its back; it starts anew over it.
    StoreRow(u8, i64),
    /// A row of the observer is changed behind its back; it starts anew over it.
    ObserverRow(u8, i64),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let (item, units) = (0..ITEMS, 0..5_i64);
    prop_oneof![
        12 => (item.clone(), units.clone()).prop_map(|(item, units)| Step::Count(item, units)),
        8 => Just(Step::Beat),
        16 => (any::<Index>(), any::<bool>()).prop_map(|(at, again)| Step::Arrive(at, again)),
        8 => (any::<Index>(), any::<bool>()).prop_map(|(at, again)| Step::Hear(at, again)),
        6 => Just(Step::Calm),
        2 => any::<Index>().prop_map(Step::Lose),
        2 => Just(Step::Replay),
        3 => (0..4_000_u64).prop_map(Step::Wait),
        2 => Just(Step::Restart),
        1 => (item.clone(), units.clone()).prop_map(|(item, units)| Step::StoreRow(item, units)),
        1 => (item, units).prop_map(|(item, units)| Step::ObserverRow(item, units)),
    ]
}

type Shelf = BTreeMap<u8, StockItem>;

/// What a heartbeat says, and what the shelf was when it was said.
#[derive(Debug, Clone, Default)]
struct Beat {
    head: u64,
    digest: String,
    shelf: Shelf,
}

#[derive(Debug, Default)]
struct Store {
    shelf: Shelf,
    digest: Digest,
    /// Item and what it became, by sequence from 1.
    journal: Vec<(u8, StockItem)>,
}

#[derive(Debug, Default)]
struct Observer {
    rows: BTreeMap<u8, (u64, StockItem)>,
    digest: Digest,
    trail: DigestTrail,
    tracker: SequenceTracker,
    witness: Option<Beat>,
    went_back: bool,
    now_ms: u64,
    heard_ms: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    store: Store,
    observer: Observer,
    events: Vec<u64>,
    beats: Vec<Beat>,
    /// Somebody changed a row.
    tampered: bool,
    pub(crate) seen: Seen,
}

/// What the histories contained.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) fresh: u64,
    pub(crate) fresh_and_ahead: u64,
    pub(crate) diverged: u64,
    pub(crate) lagging: u64,
    pub(crate) unknown: u64,
    pub(crate) silent: u64,
}

fn sku(item: u8) -> Sku {
    format!("SKU-{item}").parse().expect("valid")
}

impl Store {
    fn put(&mut self, item: u8, to: StockItem) {
        let before = self.shelf.insert(item, to).unwrap_or_default();
        self.digest = self.digest.replace(&sku(item), &before, &to);
    }

    fn count(&mut self, item: u8, units: i64) {
        let version = self.shelf.get(&item).copied().unwrap_or_default().version.next();
        let counted = StockItem { on_hand: units, reserved: 0, version };
        self.put(item, counted);
        self.journal.push((item, counted));
    }

    fn head(&self) -> u64 {
        u64::try_from(self.journal.len()).expect("few events")
    }

    fn beat(&self) -> Beat {
        let digest = self.digest.to_string();
        Beat { head: self.head(), digest, shelf: self.shelf.clone() }
    }
}

impl Observer {
    fn apply(&mut self, sequence: u64, (item, to): (u8, StockItem)) {
        if !self.tracker.record(Sequence::new(sequence)) {
            return;
        }
        let known = self.rows.get(&item).copied();
        let (at, name) = ((LIFE, Sequence::new(sequence)), sku(item));
        let before = known.map_or_else(StockItem::default, |(_, before)| before);
        if known.is_some_and(|(newest, _)| newest >= sequence) {
            self.trail.passed_over(at, &name, &to);
        } else {
            self.digest = self.digest.replace(&name, &before, &to);
            let before = known.map(|(newest, before)| ((LIFE, Sequence::new(newest)), before));
            self.trail.changed(at, &name, before, &to);
            self.rows.insert(item, (sequence, to));
        }
    }

    fn hear(&mut self, beat: Beat) {
        self.heard_ms = Some(self.now_ms);
        self.went_back = self.witness.as_ref().is_some_and(|known| beat.head < known.head);
        if !self.went_back {
            self.trail.forget_before((LIFE, Sequence::new(beat.head)));
            self.witness = Some(beat);
        }
    }

    fn restart(&mut self) {
        let mut again = Self {
            rows: std::mem::take(&mut self.rows),
            tracker: std::mem::take(&mut self.tracker),
            witness: self.witness.take(),
            ..Self::default()
        };
        for (item, (sequence, row)) in &again.rows {
            again.digest = again.digest.replace(&sku(*item), &StockItem::default(), row);
            again.trail.begin((LIFE, Sequence::new(*sequence)));
        }
        *self = again;
    }

    fn freshness(&self) -> Freshness {
        let witness = self.witness.clone().unwrap_or_default();
        let head = Sequence::new(witness.head);
        let lag_events = self.tracker.missing_through(head);
        let here = self.trail.back_to((LIFE, head), self.digest).filter(|_| lag_events == 0);
        let differs = here.is_some_and(|here| here.to_string() != witness.digest);
        let observed = Observed {
            now_ms: self.now_ms,
            heard_ms: self.heard_ms,
            changed_ms: 0,
            lag_events,
            diverged: self.went_back || differs,
            compared: here.is_some(),
        };
        Freshness::judge(FreshnessBounds::default(), observed).freshness
    }

    /// Whether the levels are the store's at the head of a heartbeat; an item that went on since is as
    /// the store's journal says.
    fn equals(&self, beat: &Beat, store: &Store) -> Result<(), TestCaseError> {
        for item in 0..ITEMS {
            let (sequence, here) = self.rows.get(&item).copied().unwrap_or_default();
            let there = if sequence > beat.head {
                let place = usize::try_from(sequence - 1).expect("few events");
                store.journal[place].1
            } else {
                beat.shelf.get(&item).copied().unwrap_or_default()
            };
            prop_assert_eq!(here, there, "item {} at head {}", item, beat.head);
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Count(item, units) => {
                self.store.count(item, units);
                self.events.push(self.store.head());
            }
            Step::Beat => self.beats.push(self.store.beat()),
            Step::Arrive(at, again) if !self.events.is_empty() => {
                let at = at.index(self.events.len());
                let sequence = self.events[at];
                if !again {
                    self.events.remove(at);
                }
                self.arrive(sequence);
            }
            Step::Hear(at, again) if !self.beats.is_empty() => {
                let at = at.index(self.beats.len());
                let beat = self.beats[at].clone();
                if !again {
                    self.beats.remove(at);
                }
                self.observer.hear(beat);
            }
            Step::Lose(at) if !self.events.is_empty() => {
                self.events.remove(at.index(self.events.len()));
            }
            Step::Arrive(..) | Step::Hear(..) | Step::Lose(_) => {}
            Step::Calm => {
                self.events.sort_unstable();
                for sequence in std::mem::take(&mut self.events) {
                    self.arrive(sequence);
                }
                for beat in std::mem::take(&mut self.beats) {
                    self.observer.hear(beat);
                }
            }
            Step::Replay => self.events.extend(1..=self.store.head()),
            Step::Wait(ms) => self.observer.now_ms += ms,
            Step::Restart => self.observer.restart(),
            Step::StoreRow(item, units) => {
                self.tampered = true;
                if let Some(row) = self.store.shelf.get(&item).copied() {
                    self.store.put(item, StockItem { on_hand: units, ..row });
                }
            }
            Step::ObserverRow(item, units) => {
                self.tampered = true;
                if let Some((_, row)) = self.observer.rows.get_mut(&item) {
                    row.on_hand = units;
                }
                self.observer.restart();
            }
        }
    }

    fn arrive(&mut self, sequence: u64) {
        let place = usize::try_from(sequence - 1).expect("few events");
        self.observer.apply(sequence, self.store.journal[place]);
    }

    pub(crate) fn check(&mut self) -> Result<(), TestCaseError> {
        match self.observer.freshness() {
            Freshness::Fresh => {
                let beat = self.observer.witness.as_ref().expect("it judged by one");
                self.observer.equals(beat, &self.store)?;
                let ahead = self.observer.rows.values().any(|(sequence, _)| *sequence > beat.head);
                self.seen.fresh += 1;
                self.seen.fresh_and_ahead += u64::from(ahead);
            }
            Freshness::Diverged => {
                prop_assert!(self.tampered || self.observer.went_back, "a false alarm");
                self.seen.diverged += 1;
            }
            Freshness::Lagging { .. } => self.seen.lagging += 1,
            Freshness::Unknown => self.seen.unknown += 1,
            Freshness::Stale | Freshness::Dark | Freshness::SwitchedOff => self.seen.silent += 1,
        }
        Ok(())
    }

    /// When the line is sound again and nobody lays hands on a row, the store is fresh in the end.
    pub(crate) fn heal(&mut self) -> Result<(), TestCaseError> {
        for item in 0..ITEMS {
            self.take(Step::Count(item, 7));
        }
        self.take(Step::Replay);
        self.beats.clear();
        self.take(Step::Beat);
        self.take(Step::Calm);
        prop_assert_eq!(self.observer.freshness(), Freshness::Fresh);
        self.check()
    }
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        self.fresh += other.fresh;
        self.fresh_and_ahead += other.fresh_and_ahead;
        self.diverged += other.diverged;
        self.lagging += other.lagging;
        self.unknown += other.unknown;
        self.silent += other.silent;
    }
}
