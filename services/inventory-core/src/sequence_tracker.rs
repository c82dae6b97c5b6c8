//! Which events of one store and epoch have been applied: exactly, although they arrive out of order.
//!
//! One store's events spread over partitions, so a late one looks old without being a duplicate. The
//! tracker is the dedupe (seen or not), the lag (missing up to a head) and the gap detector. It keeps
//! `applied_through` and, beyond it, one bit per event in chunks, which go away as they fill.

use std::collections::{BTreeMap, BTreeSet};

use shared_events::Sequence;

/// Bits in a chunk.
pub const CHUNK_BITS: u64 = 4_096;
const WORDS: usize = 64;

/// One run of [`CHUNK_BITS`] sequences, a bit each.
pub type Chunk = [u64; WORDS];

/// Exact record of applied sequences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SequenceTracker {
    applied_through: u64,
    beyond: BTreeMap<u64, Chunk>,
    changed: BTreeSet<u64>,
}

/// What has to be stored so that [`SequenceTracker::restore`] gives the same tracker again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerChanges {
    /// Everything up to here is applied.
    pub applied_through: Sequence,
    /// Chunks by index: to be written, or to be forgotten (`None`).
    pub chunks: Vec<(u64, Option<Chunk>)>,
}

impl SequenceTracker {
    /// Rebuilds a tracker from what was stored.
    #[must_use]
    pub fn restore(applied_through: Sequence, chunks: BTreeMap<u64, Chunk>) -> Self {
        Self { applied_through: applied_through.get(), beyond: chunks, changed: BTreeSet::new() }
    }

    /// Notes an event. `true` when it is new, `false` when it was applied before.
    pub fn record(&mut self, sequence: Sequence) -> bool {
        let sequence = sequence.get();
        if sequence <= self.applied_through {
            return false;
        }
        if sequence == self.applied_through.saturating_add(1) && self.beyond.is_empty() {
            self.applied_through = sequence;
            return true;
        }
        let (index, word, mask) = place(sequence);
        let chunk = self.beyond.entry(index).or_insert([0; WORDS]);
        let Some(bits) = chunk.get_mut(word) else {
            return false;
        };
        if *bits & mask != 0 {
            return false;
        }
        *bits |= mask;
        self.changed.insert(index);
        self.advance();
        true
    }

    /// Leaves out what lies in front of a life of the journal: everything through here belongs to others.
    pub fn begin_behind(&mut self, through: Sequence) {
        if through.get() > self.applied_through {
            self.applied_through = through.get();
            self.advance();
            self.forget_behind();
        }
    }

    /// Everything up to here is applied.
    #[must_use]
    pub const fn applied_through(&self) -> Sequence {
        Sequence::new(self.applied_through)
    }

    /// The highest sequence that is applied.
    #[must_use]
    pub fn highest(&self) -> Sequence {
        let beyond = self.beyond.last_key_value().map(|(index, chunk)| last_bit(*index, chunk));
        Sequence::new(beyond.unwrap_or_default().max(self.applied_through))
    }

    /// How many events up to `head` are not applied.
    #[must_use]
    pub fn missing_through(&self, head: Sequence) -> u64 {
        let head = head.get();
        let last = head / CHUNK_BITS;
        let seen: u64 = self
            .beyond
            .range(..=last)
            .flat_map(|(index, chunk)| {
                let start = index.saturating_mul(CHUNK_BITS);
                chunk.iter().zip(0_u64..).map(move |(bits, word)| {
                    let first = start.saturating_add(word.saturating_mul(64));
                    let above = first.saturating_add(63).saturating_sub(head).min(64);
                    let below =
                        self.applied_through.saturating_add(1).saturating_sub(first).min(64);
                    let kept = keep_low(keep_high(*bits, below), above);
                    u64::from(kept.count_ones())
                })
            })
            .sum();
        head.saturating_sub(self.applied_through).saturating_sub(seen)
    }

    /// What changed since the last call, to be stored in the transaction of the effects.
    pub fn take_changes(&mut self) -> TrackerChanges {
        let chunks = std::mem::take(&mut self.changed)
            .into_iter()
            .map(|index| (index, self.beyond.get(&index).copied()))
            .collect();
        TrackerChanges { applied_through: self.applied_through(), chunks }
    }

    /// Moves `applied_through` over what is contiguous.
    fn advance(&mut self) {
        let before = self.applied_through;
        while let Some(next) = self.applied_through.checked_add(1) {
            let (index, word, mask) = place(next);
            let Some(bits) = self.beyond.get(&index).and_then(|chunk| chunk.get(word)) else {
                break;
            };
            let run = bits.wrapping_shr(mask.trailing_zeros()).trailing_ones();
            if run == 0 {
                break;
            }
            self.applied_through = self.applied_through.saturating_add(u64::from(run));
        }
        if self.applied_through > before {
            self.forget_behind();
        }
    }

    /// Forgets chunks that hold nothing beyond `applied_through`.
    fn forget_behind(&mut self) {
        let behind = self.applied_through.saturating_add(1) / CHUNK_BITS;
        while let Some(entry) = self.beyond.first_entry()
            && (*entry.key() < behind
                || self.applied_through >= last_bit(*entry.key(), entry.get()))
        {
            self.changed.insert(*entry.key());
            entry.remove();
        }
    }
}

/// Chunk, word and mask of a sequence.
fn place(sequence: u64) -> (u64, usize, u64) {
    let bit = sequence % CHUNK_BITS;
    let word = usize::try_from(bit / 64).unwrap_or_default();
    (sequence / CHUNK_BITS, word, 1_u64.wrapping_shl(u32::try_from(bit % 64).unwrap_or_default()))
}

/// Highest sequence that a chunk has seen.
fn last_bit(index: u64, chunk: &Chunk) -> u64 {
    let start = index.saturating_mul(CHUNK_BITS);
    chunk
        .iter()
        .zip(0_u64..)
        .filter(|(bits, _)| **bits != 0)
        .map(|(bits, word)| {
            let high = 63_u64.saturating_sub(u64::from(bits.leading_zeros()));
            start.saturating_add(word.saturating_mul(64)).saturating_add(high)
        })
        .max()
        .unwrap_or_default()
}

/// Clears the lowest `count` bits.
fn keep_high(bits: u64, count: u64) -> u64 {
    bits & u64::MAX.checked_shl(u32::try_from(count).unwrap_or(64)).unwrap_or_default()
}

/// Clears the highest `count` bits.
fn keep_low(bits: u64, count: u64) -> u64 {
    bits & u64::MAX.checked_shr(u32::try_from(count).unwrap_or(64)).unwrap_or_default()
}
