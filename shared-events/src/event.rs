//! What happened at a store, and what it led to.
//!
//! Every event carries the absolute levels it produced: late, repeated or reordered delivery is then
//! harmless for levels, while the delta and the reason keep the audit readable. Readers ignore fields
//! they do not know; a field is never renamed or given another meaning within one version.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ids::{CommandId, Sku, Subject};
use crate::position::{EventId, Version};
use crate::reservation::{
    Allocation, ReservationBroken, ReservationFulfilled, ReservationRefused, ReservationReleased,
    StockCommandRefused, StockReserved,
};
use crate::text::Text;
use crate::timestamp::Timestamp;

/// The stock level was set to an absolute count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockReplaced {
    /// The item's version after this event.
    pub version: Version,
    /// Change of `on_hand`, in units.
    pub delta: i64,
    /// Units physically present after this event.
    pub on_hand: i64,
    /// Units promised to reservations after this event.
    pub reserved: i64,
    /// Why, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// The caller's document: a count sheet, a delivery note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Text>,
}

/// The stock level was changed by a difference: a sale, a return, a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockAdjusted {
    /// The item's version after this event.
    pub version: Version,
    /// Change of `on_hand`, in units. Less than asked for where the shelf fell short, see `discrepancy`.
    pub delta: i64,
    /// Units physically present after this event.
    pub on_hand: i64,
    /// Units promised to reservations after this event.
    pub reserved: i64,
    /// Units that left the shop although the books did not have them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discrepancy: i64,
    /// Why, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// The caller's document: a receipt, a delivery note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Text>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(units: &i64) -> bool {
    *units == 0
}

/// Something that happened to one item of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockEvent {
    /// See [`StockReplaced`].
    Replaced(StockReplaced),
    /// See [`StockAdjusted`].
    Adjusted(StockAdjusted),
    /// See [`StockReserved`].
    Reserved(StockReserved),
    /// See [`ReservationRefused`].
    ReservationRefused(ReservationRefused),
    /// See [`ReservationReleased`].
    Released(ReservationReleased),
    /// See [`ReservationFulfilled`].
    Fulfilled(ReservationFulfilled),
    /// See [`ReservationBroken`].
    Broken(ReservationBroken),
    /// See [`StockCommandRefused`].
    CommandRefused(StockCommandRefused),
}

/// How an item stands after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The item's version.
    pub version: Version,
    /// Change of units on hand.
    pub delta: i64,
    /// Units on hand.
    pub on_hand: i64,
    /// Units promised to reservations.
    pub reserved: i64,
}

/// Data that does not fit its event type.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEventData {
    /// A type this version does not know: a newer producer. Skip it, count it.
    #[error("unknown event type {0:?}")]
    UnknownType(String),
    /// The JSON does not have the type's shape.
    #[error("data of {event_type}: {source}")]
    Malformed {
        /// The event type that was announced.
        event_type: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
}

