//! The lives of a journal: sequences go on from one to the next, so each has one event and one epoch.

use serde::{Deserialize, Serialize};

use crate::position::{Epoch, Sequence};

/// Most lives of one journal that are told.
const MAX_LIVES: usize = 10_000;

/// One life of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Life {
    /// Its name: higher than those before.
    pub epoch: Epoch,
    /// Its first sequence. What an earlier life wrote from here on is not in the journal.
    pub from: Sequence,
}

/// All lives of a journal, the oldest first; at least one. The first begins at 1, except in a journal
/// that was refilled from a snapshot: then what lies before it is in no journal any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Life>", into = "Vec<Life>")]
pub struct Lineage {
    before: Vec<Life>,
    current: Life,
}

/// Lives that are those of no journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "lives are 1 to {MAX_LIVES}, each with a higher epoch and a higher first sequence than before"
)]
pub struct InvalidLineage;

impl Lineage {
    /// A journal that knows one life, from its first sequence.
    #[must_use]
    pub const fn new(epoch: Epoch, from: Sequence) -> Self {
        Self { before: Vec::new(), current: Life { epoch, from } }
    }

    /// The life that is being lived.
    #[must_use]
    pub const fn current(&self) -> Life {
        self.current
    }

    /// The first sequence: what lies before it is in no journal any more.
    #[must_use]
    pub fn first(&self) -> Sequence {
        self.before.first().unwrap_or(&self.current).from
    }

    /// Whether there was no other life before, and nothing is missing in front of it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.before.is_empty() && self.current.from == Sequence::new(1)
    }

    /// Begins a life behind `head`. One that wrote nothing leaves no trace.
    ///
    /// # Errors
    /// [`InvalidLineage`] when the epoch is not higher than the current one, or `head` lies before it.
    pub fn begin(&mut self, epoch: Epoch, head: Sequence) -> Result<(), InvalidLineage> {
        let from = head.next();
        if epoch <= self.current.epoch || from < self.current.from {
            return Err(InvalidLineage);
        }
        if self.current.from < from {
            self.before.push(self.current);
        }
        self.current = Life { epoch, from };
        Ok(())
    }

    /// Each life with its last sequence, in a journal that ends at `head`.
    pub fn lives(&self, head: Sequence) -> impl Iterator<Item = (Life, Sequence)> {
        let all = || self.before.iter().copied().chain([self.current]);
        let ends = all().skip(1).map(|next| Sequence::new(next.from.get().saturating_sub(1)));
        all().zip(ends.chain([head]))
    }

    /// The same without a life that wrote nothing up to `head`; `None` when none did.
    #[must_use]
    pub fn written(&self, head: Sequence) -> Option<Self> {
        if self.current.from <= head {
            return Some(self.clone());
        }
        let mut before = self.before.clone();
        let current = before.pop()?;
        Some(Self { before, current })
    }

    /// The last sequence that a journal with these lives and another one, each up to its head, have from
    /// the same life, as all before it.
    #[must_use]
    pub fn shared_through(&self, head: Sequence, other: &Self, its_head: Sequence) -> Sequence {
        let mut through = Sequence::ZERO;
        for ((life, end), (its, its_end)) in self.lives(head).zip(other.lives(its_head)) {
            if life != its {
                break;
            }
            through = end.min(its_end);
            if end != its_end {
                break;
            }
        }
        through
    }

    /// The epoch in which a sequence was written; `None` in front of the first life.
    #[must_use]
    pub fn epoch_of(&self, sequence: Sequence) -> Option<Epoch> {
        if sequence >= self.current.from {
            return Some(self.current.epoch);
        }
        let lived = self.before.iter().rev().find(|life| sequence >= life.from);
        lived.map(|life| life.epoch)
    }
}

impl TryFrom<Vec<Life>> for Lineage {
    type Error = InvalidLineage;

    fn try_from(mut lives: Vec<Life>) -> Result<Self, InvalidLineage> {
        let ascending = lives.windows(2).all(|pair| match pair {
            [one, next] => one.epoch < next.epoch && one.from < next.from,
            _ => true,
        });
        let starts = lives.first().is_some_and(|first| {
            first.epoch > Epoch::default() && first.from > Sequence::default()
        });
        if !ascending || !starts || lives.len() > MAX_LIVES {
            return Err(InvalidLineage);
        }
        let current = lives.pop().ok_or(InvalidLineage)?;
        Ok(Self { before: lives, current })
    }
}

