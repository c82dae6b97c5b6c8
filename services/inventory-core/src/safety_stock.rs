//! Which safety stock applies: the most specific policy wins.

use std::collections::HashMap;

use shared_events::policy::{SafetyStock, Scope};
use shared_events::{Sku, StoreId};

/// All policies, the removed ones too: a late record must not bring one back.
#[derive(Debug, Clone, Default)]
pub struct SafetyStocks {
    policies: HashMap<Scope, SafetyStock>,
}

impl SafetyStocks {
    /// Takes a policy; `false` when a later one of its scope is known.
    pub fn put(&mut self, policy: SafetyStock) -> bool {
        let known = self.policies.get(&policy.scope);
        let later = known.is_none_or(|known| policy.is_later_than(known));
        if later {
            self.policies.insert(policy.scope.clone(), policy);
        }
        later
    }

    /// The policy of exactly this scope, unless it was removed.
    #[must_use]
    pub fn get(&self, scope: &Scope) -> Option<&SafetyStock> {
        self.policies.get(scope).filter(|policy| policy.units.is_some())
    }

    /// The policy for an item in a store: its own, the item's, the store's, the chain's.
    #[must_use]
    pub fn applying(&self, store: &StoreId, sku: &Sku) -> Option<&SafetyStock> {
        if self.policies.is_empty() {
            return None;
        }
        let (store_id, sku) = (Some(store.clone()), Some(sku.clone()));
        let scopes = [
            Scope { store_id: store_id.clone(), sku: sku.clone() },
            Scope { store_id: None, sku },
            Scope { store_id, sku: None },
            Scope::default(),
        ];
        scopes.iter().find_map(|scope| self.get(scope))
    }

    /// All policies, the removed ones too.
    pub fn all(&self) -> impl Iterator<Item = &SafetyStock> {
        self.policies.values()
    }
}

#[cfg(test)]
mod tests {
    use shared_events::Timestamp;

    use super::*;

    fn policy(store: Option<&str>, sku: Option<&str>, units: Option<i64>, at: i64) -> SafetyStock {
        SafetyStock {
            scope: Scope {
                store_id: store.map(|store| store.parse().unwrap()),
                sku: sku.map(|sku| sku.parse().unwrap()),
            },
            units,
            changed_at: Timestamp::from_unix_millis(at).unwrap(),
            changed_by: "c1".parse().unwrap(),
        }
    }

    fn units(policies: &SafetyStocks, store: &str, sku: &str) -> Option<i64> {
        policies.applying(&store.parse().unwrap(), &sku.parse().unwrap())?.units
    }

    #[test]
    fn the_most_specific_policy_wins() {
        let mut policies = SafetyStocks::default();
        assert_eq!(units(&policies, "A", "X"), None);
        assert!(policies.put(policy(None, None, Some(1), 1)));
        assert!(policies.put(policy(Some("A"), None, Some(2), 1)));
        assert!(policies.put(policy(None, Some("X"), Some(3), 1)));
        assert!(policies.put(policy(Some("A"), Some("X"), Some(4), 1)));
        assert_eq!(units(&policies, "A", "X"), Some(4));
        assert_eq!(units(&policies, "B", "X"), Some(3));
        assert_eq!(units(&policies, "A", "Y"), Some(2));
        assert_eq!(units(&policies, "B", "Y"), Some(1));
    }

    #[test]
    fn a_late_record_does_not_bring_back_what_was_removed() {
        let mut policies = SafetyStocks::default();
        assert!(policies.put(policy(None, None, Some(5), 1)));
        assert!(policies.put(policy(None, None, None, 2)));
        assert!(!policies.put(policy(None, None, Some(5), 1)));
        assert_eq!(units(&policies, "A", "X"), None);
    }
}
