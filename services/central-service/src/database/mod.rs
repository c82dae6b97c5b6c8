//! The centre's tables: the only place in this crate that speaks SQL.

mod load;
mod reader;
mod write;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use service_kit::folder::{self, FolderLock};
use service_kit::sqlite::{self, Durability, Schema};

pub use load::Loaded;
pub use reader::{OutboxRow, Reader};
pub use write::Write;

const SCHEMA: Schema =
    Schema { application_id: 0x4f6e_6832, layouts: &[include_str!("schema.sql")] };
const DATABASE: &str = "central.db";

/// What can go wrong with the database. All of it ends the process: what it holds comes back from the
/// topics.
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
        // All of it can be rebuilt: a power cut may take recent commits, but effect and position
        // together.
        let connection = sqlite::open(&path, SCHEMA, Durability::Checkpoint)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self { connection, path, _lock: lock })
    }

    /// A reader beside this writer.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn reader(&self) -> Result<Reader, Error> {
        Ok(Reader::new(sqlite::open_read_only(&self.path, SCHEMA)?))
    }

    /// Everything in it, for the memory of a centre that starts.
    ///
    /// # Errors
    /// [`Error`].
    pub fn load(&self) -> Result<Loaded, Error> {
        load::load(&self.connection)
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn write(&mut self) -> Result<Write<'_>, Error> {
        Write::begin(&mut self.connection)
    }
}

/// Positions stay below 2⁵³, so they fit SQLite's signed integers.
const fn signed(position: u64) -> i64 {
    position.cast_signed()
}
