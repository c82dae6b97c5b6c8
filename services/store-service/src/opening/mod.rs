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
use std::time::Duration;

use event_log::{Error as BrokerError, EventLog};
use inventory_core::Digest;
use inventory_core::witness::{Comparison, Own, compare};
use service_kit::clock;
use service_kit::retry::Retry;
use shared_events::command::JournalWitnessed;
use shared_events::topic::Topics;
use shared_events::{Epoch, Heartbeat, Location, RecordedEvent, Sequence, StoreId};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::now;
use crate::journal::{self, Identity, Journal};
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
    /// It may take long: who waits for the store is to be told so.
    fn held_up(&mut self);
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
        let seen = self.ask(journal, digest, standing, refilled, cancel)?;
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
                journal.begin_life(of_its_own(newest))?;
            }
            Comparison::Behind => {
                warn!(store = %self.store, head = %before, seen = %seen.head,
                    "the journal has lost its end; its events are fetched from the broker");
                self.refill(journal, &seen, standing, refilled, cancel)?;
                journal.begin_life(of_its_own(newest.max(journal.identity().epoch())))?;
            }
            Comparison::Forked | Comparison::Superseded => {
                error!(store = %self.store, head = %before, epoch = %seen.epoch, seen = %seen.head,
                    "another copy of this journal has been written; this one begins a new life, and the other will be refused");
                journal.begin_life(of_its_own(newest))?;
            }
        }
        let head = journal.head().sequence;
        let lost = match comparison {
            Comparison::Whole | Comparison::Superseded => 0,
            Comparison::Earlier | Comparison::Behind | Comparison::Forked => lost(journal, &seen),
        };
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
        let (Identity { lineage, .. }, head) = (journal.identity(), journal.head().sequence);
        // A life that wrote nothing and nobody has heard of says nothing about what is missing.
        let epoch = Some(lineage.current().epoch)
            .filter(|epoch| *epoch <= seen.epoch)
            .or_else(|| Some(lineage.written(head)?.current().epoch));
        let epoch = epoch.unwrap_or(seen.epoch);
        Ok(compare(Own { epoch, lineage, head, hash_there: hash.as_deref() }, seen))
    }

    /// Nobody could tell what was seen: what was written before may not be all.
    fn go_on_unseen(&self, journal: &mut Journal) -> Result<(), journal::Error> {
        if self.wait.is_zero() && !journal.has_moved() {
            return journal.go_on();
        }
        let epoch = of_its_own(journal.identity().epoch());
        warn!(store = %self.store, %epoch, "no centre says what it has seen of the journal; it begins a new life");
        journal.begin_life(epoch)
    }

    /// What a centre has seen; `None` when the store is not to wait for that any longer.
    fn ask(
        &self,
        journal: &Journal,
        digest: Digest,
        standing: &Standing,
        refilled: &mut dyn Refilled,
        cancel: &CancellationToken,
    ) -> Result<Option<JournalWitnessed>, Halt> {
        if self.wait.is_zero() {
            return Ok(None);
        }
        let hello = self.hello(journal, digest);
        let (mut retry, mut wait) = (Retry::default(), self.wait);
        loop {
            let bounded = witness::cancelled_after(wait, cancel);
            let bounded = bounded.token();
            while !bounded.is_cancelled() {
                match witness::ask(self, &hello, bounded) {
                    Ok(Some(seen)) => return Ok(Some(seen)),
                    Ok(None) | Err(BrokerError::Cancelled) => {}
                    Err(trouble) => {
                        warn!(store = %self.store, %trouble, "the centre cannot be asked");
                        retry.pause(bounded);
                    }
                }
            }
            if cancel.is_cancelled() {
                return Err(Halt::Stopped);
            }
            if self.unwitnessed == Unwitnessed::Serve {
                return Ok(None);
            }
            if standing.stage() != Stage::Held {
                warn!(store = %self.store, "no centre answers; the store waits for one, as it was told to");
            }
            standing.set(Stage::Held);
            refilled.held_up();
            wait = self.wait.max(witness::ASK_EVERY);
        }
    }

    /// Tells of what was written: a life that wrote nothing must not hide what was seen of those before.
    fn hello(&self, journal: &Journal, digest: Digest) -> Heartbeat {
        let head = journal.head();
        let lineage = journal.identity().lineage.written(head.sequence);
        Heartbeat {
            store_id: self.store.clone(),
            epoch: lineage.as_ref().map_or(Epoch::new(1), |lineage| lineage.current().epoch),
            head: head.sequence,
            head_hash: head.hash.to_string(),
            published_through: journal.published_through().min(head.sequence),
            digest: digest.to_string(),
            sent_at: now(),
            location: self.location,
            lineage: lineage.filter(|lineage| !lineage.is_plain()),
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
        refilling.refilled.held_up();
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
        self.refilled.held_up();
        self.refilled.progress(progress);
    }
}

/// How many events that were seen are not in the journal.
fn lost(journal: &Journal, seen: &JournalWitnessed) -> u64 {
    let (lineage, head) = (&journal.identity().lineage, journal.head().sequence);
    let shared = seen.lives().map(|lives| lineage.shared_through(head, &lives, seen.head));
    // What lies before the first is in no journal any more, and was not lost by this opening.
    let before = Sequence::new(lineage.first().get().saturating_sub(1));
    let kept = shared.map_or(seen.head, |shared| shared.max(before));
    seen.head.get().saturating_sub(kept.get())
}

/// A later epoch that no other copy of the journal comes to: what a centre has seen does not tell which
/// lives were begun and not heard of yet.
fn of_its_own(epoch: Epoch) -> Epoch {
    let by_clock = Epoch::new(clock::unix_micros()).min(Epoch::new(Epoch::MAX.get() / 2));
    epoch.next().max(by_clock)
}