impl StockEvent {
    /// The `CloudEvents` type, version included.
    #[must_use]
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::Replaced(_) => STOCK_REPLACED,
            Self::Adjusted(_) => STOCK_ADJUSTED,
            Self::Reserved(_) => STOCK_RESERVED,
            Self::ReservationRefused(_) => RESERVATION_REFUSED,
            Self::Released(_) => RESERVATION_RELEASED,
            Self::Fulfilled(_) => RESERVATION_FULFILLED,
            Self::Broken(_) => RESERVATION_BROKEN,
            Self::CommandRefused(_) => STOCK_COMMAND_REFUSED,
        }
    }

    /// How the item stands afterwards; `None` for a refusal, which changes nothing.
    #[must_use]
    pub const fn levels(&self) -> Option<Levels> {
        let (version, delta, on_hand, reserved) = match self {
            Self::Replaced(e) => (e.version, e.delta, e.on_hand, e.reserved),
            Self::Adjusted(e) => (e.version, e.delta, e.on_hand, e.reserved),
            Self::Reserved(e) => (e.version, 0, e.on_hand, e.reserved),
            Self::Released(e) => (e.version, 0, e.on_hand, e.reserved),
            Self::Fulfilled(e) => (e.version, e.delta, e.on_hand, e.reserved),
            Self::Broken(e) => (e.version, e.delta, e.on_hand, e.reserved),
            Self::ReservationRefused(_) | Self::CommandRefused(_) => return None,
        };
        Some(Levels { version, delta, on_hand, reserved })
    }

    /// The part of a reservation it is about.
    #[must_use]
    pub const fn allocation(&self) -> Option<&Allocation> {
        match self {
            Self::Reserved(event) => Some(&event.allocation),
            Self::ReservationRefused(event) => Some(&event.allocation),
            Self::Released(event) => Some(&event.allocation),
            Self::Fulfilled(event) => Some(&event.allocation),
            Self::Broken(event) => Some(&event.allocation),
            Self::Replaced(_) | Self::Adjusted(_) | Self::CommandRefused(_) => None,
        }
    }

    /// The JSON data, exactly as it stands in the journal and on the broker.
    ///
    /// # Panics
    /// Never: integers and checked text always serialise.
    #[must_use]
    pub fn to_data(&self) -> String {
        let data = match self {
            Self::Replaced(event) => serde_json::to_string(event),
            Self::Adjusted(event) => serde_json::to_string(event),
            Self::Reserved(event) => serde_json::to_string(event),
            Self::ReservationRefused(event) => serde_json::to_string(event),
            Self::Released(event) => serde_json::to_string(event),
            Self::Fulfilled(event) => serde_json::to_string(event),
            Self::Broken(event) => serde_json::to_string(event),
            Self::CommandRefused(event) => serde_json::to_string(event),
        };
        data.expect("integers and checked text always serialise")
    }

    /// Reads the JSON data of a type.
    ///
    /// # Errors
    /// [`InvalidEventData`]: an unknown type, or data that is not of the type's shape.
    pub fn from_data(event_type: &str, data: &[u8]) -> Result<Self, InvalidEventData> {
        match event_type {
            STOCK_REPLACED => parse(STOCK_REPLACED, data).map(Self::Replaced),
            STOCK_ADJUSTED => parse(STOCK_ADJUSTED, data).map(Self::Adjusted),
            STOCK_RESERVED => parse(STOCK_RESERVED, data).map(Self::Reserved),
            RESERVATION_REFUSED => parse(RESERVATION_REFUSED, data).map(Self::ReservationRefused),
            RESERVATION_RELEASED => parse(RESERVATION_RELEASED, data).map(Self::Released),
            RESERVATION_FULFILLED => parse(RESERVATION_FULFILLED, data).map(Self::Fulfilled),
            RESERVATION_BROKEN => parse(RESERVATION_BROKEN, data).map(Self::Broken),
            STOCK_COMMAND_REFUSED => parse(STOCK_COMMAND_REFUSED, data).map(Self::CommandRefused),
            other => Err(InvalidEventData::UnknownType(other.to_owned())),
        }
    }
}

fn parse<T: DeserializeOwned>(
    event_type: &'static str,
    data: &[u8],
) -> Result<T, InvalidEventData> {
    serde_json::from_slice(data)
        .map_err(|source| InvalidEventData::Malformed { event_type, source })
}

/// Type of [`StockReplaced`].
pub const STOCK_REPLACED: &str = "inventory.stock-replaced.v1";
/// Type of [`StockAdjusted`].
pub const STOCK_ADJUSTED: &str = "inventory.stock-adjusted.v1";
/// Type of [`StockReserved`].
pub const STOCK_RESERVED: &str = "inventory.stock-reserved.v1";
/// Type of [`ReservationRefused`].
pub const RESERVATION_REFUSED: &str = "inventory.reservation-refused.v1";
/// Type of [`ReservationReleased`].
pub const RESERVATION_RELEASED: &str = "inventory.reservation-released.v1";
/// Type of [`ReservationFulfilled`].
pub const RESERVATION_FULFILLED: &str = "inventory.reservation-fulfilled.v1";
/// Type of [`ReservationBroken`].
pub const RESERVATION_BROKEN: &str = "inventory.reservation-broken.v1";
/// Type of [`StockCommandRefused`].
pub const STOCK_COMMAND_REFUSED: &str = "inventory.stock-command-refused.v1";

/// An event as the journal keeps it and the broker carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Who wrote it, and where it stands.
    pub id: EventId,
    /// The item it is about.
    pub sku: Sku,
    /// The store's clock at the decision.
    pub occurred_at: Timestamp,
    /// The request that led to it, when the caller named it.
    pub cause: Option<CommandId>,
    /// Who asked for it, where requests are authenticated.
    pub principal: Option<Subject>,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
    /// What happened.
    pub event: StockEvent,
}
