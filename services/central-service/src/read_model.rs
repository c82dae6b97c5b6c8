//! What queries see: all levels, commitments, stores and policies, in memory.
//!
//! Written by the projector after each commit, read by everyone. A lock is held only while one item is
//! copied in or out, never across I/O, so no query waits for the projector's disk. A level and what is
//! promised of it change under one lock: no unit counts twice or falls between.
//!
//! One exception to "after each commit": a hold is shown as soon as it is decided, so that the next
//! request of the same transaction sees it. It can only make less available, and an error ends the
//! process.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use inventory_core::digest_trail::Place;
use inventory_core::safety_stock::SafetyStocks;
use inventory_core::selling::SellingSwitches;
use inventory_core::{Digest, FreshnessBounds, StockItem, Terms};
use shared_events::policy::Policy;
use shared_events::{Epoch, Location, Sequence, Sku, StoreId, Version};

use crate::commitments::{AskKey, Change, Commitment, Commitments};
use crate::resync::Status;
use crate::store::Witness;
use crate::watch::{Known, Watch};

pub use crate::watch::Seen;

/// A store's place in the centre's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreIndex(pub u32);

impl StoreIndex {
    /// As a place in a list.
    #[must_use]
    pub fn place(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// One item of one store, as of its newest known event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The store.
    pub store: StoreIndex,
    /// Life of the journal that said so.
    pub epoch: Epoch,
    /// The event that said so.
    pub sequence: Sequence,
    /// The item's version.
    pub version: Version,
    /// Units on hand.
    pub on_hand: i64,
    /// Units promised to reservations.
    pub reserved: i64,
    /// When, by the store's clock, in milliseconds of UTC.
    pub occurred_at_ms: i64,
}

impl Level {
    /// The event that said so, as a place in the journal.
    #[must_use]
    pub const fn place(&self) -> Place {
        (self.epoch, self.sequence)
    }

    /// As the core sees it.
    #[must_use]
    pub const fn item(&self) -> StockItem {
        StockItem { on_hand: self.on_hand, reserved: self.reserved, version: self.version }
    }
}

/// What is known of one store.
#[derive(Debug, Clone)]
pub struct StoreView {
    /// The store.
    pub id: StoreId,
    /// What it last reported.
    pub witness: Witness,
    /// Applied without a hole up to here, in the epoch it reported.
    pub applied_through: Sequence,
    /// Events it reported that are not applied.
    pub missing: u64,
    /// Digest of its items here.
    pub digest: Digest,
    /// Whether its levels here are known not to be its own.
    pub diverged: bool,
    /// Whether they could be compared with what it last reported.
    pub compared: bool,
    /// How the comparison with its journal stands.
    pub resync: Status,
    /// When its last live heartbeat arrived.
    pub heard_at: Option<Instant>,
    /// Where the shop is, when it said so.
    pub location: Option<Location>,
}

/// One item in one store, with everything that decides how much of it may be offered.
#[derive(Debug, Clone, Copy)]
pub struct Shelf {
    /// The store.
    pub store: StoreIndex,
    /// As of its newest known event; `None` for an item never seen there.
    pub level: Option<Level>,
    /// What decides.
    pub terms: Terms,
}

/// Shards keep readers of one item out of the way of a write to another.
const SHARDS: u64 = 64;

/// The items of one shard.
#[derive(Debug, Default)]
struct Items {
    levels: HashMap<Sku, Vec<Level>>,
    commitments: HashMap<Sku, Vec<(StoreIndex, Commitments)>>,
}

impl Items {
    fn level(&self, store: StoreIndex, sku: &Sku) -> Option<Level> {
        self.levels.get(sku)?.iter().find(|level| level.store == store).copied()
    }

    fn replace(&mut self, store: StoreIndex, part: Part) {
        for levels in self.levels.values_mut() {
            levels.retain(|level| level.store != store);
        }
        for (sku, level) in part.levels {
            self.levels.entry(sku).or_default().push(level);
        }
        self.levels.retain(|_, levels| !levels.is_empty());
        let mut kept = part.commitments;
        for (sku, all) in &mut self.commitments {
            let known = all.iter().position(|(of, _)| *of == store);
            let Some((_, known)) = known.map(|place| all.swap_remove(place)) else {
                continue;
            };
            for (key, commitment) in known.iter() {
                if let Commitment::Hold(units) = commitment {
                    let kept = kept.entry(sku.clone()).or_default();
                    kept.apply(key.clone(), Change::Hold(*units));
                }
            }
        }
        for (sku, kept) in kept.into_iter().filter(|(_, kept)| !kept.is_empty()) {
            self.commitments.entry(sku).or_default().push((store, kept));
        }
        self.commitments.retain(|_, all| !all.is_empty());
    }

