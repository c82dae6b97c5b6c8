//! Dead letters: records that were not let in, kept to be looked at and tried again.
//!
//! Each is kept in the database and published to the dead-letter topic, once: by where it comes from and
//! what it says it is known when it is read again.

use event_log::Received;
use shared_events::topic::Topics;
use shared_events::wire::{
    IncomingRecord, OutgoingRecord, dead_letter, encode_event, encode_heartbeat,
};
use shared_events::{Heartbeat, RecordedEvent, Timestamp};

use crate::admission::{Admission, Cause, Verdict};
use crate::database::{Durability, Error, Lane, Write};
use crate::projection::{Applied, Batch, Projection};

/// Most letters that are kept.
const MAX_LETTERS: i64 = 10_000;
/// Most bytes of them: keys, headers and values.
const MAX_BYTES: i64 = 64 * 1024 * 1024;
/// Bytes of values that one batch may have in its letters; beyond it a value is cut short.
pub const MAX_BATCH_BYTES: usize = 32 * 1024 * 1024;
/// What is left of a value then.
const EXCERPT_BYTES: usize = 1_024;

/// A record that was not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Why.
    pub cause: Cause,
    /// The same, for the person who reads it.
    pub reason: String,
    /// Where it comes from: `topic/partition/offset`, or its own id where the journal's rules decided.
    pub origin: String,
    /// The record, behind whose own headers stand origin and reason.
    pub record: OutgoingRecord,
}

impl Letter {
    /// A record that was just read. `room`: bytes of values that the batch may still have.
    #[must_use]
    pub fn new(cause: Cause, reason: String, received: &Received<'_>, room: &mut usize) -> Self {
        let origin = format!("{}/{}/{}", received.topic, received.partition, received.offset.0);
        let mut record = received.record;
        let size = record.value.map_or(0, <[u8]>::len);
        let mut told = reason.clone();
        if size > *room && size > EXCERPT_BYTES {
            record.value = record.value.and_then(|value| value.get(..EXCERPT_BYTES));
            told.push_str("; its value was cut, there were too many at once");
        }
        *room = room.saturating_sub(size);
        let record = dead_letter(&record, &origin, &told);
        Self { cause, reason, origin, record }
    }

    /// An event that was let in, and that the journal of its store does not have.
    pub(crate) fn of_event(event: &RecordedEvent, cause: Cause, reason: &str) -> Self {
        Self::again(&encode_event(event), event.id.to_string(), cause, reason)
    }

    /// A heartbeat that was let in, and cannot be its store's.
    pub(crate) fn of_heartbeat(heartbeat: &Heartbeat, cause: Cause, reason: &str) -> Self {
        let Heartbeat { store_id, epoch, head, .. } = heartbeat;
        let origin = format!("{store_id}/{epoch}/{head}");
        Self::again(&encode_heartbeat(heartbeat), origin, cause, reason)
    }

    fn again(record: &OutgoingRecord, origin: String, cause: Cause, reason: &str) -> Self {
        let headers = borrowed(&record.headers);
        let incoming = IncomingRecord {
            key: Some(&record.key),
            headers: &headers,
            value: record.value.as_deref(),
        };
        let record = dead_letter(&incoming, &origin, reason);
        Self { cause, reason: reason.to_owned(), origin, record }
    }
}

/// Headers as a reader has them.
pub(crate) fn borrowed(headers: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

/// Keeps letters and has them published; those that are known already are left.
pub(crate) fn keep(
    write: &Write<'_>,
    letters: &[Letter],
    topics: &Topics,
    now: Timestamp,
) -> Result<(), Error> {
    if letters.is_empty() {
        return Ok(());
    }
    let topic = topics.dead_letters().name;
    for letter in letters {
        if write.letter(letter, now)? {
            let record = letter.record.clone();
            write
                .publish(Lane::Records, &event_log::Publication { topic: topic.clone(), record })?;
        }
    }
    write.forget_old_letters(MAX_LETTERS, MAX_BYTES)
}

/// A letter as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its number here.
    pub id: i64,
    /// Why it is here.
    pub cause: Cause,
    /// The same, for the person who reads it.
    pub reason: String,
    /// Where it comes from.
    pub origin: String,
    /// When it was put aside.
    pub quarantined_at: Timestamp,
    /// The record; in a list with the beginning of its value only.
    pub record: OutgoingRecord,
    /// Bytes of its value; `None` for a record without one.
    pub value_bytes: Option<u64>,
    /// When somebody tried it last, and what came of it.
    pub redriven: Option<(Timestamp, Redriven)>,
}

