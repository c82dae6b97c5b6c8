//! A set hash over a shelf: two sides with the same items in the same state have the same digest.
//!
//! It is a sum, so one changed item costs one subtraction and one addition however large the shelf
//! is, and the order of items does not matter. It finds accidents, not forgers: the journal's hash
//! chain is for those.

use std::fmt;

use shared_events::Sku;
use xxhash_rust::xxh3::Xxh3;

use crate::stock_item::StockItem;

/// Digest of a set of items. The default is that of the empty shelf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest(u128);

impl Digest {
    /// The same shelf after `sku` went from `old` to `new`.
    #[must_use]
    pub fn replace(self, sku: &Sku, old: &StockItem, new: &StockItem) -> Self {
        self.swap(item_hash(sku, old), item_hash(sku, new))
    }

    /// The same with one item's hash in another's place.
    pub(crate) const fn swap(self, old: u128, new: u128) -> Self {
        Self(self.0.wrapping_sub(old).wrapping_add(new))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// An item never seen adds nothing, so that it equals an item that is absent.
pub(crate) fn item_hash(sku: &Sku, item: &StockItem) -> u128 {
    if item.version.get() == 0 {
        return 0;
    }
    let mut hasher = Xxh3::new();
    hasher.update(&item.on_hand.to_le_bytes());
    hasher.update(&item.reserved.to_le_bytes());
    hasher.update(&item.version.get().to_le_bytes());
    hasher.update(sku.as_str().as_bytes());
    hasher.digest128()
}

/// An item's name in short.
pub(crate) fn sku_hash(sku: &Sku) -> u64 {
    xxhash_rust::xxh3::xxh3_64(sku.as_str().as_bytes())
}
