//! What queries see: all levels and all stores, in memory.
//!
//! Written by the projector after each commit, read by everyone. A lock is held only while one item's
//! levels are copied in or out, never across I/O, so no query waits for the projector's disk.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use inventory_core::{Digest, Freshness, FreshnessBounds, StockItem};
use shared_events::{Epoch, Sequence, Sku, StoreId, Version};

use crate::store::Witness;

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
    /// When its last live heartbeat arrived.
    pub heard_at: Option<Instant>,
}

/// A store's freshness at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The verdict.
    pub freshness: Freshness,
    /// Milliseconds since the last live heartbeat; `None` when there was none since the centre started.
    pub age_ms: Option<u64>,
}

/// Shards keep readers of one item out of the way of a write to another.
const SHARDS: u64 = 64;

type Shard = RwLock<HashMap<Sku, Vec<Level>>>;

/// Levels and stores.
#[derive(Debug)]
pub struct ReadModel {
    shards: Vec<Shard>,
    hasher: RandomState,
    stores: RwLock<Vec<StoreView>>,
    bounds: FreshnessBounds,
    started: Instant,
}

impl ReadModel {
    /// An empty model.
    #[must_use]
    pub fn new(bounds: FreshnessBounds) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            stores: RwLock::default(),
            bounds,
            started: Instant::now(),
        }
    }

    /// An item in all stores that ever had it.
    #[must_use]
    pub fn levels(&self, sku: &Sku) -> Vec<Level> {
        let shard = self.shard(sku).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(sku).cloned().unwrap_or_default()
    }

    /// An item in one store.
    #[must_use]
    pub fn level(&self, store: StoreIndex, sku: &Sku) -> Option<Level> {
        let shard = self.shard(sku).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(sku)?.iter().find(|level| level.store == store).copied()
    }

    /// All stores, in order of their index.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreView> {
        self.stores.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A store by its name.
    #[must_use]
    pub fn store(&self, id: &StoreId) -> Option<(StoreIndex, StoreView)> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        let (view, index) = stores.iter().zip(0..).find(|(view, _)| view.id == *id)?;
        Some((StoreIndex(index), view.clone()))
    }

    /// How far a store's numbers can be believed now.
    #[must_use]
    pub fn seen(&self, view: &StoreView) -> Seen {
        let age_ms = view.heard_at.map(elapsed_ms);
        let freshness = Freshness::judge(
            self.bounds,
            age_ms,
            elapsed_ms(self.started),
            view.missing,
            view.diverged,
        );
        Seen { freshness, age_ms }
    }

    pub(crate) fn put_level(&self, sku: &Sku, level: Level) {
        let mut shard = self.shard(sku).write().unwrap_or_else(PoisonError::into_inner);
        let levels = shard.entry(sku.clone()).or_default();
        match levels.iter_mut().find(|known| known.store == level.store) {
            Some(known) => *known = level,
            None => levels.push(level),
        }
    }

    pub(crate) fn put_store(&self, index: StoreIndex, view: StoreView) {
        let mut stores = self.stores.write().unwrap_or_else(PoisonError::into_inner);
        match stores.get_mut(index.place()) {
            Some(known) => *known = view,
            None => stores.push(view),
        }
    }

    fn shard(&self, sku: &Sku) -> &Shard {
        let hash = usize::try_from(self.hasher.hash_one(sku) % SHARDS).unwrap_or_default();
        self.shards.get(hash).expect("the remainder is below the number of shards")
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
