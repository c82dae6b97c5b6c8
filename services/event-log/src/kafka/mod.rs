//! Apache Kafka through librdkafka.

mod config;
mod publisher;
mod rounds;
mod shared;
mod subscriber;
mod topics;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};
use shared_events::topic::TopicSpec;

pub use config::KafkaConfig;

use crate::port::{Error, EventLog, Extent, Offset, Position, Publisher, Subscriber};

use publisher::{KafkaPublisher, Producer as Sender};
use shared::Shared;
use subscriber::KafkaSubscriber;
use topics::Admin;

/// How long a question to the broker may take before it counts as unreachable.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long the client may take to say why it did not.
const WHY_WITHIN: Duration = Duration::from_secs(2);

/// A Kafka cluster.
#[derive(Debug, Clone)]
pub struct KafkaLog {
    config: KafkaConfig,
    shared: Option<Arc<Shared>>,
}

/// A topic as the broker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicStatus {
    /// Topic name.
    pub name: String,
    /// Partition count.
    pub partitions: i32,
    /// Replicas of partition 0.
    pub replicas: usize,
    /// Settings, defaults included.
    pub settings: BTreeMap<String, String>,
}

/// Remembers why a broker was not reached: a question that ends in time says only that it did.
#[derive(Debug, Default)]
struct Told(Mutex<Option<String>>);

impl ClientContext for Told {
    /// Some brokers just hang up, which the client only logs.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" && message.contains("APIVERSION_QUERY") {
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            told.get_or_insert_with(|| {
                format!(
                    "{message}; it may ask for TLS: --kafka-security-protocol ssl, or sasl_ssl for a user"
                )
            });
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            told.get_or_insert_with(|| reason.to_owned());
        }
    }
}

impl ProducerContext for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, _nothing_is_sent: &DeliveryResult<'_>, _opaque: ()) {}
}

impl KafkaLog {
    /// Names a cluster. Connects to nothing yet.
    #[must_use]
    pub const fn new(config: KafkaConfig) -> Self {
        Self { config, shared: None }
    }

    /// Shares clients among all who publish, read and ask through this and its clones: one producer, one
    /// consumer, one for questions. For many stores in one process; a partition is read as well by a client
    /// that reads no other.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { shared: Some(Arc::default()), ..self }
    }

    /// Describes those of the topics that exist.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub fn describe_topics(&self, topics: &[TopicSpec]) -> Result<Vec<TopicStatus>, Error> {
        let admin = self.admin()?;
        topics::describe(&admin, topics).map_err(|error| self.failed(&admin, &error))
    }

    /// Deletes all topics whose names begin so, with all their records.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`].
    pub fn delete_topics(&self, prefix: &str) -> Result<(), Error> {
        let admin = self.admin()?;
        topics::delete(&admin, prefix).map_err(|error| self.failed(&admin, &error))
    }

    /// Who puts questions to the broker.
    fn admin(&self) -> Result<Arc<Admin>, Error> {
        let new = || self.config.base().create().map_err(|error| self.translate(&error));
        match &self.shared {
            Some(shared) => shared.admin(new),
            None => new().map(Arc::new),
        }
    }

    /// Creates what is missing of the topics and tells what is there then.
    fn make(&self, topics: &[TopicSpec]) -> Result<rounds::Made, Error> {
        let admin = self.admin()?;
        let failed = |error| self.failed(&admin, &error);
        let found = topics::partition_counts(&admin).map_err(failed)?;
        let missing: Vec<_> =
            topics.iter().filter(|topic| !found.contains_key(&topic.name)).cloned().collect();
        if missing.is_empty() {
            return Ok(rounds::Made { found, trouble: None });
        }
        let trouble = topics::create(&admin, &missing).map_err(failed).err();
        // Whoever was faster may have created one with another number of partitions.
        let found = topics::partition_counts(&admin).map_err(failed)?;
        Ok(rounds::Made { found, trouble })
    }

    /// What a question to the broker failed by, with what is behind it.
    fn failed(&self, asked: &Arc<Admin>, error: &KafkaError) -> Error {
        self.explained(asked, self.translate(error))
    }

    fn explained(&self, asked: &Arc<Admin>, error: Error) -> Error {
        let Error::Unreachable { brokers, detail } = error else { return error };
        let why = match &self.shared {
            Some(shared) => {
                shared.left(asked);
                shared.why(|| self.why())
            }
            None => self.why(),
        };
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        Error::Unreachable { brokers, detail: format!("{detail}{why}") }
    }

    /// Why no connection comes about. Of all clients a producer alone tells that in words.
    fn why(&self) -> Option<String> {
        let mut config = self.config.base();
        config.set_log_level(RDKafkaLogLevel::Info);
        let producer: BaseProducer<Told> = config.create_with_context(Told::default()).ok()?;
        let deadline = Instant::now() + WHY_WITHIN;
        while Instant::now() < deadline {
            // The question makes it connect; what it answers was known before.
            drop(producer.client().fetch_metadata(None, Duration::from_millis(100)));
            producer.poll(Duration::ZERO);
            let told = producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).take();
            if told.is_some() {
                return told;
            }
        }
        None
    }

    fn translate(&self, error: &KafkaError) -> Error {
        translate(&self.config.brokers, error)
    }
}

