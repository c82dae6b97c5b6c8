//! What the tests share: shops that write journals, a centre driven by hand, a centre that runs.

mod app;
mod auditor;
mod broker;
mod centre;
mod follow;
mod shop;
mod topic;
mod web;

use std::time::Duration;

use central_service::Config;
use central_service::history::DEFAULT_EVENTS;
use central_service::ledger::Settings;
use inventory_core::{FreshnessBounds, StalenessBuffer};
use shared_events::topic::Topics;
use shared_events::{Sku, StoreId};

pub(crate) use app::Running;
pub(crate) use auditor::Auditor;
pub(crate) use broker::Moving;
pub(crate) use centre::{Centre, Picture, file};
pub(crate) use follow::follow;
pub(crate) use shop::{Shop, digest, fold};
pub(crate) use topic::{at, command, heartbeats, publish, raw, records, send, wait_for};
pub(crate) use web::{ask, documented, get, post, put};

/// Longest a test waits for something that another thread does.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Bounds that no test outlives: a store that was heard stays fresh.
pub(crate) const PATIENT: FreshnessBounds = FreshnessBounds {
    stale_after_ms: 3_600_000,
    dark_after_ms: 7_200_000,
    buffer: StalenessBuffer { units: 2, units_per_minute: 1 },
};
/// Bounds at which every store is stale at once.
pub(crate) const DEAF: FreshnessBounds = FreshnessBounds { stale_after_ms: 0, ..PATIENT };
/// Bounds at which every store is dark at once.
pub(crate) const BLIND: FreshnessBounds = FreshnessBounds { dark_after_ms: 0, ..DEAF };

/// Few partitions, so that items share some and one store's events still spread.
pub(crate) fn topics() -> Topics {
    Topics::new("", 3)
}

pub(crate) fn sku(name: &str) -> Sku {
    Sku::parse(name).expect("a valid sku")
}

pub(crate) fn store(name: &str) -> StoreId {
    StoreId::parse(name).expect("a valid store id")
}

/// A ledger in which a store has a second to answer, and lets go two seconds after a reservation's time.
pub(crate) fn settings() -> Settings {
    Settings::new("c1".parse().expect("a valid centre id"), 1_000, 2_000)
}

/// Configuration of a centre in a folder; gaps are asked for at the second look.
pub(crate) fn config(folder: &std::path::Path) -> Config {
    Config {
        data_dir: folder.to_owned(),
        topics: topics(),
        freshness: PATIENT,
        gap_grace: Duration::ZERO,
        ledger: settings(),
        history_events: DEFAULT_EVENTS,
    }
}
