//! The lives of a journal, as they are shown.

use serde::Serialize;
use shared_events::{Life, Lineage};
use utoipa::ToSchema;

/// One life of a journal.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LifeView {
    /// Its name; higher than those before.
    epoch: u64,
    /// Its first sequence.
    from: u64,
}

/// All lives, the oldest first.
#[must_use]
pub fn lives(lineage: Lineage) -> Vec<LifeView> {
    let view = |life: &Life| LifeView { epoch: life.epoch.get(), from: life.from.get() };
    Vec::<Life>::from(lineage).iter().map(view).collect()
}
