//! The table of dead letters.

use rusqlite::{OptionalExtension as _, Row, params};
use shared_events::Timestamp;
use shared_events::wire::OutgoingRecord;

use super::columns::timestamp;
use super::{Error, Reader, Write, broken, headers};
use crate::admission::Cause;
use crate::letters::{Kept, Letter, Redriven};

/// Bytes of a value that a list has.
const EXCERPT_BYTES: i64 = 1_024;

impl Write<'_> {
    /// Keeps a letter; gives whether it was not kept before.
    ///
    /// # Errors
    /// [`Error::Sqlite`], as for all of these.
    pub fn letter(&self, letter: &Letter, now: Timestamp) -> Result<bool, Error> {
        let OutgoingRecord { key, headers: all, value } = &letter.record;
        // Origin and reason are columns.
        let own = all.len().saturating_sub(2);
        let own = headers::to_text(all.get(..own).unwrap_or_default());
        let bytes = key.len() + own.len() + value.as_ref().map_or(0, Vec::len);
        let mut hasher = blake3::Hasher::new();
        for part in [key.as_slice(), own.as_bytes(), value.as_deref().unwrap_or_default()] {
            hasher.update(&part.len().to_le_bytes()).update(part);
        }
        let new = self
            .transaction
            .prepare_cached(
                "INSERT INTO dead_letters (bytes, origin, fingerprint, cause, reason,
                    quarantined_at, key, headers, value)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (origin, fingerprint) DO NOTHING",
            )?
            .execute(params![
                i64::try_from(bytes).unwrap_or(i64::MAX),
                letter.origin,
                hasher.finalize().as_bytes(),
                letter.cause.name(),
                letter.reason,
                now.unix_millis(),
                key,
                own,
                value
            ])?;
        Ok(new > 0)
    }

    /// Keeps the newest letters, up to a number and up to so many bytes.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn forget_old_letters(&self, letters: i64, bytes: i64) -> Result<(), Error> {
        self.transaction
            .prepare_cached(
                "DELETE FROM dead_letters WHERE id <= (
                    SELECT id FROM (
                        SELECT id, sum(bytes) OVER newer AS bytes, count(*) OVER newer AS letters
                        FROM dead_letters WINDOW newer AS (ORDER BY id DESC)
                    ) WHERE letters > ?1 OR bytes > ?2 ORDER BY id DESC LIMIT 1)",
            )?
            .execute(params![letters, bytes])?;
        Ok(())
    }

    /// Notes what came of trying a letter again.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn letter_redriven(&self, id: i64, now: Timestamp, came: &Redriven) -> Result<(), Error> {
        let reason = match came {
            Redriven::Quarantined(reason) => Some(reason),
            Redriven::Applied | Redriven::Known | Redriven::Skipped => None,
        };
        self.transaction.execute(
            "UPDATE dead_letters SET redriven_at = ?2, outcome = ?3, outcome_reason = ?4
             WHERE id = ?1",
            params![id, now.unix_millis(), came.name(), reason],
        )?;
        Ok(())
    }
}

const COLUMNS: &str = "id, cause, reason, origin, quarantined_at, redriven_at, outcome,
    outcome_reason, key, headers, length(value)";

impl Reader {
    /// Letters behind `after`, in the order they were put aside, each with the beginning of its value.
    ///
    /// # Errors
    /// [`Error`].
    pub fn letters(
        &self,
        cause: Option<Cause>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Kept>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, substr(value, 1, {EXCERPT_BYTES}) FROM dead_letters
             WHERE id > ?1 AND (?2 IS NULL OR cause = ?2) ORDER BY id LIMIT ?3"
        ))?;
        let mut rows = statement.query(params![after, cause.map(Cause::name), limit])?;
        let mut letters = Vec::new();
        while let Some(row) = rows.next()? {
            letters.push(kept(row)?);
        }
        Ok(letters)
    }

    /// A letter, whole.
    ///
    /// # Errors
    /// [`Error`].
    pub fn letter(&self, id: i64) -> Result<Option<Kept>, Error> {
        let sql = format!("SELECT {COLUMNS}, value FROM dead_letters WHERE id = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.query_row([id], |row| Ok(kept(row))).optional()?.transpose()
    }
}

fn kept(row: &Row<'_>) -> Result<Kept, Error> {
    let cause: String = row.get(1)?;
    let headers: String = row.get(9)?;
    let (redriven_at, outcome): (Option<i64>, Option<String>) = (row.get(5)?, row.get(6)?);
    let reason = row.get(7)?;
    let outcome = outcome.and_then(|name| Redriven::named(&name, reason));
    let redriven_at = redriven_at.is_some().then(|| timestamp(row, 5)).transpose()?;
    let bytes: Option<i64> = row.get(10)?;
    Ok(Kept {
        id: row.get(0)?,
        cause: Cause::named(&cause).ok_or_else(|| broken(&format!("dead letter: {cause}")))?,
        reason: row.get(2)?,
        origin: row.get(3)?,
        quarantined_at: timestamp(row, 4)?,
        record: OutgoingRecord {
            key: row.get(8)?,
            headers: headers::from_text(&headers).map_err(|error| broken(&error))?,
            value: row.get(11)?,
        },
        value_bytes: bytes.map(i64::unsigned_abs),
        redriven: redriven_at.zip(outcome),
    })
}
