//! The store's SQLite log: the only place in this crate that speaks SQL.
//!
//! **Invariant:** sequences have no hole and each row's hash covers the row and the hash before it.
//! One [`Journal`] writes (a file lock keeps other processes out); [`Reader`]s read beside it.

mod append;
mod backup;
mod chain;
mod read;
mod renew;
mod segments;

use std::path::{Path, PathBuf};

use event_log::Offset;
use rusqlite::Connection;
use service_kit::folder::{self, FolderLock};
use service_kit::sqlite::{self, Durability, Schema};
use shared_events::event::InvalidEventData;
use shared_events::{Epoch, Lineage, RecordedEvent, Sequence, StoreId};

use segments::Named;

pub use append::{Append, NewEvent, RecordedCommand, Verdict};
pub use backup::backup;
pub use chain::ChainHash;
pub use read::Reader;

const SCHEMA: Schema = Schema {
    application_id: 0x4f6e_6831,
    layouts: &[
        include_str!("schema.sql"),
        include_str!("layout_2.sql"),
        include_str!("layout_3.sql"),
        include_str!("layout_4.sql"),
        include_str!("layout_5.sql"),
    ],
};
/// The file in a journal's folder.
pub const DATABASE: &str = "journal.db";

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be had.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// It is the journal of another store.
    #[error("the journal in {} belongs to store {found}, not {wanted}", path.display())]
    OtherStore {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: StoreId,
        /// Whose it should be.
        wanted: StoreId,
    },
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] sqlite::Error),
    /// A row is not what was once written.
    #[error(
        "the journal is broken at sequence {sequence}: {reason}. Keep a copy, then put a backup in its place, or move it away and run onhand store recover"
    )]
    Broken {
        /// The first sequence that does not hold.
        sequence: Sequence,
        /// What is wrong with it.
        reason: String,
    },
    /// The file to copy to is there already.
    #[error("{} exists already; a backup never overwrites", .0.display())]
    Exists(PathBuf),
    /// A copy could not be written.
    #[error("copy to {}: {source}", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Every event holds, and the file around them does not: what is looked up in it may be missed.
    #[error(
        "the journal is damaged, although its events hold: {}. Keep a copy of {}, then {}",
        what.replace('\n', " "), path.display(), damage_fix(what, path)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong, in SQLite's words.
        what: String,
    },
    /// The disk is full. Nothing was written.
    #[error("the disk is full")]
    Full,
    /// SQLite failed; whether a running commit took effect is unknown.
    #[error("the journal failed: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        if sqlite::is_full(&error) { Self::Full } else { Self::Sqlite(error) }
    }
}

/// Whose journal it is, and what lives it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The store.
    pub store: StoreId,
    /// Its lives up to now.
    pub lineage: Lineage,
}

impl Identity {
    /// The life that is being lived.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.lineage.current().epoch
    }

    /// Its lives as they are told: a journal that had only one says nothing of it.
    #[must_use]
    pub fn told(&self) -> Option<Lineage> {
        (!self.lineage.is_plain()).then(|| self.lineage.clone())
    }
}

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Newest sequence; 0 when the journal is empty.
    pub sequence: Sequence,
    /// Its hash.
    pub hash: ChainHash,
}

/// Where reading the centre's commands goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxPosition {
    /// The cluster the offset belongs to.
    pub cluster_id: String,
    /// The next command to read.
    pub next: Offset,
}

/// The one writer of a store's journal.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    identity: Identity,
    head: Head,
    published_through: Sequence,
    path: PathBuf,
    /// It was last written in another folder, or never.
    moved: bool,
    lock: FolderLock,
    /// Names of commands that are remembered.
    names: u64,
}

impl Journal {
    /// Opens a store's journal in a folder, creating both when new, and hands every event to
    /// `replay`, checking the chain on the way.
    ///
    /// # Errors
    /// [`Error`]; a journal that is broken, in use or another store's is left as it is.
    pub fn open(
        folder: &Path,
        store: &StoreId,
        mut replay: impl FnMut(&RecordedEvent),
    ) -> Result<Self, Error> {
        let lock = FolderLock::take(folder)?;
        let path = folder.join(DATABASE);
        let mut connection = sqlite::open(&path, SCHEMA, Durability::EveryCommit)?;
        connection.set_prepared_statement_cache_capacity(32);
        connection.execute(
            "INSERT INTO journal (id, store_id, epoch) VALUES (1, ?1, 1) ON CONFLICT DO NOTHING",
            [store.as_str()],
        )?;
        let state = read::state(&connection)?;
        if state.store != *store {
            let (found, wanted) = (state.store, store.clone());
            return Err(Error::OtherStore { path: folder.to_owned(), found, wanted });
        }
        let (lineage, head) = walk(&connection, &path, &state, &mut replay)?;
        segments::catch_up(&mut connection, head.sequence)?;
        // After a failed sync the log's end may be in the page cache only. Before anything is
        // acknowledged behind it, move it into the database and sync that.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        // A cursor ahead of the head is what a lost tail leaves behind: never skip what comes next.
        let published_through = state.published_through.min(head.sequence);
        let moved = state.home.as_deref() != Some(lock.name());
        let identity = Identity { store: state.store, lineage };
        let names: i64 =
            connection.query_row("SELECT count(*) FROM commands", [], |row| row.get(0))?;
        let names = names.unsigned_abs();
        Ok(Self { connection, identity, head, published_through, path, moved, lock, names })
    }

