//! Puts a centre together and runs it.

use std::future::pending;
use std::sync::{Arc, Mutex};

use access::Access;
use axum::Router;
use event_log::EventLog;
use service_kit::answers::Answers;
use service_kit::server::Listener;
use service_kit::threads::Threads;
use shared_events::topic::Topics;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::admission::Admission;
use crate::api;
use crate::api::stream::{Limits, Streams};
use crate::config::Config;
use crate::database::{DATABASE, Database, Error, Lane};
use crate::feed::Feed;
use crate::history::Recorder;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::outbound::{Bell, Outbound};
use crate::projection::Projection;
use crate::projector::{Batches, Handle, Projector};
use crate::read_model::ReadModel;

/// Threads that publish the lanes of the outbox.
const OUTBOUND: [&str; 2] = ["commands", "outbound"];

/// A centre, built and not yet serving.
#[derive(Debug)]
pub struct App {
    projector: Projector,
    batches: Batches,
    handle: Handle,
    intake: Intake,
    outbound: [Outbound; 2],
    bell: Arc<Bell>,
    log: Arc<dyn EventLog>,
    topics: Topics,
    model: Arc<ReadModel>,
    api: api::State,
    access: Access,
    admin: Option<Listener>,
    metrics: Arc<Metrics>,
    /// Ends what would go on for ever: streams.
    closing: CancellationToken,
}

impl App {
    /// Opens the database, fills memory from it and wires the parts. Talks to no broker yet.
    ///
    /// # Errors
    /// [`Error`]: in use, broken, or not to be opened.
    pub fn build(config: Config, log: Arc<dyn EventLog>) -> Result<Self, Error> {
        let metrics = Arc::new(Metrics::new(config.data_dir.join(DATABASE)));
        let model = Arc::new(ReadModel::new(config.freshness));
        let bell = Arc::new(Bell::default());
        let database = Database::open(&config.data_dir)?;
        let (commands, records) = (database.reader()?, database.reader()?);
        let list_reader = database.reader()?;
        let history = Recorder::open(&database, config.history_events)?;
        let feed = Feed::new(&history, database.reader()?);
        let (projection, positions, cluster_id) = Projection::open(
            database,
            history,
            Arc::clone(&model),
            config.gap_grace,
            config.ledger.clone(),
            config.topics.clone(),
            metrics.ledger.clone(),
        )?;
        info!(stores = model.stores().len(), positions = positions.len(), "view loaded");

        let (projector, batches, handle) =
            Projector::new(projection, Arc::clone(&bell), Arc::clone(&metrics));
        let admission = Arc::new(Admission::new(config.topics.clone(), Arc::clone(&log)));
        let intake = Intake {
            log: Arc::clone(&log),
            admission: Arc::clone(&admission),
            positions: positions
                .into_iter()
                .map(|position| ((position.topic, position.partition), position.next))
                .collect(),
            cluster_id,
            metrics: Arc::clone(&metrics),
        };
        let outbound = |lane, reader| Outbound {
            lane,
            reader,
            log: Arc::clone(&log),
            topics: config.topics.clone(),
            bell: Arc::clone(&bell),
            projector: batches.clone(),
        };
        let outbound = [outbound(Lane::Commands, commands), outbound(Lane::Records, records)];
        let reader = Arc::new(Mutex::new(list_reader));
        let closing = CancellationToken::new();
        let streams = Arc::new(Streams::new(feed, Limits::default(), closing.clone()));
        let api = api::State {
            model: Arc::clone(&model),
            ledger: handle.clone(),
            centre: config.ledger.centre,
            metrics: Arc::clone(&metrics),
            reader,
            streams,
            admission,
            answers: Arc::new(Answers::open(&config.data_dir)?),
        };
        let topics = config.topics;
        Ok(Self {
            projector,
            batches,
            handle,
            intake,
            outbound,
            bell,
            log,
            topics,
            model,
            api,
            access: Access::default(),
            admin: None,
            metrics,
            closing,
        })
    }

    /// What queries see, for callers in this process.
    #[must_use]
    pub fn model(&self) -> Arc<ReadModel> {
        Arc::clone(&self.model)
    }

    /// The HTTP interface, for callers in this process.
    pub fn router(&self) -> Router {
        api::doors(self.api.clone(), &self.access).main
    }

    /// Asks callers who they are.
    #[must_use]
    pub fn guarded(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Serves what is for operators on a listener of its own, and nowhere else.
    #[must_use]
    pub fn with_admin(mut self, listener: impl Into<Listener>) -> Self {
        self.access.admin_apart = true;
        self.admin = Some(listener.into());
        self
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When a part ends that should not: the database failed, a topic is not as recorded, or the
    /// listener failed.
    pub async fn run(
        self,
        listener: impl Into<Listener>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let Self {
            projector,
            batches,
            handle,
            intake,
            outbound,
            bell,
            log,
            topics,
            api,
            access,
            admin,
            metrics,
            closing,
            ..
        } = self;
        let doors = api::doors(api, &access);
        // A wrong partition count is found here, where it can still stop the start.
        require_topics(&log, &topics).await?;
        let end = CancellationToken::new();
        let mut threads = Threads::default();
        threads.spawn("projector", move || Ok(projector.run()?))?;
        threads.spawn("intake", {
            let end = end.clone();
            move || Ok(intake.run(&batches, &end)?)
        })?;
        for (outbound, name) in outbound.into_iter().zip(OUTBOUND) {
            let end = end.clone();
            threads.spawn(name, move || Ok(outbound.run(&end)?))?;
        }

        let end_streams = closing.clone();
        let told = stop.clone();
        let served = tokio::select! {
            served = doors.serve(listener.into(), admin, &metrics.common, stop) => served,
            () = async move { told.cancelled().await; end_streams.cancel(); pending().await } => Ok(()),
            ended = threads.ended() => Err(ended),
        };
        closing.cancel();
        end.cancel();
        bell.ring();
        let read = threads.join_one("intake").await;
        let mut published = Ok(());
        for name in OUTBOUND {
            published = published.and(threads.join_one(name).await);
        }
        handle.stop();
        threads.join().await.and(read).and(published)?;
        served
    }
}

/// Creates missing topics and refuses wrong ones; a broker that is away is waited for later.
async fn require_topics(log: &Arc<dyn EventLog>, topics: &Topics) -> anyhow::Result<()> {
    let wanted = topics.shared();
    let log = Arc::clone(log);
    let checked = tokio::task::spawn_blocking(move || log.ensure_topics(&wanted)).await?;
    match checked {
        Err(error) if !error.is_retryable() => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "starting without the broker; answers come from what is known");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
