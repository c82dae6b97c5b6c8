//! An item's events in the order its store wrote them.

use inventory_core::AsOf;
use rusqlite::{Params, params};
use shared_events::{Epoch, Sequence, Sku, StockEvent, Version};

use super::columns::{LEVEL, epoch, level, limit_of, sequence, text, timestamp};
use super::reader::Reader;
use super::{Error, broken, signed};
use crate::history::SEGMENT;
use crate::past::{Around, Told, is_settled};
use crate::read_model::{Level, StoreIndex};

/// Where an event stands among those of its store.
type At = (Epoch, Sequence);

/// All changes of an item, as `item`: those of full segments by their index, those behind by a look.
/// Each end of the history is asked for on its own: together they would cost a scan of all.
fn of_item(select: &str) -> String {
    format!(
        "WITH RECURSIVE
           ends (first, open) AS (
             SELECT ((SELECT min(position) FROM history) - 1) / {SEGMENT},
                    (SELECT max(position) FROM history) / {SEGMENT}),
           segments (segment) AS (
             SELECT first FROM ends WHERE first < open
             UNION ALL SELECT segment + 1 FROM segments, ends WHERE segment + 1 < open),
           item AS (
             SELECT history.* FROM segments
               CROSS JOIN history_items AS found USING (segment)
               CROSS JOIN history ON history.position = found.position
               WHERE found.store = ?1 AND found.sku = ?2
             UNION ALL
             SELECT history.* FROM history
               WHERE position > (SELECT open FROM ends) * {SEGMENT} AND store = ?1 AND sku = ?2)
         {select}"
    )
}

/// Events that begin or end what is kept for a reservation.
const PROMISES: &str =
    "type IN ('inventory.stock-reserved.v1', 'inventory.reservation-released.v1',
                        'inventory.reservation-fulfilled.v1', 'inventory.reservation-broken.v1')";

impl Reader {
    /// What is known of an item around a point.
    ///
    /// # Errors
    /// [`Error`].
    pub fn around(&self, store: StoreIndex, sku: &Sku, point: AsOf) -> Result<Around, Error> {
        // All three as of one commit.
        let _snapshot = self.connection.unchecked_transaction()?;
        let newest = self.one_level(
            store,
            &format!("SELECT {LEVEL} FROM levels WHERE store = ?1 AND sku = ?2"),
            params![store.0, sku.as_str()],
        )?;
        if is_settled(newest.as_ref(), point) {
            return Ok(Around { newest, at: None, next: None });
        }
        let (column, value) = bound(point);
        let at = self.one_level(
            store,
            &of_item(&format!(
                "SELECT {LEVEL} FROM item WHERE version IS NOT NULL AND {column} <= ?3
                 ORDER BY epoch DESC, sequence DESC, position DESC LIMIT 1"
            )),
            params![store.0, sku.as_str(), value],
        )?;
        let behind = at.map_or_else(Default::default, |at| (at.epoch, at.sequence));
        let next = self.first_level(store, sku, behind)?;
        Ok(Around { newest, at, next })
    }

    /// Whether what is kept of an item begins with its first event.
    ///
    /// # Errors
    /// [`Error`].
    pub fn begins(&self, store: StoreIndex, sku: &Sku) -> Result<bool, Error> {
        let first = self.first_level(store, sku, At::default())?;
        Ok(first.is_none_or(|first| first.version == Version::new(1)))
    }

