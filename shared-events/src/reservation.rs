//! What a store is asked to keep for a customer, and what became of it there.
//!
//! Every event about a reservation carries the whole [`Allocation`]: a centre that lost its database
//! builds each confirmed reservation anew from the stores' events alone.

use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ReservationId, Sku};
use crate::position::Version;
use crate::quantity::MAX_UNITS;
use crate::rejection::Rejection;
use crate::timestamp::Timestamp;

/// Most lines of one reservation.
pub const MAX_LINES: u32 = 1_000;

/// One line of a reservation at one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The order it is for.
    pub order_id: OrderId,
    /// Which ask of the reservation led to it, from 1; each goes to one store.
    pub attempt: u32,
    /// The line, from 1; all units of one SKU are one line.
    pub line: u32,
    /// Lines of the whole reservation.
    pub lines: u32,
    /// Units at this store.
    pub quantity: i64,
    /// Units of the whole line, in all stores.
    pub line_quantity: i64,
    /// Until when, by the centre's clock.
    pub expires_at: Timestamp,
    /// What the customer said of the stores.
    #[serde(default, skip_serializing_if = "Binding::is_any")]
    pub binding: Binding,
}

/// Which stores a customer takes the units of a reservation from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Binding {
    /// From several, if need be.
    #[default]
    Any,
    /// From any one, but all from that.
    OneStore,
    /// From this one alone.
    ThisStore,
}

impl Binding {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

impl Allocation {
    /// Whether it answers this ask of this reservation.
    #[must_use]
    pub fn is_of(&self, reservation: &ReservationId, attempt: u32) -> bool {
        self.attempt == attempt && self.reservation_id == *reservation
    }

    /// What is wrong with its numbers, if anything is.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.attempt == 0 {
            Err("attempt 0")
        } else if !(1..=self.lines).contains(&self.line) || self.lines > MAX_LINES {
            Err("line out of range")
        } else if !(1..=self.line_quantity).contains(&self.quantity)
            || self.line_quantity > MAX_UNITS
        {
            Err("quantity out of range")
        } else {
            Ok(())
        }
    }
}

/// The store keeps units for a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockReserved {
    /// The item's version after this event.
    pub version: Version,
    /// Units physically present.
    pub on_hand: i64,
    /// Units promised to reservations after this event.
    pub reserved: i64,
    /// What is kept.
    pub allocation: Allocation,
}

/// The store was asked and does not keep anything of that ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationRefused {
    /// What was asked for.
    pub allocation: Allocation,
    /// Why.
    pub reason: RefusalReason,
    /// Units of this item that could have been kept.
    pub available: i64,
}

/// Why a store did not keep what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RefusalReason {
    /// The shelf cannot cover this line.
    InsufficientStock,
    /// The ask arrived after the reservation's time.
    Expired,
}

/// The units may be sold again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationReleased {
    /// The item's version after this event.
    pub version: Version,
    /// Units physically present.
    pub on_hand: i64,
    /// Units promised to reservations after this event.
    pub reserved: i64,
    /// What was kept.
    pub allocation: Allocation,
    /// Why.
    pub reason: ReleaseReason,
}

/// Why units were let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReleaseReason {
    /// The customer does not want them any more.
    Cancelled,
    /// Nobody came in time.
    Expired,
    /// The store answered too late; others were asked meanwhile.
    TimedOut,
    /// Other lines of the reservation could not be had.
    Incomplete,
    /// Another line failed here, and all of the reservation is looked for in another store.
    Moved,
}

/// The customer has the units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationFulfilled {
    /// The item's version after this event.
    pub version: Version,
    /// Change of `on_hand`, in units: what was handed over, negative.
    pub delta: i64,
    /// Units physically present after this event.
    pub on_hand: i64,
    /// Units promised to reservations after this event.
    pub reserved: i64,
    /// What was kept.
    pub allocation: Allocation,
}

/// The store cannot keep what it had promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationBroken {
    /// The item's version after this event.
    pub version: Version,
    /// Change of `on_hand`, in units: what turned out not to be there or not to be fit, negative.
    pub delta: i64,
    /// Units physically present after this event.
    pub on_hand: i64,
    /// Units promised to reservations after this event.
    pub reserved: i64,
    /// What was kept.
    pub allocation: Allocation,
    /// Why.
    pub reason: BreakReason,
}

/// Why a promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BreakReason {
    /// A customer in the shop had the units in hand.
    Sold,
    /// A count found fewer units than were promised.
    Recounted,
    /// Staff could not find them.
    NotFound,
    /// Staff found them unfit for sale.
    Damaged,
    /// The store's journal was lost, and what is left of it knows nothing of the promise.
    Lost,
}

/// A stock command that came by the command topic was refused: its caller is not there to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockCommandRefused {
    /// Why, with the numbers.
    pub rejection: Rejection,
}

/// Keep units of several items for a customer: all of them or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReserveStock {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The order it is for.
    pub order_id: OrderId,
    /// Which ask of the reservation this is, from 1.
    pub attempt: u32,
    /// Lines of the whole reservation.
    pub lines: u32,
    /// Until when, by the centre's clock.
    pub expires_at: Timestamp,
    /// What the customer said of the stores; for the centre, should it have to ask again.
    #[serde(default, skip_serializing_if = "Binding::is_any")]
    pub binding: Binding,
    /// What is asked of this store; no SKU twice.
    pub wanted: Vec<WantedLine>,
}

/// Part of an ask: units of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedLine {
    /// The line, from 1.
    pub line: u32,
    /// The item.
    pub sku: Sku,
    /// Units asked of this store.
    pub quantity: i64,
    /// Units of the whole line, in all stores.
    pub line_quantity: i64,
}

impl ReserveStock {
    /// What the store would keep of one line.
    #[must_use]
    pub fn allocation(&self, wanted: &WantedLine) -> Allocation {
        Allocation {
            reservation_id: self.reservation_id.clone(),
            order_id: self.order_id.clone(),
            attempt: self.attempt,
            line: wanted.line,
            lines: self.lines,
            quantity: wanted.quantity,
            line_quantity: wanted.line_quantity,
            expires_at: self.expires_at,
            binding: self.binding,
        }
    }
}

/// Let go what one ask kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReservation {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The ask.
    pub attempt: u32,
    /// The items it was about.
    pub skus: Vec<Sku>,
    /// Why.
    pub reason: ReleaseReason,
}

/// The customer took units that one ask kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FulfilReservation {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The ask.
    pub attempt: u32,
    /// The items.
    pub skus: Vec<Sku>,
}
