//! The committed state of every item, in memory: read by all, written by the writer alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use inventory_core::allocations::evolve_allocations;
use inventory_core::{StockItem, evolve};
use shared_events::{Allocation, ReservationId, Sku, StockEvent, Timestamp};

/// An item with what is kept of it for customers, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Its levels.
    pub stock: StockItem,
    /// Its open allocations.
    pub kept: Vec<Allocation>,
}

impl Item {
    /// Applies what happened.
    pub fn evolve(&mut self, event: &StockEvent) {
        evolve(&mut self.stock, event);
        evolve_allocations(&mut self.kept, event);
    }
}

/// Items of one store. Readers never wait for the disk: the writer holds the lock only to swap in
/// levels that are already committed.
#[derive(Debug, Default)]
pub struct Shelf {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    items: BTreeMap<Sku, StockItem>,
    /// Only items that have any: most have none, and a shelf has many items.
    kept: HashMap<Sku, Vec<Allocation>>,
    /// Which items a reservation has here.
    reservations: BTreeMap<ReservationId, BTreeSet<Sku>>,
}

impl Shelf {
    /// A shelf with these items.
    #[must_use]
    pub fn new(items: BTreeMap<Sku, Item>) -> Self {
        let shelf = Self::default();
        shelf.commit(items);
        shelf
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// An item's levels; one never seen is the default.
    #[must_use]
    pub fn get(&self, sku: &Sku) -> StockItem {
        self.state().items.get(sku).copied().unwrap_or_default()
    }

    /// An item with its allocations.
    #[must_use]
    pub fn item(&self, sku: &Sku) -> Item {
        let state = self.state();
        Item {
            stock: state.items.get(sku).copied().unwrap_or_default(),
            kept: state.kept.get(sku).cloned().unwrap_or_default(),
        }
    }

    /// Up to `limit` items behind `after`, in order of their SKU.
    #[must_use]
    pub fn page(&self, after: Option<&Sku>, limit: usize) -> Vec<(Sku, StockItem)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state();
        let page = state.items.range((start, Bound::Unbounded)).take(limit);
        page.map(|(sku, item)| (sku.clone(), *item)).collect()
    }

    /// What a reservation has here, in order of SKU.
    #[must_use]
    pub fn reservation(&self, id: &ReservationId) -> Vec<(Sku, Allocation)> {
        self.state().of(id)
    }

    /// Up to `limit` reservations behind `after` with what they have here, in order of their id.
    #[must_use]
    pub fn reservations(
        &self,
        after: Option<&ReservationId>,
        limit: usize,
    ) -> Vec<(ReservationId, Vec<(Sku, Allocation)>)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state();
        let page = state.reservations.range((start, Bound::Unbounded)).take(limit);
        page.map(|(id, _)| (id.clone(), state.of(id))).collect()
    }

    /// Items with an allocation that expired before a point.
    #[must_use]
    pub fn expired(&self, before: Timestamp) -> Vec<Sku> {
        let state = self.state();
        let late = |kept: &[Allocation]| kept.iter().any(|one| one.expires_at < before);
        state.kept.iter().filter(|(_, kept)| late(kept)).map(|(sku, _)| sku.clone()).collect()
    }

    /// How many items the store has ever had.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().items.len()
    }

    /// Whether no item was ever seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many reservations have something here.
    #[must_use]
    pub fn reservation_count(&self) -> usize {
        self.state().reservations.len()
    }

    /// Takes over what was committed.
    pub(crate) fn commit(&self, changed: impl IntoIterator<Item = (Sku, Item)>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (sku, item) in changed {
            state.put(sku, item);
        }
    }
}

impl State {
    fn put(&mut self, sku: Sku, item: Item) {
        let before = self.kept.remove(&sku).unwrap_or_default();
        for allocation in &before {
            if let Some(skus) = self.reservations.get_mut(&allocation.reservation_id) {
                skus.remove(&sku);
                if skus.is_empty() {
                    self.reservations.remove(&allocation.reservation_id);
                }
            }
        }
        for allocation in &item.kept {
            let skus = self.reservations.entry(allocation.reservation_id.clone()).or_default();
            skus.insert(sku.clone());
        }
        if !item.kept.is_empty() {
            self.kept.insert(sku.clone(), item.kept);
        }
        self.items.insert(sku, item.stock);
    }

    fn of(&self, id: &ReservationId) -> Vec<(Sku, Allocation)> {
        let skus = self.reservations.get(id).into_iter().flatten();
        skus.flat_map(|sku| {
            let kept = self.kept.get(sku).into_iter().flatten();
            kept.filter(|one| one.reservation_id == *id).map(|one| (sku.clone(), one.clone()))
        })
        .collect()
    }
}