    /// An item's events behind one and up to a point, oldest first.
    ///
    /// # Errors
    /// [`Error`].
    pub fn told(
        &self,
        store: StoreIndex,
        sku: &Sku,
        after: At,
        point: Option<AsOf>,
        limit: usize,
    ) -> Result<Vec<Told>, Error> {
        let through = match point {
            None => (Epoch::MAX, Sequence::MAX),
            Some(point) => self.last(store, sku, point)?,
        };
        let mut statement = self.connection.prepare_cached(&of_item(
            "SELECT epoch, sequence, type, occurred_at, cause, principal, traceparent, data
             FROM item
             WHERE (epoch, sequence) > (?3, ?4) AND (epoch, sequence) <= (?5, ?6)
             ORDER BY epoch, sequence, position LIMIT ?7",
        ))?;
        let mut rows = statement.query(params![
            store.0,
            sku.as_str(),
            signed(after.0.get()),
            signed(after.1.get()),
            signed(through.0.get()),
            signed(through.1.get()),
            limit_of(limit)
        ])?;
        let mut told = Vec::new();
        while let Some(row) = rows.next()? {
            told.push(Told {
                epoch: epoch(row, 0)?,
                sequence: sequence(row, 1)?,
                kind: row.get(2)?,
                occurred_at: timestamp(row, 3)?,
                cause: row.get(4)?,
                principal: row.get(5)?,
                traceparent: row.get(6)?,
                data: row.get(7)?,
            });
        }
        Ok(told)
    }

    /// Hands on the events that began or ended promises of an item, newest first, from one on back,
    /// until there is no more or `look` has seen enough. At most `limit` are looked at.
    ///
    /// # Errors
    /// [`Error`].
    pub fn promises_back(
        &self,
        store: StoreIndex,
        sku: &Sku,
        from: At,
        limit: usize,
        look: &mut dyn FnMut(At, &StockEvent) -> bool,
    ) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(&of_item(&format!(
            "SELECT epoch, sequence, type, data FROM item
             WHERE (epoch, sequence) <= (?3, ?4) AND {PROMISES}
             ORDER BY epoch DESC, sequence DESC LIMIT ?5"
        )))?;
        let mut rows = statement.query(params![
            store.0,
            sku.as_str(),
            signed(from.0.get()),
            signed(from.1.get()),
            limit_of(limit)
        ])?;
        while let Some(row) = rows.next()? {
            let at = (epoch(row, 0)?, sequence(row, 1)?);
            let event = StockEvent::from_data(text(row, 2)?, text(row, 3)?.as_bytes());
            if !look(at, &event.map_err(|error| broken(&error))?) {
                break;
            }
        }
        Ok(())
    }

    /// Where the last event of an item stands at a point, one that changed nothing included.
    fn last(&self, store: StoreIndex, sku: &Sku, point: AsOf) -> Result<At, Error> {
        let (column, value) = bound(point);
        let mut statement = self.connection.prepare_cached(&of_item(&format!(
            "SELECT epoch, sequence FROM item WHERE {column} <= ?3
             ORDER BY epoch DESC, sequence DESC LIMIT 1"
        )))?;
        let mut rows = statement.query(params![store.0, sku.as_str(), value])?;
        let last = rows.next()?.map(|row| Ok::<_, Error>((epoch(row, 0)?, sequence(row, 1)?)));
        Ok(last.transpose()?.unwrap_or_default())
    }

    /// The first level of an item behind an event.
    fn first_level(
        &self,
        store: StoreIndex,
        sku: &Sku,
        behind: At,
    ) -> Result<Option<Level>, Error> {
        self.one_level(
            store,
            &of_item(&format!(
                "SELECT {LEVEL} FROM item WHERE version IS NOT NULL AND (epoch, sequence) > (?3, ?4)
                 ORDER BY epoch, sequence, position LIMIT 1"
            )),
            params![store.0, sku.as_str(), signed(behind.0.get()), signed(behind.1.get())],
        )
    }

    fn one_level(
        &self,
        store: StoreIndex,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<Level>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(|row| level(store, row)).transpose()
    }
}

/// The column that a point is compared with, and its value.
const fn bound(point: AsOf) -> (&'static str, i64) {
    match point {
        AsOf::Sequence(sequence) => ("sequence", signed(sequence.get())),
        AsOf::Time(time) => ("occurred_at", time.unix_millis()),
    }
}
