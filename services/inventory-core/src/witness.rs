//! How a journal compares with what a centre has seen of it.
//!
//! A journal alone cannot know that its end is missing: a restored backup is whole in itself. What
//! others have seen of it can tell.

use shared_events::command::JournalWitnessed;
use shared_events::{Epoch, Lineage, Sequence};

/// What a comparison shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The journal has everything that was seen.
    Whole,
    /// What was seen belongs to an earlier life; the one that is lived now is not known there yet.
    Earlier,
    /// The journal's end is missing: a backup was restored, or the disk lost its last writes.
    Behind,
    /// Something else was seen than what was written here: another copy of the journal writes too.
    Forked,
    /// The journal has everything that was seen, and a later life of it has begun elsewhere.
    Superseded,
}

/// A journal, as far as the comparison needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own<'a> {
    /// The life it goes by.
    pub epoch: Epoch,
    /// All its lives.
    pub lineage: &'a Lineage,
    /// Its newest sequence.
    pub head: Sequence,
    /// Its chain hash at the sequence that was seen; `None` where it has no event of it.
    pub hash_there: Option<&'a str>,
}

/// Compares a journal with what was seen of it.
#[must_use]
pub fn compare(own: Own<'_>, seen: &JournalWitnessed) -> Comparison {
    let Some(lives) = seen.lives() else {
        return Comparison::Whole;
    };
    // Where events were seen whose heartbeat never came, the hash is not known; the life is.
    let same = if seen.head_hash.is_empty() {
        own.lineage.epoch_of(seen.head) == Some(seen.epoch)
    } else {
        own.hash_there == Some(seen.head_hash.as_str())
    };
    let contained = seen.head <= own.head && same;
    let part_of_it = || own.lineage.shared_through(own.head, &lives, seen.head) == own.head;
    if seen.epoch < own.epoch {
        Comparison::Earlier
    } else if !contained && seen.head > own.head && part_of_it() {
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
    use shared_events::Life;

    use super::*;

    type Lives<'a> = &'a [(u64, u64)];

    fn lineage(lives: Lives<'_>) -> Lineage {
        let life = |(epoch, from): &(u64, u64)| Life {
            epoch: Epoch::new(*epoch),
            from: Sequence::new(*from),
        };
        Lineage::try_from(lives.iter().map(life).collect::<Vec<_>>()).unwrap()
    }

    #[track_caller]
    fn check(
        seen: (Lives<'_>, u64, &str),
        own: (Lives<'_>, u64, Option<&str>),
        expected: Comparison,
    ) {
        let (lives, head, hash) = seen;
        let lives = (!lives.is_empty()).then(|| lineage(lives));
        let seen = JournalWitnessed {
            epoch: lives.as_ref().map_or(Epoch::ZERO, |lives| lives.current().epoch),
            head: Sequence::new(head),
            head_hash: hash.to_owned(),
            lineage: lives,
        };
        let (lives, head, hash_there) = own;
        let lineage = &lineage(lives);
        let epoch = lineage.current().epoch;
        let own = Own { epoch, lineage, head: Sequence::new(head), hash_there };
        assert_eq!(compare(own, &seen), expected);
    }

    const ONE: Lives<'_> = &[(1, 1)];
    const TWO: Lives<'_> = &[(1, 1), (2, 401)];

    #[test]
    fn a_journal_nobody_has_seen_is_whole() {
        check((&[], 0, ""), (ONE, 0, None), Comparison::Whole);
        check((&[], 0, ""), (ONE, 9, Some("a")), Comparison::Whole);
    }

    #[test]
    fn a_journal_that_has_what_was_seen_is_whole_however_far_it_went_on() {
        check((ONE, 9, "a"), (ONE, 9, Some("a")), Comparison::Whole);
        check((TWO, 409, "a"), (TWO, 500, Some("a")), Comparison::Whole);
    }

    #[test]
    fn events_whose_heartbeat_never_came_are_known_by_their_life() {
        check((TWO, 450, ""), (TWO, 500, Some("a")), Comparison::Whole);
        check((TWO, 500, ""), (TWO, 450, None), Comparison::Behind);
        check((TWO, 450, ""), (ONE, 500, Some("a")), Comparison::Forked);
    }

    #[test]
    fn a_restored_backup_is_behind_also_behind_a_later_life() {
        check((TWO, 500, "a"), (TWO, 450, None), Comparison::Behind);
        check((TWO, 500, "a"), (ONE, 350, None), Comparison::Behind);
        check((TWO, 500, "a"), (ONE, 400, None), Comparison::Behind);
        check((ONE, 500, "a"), (ONE, 0, None), Comparison::Behind);
        check((&[(4, 501)], 700, "a"), (ONE, 0, None), Comparison::Behind);
    }

    #[test]
    fn what_was_written_behind_a_fork_is_not_made_whole_by_the_other_side() {
        check((TWO, 500, "a"), (ONE, 450, None), Comparison::Forked);
        check((&[(1, 1), (3, 421)], 500, "a"), (TWO, 450, None), Comparison::Forked);
    }

    #[test]
    fn other_contents_in_the_same_life_are_another_journal() {
        check((TWO, 500, "a"), (TWO, 500, Some("b")), Comparison::Forked);
        check((TWO, 500, "a"), (TWO, 600, Some("b")), Comparison::Forked);
        check((TWO, 500, "a"), (ONE, 600, Some("b")), Comparison::Forked);
    }

    #[test]
    fn a_later_life_elsewhere_wins_although_nothing_is_missing() {
        check((&[(1, 1), (2, 501)], 500, "a"), (ONE, 500, Some("a")), Comparison::Superseded);
    }

    #[test]
    fn a_life_nobody_has_heard_of_yet_is_told_by_nobody() {
        check((ONE, 500, "a"), (TWO, 450, None), Comparison::Earlier);
    }
}
