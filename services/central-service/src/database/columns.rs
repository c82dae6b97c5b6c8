//! Reading columns as what they mean.

use rusqlite::Row;
use shared_events::{Epoch, Sequence, Sku, Timestamp, Version};

use super::{Error, broken};
use crate::read_model::{Level, StoreIndex};

/// In the order that [`level`] reads.
pub(super) const LEVEL: &str = "epoch, sequence, version, on_hand, reserved, occurred_at";

pub(super) fn level(store: StoreIndex, row: &Row<'_>) -> Result<Level, Error> {
    Ok(Level {
        store,
        epoch: epoch(row, 0)?,
        sequence: sequence(row, 1)?,
        version: Version::new(unsigned(row.get(2)?)),
        on_hand: row.get(3)?,
        reserved: row.get(4)?,
        occurred_at_ms: row.get(5)?,
    })
}

pub(super) fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, Error> {
    row.get_ref(column)?.as_str().map_err(|error| broken(&error))
}

pub(super) fn sku(row: &Row<'_>, column: usize) -> Result<Sku, Error> {
    Sku::parse(text(row, column)?).map_err(|error| broken(&error))
}

pub(super) fn epoch(row: &Row<'_>, column: usize) -> Result<Epoch, Error> {
    Ok(Epoch::new(unsigned(row.get(column)?)))
}

pub(super) fn sequence(row: &Row<'_>, column: usize) -> Result<Sequence, Error> {
    Ok(Sequence::new(unsigned(row.get(column)?)))
}

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> Result<Timestamp, Error> {
    Timestamp::from_unix_millis(row.get(column)?).map_err(|error| broken(&error))
}

pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) const fn unsigned(number: i64) -> u64 {
    number.unsigned_abs()
}
