//! Reading beside the writer: the outbox, and lists too long for memory to be kept in order.

use event_log::Publication;
use rusqlite::{Connection, params};
use shared_events::ledger::Reservation;
use shared_events::wire::OutgoingRecord;
use shared_events::{CommandId, ReservationId};

use super::Error;
use super::ledger::{self, Filter};
use super::{Lane, headers};
use crate::ledger::StockCommandRecord;
use crate::read_model::StoreIndex;

/// A record waiting to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its lane.
    pub lane: Lane,
    /// Its place in the order.
    pub id: i64,
    /// The record and its topic.
    pub publication: Publication,
}

/// Sees what is committed.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
}

impl Reader {
    pub(super) const fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The oldest records of a lane of the outbox behind `after`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn outbox(&self, lane: Lane, after: i64, limit: u32) -> Result<Vec<OutboxRow>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, topic, key, headers, value FROM outbox
             WHERE lane = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let mut rows = statement.query(params![lane.number(), after, limit])?;
        let mut waiting = Vec::new();
        while let Some(row) = rows.next()? {
            let headers: String = row.get(3)?;
            let headers = headers::from_text(&headers)
                .map_err(|error| Error::Broken(format!("outbox headers: {error}")))?;
            let record = OutgoingRecord { key: row.get(2)?, headers, value: row.get(4)? };
            let publication = Publication { topic: row.get(1)?, record };
            waiting.push(OutboxRow { lane, id: row.get(0)?, publication });
        }
        Ok(waiting)
    }

    /// A reservation of the ledger.
    ///
    /// # Errors
    /// [`Error`].
    pub fn reservation(&self, id: &ReservationId) -> Result<Option<Reservation>, Error> {
        ledger::reservation(&self.connection, id)
    }

    /// Reservations of the ledger, in order of id, and whether there are more: as many as were asked
    /// for, or fewer where they are large.
    ///
    /// # Errors
    /// [`Error`].
    pub fn reservations(
        &self,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Reservation>, bool), Error> {
        ledger::list(&self.connection, filter, limit)
    }

    /// A stock command that was handed to this centre.
    ///
    /// # Errors
    /// [`Error`].
    pub fn stock_command(&self, id: &CommandId) -> Result<Option<StockCommandRecord>, Error> {
        ledger::stock_command(&self.connection, id)
    }

    /// SKUs of a store behind `after`, in order.
    ///
    /// # Errors
    /// [`Error`].
    pub fn skus(&self, store: StoreIndex, after: &str, limit: usize) -> Result<Vec<String>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(
            "SELECT sku FROM levels WHERE store = ?1 AND sku > ?2 ORDER BY sku LIMIT ?3",
        )?;
        let rows = statement.query_map(params![store.0, after, limit], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
