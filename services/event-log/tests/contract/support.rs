//! The adapters under test, and short words for publishing and reading.

use std::collections::BTreeMap;
use std::time::Duration;

use event_log::{
    Chaos, Error, EventLog, KafkaConfig, KafkaLog, MemoryLog, MockBroker, Offset, Position,
    Publication, Subscriber,
};
use shared_events::topic::TopicSpec;
use shared_events::wire::OutgoingRecord;
use test_support::{eventually, kafka, unique_prefix};
use tokio_util::sync::CancellationToken;

/// Long enough for a busy machine; nothing waits it out unless it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What is held to the promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adapter {
    Memory,
    /// Duplicates, loses acknowledgements, redelivers and delays. It promises less, and the suite
    /// says what: at least once, first deliveries in order.
    NastyMemory {
        seed: u64,
    },
    /// Cannot create topics later, nor delete records.
    MockBroker,
    /// With clients that all share.
    SharedMockBroker,
    Kafka,
    /// With clients that all share.
    SharedKafka,
}

/// An adapter with topics of its own.
pub(crate) struct Bench {
    pub(crate) adapter: Adapter,
    pub(crate) topics: Vec<TopicSpec>,
    pub(crate) memory: Option<MemoryLog>,
    pub(crate) config: Option<KafkaConfig>,
    log: Box<dyn EventLog>,
    _broker: Option<MockBroker>,
}

impl Adapter {
    /// The adapter with a topic of each of these partition counts.
    pub(crate) fn bench(self, partitions: &[i32]) -> Bench {
        let bench = self.bench_without_topics(partitions);
        bench.log().ensure_topics(&bench.topics).unwrap();
        bench
    }

    /// The same before anyone has made sure of the topics; the mock broker has them nevertheless.
    pub(crate) fn bench_without_topics(self, partitions: &[i32]) -> Bench {
        println!("{self:?}");
        let prefix = unique_prefix("contract");
        let topics: Vec<_> = (partitions.iter().zip(1..))
            .map(|(&partitions, n)| topic(&format!("{prefix}topic-{n}"), partitions))
            .collect();
        let (mut memory, mut broker, mut config) = (None, None, None);
        let log: Box<dyn EventLog> = match self {
            Self::Memory => Box::new(memory.insert(MemoryLog::default()).clone()),
            Self::NastyMemory { seed } => {
                let chaos = Chaos { seed, duplicate: 20, lose_ack: 10, redeliver: 20, delay: 20 };
                Box::new(memory.insert(MemoryLog::with_chaos(chaos)).clone())
            }
            Self::MockBroker | Self::SharedMockBroker => {
                let started = broker.insert(MockBroker::start(&topics).unwrap());
                self.client(config.insert(started.config().clone()).clone())
            }
            Self::Kafka | Self::SharedKafka => {
                self.client(config.insert(KafkaConfig::new(kafka())).clone())
            }
        };
        Bench { adapter: self, topics, memory, config, log, _broker: broker }
    }
}

impl Adapter {
    fn client(self, config: KafkaConfig) -> Box<dyn EventLog> {
        let log = KafkaLog::new(config);
        let shares = matches!(self, Self::SharedMockBroker | Self::SharedKafka);
        Box::new(if shares { log.shared() } else { log })
    }

    pub(crate) const fn is_mock_broker(self) -> bool {
        matches!(self, Self::MockBroker | Self::SharedMockBroker)
    }
}

pub(crate) fn topic(name: &str, partitions: i32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, settings: &[] }
}

