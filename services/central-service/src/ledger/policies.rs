//! What the chain has decided, safety stocks and stores' selling: set here, or by another centre.

use shared_events::policy::{Policy, SafetyStock, Scope, Selling};
use shared_events::{StoreId, Text, Timestamp};

use super::Ledger;

impl Ledger {
    /// Sets or removes a policy: later than every other one of its scope, even by a clock that runs
    /// behind theirs.
    pub(super) fn set_safety_stock(
        &mut self,
        scope: Scope,
        units: Option<i64>,
        now: Timestamp,
    ) -> SafetyStock {
        let known = self.model.safety_stocks(|all| {
            all.all().find(|known| known.scope == scope).map(|known| known.changed_at)
        });
        let (changed_at, changed_by) = (later(known, now), self.settings.centre.clone());
        let policy = SafetyStock { scope, units, changed_at, changed_by };
        self.decided(Policy::SafetyStock(policy.clone()));
        policy
    }

    /// Switches a store's selling on or off. To say again what is so changes nothing, also not since
    /// when it is.
    pub(super) fn set_selling(
        &mut self,
        store_id: StoreId,
        enabled: bool,
        reason: Option<Text>,
        now: Timestamp,
    ) -> Selling {
        let known = self.model.selling(|all| all.get(&store_id).cloned());
        if let Some(known) = &known
            && (known.enabled, &known.reason) == (enabled, &reason)
        {
            return known.clone();
        }
        let changed_at = later(known.map(|known| known.changed_at), now);
        let changed_by = self.settings.centre.clone();
        let selling = Selling { store_id, enabled, reason, changed_at, changed_by };
        self.decided(Policy::Selling(selling.clone()));
        selling
    }

    fn decided(&mut self, policy: Policy) {
        self.model.put_policy(policy.clone());
        self.unwritten.policies.push(policy.clone());
        self.unwritten.policies_to_publish.push(policy);
    }

    /// Takes a policy from the topic.
    pub fn heard_policy(&mut self, policy: &Policy) {
        if self.model.put_policy(policy.clone()) {
            self.unwritten.policies.push(policy.clone());
        }
    }

    /// The topics are another cluster's: what has to outlive this centre's database goes there too.
    pub fn moved_cluster(&mut self) {
        let all = &mut self.unwritten.policies_to_publish;
        self.model.safety_stocks(|known| all.extend(known.all().cloned().map(Policy::SafetyStock)));
        self.model.selling(|known| all.extend(known.all().cloned().map(Policy::Selling)));
    }
}

/// A time behind what is known.
fn later(known: Option<Timestamp>, now: Timestamp) -> Timestamp {
    known.map_or(now, |known| now.max(known.plus_millis(1)))
}
