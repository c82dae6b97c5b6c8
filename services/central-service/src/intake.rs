//! Broker → batches: reads every partition from where the database left off and decodes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::{Error, EventLog, Extent, Offset, Position, Received, Stalls, Subscriber};
use service_kit::retry::Retry;
use service_kit::trace;
use shared_events::topic::TopicSpec;
use shared_events::wire::traceparent;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::admission::{Admission, Cause, Kind, Verdict};
use crate::arrivals::Arrivals;
use crate::letters::{Letter, MAX_BATCH_BYTES};
use crate::metrics::Metrics;
use crate::projection::Batch;
use crate::projector::Batches;

/// Records of one batch: enough to amortise a commit while a backlog drains, few enough that what
/// waits in the mailbox stays small.
const RECORDS_PER_BATCH: usize = 8_192;
/// Records put aside that are named one by one in the log, of each batch: a flood must not fill it.
const TOLD_PER_BATCH: usize = 5;
/// How often a quiet broker lets the thread look whether it should stop.
const POLL_FOR: Duration = Duration::from_millis(100);
/// How often the broker is asked where the heartbeats end: by so much a heartbeat may be taken for older
/// than it is.
const ASK_END_EVERY: Duration = Duration::from_millis(200);

/// The reader of all stores' topics.
#[derive(Debug)]
pub struct Intake {
    /// The broker.
    pub log: Arc<dyn EventLog>,
    /// What is let in of it.
    pub admission: Arc<Admission>,
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
    /// Reads heartbeats: of many stores they come all the time, each would wake every thread between the
    /// broker and the database, and none is worth that.
    patient: Box<dyn Subscriber>,
    events: String,
    heartbeats: String,
    policies: String,
    /// What was written when it began and is still to be read; `None` once that was told.
    behind: Option<BTreeMap<(Kind, i32), Offset>>,
    /// How far reading came.
    reached: BTreeMap<(Kind, i32), Offset>,
    /// Asks where partitions end.
    ends: Box<dyn Subscriber>,
    /// Whether one stands still although it has more.
    stalls: Stalls<(Kind, i32)>,
    /// The partition that was asked for last.
    asked_last: Option<(Kind, i32)>,
    /// Which heartbeats are live, and since when at the most.
    arrivals: Arrivals,
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
    pub fn run(mut self, projector: &Batches, cancel: &CancellationToken) -> Result<(), Error> {
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
        projector: &Batches,
        retry: &mut Retry,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let mut session = self.open()?;
        self.metrics.broker_trouble(None);
        while !cancel.is_cancelled() {
            if let Some(batch) = self.poll(&mut session, POLL_FOR)? {
                retry.succeeded();
                if projector.send(batch).is_err() {
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
        let topics = self.admission.topics();
        let (events, heartbeats) = (topics.stock_events(), topics.heartbeats());
        let (policies, dead_letters) = (topics.policies(), topics.dead_letters());
        let needed = [&events, &heartbeats, &policies, &dead_letters].map(Clone::clone);
        self.log.ensure_topics(&needed)?;
        let cluster_id = self.log.cluster_id()?;
        if self.cluster_id.as_ref().is_some_and(|known| *known != cluster_id) {
            warn!(cluster_id, "this is another cluster than before; reading it from the start");
            self.positions.clear();
        }
        let asked = Instant::now();
        let mut from = Vec::new();
        let (mut behind, mut starts) = (BTreeMap::new(), BTreeMap::new());
        let mut live_from = Offset(0);
        let read =
            [(Kind::Events, &events), (Kind::Heartbeats, &heartbeats), (Kind::Policies, &policies)];
        for (kind, topic) in read {
            let written = self.log.extents(topic)?;
            let start = self.start(topic, &written);
            for (position, extent) in start.iter().zip(&written) {
                starts.insert((kind, position.partition), position.next);
                if position.next < extent.high {
                    behind.insert((kind, position.partition), extent.high);
                }
            }
            if kind == Kind::Heartbeats {
                live_from = written.first().map_or(Offset(0), |extent| extent.high);
            }
            from.extend(start);
        }
        let (patient, prompt): (Vec<_>, Vec<_>) =
            from.iter().cloned().partition(|position| position.topic == heartbeats.name);
        Ok(Session {
            subscriber: self.log.subscriber(&prompt)?,
            patient: self.log.patient_subscriber(&patient)?,
            ends: self.log.subscriber(&[])?,
            stalls: Stalls::default(),
            asked_last: None,
            events: events.name,
            heartbeats: heartbeats.name,
            policies: policies.name,
            behind: Some(behind),
            reached: starts,
            arrivals: Arrivals::new(asked, live_from),
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
        session.ask_ends()?;
        let mut batch = Batch::default();
        let mut reached: BTreeMap<(Kind, i32), Offset> = BTreeMap::new();
        let Session { subscriber, patient, arrivals, .. } = session;
        let (admission, metrics) = (&self.admission, &self.metrics);
        let mut room = MAX_BATCH_BYTES;
        let mut receive = |received: Received<'_>| {
            // Nothing else is subscribed to.
            let Some(kind) = admission.kind(received.topic) else {
                return;
            };
            reached.insert((kind, received.partition), received.offset.next());
            match admission.judge(kind, &received) {
                Verdict::Event(event) => batch.events.push(event),
                Verdict::Heartbeat(heartbeat) => {
                    let arrived = arrivals.at_the_earliest(received.offset);
                    batch.heartbeats.push((heartbeat, arrived));
                }
                Verdict::Policy(policy) => batch.policies.push(policy),
                Verdict::Unknown(event) => {
                    metrics.skipped.inc();
                    batch.not_understood.extend(event);
                }
                Verdict::Quarantined(cause, reason) => {
                    metrics.put_aside(cause, 1);
                    if batch.dead_letters.len() < TOLD_PER_BATCH {
                        tell(cause, &reason, &received);
                    }
                    let letter = Letter::new(cause, reason, &received, &mut room);
                    batch.dead_letters.push(letter);
                }
            }
        };
        let polled = subscriber
            .poll(RECORDS_PER_BATCH, timeout, &mut receive)
            .and_then(|_| patient.poll(RECORDS_PER_BATCH, Duration::ZERO, &mut receive));
        let untold = batch.dead_letters.len().saturating_sub(TOLD_PER_BATCH);
        if untold > 0 {
            warn!(records = untold, "more records are put aside; the dead letters have them");
        }
        session.reached.extend(&reached);
        batch.caught_up = session.has_caught_up();
        if reached.is_empty() && !batch.caught_up {
            return polled.map(|_| None);
        }
        // Where it started comes first, so that what was reached since stands.
        batch.positions = session.start.take().unwrap_or_default();
        for ((kind, partition), next) in reached {
            let topic = session.topic(kind).to_owned();
            batch.positions.push(Position { topic, partition, next });
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

impl Session {
    /// Records that were written before it began, and are still to be read.
    #[must_use]
    pub fn behind(&self) -> u64 {
        let left = self.behind.iter().flatten().map(|(place, high)| {
            let next = self.reached.get(place).map_or(0, |next| next.0);
            high.0.saturating_sub(next)
        });
        left.sum::<i64>().unsigned_abs()
    }

    /// Asks the broker now and then where the heartbeats end, and each time one other partition. Without
    /// an answer nothing that comes is taken for newer than the last one.
    fn ask_ends(&mut self) -> Result<(), Error> {
        let asked = Instant::now();
        if self.arrivals.last_told().elapsed() < ASK_END_EVERY {
            return Ok(());
        }
        match self.ends.end(&self.heartbeats, 0) {
            Ok(end) => self.arrivals.told(asked, end),
            Err(error) => {
                debug!(%error, "the broker does not say where the heartbeats end");
                return Ok(());
            }
        }
        let after = self.asked_last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut others = self.reached.range((after, Bound::Unbounded)).chain(&self.reached);
        let Some((place, reached)) = others.next().map(|(place, reached)| (*place, *reached))
        else {
            return Ok(());
        };
        self.asked_last = Some(place);
        let (kind, partition) = place;
        match self.ends.end(self.topic(kind).to_owned().as_str(), partition) {
            Ok(end) if self.stalls.told(place, reached, end, asked) => {
                let topic = self.topic(kind);
                warn!(topic, partition, reached = reached.0, end = end.0, "records do not come");
                let detail =
                    format!("partition {partition} of {topic} has records that do not come");
                Err(Error::Client(detail))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                debug!(%error, "the broker does not say where a partition ends");
                Ok(())
            }
        }
    }

    fn topic(&self, kind: Kind) -> &str {
        match kind {
            Kind::Events => &self.events,
            Kind::Heartbeats => &self.heartbeats,
            Kind::Policies => &self.policies,
        }
    }

    /// Whether everything written before it began has now been read, told once.
    fn has_caught_up(&mut self) -> bool {
        let Some(behind) = &mut self.behind else {
            return false;
        };
        behind.retain(|place, high| self.reached.get(place).is_none_or(|next| next < high));
        let caught_up = behind.is_empty();
        if caught_up {
            self.behind = None;
        }
        caught_up
    }
}

fn tell(cause: Cause, reason: &str, received: &Received<'_>) {
    let Received { topic, partition, offset, .. } = received;
    let trace_id = trace::id(traceparent(&received.record));
    let (cause, offset) = (cause.name(), offset.0);
    warn!(topic, partition, offset, cause, reason, trace_id, "a record is put aside");
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("arrivals", &self.arrivals).finish_non_exhaustive()
    }
}
