//! What the centre knows of one store beside its levels.

use std::collections::HashMap;
use std::time::Instant;

use inventory_core::{Digest, DigestTrail, SequenceTracker};
use shared_events::command::{CommandEnvelope, JournalWitnessed, ReplayEvents};
use shared_events::{
    CommandId, Epoch, EventId, Heartbeat, Lineage, Location, Sequence, StoreCommand, StoreId,
    Timestamp,
};

use crate::gaps::GapWatch;
use crate::read_model::StoreView;
use crate::resync::Resync;

/// Most events asked for at once: bounds what one repair costs the store's line.
pub(crate) const EVENTS_PER_REPLAY: u64 = 50_000;
/// An event or a head so far beyond what a store has reported cannot be its own: more than a shop writes in
/// years.
const PLAUSIBLE_AHEAD: u64 = 10_000_000;
/// A store is told again that it is contradicted, as long as it goes on.
const CONTRADICT_EVERY_MS: u64 = 2_000;

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
    /// The journal's lives, where there was more than one.
    pub lineage: Option<Lineage>,
}

impl Witness {
    /// The journal's lives, once it was reported.
    #[must_use]
    pub fn told(&self) -> Option<Lineage> {
        (self.epoch > Epoch::ZERO).then(|| self.lives())
    }

    /// The journal's lives; one that was never reported has a first one.
    #[must_use]
    pub fn lives(&self) -> Lineage {
        let first = Sequence::new(1);
        self.lineage.clone().unwrap_or_else(|| Lineage::new(self.epoch, first))
    }
}

/// What the store is still to be told of its journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tell {
    #[default]
    Nothing,
    /// It asks, and waits for the answer.
    Asked,
    /// It reports what cannot be, so there is another copy of its journal.
    Contradicted,
}

/// What a heartbeat told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Of lives that were not known.
    pub(crate) reborn: bool,
    /// That so many events which the store once reported are not in its journal any more.
    pub(crate) lost: u64,
}

/// One store: what it reported, what of it was applied.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) id: StoreId,
    pub(crate) witness: Witness,
    pub(crate) trackers: HashMap<Epoch, SequenceTracker>,
    pub(crate) digest: Digest,
    pub(crate) resync: Resync,
    pub(crate) trail: DigestTrail,
    heard_at: Option<Instant>,
    location: Option<Location>,
    /// Its journal is behind what it reported in this very life: it is not the only one.
    went_back: bool,
    /// The newest event when it was last heard, if it did not report that one.
    ahead: Option<(Epoch, Sequence)>,
    /// That one is not in what it reported since: a store reports what it publishes.
    unreported: bool,
    /// Its levels here are not its own, or rest on what its journal does not have, as was told last.
    pub(crate) doubtful: bool,
    tell: Tell,
    contradicted_at_ms: Option<u64>,
    gap: GapWatch,
}

impl Store {
    pub(crate) fn new(id: StoreId, gap_grace_ms: u64) -> Self {
        Self {
            id,
            witness: Witness::default(),
            trackers: HashMap::new(),
            digest: Digest::default(),
            resync: Resync::new(gap_grace_ms),
            trail: DigestTrail::default(),
            heard_at: None,
            location: None,
            went_back: false,
            ahead: None,
            unreported: false,
            doubtful: false,
            tell: Tell::Nothing,
            contradicted_at_ms: None,
            gap: GapWatch::new(gap_grace_ms),
        }
    }

    /// Takes a heartbeat. It moves what is known of a journal forward, never back: a topic that is read
    /// again shows old ones, but a live one that is behind tells of a second copy. `arrived` of a live
    /// one: not later than it did, so that no wait in between makes it younger.
    pub(crate) fn hear(&mut self, heartbeat: &Heartbeat, arrived: Option<Instant>) -> Heard {
        let (told, known) =
            ((heartbeat.epoch, heartbeat.head), (self.witness.epoch, self.witness.head));
        if heartbeat.opening && arrived.is_some() {
            self.tell = Tell::Asked;
        }
        let other = told == known && heartbeat.head_hash != self.witness.head_hash;
        let back = told < known || (other && !self.witness.head_hash.is_empty());
        // A store that only asks does not serve yet: its age goes on.
        if arrived.is_some() && !heartbeat.opening {
            let earlier_life = heartbeat.epoch < self.witness.epoch;
            if back && self.tell == Tell::Nothing {
                self.tell = Tell::Contradicted;
            }
            if !earlier_life {
                self.heard_at = self.heard_at.max(arrived);
                self.went_back = back;
            }
        }
        if back {
            return Heard::default();
        }
        if arrived.is_some() && !heartbeat.opening {
            self.unreported = self.ahead.is_some_and(|ahead| ahead > told);
            self.ahead = self.newest().filter(|newest| *newest > told);
        }
        self.location = heartbeat.location;
        let (reborn, mut lost) = (heartbeat.epoch != self.witness.epoch, 0);
        if reborn {
            lost = self.lost(heartbeat);
            self.gap.forget();
            let lives = heartbeat.lives();
            for (life, _) in lives.lives(heartbeat.head) {
                let before = Sequence::new(life.from.get().saturating_sub(1));
                self.trackers.entry(life.epoch).or_default().begin_behind(before);
            }
        }
        self.witness = Witness {
            epoch: heartbeat.epoch,
            head: heartbeat.head,
            head_hash: heartbeat.head_hash.clone(),
            digest: heartbeat.digest.clone(),
            lineage: heartbeat.lineage.clone(),
        };
        self.trail.forget_before((heartbeat.epoch, heartbeat.head));
        Heard { reborn, lost }
    }

