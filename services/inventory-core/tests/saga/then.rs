//! What a story is held to: where its reservation stands.

use inventory_core::saga;
use shared_events::ledger::ReservationState;
use shared_events::{StoreCommand, StoreId};

use crate::support::{Saga, TIMING, store};

impl Saga {
    /// Where it stands for whoever looks now.
    #[track_caller]
    pub(crate) fn stands(self, expected: ReservationState) -> Self {
        assert_eq!(saga::state_at(&self.it, self.now), expected);
        self
    }

    /// Exactly these allocations: store and ask, item and units, state.
    #[track_caller]
    pub(crate) fn has(self, expected: &[&str]) -> Self {
        let known = self.it.allocations.iter().map(|known| {
            let state = format!("{:?}", known.state);
            format!("{}{} {}{} {state}", known.store_id, known.attempt, known.sku, known.quantity)
        });
        assert_eq!(known.collect::<Vec<_>>(), expected);
        self
    }

    /// All units of an item that count stand like this.
    #[track_caller]
    pub(crate) fn has_units(self, item: &str, expected: &str) -> Self {
        let about = self.it.allocations.iter().filter(|known| known.sku.as_str() == item);
        let counting = about.filter(|known| known.state.covers());
        let states: Vec<_> = counting.map(|known| format!("{:?}", known.state)).collect();
        assert!(!states.is_empty() && states.iter().all(|state| state == expected), "{states:?}");
        self
    }

    /// Exactly these units are kept by nobody and asked of nobody.
    #[track_caller]
    pub(crate) fn misses(self, expected: &[(&str, i64)]) -> Self {
        let missing = saga::missing(&self.it);
        let missing: Vec<_> =
            missing.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
        assert_eq!(missing, expected);
        self
    }

    /// So many units may not be offered to others, for want of an answer.
    #[track_caller]
    pub(crate) fn holds(self, expected: i64) -> Self {
        let held = self.it.allocations.iter().filter(|known| known.state.is_hold());
        assert_eq!(held.map(|known| known.quantity).sum::<i64>(), expected);
        self
    }

    /// Whether a store is out of the question for an item.
    #[track_caller]
    pub(crate) fn asks_again(self, name: &str, item: &str, expected: bool) -> Self {
        let line = self.wanted(item, 1).line;
        assert_eq!(saga::has_failed(&self.it, &store(name), line), !expected);
        self
    }

    /// Only these stores may be asked for what is missing; any, when none is named.
    #[track_caller]
    pub(crate) fn bound_to(self, expected: &[&str]) -> Self {
        let bound: Vec<_> = saga::bound_to(&self.it).into_iter().map(StoreId::as_str).collect();
        assert_eq!(bound, expected);
        self
    }

    /// Nothing more can happen to it, or something can.
    #[track_caller]
    pub(crate) fn ended(self, expected: bool) -> Self {
        assert_eq!(saga::is_final(&self.it), expected);
        assert!(!expected || saga::due(&self.it, &TIMING).is_none(), "nothing is due any more");
        self
    }

    /// What a store was told under a number.
    #[track_caller]
    pub(crate) fn command(&self, number: u32) -> (&str, &StoreCommand) {
        let (store, command) = self.told.get(&number).expect("a command of that number");
        (store.as_str(), command)
    }

    /// How often it became this state.
    pub(crate) fn became(&self, state: ReservationState) -> usize {
        let states: Vec<_> = self.it.history.iter().map(|step| step.state).collect();
        states.windows(2).filter(|pair| pair[0] != state && pair[1] == state).count()
    }
}
