//! Journal → broker: events in sequence order, then heartbeats that vouch for them.
//!
//! At least once: a batch is published, its acknowledgements awaited, then the cursor moves. A crash
//! between the last two publishes the batch again, and every event names itself, so the centre sees
//! the duplicate. The cursor moves only over what is acknowledged without a hole; after any failure a
//! new publisher starts from there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::{Error, EventLog, Publication, Published, Publisher, ask};
use service_kit::retry::Retry;
use service_kit::trace;
use shared_events::topic::Topics;
use shared_events::wire::{encode_event, encode_heartbeat};
use shared_events::{Heartbeat, Location, Sequence, StoreId};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::clock::now;
use crate::journal::{self, Reader};
use crate::metrics::Metrics;
use crate::outbox::{Outbox, Work};
use crate::standing::Standing;
use crate::writer::Handle;

/// Events of one publication: enough to fill requests while a backlog drains, few enough that the
/// heartbeat behind them is not late, and that hundreds of stores in one process can do it at once.
const EVENTS_PER_BATCH: usize = 500;

/// As many events waiting after one round trip to the broker are a load.
const BUSY_FROM: u64 = 16;
/// How long a batch may grow under load.
const GATHER_FOR: Duration = Duration::from_millis(2);

/// The relay of one store.
#[derive(Debug)]
pub struct Relay {
    /// The store whose journal it is.
    pub store: StoreId,
    /// Reads the journal.
    pub reader: Reader,
    /// Says when there is something to be relayed at all.
    pub standing: Arc<Standing>,
    /// Work to do and progress made.
    pub outbox: Arc<Outbox>,
    /// Saves the cursor.
    pub writer: Handle,
    /// The broker.
    pub log: Arc<dyn EventLog>,
    /// Where to publish.
    pub topics: Topics,
    /// Where the shop is.
    pub location: Option<Location>,
    /// Time between heartbeats.
    pub heartbeat_every: Duration,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// Why publishing stopped.
enum Halt {
    Stopped,
    Broker(Error),
    Journal(journal::Error),
}

impl Relay {
    /// Publishes until the outbox is stopped and drained, or `cancel` cuts it short.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub fn run(self, cancel: &CancellationToken) -> Result<(), journal::Error> {
        if !self.standing.wait_until_open() {
            return Ok(());
        }
        let mut retry = Retry::default();
        loop {
            match self.session(&mut retry, cancel) {
                Halt::Stopped => return Ok(()),
                Halt::Journal(fatal) => {
                    error!(error = %fatal, "the relay cannot read the journal; the store stops");
                    return Err(fatal);
                }
                Halt::Broker(Error::Cancelled) => {
                    let head = self.outbox.committed().head.sequence;
                    info!(
                        waiting = head.get() - self.outbox.published_through().get(),
                        "stopped before everything was published; the journal keeps it"
                    );
                    return Ok(());
                }
                Halt::Broker(trouble) => {
                    self.metrics.publish_failures.inc();
                    warn!(error = %trouble, "publishing failed; the store goes on selling");
                    self.outbox.stuck(trouble.to_string());
                }
            }
            if !retry.pause(cancel) {
                return Ok(());
            }
        }
    }

    /// One life of a publisher.
    fn session(&self, retry: &mut Retry, cancel: &CancellationToken) -> Halt {
        let topics = [
            self.topics.stock_events(),
            self.topics.heartbeats(),
            self.topics.commands(&self.store),
        ];
        let opened = ask(&self.log, cancel, move |log| {
            log.ensure_topics(&topics)?;
            log.publisher()
        });
        let mut publisher = match opened {
            Ok(publisher) => publisher,
            Err(trouble) => return Halt::Broker(trouble),
        };
        debug!("publishing from {}", self.outbox.published_through().next());
        let mut heartbeat_due = Instant::now();
        loop {
            let work = self.outbox.wait(heartbeat_due);
            let done = match work {
                Work::Stop => return Halt::Stopped,
                Work::Heartbeat => {
                    self.writer.save_cursor();
                    let sent = self.heartbeat(publisher.as_mut(), cancel);
                    // From its end: over a slow line heartbeats must not crowd out the events.
                    heartbeat_due = Instant::now() + self.heartbeat_every;
                    sent
                }
                Work::Publish { from, through } => {
                    let through = self.gather(from, through);
                    self.events(publisher.as_mut(), from, through, cancel, &|acknowledged| {
                        self.outbox.published(acknowledged);
                    })
                }
                Work::Replay { from, through } => {
                    self.events(publisher.as_mut(), from, through, cancel, &|acknowledged| {
                        self.outbox.replayed(from, acknowledged);
                    })
                }
            };
            match done {
                // A heartbeat that passes says little while events are refused.
                Ok(()) if work == Work::Heartbeat => {}
                Ok(()) => retry.succeeded(),
                Err(halt) => return halt,
            }
        }
    }

