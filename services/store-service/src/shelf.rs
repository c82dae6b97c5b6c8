//! The committed state of every item, in memory: read by all, written by the writer alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use inventory_core::allocations::evolve_allocations;
use inventory_core::{StockItem, evolve};
use shared_events::{Allocation, ReservationId, Sku, StockEvent, Timestamp, Version};

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
        let Item { stock, kept } = item;
        let before = self.kept.remove(&sku).unwrap_or_default();
        // Allocations end anywhere and begin at the end: what is the same is passed over once.
        let mut still = kept.iter().peekable();
        for was in &before {
            if still.next_if(|is| is.is_of(&was.reservation_id, was.attempt)).is_none() {
                self.forget(&was.reservation_id, &sku, &kept);
            }
        }
        for new in still {
            let skus = self.reservations.entry(new.reservation_id.clone()).or_default();
            skus.insert(sku.clone());
        }
        if !kept.is_empty() {
            self.kept.insert(sku.clone(), kept);
        }
        // One that was only looked at is still one never seen.
        if stock.version > Version::ZERO {
            self.items.insert(sku, stock);
        }
    }

    /// A reservation lost an allocation of an item, of which these are left.
    fn forget(&mut self, id: &ReservationId, sku: &Sku, kept: &[Allocation]) {
        if kept.iter().any(|one| one.reservation_id == *id) {
            return;
        }
        if let Some(skus) = self.reservations.get_mut(id) {
            skus.remove(sku);
            if skus.is_empty() {
                self.reservations.remove(id);
            }
        }
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn allocation(reservation: u8, attempt: u32) -> Allocation {
        Allocation {
            reservation_id: format!("c.{reservation}").parse().unwrap(),
            order_id: "o".parse().unwrap(),
            attempt,
            line: 1,
            lines: 1,
            quantity: 1,
            line_quantity: 1,
            expires_at: "2026-11-21T09:30:00Z".parse().unwrap(),
        }
    }

    proptest! {
        #[test]
        fn the_list_of_reservations_is_what_the_items_keep(
            steps in vec((0..3_u8, 0..4_u8, 1..3_u32, any::<bool>()), 1..60)
        ) {
            let shelf = Shelf::default();
            let mut model: BTreeMap<Sku, Item> = BTreeMap::new();
            for (sku, reservation, attempt, keep) in steps {
                let sku: Sku = format!("S{sku}").parse().unwrap();
                let item = model.entry(sku.clone()).or_default();
                item.stock.version = item.stock.version.next();
                let one = allocation(reservation, attempt);
                item.kept.retain(|known| !known.is_of(&one.reservation_id, attempt));
                if keep {
                    item.kept.push(one);
                }
                shelf.commit([(sku, item.clone())]);

                let mut expected: BTreeMap<ReservationId, Vec<(Sku, Allocation)>> = BTreeMap::new();
                for (sku, item) in &model {
                    for one in &item.kept {
                        let kept = expected.entry(one.reservation_id.clone()).or_default();
                        kept.push((sku.clone(), one.clone()));
                    }
                }
                prop_assert_eq!(shelf.reservations(None, 100), expected.into_iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn an_item_that_was_only_looked_at_is_still_one_never_seen() {
        let shelf = Shelf::default();
        shelf.commit([("X".parse().unwrap(), Item::default())]);
        assert!(shelf.is_empty());
    }
}
