//! What a store service needs to know.

use std::path::PathBuf;
use std::time::Duration;

use shared_events::topic::Topics;
use shared_events::{Location, StoreId};

use crate::opening::Unwitnessed;

/// Milliseconds of [`Config::release_grace`] unless configured otherwise.
pub const DEFAULT_RELEASE_GRACE_MS: u64 = 120_000;

/// Milliseconds of [`Config::witness_wait`] unless configured otherwise.
pub const DEFAULT_WITNESS_WAIT_MS: u64 = 5_000;

/// Configuration of one store.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which store this is.
    pub store: StoreId,
    /// Folder of its journal.
    pub data_dir: PathBuf,
    /// Topics of the chain.
    pub topics: Topics,
    /// Where the shop is: customers near it are sent there.
    pub location: Option<Location>,
    /// How long to wait, before anything is written, for a centre to say what it has seen of the journal;
    /// zero trusts the disk and asks nobody.
    pub witness_wait: Duration,
    /// What to do when none answers in time.
    pub unwitnessed: Unwitnessed,
    /// Time between heartbeats.
    pub heartbeat_every: Duration,
    /// How long after its time a reservation is let go without word from the centre: more than the
    /// centre's clock and the store's may differ.
    pub release_grace: Duration,
}
