//! Comparing a store's levels with its journal, all of it: the repair of whatever went wrong.
//!
//! The store publishes its journal again, a window at a time; what that leads to is gathered beside the
//! levels that are shown. Once it is complete and has the digest that the store reports, it takes their
//! place. The journal is the authority: what it does not have did not happen.

use std::collections::HashMap;

use inventory_core::{Digest, DigestTrail, SequenceTracker};
use shared_events::{Epoch, EventId, Lineage, RecordedEvent, Sequence, Sku, Timestamp};

use crate::commitments::Commitments;
use crate::projection::{commitment, level};
use crate::read_model::{Level, StoreIndex};
use crate::store::{EVENTS_PER_REPLAY, Witness};

/// Longest pause between two attempts that did not help, in milliseconds.
const PAUSE_MS_MAX: u64 = 600_000;
/// How long a window may bring nothing before it is asked for again, in milliseconds.
const SILENCE_MS: u64 = 5_000;

/// What a journal leads to.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) levels: HashMap<Sku, Level>,
    pub(crate) commitments: HashMap<Sku, Commitments>,
    pub(crate) digest: Digest,
    pub(crate) trail: DigestTrail,
    pub(crate) tracker: SequenceTracker,
}

/// How the last comparison ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The levels were the journal's, or are now; so many items were corrected.
    Equal {
        /// Items that were not as the journal has them.
        corrected: u64,
    },
    /// Everything the store published again does not have the digest it reports.
    Unexplained,
}

/// How a comparison stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether one is wanted that has not begun yet.
    pub wanted: bool,
    /// Since when one is running.
    pub running_since: Option<Timestamp>,
    /// The journal's end, as far as it is known to the one that runs or ran last.
    pub through: Sequence,
    /// Events of it that have come.
    pub received: u64,
    /// How the last one ended, and when.
    pub last: Option<(Outcome, Timestamp)>,
}

/// The comparison of one store, running or not.
#[derive(Debug)]
pub(crate) struct Resync {
    run: Option<Run>,
    diverged_at_ms: Option<u64>,
    grace_ms: u64,
    pause_ms: u64,
    status: Status,
}

#[derive(Debug)]
struct Run {
    lineage: Lineage,
    gathered: Gathered,
    asked_through: Sequence,
    progress_at_ms: u64,
    missing: u64,
    silence_ms: u64,
    /// What was asked for did not come: others need not wait for this one.
    silent: bool,
}

impl Resync {
    pub(crate) const fn new(grace_ms: u64) -> Self {
        let status = Status {
            wanted: false,
            running_since: None,
            through: Sequence::ZERO,
            received: 0,
            last: None,
        };
        Self { run: None, diverged_at_ms: None, grace_ms, pause_ms: grace_ms, status }
    }

    /// Somebody wants to be sure.
    pub(crate) fn request(&mut self) {
        self.status.wanted = true;
    }

    pub(crate) const fn status(&self) -> Status {
        self.status
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Whether one is running, and its store answers.
    pub(crate) fn is_moving(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.silent)
    }

    /// Begins a comparison when one is wanted: by somebody, or since the digests have differed for a
    /// while. One that did not help is not repeated before twice the pause.
    pub(crate) fn begin(
        &mut self,
        now_ms: u64,
        now: Timestamp,
        witness: &Witness,
        differs: bool,
    ) -> bool {
        if !differs {
            self.diverged_at_ms = None;
        }
        // A store that has never reported has said nothing that could be compared.
        if self.run.is_some() || witness.epoch == Epoch::ZERO {
            return false;
        }
        let since = differs.then(|| *self.diverged_at_ms.get_or_insert(now_ms));
        let due = since.is_some_and(|since| now_ms.saturating_sub(since) >= self.pause_ms);
        if !due && !self.status.wanted {
            return false;
        }
        if due {
            self.pause_ms = self.pause_ms.saturating_mul(2).min(PAUSE_MS_MAX);
            self.diverged_at_ms = None;
        }
        self.status.wanted = false;
        self.status.running_since = Some(now);
        self.start(now_ms, witness);
        true
    }

    fn start(&mut self, now_ms: u64, witness: &Witness) {
        self.status.received = 0;
        let lineage = witness.lives();
        let mut gathered = Gathered::default();
        let first = lineage.lives(witness.head).next();
        let before = first.map_or(0, |(life, _)| life.from.get().saturating_sub(1));
        gathered.tracker.begin_behind(Sequence::new(before));
        self.run = Some(Run {
            lineage,
            asked_through: Sequence::new(before),
            gathered,
            progress_at_ms: now_ms,
            missing: 0,
            silence_ms: self.patience_ms(),
            silent: false,
        });
    }

