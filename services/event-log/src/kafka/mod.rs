//! Apache Kafka through librdkafka.

mod config;
mod publisher;
mod subscriber;
mod topics;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use shared_events::topic::TopicSpec;

pub use config::KafkaConfig;

use crate::port::{Error, EventLog, Extent, Offset, Position, Publisher, Subscriber};

/// How long a question to the broker may take before it counts as unreachable.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long the client may take to say why it did not.
const WHY_WITHIN: Duration = Duration::from_secs(2);

/// A Kafka cluster.
#[derive(Debug, Clone)]
pub struct KafkaLog {
    config: KafkaConfig,
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
        Self { config }
    }

    /// Describes those of the topics that exist.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub fn describe_topics(&self, topics: &[TopicSpec]) -> Result<Vec<TopicStatus>, Error> {
        topics::describe(&self.admin()?, topics).map_err(|error| self.failed(&error))
    }

    /// Deletes all topics whose names begin so, with all their records.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`].
    pub fn delete_topics(&self, prefix: &str) -> Result<(), Error> {
        topics::delete(&self.admin()?, prefix).map_err(|error| self.failed(&error))
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>, Error> {
        self.config.base().create().map_err(|error| self.translate(&error))
    }

    fn reader(&self) -> Result<BaseConsumer, Error> {
        self.config.consumer().create().map_err(|error| self.translate(&error))
    }

    /// What a question to the broker failed by, with what is behind it.
    fn failed(&self, error: &KafkaError) -> Error {
        self.explained(self.translate(error))
    }

    fn explained(&self, error: Error) -> Error {
        match error {
            Error::Unreachable { brokers, detail } => {
                let why = self.why().map_or_else(String::new, |why| format!(": {why}"));
                Error::Unreachable { brokers, detail: format!("{detail}{why}") }
            }
            error => error,
        }
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
        let admin = self.admin()?;
        let failed = |error| self.failed(&error);
        let mut found = topics::partition_counts(&admin).map_err(failed)?;
        let missing: Vec<_> =
            topics.iter().filter(|topic| !found.contains_key(&topic.name)).cloned().collect();
        if !missing.is_empty() {
            topics::create(&admin, &missing).map_err(failed)?;
            // Whoever was faster may have created one with another number of partitions.
            found = topics::partition_counts(&admin).map_err(failed)?;
        }
        for topic in topics {
            match found.get(&topic.name) {
                Some(&partitions) if partitions != topic.partitions => {
                    return Err(Error::WrongPartitions {
                        topic: topic.name.clone(),
                        found: partitions,
                        expected: topic.partitions,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn extents(&self, topic: &TopicSpec) -> Result<Vec<Extent>, Error> {
        let reader = self.reader()?;
        (0..topic.partitions)
            .map(|partition| {
                let (low, high) = reader
                    .fetch_watermarks(&topic.name, partition, ANSWER_WITHIN)
                    .map_err(|error| self.failed(&error))?;
                Ok(Extent { low: Offset(low), high: Offset(high) })
            })
            .collect()
    }

    fn cluster_id(&self) -> Result<String, Error> {
        self.admin()?.inner().fetch_cluster_id(ANSWER_WITHIN).ok_or_else(|| {
            let (brokers, detail) = (self.config.brokers.clone(), "no cluster id".to_owned());
            self.explained(Error::Unreachable { brokers, detail })
        })
    }

    fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        Ok(Box::new(publisher::KafkaPublisher::new(&self.config)?))
    }

    fn subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        Ok(Box::new(subscriber::KafkaSubscriber::new(&self.config, positions)?))
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
