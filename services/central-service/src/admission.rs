//! What of the broker is let in: whoever can write to a topic can write anything.
//!
//! A record that is not let in is quarantined with one of a few [`Cause`]s and the reason: it changes
//! nothing, and reading goes on. The rules that need to know the store's journal are the projection's.

use std::sync::Arc;

use event_log::{EventLog, Received, partition};
use shared_events::policy::Policy;
use shared_events::topic::Topics;
use shared_events::wire::{
    IncomingRecord, Undecodable, decode_event, decode_heartbeat, decode_policy, header,
};
use shared_events::{EventId, Heartbeat, RecordedEvent};

/// What a topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Stock events of all stores.
    Events,
    /// Their heartbeats.
    Heartbeats,
    /// What the chain has decided.
    Policies,
}

/// Why a record is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It does not prove that it was written by whom it speaks for.
    Unverified,
    /// It cannot be decoded, or contradicts itself.
    Unreadable,
    /// It is not in the partition of its key, so its order among the others means nothing.
    Misplaced,
    /// It is far beyond everything its store has reported.
    Implausible,
    /// It was written outside of the lives its store's journal goes by.
    Refused,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 5] =
        [Self::Unverified, Self::Unreadable, Self::Misplaced, Self::Implausible, Self::Refused];

    /// Its name in the database, in answers and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Unreadable => "unreadable",
            Self::Misplaced => "misplaced",
            Self::Implausible => "implausible",
            Self::Refused => "refused",
        }
    }

    /// The cause of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }

    /// Whether the projection decides it, which knows the stores: the record itself was let in before.
    #[must_use]
    pub const fn is_of_the_journal(self) -> bool {
        matches!(self, Self::Implausible | Self::Refused)
    }
}

/// What becomes of a record.
#[derive(Debug)]
pub enum Verdict {
    /// It is an event.
    Event(RecordedEvent),
    /// It is a heartbeat.
    Heartbeat(Heartbeat),
    /// It is a policy.
    Policy(Policy),
    /// It is of a type that only a newer version knows: passed over, with the number it takes in its
    /// store's journal, where it has one.
    Unknown(Option<EventId>),
    /// It is kept aside.
    Quarantined(Cause, String),
}

/// The rules.
#[derive(Debug, Clone)]
pub struct Admission {
    topics: Topics,
    events: String,
    heartbeats: String,
    policies: String,
    partitions: usize,
    /// Knows whether a record is by whom it says.
    log: Arc<dyn EventLog>,
}

impl Admission {
    /// The rules for the topics of a chain.
    #[must_use]
    pub fn new(topics: Topics, log: Arc<dyn EventLog>) -> Self {
        let events = topics.stock_events();
        Self {
            heartbeats: topics.heartbeats().name,
            policies: topics.policies().name,
            partitions: usize::try_from(events.partitions).unwrap_or_default(),
            events: events.name,
            topics,
            log,
        }
    }

    /// The topics of the chain.
    #[must_use]
    pub const fn topics(&self) -> &Topics {
        &self.topics
    }

    /// What a topic carries, when it is one that is read.
    #[must_use]
    pub fn kind(&self, topic: &str) -> Option<Kind> {
        match topic {
            _ if topic == self.events => Some(Kind::Events),
            _ if topic == self.heartbeats => Some(Kind::Heartbeats),
            _ if topic == self.policies => Some(Kind::Policies),
            _ => None,
        }
    }

    /// Judges a record by where it was read and by what it says.
    #[must_use]
    pub fn judge(&self, kind: Kind, received: &Received<'_>) -> Verdict {
        if let Err(unverified) = self.log.authenticate(received) {
            return Verdict::Quarantined(Cause::Unverified, unverified.to_string());
        }
        let verdict = Self::read(kind, &received.record);
        if matches!(verdict, Verdict::Event(_)) && !self.is_placed(received) {
            let reason = format!("its key does not belong into partition {}", received.partition);
            return Verdict::Quarantined(Cause::Misplaced, reason);
        }
        verdict
    }

    /// Reads a record, wherever it is from.
    #[must_use]
    pub fn read(kind: Kind, record: &IncomingRecord<'_>) -> Verdict {
        let read = match kind {
            Kind::Events => decode_event(record).map(Verdict::Event),
            Kind::Heartbeats => decode_heartbeat(record).map(Verdict::Heartbeat),
            Kind::Policies => decode_policy(record).map(Verdict::Policy),
        };
        read.unwrap_or_else(|undecodable| match undecodable {
            Undecodable::UnknownType(_) => {
                Verdict::Unknown(identity(record).filter(|_| kind == Kind::Events))
            }
            Undecodable::Broken(reason) => Verdict::Quarantined(Cause::Unreadable, reason),
        })
    }

    /// Reads a record that was let in before, and put aside for what its store's journal says.
    #[must_use]
    pub fn read_own(record: &IncomingRecord<'_>) -> Verdict {
        match Self::read(Kind::Events, record) {
            Verdict::Unknown(None) => Self::read(Kind::Heartbeats, record),
            verdict => verdict,
        }
    }

    /// Whether a record lies where its key belongs.
    fn is_placed(&self, received: &Received<'_>) -> bool {
        let key = received.record.key.unwrap_or_default();
        usize::try_from(received.partition) == Ok(partition(key, self.partitions))
    }
}

/// Identity of a record whose type is unknown, where it has one and speaks for its own store.
fn identity(record: &IncomingRecord<'_>) -> Option<EventId> {
    let id: EventId = std::str::from_utf8(record.header(header::ID)?).ok()?.parse().ok()?;
    let source = record.header(header::SOURCE)?.strip_prefix(b"/stores/")?;
    (source == id.store.as_str().as_bytes()).then_some(id)
}