/// What became of a letter that was tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It was let in, and has had its effect.
    Applied,
    /// It was let in, and had had its effect before.
    Known,
    /// It is of a type that only a newer version knows.
    Skipped,
    /// It is not let in today either, for this reason.
    Quarantined(String),
}

impl Redriven {
    /// Its name in the database and in answers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Known => "known",
            Self::Skipped => "skipped",
            Self::Quarantined(_) => "quarantined",
        }
    }

    /// The outcome of a name, with its reason.
    pub(crate) fn named(name: &str, reason: Option<String>) -> Option<Self> {
        match name {
            "applied" => Some(Self::Applied),
            "known" => Some(Self::Known),
            "skipped" => Some(Self::Skipped),
            "quarantined" => Some(Self::Quarantined(reason.unwrap_or_default())),
            _ => None,
        }
    }
}

impl Kept {
    /// Judges it by today's rules.
    #[must_use]
    pub fn judge(&self, admission: &Admission) -> Verdict {
        let headers = borrowed(&self.record.headers);
        let (key, value) = (Some(self.record.key.as_slice()), self.record.value.as_deref());
        let record = IncomingRecord { key, headers: &headers, value };
        if self.cause.is_of_the_journal() {
            return Admission::read_own(&record);
        }
        let mut parts = self.origin.rsplitn(3, '/');
        let offset = parts.next().and_then(|part| part.parse().ok());
        let partition = parts.next().and_then(|part| part.parse().ok());
        let (Some(offset), Some(partition), Some(topic)) = (offset, partition, parts.next()) else {
            return Verdict::Quarantined(
                self.cause,
                "its origin is no place on a topic".to_owned(),
            );
        };
        let Some(kind) = admission.kind(topic) else {
            let reason = format!("{topic} is no topic that is read here");
            return Verdict::Quarantined(self.cause, reason);
        };
        let offset = event_log::Offset(offset);
        let appended_at_ms = None;
        admission.judge(kind, &Received { topic, partition, offset, appended_at_ms, record })
    }
}

impl Projection {
    /// Lets a letter have its effect, as it was judged today, and notes what came of it.
    ///
    /// # Errors
    /// [`Error`]; the view must not be used any more.
    pub fn redrive(
        &mut self,
        id: i64,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<(Redriven, Applied), Error> {
        let mut batch = Batch::default();
        let refused = match verdict {
            Verdict::Event(event) => {
                batch.events.push(event);
                None
            }
            Verdict::Heartbeat(heartbeat) => {
                batch.heartbeats.push((heartbeat, None));
                None
            }
            Verdict::Policy(policy) => {
                batch.policies.push(policy);
                None
            }
            Verdict::Unknown(_) => Some(Redriven::Skipped),
            Verdict::Quarantined(_, reason) => Some(Redriven::Quarantined(reason)),
        };
        let applied = match refused {
            Some(_) => Applied::default(),
            None => self.apply(&batch, now)?,
        };
        let outcome = refused.unwrap_or_else(|| match applied {
            Applied { refused: 1.., .. } => Redriven::Quarantined(NOT_IN_ITS_JOURNAL.to_owned()),
            Applied { implausible: 1.., .. } => Redriven::Quarantined(TOO_FAR_AHEAD.to_owned()),
            Applied { duplicates: 1.., .. } => Redriven::Known,
            _ => Redriven::Applied,
        });
        let write = self.database.write(Durability::Checkpoint)?;
        write.letter_redriven(id, now, &outcome)?;
        write.commit()?;
        Ok((outcome, applied))
    }
}

/// Why an event outside of its store's lives is put aside.
pub(crate) const NOT_IN_ITS_JOURNAL: &str =
    "its journal does not have it: it was written by a copy, or lost since";
/// Why a record far beyond its store's reports is put aside.
pub(crate) const TOO_FAR_AHEAD: &str = "it is far beyond everything that its store has reported";
