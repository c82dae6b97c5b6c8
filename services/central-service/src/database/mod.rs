//! The centre's tables: the only place in this crate that speaks SQL.

mod columns;
mod headers;
mod history;
mod ledger;
mod letters;
mod load;
mod past;
mod reader;
mod write;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use service_kit::fingerprint::Fingerprint;
use service_kit::folder::{self, FolderLock};
use service_kit::sqlite::{self, Schema};
use shared_events::ledger::Reservation;
use shared_events::{CommandId, ReservationId, Sku};

use crate::ledger::StockCommandRecord;
use crate::read_model::Level;

pub use ledger::{Filter, Running};
pub use load::{Loaded, LoadedCommitment};
pub use reader::{OutboxRow, Reader};
pub use service_kit::sqlite::Durability;
pub use write::Write;

const SCHEMA: Schema = Schema {
    application_id: 0x4f6e_6832,
    layouts: &[
        include_str!("layout-1.sql"),
        include_str!("layout-2.sql"),
        include_str!("layout-3.sql"),
        include_str!("layout-4.sql"),
        include_str!("layout-5.sql"),
        include_str!("layout-6.sql"),
        include_str!("layout-7.sql"),
    ],
};
/// The file in the centre's folder.
pub(crate) const DATABASE: &str = "central.db";

/// Which records wait for each other to be published, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Commands to stores: somebody may be waiting for what comes of them.
    Commands,
    /// Everything else: reservations, policies, dead letters.
    Records,
}

impl Lane {
    const fn number(self) -> i64 {
        match self {
            Self::Commands => 0,
            Self::Records => 1,
        }
    }
}

/// What can go wrong with the database. All of it ends the process: what it holds comes back from the
/// topics, except reservations no store has answered yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be had.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// It cannot be opened.
    #[error(
        "{0}; choose another folder, or delete a database of the centre: it is rebuilt from the topics"
    )]
    Open(#[from] sqlite::Error),
    /// A row is not what was once written.
    #[error("the database is broken ({0}); delete it, and it is rebuilt from the topics")]
    Broken(String),
    /// It was not read to the end: the process stops, or there is a defect.
    #[error("the database was not read: {0}")]
    Reading(String),
    /// SQLite failed.
    #[error("the database failed: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Broken(error.to_string()),
            _ => Self::Sqlite(error),
        }
    }
}

/// The one writer of the database.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    durability: Durability,
    path: PathBuf,
    _lock: FolderLock,
}

impl Database {
    /// Opens the database in a folder, creating both when new.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let lock = FolderLock::take(folder)?;
        let path = folder.join(DATABASE);
        let durability = Durability::Checkpoint;
        let connection = sqlite::open(&path, SCHEMA, durability)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection, durability, path, _lock: lock })
    }

    /// A reader beside this writer.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn reader(&self) -> Result<Reader, Error> {
        Ok(Reader::new(sqlite::open_read_only(&self.path, SCHEMA)?))
    }

    /// Everything in it but levels, for the memory of a centre that starts.
    ///
    /// # Errors
    /// [`Error`].
    pub fn load(&self) -> Result<Loaded, Error> {
        load::load(&self.connection)
    }

    /// All levels in parts, those of a store one after the other, until nobody takes them any more.
    ///
    /// # Errors
    /// [`Error`].
    pub fn levels(&self, take: &mut dyn FnMut(Vec<(Sku, Level)>) -> bool) -> Result<(), Error> {
        load::levels(&self.connection, take)
    }

    /// What is still going on in the ledger, and all policies.
    ///
    /// # Errors
    /// [`Error`].
    pub fn running(&self) -> Result<Running, Error> {
        ledger::running(&self.connection)
    }

    /// A reservation of the ledger.
    ///
    /// # Errors
    /// [`Error`].
    pub fn reservation(&self, id: &ReservationId) -> Result<Option<Reservation>, Error> {
        ledger::reservation(&self.connection, id)
    }

    /// A stock command that was handed to this centre.
    ///
    /// # Errors
    /// [`Error`].
    pub fn stock_command(&self, id: &CommandId) -> Result<Option<StockCommandRecord>, Error> {
        ledger::stock_command(&self.connection, id)
    }

    /// What was asked under an idempotency key.
    ///
    /// # Errors
    /// [`Error`].
    pub fn request(&self, key: &str) -> Result<Option<Fingerprint>, Error> {
        ledger::request(&self.connection, key)
    }

    /// Forgets everything that the topics have, so that it is read again. What only this centre knows
    /// stays: its reservations, what callers named, and what is still to be published.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn forget_view(&mut self) -> Result<(), Error> {
        let tables = [
            "history_items",
            "history",
            "tracker_chunks",
            "trackers",
            "commitments",
            "levels",
            "stores",
            "positions",
        ];
        let transaction = self.connection.transaction()?;
        // Positions are given anew: those of before must not be taken for them.
        transaction.execute("UPDATE history_life SET machine_start = ''", [])?;
        for table in tables {
            transaction.execute(&format!("DELETE FROM {table}"), [])?;
        }
        Ok(transaction.commit()?)
    }

    /// Starts a transaction. What can be rebuilt is durable at the next checkpoint; what this centre
    /// alone knows must be when it is committed.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn write(&mut self, durability: Durability) -> Result<Write<'_>, Error> {
        if self.durability != durability {
            sqlite::set_durability(&self.connection, durability)?;
            self.durability = durability;
        }
        Write::begin(&mut self.connection)
    }
}

/// Positions stay below 2⁵³, so they fit SQLite's signed integers.
const fn signed(position: u64) -> i64 {
    position.cast_signed()
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::Broken(error.to_string())
}
