//! Before a store writes: is its journal whole, and the only one?
//!
//! ```text
//!  hello ──▶ heartbeats topic ──▶ centre ──▶ commands topic ──▶ what it has seen
//!                                                                  │ compare
//!              go on ◀── has it all ───────────────────────────────┤
//!              refill from the events topic, then a new life ◀── its end is missing
//!              a new life ◀── copied, forked, or nobody to ask ────┘
//! ```
//! A new life (epoch) is begun whenever somebody else may have gone on from here: no sequence of an
//! epoch is ever given out twice, whatever was restored or copied.

mod refill;
mod witness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::{Error as BrokerError, EventLog};
use inventory_core::Digest;
use inventory_core::witness::{Comparison, Own, compare};
use service_kit::clock;
use service_kit::retry::Retry;
use shared_events::command::JournalWitnessed;
use shared_events::topic::Topics;
use shared_events::{Epoch, Heartbeat, Location, RecordedEvent, Sequence, StoreId, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::journal::{self, Journal};
use crate::standing::{Stage, Standing};

pub use refill::Progress;

/// What to do when no centre tells in time what it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwitnessed {
    /// Sell, in a new life of the journal.
    Serve,
    /// Refuse commands until a centre answers.
    Hold,
}

/// Opens a journal for writing.
#[derive(Debug)]
pub struct Opening {
    /// The store.
    pub store: StoreId,
    /// The broker.
    pub log: Arc<dyn EventLog>,
    /// Names the topics.
    pub topics: Topics,
    /// Where the shop is.
    pub location: Option<Location>,
    /// How long to wait for a centre; zero trusts the disk and asks nobody.
    pub wait: Duration,
    /// What to do when none answers.
    pub unwitnessed: Unwitnessed,
}

/// How a journal was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The life that is lived now.
    pub epoch: Epoch,
    /// Events that came back.
    pub refilled: u64,
    /// Events that were seen and are in this journal no more.
    pub lost: u64,
    /// What a centre has seen; `None` when none was asked, or none answered.
    pub seen: Option<JournalWitnessed>,
}

/// Why a journal was not opened.
#[derive(Debug)]
pub enum Halt {
    /// The store is stopping.
    Stopped,
    /// The journal failed.
    Journal(journal::Error),
}

impl From<journal::Error> for Halt {
    fn from(error: journal::Error) -> Self {
        Self::Journal(error)
    }
}

/// Who is told of events that come back.
pub trait Refilled {
    /// Takes an event that is in the journal again.
    fn take(&mut self, event: &RecordedEvent);
    /// So much of the topic has been read.
    fn progress(&mut self, progress: Progress);
}

