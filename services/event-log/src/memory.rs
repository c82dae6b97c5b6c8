//! A broker in memory that can be nastier than Kafka: it redelivers, delays and interleaves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use shared_events::topic::TopicSpec;
use shared_events::wire::{IncomingRecord, OutgoingRecord};
use tokio_util::sync::CancellationToken;

use crate::murmur2;
use crate::port::{
    Error, EventLog, Extent, Offset, Position, Publication, Published, Publisher, Received,
    Subscriber,
};

/// Which misbehaviour to show, each in percent of the occasions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chaos {
    /// Seed of every choice; the same seed and calls give the same run.
    pub seed: u64,
    /// A published record is written twice.
    pub duplicate: u8,
    /// An acknowledgement is lost: the record is written and reported as failed.
    pub lose_ack: u8,
    /// A poll goes back some records and delivers them again.
    pub redeliver: u8,
    /// A poll delivers nothing although there is something.
    pub delay: u8,
}

/// The broker; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    chaos: Chaos,
}

#[derive(Debug, Default)]
struct Shared {
    topics: Mutex<BTreeMap<String, Vec<Partition>>>,
    written: Condvar,
    /// Publishers and subscribers so far. Each draws choices of its own: one that is made anew after
    /// a lost acknowledgement must not lose the same one again, for ever.
    clients: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct Partition {
    low: usize,
    records: Vec<OutgoingRecord>,
}

impl Shared {
    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Partition>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryLog {
    /// A broker that misbehaves as told.
    #[must_use]
    pub fn with_chaos(chaos: Chaos) -> Self {
        Self { shared: Arc::default(), chaos }
    }

    /// Deletes a topic with all its records.
    pub fn delete_topic(&self, topic: &str) {
        self.shared.topics().remove(topic);
    }

    /// Forgets the records of a partition before an offset, as retention does.
    pub fn delete_records_before(&self, topic: &str, partition: usize, before: Offset) {
        if let Some(partition) =
            self.shared.topics().get_mut(topic).and_then(|partitions| partitions.get_mut(partition))
        {
            partition.low = index(before).min(partition.records.len());
        }
    }

    fn rng(&self) -> Rng {
        let client = self.shared.clients.fetch_add(1, Ordering::Relaxed);
        Rng::with_seed(self.chaos.seed.wrapping_mul(1_000_003).wrapping_add(client))
    }
}

fn index(offset: Offset) -> usize {
    usize::try_from(offset.0).unwrap_or_default()
}

fn offset(index: usize) -> Offset {
    Offset(i64::try_from(index).unwrap_or(i64::MAX))
}

fn happens(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(0..100) < percent
}

impl EventLog for MemoryLog {
    fn ensure_topics(&self, specs: &[TopicSpec]) -> Result<(), Error> {
        let mut topics = self.shared.topics();
        for spec in specs {
            let expected = usize::try_from(spec.partitions).unwrap_or_default();
            let partitions = topics
                .entry(spec.name.clone())
                .or_insert_with(|| vec![Partition::default(); expected]);
            if partitions.len() != expected {
                return Err(Error::WrongPartitions {
                    topic: spec.name.clone(),
                    found: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
                    expected: spec.partitions,
                });
            }
        }
        Ok(())
    }

    fn extents(&self, topic: &TopicSpec) -> Result<Vec<Extent>, Error> {
        let topics = self.shared.topics();
        let partitions =
            topics.get(&topic.name).ok_or_else(|| Error::TopicMissing(topic.name.clone()))?;
        Ok(partitions
            .iter()
            .map(|found| Extent { low: offset(found.low), high: offset(found.records.len()) })
            .collect())
    }

    fn cluster_id(&self) -> Result<String, Error> {
        Ok("memory".to_owned())
    }

    fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        Ok(Box::new(MemoryPublisher { log: self.clone(), rng: self.rng() }))
    }

    fn subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        let cursors = positions.to_vec();
        Ok(Box::new(MemorySubscriber { log: self.clone(), rng: self.rng(), cursors }))
    }
}

struct MemoryPublisher {
    log: MemoryLog,
    rng: Rng,
}

