//! A centre whose steps a test takes one by one, so that it can die between any two of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use central_service::admission::Admission;
use central_service::api;
use central_service::api::stream::{Limits, Streams};
use central_service::commitments::{AskKey, Commitment};
use central_service::database::{Database, Lane, OutboxRow, Reader};
use central_service::feed::Feed;
use central_service::history::{DEFAULT_EVENTS, Recorder};
use central_service::intake::{Intake, Session};
use central_service::ledger::Settings;
use central_service::metrics::Metrics;
use central_service::projection::{Applied, Batch, Projection};
use central_service::projector::Handle;
use central_service::read_model::{Level, ReadModel, StoreView};
use central_service::store::Witness;
use event_log::{EventLog, Offset};
use inventory_core::FreshnessBounds;
use service_kit::answers::Answers;
use shared_events::command::CommandEnvelope;
use shared_events::topic::TopicSpec;
use shared_events::{Sku, StoreId, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{PATIENT, command, settings, sku, topics};

/// Intake, projection and memory over one folder.
pub(crate) struct Centre {
    pub(crate) projection: Projection,
    pub(crate) intake: Intake,
    pub(crate) session: Option<Session>,
    pub(crate) model: Arc<ReadModel>,
    pub(crate) reader: Arc<Mutex<Reader>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) streams: Arc<Streams>,
    answers: Arc<Answers>,
    /// Ends the streams.
    pub(crate) closing: CancellationToken,
    /// What its clock says.
    pub(crate) now: Timestamp,
}

/// All that a centre knows and must still know after a restart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    pub(crate) levels: BTreeMap<(StoreId, Sku), Level>,
    pub(crate) stores: Vec<(StoreId, Witness, u64, u64, String)>,
    pub(crate) promised: BTreeMap<(StoreId, Sku), Vec<(AskKey, Commitment)>>,
    pub(crate) positions: BTreeMap<(String, i32), Offset>,
}

impl Centre {
    /// Opens a folder; the broker is looked at when something is read.
    pub(crate) fn open(folder: &Path, log: &Arc<dyn EventLog>) -> Self {
        Self::with(folder, log, PATIENT, Duration::ZERO)
    }

    pub(crate) fn with(
        folder: &Path,
        log: &Arc<dyn EventLog>,
        bounds: FreshnessBounds,
        gap_grace: Duration,
    ) -> Self {
        let history = (DEFAULT_EVENTS, Limits::default());
        Self::build(folder, log, (bounds, gap_grace), settings(), history)
    }

    /// A centre with a name of its own, which asks for nothing again on its own.
    pub(crate) fn of(folder: &Path, log: &Arc<dyn EventLog>, settings: Settings) -> Self {
        let history = (DEFAULT_EVENTS, Limits::default());
        Self::build(folder, log, (PATIENT, Duration::from_secs(3_600)), settings, history)
    }

    /// A centre that keeps so many changes, and whose streams have such limits.
    pub(crate) fn keeping(
        folder: &Path,
        log: &Arc<dyn EventLog>,
        history_events: u64,
        limits: Limits,
    ) -> Self {
        let never = Duration::from_secs(3_600);
        Self::build(folder, log, (PATIENT, never), settings(), (history_events, limits))
    }

    fn build(
        folder: &Path,
        log: &Arc<dyn EventLog>,
        (bounds, gap_grace): (FreshnessBounds, Duration),
        settings: Settings,
        (history_events, limits): (u64, Limits),
    ) -> Self {
        let metrics = Arc::new(Metrics::default());
        let model = Arc::new(ReadModel::new(bounds));
        let database = Database::open(folder).expect("the folder is free");
        let answers = Arc::new(Answers::open(folder).expect("the folder is this centre's"));
        let reader = Arc::new(Mutex::new(database.reader().expect("a reader")));
        let history = Recorder::open(&database, history_events).expect("a sound database");
        let feed = Feed::new(&history, database.reader().expect("a reader"));
        let closing = CancellationToken::new();
        let streams = Arc::new(Streams::new(feed, limits, closing.clone()));
        let (projection, positions, cluster_id) = Projection::open(
            database,
            history,
            Arc::clone(&model),
            gap_grace,
            settings,
            topics(),
            metrics.ledger.clone(),
        )
        .expect("a sound database");
        let admission = Arc::new(Admission::new(topics(), Arc::clone(log)));
        let intake = Intake {
            log: Arc::clone(log),
            admission: Arc::clone(&admission),
            positions: positions
                .into_iter()
                .map(|position| ((position.topic, position.partition), position.next))
                .collect(),
            cluster_id,
            metrics: Arc::clone(&metrics),
        };
        let now = Timestamp::from_unix_millis(1_790_000_000_000).expect("this century");
        let session = None;
        Self { projection, intake, session, model, reader, metrics, streams, answers, closing, now }
    }

    /// Subscribes, unless that is done: what is written from here on is live.
    pub(crate) fn listen(&mut self) {
        if self.session.is_none() {
            self.session = Some(self.intake.open().expect("the topics are as expected"));
        }
    }

    /// Reads what is there.
    pub(crate) fn poll(&mut self) -> Result<Option<Batch>, event_log::Error> {
        self.listen();
        let session = self.session.as_mut().expect("listening");
        let polled = self.intake.poll(session, Duration::ZERO);
        if polled.is_err() {
            self.session = None;
        }
        polled
    }

    /// Whether a session that begins finds no record: it then tells that it has caught up.
    pub(crate) fn reads_nothing(&mut self) -> bool {
        let batch = self.poll().expect("the broker works").expect("it tells that it caught up");
        assert!(batch.caught_up, "there is nothing to catch up with");
        let records = batch.events.len() + batch.heartbeats.len() + batch.policies.len();
        records == 0 && self.poll().expect("the broker works").is_none()
    }

