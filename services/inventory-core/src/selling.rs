//! Which stores sell online: an operator's word, and nobody's unless one spoke.

use std::collections::BTreeMap;

use shared_events::StoreId;
use shared_events::policy::Selling;

/// The switches of all stores, also those that are on again: a late record must not turn one off.
#[derive(Debug, Clone, Default)]
pub struct SellingSwitches {
    switches: BTreeMap<StoreId, Selling>,
}

impl SellingSwitches {
    /// Takes what an operator said; `false` when something later about the store is known.
    pub fn put(&mut self, said: Selling) -> bool {
        let known = self.switches.get(&said.store_id);
        let later = known.is_none_or(|known| said.is_later_than(known));
        if later {
            self.switches.insert(said.store_id.clone(), said);
        }
        later
    }

    /// What was last said of a store.
    #[must_use]
    pub fn get(&self, store: &StoreId) -> Option<&Selling> {
        self.switches.get(store)
    }

    /// Everything that was last said.
    pub fn all(&self) -> impl Iterator<Item = &Selling> {
        self.switches.values()
    }
}

#[cfg(test)]
mod tests {
    use shared_events::Timestamp;

    use super::*;

    fn said(enabled: bool, at: i64, by: &str) -> Selling {
        Selling {
            store_id: "A".parse().unwrap(),
            enabled,
            reason: None,
            changed_at: Timestamp::from_unix_millis(at).unwrap(),
            changed_by: by.parse().unwrap(),
        }
    }

    #[test]
    fn the_later_word_stands_whatever_comes_first() {
        let (off, on) = (said(false, 1, "c1"), said(true, 2, "c1"));
        for order in [[&off, &on], [&on, &off]] {
            let mut switches = SellingSwitches::default();
            assert!(switches.put(order[0].clone()));
            assert_eq!(switches.put(order[1].clone()), order[1] == &on);
            assert_eq!(switches.get(&on.store_id), Some(&on));
        }
    }

    #[test]
    fn of_two_words_in_one_moment_the_centre_decides() {
        let mut switches = SellingSwitches::default();
        assert!(switches.put(said(false, 1, "c2")));
        assert!(!switches.put(said(true, 1, "c1")));
        assert!(!switches.put(said(false, 1, "c2")), "and nothing is taken twice");
        assert_eq!(switches.all().count(), 1);
    }
}
