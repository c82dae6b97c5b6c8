//! Outbox → broker: commands to stores, reservations, policies, dead letters; in order, at least once.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event_log::{Error as BrokerError, EventLog, Publication};
use service_kit::retry::Retry;
use service_kit::trace::names::PUBLISH_FAILED;
use service_kit::trace::{self, Context, Span};
use shared_events::StoreId;
use shared_events::topic::Topics;
use shared_events::wire::OutgoingRecord;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::database::{Error, Lane, Reader};
use crate::projector::Batches;

const RECORDS_PER_BATCH: u32 = 500;
/// How often records that nobody waits for are published while there are more and more: a request to the
/// broker costs both sides more than what is in it.
const RECORDS_EVERY: Duration = Duration::from_millis(20);

/// Rung when something was committed to the outbox, or when it is time to stop. Each lane hears it.
#[derive(Debug, Default)]
pub struct Bell {
    /// How often it was rung.
    rung: Mutex<u64>,
    sound: Condvar,
}

impl Bell {
    /// Wakes whoever waits, now or when it waits next.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.sound.notify_all();
    }

    /// How often it was rung so far.
    fn heard(&self) -> u64 {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is rung again.
    fn wait(&self, heard: u64, timeout: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.sound.wait_timeout_while(rung, timeout, |rung| *rung == heard);
        drop(waited);
    }
}

/// The publisher of one lane of the outbox.
#[derive(Debug)]
pub struct Outbound {
    /// Which part of it.
    pub lane: Lane,
    /// Reads the outbox.
    pub reader: Reader,
    /// The broker.
    pub log: Arc<dyn EventLog>,
    /// Topics of the chain.
    pub topics: Topics,
    /// Says when there is something.
    pub bell: Arc<Bell>,
    /// Is told what was published.
    pub projector: Batches,
}

enum Halt {
    Stopped,
    Broker(BrokerError),
    Database(Error),
}

impl Outbound {
    /// Publishes until cancelled.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn run(self, cancel: &CancellationToken) -> Result<(), Error> {
        let mut retry = Retry::default();
        loop {
            match self.session(&mut retry, cancel) {
                Halt::Stopped => return Ok(()),
                Halt::Database(fatal) => return Err(fatal),
                Halt::Broker(error) => warn!(%error, "the outbox waits; it is tried again"),
            }
            if !retry.pause(cancel) {
                return Ok(());
            }
        }
    }

    fn session(&self, retry: &mut Retry, cancel: &CancellationToken) -> Halt {
        let mut publisher = match self.log.publisher() {
            Ok(publisher) => publisher,
            Err(error) => return Halt::Broker(error),
        };
        // Rows behind this are published; the projector deletes them in its own time.
        let mut sent = 0;
        let mut due = Instant::now();
        while !cancel.is_cancelled() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // Before the look: what is committed behind it rings again.
            let heard = self.bell.heard();
            let waiting = match self.reader.outbox(self.lane, sent, RECORDS_PER_BATCH) {
                Ok(waiting) => waiting,
                Err(error) => return Halt::Database(error),
            };
            if waiting.is_empty() {
                self.bell.wait(heard, Duration::from_secs(1));
                continue;
            }
            if self.lane == Lane::Records {
                due = Instant::now() + RECORDS_EVERY;
            }
            let batch: Vec<Publication> =
                waiting.iter().map(|row| row.publication.clone()).collect();
            let mut spans = spans(&batch);
            let published = publisher.publish(&batch, cancel);
            if published.error.is_some() {
                spans.iter_mut().for_each(|span| span.failed(PUBLISH_FAILED));
            }
            drop(spans);
            if let Some(last) = published.acknowledged.checked_sub(1).and_then(|i| waiting.get(i)) {
                sent = last.id;
                if self.projector.published(self.lane, sent).is_err() {
                    return Halt::Stopped;
                }
                debug!(through = sent, "outbox published");
                retry.succeeded();
            }
            if let Some(error) = published.error {
                let made = match error {
                    BrokerError::TopicMissing(_) => self.make_topics(&batch),
                    _ => Ok(()),
                };
                return Halt::Broker(made.err().unwrap_or(error));
            }
        }
        Halt::Stopped
    }

    /// Makes the topics that waiting records go to. A store makes its own; but one that has not been
    /// on this cluster yet must not hold up what is meant for others.
    fn make_topics(&self, waiting: &[Publication]) -> Result<(), BrokerError> {
        let mut wanted =
            vec![self.topics.dead_letters(), self.topics.reservations(), self.topics.policies()];
        for Publication { topic, record } in waiting {
            let store = std::str::from_utf8(&record.key).ok().and_then(|key| key.parse().ok());
            let commands = store.map(|store: StoreId| self.topics.commands(&store));
            let asked = commands.filter(|spec| spec.name == *topic && !wanted.contains(spec));
            wanted.extend(asked);
        }
        self.log.ensure_topics(&wanted)
    }
}

/// A span for each topic that records of sampled traces go to.
fn spans(batch: &[Publication]) -> Vec<Span> {
    if !trace::is_exported() {
        return Vec::new();
    }
    let topics: BTreeSet<&str> = batch.iter().map(|one| one.topic.as_str()).collect();
    let span = |topic: &str| {
        let records = batch.iter().filter(|one| one.topic == topic).map(|one| &one.record);
        trace::send(topic, records.clone().count(), records.map(context))
    };
    topics.into_iter().map(span).collect()
}

fn context(record: &OutgoingRecord) -> Option<Context> {
    Context::parse(record.traceparent()?)
}
