//! Opening SQLite with the settings that promises rest on, and with a check that they took.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Older versions can corrupt a database when a write-ahead log is reset (fixed in 3.51.3).
const OLDEST_SOUND_VERSION: i32 = 3_051_003;

/// Pages of the write-ahead log that are moved into the database at once, 16 MiB: what is written again and
/// again moves once, and no commit waits for long.
const PAGES_PER_CHECKPOINT: u32 = 4_000;

/// Memory for a writer's pages, in KiB, where SQLite has 2,000: a transaction's pages fit, so that none is
/// written before its end. More does not help: pages read again are in the system's cache, and commits that
/// split a page look through all of this one (`pcache1TruncateUnsafe`).
pub const CACHE_KIB: u32 = 8_192;
/// The same for a reader: it reads in order, or for people.
const READER_CACHE_KIB: u32 = 64;

/// What a database file is for, so that one is never taken for another.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// Marks the file's kind, `PRAGMA application_id`.
    pub application_id: i32,
    /// The first creates the tables in an empty file, each further one brings what the one before it
    /// left up to date. Their number is the layout, `PRAGMA user_version`.
    pub layouts: &'static [&'static str],
}

impl Schema {
    fn version(self) -> i32 {
        i32::try_from(self.layouts.len()).unwrap_or(i32::MAX)
    }
}

/// When a commit is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// At COMMIT: `synchronous=FULL`.
    EveryCommit,
    /// At the next checkpoint: `synchronous=NORMAL`. A power cut loses recent commits, in order.
    Checkpoint,
}

impl Durability {
    const fn synchronous(self) -> &'static str {
        match self {
            Self::EveryCommit => "2",
            Self::Checkpoint => "1",
        }
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The linked library is too old to be trusted.
    #[error("SQLite {0} can corrupt a write-ahead log; 3.51.3 or later is needed")]
    UnsoundVersion(&'static str),
    /// The file is something else.
    #[error("{} is not a database of this kind (application id {found:#x})", path.display())]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        found: i32,
    },
    /// The file was written by another version of this program.
    #[error(
        "{} has layout {found}, this program knows {known}: {}", path.display(), layout_fix(*found, *known)
    )]
    OtherLayout {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i32,
        /// Ours.
        known: i32,
    },
    /// A setting did not take.
    #[error("PRAGMA {pragma} is {found}, expected {expected}")]
    Setting {
        /// Its name.
        pragma: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// Opens a database for its one writer, creating it when the file is new.
///
/// # Errors
/// [`Error`]; nothing is changed in a file that is not ours.
pub fn open(path: &Path, schema: Schema, durability: Durability) -> Result<Connection, Error> {
    require_sound_version()?;
    let failed = |source| Error::Sqlite { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(failed)?;
    prepare(&connection).map_err(failed)?;
    let found: i32 = pragma(&connection, "application_id").map_err(failed)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if found != schema.application_id && (found, tables) != (0, 0) {
        return Err(Error::OtherKind { path: path.to_owned(), found });
    }
    let synchronous = durability.synchronous();
    // Foreign keys would cost a look at the other table for each row, and keep `REPLACE` from writing in place.
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
             PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
             PRAGMA mmap_size = 0; PRAGMA journal_size_limit = 67108864;
             PRAGMA wal_autocheckpoint = {PAGES_PER_CHECKPOINT};
             PRAGMA cache_size = -{CACHE_KIB};"
        ))
        .map_err(failed)?;
    require(&connection, "journal_mode", "wal").map_err(failed)??;
    require(&connection, "synchronous", synchronous).map_err(failed)??;
    let layout: i32 = pragma(&connection, "user_version").map_err(failed)?;
    if layout < schema.version() {
        bring_up_to_date(&mut connection, schema, layout).map_err(failed)?;
    }
    if tables == 0 {
        sync_directory(path);
    }
    require_layout(&connection, path, schema)?;
    Ok(connection)
}

/// Bytes of a database's files; 0 for one that is not there.
#[must_use]
pub fn sizes(path: &Path) -> [(&'static str, u64); 2] {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [("main", size(path)), ("wal", size(Path::new(&log)))]
}

/// Changes when commits are on disk, from the next transaction on. One sync covers the commits before.
///
/// # Errors
/// What SQLite said.
pub fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", durability.synchronous())
}

/// Lets a writer keep so much of its pages in memory, instead of [`CACHE_KIB`].
///
/// # Errors
/// What SQLite said.
pub fn set_cache(connection: &Connection, kib: u32) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -i64::from(kib))
}

