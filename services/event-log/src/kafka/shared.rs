//! Clients for many in one process, which would be three each otherwise: a producer, a consumer, and one
//! that puts questions.
//!
//! A partition has a queue of its own in the consumer, which its reader waits on: one that is slow fills
//! its queue, fetching of its partition pauses, and nobody else notices. One thread serves the rest.
//! What a reader or publisher leaves because of an error is not given to anybody again who has had it:
//! a broken producer is replaced by the next publisher, and who comes back for a partition gets a new
//! consumer, as without sharing, since a client can lose one partition for good.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use tracing::{debug, warn};

use super::publisher::Producer;
use super::rounds::Rounds;
use super::subscriber::{END_WITHIN, list, take};
use super::topics::Admin;
use super::{KafkaConfig, KafkaLog};
use crate::port::{Error, Offset, Position, Received, Subscriber};

/// How often the thread of a consumer looks whether anybody still reads.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it holds why the broker was not reached.
const WHY_FOR: Duration = Duration::from_secs(5);

/// The clients that there are.
#[derive(Default)]
pub(super) struct Shared {
    admin: Mutex<Option<Arc<Admin>>>,
    producer: Mutex<Option<Arc<Producer>>>,
    reader: Mutex<Option<Arc<Reader>>>,
    why: Mutex<Option<(Instant, Option<String>)>>,
    pub(super) topics: Rounds,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn admin(
        &self,
        new: impl FnOnce() -> Result<Admin, Error>,
    ) -> Result<Arc<Admin>, Error> {
        let mut known = lock(&self.admin);
        match known.as_ref() {
            Some(admin) => Ok(Arc::clone(admin)),
            None => Ok(Arc::clone(known.insert(Arc::new(new()?)))),
        }
    }

    /// This one did not reach the broker: the next question is put by another.
    pub(super) fn left(&self, admin: &Arc<Admin>) {
        let mut known = lock(&self.admin);
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, admin)) {
            *known = None;
        }
    }

    /// Why the broker is not reached: found out once for all who do not reach it.
    pub(super) fn why(&self, find_out: impl FnOnce() -> Option<String>) -> Option<String> {
        let mut known = lock(&self.why);
        if let Some((at, why)) = known.as_ref()
            && at.elapsed() < WHY_FOR
        {
            return why.clone();
        }
        let why = find_out();
        *known = Some((Instant::now(), why.clone()));
        why
    }

    pub(super) fn producer(
        &self,
        new: impl FnOnce() -> Result<Producer, Error>,
    ) -> Result<Arc<Producer>, Error> {
        let mut known = lock(&self.producer);
        match known.as_ref().filter(|producer| !producer.is_broken()) {
            Some(producer) => Ok(Arc::clone(producer)),
            None => Ok(Arc::clone(known.insert(Arc::new(new()?)))),
        }
    }

    pub(super) fn subscriber(
        &self,
        log: KafkaLog,
        position: &Position,
    ) -> Result<SharedSubscriber, Error> {
        let mut known = lock(&self.reader);
        let reader = match known.as_ref().filter(|reader| reader.gives(position)) {
            Some(reader) => Arc::clone(reader),
            None => {
                let reader = Reader::start(&log.config).map_err(|error| log.translate(&error))?;
                reader.gives(position);
                Arc::clone(known.insert(reader))
            }
        };
        drop(known);
        SharedSubscriber::new(log, reader, position)
    }
}

fn lock<T>(known: &Mutex<T>) -> MutexGuard<'_, T> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A consumer, and which partitions it has given out.
struct Reader {
    consumer: Arc<BaseConsumer>,
    given: Mutex<BTreeSet<(String, i32)>>,
}

impl Reader {
    fn start(config: &KafkaConfig) -> Result<Arc<Self>, KafkaError> {
        let consumer: BaseConsumer = config.shared_consumer().create()?;
        let (consumer, given) = (Arc::new(consumer), Mutex::default());
        let reader = Arc::new(Self { consumer: Arc::clone(&consumer), given });
        let readers = Arc::downgrade(&reader);
        let started = std::thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || serve(&consumer, &readers));
        started.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(reader)
    }

    /// Gives out a partition, once.
    fn gives(&self, position: &Position) -> bool {
        lock(&self.given).insert((position.topic.clone(), position.partition))
    }
}

/// Serves what is about no partition, until nobody reads any more. The consumer ends here: its end can
/// take long, which a reader must not.
fn serve(consumer: &BaseConsumer, readers: &Weak<Reader>) {
    while readers.strong_count() > 0 {
        match consumer.poll(LOOK_EVERY) {
            None => {}
            Some(Ok(_record)) => warn!("a record came that nobody has asked for"),
            Some(Err(error)) => debug!(%error, "the shared consumer reports an error"),
        }
    }
}

/// Reads one partition of a shared consumer.
pub(super) struct SharedSubscriber {
    log: KafkaLog,
    partition: TopicPartitionList,
    // Dropped before its consumer.
    queue: PartitionQueue<DefaultConsumerContext>,
    reader: Arc<Reader>,
}

impl SharedSubscriber {
    fn new(log: KafkaLog, reader: Arc<Reader>, position: &Position) -> Result<Self, Error> {
        let failed = |error: KafkaError| log.translate(&error);
        let partition = list(std::slice::from_ref(position)).map_err(failed)?;
        // Before the first record can come: each goes to this queue.
        let queue = reader.consumer.split_partition_queue(&position.topic, position.partition);
        let queue = queue.ok_or_else(|| Error::TopicMissing(position.topic.clone()))?;
        reader.consumer.incremental_assign(&partition).map_err(failed)?;
        Ok(Self { log, partition, queue, reader })
    }
}

impl Subscriber for SharedSubscriber {
    fn poll(
        &mut self,
        max_records: usize,
        timeout: Duration,
        receive: &mut dyn FnMut(Received<'_>),
    ) -> Result<usize, Error> {
        let taken = take(|wait| self.queue.poll(wait), max_records, timeout, receive);
        taken.map_err(|error| self.log.translate(&error))
    }

    /// By who puts questions: it has no fetch that would be answered first.
    fn end(&mut self, topic: &str, partition: i32) -> Result<Offset, Error> {
        let admin = self.log.admin()?;
        let asked = admin.inner().fetch_watermarks(topic, partition, END_WITHIN);
        let (_, high) = asked.map_err(|error| {
            let error = self.log.translate(&error);
            if let (Error::Unreachable { .. }, Some(shared)) = (&error, &self.log.shared) {
                shared.left(&admin);
            }
            error
        })?;
        Ok(Offset(high))
    }
}

impl Drop for SharedSubscriber {
    fn drop(&mut self) {
        if let Err(error) = self.reader.consumer.incremental_unassign(&self.partition) {
            debug!(%error, "a partition stays with its consumer");
        }
    }
}
