//! Reading the whole database into memory at start.

use std::collections::BTreeMap;

use event_log::{Offset, Position};
use inventory_core::SequenceTracker;
use inventory_core::sequence_tracker::Chunk;
use rusqlite::Connection;
use shared_events::{Epoch, ReservationId, Sequence, Sku, StoreId};

use super::columns::{level, sku, unsigned};
use super::ledger::parsed;
use super::{Error, broken};
use crate::commitments::{AskKey, Change};
use crate::read_model::{Level, StoreIndex};
use crate::store::Witness;

/// Levels that are handed on together.
const LEVELS_AT_ONCE: usize = 4_096;

/// What a database holds beside levels, of which there are millions.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The broker it was built from.
    pub cluster_id: Option<String>,
    /// Stores in order of their index.
    pub stores: Vec<(StoreId, Witness)>,
    /// Trackers of every life of every store.
    pub trackers: Vec<(StoreIndex, Epoch, SequenceTracker)>,
    /// What stores keep for reservations.
    pub commitments: Vec<LoadedCommitment>,
    /// Where reading goes on.
    pub positions: Vec<Position>,
}

/// What a store keeps of an item for one ask: how to put it into memory.
pub type LoadedCommitment = (StoreIndex, Sku, AskKey, Change);

pub(super) fn load(connection: &Connection) -> Result<Loaded, Error> {
    Ok(Loaded {
        cluster_id: rows(connection, "SELECT cluster_id FROM source", |row| Ok(row.get(0)?))?.pop(),
        stores: stores(connection)?,
        trackers: trackers(connection)?,
        commitments: commitments(connection)?,
        positions: rows(connection, "SELECT topic, partition, next FROM positions", |row| {
            Ok(Position { topic: row.get(0)?, partition: row.get(1)?, next: Offset(row.get(2)?) })
        })?,
    })
}

fn stores(connection: &Connection) -> Result<Vec<(StoreId, Witness)>, Error> {
    let sql = "SELECT store, store_id, epoch, head, head_hash, digest, lineage FROM stores
               ORDER BY store";
    let stores = rows(connection, sql, |row| {
        let index: u32 = row.get(0)?;
        let store = StoreId::parse(&row.get::<_, String>(1)?).map_err(|error| broken(&error))?;
        let lineage: Option<String> = row.get(6)?;
        let witness = Witness {
            epoch: Epoch::new(unsigned(row.get(2)?)),
            head: Sequence::new(unsigned(row.get(3)?)),
            head_hash: row.get(4)?,
            digest: row.get(5)?,
            lineage: lineage.map(|text| parsed(&text)).transpose()?,
        };
        Ok((index, (store, witness)))
    })?;
    // Levels name a store by its index, and the index is the place in memory.
    if stores.iter().zip(0_u32..).any(|((index, _), place)| *index != place) {
        return Err(Error::Broken("stores are not numbered 0, 1, 2 …".to_owned()));
    }
    Ok(stores.into_iter().map(|(_, store)| store).collect())
}

fn trackers(connection: &Connection) -> Result<Vec<(StoreIndex, Epoch, SequenceTracker)>, Error> {
    let mut chunks: BTreeMap<(u32, i64), BTreeMap<u64, Chunk>> = BTreeMap::new();
    let sql = "SELECT store, epoch, chunk, bits FROM tracker_chunks";
    for (owner, chunk, bits) in rows(connection, sql, |row| {
        let bits: Vec<u8> = row.get(3)?;
        Ok(((row.get(0)?, row.get(1)?), unsigned(row.get(2)?), chunk_of(&bits)?))
    })? {
        chunks.entry(owner).or_default().insert(chunk, bits);
    }
    let sql = "SELECT store, epoch, applied_through FROM trackers";
    rows(connection, sql, |row| {
        let (store, epoch): (u32, i64) = (row.get(0)?, row.get(1)?);
        let through = Sequence::new(unsigned(row.get(2)?));
        let beyond = chunks.remove(&(store, epoch)).unwrap_or_default();
        let tracker = SequenceTracker::restore(through, beyond);
        Ok((StoreIndex(store), Epoch::new(unsigned(epoch)), tracker))
    })
}

/// Hands on all levels in parts, until there is no more or nobody takes them.
pub(super) fn levels(
    connection: &Connection,
    take: &mut dyn FnMut(Vec<(Sku, Level)>) -> bool,
) -> Result<(), Error> {
    let sql =
        "SELECT epoch, sequence, version, on_hand, reserved, occurred_at, store, sku FROM levels";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut part = Vec::with_capacity(LEVELS_AT_ONCE);
    while let Some(row) = rows.next()? {
        part.push((sku(row, 7)?, level(StoreIndex(row.get(6)?), row)?));
        if part.len() == LEVELS_AT_ONCE {
            let full = std::mem::replace(&mut part, Vec::with_capacity(LEVELS_AT_ONCE));
            if !take(full) {
                return Ok(());
            }
        }
    }
    take(part);
    Ok(())
}

fn commitments(connection: &Connection) -> Result<Vec<LoadedCommitment>, Error> {
    let sql =
        "SELECT store, sku, reservation_id, attempt, expires_at, units, ended FROM commitments";
    rows(connection, sql, |row| {
        let sku = Sku::parse(&row.get::<_, String>(1)?).map_err(|error| broken(&error))?;
        let id = ReservationId::parse(&row.get::<_, String>(2)?).map_err(|error| broken(&error))?;
        let key = AskKey { expires_at_ms: row.get(4)?, reservation_id: id, attempt: row.get(3)? };
        let change = if row.get(6)? { Change::Ended } else { Change::Kept(row.get(5)?) };
        Ok((StoreIndex(row.get(0)?), sku, key, change))
    })
}

pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    mut read: impl FnMut(&rusqlite::Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

fn chunk_of(bytes: &[u8]) -> Result<Chunk, Error> {
    let mut chunk: Chunk = [0; 64];
    let (words, rest) = bytes.as_chunks::<8>();
    if words.len() != chunk.len() || !rest.is_empty() {
        return Err(Error::Broken(format!("a tracker chunk has {} bytes", bytes.len())));
    }
    for (word, bytes) in chunk.iter_mut().zip(words) {
        *word = u64::from_le_bytes(*bytes);
    }
    Ok(chunk)
}