/// A record as it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: Offset,
    /// `None` when it came without a key.
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Bench {
    pub(crate) fn log(&self) -> &dyn EventLog {
        self.log.as_ref()
    }

    pub(crate) const fn is_nasty(&self) -> bool {
        matches!(self.adapter, Adapter::NastyMemory { .. })
    }

    /// A record for the first topic.
    pub(crate) fn record(&self, key: &str, value: impl ToString) -> Publication {
        let value = Some(value.to_string().into_bytes());
        let record = OutgoingRecord { key: key.into(), headers: Vec::new(), value };
        Publication { topic: self.topics[0].name.clone(), record }
    }

    /// Publishes until all is acknowledged, as the relay does: after an error with a new publisher,
    /// from the first record that is not. Only a nasty adapter may fail.
    pub(crate) fn publish(&self, records: &[Publication]) {
        let mut done = 0;
        eventually("everything is acknowledged", DEADLINE, || {
            let mut publisher = self.log().publisher().unwrap();
            let published = publisher.publish(&records[done..], &CancellationToken::new());
            done += published.acknowledged;
            match published.error {
                None => {
                    assert_eq!(done, records.len(), "no error, so all is acknowledged");
                    Some(())
                }
                Some(error) if self.is_nasty() => {
                    assert!(error.is_retryable(), "{error}");
                    assert!(done < records.len(), "an error, so not all is acknowledged");
                    None
                }
                Some(error) => panic!("{error}"),
            }
        });
    }

    pub(crate) fn position(&self, partition: i32, next: i64) -> Position {
        Position { topic: self.topics[0].name.clone(), partition, next: Offset(next) }
    }

    /// Where the partitions of the first topic begin.
    pub(crate) fn beginning(&self) -> Vec<Position> {
        (0..self.topics[0].partitions).map(|partition| self.position(partition, 0)).collect()
    }

    /// Reads the first topic to its present end and gives every first delivery, in the order they
    /// came. Checks on the way that each partition is read in order, from its position, without a hole.
    pub(crate) fn read(&self, from: &[Position]) -> Vec<Delivery> {
        let extents = self.log().extents(&self.topics[0]).unwrap();
        let end = |partition: i32| extents[usize::try_from(partition).unwrap()].high;
        let mut next: BTreeMap<_, _> = from.iter().map(|at| (at.partition, at.next)).collect();
        let mut subscriber = self.log().subscriber(from).unwrap();
        let mut read = Vec::new();
        eventually("everything up to the end is read", DEADLINE, || {
            for delivery in poll(subscriber.as_mut(), 100).unwrap() {
                let next = next.get_mut(&delivery.partition).expect("a partition asked for");
                if delivery.offset == *next {
                    *next = next.next();
                    read.push(delivery);
                } else {
                    let again = self.is_nasty() && delivery.offset < *next;
                    assert!(again, "{:?} came when {next:?} was due", delivery.offset);
                }
            }
            next.iter().all(|(partition, next)| *next >= end(*partition)).then_some(())
        });
        read
    }

    pub(crate) fn read_all(&self) -> Vec<Delivery> {
        self.read(&self.beginning())
    }
}

/// One poll; checks that it counts right.
pub(crate) fn poll(
    subscriber: &mut dyn Subscriber,
    max_records: usize,
) -> Result<Vec<Delivery>, Error> {
    let mut delivered = Vec::new();
    let count = subscriber.poll(max_records, Duration::from_millis(100), &mut |received| {
        let record = received.record;
        let owned = |(name, value): &(&str, &[u8])| ((*name).to_owned(), value.to_vec());
        delivered.push(Delivery {
            topic: received.topic.to_owned(),
            partition: received.partition,
            offset: received.offset,
            key: record.key.map(<[u8]>::to_vec),
            headers: record.headers.iter().map(owned).collect(),
            value: record.value.map(<[u8]>::to_vec),
        });
    })?;
    assert_eq!(count, delivered.len(), "a poll says how many records it gave");
    Ok(delivered)
}

/// Polls until there is an error.
pub(crate) fn poll_until_error(subscriber: &mut dyn Subscriber) -> Error {
    eventually("an error", DEADLINE, || match poll(subscriber, 100) {
        Ok(delivered) => {
            assert_eq!(delivered, [], "nothing is delivered from a lost position");
            None
        }
        Err(error) => Some(error),
    })
}

/// The values as text, in order.
pub(crate) fn values(deliveries: &[Delivery]) -> Vec<String> {
    let text = |delivery: &Delivery| String::from_utf8(delivery.value.clone().unwrap()).unwrap();
    deliveries.iter().map(text).collect()
}