    /// How many events that were reported are not in the lives that a heartbeat tells of.
    fn lost(&self, heartbeat: &Heartbeat) -> u64 {
        let Witness { epoch, head, .. } = self.witness;
        if epoch == Epoch::ZERO {
            return 0;
        }
        let lives = heartbeat.lives();
        let kept = lives.shared_through(heartbeat.head, &self.witness.lives(), head);
        // What lies in front of the first life was told anew by whoever began there.
        let before = lives.first().get().saturating_sub(1);
        let lost = head.get().saturating_sub(kept.get().max(before));
        if lost > 0 {
            tracing::error!(store = %self.id, lost, reported = %head, kept = %kept,
                "the store's journal does not have what it once reported; these events are lost");
        }
        lost
    }

    /// Whether an event was written outside of the lives the store goes by: by a copy of its journal,
    /// or before it lost its end. It is no longer part of what happened.
    pub(crate) fn refuses(&self, id: &EventId) -> bool {
        let Witness { epoch, lineage, .. } = &self.witness;
        if id.epoch >= *epoch {
            return false;
        }
        // What lies in front of the first life is in no journal any more, and happened all the same.
        let lived = lineage.as_ref().map_or(Some(*epoch), |lives| lives.epoch_of(id.sequence));
        lived.is_some_and(|lived| lived != id.epoch)
    }

    /// Whether nothing in this store's journal can stand there yet, by what it last reported. One that has
    /// reported nothing may be anywhere.
    pub(crate) fn is_implausible(&self, sequence: Sequence) -> bool {
        let Witness { epoch, head, .. } = &self.witness;
        let most = head.get().saturating_add(PLAUSIBLE_AHEAD);
        *epoch > Epoch::ZERO && sequence.get() > most
    }

    /// What to ask the store for, when events are missing and do not come.
    pub(crate) fn ask(&mut self, now_ms: u64, now: Timestamp) -> Option<CommandEnvelope> {
        let (trackers, lives) = (&self.trackers, self.witness.lives());
        let head = self.witness.head;
        let missing = |through| missing_through(trackers, &lives, through);
        if !self.gap.should_ask(now_ms, head, missing) {
            return None;
        }
        let from = self.applied_through().next();
        let last = Sequence::new(from.get().saturating_add(EVENTS_PER_REPLAY - 1));
        tracing::warn!(store = %self.id, missing = self.missing(), %from, "asking for events again");
        Some(self.replay(from, head.min(last), now))
    }

    /// What to ask the store for, to compare all its levels with those known here.
    pub(crate) fn ask_to_compare(
        &mut self,
        now_ms: u64,
        now: Timestamp,
    ) -> Option<CommandEnvelope> {
        let (from, through) = self.resync.next_ask(now_ms, &self.witness)?;
        Some(self.replay(from, through, now))
    }

    /// What the store is to be told of its journal, if anything.
    pub(crate) fn tell(&mut self, now_ms: u64, now: Timestamp) -> Option<CommandEnvelope> {
        let seen = match self.tell {
            Tell::Nothing => return None,
            Tell::Asked => self.seen(),
            Tell::Contradicted => {
                let told = self.contradicted_at_ms;
                if told.is_some_and(|at| now_ms.saturating_sub(at) < CONTRADICT_EVERY_MS) {
                    return None;
                }
                self.contradicted_at_ms = Some(now_ms);
                tracing::error!(store = %self.id, epoch = %self.witness.epoch, head = %self.witness.head,
                    "another copy of this store's journal is written too; it is told to stop");
                // What was reported has a hash, which tells the copies apart.
                self.reported()
            }
        };
        self.tell = Tell::Nothing;
        let id = format!("witnessed:{}:{}", self.witness.epoch, now.unix_millis());
        Some(envelope(&self.id, &id, StoreCommand::JournalWitnessed(seen), now))
    }

    /// What was seen of the journal by heartbeats.
    fn reported(&self) -> JournalWitnessed {
        let Witness { epoch, head, head_hash, lineage, .. } = self.witness.clone();
        JournalWitnessed { epoch, head, head_hash, lineage }
    }