    /// The part of the journal to ask for now: the next window once the one before has come, or what is
    /// missing of it when nothing comes any more.
    pub(crate) fn next_ask(
        &mut self,
        now_ms: u64,
        witness: &Witness,
    ) -> Option<(Sequence, Sequence)> {
        let patience_ms = self.patience_ms();
        let run = self.run.as_mut()?;
        if run.lineage != witness.lives() {
            self.start(now_ms, witness);
            return self.next_ask(now_ms, witness);
        }
        self.status.through = witness.head;
        let applied = run.gathered.tracker.applied_through();
        if applied >= witness.head {
            return None;
        }
        let missing = run.gathered.tracker.missing_through(run.asked_through);
        if missing < run.missing {
            (run.missing, run.progress_at_ms) = (missing, now_ms);
            (run.silent, run.silence_ms) = (false, patience_ms);
        }
        if applied < run.asked_through {
            if now_ms.saturating_sub(run.progress_at_ms) < run.silence_ms {
                return None;
            }
            run.silence_ms = run.silence_ms.saturating_mul(2).min(PAUSE_MS_MAX);
            run.silent = true;
        } else {
            let window = Sequence::new(applied.get().saturating_add(EVENTS_PER_REPLAY));
            run.asked_through = window.min(witness.head);
            run.missing = run.gathered.tracker.missing_through(run.asked_through);
        }
        run.progress_at_ms = now_ms;
        Some((applied.next(), run.asked_through))
    }

    fn patience_ms(&self) -> u64 {
        SILENCE_MS.max(self.grace_ms)
    }

    /// Takes an event of the store, new to the centre or not.
    pub(crate) fn take(&mut self, store: StoreIndex, event: &RecordedEvent) {
        let Some(run) = &mut self.run else {
            return;
        };
        let written = run.lineage.epoch_of(event.id.sequence) == Some(event.id.epoch);
        if !written || !run.gathered.tracker.record(event.id.sequence) {
            return;
        }
        self.status.received += 1;
        run.gathered.take(store, event);
    }

    /// Takes note of an event that nobody here understands.
    pub(crate) fn pass_over(&mut self, id: &EventId) {
        if let Some(run) = &mut self.run
            && run.lineage.epoch_of(id.sequence) == Some(id.epoch)
        {
            run.gathered.tracker.record(id.sequence);
        }
    }

    /// What was gathered, once it is all there is and has the digest the store reports.
    pub(crate) fn conclude(&mut self, witness: &Witness, now: Timestamp) -> Option<Gathered> {
        let run = self.run.as_ref()?;
        let whole = run.lineage == witness.lives()
            && run.gathered.tracker.missing_through(witness.head) == 0;
        // The store goes on selling: what came after its report is taken back.
        let place = (witness.epoch, witness.head);
        let there = run.gathered.trail.back_to(place, run.gathered.digest).filter(|_| whole)?;
        let gathered = self.run.take().map(|run| run.gathered)?;
        self.status.running_since = None;
        if there.to_string() == witness.digest {
            return Some(gathered);
        }
        self.status.last = Some((Outcome::Unexplained, now));
        tracing::error!(digest = %there, reported = witness.digest,
            "a store's journal does not lead to the digest it reports");
        None
    }

    /// What was gathered is shown now.
    pub(crate) fn shown(&mut self, corrected: u64, now: Timestamp) {
        self.pause_ms = self.grace_ms;
        self.diverged_at_ms = None;
        self.status.last = Some((Outcome::Equal { corrected }, now));
    }
}

impl Gathered {
    fn take(&mut self, store: StoreIndex, event: &RecordedEvent) {
        let known = self.levels.get(&event.sku);
        if let Some(level) = level(store, event) {
            let at = level.place();
            if known.is_some_and(|known| known.place() >= at) {
                self.trail.passed_over(at, &event.sku, &level.item());
            } else {
                let before = known.map(|known| (known.place(), known.item()));
                let (_, was) = before.unwrap_or_default();
                self.digest = self.digest.replace(&event.sku, &was, &level.item());
                self.trail.changed(at, &event.sku, before, &level.item());
                self.levels.insert(event.sku.clone(), level);
            }
        }
        if let Some((key, change)) = commitment(event) {
            self.commitments.entry(event.sku.clone()).or_default().apply(key, change);
        }
    }
}

#[cfg(test)]
mod tests;