impl Publisher for MemoryPublisher {
    fn publish(&mut self, records: &[Publication], _cancel: &CancellationToken) -> Published {
        let mut topics = self.log.shared.topics();
        for (acknowledged, publication) in records.iter().enumerate() {
            let Some(partitions) = topics.get_mut(&publication.topic) else {
                let error = Some(Error::TopicMissing(publication.topic.clone()));
                return Published { acknowledged, error };
            };
            let chosen = murmur2::partition(&publication.record.key, partitions.len());
            if let Some(partition) = partitions.get_mut(chosen) {
                partition.records.push(publication.record.clone());
                if happens(&mut self.rng, self.log.chaos.duplicate) {
                    partition.records.push(publication.record.clone());
                }
            }
            self.log.shared.written.notify_all();
            if happens(&mut self.rng, self.log.chaos.lose_ack) {
                let error = Some(Error::Client("the acknowledgement was lost".to_owned()));
                return Published { acknowledged, error };
            }
        }
        Published { acknowledged: records.len(), error: None }
    }
}

struct MemorySubscriber {
    log: MemoryLog,
    rng: Rng,
    cursors: Vec<Position>,
}

impl MemorySubscriber {
    /// Takes what one partition has for this poll. Partitions are visited in random order, so one
    /// store's events arrive interleaved as they do from a real cluster.
    fn take(&mut self, max_records: usize) -> Result<Vec<(Position, OutgoingRecord)>, Error> {
        let mut taken = Vec::new();
        if happens(&mut self.rng, self.log.chaos.delay) {
            return Ok(taken);
        }
        self.rng.shuffle(&mut self.cursors);
        let topics = self.log.shared.topics();
        for cursor in &mut self.cursors {
            let partition = usize::try_from(cursor.partition)
                .ok()
                .and_then(|partition| topics.get(&cursor.topic)?.get(partition))
                .ok_or_else(|| Error::TopicMissing(cursor.topic.clone()))?;
            let next = index(cursor.next);
            if next < partition.low || next > partition.records.len() {
                return Err(Error::PositionLost);
            }
            if happens(&mut self.rng, self.log.chaos.redeliver) {
                let back = self.rng.usize(0..=8).min(next.saturating_sub(partition.low));
                cursor.next = offset(next.saturating_sub(back));
            }
            let room = max_records.saturating_sub(taken.len());
            let some =
                if self.log.chaos == Chaos::default() { room } else { self.rng.usize(0..=room) };
            for record in partition.records.iter().skip(index(cursor.next)).take(some) {
                taken.push((cursor.clone(), record.clone()));
                cursor.next = cursor.next.next();
            }
        }
        Ok(taken)
    }
}

impl Subscriber for MemorySubscriber {
    fn poll(
        &mut self,
        max_records: usize,
        timeout: Duration,
        receive: &mut dyn FnMut(Received<'_>),
    ) -> Result<usize, Error> {
        let deadline = Instant::now() + timeout;
        let mut taken = self.take(max_records)?;
        while taken.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(0);
            }
            let shared = Arc::clone(&self.log.shared);
            let waited = shared.written.wait_timeout(shared.topics(), left.min(POLL_AGAIN));
            drop(waited);
            taken = self.take(max_records)?;
        }
        for (position, record) in &taken {
            let headers: Vec<_> = record
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_slice()))
                .collect();
            receive(Received {
                topic: &position.topic,
                partition: position.partition,
                offset: position.next,
                appended_at_ms: None,
                record: IncomingRecord {
                    key: Some(&record.key),
                    headers: &headers,
                    value: record.value.as_deref(),
                },
            });
        }
        Ok(taken.len())
    }

    fn end(&mut self, topic: &str, partition: i32) -> Result<Offset, Error> {
        let topics = self.log.shared.topics();
        let found = topics.get(topic).zip(usize::try_from(partition).ok());
        let found = found.and_then(|(partitions, place)| partitions.get(place));
        let found = found.ok_or_else(|| Error::TopicMissing(topic.to_owned()))?;
        Ok(offset(found.records.len()))
    }
}

/// A delayed delivery is tried again after this, since no write will announce it.
const POLL_AGAIN: Duration = Duration::from_millis(1);
