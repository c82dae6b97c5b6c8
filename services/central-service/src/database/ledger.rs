//! The ledger's tables: reservations, requests, stock commands, policies.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use service_kit::fingerprint::Fingerprint;
use shared_events::ledger::{Reservation, ReservationState};
use shared_events::policy::Policy;
use shared_events::{CommandId, OrderId, ReservationId, Timestamp};

use super::load::rows;
use super::{Error, Write, broken};
use crate::ledger::StockCommandRecord;

/// How long names of requests and answered stock commands are remembered, in milliseconds: 30 days, as at
/// the stores.
const REMEMBERED_MS: i64 = 30 * 86_400_000;

/// A reservation.
pub(super) fn reservation(
    connection: &Connection,
    id: &ReservationId,
) -> Result<Option<Reservation>, Error> {
    document(connection, "SELECT document FROM reservations WHERE reservation_id = ?1", id.as_str())
}

/// A stock command.
pub(super) fn stock_command(
    connection: &Connection,
    id: &CommandId,
) -> Result<Option<StockCommandRecord>, Error> {
    document(connection, "SELECT document FROM stock_commands WHERE command_id = ?1", id.as_str())
}

/// What was asked under a key.
pub(super) fn request(connection: &Connection, key: &str) -> Result<Option<Fingerprint>, Error> {
    let sql = "SELECT fingerprint FROM requests WHERE request = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?)
}

/// Everything that is still going on, and all policies.
pub(super) fn running(connection: &Connection) -> Result<Running, Error> {
    let reservations = "SELECT document FROM reservations WHERE final = 0";
    let commands = "SELECT document FROM stock_commands WHERE pending = 1";
    let safety_stocks = "SELECT document FROM safety_stocks";
    let selling = "SELECT document FROM selling";
    let safety_stock = |row: &Row<'_>| Ok(Policy::SafetyStock(parsed(&row.get::<_, String>(0)?)?));
    let mut policies = rows(connection, safety_stocks, safety_stock)?;
    policies.extend(rows(connection, selling, |row| {
        Ok(Policy::Selling(parsed(&row.get::<_, String>(0)?)?))
    })?);
    Ok(Running {
        reservations: rows(connection, reservations, |row| parsed(&row.get::<_, String>(0)?))?,
        stock_commands: rows(connection, commands, |row| parsed(&row.get::<_, String>(0)?))?,
        policies,
    })
}

/// What a ledger that starts has to have in memory.
#[derive(Debug, Default)]
pub struct Running {
    /// Reservations something can still happen to.
    pub reservations: Vec<Reservation>,
    /// Stock commands without an answer.
    pub stock_commands: Vec<StockCommandRecord>,
    /// The newest of each.
    pub policies: Vec<Policy>,
}

/// Which reservations a list is to have.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this order.
    pub order_id: Option<OrderId>,
    /// In this state.
    pub state: Option<ReservationState>,
    /// Behind this one.
    pub after: Option<ReservationId>,
}

/// Most bytes of documents that one list reads; it then has fewer reservations.
const LIST_BYTES: usize = 8 * 1024 * 1024;

/// Reservations in order of id, and whether there are more.
pub(super) fn list(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
) -> Result<(Vec<Reservation>, bool), Error> {
    // One more than wanted, to know whether there is one.
    let rows = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let after = filter.after.as_ref().map_or("", ReservationId::as_str);
    let order = filter.order_id.as_ref().map(OrderId::as_str);
    let state = filter.state.map(state_name);
    // One statement for each filter, so that each has its index.
    let chosen = match (order, state) {
        (Some(_), _) => "order_id = ?3 AND (?4 IS NULL OR state = ?4)",
        (None, Some(_)) => "state = ?4 AND ?3 IS NULL",
        (None, None) => "?3 IS NULL AND ?4 IS NULL",
    };
    let sql = format!(
        "SELECT document FROM reservations WHERE reservation_id > ?1 AND {chosen}
         ORDER BY reservation_id LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query(params![after, rows, order, state])?;
    let (mut reservations, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = found.next()? {
        if reservations.len() == limit || bytes > LIST_BYTES {
            return Ok((reservations, true));
        }
        let document: String = row.get(0)?;
        bytes = bytes.saturating_add(document.len());
        reservations.push(parsed(&document)?);
    }
    Ok((reservations, false))
}

impl Write<'_> {
    /// A reservation as it stands.
    ///
    /// # Errors
    /// [`Error::Sqlite`], as for all of these.
    pub fn reservation(&self, reservation: &Reservation, is_final: bool) -> Result<(), Error> {
        self.transaction
            .prepare_cached(
                "INSERT INTO reservations (reservation_id, order_id, state, final, document)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (reservation_id) DO UPDATE SET state = excluded.state,
                    final = excluded.final, document = excluded.document",
            )?
            .execute(params![
                reservation.reservation_id.as_str(),
                reservation.order_id.as_str(),
                state_name(reservation.state),
                is_final,
                json(reservation)
            ])?;
        Ok(())
    }

    /// What was asked under a key.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn request(
        &self,
        key: &str,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO requests VALUES (?1, ?2, ?3)")?
            .execute(params![key, fingerprint, now.unix_millis()])?;
        Ok(())
    }

    /// A stock command as it stands.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn stock_command(&self, command: &StockCommandRecord, now: Timestamp) -> Result<(), Error> {
        let answered_at = command.outcome.as_ref().map(|_| now.unix_millis());
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO stock_commands VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                command.command_id.as_str(),
                command.outcome.is_none(),
                json(command),
                answered_at
            ])?;
        Ok(())
    }

    /// Forgets names of requests and answered stock commands that are old enough by now: the oldest first,
    /// and at most so many of each.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn forget_names(&self, now: Timestamp, most: usize) -> Result<(), Error> {
        let before = now.unix_millis().saturating_sub(REMEMBERED_MS);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let forget = [
            "DELETE FROM requests WHERE request IN (
                SELECT request FROM requests WHERE asked_at < ?1 ORDER BY asked_at LIMIT ?2)",
            "DELETE FROM stock_commands WHERE command_id IN (
                SELECT command_id FROM stock_commands WHERE answered_at < ?1
                ORDER BY answered_at LIMIT ?2)",
        ];
        for sql in forget {
            self.transaction.prepare_cached(sql)?.execute([before, most])?;
        }
        Ok(())
    }

    /// The newest policy of its scope, or of its store.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn policy(&self, policy: &Policy) -> Result<(), Error> {
        let (sql, of, document) = match policy {
            Policy::SafetyStock(policy) => (
                "INSERT OR REPLACE INTO safety_stocks VALUES (?1, ?2)",
                policy.scope.key(),
                json(policy),
            ),
            Policy::Selling(policy) => (
                "INSERT OR REPLACE INTO selling VALUES (?1, ?2)",
                policy.store_id.to_string(),
                json(policy),
            ),
        };
        self.transaction.prepare_cached(sql)?.execute(params![of, document])?;
        Ok(())
    }
}

const fn state_name(state: ReservationState) -> &'static str {
    inventory_core::saga::requests::name(state)
}

fn document<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    id: &str,
) -> Result<Option<T>, Error> {
    let text: Option<String> =
        connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
    text.map(|text| parsed(&text)).transpose()
}

pub(super) fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| broken(&error))
}

pub(super) fn json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("plain data always serialises")
}
