//! A broker whose records are signed when they are written, and proven when they are read.

use std::fmt;
use std::sync::Arc;

use shared_events::topic::TopicSpec;
use shared_events::wire::header;
use tokio_util::sync::CancellationToken;

use crate::port::{
    Error, EventLog, Extent, Position, Publication, Published, Publisher, Received, Subscriber,
};
use crate::signature::{self, Parts, RecordKey, data_set};

/// In whose name a record speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker<'a> {
    /// A store.
    Store(&'a str),
    /// A centre of this name.
    Centre(&'a str),
    /// Any centre: a command does not say which.
    AnyCentre,
}

impl fmt::Display for Speaker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(store) => write!(f, "store {store:.32}"),
            Self::Centre(centre) => write!(f, "centre {centre:.32}"),
            Self::AnyCentre => f.write_str("a centre"),
        }
    }
}

/// Where keys are.
pub trait RecordKeys: Send + Sync + fmt::Debug {
    /// The key that this service signs with; `None` when it does not sign.
    fn signing(&self) -> Option<Arc<RecordKey>>;

    /// The keys of which one must have signed what a speaker says; `None` when nobody here asks for that.
    fn verifying(&self, speaker: Speaker<'_>) -> Option<Vec<Arc<RecordKey>>>;
}

/// Why a record is not believed to be by whom it speaks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It is not signed.
    #[error("it is not signed, and speaks for {0}")]
    Unsigned(String),
    /// No key of that name belongs to whom it speaks for: a key of another one, or an unknown one.
    #[error("it is signed with key {key:?}, which is none of {speaker}")]
    ForeignKey {
        /// The key's name, shortened.
        key: String,
        /// Whom it speaks for.
        speaker: String,
    },
    /// The key is right and the signature is not: it was altered, or signed with another secret.
    #[error("its signature with key {0:?} does not fit: it was altered, or the secrets differ")]
    Altered(String),
}

/// A broker with keys.
#[derive(Debug)]
pub struct SignedLog {
    log: Arc<dyn EventLog>,
    keys: Arc<dyn RecordKeys>,
    /// What the broker took before may be without a signature, in milliseconds of UTC.
    since_ms: Option<i64>,
}

impl SignedLog {
    /// Puts keys before a broker.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, keys: Arc<dyn RecordKeys>, since_ms: Option<i64>) -> Self {
        Self { log, keys, since_ms }
    }
}

/// In whose name a record speaks: stores write events and heartbeats, centres everything else.
/// One that does not say which speaks for nobody, who has no key.
fn speaker<'a>(received: &Received<'a>) -> Speaker<'a> {
    let data_set = data_set(received.topic);
    if data_set.starts_with("inventory.commands.") {
        return Speaker::AnyCentre;
    }
    let source = received.record.header(header::SOURCE);
    let source = source.and_then(|source| std::str::from_utf8(source).ok()).unwrap_or_default();
    let of_store = ["inventory.stock-events.", "inventory.heartbeats."]
        .iter()
        .any(|family| data_set.starts_with(family));
    if of_store {
        Speaker::Store(source.strip_prefix("/stores/").unwrap_or_default())
    } else {
        Speaker::Centre(source.strip_prefix("/centres/").unwrap_or_default())
    }
}

impl EventLog for SignedLog {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        self.log.ensure_topics(topics)
    }

    fn extents(&self, topic: &TopicSpec) -> Result<Vec<Extent>, Error> {
        self.log.extents(topic)
    }

    fn cluster_id(&self) -> Result<String, Error> {
        self.log.cluster_id()
    }

    fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        let publisher = self.log.publisher()?;
        Ok(Box::new(Signing { publisher, keys: Arc::clone(&self.keys) }))
    }

    fn subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        self.log.subscriber(positions)
    }

    fn patient_subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        self.log.patient_subscriber(positions)
    }

    fn authenticate(&self, received: &Received<'_>) -> Result<(), Unverified> {
        let record = &received.record;
        let speaker = speaker(received);
        let Some(keys) = self.keys.verifying(speaker) else {
            return Ok(());
        };
        let key_id = record.header(header::KEY_ID);
        let (Some(key_id), Some(signature)) = (key_id, record.header(header::SIGNATURE)) else {
            let before = self.since_ms.zip(received.appended_at_ms);
            return match before {
                Some((since, appended)) if appended < since => Ok(()),
                _ => Err(Unverified::Unsigned(speaker.to_string())),
            };
        };
        let shown = || String::from_utf8_lossy(key_id).chars().take(32).collect();
        // Each centre names its own keys, so two of them may have given one name.
        let mut named = keys.iter().filter(|key| key.id().as_bytes() == key_id).peekable();
        if named.peek().is_none() {
            return Err(Unverified::ForeignKey { key: shown(), speaker: speaker.to_string() });
        }
        let parts = Parts {
            topic: received.topic,
            key: record.key.unwrap_or_default(),
            headers: record.headers,
            value: record.value,
        };
        if named.any(|key| signature::verify(key, parts, signature)) {
            Ok(())
        } else {
            Err(Unverified::Altered(shown()))
        }
    }
}

/// Signs what is published.
struct Signing {
    publisher: Box<dyn Publisher>,
    keys: Arc<dyn RecordKeys>,
}

