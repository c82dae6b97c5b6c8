//! What a batch of records does, until it is committed and shown.

use std::collections::{BTreeSet, HashMap};

use shared_events::{Epoch, Sku};

use crate::commitments::{AskKey, Change};
use crate::history::NewChange;
use crate::read_model::{Level, StoreIndex};
use crate::repairs::Aside;

/// What a batch does to one item of one store.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    pub(crate) level: Option<Level>,
    /// What became of units kept for reservations, in order.
    pub(crate) changes: Vec<(AskKey, Change)>,
}

/// What a batch does, until it is committed and shown.
#[derive(Debug, Default)]
pub(crate) struct Effects<'b> {
    /// Stores that something was heard of, by place.
    pub(crate) touched: BTreeSet<usize>,
    pub(crate) trackers: BTreeSet<(StoreIndex, Epoch)>,
    pub(crate) items: HashMap<(StoreIndex, &'b Sku), Dirty>,
    pub(crate) changes: Vec<NewChange<'b>>,
    /// Events that stores once reported and do not have any more.
    pub(crate) lost: u64,
    pub(crate) aside: Aside,
}

impl<'b> Effects<'b> {
    /// Whether there is more in it than what stores report of themselves.
    pub(crate) fn change_something(&self) -> bool {
        let Self { touched: _, trackers, items, changes, lost, aside } = self;
        let nothing = trackers.is_empty() && items.is_empty() && changes.is_empty();
        !nothing || *lost > 0 || !aside.is_empty()
    }

    /// The levels to be written, those of a store together and in order, as the database has them.
    pub(crate) fn levels(&self) -> Vec<(&'b Sku, Level)> {
        // A whole journal says it better.
        let compared = |index| self.aside.compared.iter().any(|(of, _)| *of == index);
        let level = |((_, sku), item): (&(_, &'b Sku), &Dirty)| Some((*sku, item.level?));
        let mut levels: Vec<_> =
            self.items.iter().filter_map(level).filter(|(_, at)| !compared(at.store)).collect();
        levels.sort_unstable_by_key(|(sku, level)| (level.store, *sku));
        levels
    }
}