    /// Whose it is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether it was last written in another folder, so that the one there may be in use.
    #[must_use]
    pub const fn has_moved(&self) -> bool {
        self.moved && self.head.sequence.get() > 0
    }

    /// The end of the chain.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// What the broker had acknowledged when this was last saved.
    #[must_use]
    pub const fn published_through(&self) -> Sequence {
        self.published_through
    }

    /// Where reading the centre's commands goes on; `None` before the first.
    ///
    /// # Errors
    /// [`Error`].
    pub fn inbox(&self) -> Result<Option<InboxPosition>, Error> {
        read::inbox(&self.connection)
    }

    /// The chain's hash at a sequence; `None` where the journal has no event of it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn hash_at(&self, sequence: Sequence) -> Result<Option<ChainHash>, Error> {
        read::hash_at(&self.connection, &self.identity.store, sequence)
    }

    /// A reader beside this writer.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::open(&self.path)
    }

    /// Lets it keep so much of its pages in memory.
    ///
    /// # Errors
    /// [`Error`].
    pub fn set_cache(&self, kib: u32) -> Result<(), Error> {
        Ok(sqlite::set_cache(&self.connection, kib)?)
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Sqlite`].
    pub fn append(&mut self) -> Result<Append<'_>, Error> {
        Append::begin(self)
    }
}

/// Walks a journal from the first event to the last without taking it from its writer.
///
/// # Errors
/// [`Error::Broken`] with the first sequence that does not hold, or what keeps it from being read.
pub fn verify(folder: &Path) -> Result<(Identity, Head), Error> {
    replay(folder, |_| {})
}

/// The same, handing each event on.
///
/// # Errors
/// As for [`verify`].
pub fn replay(
    folder: &Path,
    mut visit: impl FnMut(&RecordedEvent),
) -> Result<(Identity, Head), Error> {
    replay_file(&folder.join(DATABASE), &mut visit)
}

fn replay_file(
    file: &Path,
    visit: &mut dyn FnMut(&RecordedEvent),
) -> Result<(Identity, Head), Error> {
    let connection = sqlite::open_read_only(file, SCHEMA)?;
    // All of it as of one commit of its writer.
    let _snapshot = connection.unchecked_transaction()?;
    let state = read::state(&connection)?;
    let (lineage, head) = walk(&connection, file, &state, visit)?;
    Ok((Identity { store: state.store, lineage }, head))
}

/// A reader of a journal that is not taken from its writer.
///
/// # Errors
/// [`Error::Open`].
pub fn reader(folder: &Path) -> Result<Reader, Error> {
    Reader::open(&folder.join(DATABASE))
}

/// The walk reads the events one after the other; a lookup takes other pages, whose damage it cannot see.
fn walk(
    connection: &Connection,
    path: &Path,
    state: &read::State,
    visit: &mut dyn FnMut(&RecordedEvent),
) -> Result<(Lineage, Head), Error> {
    let mut named = Named::default();
    let walked = read::walk(connection, state, &mut |event| {
        named.take(event);
        visit(event);
    })?;
    let damage = match sqlite::damage(connection) {
        Ok(None) => {
            let named = named.damage(connection, walked.1.sequence);
            named.unwrap_or_else(|error| Some(format!("{}: {error}", segments::TABLE)))
        }
        Ok(Some(what)) => Some(what),
        Err(error) => Some(error.to_string()),
    };
    match damage {
        None => Ok(walked),
        Some(what) => Err(Error::Damaged { path: path.to_owned(), what }),
    }
}

/// An index is made anew from its table; pages of the table itself are not.
fn damage_fix(what: &str, path: &Path) -> String {
    if what.contains(" index ") {
        format!("run: sqlite3 {} REINDEX", path.display())
    } else if what.contains(segments::TABLE) {
        format!("run: sqlite3 {} 'DELETE FROM {}'", path.display(), segments::TABLE)
    } else {
        "put a backup in its place, or move it away and run onhand store recover".to_owned()
    }
}

fn broken(sequence: Sequence, reason: impl Into<String>) -> Error {
    Error::Broken { sequence, reason: reason.into() }
}

fn unreadable(sequence: Sequence, error: &InvalidEventData) -> Error {
    match error {
        InvalidEventData::UnknownType(name) => {
            broken(sequence, format!("{name} is unknown to this version; use the newer program"))
        }
        InvalidEventData::Malformed { .. } => broken(sequence, error.to_string()),
    }
}
