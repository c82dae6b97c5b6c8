//! Folders for databases under test.

use std::path::Path;

use tempfile::TempDir;

/// A folder that goes with its handle, in memory where the system offers that.
///
/// Every commit waits for the disk, and a disk that is busy with a build makes them wait for minutes.
/// No test can tell a disk from memory: that takes a power cut.
///
/// # Panics
/// When there is no place to write to.
#[must_use]
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    TempDir::new_in(memory).or_else(|_none| TempDir::new()).expect("a temporary folder")
}
