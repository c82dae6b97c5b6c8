//! What may be promised. One function, so that list, page and checkout cannot disagree.

/// Units that may be sold or promised: never negative, whatever a recount did to the shelf.
#[must_use]
pub fn available(on_hand: i64, reserved: i64) -> i64 {
    on_hand.saturating_sub(reserved).max(0)
}
