//! What may wait for the next transaction, because the broker tells it again.
//!
//! What stores report of themselves is shown at once and saved a moment later, together with how far it was
//! read; so is how far the outbox was published. Who starts again before that hears the reports again, and
//! publishes again what its readers know how to take. A commit for each heartbeat would keep a centre of
//! many quiet stores busy.

use std::collections::{BTreeMap, BTreeSet};

use event_log::{Offset, Position};

use crate::database::{Error, Lane, Write};
use crate::read_model::StoreIndex;
use crate::store::Store;

/// In memory, and not in the database yet.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    /// Stores that something was heard of, by place.
    stores: BTreeSet<usize>,
    /// How far reading came, by topic and partition.
    positions: BTreeMap<(String, i32), Offset>,
    /// Published, and still in the outbox.
    published: Vec<(Lane, i64)>,
}

impl Unsaved {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { stores, positions, published } = self;
        stores.is_empty() && positions.is_empty() && published.is_empty()
    }

    /// Notes what a batch was about and where reading goes on behind it.
    pub(crate) fn heard(&mut self, stores: &BTreeSet<usize>, positions: &[Position]) {
        self.stores.extend(stores);
        for Position { topic, partition, next } in positions {
            self.positions.insert((topic.clone(), *partition), *next);
        }
    }

    /// Notes how far a lane was published.
    pub(crate) fn published(&mut self, lane: Lane, through: i64) {
        self.published.retain(|(of, _)| *of != lane);
        self.published.push((lane, through));
    }

    /// Writes all of it; it stays noted until the transaction is committed.
    pub(crate) fn write(&self, write: &Write<'_>, stores: &[Store]) -> Result<(), Error> {
        for place in &self.stores {
            if let Some(store) = stores.get(*place) {
                let index = StoreIndex(u32::try_from(*place).unwrap_or(u32::MAX));
                write.store(index, &store.id, &store.witness)?;
            }
        }
        for ((topic, partition), next) in &self.positions {
            write.position(topic, *partition, *next)?;
        }
        self.published.iter().try_for_each(|(lane, through)| write.published(*lane, *through))
    }
}