    /// Under load, lets a batch grow for a moment: a request for every few events costs the store and
    /// the broker more than the events themselves. A lone sale is published at once.
    fn gather(&self, from: Sequence, through: Sequence) -> Sequence {
        let waiting = through.get().saturating_sub(from.get());
        if waiting < BUSY_FROM || EVENTS_PER_BATCH <= usize::try_from(waiting).unwrap_or(usize::MAX)
        {
            return through;
        }
        std::thread::sleep(GATHER_FOR);
        self.outbox.committed().head.sequence
    }

    /// Publishes a batch and reports the last sequence acknowledged without a hole.
    fn events(
        &self,
        publisher: &mut dyn Publisher,
        from: Sequence,
        through: Sequence,
        cancel: &CancellationToken,
        acknowledged: &dyn Fn(Sequence),
    ) -> Result<(), Halt> {
        let events = self.reader.events(from, through, EVENTS_PER_BATCH).map_err(Halt::Journal)?;
        let topic = self.topics.stock_events().name;
        let batch: Vec<_> = events
            .iter()
            .map(|event| Publication { topic: topic.clone(), record: encode_event(event) })
            .collect();
        let recent = events.iter().map(|event| {
            trace::recent(event.traceparent.as_deref(), event.occurred_at.unix_millis())
        });
        let mut span = trace::send(&topic, batch.len(), recent);
        let published = self.publish(publisher, &batch, cancel);
        if published.error.is_some() {
            span.failed(trace::names::PUBLISH_FAILED);
        }
        drop(span);
        let count = published.acknowledged.min(events.len());
        self.metrics.published.inc_by(u64::try_from(count).unwrap_or_default());
        if let Some(last) = count.checked_sub(1).and_then(|last| events.get(last)) {
            acknowledged(last.id.sequence);
        }
        published.error.map_or(Ok(()), |error| Err(Halt::Broker(error)))
    }

    /// Publishes, and lets others see how long it takes: a broker that dies answers nothing at all.
    fn publish(
        &self,
        publisher: &mut dyn Publisher,
        batch: &[Publication],
        cancel: &CancellationToken,
    ) -> Published {
        self.outbox.awaiting(Some(Instant::now()));
        let published = publisher.publish(batch, cancel);
        self.outbox.awaiting(None);
        published
    }

    fn heartbeat(
        &self,
        publisher: &mut dyn Publisher,
        cancel: &CancellationToken,
    ) -> Result<(), Halt> {
        let committed = self.outbox.committed();
        let lineage = self.outbox.lineage();
        let record = encode_heartbeat(&Heartbeat {
            store_id: self.store.clone(),
            epoch: lineage.current().epoch,
            head: committed.head.sequence,
            head_hash: committed.head.hash.to_string(),
            // Both are read at different moments: a publication in between must not vouch for more.
            published_through: self.outbox.published_through().min(committed.head.sequence),
            digest: committed.digest.to_string(),
            sent_at: now(),
            location: self.location,
            lineage: Some(lineage).filter(|lineage| !lineage.is_plain()),
            opening: false,
        });
        let topic = self.topics.heartbeats().name;
        let published = self.publish(publisher, &[Publication { topic, record }], cancel);
        match published.error {
            Some(error) => Err(Halt::Broker(error)),
            None => {
                self.outbox.healthy();
                Ok(())
            }
        }
    }
}
