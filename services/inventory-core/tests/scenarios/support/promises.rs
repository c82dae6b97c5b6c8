//! Short words for what a store says about units kept for customers.

use shared_events::reservation::{
    Binding, BreakReason, RefusalReason, ReleaseReason, ReservationBroken, ReservationFulfilled,
    ReservationRefused, ReservationReleased, StockReserved,
};
use shared_events::{Allocation, StockEvent, Timestamp, Version};

/// When all orders of these scenarios expire, and milliseconds around it.
pub(crate) fn noon(offset: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_795_262_400_000 + offset).expect("in range")
}

/// What a customer wants of this item. The name is the order's and the reservation's.
pub(crate) fn order(name: &str, quantity: i64) -> Allocation {
    Allocation {
        reservation_id: format!("c1.{name}").parse().expect("valid"),
        order_id: name.parse().expect("valid"),
        attempt: 1,
        line: 1,
        lines: 1,
        quantity,
        line_quantity: quantity,
        expires_at: noon(0),
        binding: Binding::Any,
    }
}

/// Units are kept. As in all these words, none are reserved afterwards unless it is said.
pub(crate) fn reserved(version: u64, on_hand: i64, allocation: Allocation) -> StockEvent {
    let version = Version::new(version);
    StockEvent::Reserved(StockReserved { version, on_hand, reserved: 0, allocation })
}

/// Units are not kept.
pub(crate) fn refused(allocation: Allocation, reason: RefusalReason, available: i64) -> StockEvent {
    StockEvent::ReservationRefused(ReservationRefused { allocation, reason, available })
}

/// They may be sold again.
pub(crate) fn released(
    version: u64,
    on_hand: i64,
    allocation: Allocation,
    reason: ReleaseReason,
) -> StockEvent {
    StockEvent::Released(ReservationReleased {
        version: Version::new(version),
        on_hand,
        reserved: 0,
        allocation,
        reason,
    })
}

/// The customer has them.
pub(crate) fn fulfilled(
    version: u64,
    delta: i64,
    on_hand: i64,
    allocation: Allocation,
) -> StockEvent {
    StockEvent::Fulfilled(ReservationFulfilled {
        version: Version::new(version),
        delta,
        on_hand,
        reserved: 0,
        allocation,
    })
}

/// The customer will not get them.
pub(crate) fn broken(
    version: u64,
    delta: i64,
    on_hand: i64,
    allocation: Allocation,
    reason: BreakReason,
) -> StockEvent {
    StockEvent::Broken(ReservationBroken {
        version: Version::new(version),
        delta,
        on_hand,
        reserved: 0,
        allocation,
        reason,
    })
}
