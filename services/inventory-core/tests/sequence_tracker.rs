//! The sequence tracker against a plain set: what it says is new, how far it is, what it misses and
//! what it stores, for orders that real partitions and redeliveries produce.

use std::collections::{BTreeMap, BTreeSet};

use inventory_core::SequenceTracker;
use inventory_core::sequence_tracker::{CHUNK_BITS, Chunk};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use shared_events::Sequence;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Where words and chunks meet, and far away.
const EDGES: [u64; 9] = [0, 64, 128, 4_032, 4_096, 4_160, 8_192, 12_288, 1 << 32];

/// All that was applied: everything through `base`, and a set.
#[derive(Debug, Clone, Default)]
struct Model {
    base: u64,
    set: BTreeSet<u64>,
}

impl Model {
    fn record(&mut self, sequence: u64) -> bool {
        sequence > self.base && self.set.insert(sequence)
    }

    fn applied_through(&self) -> u64 {
        (self.base..).find(|sequence| !self.set.contains(&(sequence + 1))).unwrap_or_default()
    }

    fn missing_through(&self, head: u64) -> u64 {
        let applied = self.set.iter().filter(|sequence| **sequence <= head).count();
        head.saturating_sub(self.base) - u64::try_from(applied).unwrap_or_default()
    }
}

/// A tracker with the rows it has stored, as the centre keeps it.
#[derive(Debug, Clone, Default)]
struct Stored {
    applied_through: Sequence,
    chunks: BTreeMap<u64, Chunk>,
}

impl Stored {
    fn save(&mut self, tracker: &mut SequenceTracker) {
        let changes = tracker.take_changes();
        self.applied_through = changes.applied_through;
        for (index, chunk) in changes.chunks {
            match chunk {
                Some(chunk) => self.chunks.insert(index, chunk),
                None => self.chunks.remove(&index),
            };
        }
    }

    fn load(&self) -> SequenceTracker {
        SequenceTracker::restore(self.applied_through, self.chunks.clone())
    }
}

fn compare(tracker: &SequenceTracker, model: &Model, heads: &[u64]) -> Result<(), TestCaseError> {
    let applied_through = model.applied_through();
    prop_assert_eq!(tracker.applied_through().get(), applied_through);
    let near = applied_through.saturating_sub(70)..applied_through + 70;
    let newest = model.set.last().copied();
    for head in near.step_by(23).chain(newest).chain(heads.iter().copied()) {
        let missing = tracker.missing_through(Sequence::new(head));
        prop_assert_eq!(missing, model.missing_through(head), "missing through {}", head);
    }
    Ok(())
}

/// Nothing is kept in memory but the number up to which everything is applied.
fn holds_nothing_beyond(tracker: &SequenceTracker, total: u64) -> Result<(), TestCaseError> {
    let mut tracker = tracker.clone();
    tracker.take_changes();
    let nothing_beyond = SequenceTracker::restore(Sequence::new(total), BTreeMap::new());
    prop_assert_eq!(tracker, nothing_beyond);
    Ok(())
}

#[derive(Debug, Clone)]
enum Step {
    Record(u64),
    /// The oldest event that is missing arrives.
    RecordNext,
    /// The transaction commits.
    Save,
    /// The process dies and starts again from what was saved.
    Crash,
}

