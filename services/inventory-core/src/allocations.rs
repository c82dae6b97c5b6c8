//! What a store keeps of an item for customers: the part of the rules that makes and ends promises.
//!
//! **Invariant:** `reserved` is the sum of the item's allocations, and never more than is on hand.

use shared_events::reservation::{
    BreakReason, RefusalReason, ReleaseReason, ReservationBroken, ReservationFulfilled,
    ReservationRefused, ReservationReleased, StockReserved,
};
use shared_events::{Allocation, StockEvent, Timestamp};

use crate::stock_item::{StockItem, evolve};

/// Decides an ask: all its lines are kept or none is. `wanted` holds each item once, with what is
/// asked of it; the events come with the place of their item in that list.
///
/// `deadline` is the point by the store's clock before which a reservation must expire to be refused
/// for that.
#[must_use]
pub fn reserve(
    wanted: &[(StockItem, Allocation)],
    deadline: Timestamp,
) -> Vec<(usize, StockEvent)> {
    let mut refused = Vec::new();
    for (place, (item, allocation)) in wanted.iter().enumerate() {
        let reason = if allocation.expires_at < deadline {
            RefusalReason::Expired
        } else if allocation.quantity > item.available() {
            RefusalReason::InsufficientStock
        } else {
            continue;
        };
        let refusal = ReservationRefused {
            allocation: allocation.clone(),
            reason,
            available: item.available(),
        };
        refused.push((place, StockEvent::ReservationRefused(refusal)));
    }
    if !refused.is_empty() {
        return refused;
    }
    let reserved = |(place, (item, allocation)): (usize, &(StockItem, Allocation))| {
        let event = StockEvent::Reserved(StockReserved {
            version: item.version.next(),
            on_hand: item.on_hand,
            reserved: item.reserved.saturating_add(allocation.quantity),
            allocation: allocation.clone(),
        });
        (place, event)
    };
    wanted.iter().enumerate().map(reserved).collect()
}

/// How a promise ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The units may be sold again.
    Released(ReleaseReason),
    /// The customer has them.
    Fulfilled,
    /// They cannot be handed over. What was not found or is damaged also leaves the shelf.
    Broken(BreakReason),
}

/// Ends an allocation that the item keeps.
#[must_use]
pub fn end(item: &StockItem, allocation: &Allocation, ending: Ending) -> StockEvent {
    let (version, allocation) = (item.version.next(), allocation.clone());
    let reserved = item.reserved.saturating_sub(allocation.quantity);
    let taken = allocation.quantity.min(item.on_hand);
    let gone = item.on_hand.saturating_sub(taken);
    match ending {
        Ending::Released(reason) => StockEvent::Released(ReservationReleased {
            version,
            on_hand: item.on_hand,
            reserved,
            allocation,
            reason,
        }),
        Ending::Fulfilled => StockEvent::Fulfilled(ReservationFulfilled {
            version,
            delta: taken.saturating_neg(),
            on_hand: gone,
            reserved,
            allocation,
        }),
        Ending::Broken(reason) => {
            let (delta, on_hand) = match reason {
                BreakReason::NotFound | BreakReason::Damaged => (taken.saturating_neg(), gone),
                BreakReason::Sold | BreakReason::Recounted | BreakReason::Lost => (0, item.on_hand),
            };
            let broken =
                ReservationBroken { version, delta, on_hand, reserved, allocation, reason };
            StockEvent::Broken(broken)
        }
    }
}

/// Breaks the newest promises until what is left fits into `on_hand` units.
pub(crate) fn break_newest(
    item: &StockItem,
    kept: &[Allocation],
    on_hand: i64,
    reason: BreakReason,
) -> Vec<StockEvent> {
    let mut item = *item;
    let mut events = Vec::new();
    for allocation in kept.iter().rev() {
        if item.reserved <= on_hand {
            break;
        }
        let event = end(&item, allocation, Ending::Broken(reason));
        evolve(&mut item, &event);
        events.push(event);
    }
    events
}

/// Applies what happened to an item's allocations, which stay in the order they were made.
pub fn evolve_allocations(kept: &mut Vec<Allocation>, event: &StockEvent) {
    match event {
        StockEvent::Reserved(reserved) => kept.push(reserved.allocation.clone()),
        StockEvent::Released(ReservationReleased { allocation, .. })
        | StockEvent::Fulfilled(ReservationFulfilled { allocation, .. })
        | StockEvent::Broken(ReservationBroken { allocation, .. }) => {
            // There may be very many: the newest break first, the oldest are fetched or expire first.
            let ended =
                |known: &Allocation| known.is_of(&allocation.reservation_id, allocation.attempt);
            let place = if matches!(event, StockEvent::Broken(_)) {
                kept.iter().rposition(ended)
            } else {
                kept.iter().position(ended)
            };
            if let Some(place) = place {
                kept.remove(place);
            }
        }
        StockEvent::Replaced(_)
        | StockEvent::Adjusted(_)
        | StockEvent::ReservationRefused(_)
        | StockEvent::CommandRefused(_) => {}
    }
}
