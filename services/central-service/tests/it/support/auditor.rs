//! What a batch must do, worked out from the events alone.

use std::collections::{HashMap, HashSet};

use central_service::projection::{Applied, Batch};
use shared_events::{Epoch, EventId, Sequence, Sku, StoreId};

/// Remembers one life of a database: which events it has had, and the newest of every item.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    seen: HashSet<EventId>,
    newest: HashMap<(StoreId, Sku), (Epoch, Sequence)>,
}

impl Auditor {
    /// Takes a batch that is about to be applied.
    pub(crate) fn expect(&mut self, batch: &Batch) -> Applied {
        let mut expected = Applied::default();
        let mut rows = HashSet::new();
        for event in &batch.events {
            if !self.seen.insert(event.id.clone()) {
                expected.duplicates += 1;
                continue;
            }
            expected.events += 1;
            let item = (event.id.store.clone(), event.sku.clone());
            let at = (event.id.epoch, event.id.sequence);
            let newest = self.newest.entry(item.clone()).or_default();
            if at > *newest {
                *newest = at;
                rows.insert(item);
            }
        }
        expected.rows = u64::try_from(rows.len()).expect("few rows");
        expected
    }

    /// Events this database has had.
    pub(crate) fn events(&self) -> usize {
        self.seen.len()
    }
}
