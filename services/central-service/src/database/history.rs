//! The history's tables: what happened, in the order it was applied.

use rusqlite::{Row, params};
use shared_events::event::Levels;
use shared_events::{CommandId, EventId, Sku, StoreId, Subject, Version};

use super::columns::{LEVEL, epoch, level, limit_of, sequence, sku, text, timestamp, unsigned};
use super::reader::Reader;
use super::{Database, Error, Write, broken, signed};
use crate::history::{Change, Kept, NewChange, SEGMENT};
use crate::read_model::{Level, StoreIndex};

impl Database {
    /// Which positions there are. In another run of the machine than before a new life begins.
    ///
    /// # Errors
    /// [`Error`].
    pub fn history(&self, machine_start: &str) -> Result<Kept, Error> {
        self.connection.execute(
            "UPDATE history_life SET life = lower(hex(randomblob(8))), machine_start = ?1
             WHERE machine_start <> ?1",
            [machine_start],
        )?;
        let ends = "SELECT (SELECT life FROM history_life), (SELECT min(position) FROM history),
                    (SELECT max(position) FROM history)";
        let (life, oldest, newest) = self.connection.query_row(ends, [], |row| {
            let ends: (String, Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(ends)
        })?;
        let newest = unsigned(newest.unwrap_or_default());
        let oldest = oldest.map_or(newest + 1, unsigned);
        Ok(Kept { life: life.parse().map_err(|error| broken(&error))?, oldest, newest })
    }
}

impl Write<'_> {
    /// Changes behind a position, each at the next one. Gives the last.
    ///
    /// # Errors
    /// [`Error::Sqlite`], as for all of these.
    pub fn changes(&self, behind: u64, changes: &[NewChange<'_>]) -> Result<u64, Error> {
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO history VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        let mut position = behind;
        for change in changes {
            position += 1;
            let levels = change.levels;
            insert.execute(params![
                signed(position),
                change.store.0,
                change.sku.as_str(),
                signed(change.epoch.get()),
                signed(change.sequence.get()),
                change.kind,
                change.occurred_at.unix_millis(),
                levels.map(|levels| signed(levels.version.get())),
                levels.map(|levels| levels.delta),
                levels.map(|levels| levels.on_hand),
                levels.map(|levels| levels.reserved),
                change.cause.map(CommandId::as_str),
                change.traceparent,
                change.late,
                change.data,
                change.principal.map(Subject::as_str)
            ])?;
        }
        Ok(position)
    }

    /// All changes of a segment are there: items are found in it from now on.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn full_segment(&self, segment: u64) -> Result<(), Error> {
        let first = segment * SEGMENT;
        self.transaction
            .prepare_cached(
                "INSERT INTO history_items SELECT ?1, store, sku, position FROM history
                 WHERE position > ?2 AND position <= ?3 ORDER BY store, sku, position",
            )?
            .execute([signed(segment), signed(first), signed(first + SEGMENT)])?;
        Ok(())
    }

    /// Changes up to here are not kept any more.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn forget_changes(&self, through: u64) -> Result<(), Error> {
        self.transaction
            .prepare_cached("DELETE FROM history WHERE position <= ?1")?
            .execute([signed(through)])?;
        // Only whole segments: what is named there and gone is not found.
        self.transaction
            .prepare_cached("DELETE FROM history_items WHERE segment < ?1")?
            .execute([signed(through / SEGMENT)])?;
        Ok(())
    }
}

/// Of `history JOIN stores`, in the order that [`change`] reads.
const CHANGE: &str = "position, store_id, sku, history.epoch, sequence, type, occurred_at, version,
                      delta, on_hand, reserved, cause, late";

impl Reader {
    /// Changes behind a position, in order: none missing, unless the first is not the next one.
    ///
    /// # Errors
    /// [`Error`].
    pub fn changes(&self, after: u64, limit: usize) -> Result<Vec<Change>, Error> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {CHANGE} FROM history JOIN stores USING (store)
             WHERE position > ?1 ORDER BY position LIMIT ?2"
        ))?;
        let mut rows = statement.query(params![signed(after), limit_of(limit)])?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            changes.push(change(row)?);
        }
        Ok(changes)
    }

    /// Levels of a store behind a SKU, in order.
    ///
    /// # Errors
    /// [`Error`].
    pub fn levels(
        &self,
        store: StoreIndex,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(Sku, Level)>, Error> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {LEVEL}, sku FROM levels WHERE store = ?1 AND sku > ?2 ORDER BY sku LIMIT ?3"
        ))?;
        let mut rows = statement.query(params![store.0, after, limit_of(limit)])?;
        let mut levels = Vec::new();
        while let Some(row) = rows.next()? {
            levels.push((sku(row, 6)?, level(store, row)?));
        }
        Ok(levels)
    }
}

fn change(row: &Row<'_>) -> Result<Change, Error> {
    let store = StoreId::parse(text(row, 1)?).map_err(|error| broken(&error))?;
    let cause: Option<String> = row.get(11)?;
    let cause = cause.map(|cause| CommandId::parse(&cause)).transpose();
    let version: Option<i64> = row.get(7)?;
    let levels = version.map(|version| {
        Ok::<_, Error>(Levels {
            version: Version::new(unsigned(version)),
            delta: row.get(8)?,
            on_hand: row.get(9)?,
            reserved: row.get(10)?,
        })
    });
    Ok(Change {
        position: unsigned(row.get(0)?),
        id: EventId { store, epoch: epoch(row, 3)?, sequence: sequence(row, 4)? },
        sku: sku(row, 2)?,
        kind: row.get(5)?,
        occurred_at: timestamp(row, 6)?,
        levels: levels.transpose()?,
        cause: cause.map_err(|error| broken(&error))?,
        late: row.get(12)?,
    })
}
