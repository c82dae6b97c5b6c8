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
    /// Kept back because the store has not been heard for a while.
    pub staleness: i64,
    /// Whether the store may be sold from at all.
    pub sellable: bool,
}

impl Terms {
    /// `max(0, on_hand − reserved − holds − safety_stock − staleness)`, where what has expired is not
    /// reserved any more; 0 in a store that may not be sold from.
    #[must_use]
    pub fn available(&self) -> i64 {
        if !self.sellable {
            return 0;
        }
        let promised = self.reserved.saturating_sub(self.expired).max(0);
        let kept_back = self.safety_stock.saturating_add(self.staleness);
        available(self.on_hand, promised.saturating_add(self.holds).saturating_add(kept_back))
    }
}

/// Units of each item that a stale store keeps back: it goes on selling to customers in the shop, and
/// the longer nobody heard of it, the more of what is shown may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StalenessBuffer {
    /// From the moment it is stale.
    pub units: u32,
    /// More with each whole minute since.
    pub units_per_minute: u32,
}

impl Default for StalenessBuffer {
    fn default() -> Self {
        Self { units: 1, units_per_minute: 1 }
    }
}

impl StalenessBuffer {
    /// Units to keep back in a store that has been stale for so many milliseconds.
    #[must_use]
    pub fn units(self, stale_for_ms: u64) -> i64 {
        let minutes = i64::try_from(stale_for_ms / 60_000).unwrap_or(i64::MAX);
        minutes.saturating_mul(self.units_per_minute.into()).saturating_add(self.units.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Terms = Terms {
        on_hand: 10,
        reserved: 3,
        expired: 0,
        holds: 2,
        safety_stock: 1,
        staleness: 0,
        sellable: true,
    };

    #[test]
    fn every_term_counts_once() {
        assert_eq!(TEN.available(), 4);
        assert_eq!(Terms { expired: 2, ..TEN }.available(), 6);
        assert_eq!(Terms { staleness: 3, ..TEN }.available(), 1);
    }

    #[test]
    fn nothing_is_offered_below_zero_or_from_a_store_that_is_switched_off() {
        assert_eq!(Terms { safety_stock: 100, ..TEN }.available(), 0);
        assert_eq!(Terms { staleness: i64::MAX, ..TEN }.available(), 0);
        assert_eq!(Terms { sellable: false, ..TEN }.available(), 0);
        // An event of the expiry is here before the level it belongs to.
        assert_eq!(Terms { expired: 9, ..TEN }.available(), 7);
    }

    #[test]
    fn a_stale_store_keeps_back_more_with_every_minute() {
        let buffer = StalenessBuffer { units: 2, units_per_minute: 3 };
        for (stale_for_ms, units) in
            [(0, 2), (59_999, 2), (60_000, 5), (119_999, 5), (120_000, 8), (3_600_000, 182)]
        {
            assert_eq!(buffer.units(stale_for_ms), units, "after {stale_for_ms} ms");
        }
        let nothing = StalenessBuffer { units: 0, units_per_minute: 0 };
        assert_eq!(nothing.units(u64::MAX), 0);
        let most = StalenessBuffer { units: u32::MAX, units_per_minute: u32::MAX };
        assert!(most.units(u64::MAX) > 1_000_000_000, "and does not wrap around");
    }
}
