//! What is promised of one item in one store: by the store, and by requests it has not answered.

use std::collections::BTreeMap;

use shared_events::ReservationId;

/// One ask of a reservation, in order of the reservation's end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskKey {
    /// When the reservation's time is over, in milliseconds of UTC.
    pub expires_at_ms: i64,
    /// The reservation.
    pub reservation_id: ReservationId,
    /// Which of its asks.
    pub attempt: u32,
}

/// What is known of one ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commitment {
    /// This centre has asked for so many units, and was not answered.
    Hold(i64),
    /// The store keeps so many units.
    Kept(i64),
    /// Its end was heard before its beginning, which is still on its way.
    Ended,
}

impl Commitment {
    /// What made it so, when it was the store.
    #[must_use]
    pub const fn as_change(self) -> Option<Change> {
        match self {
            Self::Kept(units) => Some(Change::Kept(units)),
            Self::Ended => Some(Change::Ended),
            Self::Hold(_) => None,
        }
    }
}

/// A change of one commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This centre asks for units.
    Hold(i64),
    /// It does not wait for an answer any more.
    Unhold,
    /// The store's event: it keeps units.
    Kept(i64),
    /// The store's event: it does not keep them any more.
    Ended,
}

/// All commitments of one item in one store.
#[derive(Debug, Clone, Default)]
pub struct Commitments {
    asks: BTreeMap<AskKey, Commitment>,
    holds: i64,
}

impl Commitments {
    /// Applies a change. Beginning and end of what a store keeps come exactly once each, in any order.
    pub fn apply(&mut self, key: AskKey, change: Change) {
        let known = self.asks.get(&key).copied();
        let next = match (change, known) {
            (Change::Hold(units), None) => Some(Commitment::Hold(units)),
            (Change::Unhold, Some(Commitment::Hold(_)))
            | (Change::Kept(_), Some(Commitment::Ended))
            | (Change::Ended, Some(Commitment::Kept(_))) => None,
            (Change::Kept(units), _) => Some(Commitment::Kept(units)),
            (Change::Ended, _) => Some(Commitment::Ended),
            (Change::Hold(_) | Change::Unhold, known) => known,
        };
        if let Some(Commitment::Hold(units)) = known {
            self.holds -= units;
        }
        if let Some(Commitment::Hold(units)) = next {
            self.holds += units;
        }
        match next {
            Some(next) => drop(self.asks.insert(key, next)),
            None => drop(self.asks.remove(&key)),
        }
    }

    /// Units asked for by reservations whose time is not over.
    #[must_use]
    pub fn holds(&self, now_ms: i64) -> i64 {
        let over = self.expired(now_ms).map(|(_, commitment)| match commitment {
            Commitment::Hold(units) => *units,
            Commitment::Kept(_) | Commitment::Ended => 0,
        });
        self.holds - over.sum::<i64>()
    }

    /// Units the store keeps for reservations whose time is over.
    #[must_use]
    pub fn expired_units(&self, now_ms: i64) -> i64 {
        let over = self.expired(now_ms).map(|(_, commitment)| match commitment {
            Commitment::Kept(units) => *units,
            Commitment::Hold(_) | Commitment::Ended => 0,
        });
        over.sum()
    }

    /// Each of them, those first whose time is over first.
    pub fn iter(&self) -> impl Iterator<Item = (&AskKey, &Commitment)> {
        self.asks.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.asks.is_empty()
    }

    fn expired(&self, now_ms: i64) -> impl Iterator<Item = (&AskKey, &Commitment)> {
        // What is over sorts first.
        self.asks.iter().take_while(move |(key, _)| key.expires_at_ms <= now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(attempt: u32, expires_at_ms: i64) -> AskKey {
        AskKey { expires_at_ms, reservation_id: "c.r".parse().unwrap(), attempt }
    }

    #[test]
    fn a_hold_becomes_what_the_store_keeps_and_nothing_counts_twice() {
        let mut all = Commitments::default();
        all.apply(key(1, 100), Change::Hold(3));
        assert_eq!((all.holds(0), all.expired_units(0)), (3, 0));
        all.apply(key(1, 100), Change::Kept(3));
        all.apply(key(1, 100), Change::Unhold);
        assert_eq!((all.holds(0), all.expired_units(100)), (0, 3));
        all.apply(key(1, 100), Change::Ended);
        assert!(all.is_empty());
    }

    #[test]
    fn an_end_that_overtakes_its_beginning_leaves_nothing() {
        let mut all = Commitments::default();
        all.apply(key(1, 100), Change::Hold(3));
        all.apply(key(1, 100), Change::Ended);
        assert_eq!(all.holds(0), 0);
        all.apply(key(1, 100), Change::Kept(3));
        assert!(all.is_empty());
    }

    #[test]
    fn a_hold_counts_until_its_time_is_over_to_the_millisecond() {
        let mut all = Commitments::default();
        all.apply(key(1, 100), Change::Hold(3));
        all.apply(key(2, 101), Change::Hold(4));
        assert_eq!(all.holds(99), 7);
        assert_eq!(all.holds(100), 4);
        assert_eq!(all.holds(101), 0);
    }
}
