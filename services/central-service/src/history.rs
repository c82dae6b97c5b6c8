//! What happened, in the order this centre applied it: positions, what they mean and how long they last.
//!
//! **Invariant:** a position names one change for ever, and positions have no gaps. Both hold within one
//! life of the history; a position of another life says nothing here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use shared_events::event::Levels;
use shared_events::{
    CommandId, Epoch, EventId, RecordedEvent, Sequence, Sku, StoreId, Subject, Timestamp,
};
use tokio::sync::watch;

use crate::database::{Database, Error, Write};
use crate::read_model::StoreIndex;

/// Changes kept unless configured.
pub const DEFAULT_EVENTS: u64 = 10_000_000;
/// Positions of a segment: small enough to be sorted within a commit, and to be looked through for an
/// item while it is not full.
pub const SEGMENT: u64 = 32_768;
/// What a commit forgets at least of what is too much, beside as many as it adds: a bound that was
/// lowered is reached bit by bit, and no commit is long.
const FORGOTTEN_AT_ONCE: u64 = 1_000;

/// One life of a history: 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life(Arc<str>);

/// Where a change stands, as callers know it: `LIFE-POSITION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeId {
    /// The life it belongs to.
    pub life: Life,
    /// Its place, from 1; 0 is in front of the first.
    pub position: u64,
}

/// A text that is no such id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of the stream is 16 hexadecimal digits, a dash and a position")]
pub struct InvalidChangeId;

impl FromStr for Life {
    type Err = InvalidChangeId;

    fn from_str(text: &str) -> Result<Self, InvalidChangeId> {
        let digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let valid = text.len() == 16 && text.bytes().all(digit);
        valid.then(|| Self(Arc::from(text))).ok_or(InvalidChangeId)
    }
}

impl FromStr for ChangeId {
    type Err = InvalidChangeId;

    fn from_str(text: &str) -> Result<Self, InvalidChangeId> {
        let (life, digits) = text.split_once('-').ok_or(InvalidChangeId)?;
        let position = digits.parse().map_err(|_not_a_number| InvalidChangeId)?;
        let id = Self { life: life.parse()?, position };
        // One spelling, and nothing the database could not hold.
        let valid = position <= Sequence::MAX.get() && position.to_string() == digits;
        valid.then_some(id).ok_or(InvalidChangeId)
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.life.0, self.position)
    }
}

/// Which positions there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The life they belong to.
    pub life: Life,
    /// The first that is still there; one more than `newest` when there is none.
    pub oldest: u64,
    /// The last; 0 when there never was one.
    pub newest: u64,
}

impl Kept {
    /// The id of a position.
    #[must_use]
    pub fn id(&self, position: u64) -> ChangeId {
        ChangeId { life: self.life.clone(), position }
    }

    /// The position behind which to go on, when everything behind it is still there.
    #[must_use]
    pub fn position(&self, id: &ChangeId) -> Option<u64> {
        let within = self.before_oldest() <= id.position && id.position <= self.newest;
        (id.life == self.life && within).then_some(id.position)
    }

    /// The position behind which everything is that is kept.
    #[must_use]
    pub const fn before_oldest(&self) -> u64 {
        self.oldest.saturating_sub(1)
    }
}

/// A change that is to be recorded.
#[derive(Debug, Clone)]
pub struct NewChange<'a> {
    /// The store.
    pub store: StoreIndex,
    /// The item.
    pub sku: &'a Sku,
    /// Life of the store's journal.
    pub epoch: Epoch,
    /// Place in it.
    pub sequence: Sequence,
    /// What happened, as the event's type says.
    pub kind: &'a str,
    /// When, by the store's clock.
    pub occurred_at: Timestamp,
    /// How the item stands behind it; `None` where nothing changed.
    pub levels: Option<Levels>,
    /// The command it answers.
    pub cause: Option<&'a CommandId>,
    /// Who asked for it.
    pub principal: Option<&'a Subject>,
    /// W3C trace context of the request.
    pub traceparent: Option<&'a str>,
    /// It came behind a newer one of its item, so that its levels were never shown.
    pub late: bool,
    /// The event's JSON.
    pub data: String,
}

impl<'a> NewChange<'a> {
    /// An event.
    #[must_use]
    pub fn event(store: StoreIndex, event: &'a RecordedEvent, late: bool) -> Self {
        Self {
            store,
            sku: &event.sku,
            epoch: event.id.epoch,
            sequence: event.id.sequence,
            kind: event.event.event_type(),
            occurred_at: event.occurred_at,
            levels: event.event.levels(),
            cause: event.cause.as_ref(),
            principal: event.principal.as_ref(),
            traceparent: event.traceparent.as_deref(),
            late,
            data: event.event.to_data(),
        }
    }
}

