//! What a centre needs to know.

use std::path::PathBuf;
use std::time::Duration;

use inventory_core::FreshnessBounds;
use shared_events::topic::Topics;

use crate::ledger::Settings;

/// Configuration of one centre.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of its database.
    pub data_dir: PathBuf,
    /// Topics of the chain.
    pub topics: Topics,
    /// When silence makes a store stale, and when dark.
    pub freshness: FreshnessBounds,
    /// This centre, and how its ledger works.
    pub ledger: Settings,
    /// How long events may be missing, without any arriving, before the store is asked for them.
    pub gap_grace: Duration,
    /// Most changes that are kept in the history, at least 1.
    pub history_events: u64,
}
