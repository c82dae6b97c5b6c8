//! What may be promised: one answer for shelf, list, item page, sourcing and checkout.

/// Units that may be sold or promised, by the shelf that holds them.
#[must_use]
pub const fn available(on_hand: i64, reserved: i64) -> i64 {
    let left = on_hand.saturating_sub(reserved);
    if left > 0 { left } else { 0 }
}

/// Everything that decides how much of an item in a store may be offered online, in units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Physically present.
    pub on_hand: i64,
    /// Promised to reservations, as the store says.
    pub reserved: i64,
    /// Of these, promised to reservations whose time is over.
    pub expired: i64,
    /// Asked for by reservations; the store has not answered yet.
    pub holds: i64,
    /// Not offered online by policy.
    pub safety_stock: i64,
    /// Whether the store may be sold from at all.
    pub sellable: bool,
}

impl Terms {
    /// `max(0, on_hand − reserved − holds − safety_stock)`, where what has expired is not reserved any
    /// more; 0 in a store that may not be sold from.
    #[must_use]
    pub fn available(&self) -> i64 {
        if !self.sellable {
            return 0;
        }
        let promised = self.reserved.saturating_sub(self.expired).max(0);
        let taken = promised.saturating_add(self.holds).saturating_add(self.safety_stock);
        available(self.on_hand, taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Terms =
        Terms { on_hand: 10, reserved: 3, expired: 0, holds: 2, safety_stock: 1, sellable: true };

    #[test]
    fn every_term_counts_once() {
        assert_eq!(TEN.available(), 4);
        assert_eq!(Terms { expired: 2, ..TEN }.available(), 6);
    }

    #[test]
    fn nothing_is_offered_below_zero_or_from_a_store_that_is_switched_off() {
        assert_eq!(Terms { safety_stock: 100, ..TEN }.available(), 0);
        assert_eq!(Terms { sellable: false, ..TEN }.available(), 0);
        // An event of the expiry is here before the level it belongs to.
        assert_eq!(Terms { expired: 9, ..TEN }.available(), 7);
    }
}
