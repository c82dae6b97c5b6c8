//! The committed state of every item, in memory: read by all, written by the writer alone.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
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
    /// Which items a reservation has here, and how many allocations of each.
    reservations: BTreeMap<ReservationId, BTreeMap<Sku, u32>>,
}

impl Shelf {
    /// A shelf with these items.
    #[must_use]
    pub fn new(items: BTreeMap<Sku, Item>) -> Self {
        let mut state = State::default();
        for (sku, item) in items {
            for kept in &item.kept {
                state.remember(&kept.reservation_id, &sku);
            }
            if !item.kept.is_empty() {
                state.kept.insert(sku.clone(), item.kept);
            }
            state.items.insert(sku, item.stock);
        }
        Self { state: RwLock::new(state) }
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

    /// Applies what was committed: in place, so that an item with very many allocations costs no more
    /// than one with few.
    pub(crate) fn commit(&self, events: &[(Sku, StockEvent)]) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (sku, event) in events {
            state.evolve(sku, event);
        }
    }
}

impl State {
    fn evolve(&mut self, sku: &Sku, event: &StockEvent) {
        if event.levels().is_none() {
            return;
        }
        evolve(self.items.entry(sku.clone()).or_default(), event);
        let Some(allocation) = event.allocation() else {
            return;
        };
        let kept = self.kept.entry(sku.clone()).or_default();
        let before = kept.len();
        evolve_allocations(kept, event);
        let (after, none_left) = (kept.len(), kept.is_empty());
        if none_left {
            self.kept.remove(sku);
        }
        match after.cmp(&before) {
            Ordering::Greater => self.remember(&allocation.reservation_id, sku),
            Ordering::Less => self.forget(&allocation.reservation_id, sku),
            Ordering::Equal => {}
        }
    }

    fn remember(&mut self, id: &ReservationId, sku: &Sku) {
        let skus = self.reservations.entry(id.clone()).or_default();
        *skus.entry(sku.clone()).or_default() += 1;
    }

    fn forget(&mut self, id: &ReservationId, sku: &Sku) {
        let Some(skus) = self.reservations.get_mut(id) else {
            return;
        };
        if let Some(count) = skus.get_mut(sku) {
            *count -= 1;
            if *count == 0 {
                skus.remove(sku);
            }
        }
        if skus.is_empty() {
            self.reservations.remove(id);
        }
    }

    fn of(&self, id: &ReservationId) -> Vec<(Sku, Allocation)> {
        let skus = self.reservations.get(id).into_iter().flat_map(BTreeMap::keys);
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

    use inventory_core::allocations::{Ending, end, reserve};
    use shared_events::reservation::Binding;

    use super::*;

    fn time() -> Timestamp {
        "2026-11-21T09:30:00Z".parse().unwrap()
    }

    fn allocation(reservation: u8, attempt: u32) -> Allocation {
        Allocation {
            reservation_id: format!("c.{reservation}").parse().unwrap(),
            order_id: "o".parse().unwrap(),
            attempt,
            line: 1,
            lines: 1,
            quantity: 1,
            line_quantity: 1,
            expires_at: time(),
            binding: Binding::Any,
        }
    }

    proptest! {
        #[test]
        fn the_shelf_is_what_its_events_make_it(
            steps in vec((0..3_u8, 0..4_u8, 1..3_u32, any::<bool>()), 1..60)
        ) {
            let shelf = Shelf::default();
            let mut model: BTreeMap<Sku, Item> = BTreeMap::new();
            for (sku, reservation, attempt, keep) in steps {
                let sku: Sku = format!("S{sku}").parse().unwrap();
                let mut item = model.get(&sku).cloned().unwrap_or_default();
                item.stock.on_hand = 1_000;
                let one = allocation(reservation, attempt);
                let is_kept =
                    item.kept.iter().any(|known| known.is_of(&one.reservation_id, attempt));
                let event = match (keep, is_kept) {
                    (true, false) => reserve(&[(item.stock, one)], time()).pop().unwrap().1,
                    (false, true) => end(&item.stock, &one, Ending::Fulfilled),
                    _ => continue,
                };
                item.evolve(&event);
                model.insert(sku.clone(), item);
                shelf.commit(&[(sku, event)]);

                let mut expected: BTreeMap<ReservationId, Vec<(Sku, Allocation)>> = BTreeMap::new();
                for (sku, item) in &model {
                    prop_assert_eq!(&shelf.item(sku), item);
                    for one in &item.kept {
                        let kept = expected.entry(one.reservation_id.clone()).or_default();
                        kept.push((sku.clone(), one.clone()));
                    }
                }
                let expected: Vec<_> = expected.into_iter().collect();
                prop_assert_eq!(shelf.reservations(None, 100), expected);
                // A store that starts makes the same of its journal.
                let again = Shelf::new(model.clone());
                prop_assert_eq!(again.reservations(None, 100), shelf.reservations(None, 100));
            }
        }
    }

    #[test]
    fn a_refusal_makes_no_item_of_one_that_was_never_there() {
        let shelf = Shelf::default();
        let asked = reserve(&[(StockItem::default(), allocation(1, 1))], time());
        let refused = asked.into_iter().map(|(_, event)| ("X".parse().unwrap(), event));
        shelf.commit(&refused.collect::<Vec<_>>());
        assert!(shelf.is_empty());
    }
}