impl Publisher for Signing {
    fn publish(&mut self, records: &[Publication], cancel: &CancellationToken) -> Published {
        let Some(key) = self.keys.signing() else {
            return self.publisher.publish(records, cancel);
        };
        let signed: Vec<_> = records.iter().map(|record| signed(&key, record)).collect();
        self.publisher.publish(&signed, cancel)
    }
}

/// A record with its signature. A dead letter keeps the one it came with.
fn signed(key: &RecordKey, publication: &Publication) -> Publication {
    let mut signed = publication.clone();
    if data_set(&publication.topic).starts_with("inventory.dead-letters.") {
        return signed;
    }
    let record = &publication.record;
    let headers: Vec<_> =
        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let parts = Parts {
        topic: &publication.topic,
        key: &record.key,
        headers: &headers,
        value: record.value.as_deref(),
    };
    let signature = signature::sign(key, parts).into_bytes();
    signed.record.headers.push((header::KEY_ID.to_owned(), key.id().into()));
    signed.record.headers.push((header::SIGNATURE.to_owned(), signature));
    signed
}

#[cfg(test)]
mod tests {
    use shared_events::wire::IncomingRecord;

    use super::*;
    use crate::{MemoryLog, Offset};

    /// Store A has two keys and store B one, two centres have one each, of one name; nobody else has any.
    #[derive(Debug)]
    struct Keys;

    fn key(id: &str) -> Arc<RecordKey> {
        Arc::new(RecordKey::new(id, id.as_bytes()))
    }

    impl RecordKeys for Keys {
        fn signing(&self) -> Option<Arc<RecordKey>> {
            Some(key("a2"))
        }

        fn verifying(&self, speaker: Speaker<'_>) -> Option<Vec<Arc<RecordKey>>> {
            Some(match speaker {
                Speaker::Store("A") => vec![key("a2"), key("a1")],
                Speaker::Store("B") => vec![key("b1")],
                Speaker::AnyCentre => {
                    vec![Arc::new(RecordKey::new("c1", b"of the west")), key("c1")]
                }
                Speaker::Centre("east") => vec![key("c1")],
                Speaker::Store(_) | Speaker::Centre(_) => Vec::new(),
            })
        }
    }

    /// What is said of a record on a topic, in a name, signed with a key.
    fn told(topic: &str, source: &str, signer: Option<&str>, at: Option<i64>) -> String {
        let log = SignedLog::new(Arc::new(MemoryLog::default()), Arc::new(Keys), Some(1_000));
        let record = shared_events::wire::OutgoingRecord {
            key: b"k".to_vec(),
            headers: vec![(header::SOURCE.to_owned(), source.as_bytes().to_vec())],
            value: Some(b"{}".to_vec()),
        };
        let mut publication = Publication { topic: topic.to_owned(), record };
        if let Some(signer) = signer {
            publication = signed(&key(signer), &publication);
        }
        let headers = publication.record.headers.iter();
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), &value[..])).collect();
        let (key, value) = (Some(&b"k"[..]), Some(&b"{}"[..]));
        let received = Received {
            topic,
            partition: 0,
            offset: Offset(0),
            appended_at_ms: at,
            record: IncomingRecord { key, headers: &headers, value },
        };
        log.authenticate(&received).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn a_record_is_believed_when_whom_it_speaks_for_has_signed_it() {
        let events = "inventory.stock-events.v1";
        let foreign = "it is signed with key \"b1\", which is none of store A";
        for (topic, source, signer, expected) in [
            (events, "/stores/A", Some("a1"), "fine"),
            (events, "/stores/A", Some("a2"), "fine"),
            ("north.inventory.heartbeats.v1", "/stores/A", Some("a2"), "fine"),
            (events, "/stores/A", Some("b1"), foreign),
            (events, "/stores/A", None, "it is not signed, and speaks for store A"),
            (
                events,
                "/centres/east",
                Some("c1"),
                "it is signed with key \"c1\", which is none of store ",
            ),
            (events, "elsewhere", None, "it is not signed, and speaks for store "),
            ("inventory.commands.v1.A", "/central", Some("c1"), "fine"),
            (
                "inventory.commands.v1.A",
                "/stores/B",
                Some("b1"),
                "it is signed with key \"b1\", which is none of a centre",
            ),
            ("inventory.policies.v1", "/centres/east", Some("c1"), "fine"),
            (
                "inventory.policies.v1",
                "/stores/A",
                Some("a1"),
                "it is signed with key \"a1\", which is none of centre ",
            ),
        ] {
            assert_eq!(told(topic, source, signer, None), expected, "{topic} {source} {signer:?}");
        }
    }

    #[test]
    fn only_what_the_broker_took_before_the_moment_may_be_without_a_signature() {
        let events = "inventory.stock-events.v1";
        assert_eq!(told(events, "/stores/A", None, Some(999)), "fine");
        let unsigned = "it is not signed, and speaks for store A";
        assert_eq!(told(events, "/stores/A", None, Some(1_000)), unsigned);
        assert_eq!(told(events, "/stores/A", None, None), unsigned, "its writer may have said so");
        let foreign = told(events, "/stores/A", Some("b1"), Some(999));
        assert!(
            foreign.starts_with("it is signed with key"),
            "a signature is looked at: {foreign}"
        );
    }
}
