//! How a journal compares with what a centre has seen of it.
//!
//! A journal alone cannot know that its end is missing: a restored backup is whole in itself. What
//! others have seen of it can tell.

use shared_events::command::JournalWitnessed;
use shared_events::{Epoch, Sequence};

/// What a comparison shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The journal has everything that was seen.
    Whole,
    /// What was seen belongs to an earlier life; the one that is lived now is not known there yet.
    Earlier,
    /// The journal's end is missing: a backup was restored, or the disk lost its last writes.
    Behind,
    /// Something else was seen in this life: another copy of the journal writes too.
    Forked,
    /// The journal has everything that was seen, and a later life of it has begun elsewhere.
    Superseded,
}

/// A journal, as far as the comparison needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own<'a> {
    /// Its current life.
    pub epoch: Epoch,
    /// Its newest sequence.
    pub head: Sequence,
    /// Its chain hash at the sequence that was seen; `None` where it has no event of it.
    pub hash_there: Option<&'a str>,
}

/// Compares a journal with what was seen of it.
#[must_use]
pub fn compare(own: Own<'_>, seen: &JournalWitnessed) -> Comparison {
    let same = match seen.head_hash.as_str() {
        // Only an event was seen there, no hash. What this life wrote is in its journal.
        "" => seen.epoch <= own.epoch,
        hash => own.hash_there == Some(hash),
    };
    let contained = seen.head <= own.head && same;
    if seen.epoch == Epoch::ZERO {
        Comparison::Whole
    } else if seen.epoch < own.epoch {
        Comparison::Earlier
    } else if !contained && seen.head > own.head {
        Comparison::Behind
    } else if !contained {
        Comparison::Forked
    } else if seen.epoch > own.epoch {
        Comparison::Superseded
    } else {
        Comparison::Whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seen: (u64, u64, &str), own: (u64, u64, Option<&str>), expected: Comparison) {
        let (epoch, head, hash) = seen;
        let seen = JournalWitnessed {
            epoch: Epoch::new(epoch),
            head: Sequence::new(head),
            head_hash: hash.to_owned(),
            lineage: None,
        };
        let (epoch, head, hash_there) = own;
        let own = Own { epoch: Epoch::new(epoch), head: Sequence::new(head), hash_there };
        assert_eq!(compare(own, &seen), expected);
    }

    #[test]
    fn a_journal_nobody_has_seen_is_whole() {
        check((0, 0, ""), (1, 0, None), Comparison::Whole);
        check((0, 0, ""), (1, 9, Some("a")), Comparison::Whole);
    }

    #[test]
    fn a_journal_that_has_what_was_seen_is_whole_however_far_it_went_on() {
        check((2, 9, "a"), (2, 9, Some("a")), Comparison::Whole);
        check((2, 9, "a"), (2, 500, Some("a")), Comparison::Whole);
    }

    #[test]
    fn a_restored_backup_is_behind_also_behind_a_later_life() {
        check((2, 500, "a"), (2, 450, None), Comparison::Behind);
        check((3, 500, "a"), (2, 450, None), Comparison::Behind);
        check((1, 500, "a"), (1, 0, None), Comparison::Behind);
    }

    #[test]
    fn other_contents_in_the_same_life_are_another_journal() {
        check((2, 500, "a"), (2, 500, Some("b")), Comparison::Forked);
        check((2, 500, "a"), (2, 600, Some("b")), Comparison::Forked);
        check((3, 500, "a"), (2, 600, Some("b")), Comparison::Forked);
    }

    #[test]
    fn events_that_were_seen_without_their_hash_are_the_journals_own_if_it_is_as_long() {
        check((2, 500, ""), (2, 500, Some("a")), Comparison::Whole);
        check((2, 500, ""), (2, 600, Some("a")), Comparison::Whole);
        check((2, 500, ""), (2, 499, None), Comparison::Behind);
        check((3, 500, ""), (2, 600, Some("a")), Comparison::Forked);
        check((3, 500, ""), (2, 450, None), Comparison::Behind);
    }

    #[test]
    fn a_later_life_elsewhere_wins_although_nothing_is_missing() {
        check((3, 500, "a"), (2, 500, Some("a")), Comparison::Superseded);
    }

    #[test]
    fn a_life_nobody_has_heard_of_yet_is_told_by_nobody() {
        check((2, 500, "a"), (3, 450, None), Comparison::Earlier);
    }
}
