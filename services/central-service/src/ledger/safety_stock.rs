//! Safety stock policies: set here, or by another centre.

use shared_events::Timestamp;
use shared_events::policy::{SafetyStock, Scope};

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
        let changed_at = known.map_or(now, |known| now.max(known.plus_millis(1)));
        let changed_by = self.settings.centre.clone();
        let policy = SafetyStock { scope, units, changed_at, changed_by };
        self.model.put_safety_stock(policy.clone());
        self.unwritten.safety_stocks.push(policy.clone());
        self.unwritten.policies_to_publish.push(policy.clone());
        policy
    }

    /// Takes a policy from the topic.
    pub fn heard_policy(&mut self, policy: &SafetyStock) {
        if self.model.put_safety_stock(policy.clone()) {
            self.unwritten.safety_stocks.push(policy.clone());
        }
    }

    /// The topics are another cluster's: what has to outlive this centre's database goes there too.
    pub fn moved_cluster(&mut self) {
        let all = self.model.safety_stocks(|all| all.all().cloned().collect::<Vec<_>>());
        self.unwritten.policies_to_publish.extend(all);
    }
}
