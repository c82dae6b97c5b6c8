//! Broker → batches: reads every partition from where the database left off and decodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use event_log::{Error, EventLog, Extent, Offset, Position, Publication, Received, Subscriber};
use service_kit::retry::Retry;
use shared_events::EventId;
use shared_events::topic::{TopicSpec, Topics};
use shared_events::wire::{Undecodable, dead_letter, decode_event, decode_heartbeat, header};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::projection::Batch;
use crate::projector::Message;

/// Records of one batch: enough to amortise a commit while a backlog drains, few enough that what
/// waits in the mailbox stays small.
const RECORDS_PER_BATCH: usize = 8_192;
/// How often a quiet broker lets the thread look whether it should stop.
const POLL_FOR: Duration = Duration::from_millis(100);

/// The reader of all stores' topics.
#[derive(Debug)]
pub struct Intake {
    /// The broker.
    pub log: Arc<dyn EventLog>,
    /// What to read.
    pub topics: Topics,
    /// Where reading goes on, by topic and partition.
    pub positions: BTreeMap<(String, i32), Offset>,
    /// The cluster the positions belong to.
    pub cluster_id: Option<String>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// A running subscription.
pub struct Session {
    subscriber: Box<dyn Subscriber>,
    events: String,
    heartbeats: String,
    dead_letters: String,
    /// Heartbeats from here on are live.
    live_from: Offset,
    cluster_id: String,
    /// Where each partition was started, until a first batch carries that to the database: positions
    /// of another cluster, or of a topic since recreated, must not be taken for positions of this one.
    start: Option<Vec<Position>>,
    /// An error that came behind records which had to be handed on first.
    failed: Option<Error>,
}

impl Intake {
    /// Reads until cancelled, handing batches to the projector; a full mailbox slows the reading.
    ///
    /// # Errors
    /// A topic with the wrong number of partitions: somebody has to decide.
    pub fn run(
        mut self,
        projector: &SyncSender<Message>,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let mut retry = Retry::default();
        while !cancel.is_cancelled() {
            match self.read(projector, &mut retry, cancel) {
                Ok(()) => return Ok(()),
                Err(fatal) if !fatal.is_retryable() => return Err(fatal),
                Err(error) => {
                    self.metrics.broker_trouble(Some(error.to_string()));
                    warn!(%error, "reading failed; starting anew from the last position");
                }
            }
            retry.pause(cancel);
        }
        Ok(())
    }