    pub(crate) fn apply(&mut self, batch: &Batch) -> Applied {
        self.projection.apply(batch, self.now).expect("the database works")
    }

    /// Saves what has waited for a transaction, as a projector does within a moment.
    pub(crate) fn save(&mut self) {
        self.projection.save().expect("the database works");
    }

    /// Reads and applies until every partition is read to its end, and saves. Gives the batches' sum.
    pub(crate) fn catch_up(&mut self) -> Applied {
        let mut sum = Applied::default();
        for _round in 0..10_000 {
            if let Some(batch) = self.poll().expect("the broker works") {
                let applied = self.apply(&batch);
                sum.events += applied.events;
                sum.duplicates += applied.duplicates;
                sum.rows += applied.rows;
                sum.refused += applied.refused;
                sum.implausible += applied.implausible;
                sum.corrected += applied.corrected;
                sum.lost += applied.lost;
            }
            if self.is_at_end() {
                self.save();
                return sum;
            }
        }
        panic!("the end was not reached in 10,000 polls");
    }

    pub(crate) fn is_at_end(&self) -> bool {
        [topics().stock_events(), topics().heartbeats(), topics().policies()]
            .iter()
            .all(|topic| self.has_read(topic))
    }

    fn has_read(&self, topic: &TopicSpec) -> bool {
        let extents = self.intake.log.extents(topic).expect("the topic is there");
        extents.iter().zip(0..).all(|(extent, partition)| {
            let next = self.intake.positions.get(&(topic.name.clone(), partition));
            *next.unwrap_or(&extent.low) == extent.high
        })
    }

    pub(crate) fn view(&self, id: &StoreId) -> StoreView {
        StoreView::clone(&self.model.store(id).expect("the store is known").1.view)
    }

    /// Units on hand, `None` for an item never seen.
    pub(crate) fn on_hand(&self, id: &StoreId, item: &str) -> Option<i64> {
        let (index, _) = self.model.store(id)?;
        self.model.level(index, &sku(item)).map(|level| level.on_hand)
    }

    /// Looks at all gaps once; gives how many stores were asked.
    pub(crate) fn look(&mut self) -> u64 {
        self.projection.ask_for_missing(self.now).expect("the database works")
    }

    /// A lane of the outbox was published up to a row.
    pub(crate) fn forget(&mut self, lane: Lane, through: i64) {
        self.projection.published(lane, through);
        self.projection.serve(Vec::new(), self.now).expect("the database works");
        self.save();
    }

    /// What waits to be published: commands, then everything else.
    pub(crate) fn outbox(&self) -> Vec<OutboxRow> {
        let reader = self.reader.lock().expect("no panic");
        let lanes = [Lane::Commands, Lane::Records];
        let waiting = lanes.map(|lane| reader.outbox(lane, 0, 1_000).expect("it can be read"));
        waiting.concat()
    }

    /// The commands in the outbox, with the topics they go to.
    pub(crate) fn commands(&self) -> Vec<(String, CommandEnvelope)> {
        let command = |row: OutboxRow| (row.publication.topic, command(&row.publication.record));
        let commands = self.outbox().into_iter().filter(|row| row.lane == Lane::Commands);
        commands.map(command).collect()
    }

    /// The same, and they are published: each is given once.
    pub(crate) fn take_commands(&mut self) -> Vec<CommandEnvelope> {
        let commands = self.commands().into_iter().map(|(_, sent)| sent).collect();
        let waiting = self.outbox();
        let last = waiting.iter().rev().find(|row| row.lane == Lane::Commands).map(|row| row.id);
        if let Some(last) = last {
            self.forget(Lane::Commands, last);
        }
        commands
    }

    /// As the last commit left it.
    pub(crate) fn picture(&self) -> Picture {
        let (mut levels, mut promised) = (BTreeMap::new(), BTreeMap::new());
        let mut stores = Vec::new();
        for seen in self.model.stores() {
            let view = StoreView::clone(&seen.view);
            let index = self.model.index(&view.id).expect("it was just there");
            let reader = self.reader.lock().expect("no panic");
            for item in reader.skus(index, "", usize::MAX).expect("it can be read") {
                let level = self.model.level(index, &sku(&item)).expect("memory has every row");
                let of_item = self.promised(&view.id, &item);
                promised.insert((view.id.clone(), sku(&item)), of_item);
                levels.insert((view.id.clone(), sku(&item)), level);
            }
            let (through, digest) = (view.applied_through.get(), view.digest.to_string());
            stores.push((view.id, view.witness, through, view.missing, digest));
        }
        Picture { levels, stores, promised, positions: self.intake.positions.clone() }
    }

    /// What is promised of an item in a store, as it is known here.
    pub(crate) fn promised(&self, id: &StoreId, item: &str) -> Vec<(AskKey, Commitment)> {
        let (index, seen) = self.model.store(id).expect("the store is known");
        let (item, now_ms) = (sku(item), self.now.unix_millis());
        self.model.explained(&seen, index, &item, now_ms, |_, all| {
            all.iter().map(|(key, known)| (key.clone(), *known)).collect()
        })
    }

    pub(crate) fn router(&self) -> Router {
        api::router(api::State {
            model: Arc::clone(&self.model),
            ledger: Handle::closed(),
            centre: settings().centre,
            metrics: Arc::clone(&self.metrics),
            reader: Arc::clone(&self.reader),
            streams: Arc::clone(&self.streams),
            admission: Arc::clone(&self.intake.admission),
            answers: Arc::clone(&self.answers),
        })
    }
}

/// Names the file for tests that lay hands on it.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join("central.db")
}
