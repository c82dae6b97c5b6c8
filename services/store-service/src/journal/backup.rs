//! An online copy of a journal.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::Backup;
use service_kit::sqlite;

use super::{DATABASE, Error, Head, Identity, SCHEMA, replay_file};

/// Copies the journal of a folder as it stands at one moment, beside a running store, and checks the
/// copy's chain. The file appears whole or not at all.
///
/// # Errors
/// [`Error::Exists`] when the file is there already; [`Error::Broken`] when the journal is not what was
/// once written; else what keeps it from being copied.
pub fn backup(folder: &Path, file: &Path) -> Result<(Identity, Head), Error> {
    let copied = |source| Error::Copy { path: file.to_owned(), source };
    if file.exists() {
        return Err(Error::Exists(file.to_owned()));
    }
    let unfinished = beside(file);
    remove(&unfinished).map_err(copied)?;
    let connection = sqlite::open_read_only(&folder.join(DATABASE), SCHEMA)?;
    let outcome = copy(&connection, &unfinished).and_then(|verified| {
        std::fs::File::open(&unfinished).and_then(|file| file.sync_all()).map_err(copied)?;
        std::fs::rename(&unfinished, file).map_err(copied)?;
        Ok(verified)
    });
    if outcome.is_err() {
        remove(&unfinished).map_err(copied)?;
    }
    outcome
}

fn copy(connection: &Connection, file: &Path) -> Result<(Identity, Head), Error> {
    let mut target = Connection::open(file)?;
    // All pages in one step: one snapshot, whatever the store writes meanwhile.
    Backup::new(connection, &mut target)?.step(-1)?;
    // One file is all there is to a copy.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    drop(target);
    replay_file(file, &mut |_| {})
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    file.with_file_name(name)
}

fn remove(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