impl From<Lineage> for Vec<Life> {
    fn from(lineage: Lineage) -> Self {
        let mut lives = lineage.before;
        lives.push(lineage.current);
        lives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(lives: &[(u64, u64)]) -> Result<Lineage, InvalidLineage> {
        let life = |(epoch, from): &(u64, u64)| Life {
            epoch: Epoch::new(*epoch),
            from: Sequence::new(*from),
        };
        Lineage::try_from(lives.iter().map(life).collect::<Vec<_>>())
    }

    #[test]
    fn each_sequence_belongs_to_the_life_that_wrote_it() {
        let known = lineage(&[(1, 1), (3, 501), (7, 600)]).unwrap();
        let epochs = [1, 500, 501, 599, 600, 9_000].map(|at| known.epoch_of(Sequence::new(at)));
        assert_eq!(epochs.map(|epoch| epoch.unwrap().get()), [1, 1, 3, 3, 7, 7]);
        let lives: Vec<_> = known
            .lives(Sequence::new(650))
            .map(|(life, end)| (life.epoch.get(), life.from.get(), end.get()))
            .collect();
        assert_eq!(lives, [(1, 1, 500), (3, 501, 599), (7, 600, 650)]);
    }

    #[test]
    fn nothing_was_written_in_front_of_a_snapshot() {
        let known = lineage(&[(4, 101)]).unwrap();
        assert_eq!(known.epoch_of(Sequence::new(100)), None);
        assert!(!known.is_plain());
    }

    #[test]
    fn a_life_that_wrote_nothing_leaves_no_trace() {
        let mut known = Lineage::new(Epoch::new(1), Sequence::new(1));
        known.begin(Epoch::new(2), Sequence::new(10)).unwrap();
        known.begin(Epoch::new(3), Sequence::new(10)).unwrap();
        assert_eq!(known, lineage(&[(1, 1), (3, 11)]).unwrap());
        let mut empty = Lineage::new(Epoch::new(1), Sequence::new(1));
        empty.begin(Epoch::new(2), Sequence::ZERO).unwrap();
        assert_eq!(empty, lineage(&[(2, 1)]).unwrap());
    }

    #[test]
    fn a_life_that_wrote_nothing_is_not_among_those_that_did() {
        let known = lineage(&[(1, 1), (3, 501)]).unwrap();
        assert_eq!(known.written(Sequence::new(501)), Some(known.clone()));
        assert_eq!(known.written(Sequence::new(500)), lineage(&[(1, 1)]).ok());
        assert_eq!(lineage(&[(3, 1)]).unwrap().written(Sequence::ZERO), None);
    }

    #[test]
    fn two_journals_share_what_the_same_lives_wrote() {
        #[track_caller]
        fn check(one: (&[(u64, u64)], u64), other: (&[(u64, u64)], u64), expected: u64) {
            let [(one, head), (other, its_head)] =
                [one, other].map(|(lives, head)| (lineage(lives).unwrap(), Sequence::new(head)));
            let shared = [
                one.shared_through(head, &other, its_head),
                other.shared_through(its_head, &one, head),
            ];
            assert_eq!(shared.map(Sequence::get), [expected; 2]);
        }
        check((&[(1, 1)], 450), (&[(1, 1)], 500), 450);
        check((&[(1, 1)], 450), (&[(1, 1), (2, 501)], 510), 450);
        check((&[(1, 1), (3, 501)], 500), (&[(1, 1), (2, 501)], 510), 500);
        check((&[(1, 1), (2, 401)], 450), (&[(1, 1), (3, 421)], 500), 400);
        check((&[(4, 501)], 600), (&[(4, 501)], 700), 600);
        check((&[(4, 501)], 600), (&[(1, 1)], 700), 0);
        check((&[(1, 1)], 0), (&[(1, 1)], 700), 0);
    }

    #[test]
    fn lives_that_contradict_each_other_are_refused() {
        let refused: [&[(u64, u64)]; 6] =
            [&[], &[(0, 1)], &[(1, 0)], &[(2, 1), (2, 5)], &[(1, 5), (2, 5)], &[(2, 1), (1, 5)]];
        for lives in refused {
            assert_eq!(lineage(lives), Err(InvalidLineage), "{lives:?}");
        }
        let mut known = Lineage::new(Epoch::new(2), Sequence::new(11));
        assert!(known.begin(Epoch::new(2), Sequence::new(20)).is_err());
        assert!(known.begin(Epoch::new(3), Sequence::new(9)).is_err());
    }
}
