//! The committed state of every item, in memory: read by all, written by the writer alone.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use inventory_core::StockItem;
use shared_events::Sku;

/// Items of one store. Readers never wait for the disk: the writer holds the lock only to swap in
/// levels that are already committed.
#[derive(Debug, Default)]
pub struct Shelf {
    items: RwLock<BTreeMap<Sku, StockItem>>,
}

impl Shelf {
    /// A shelf with these items.
    #[must_use]
    pub fn new(items: BTreeMap<Sku, StockItem>) -> Self {
        Self { items: RwLock::new(items) }
    }

    /// An item; one never seen is the default.
    #[must_use]
    pub fn get(&self, sku: &Sku) -> StockItem {
        let items = self.items.read().unwrap_or_else(PoisonError::into_inner);
        items.get(sku).copied().unwrap_or_default()
    }

    /// Up to `limit` items behind `after`, in order of their SKU.
    #[must_use]
    pub fn page(&self, after: Option<&Sku>, limit: usize) -> Vec<(Sku, StockItem)> {
        let items = self.items.read().unwrap_or_else(PoisonError::into_inner);
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        items
            .range((start, Bound::Unbounded))
            .take(limit)
            .map(|(sku, item)| (sku.clone(), *item))
            .collect()
    }

    /// How many items the store has ever had.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no item was ever seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes over what was committed.
    pub(crate) fn commit(&self, changed: HashMap<Sku, StockItem>) {
        self.items.write().unwrap_or_else(PoisonError::into_inner).extend(changed);
    }
}