/// A place to start from, and sequences around it: mostly near, so that runs close, some far away.
fn story() -> impl Strategy<Value = (u64, Vec<Step>, Vec<u64>)> {
    let base = (select(&EDGES[..]), 0..70_u64).prop_map(|(edge, off)| edge.saturating_sub(off));
    base.prop_flat_map(|base| {
        let edge =
            (select(&EDGES[..]), 0..4_u64).prop_map(|(edge, off)| (edge + 1).saturating_sub(off));
        let sequence = prop_oneof![
            12 => base..base + 100,
            2 => base..base + 2 * CHUNK_BITS,
            1 => edge,
            1 => 1..=Sequence::MAX.get(),
        ];
        let step = prop_oneof![
            12 => Just(Step::RecordNext),
            20 => sequence.clone().prop_map(Step::Record),
            2 => Just(Step::Save),
            1 => Just(Step::Crash),
        ];
        (Just(base), vec(step, 1..150), vec(sequence, 4))
    })
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_tracker_is_a_set(story in story()) {
        let (base, steps, heads) = story;
        let mut stored = Stored { applied_through: Sequence::new(base), ..Stored::default() };
        let mut saved = Model { base, set: BTreeSet::new() };
        let (mut tracker, mut model) = (stored.load(), saved.clone());
        for step in steps {
            let sequence = match step {
                Step::Record(sequence) => sequence,
                Step::RecordNext => model.applied_through() + 1,
                Step::Save => {
                    stored.save(&mut tracker);
                    saved = model.clone();
                    prop_assert_eq!(&stored.load(), &tracker);
                    continue;
                }
                Step::Crash => {
                    (tracker, model) = (stored.load(), saved.clone());
                    continue;
                }
            };
            let new = tracker.record(Sequence::new(sequence));
            prop_assert_eq!(new, model.record(sequence), "record {}", sequence);
            prop_assert!(!tracker.clone().record(Sequence::new(sequence)));
            compare(&tracker, &model, &heads)?;
        }
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn every_order_of_everything_leaves_nothing_behind(
        order in select(&[1, 63, 64, 65, 127, 128, 4_095, 4_096, 4_097, 8_200_u64][..])
            .prop_flat_map(|length| Just(Vec::from_iter(1..=length)).prop_shuffle()),
    ) {
        let length = order.iter().copied().max().unwrap();
        let (mut tracker, mut stored) = (SequenceTracker::default(), Stored::default());
        for (count, sequence) in (1_u64..).zip(&order) {
            prop_assert!(tracker.record(Sequence::new(*sequence)));
            prop_assert_eq!(tracker.missing_through(Sequence::new(length)), length - count);
            if count % 97 == 0 {
                stored.save(&mut tracker);
            }
        }
        stored.save(&mut tracker);
        prop_assert_eq!(&stored.chunks, &BTreeMap::new());
        holds_nothing_beyond(&tracker, length)?;
    }
}

proptest! {
    #![proptest_config(config(32))]

    /// One journal over many partitions: each in order, read in batches, one later than another.
    #[test]
    fn partitions_that_are_read_unevenly_keep_memory_small(
        partitions in 2..13_u64,
        batches in vec((any::<u64>(), 1..400_usize), 1..40),
    ) {
        let total = 9_000;
        let newest_first = |partition| {
            (1..=total).rev().filter(|sequence| sequence % partitions == partition).collect()
        };
        let mut queues: Vec<Vec<u64>> = (0..partitions).map(newest_first).collect();
        let (mut tracker, mut model) = (SequenceTracker::default(), Model::default());
        let all = (0..partitions).map(|partition| (partition, usize::MAX));
        for (partition, size) in batches.into_iter().chain(all) {
            let queue = &mut queues[usize::try_from(partition % partitions).unwrap()];
            for sequence in queue.split_off(queue.len().saturating_sub(size)).into_iter().rev() {
                prop_assert!(tracker.record(Sequence::new(sequence)));
                model.record(sequence);
            }
            compare(&tracker, &model, &[total])?;
            let changes = tracker.clone().take_changes();
            let held = changes.chunks.iter().filter(|(_, chunk)| chunk.is_some()).count();
            let behind = (tracker.applied_through().get() + 1) / CHUNK_BITS;
            prop_assert!(u64::try_from(held).unwrap() <= total / CHUNK_BITS + 1 - behind);
        }
        holds_nothing_beyond(&tracker, total)?;
    }
}

#[test]
fn one_hole_at_any_edge_is_found_and_closed() {
    for hole in [1, 2, 63, 64, 65, 4_094, 4_095, 4_096, 4_097, 4_098, 8_191, 8_192, 8_193] {
        for length in [hole, hole + 1, hole + 64, 8_300] {
            let (mut tracker, mut model) = (SequenceTracker::default(), Model::default());
            for sequence in (1..=length).filter(|sequence| *sequence != hole) {
                assert!(tracker.record(Sequence::new(sequence)));
                model.record(sequence);
            }
            compare(&tracker, &model, &[0, 1, hole, length, length + 1, 20_000]).unwrap();
            assert!(tracker.record(Sequence::new(hole)));
            model.record(hole);
            compare(&tracker, &model, &[0, 1, hole, length, length + 1, 20_000]).unwrap();
            holds_nothing_beyond(&tracker, length).unwrap();
        }
    }
}

#[test]
fn the_last_number_of_all_ends_the_run() {
    let mut tracker = SequenceTracker::restore(Sequence::new(u64::MAX - 2), BTreeMap::new());
    assert!(tracker.record(Sequence::new(u64::MAX)));
    assert_eq!(tracker.missing_through(Sequence::new(u64::MAX)), 1);
    assert!(tracker.record(Sequence::new(u64::MAX - 1)));
    assert!(!tracker.record(Sequence::new(u64::MAX)));
    holds_nothing_beyond(&tracker, u64::MAX).unwrap();
}
