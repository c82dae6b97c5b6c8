//! A folder that belongs to one process at a time.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Held for as long as the folder is in use; the lock goes with the process, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
    name: String,
}

/// Why a folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made or used.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another process; stop that one first", .0.display())]
    InUse(PathBuf),
}

impl FolderLock {
    /// Takes a folder, making it when new. The lock is a file of its own: closing any handle of a
    /// database file would drop SQLite's own locks on it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn take(folder: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Unusable { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let file = File::create(folder.join("onhand.lock")).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {
                let name = name(&file).map_err(unusable)?;
                Ok(Self { _file: file, name })
            }
            Err(TryLockError::WouldBlock) => Err(Error::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Names the folder: a copy of it, on this machine or another, has another name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The lock file's place on its disk, and the machine, where that has a name.
fn name(file: &File) -> std::io::Result<String> {
    let found = file.metadata()?;
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    Ok(format!("{:x}:{:x}@{}", found.dev(), found.ino(), machine.trim()))
}