/// Opens a database for reading beside its writer.
///
/// # Errors
/// [`Error`].
pub fn open_read_only(path: &Path, schema: Schema) -> Result<Connection, Error> {
    require_sound_version()?;
    let failed = |source| Error::Sqlite { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    prepare(&connection).map_err(failed)?;
    connection
        .execute_batch(&format!(
            "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON;
             PRAGMA cache_size = -{READER_CACHE_KIB};"
        ))
        .map_err(failed)?;
    let found: i32 = pragma(&connection, "application_id").map_err(failed)?;
    if found != schema.application_id {
        return Err(Error::OtherKind { path: path.to_owned(), found });
    }
    require_layout(&connection, path, schema)?;
    Ok(connection)
}

/// Reads all of a database and gives the first thing that is wrong with it: pages, the order of rows,
/// what an index has and its table has not. Some 2 s for a million rows.
///
/// # Errors
/// What SQLite said, when it could not even look.
pub fn damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

/// Whether an error says that the disk is full: refused for certain, and it may pass.
#[must_use]
pub fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // Otherwise a statement with a bound `LIMIT` is compiled anew each time it is executed.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn require_sound_version() -> Result<(), Error> {
    if rusqlite::version_number() >= OLDEST_SOUND_VERSION {
        Ok(())
    } else {
        Err(Error::UnsoundVersion(rusqlite::version()))
    }
}

fn bring_up_to_date(
    connection: &mut Connection,
    schema: Schema,
    layout: i32,
) -> rusqlite::Result<()> {
    let done = usize::try_from(layout).unwrap_or_default();
    let transaction = connection.transaction()?;
    for step in schema.layouts.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", schema.application_id)?;
    transaction.pragma_update(None, "user_version", schema.version())?;
    transaction.commit()
}

const fn layout_fix(found: i32, known: i32) -> &'static str {
    if found < known {
        "its service brings it up to date when it starts"
    } else {
        "use the newer program that wrote it"
    }
}

/// SQLite ignores a failing sync of the directory; a new file's name deserves a second try.
fn sync_directory(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let synced = std::fs::File::open(parent.unwrap_or_else(|| Path::new(".")))
        .and_then(|directory| directory.sync_all());
    if let Err(error) = synced {
        tracing::warn!(%error, path = %path.display(), "the directory could not be synced");
    }
}

fn require_layout(connection: &Connection, path: &Path, schema: Schema) -> Result<(), Error> {
    let found: i32 = pragma(connection, "user_version")
        .map_err(|source| Error::Sqlite { path: path.to_owned(), source })?;
    if found == schema.version() {
        Ok(())
    } else {
        Err(Error::OtherLayout { path: path.to_owned(), found, known: schema.version() })
    }
}

fn require(
    connection: &Connection,
    name: &'static str,
    expected: &'static str,
) -> rusqlite::Result<Result<(), Error>> {
    let found = connection.pragma_query_value(None, name, |row| {
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        })
    })?;
    Ok(if found == expected {
        Ok(())
    } else {
        Err(Error::Setting { pragma: name, found, expected })
    })
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema =
        Schema { application_id: 0x1, layouts: &["CREATE TABLE t (x INTEGER) STRICT;"] };
    const NEWER: Schema = Schema {
        layouts: &[
            "CREATE TABLE t (x INTEGER) STRICT;",
            "ALTER TABLE t ADD COLUMN y INTEGER NOT NULL DEFAULT 7;",
        ],
        ..SCHEMA
    };

    fn file(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("onhand-{}-{name}", std::process::id()));
        std::fs::remove_file(&path).unwrap_or_default();
        path
    }

    #[test]
    fn a_commit_is_synced_when_the_promise_is_every_commit() {
        let connection = open(&file("full.db"), SCHEMA, Durability::EveryCommit).unwrap();
        assert_eq!(pragma(&connection, "synchronous").unwrap(), 2);
    }

    #[test]
    fn a_database_of_another_kind_is_left_alone() {
        let path = file("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x);").unwrap();
        let refused = open(&path, SCHEMA, Durability::EveryCommit);
        assert!(matches!(refused, Err(Error::OtherKind { found: 0, .. })), "{refused:?}");
    }

    #[test]
    fn a_database_of_a_newer_layout_is_refused() {
        let path = file("newer.db");
        drop(open(&path, NEWER, Durability::Checkpoint).unwrap());
        let refused = open(&path, SCHEMA, Durability::Checkpoint);
        assert!(matches!(refused, Err(Error::OtherLayout { found: 2, known: 1, .. })));
    }

    #[test]
    fn a_database_of_an_older_layout_is_brought_up_to_date_with_its_rows() {
        let path = file("older.db");
        let older = open(&path, SCHEMA, Durability::Checkpoint).unwrap();
        older.execute_batch("INSERT INTO t VALUES (1);").unwrap();
        drop(older);
        let newer = open(&path, NEWER, Durability::Checkpoint).unwrap();
        let row = newer.query_row("SELECT x, y FROM t", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
        assert_eq!(row.unwrap(), (1, 7));
        assert!(open_read_only(&path, NEWER).is_ok());
    }
}