    /// The same, and by events whose heartbeat never came.
    fn seen(&self) -> JournalWitnessed {
        let JournalWitnessed { epoch, head, head_hash, lineage } = self.reported();
        match self.newest() {
            Some((later, beyond)) if (later, beyond) > (epoch, head) => {
                let lineage = lineage.filter(|_| later == epoch);
                JournalWitnessed { epoch: later, head: beyond, head_hash: String::new(), lineage }
            }
            _ => JournalWitnessed { epoch, head, head_hash, lineage },
        }
    }

    /// The newest event that was applied.
    fn newest(&self) -> Option<(Epoch, Sequence)> {
        let newest = self.trackers.iter().map(|(epoch, tracker)| (*epoch, tracker.highest()));
        // A tracker without events stands where its life begins.
        newest.filter(|(_, highest)| *highest > Sequence::ZERO).max()
    }

    fn replay(&self, from: Sequence, through: Sequence, now: Timestamp) -> CommandEnvelope {
        let epoch = self.witness.epoch;
        let id = format!("replay:{epoch}:{from}:{}", now.unix_millis());
        let wanted = StoreCommand::ReplayEvents(ReplayEvents { epoch, from, through });
        envelope(&self.id, &id, wanted, now)
    }

    pub(crate) fn view(&mut self) -> StoreView {
        let agrees = self.agrees();
        let differ = agrees == Some(false);
        self.doubtful = differ || self.unreported || self.has_strays();
        StoreView {
            id: self.id.clone(),
            witness: self.witness.clone(),
            applied_through: self.applied_through(),
            missing: self.missing(),
            digest: self.digest,
            // Another journal than the one it reported, or other levels.
            diverged: self.went_back || differ,
            compared: agrees.is_some(),
            resync: self.resync.status(),
            heard_at: self.heard_at,
            location: self.location,
        }
    }

    /// Whether the levels here give the digest that the store reported, at the place it reported; `None`
    /// while that cannot be told.
    fn agrees(&self) -> Option<bool> {
        let Witness { epoch, head, digest, .. } = &self.witness;
        let applied = epoch.get() > 0 && self.missing() == 0 && !self.is_overtaken();
        let here = self.trail.back_to((*epoch, *head), self.digest).filter(|_| applied)?;
        Some(*digest == here.to_string())
    }

    /// Whether events were applied that are in none of the lives the store goes by. Levels can agree all
    /// the same, once their items have been sold again; what such an event promised stays. A life that
    /// wrote nothing may look like it, for one comparison.
    fn has_strays(&self) -> bool {
        let lives = self.witness.lives();
        let end_of = |epoch| {
            let life = lives.lives(Sequence::MAX).find(|(life, _)| life.epoch == epoch);
            life.map(|(_, end)| end)
        };
        self.trackers.iter().any(|(epoch, tracker)| {
            let highest = tracker.highest();
            match end_of(*epoch) {
                Some(end) => highest > end,
                None => lives.epoch_of(highest).is_some(),
            }
        })
    }

    /// Whether events of a later life have come than the store reports: another copy's, or its own that
    /// are ahead of their heartbeat. They hide what the store says of their items.
    fn is_overtaken(&self) -> bool {
        let later = |epoch: &Epoch| *epoch > self.witness.epoch;
        self.trackers
            .iter()
            .any(|(epoch, tracker)| later(epoch) && tracker.highest() > Sequence::ZERO)
    }

    fn missing(&self) -> u64 {
        missing_through(&self.trackers, &self.witness.lives(), self.witness.head)
    }

    /// Everything up to here is applied, through all lives.
    fn applied_through(&self) -> Sequence {
        let mut through = Sequence::ZERO;
        for (life, end) in self.witness.lives().lives(self.witness.head) {
            let tracker = self.trackers.get(&life.epoch);
            let applied = tracker.map_or(Sequence::ZERO, SequenceTracker::applied_through);
            // What an earlier life wrote behind its end is not in the journal any more.
            let current = life.epoch == self.witness.epoch;
            through = through.max(if current { applied } else { applied.min(end) });
            if applied < end {
                break;
            }
        }
        through
    }
}

/// Events up to a sequence that are not applied, each counted in the life that wrote it.
fn missing_through(
    trackers: &HashMap<Epoch, SequenceTracker>,
    lives: &Lineage,
    head: Sequence,
) -> u64 {
    let of_life = |(life, end): (shared_events::Life, Sequence)| {
        let before = Sequence::new(life.from.get().saturating_sub(1));
        let end = end.min(head).max(before);
        match trackers.get(&life.epoch) {
            Some(tracker) => tracker.missing_through(end),
            None => end.get().saturating_sub(before.get()),
        }
    };
    lives.lives(head).map(of_life).sum()
}

fn envelope(store: &StoreId, id: &str, command: StoreCommand, now: Timestamp) -> CommandEnvelope {
    CommandEnvelope {
        id: CommandId::parse(id).expect("letters, digits and colons make a command id"),
        store: store.clone(),
        issued_at: now,
        principal: None,
        traceparent: None,
        command,
    }
}