    fn read(
        &mut self,
        projector: &SyncSender<Message>,
        retry: &mut Retry,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let mut session = self.open()?;
        self.metrics.broker_trouble(None);
        while !cancel.is_cancelled() {
            if let Some(batch) = self.poll(&mut session, POLL_FOR)? {
                retry.succeeded();
                if projector.send(Message::Batch(batch)).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Subscribes where reading left off, or from the start of what is still there.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(&mut self) -> Result<Session, Error> {
        let (events, heartbeats) = (self.topics.stock_events(), self.topics.heartbeats());
        let dead_letters = self.topics.dead_letters();
        self.log.ensure_topics(&[events.clone(), heartbeats.clone(), dead_letters.clone()])?;
        let cluster_id = self.log.cluster_id()?;
        if self.cluster_id.as_ref().is_some_and(|known| *known != cluster_id) {
            warn!(cluster_id, "this is another cluster than before; reading it from the start");
            self.positions.clear();
        }
        let written = self.log.extents(&heartbeats)?;
        let mut from = self.start(&events, &self.log.extents(&events)?);
        from.extend(self.start(&heartbeats, &written));
        let live_from = written.first().map_or(Offset(0), |extent| extent.high);
        Ok(Session {
            subscriber: self.log.subscriber(&from)?,
            events: events.name,
            heartbeats: heartbeats.name,
            dead_letters: dead_letters.name,
            live_from,
            cluster_id,
            start: Some(from),
            failed: None,
        })
    }

    /// Where to start each partition of a topic. Where the position is gone all there is is read: the
    /// trackers know what was applied.
    fn start(&self, topic: &TopicSpec, extents: &[Extent]) -> Vec<Position> {
        let mut positions = Vec::with_capacity(extents.len());
        for (extent, partition) in extents.iter().zip(0..) {
            let key = (topic.name.clone(), partition);
            let known = self.positions.get(&key).copied();
            let next = extent.resume(known);
            if let Some(lost) = known.filter(|known| *known != next) {
                info!(topic = %topic.name, partition, position = lost.0, low = extent.low.0,
                    high = extent.high.0, "the position is gone; reading what is there");
            }
            positions.push(Position { topic: topic.name.clone(), partition, next });
        }
        positions
    }

    /// Reads and decodes what is there, waiting a while for the first record.
    ///
    /// # Errors
    /// [`Error`]: open a new session.
    pub fn poll(
        &mut self,
        session: &mut Session,
        timeout: Duration,
    ) -> Result<Option<Batch>, Error> {
        if let Some(error) = session.failed.take() {
            return Err(error);
        }
        let mut batch = Batch::default();
        let mut reached: BTreeMap<(bool, i32), Offset> = BTreeMap::new();
        let Session { subscriber, live_from, .. } = session;
        let (events, heartbeats) = (&session.events, &session.heartbeats);
        let dead_letters = &session.dead_letters;
        let metrics = &self.metrics;
        let polled = subscriber.poll(RECORDS_PER_BATCH, timeout, &mut |received| {
            let is_event = received.topic == events.as_str();
            reached.insert((is_event, received.partition), received.offset.next());
            let undecodable = if is_event {
                decode_event(&received.record).map(|event| batch.events.push(event))
            } else {
                decode_heartbeat(&received.record).map(|heartbeat| {
                    batch.heartbeats.push((heartbeat, received.offset >= *live_from));
                })
            };
            match undecodable {
                Ok(()) => {}
                Err(Undecodable::UnknownType(_)) => {
                    metrics.skipped.inc();
                    batch.not_understood.extend(identity(&received).filter(|_| is_event));
                }
                Err(Undecodable::Broken(reason)) => {
                    metrics.dead_letters.inc();
                    batch.dead_letters.push(bury(dead_letters, &received, &reason));
                }
            }
        });
        if reached.is_empty() {
            return polled.map(|_| None);
        }
        // Where it started comes first, so that what was reached since stands.
        batch.positions = session.start.take().unwrap_or_default();
        for ((is_event, partition), next) in reached {
            let topic = if is_event { events } else { heartbeats };
            batch.positions.push(Position { topic: topic.clone(), partition, next });
        }
        for Position { topic, partition, next } in batch.positions.iter().cloned() {
            self.positions.insert((topic, partition), next);
        }
        if self.cluster_id.as_ref() != Some(&session.cluster_id) {
            self.cluster_id = Some(session.cluster_id.clone());
            batch.cluster_id.clone_from(&self.cluster_id);
        }
        // The records are kept; a partition that failed stays silent, so the error must not be lost.
        session.failed = polled.err();
        Ok(Some(batch))
    }
}

/// Identity of a record whose type is unknown, where it has one and speaks for its own store.
fn identity(received: &Received<'_>) -> Option<EventId> {
    let id: EventId =
        std::str::from_utf8(received.record.header(header::ID)?).ok()?.parse().ok()?;
    let source = received.record.header(header::SOURCE)?.strip_prefix(b"/stores/")?;
    (source == id.store.as_str().as_bytes()).then_some(id)
}

fn bury(topic: &str, received: &Received<'_>, reason: &str) -> Publication {
    let origin = format!("{}/{}/{}", received.topic, received.partition, received.offset.0);
    warn!(origin, reason, "a record could not be read; it goes to the dead letters");
    Publication { topic: topic.to_owned(), record: dead_letter(&received.record, &origin, reason) }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("live_from", &self.live_from).finish_non_exhaustive()
    }
}