impl EventLog for KafkaLog {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        let made = match &self.shared {
            Some(shared) => shared.topics.together(topics, |all| self.make(all)),
            None => self.make(topics),
        };
        made?.check(topics)
    }

    fn extents(&self, topic: &TopicSpec) -> Result<Vec<Extent>, Error> {
        let admin = self.admin()?;
        (0..topic.partitions)
            .map(|partition| {
                let asked = topics::watermarks(&admin, &topic.name, partition);
                let (low, high) = asked.map_err(|error| self.failed(&admin, &error))?;
                Ok(Extent { low: Offset(low), high: Offset(high) })
            })
            .collect()
    }

    fn cluster_id(&self) -> Result<String, Error> {
        let admin = self.admin()?;
        admin.inner().fetch_cluster_id(ANSWER_WITHIN).ok_or_else(|| {
            let (brokers, detail) = (self.config.brokers.clone(), "no cluster id".to_owned());
            self.explained(&admin, Error::Unreachable { brokers, detail })
        })
    }

    fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        let new = || Sender::new(&self.config);
        let producer = match &self.shared {
            Some(shared) => shared.producer(new)?,
            None => Arc::new(new()?),
        };
        Ok(Box::new(KafkaPublisher { brokers: self.config.brokers.clone(), producer }))
    }

    fn subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        match (&self.shared, positions) {
            (Some(shared), [position]) => Ok(Box::new(shared.subscriber(self.clone(), position)?)),
            // Who reads several partitions reads a lot, and not for long: a store its lost events.
            _ => self.reader(&self.config.consumer(), positions),
        }
    }

    fn patient_subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        self.reader(&self.config.patient_consumer(), positions)
    }
}

impl KafkaLog {
    fn reader(
        &self,
        config: &ClientConfig,
        positions: &[Position],
    ) -> Result<Box<dyn Subscriber>, Error> {
        Ok(Box::new(KafkaSubscriber::new(&self.config.brokers, config, positions)?))
    }
}

fn translate(brokers: &str, error: &KafkaError) -> Error {
    use RDKafkaErrorCode as Code;
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    match code {
        Some(
            Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::Resolve,
        ) => Error::Unreachable { brokers: brokers.to_owned(), detail: error.to_string() },
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
            Error::TopicMissing(error.to_string())
        }
        Some(
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::GroupAuthorizationFailed,
        ) => Error::Denied(error.to_string()),
        Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => Error::PositionLost,
        _ => Error::Client(error.to_string()),
    }
}
