//! Building the view anew from the topics, without serving meanwhile.

use std::sync::Arc;
use std::time::Duration;

use event_log::EventLog;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::clock::now;
use crate::config::Config;
use crate::database::Database;
use crate::history::Recorder;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::projection::Projection;
use crate::read_model::ReadModel;

/// How far it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records read.
    pub read: u64,
    /// Records there were when it began.
    pub of: u64,
    /// Events among them that were new.
    pub events: u64,
    /// Stores known so far.
    pub stores: usize,
}

/// Forgets the view and reads everything that is on the topics now. `false` when it was cancelled before
/// that: the centre goes on from there when it is started.
///
/// # Errors
/// The database's or the broker's; run it again.
pub fn rebuild(
    config: &Config,
    log: Arc<dyn EventLog>,
    told: &mut dyn FnMut(Progress),
    cancel: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut database = Database::open(&config.data_dir)?;
    database.forget_view()?;
    let history = Recorder::open(&database, config.history_events)?;
    let (metrics, model) =
        (Arc::new(Metrics::default()), Arc::new(ReadModel::new(config.freshness)));
    let (mut projection, _, cluster_id) = Projection::open(
        database,
        history,
        Arc::clone(&model),
        config.gap_grace,
        config.ledger.clone(),
        config.topics.clone(),
        metrics.ledger.clone(),
    )?;
    let mut intake = Intake {
        admission: Arc::new(Admission::new(config.topics.clone(), Arc::clone(&log))),
        log,
        positions: std::collections::BTreeMap::new(),
        cluster_id,
        metrics,
    };
    let mut session = intake.open()?;
    let mut progress = Progress { of: session.behind(), ..Progress::default() };
    while !cancel.is_cancelled() {
        let Some(batch) = intake.poll(&mut session, Duration::from_millis(100))? else {
            continue;
        };
        progress.events += projection.apply(&batch, now())?.events;
        progress.read = progress.of.saturating_sub(session.behind());
        progress.stores = model.stores().len();
        told(progress);
        if batch.caught_up {
            projection.save()?;
            return Ok(true);
        }
    }
    Ok(false)
}