    fn commitments(&self, store: StoreIndex, sku: &Sku) -> Option<&Commitments> {
        let all = self.commitments.get(sku)?;
        all.iter().find(|(of, _)| *of == store).map(|(_, commitments)| commitments)
    }
}

/// What one store has in one shard.
#[derive(Debug, Default)]
struct Part {
    levels: Vec<(Sku, Level)>,
    commitments: HashMap<Sku, Commitments>,
}

/// The stores, and where each one's place is.
#[derive(Debug, Default)]
struct Stores {
    known: Vec<Known>,
    by_id: HashMap<StoreId, StoreIndex>,
}

/// Levels, commitments, stores and policies.
#[derive(Debug)]
pub struct ReadModel {
    shards: Vec<RwLock<Items>>,
    hasher: RandomState,
    stores: RwLock<Stores>,
    safety_stocks: RwLock<SafetyStocks>,
    selling: RwLock<SellingSwitches>,
    caught_up: AtomicBool,
    watch: Watch,
}

impl ReadModel {
    /// An empty model.
    #[must_use]
    pub fn new(bounds: FreshnessBounds) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            stores: RwLock::default(),
            safety_stocks: RwLock::default(),
            selling: RwLock::default(),
            caught_up: AtomicBool::new(false),
            watch: Watch::new(bounds),
        }
    }

    /// An item in one store.
    #[must_use]
    pub fn level(&self, store: StoreIndex, sku: &Sku) -> Option<Level> {
        read(self.shard(sku)).level(store, sku)
    }

    /// An item in all stores that ever had it, with what may be offered of it at a moment. Freshness
    /// comes in, as it was before: a number that is newer than its label is honest, the other way
    /// round is not.
    #[must_use]
    pub fn shelves(&self, stores: &[Seen], sku: &Sku, now_ms: i64) -> Vec<Shelf> {
        let policies = read(&self.safety_stocks);
        let items = read(self.shard(sku));
        let levels = items.levels.get(sku).map_or(&[][..], Vec::as_slice);
        let shelf = |level: &Level| {
            let seen = stores.get(level.store.place())?;
            Some(shelf(&items, &policies, seen, (level.store, Some(*level)), sku, now_ms))
        };
        levels.iter().filter_map(shelf).collect()
    }

    /// An item in one store, with what may be offered of it at a moment.
    #[must_use]
    pub fn shelf(&self, seen: &Seen, store: StoreIndex, sku: &Sku, now_ms: i64) -> Shelf {
        let policies = read(&self.safety_stocks);
        let items = read(self.shard(sku));
        shelf(&items, &policies, seen, (store, items.level(store, sku)), sku, now_ms)
    }

    /// Whether any store ever had an item.
    #[must_use]
    pub fn knows(&self, sku: &Sku) -> bool {
        read(self.shard(sku)).levels.contains_key(sku)
    }

    /// The same, with a look at everything promised of the item there: a short one, it is locked
    /// meanwhile.
    pub fn explained<T>(
        &self,
        seen: &Seen,
        store: StoreIndex,
        sku: &Sku,
        now_ms: i64,
        look: impl FnOnce(&Shelf, &Commitments) -> T,
    ) -> T {
        let policies = read(&self.safety_stocks);
        let items = read(self.shard(sku));
        let level = items.level(store, sku);
        let shelf = shelf(&items, &policies, seen, (store, level), sku, now_ms);
        let none = Commitments::default();
        look(&shelf, items.commitments(store, sku).unwrap_or(&none))
    }

    /// All stores and how far each can be believed now, in order of their index.
    #[must_use]
    pub fn stores(&self) -> Vec<Seen> {
        let known = read(&self.stores).known.clone();
        let switches = read(&self.selling);
        known.into_iter().map(|known| self.watch.seen(known, &switches)).collect()
    }

    /// A store by its name, and how far it can be believed now.
    #[must_use]
    pub fn store(&self, id: &StoreId) -> Option<(StoreIndex, Seen)> {
        let (index, known) = {
            let stores = read(&self.stores);
            let index = *stores.by_id.get(id)?;
            (index, stores.known.get(index.place())?.clone())
        };
        Some((index, self.watch.seen(known, &read(&self.selling))))
    }

    /// When silence becomes stale, and when dark.
    #[must_use]
    pub const fn bounds(&self) -> FreshnessBounds {
        self.watch.bounds()
    }

    /// Whether everything that was written while this centre was away has been read: what is not
    /// known before may only not have been read yet.
    #[must_use]
    pub fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// Whether every store has been heard since this centre started, and nothing of any is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let stores = read(&self.stores);
        stores.known.iter().all(|known| known.view.heard_at.is_some() && known.view.missing == 0)
    }

    pub(crate) fn caught_up(&self) {
        self.caught_up.store(true, Ordering::Release);
    }

    /// Whether the store of a place is shown.
    #[must_use]
    pub fn has_place(&self, place: usize) -> bool {
        place < read(&self.stores).known.len()
    }

    /// A store's place.
    #[must_use]
    pub fn index(&self, id: &StoreId) -> Option<StoreIndex> {
        read(&self.stores).by_id.get(id).copied()
    }

    /// The safety stock policies.
    pub fn safety_stocks<T>(&self, look: impl FnOnce(&SafetyStocks) -> T) -> T {
        look(&read(&self.safety_stocks))
    }

    /// Which stores operators have switched on and off.
    pub fn selling<T>(&self, look: impl FnOnce(&SellingSwitches) -> T) -> T {
        look(&read(&self.selling))
    }

    /// Shows a level and the changes of its commitments together.
    pub(crate) fn put(
        &self,
        store: StoreIndex,
        sku: &Sku,
        level: Option<Level>,
        changes: Vec<(AskKey, Change)>,
    ) {
        let mut items = write(self.shard(sku));
        if let Some(level) = level {
            let levels = items.levels.entry(sku.clone()).or_default();
            match levels.iter_mut().find(|known| known.store == store) {
                Some(known) => *known = level,
                None => levels.push(level),
            }
        }
        if changes.is_empty() {
            return;
        }
        let all = items.commitments.entry(sku.clone()).or_default();
        let place = all.iter().position(|(of, _)| *of == store).unwrap_or_else(|| {
            all.push((store, Commitments::default()));
            all.len() - 1
        });
        if let Some((_, commitments)) = all.get_mut(place) {
            for (key, change) in changes {
                commitments.apply(key, change);
            }
            if commitments.is_empty() {
                all.swap_remove(place);
            }
        }
        if all.is_empty() {
            items.commitments.remove(sku);
        }
    }

    /// Shows what a store's whole journal leads to, instead of what was shown of it. Holds stay: they
    /// are this centre's.
    pub(crate) fn replace(
        &self,
        store: StoreIndex,
        levels: HashMap<Sku, Level>,
        commitments: HashMap<Sku, Commitments>,
    ) {
        let mut parts: Vec<Part> = (0..SHARDS).map(|_| Part::default()).collect();
        for (sku, level) in levels {
            let place = self.place(&sku);
            if let Some(part) = parts.get_mut(place) {
                part.levels.push((sku, level));
            }
        }
        for (sku, kept) in commitments {
            let place = self.place(&sku);
            if let Some(part) = parts.get_mut(place) {
                part.commitments.insert(sku, kept);
            }
        }
        for (shard, part) in self.shards.iter().zip(parts) {
            write(shard).replace(store, part);
        }
    }

    /// Items that a store has here.
    pub(crate) fn skus_of(&self, store: StoreIndex) -> Vec<Sku> {
        let of_store = |levels: &Vec<Level>| levels.iter().any(|level| level.store == store);
        let mut skus = Vec::new();
        for shard in &self.shards {
            let items = read(shard);
            let found = items.levels.iter().filter(|(_, levels)| of_store(levels));
            skus.extend(found.map(|(sku, _)| sku.clone()));
        }
        skus
    }

    pub(crate) fn put_store(&self, index: StoreIndex, view: StoreView) {
        let mut stores = write(&self.stores);
        stores.by_id.insert(view.id.clone(), index);
        let before = stores.known.get_mut(index.place());
        let known = self.watch.known(before.as_deref(), view);
        match before {
            Some(before) => *before = known,
            None => stores.known.push(known),
        }
    }

    /// Takes a policy; `false` when a later one of its scope, or of its store, is known.
    pub(crate) fn put_policy(&self, policy: Policy) -> bool {
        match policy {
            Policy::SafetyStock(policy) => write(&self.safety_stocks).put(policy),
            Policy::Selling(policy) => write(&self.selling).put(policy),
        }
    }

    fn place(&self, sku: &Sku) -> usize {
        usize::try_from(self.hasher.hash_one(sku) % SHARDS).unwrap_or_default()
    }

    fn shard(&self, sku: &Sku) -> &RwLock<Items> {
        self.shards.get(self.place(sku)).expect("the remainder is below the number of shards")
    }
}

fn shelf(
    items: &Items,
    policies: &SafetyStocks,
    seen: &Seen,
    (store, level): (StoreIndex, Option<Level>),
    sku: &Sku,
    now_ms: i64,
) -> Shelf {
    let commitments = items.commitments(store, sku);
    let policy = policies.applying(&seen.view.id, sku);
    let terms = Terms {
        on_hand: level.map_or(0, |level| level.on_hand),
        reserved: level.map_or(0, |level| level.reserved),
        expired: commitments.map_or(0, |all| all.expired_units(now_ms)),
        holds: commitments.map_or(0, |all| all.holds(now_ms)),
        safety_stock: policy.and_then(|policy| policy.units).unwrap_or_default(),
        staleness: seen.staleness,
        sellable: seen.freshness.sellable(),
    };
    Shelf { store, level, terms }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
