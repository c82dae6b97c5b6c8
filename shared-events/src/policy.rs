//! What the chain has decided about its stock, kept on a compacted topic: every centre reads it, and
//! it outlives all their databases.

use serde::{Deserialize, Serialize};

use crate::ids::{CentreId, Sku, StoreId};
use crate::text::Text;
use crate::timestamp::Timestamp;

/// Type of [`SafetyStock`].
pub const SAFETY_STOCK: &str = "inventory.safety-stock.v1";
/// Type of [`Selling`].
pub const SELLING: &str = "inventory.selling.v1";

/// Anything the chain may decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// What is kept back.
    SafetyStock(SafetyStock),
    /// Whether a store sells online.
    Selling(Selling),
}

/// Units that are not offered online: they are for customers in the shop, and for errors of the books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SafetyStock {
    /// What it applies to.
    #[serde(flatten)]
    pub scope: Scope,
    /// Units of each item in each store, 0 to 1e9; absent once the policy was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<i64>,
    /// The clock of the centre that was asked. The later change stands.
    pub changed_at: Timestamp,
    /// That centre; it decides between changes of one moment.
    pub changed_by: CentreId,
}

impl SafetyStock {
    /// Whether this was said after the other.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        (self.changed_at, &self.changed_by) > (other.changed_at, &other.changed_by)
    }
}

/// Whether a store's units are offered online: an operator's word. A store nobody spoke of is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selling {
    /// The store.
    pub store_id: StoreId,
    /// `false`: nothing new is promised there. What was promised before stands.
    pub enabled: bool,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// The clock of the centre that was asked. The later change stands.
    pub changed_at: Timestamp,
    /// That centre; it decides between changes of one moment.
    pub changed_by: CentreId,
}

impl Selling {
    /// Whether this was said after the other.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        (self.changed_at, &self.changed_by) > (other.changed_at, &other.changed_by)
    }

    /// Key of the record: kind and store.
    #[must_use]
    pub fn key(&self) -> String {
        format!("selling|{}", self.store_id)
    }
}

/// What a safety stock applies to: everything, a store, an item, or an item in a store. The more specific
/// one wins, and an item is more specific than a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// This store; every store when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<StoreId>,
    /// This item; every item when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
}

impl Scope {
    /// Key of the record: kind, store and item, `*` for all.
    #[must_use]
    pub fn key(&self) -> String {
        let store = self.store_id.as_ref().map_or("*", StoreId::as_str);
        let sku = self.sku.as_ref().map_or("*", Sku::as_str);
        // An item may be called `*`, so the kind says whether one is named.
        let kind = if self.sku.is_some() { "safety-stock-of" } else { "safety-stock" };
        format!("{kind}|{store}|{sku}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_a_key_of_its_own() {
        let store = Some("A".parse().unwrap());
        let sku = |name: &str| Some(name.parse().unwrap());
        let scopes = [
            Scope::default(),
            Scope { store_id: store.clone(), sku: None },
            Scope { store_id: None, sku: sku("*") },
            Scope { store_id: store.clone(), sku: sku("*") },
            Scope { store_id: store, sku: sku("X") },
        ];
        let keys: std::collections::BTreeSet<_> = scopes.iter().map(Scope::key).collect();
        assert_eq!(keys.len(), scopes.len(), "{keys:?}");
    }
}