/// A change as it was recorded, without the event's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place.
    pub position: u64,
    /// The event.
    pub id: EventId,
    /// The item.
    pub sku: Sku,
    /// What happened.
    pub kind: String,
    /// When, by the store's clock.
    pub occurred_at: Timestamp,
    /// How the item stands behind it.
    pub levels: Option<Levels>,
    /// The command it answers.
    pub cause: Option<CommandId>,
    /// It came behind a newer one of its item.
    pub late: bool,
}

/// Which changes somebody wants.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of these stores; of all when there is none.
    pub stores: Vec<StoreId>,
    /// Of these items; of all when there is none.
    pub skus: Vec<Sku>,
}

impl Filter {
    /// Whether it is about a store that is wanted.
    #[must_use]
    pub fn wants_store(&self, store: &StoreId) -> bool {
        self.stores.is_empty() || self.stores.contains(store)
    }

    /// Whether a change is wanted.
    #[must_use]
    pub fn wants(&self, change: &Change) -> bool {
        self.wants_store(&change.id.store)
            && (self.skus.is_empty() || self.skus.contains(&change.sku))
    }
}

/// Gives changes their positions, and tells when they are committed.
#[derive(Debug)]
pub struct Recorder {
    kept: Kept,
    most: u64,
    news: watch::Sender<Kept>,
}

impl Recorder {
    /// Goes on behind what a database holds, of which at most `most` changes are kept.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(database: &Database, most: u64) -> Result<Self, Error> {
        let kept = database.history(&machine_start())?;
        Ok(Self { news: watch::Sender::new(kept.clone()), kept, most })
    }

    /// Tells of commits.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<Kept> {
        self.news.subscribe()
    }

    /// Records changes in the transaction that makes them, and forgets the oldest.
    ///
    /// # Errors
    /// [`Error::Sqlite`]; the recorder must not be used any more.
    pub fn record(&mut self, write: &Write<'_>, changes: &[NewChange<'_>]) -> Result<(), Error> {
        let kept = &mut self.kept;
        let mut left = changes;
        while !left.is_empty() {
            let room = usize::try_from(SEGMENT - kept.newest % SEGMENT).unwrap_or(usize::MAX);
            let (some, rest) = left.split_at(room.min(left.len()));
            kept.newest = write.changes(kept.newest, some)?;
            if kept.newest.is_multiple_of(SEGMENT) {
                write.full_segment(kept.newest / SEGMENT - 1)?;
            }
            left = rest;
        }
        let too_many_through = kept.newest.saturating_sub(self.most);
        if kept.oldest <= too_many_through {
            let added = u64::try_from(changes.len()).unwrap_or_default();
            let at_once = kept.before_oldest() + added + FORGOTTEN_AT_ONCE;
            let through = too_many_through.min(at_once);
            write.forget_changes(through)?;
            kept.oldest = through + 1;
        }
        Ok(())
    }

    /// Whether more is kept than should be: a bound was lowered.
    #[must_use]
    pub fn keeps_too_much(&self) -> bool {
        self.kept.newest - self.kept.before_oldest() > self.most
    }

    /// What was recorded is committed.
    pub fn committed(&self) {
        self.news.send_if_modified(|known| {
            let changed = *known != self.kept;
            if changed {
                known.clone_from(&self.kept);
            }
            changed
        });
    }
}

/// Names this run of the machine. Where that is not known, every start counts as another.
fn machine_start() -> String {
    let unknown = |_error| uuid::Uuid::now_v7().to_string();
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "00ff00ff00ff00ff-17";
        assert_eq!(text.parse::<ChangeId>().unwrap().to_string(), text);
        let life = "00ff00ff00ff00ff";
        for wrong in [
            "",
            "17",
            "-17",
            life,
            &format!("{life}-"),
            &format!("{life}-+7"),
            &format!("{life}-07"),
            &format!("{life}--1"),
            &format!("{life}-9007199254740992"),
            "00FF00FF00FF00FF-17",
            "0ff-17",
            "00ff00ff00ff00fg-17",
            &format!("{life}-17 "),
        ] {
            assert_eq!(wrong.parse::<ChangeId>(), Err(InvalidChangeId), "{wrong}");
        }
    }

    #[test]
    fn only_a_position_behind_which_everything_is_kept_is_known() {
        let life: Life = "00ff00ff00ff00ff".parse().unwrap();
        let other: Life = "00ff00ff00ff00fe".parse().unwrap();
        let kept = Kept { life: life.clone(), oldest: 11, newest: 20 };
        for (position, known) in [(9, None), (10, Some(10)), (20, Some(20)), (21, None)] {
            assert_eq!(kept.position(&kept.id(position)), known);
        }
        assert_eq!(kept.position(&ChangeId { life: other, position: 15 }), None);
        let empty = Kept { life, oldest: 1, newest: 0 };
        assert_eq!(empty.position(&empty.id(0)), Some(0));
    }
}
