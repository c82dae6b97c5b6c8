//! One transaction of the projector.

use event_log::{Offset, Publication};
use inventory_core::sequence_tracker::TrackerChanges;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use shared_events::{Epoch, Sku, StoreId};

use super::ledger::json;
use super::{Error, Lane, headers, signed};
use crate::commitments::{AskKey, Change};
use crate::read_model::{Level, StoreIndex};
use crate::store::Witness;

/// An open transaction. Dropping it undoes everything.
#[derive(Debug)]
pub struct Write<'d> {
    pub(super) transaction: Transaction<'d>,
}

impl<'d> Write<'d> {
    pub(super) fn begin(connection: &'d mut Connection) -> Result<Self, Error> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Self { transaction })
    }

    /// Names the broker this view is built from.
    ///
    /// # Errors
    /// [`Error::Sqlite`], as for all of these.
    pub fn cluster_id(&self, cluster_id: &str) -> Result<(), Error> {
        self.transaction.execute(
            "INSERT INTO source (id, cluster_id) VALUES (1, ?1)
             ON CONFLICT DO UPDATE SET cluster_id = excluded.cluster_id",
            [cluster_id],
        )?;
        Ok(())
    }

    /// A store and what it last reported.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn store(&self, index: StoreIndex, id: &StoreId, witness: &Witness) -> Result<(), Error> {
        self.transaction
            .prepare_cached(
                "INSERT INTO stores (store, store_id, epoch, head, head_hash, digest, lineage)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (store) DO UPDATE SET epoch = excluded.epoch, head = excluded.head,
                    head_hash = excluded.head_hash, digest = excluded.digest,
                    lineage = excluded.lineage",
            )?
            .execute(params![
                index.0,
                id.as_str(),
                signed(witness.epoch.get()),
                signed(witness.head.get()),
                witness.head_hash,
                witness.digest,
                witness.lineage.as_ref().map(json)
            ])?;
        Ok(())
    }

    /// The newest states of items. Those that lie beside each other are best written one after the other.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn levels<'l>(
        &self,
        levels: impl IntoIterator<Item = (&'l Sku, Level)>,
    ) -> Result<(), Error> {
        let mut insert = self.transaction.prepare_cached(
            "INSERT OR REPLACE INTO levels
             (store, sku, epoch, sequence, version, on_hand, reserved, occurred_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for (sku, level) in levels {
            insert.execute(params![
                level.store.0,
                sku.as_str(),
                signed(level.epoch.get()),
                signed(level.sequence.get()),
                signed(level.version.get()),
                level.on_hand,
                level.reserved,
                level.occurred_at_ms
            ])?;
        }
        Ok(())
    }

    /// What a store's event changed of what it keeps. Beginning and end come once each, in any order.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn commitment(
        &self,
        store: StoreIndex,
        sku: &Sku,
        key: &AskKey,
        change: Change,
    ) -> Result<(), Error> {
        let (ended, units) = match change {
            Change::Kept(units) => (false, units),
            Change::Ended => (true, 0),
            // Holds are the ledger's, and stand in its reservations.
            Change::Hold(_) | Change::Unhold => return Ok(()),
        };
        let met = self
            .transaction
            .prepare_cached(
                "DELETE FROM commitments WHERE store = ?1 AND sku = ?2 AND reservation_id = ?3
                 AND attempt = ?4 AND ended <> ?5",
            )?
            .execute(params![
                store.0,
                sku.as_str(),
                key.reservation_id.as_str(),
                key.attempt,
                ended
            ])?;
        if met == 0 {
            self.transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO commitments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    store.0,
                    sku.as_str(),
                    key.reservation_id.as_str(),
                    key.attempt,
                    key.expires_at_ms,
                    units,
                    ended
                ])?;
        }
        Ok(())
    }

    /// Which events of a store's life are applied.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn tracker(
        &self,
        store: StoreIndex,
        epoch: Epoch,
        changes: &TrackerChanges,
    ) -> Result<(), Error> {
        let epoch = signed(epoch.get());
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO trackers VALUES (?1, ?2, ?3)")?
            .execute(params![store.0, epoch, signed(changes.applied_through.get())])?;
        for (chunk, bits) in &changes.chunks {
            if let Some(bits) = bits {
                let bytes: Vec<u8> = bits.iter().flat_map(|word| word.to_le_bytes()).collect();
                self.transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO tracker_chunks VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![store.0, epoch, signed(*chunk), bytes])?;
            } else {
                self.transaction
                    .prepare_cached(
                        "DELETE FROM tracker_chunks WHERE store = ?1 AND epoch = ?2 AND chunk = ?3",
                    )?
                    .execute(params![store.0, epoch, signed(*chunk)])?;
            }
        }
        Ok(())
    }

    /// Forgets what was known of a store beside its levels; it is written anew in this transaction.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn forget_progress(&self, store: StoreIndex) -> Result<(), Error> {
        for table in ["commitments", "tracker_chunks", "trackers"] {
            let sql = format!("DELETE FROM {table} WHERE store = ?1");
            self.transaction.execute(&sql, [store.0])?;
        }
        Ok(())
    }

    /// Forgets an item of a store: it never had it.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn forget_level(&self, store: StoreIndex, sku: &Sku) -> Result<(), Error> {
        self.transaction
            .prepare_cached("DELETE FROM levels WHERE store = ?1 AND sku = ?2")?
            .execute(params![store.0, sku.as_str()])?;
        Ok(())
    }

    /// Where reading a partition goes on.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn position(&self, topic: &str, partition: i32, next: Offset) -> Result<(), Error> {
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO positions VALUES (?1, ?2, ?3)")?
            .execute(params![topic, partition, next.0])?;
        Ok(())
    }

    /// A record to be published once this is committed.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn publish(&self, lane: Lane, publication: &Publication) -> Result<(), Error> {
        let record = &publication.record;
        let headers = headers::to_text(&record.headers);
        self.transaction
            .prepare_cached(
                "INSERT INTO outbox (lane, topic, key, headers, value) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                lane.number(),
                publication.topic,
                record.key,
                headers,
                record.value
            ])?;
        Ok(())
    }

    /// Everything of a lane up to here has been published.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn published(&self, lane: Lane, through: i64) -> Result<(), Error> {
        self.transaction
            .prepare_cached("DELETE FROM outbox WHERE lane = ?1 AND id <= ?2")?
            .execute(params![lane.number(), through])?;
        Ok(())
    }

    /// Commits.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn commit(self) -> Result<(), Error> {
        Ok(self.transaction.commit()?)
    }
}
