//! What the centre knows of one store beside its levels.

use std::collections::HashMap;
use std::time::Instant;

use inventory_core::{Digest, DigestTrail, SequenceTracker};
use shared_events::command::{CommandEnvelope, ReplayEvents};
use shared_events::{
    CommandId, Epoch, Heartbeat, Location, Sequence, StoreCommand, StoreId, Timestamp,
};

use crate::gaps::GapWatch;
use crate::read_model::StoreView;

/// Most events asked for at once: bounds what one repair costs the store's line.
const EVENTS_PER_REPLAY: u64 = 50_000;

/// What a store reported about its journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witness {
    /// Life of the journal; 0 when nothing was reported yet.
    pub epoch: Epoch,
    /// Newest sequence in it.
    pub head: Sequence,
    /// Chain hash there.
    pub head_hash: String,
    /// Digest of the store's items there.
    pub digest: String,
}

/// One store: what it reported, what of it was applied.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) id: StoreId,
    pub(crate) witness: Witness,
    pub(crate) trackers: HashMap<Epoch, SequenceTracker>,
    pub(crate) digest: Digest,
    pub(crate) trail: DigestTrail,
    heard_at: Option<Instant>,
    location: Option<Location>,
    /// Its journal is behind what it once reported: another journal, or one that lost its end.
    went_back: bool,
    gap: GapWatch,
}

impl Store {
    pub(crate) fn new(id: StoreId, gap_grace_ms: u64) -> Self {
        Self {
            id,
            witness: Witness::default(),
            trackers: HashMap::new(),
            digest: Digest::default(),
            trail: DigestTrail::default(),
            heard_at: None,
            location: None,
            went_back: false,
            gap: GapWatch::new(gap_grace_ms),
        }
    }

    /// Takes a heartbeat. It moves what is known of a journal forward, never back: a topic that is
    /// read again shows old ones, but a live one that is behind tells of a journal that lost its end.
    /// `arrived` of a live one: not later than it did, so that no wait in between makes it younger.
    pub(crate) fn hear(&mut self, heartbeat: &Heartbeat, arrived: Option<Instant>) {
        let back = (heartbeat.epoch, heartbeat.head) < (self.witness.epoch, self.witness.head);
        if arrived.is_some() {
            self.heard_at = self.heard_at.max(arrived);
            self.went_back = back;
        }
        if !back {
            self.location = heartbeat.location;
            if heartbeat.epoch != self.witness.epoch {
                self.gap.forget();
            }
            self.witness = Witness {
                epoch: heartbeat.epoch,
                head: heartbeat.head,
                head_hash: heartbeat.head_hash.clone(),
                digest: heartbeat.digest.clone(),
            };
            self.trail.forget_before((heartbeat.epoch, heartbeat.head));
        }
    }

    /// What to ask the store for, when events are missing and do not come.
    pub(crate) fn ask(&mut self, now_ms: u64, now: Timestamp) -> Option<CommandEnvelope> {
        let Witness { epoch, head, .. } = self.witness;
        let tracker = self.trackers.get(&epoch);
        if !self.gap.should_ask(now_ms, head, |through| missing_through(tracker, through)) {
            return None;
        }
        let from = self.applied_through().next();
        let last = Sequence::new(from.get().saturating_add(EVENTS_PER_REPLAY - 1));
        tracing::warn!(store = %self.id, missing = self.missing(), %from, "asking for events again");
        let id = format!("replay:{epoch}:{from}:{}", now.unix_millis());
        Some(CommandEnvelope {
            id: CommandId::parse(&id).expect("digits and colons make a command id"),
            store: self.id.clone(),
            issued_at: now,
            traceparent: None,
            command: StoreCommand::ReplayEvents(ReplayEvents {
                epoch,
                from,
                through: head.min(last),
            }),
        })
    }

    pub(crate) fn view(&self) -> StoreView {
        let agrees = self.agrees();
        StoreView {
            id: self.id.clone(),
            witness: self.witness.clone(),
            applied_through: self.applied_through(),
            missing: self.missing(),
            digest: self.digest,
            // Another journal than the one it reported, or other levels.
            diverged: self.went_back || agrees == Some(false),
            compared: agrees.is_some(),
            heard_at: self.heard_at,
            location: self.location,
        }
    }

    /// Whether the levels here give the digest that the store reported, at the place it reported; `None`
    /// while that cannot be told.
    fn agrees(&self) -> Option<bool> {
        let Witness { epoch, head, digest, .. } = &self.witness;
        let applied = epoch.get() > 0 && self.missing() == 0;
        let here = self.trail.back_to((*epoch, *head), self.digest).filter(|_| applied)?;
        Some(*digest == here.to_string())
    }

    fn missing(&self) -> u64 {
        let Witness { epoch, head, .. } = self.witness;
        missing_through(self.trackers.get(&epoch), head)
    }

    fn applied_through(&self) -> Sequence {
        let tracker = self.trackers.get(&self.witness.epoch);
        tracker.map_or(Sequence::ZERO, SequenceTracker::applied_through)
    }
}

fn missing_through(tracker: Option<&SequenceTracker>, head: Sequence) -> u64 {
    tracker.map_or_else(|| head.get(), |tracker| tracker.missing_through(head))
}