impl Opening {
    /// Makes sure that the journal is whole and the only one.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn open(
        &self,
        journal: &mut Journal,
        digest: Digest,
        standing: &Standing,
        refilled: &mut dyn Refilled,
        cancel: &CancellationToken,
    ) -> Result<Opened, Halt> {
        let seen = self.ask(journal, digest, standing, cancel)?;
        let (own_epoch, before) = (journal.identity().epoch(), journal.head().sequence);
        let Some(seen) = seen else {
            self.go_on_unseen(journal)?;
            let epoch = journal.identity().epoch();
            return Ok(Opened { epoch, refilled: 0, lost: 0, seen: None });
        };
        let newest = own_epoch.max(seen.epoch);
        let comparison = self.compare(journal, &seen)?;
        match comparison {
            Comparison::Whole | Comparison::Earlier if !journal.has_moved() => journal.go_on()?,
            Comparison::Whole | Comparison::Earlier => {
                info!(store = %self.store, "the journal was moved here, and begins a new life");
                journal.begin_life(newest.next())?;
            }
            Comparison::Behind => {
                warn!(store = %self.store, head = %before, seen = %seen.head,
                    "the journal has lost its end; its events are fetched from the broker");
                self.refill(journal, &seen, standing, refilled, cancel)?;
                journal.begin_life(newest.max(journal.identity().epoch()).next())?;
            }
            Comparison::Forked | Comparison::Superseded => {
                error!(store = %self.store, head = %before, epoch = %seen.epoch, seen = %seen.head,
                    "another copy of this journal has been written; this one begins a new life, and the other will be refused");
                journal.begin_life(newest.next())?;
            }
        }
        let head = journal.head().sequence;
        let lost = lost(journal, &seen);
        if lost > 0 {
            error!(store = %self.store, lost, "events that were seen of this journal are lost for good");
        }
        let refilled = head.get().saturating_sub(before.get());
        let epoch = journal.identity().epoch();
        Ok(Opened { epoch, refilled, lost, seen: Some(seen) })
    }

    fn compare(
        &self,
        journal: &Journal,
        seen: &JournalWitnessed,
    ) -> Result<Comparison, journal::Error> {
        let hash = journal.hash_at(seen.head)?.map(|hash| hash.to_string());
        let own = Own {
            epoch: journal.identity().epoch(),
            head: journal.head().sequence,
            hash_there: hash.as_deref(),
        };
        Ok(compare(own, seen))
    }

    /// Nobody could tell what was seen: what was written before may not be all.
    fn go_on_unseen(&self, journal: &mut Journal) -> Result<(), journal::Error> {
        let trusted = self.wait.is_zero() && !journal.has_moved();
        if trusted || journal.head().sequence == Sequence::ZERO {
            return journal.go_on();
        }
        let epoch = journal.identity().epoch().next();
        warn!(store = %self.store, %epoch, "no centre says what it has seen of the journal; it begins a new life");
        journal.begin_life(epoch)
    }

    /// What a centre has seen; `None` when the store is not to wait for that any longer.
    fn ask(
        &self,
        journal: &Journal,
        digest: Digest,
        standing: &Standing,
        cancel: &CancellationToken,
    ) -> Result<Option<JournalWitnessed>, Halt> {
        if self.wait.is_zero() {
            return Ok(None);
        }
        let hello = self.hello(journal, digest);
        let mut retry = Retry::default();
        let deadline = Instant::now() + self.wait;
        loop {
            let asked = witness::ask(self, &hello, deadline, cancel);
            if cancel.is_cancelled() {
                return Err(Halt::Stopped);
            }
            match asked {
                Ok(Some(seen)) => return Ok(Some(seen)),
                Ok(None) => {}
                Err(trouble) => warn!(store = %self.store, %trouble, "the centre cannot be asked"),
            }
            if Instant::now() < deadline {
                retry.pause(cancel);
                continue;
            }
            if self.unwitnessed == Unwitnessed::Serve {
                return Ok(None);
            }
            if standing.stage() != Stage::Held {
                warn!(store = %self.store, "no centre answers; the store waits for one, as it was told to");
            }
            standing.set(Stage::Held);
            let again = witness::ask(self, &hello, Instant::now() + self.wait, cancel);
            if let Ok(Some(seen)) = again {
                return Ok(Some(seen));
            }
        }
    }

    fn hello(&self, journal: &Journal, digest: Digest) -> Heartbeat {
        let (identity, head) = (journal.identity(), journal.head());
        Heartbeat {
            store_id: self.store.clone(),
            epoch: identity.epoch(),
            head: head.sequence,
            head_hash: head.hash.to_string(),
            published_through: journal.published_through().min(head.sequence),
            digest: digest.to_string(),
            sent_at: now(),
            location: self.location,
            lineage: identity.told(),
            opening: true,
        }
    }

    /// Fetches lost events until the broker has no more of them.
    fn refill(
        &self,
        journal: &mut Journal,
        seen: &JournalWitnessed,
        standing: &Standing,
        refilled: &mut dyn Refilled,
        cancel: &CancellationToken,
    ) -> Result<(), Halt> {
        let Some(lives) = seen.lives() else {
            return Ok(());
        };
        let mut retry = Retry::default();
        let mut refilling = Refilling { journal, standing, refilled, events: 0 };
        standing.set(Stage::Refilling { events: 0 });
        loop {
            let after = refilling.journal.head().sequence;
            match refill::fetch(self, &lives, after, &mut refilling, cancel) {
                Ok(()) => return Ok(()),
                Err(refill::Halt::Journal(fatal)) => return Err(Halt::Journal(fatal)),
                Err(refill::Halt::Broker(BrokerError::Cancelled)) => return Err(Halt::Stopped),
                Err(refill::Halt::Broker(error)) => {
                    warn!(store = %self.store, %error, "lost events cannot be fetched; trying again");
                }
            }
            if !retry.pause(cancel) {
                return Err(Halt::Stopped);
            }
        }
    }
}

/// Puts events that come back where they belong.
struct Refilling<'a> {
    journal: &'a mut Journal,
    standing: &'a Standing,
    refilled: &'a mut dyn Refilled,
    events: u64,
}

impl refill::Sink for Refilling<'_> {
    fn deliver(&mut self, events: &[RecordedEvent]) -> Result<(), journal::Error> {
        self.journal.refill(events)?;
        events.iter().for_each(|event| self.refilled.take(event));
        self.events += u64::try_from(events.len()).unwrap_or_default();
        self.standing.set(Stage::Refilling { events: self.events });
        Ok(())
    }

    fn progress(&mut self, progress: Progress) {
        self.refilled.progress(progress);
    }
}

/// How many events that were seen are not in the journal.
pub(crate) fn lost(journal: &Journal, seen: &JournalWitnessed) -> u64 {
    let head = journal.head().sequence;
    let later = journal.identity().lineage.lives(head).find(|(life, _)| life.epoch > seen.epoch);
    let end = later.map_or_else(|| head.get(), |(life, _)| life.from.get().saturating_sub(1));
    seen.head.get().saturating_sub(end)
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_millis(clock::unix_millis())
        .expect("the clock is between years 1 and 9999")
}
