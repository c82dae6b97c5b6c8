//! The digest of a shelf as it was a moment ago.
//!
//! A store that sells is ahead of its last heartbeat all day, and so is who follows it: what is applied
//! and what was reported are hardly ever the same position. The trail keeps the newest changes, so that
//! the digest can be taken back to the position a store reported, and be compared there.

use std::collections::BTreeMap;

use shared_events::{Epoch, Sequence, Sku};

use crate::digest::{Digest, item_hash, sku_hash};
use crate::stock_item::StockItem;

/// A place in all lives of a journal.
pub type Place = (Epoch, Sequence);

/// Changes kept at most. A store reports its head once a second; with more events than this beyond what
/// it reported nothing can be compared until the next report.
pub const MAX_CHANGES: usize = 16_384;

/// What an event did to an item, as hashes.
#[derive(Debug, Clone, Copy)]
struct Change {
    sku: u64,
    /// The event that made the item what it was before.
    since: Place,
    before: u128,
    after: u128,
}

/// The newest changes of a shelf, by the events that made them.
#[derive(Debug, Clone, Default)]
pub struct DigestTrail {
    changes: BTreeMap<Place, Change>,
    /// Nobody will ask for a place before this one.
    reported: Place,
    /// How the shelf was before this place is not known.
    from: Place,
}

impl DigestTrail {
    /// The shelf holds something from this place, and the change that led there is not known.
    pub fn begin(&mut self, at: Place) {
        self.from = self.from.max(at);
    }

    /// An event changed an item: the newest one of that item so far. `before`: what the item was, and
    /// since which event; none for an item that was never there.
    pub fn changed(
        &mut self,
        at: Place,
        sku: &Sku,
        before: Option<(Place, StockItem)>,
        after: &StockItem,
    ) {
        if at <= self.reported {
            return;
        }
        let (since, before) = before.unwrap_or_default();
        let (before, after) = (item_hash(sku, &before), item_hash(sku, after));
        self.changes.insert(at, Change { sku: sku_hash(sku), since, before, after });
        if self.changes.len() > MAX_CHANGES
            && let Some((oldest, _)) = self.changes.pop_first()
        {
            self.from = self.from.max(oldest);
        }
    }

    /// An event of an item came after a newer one of it, which stands. In between the item was as the
    /// late event says.
    pub fn passed_over(&mut self, at: Place, sku: &Sku, item: &StockItem) {
        let (of, after) = (sku_hash(sku), item_hash(sku, item));
        let next = self.changes.range_mut(at..).find(|(_, change)| change.sku == of);
        // Where the newer change is forgotten, so is everything that would be asked about this one.
        if let Some((_, next)) = next.filter(|(_, next)| next.since < at) {
            let before = std::mem::replace(&mut next.before, after);
            let since = std::mem::replace(&mut next.since, at);
            if at > self.reported {
                self.changes.insert(at, Change { sku: of, since, before, after });
            }
        }
    }

    /// The store has reported this place: nobody will ask for an earlier one.
    pub fn forget_before(&mut self, place: Place) {
        self.reported = self.reported.max(place);
        while let Some(oldest) = self.changes.first_entry()
            && *oldest.key() <= place
        {
            oldest.remove();
        }
    }

    /// The digest as it was at a place, from what it is now; `None` when that is not known any more.
    #[must_use]
    pub fn back_to(&self, place: Place, now: Digest) -> Option<Digest> {
        let beyond = self.changes.range(place..).filter(|(at, _)| **at > place);
        let undone =
            |digest: Digest, (_, change): (_, &Change)| digest.swap(change.after, change.before);
        (self.from <= place).then(|| beyond.fold(now, undone))
    }
}

#[cfg(test)]
mod tests {
    use shared_events::Version;

    use super::*;

    fn item(units: i64) -> StockItem {
        StockItem { on_hand: units, reserved: 0, version: Version::new(units.unsigned_abs()) }
    }

    fn was(since: u64, units: i64) -> Option<(Place, StockItem)> {
        Some((at(since), item(units)))
    }

    fn at(sequence: u64) -> Place {
        (Epoch::new(1), Sequence::new(sequence))
    }

    fn shelf(x: i64, y: i64) -> Digest {
        let (x, y) = (item(x), item(y));
        let digest = Digest::default().replace(&sku("X"), &StockItem::default(), &x);
        digest.replace(&sku("Y"), &StockItem::default(), &y)
    }

    fn sku(name: &str) -> Sku {
        name.parse().unwrap()
    }

    #[test]
    fn the_digest_can_be_taken_back_to_what_was_reported() {
        let mut trail = DigestTrail::default();
        trail.changed(at(5), &sku("X"), was(0, 1), &item(2));
        trail.changed(at(7), &sku("X"), was(5, 2), &item(3));
        trail.changed(at(6), &sku("Y"), was(0, 4), &item(5));
        let now = shelf(3, 5);
        for (place, then) in [(4, shelf(1, 4)), (5, shelf(2, 4)), (6, shelf(2, 5)), (7, now)] {
            assert_eq!(trail.back_to(at(place), now), Some(then), "at {place}");
        }
        trail.forget_before(at(6));
        assert_eq!(trail.back_to(at(6), now), Some(shelf(2, 5)), "later places are still known");
    }

    #[test]
    fn a_late_event_is_put_where_it_belongs() {
        let mut trail = DigestTrail::default();
        trail.changed(at(7), &sku("X"), was(0, 1), &item(3));
        trail.passed_over(at(5), &sku("X"), &item(2));
        let now = shelf(3, 4);
        for (place, x) in [(4, 1), (5, 2), (6, 2), (7, 3)] {
            assert_eq!(trail.back_to(at(place), now), Some(shelf(x, 4)), "at {place}");
        }
        trail.forget_before(at(6));
        trail.passed_over(at(6), &sku("X"), &item(9));
        assert_eq!(trail.back_to(at(6), now), Some(shelf(9, 4)), "also right where it reported");
        trail.forget_before(at(7));
        trail.passed_over(at(4), &sku("X"), &item(8));
        assert_eq!(trail.back_to(at(7), now), Some(now));
    }

    /// A lost event comes again when its item has been sold before and behind the report.
    #[test]
    fn a_late_event_changes_nothing_behind_the_next_one_of_its_item() {
        let mut trail = DigestTrail::default();
        trail.changed(at(6), &sku("X"), was(0, 1), &item(2));
        trail.forget_before(at(6));
        trail.changed(at(7), &sku("X"), was(6, 2), &item(3));
        trail.passed_over(at(5), &sku("X"), &item(9));
        assert_eq!(trail.back_to(at(6), shelf(3, 4)), Some(shelf(2, 4)));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let mut trail = DigestTrail::default();
        trail.begin(at(9));
        assert_eq!(trail.back_to(at(8), shelf(1, 1)), None);
        assert_eq!(trail.back_to(at(9), shelf(1, 1)), Some(shelf(1, 1)));
        for (sequence, units) in (10..).zip(1..=i64::try_from(MAX_CHANGES).unwrap() + 1) {
            trail.changed(at(sequence), &sku("X"), was(sequence - 1, units), &item(units + 1));
        }
        assert_eq!(trail.back_to(at(9), shelf(1, 1)), None, "it keeps no more than it says");
        assert!(trail.back_to(at(10), shelf(1, 1)).is_some());
    }
}
