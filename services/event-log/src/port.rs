//! What Onhand asks of a broker, in Onhand's words.

use std::fmt;
use std::time::Duration;

use shared_events::topic::TopicSpec;
use shared_events::wire::{IncomingRecord, OutgoingRecord};
use tokio_util::sync::CancellationToken;

use crate::signed::Unverified;

/// A record's place in a partition, given by the broker. Never a `Sequence`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(pub i64);

impl Offset {
    /// The one behind this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where reading a partition starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Topic name.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// First record wanted.
    pub next: Offset,
}

/// What a partition holds: records from `low` up to but without `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Oldest record still there.
    pub low: Offset,
    /// Where the next record will be written.
    pub high: Offset,
}

impl Extent {
    /// Where a reader that wants `known` next has to start. A position outside of what is there means
    /// that records were deleted or the topic is a new one: then all there is.
    #[must_use]
    pub fn resume(&self, known: Option<Offset>) -> Offset {
        known.filter(|next| (self.low..=self.high).contains(next)).unwrap_or(self.low)
    }
}

/// A record and the topic it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Topic name.
    pub topic: String,
    /// The record.
    pub record: OutgoingRecord,
}

/// A record and where it was read.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// Its place there.
    pub offset: Offset,
    /// When the broker took it, in milliseconds of UTC; `None` where its writer may have said so itself.
    pub appended_at_ms: Option<i64>,
    /// Key, headers, value.
    pub record: IncomingRecord<'a>,
}

/// How far a publication came.
#[derive(Debug)]
pub struct Published {
    /// This many records from the front are acknowledged by all in-sync replicas.
    pub acknowledged: usize,
    /// Why the rest is not known to be. The publisher must then be dropped; records of the rest may
    /// or may not be in the log.
    pub error: Option<Error>,
}

/// What can go wrong at the broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No answer in time, or no connection.
    #[error("the broker at {brokers} does not answer: {detail}")]
    Unreachable {
        /// Bootstrap addresses.
        brokers: String,
        /// What the client said.
        detail: String,
    },
    /// A topic has another number of partitions than this chain was set up with.
    #[error(
        "topic {topic} has {found} partitions, expected {expected}: keys would move between partitions. {}",
        partitions_fix(*found, *expected)
    )]
    WrongPartitions {
        /// Topic name.
        topic: String,
        /// Partitions on the broker.
        found: i32,
        /// Partitions in the contract.
        expected: i32,
    },
    /// The topic does not exist (any more).
    #[error("topic {0} does not exist")]
    TopicMissing(String),
    /// The broker knows who asks, and does not let them.
    #[error(
        "the broker does not allow it ({0}): topics are made by an administrator with deploy/kafka/create-topics, rights are given with deploy/kafka/acls"
    )]
    Denied(String),
    /// A read position is outside what the partition holds.
    #[error("a read position is outside what its partition holds")]
    PositionLost,
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Anything else the client reports.
    #[error("broker client: {0}")]
    Client(String),
}

impl Error {
    /// Whether trying again, possibly with a new client, can help without a person doing something.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::WrongPartitions { .. } | Self::Cancelled)
    }
}

/// What to do about a wrong partition count; topics of one partition cannot have another.
fn partitions_fix(found: i32, expected: i32) -> String {
    let recreate = "delete it; the services create it anew, and the stores publish what is missing";
    if expected == 1 {
        recreate.to_owned()
    } else {
        format!("Start with ONHAND_PARTITIONS={found} if the chain was set up so, else {recreate}")
    }
}

/// A broker.
pub trait EventLog: Send + Sync + fmt::Debug {
    /// Creates the topics that are missing and checks the others.
    ///
    /// # Errors
    /// [`Error::WrongPartitions`] or [`Error::Unreachable`].
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), Error>;

    /// What each partition of a topic holds now, in order of partition.
    ///
    /// # Errors
    /// [`Error::TopicMissing`] or [`Error::Unreachable`].
    fn extents(&self, topic: &TopicSpec) -> Result<Vec<Extent>, Error>;

    /// Names the cluster, so that offsets of another one are not taken for this one's.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    fn cluster_id(&self) -> Result<String, Error>;

    /// A new publisher.
    ///
    /// # Errors
    /// [`Error::Client`] when the configuration is refused. Needs no connection.
    fn publisher(&self) -> Result<Box<dyn Publisher>, Error>;

    /// A reader of exactly these partitions from exactly these positions.
    ///
    /// # Errors
    /// [`Error::Client`] when the configuration is refused. Needs no connection.
    fn subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error>;

    /// The same of records that nobody waits for: the broker may keep them a tenth of a second, so that
    /// many come at once.
    ///
    /// # Errors
    /// As for [`EventLog::subscriber`].
    fn patient_subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        self.subscriber(positions)
    }

    /// Whether a record was written by the store or centre in whose name it speaks, as far as that is
    /// to be proven here.
    ///
    /// # Errors
    /// [`Unverified`], with what is wrong.
    fn authenticate(&self, received: &Received<'_>) -> Result<(), Unverified> {
        let _anybody_is_believed = received;
        Ok(())
    }
}

/// Publishes in order: a record is in its partition before any later one of the same partition.
pub trait Publisher: Send {
    /// Publishes records and waits, as long as it takes, until all are acknowledged by all in-sync
    /// replicas or one has failed.
    fn publish(&mut self, records: &[Publication], cancel: &CancellationToken) -> Published;
}

/// Reads partitions; keeps nothing at the broker.
pub trait Subscriber: Send {
    /// Hands up to `max_records` records to `receive`, waiting up to `timeout` for the first.
    ///
    /// Records of one partition come in order. Gives the number of records; 0 is no error, a broker
    /// that is away for a while looks like silence.
    ///
    /// # Errors
    /// [`Error::PositionLost`], [`Error::TopicMissing`], [`Error::Client`]: drop the subscriber,
    /// look at the partitions' extents and start anew.
    fn poll(
        &mut self,
        max_records: usize,
        timeout: Duration,
        receive: &mut dyn FnMut(Received<'_>),
    ) -> Result<usize, Error>;

    /// Where the next record of any partition will be written, by the broker's answer to a question asked
    /// now: what lies at it or beyond was written after this call. Waits a second at most. It may queue
    /// behind a waiting poll of the same subscriber, so ask one that reads nothing.
    ///
    /// # Errors
    /// [`Error::Unreachable`] without an answer, [`Error::TopicMissing`].
    fn end(&mut self, topic: &str, partition: i32) -> Result<Offset, Error>;
}
