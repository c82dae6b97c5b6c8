//! What happened at a store, and what it led to.
//!
//! Every event carries the absolute levels it produced: late, repeated or reordered delivery is then
//! harmless for levels, while the delta and the reason keep the audit readable. Readers ignore fields
//! they do not know; a field is never renamed or given another meaning within one version.

use serde::{Deserialize, Serialize};

use crate::ids::{CommandId, Sku};
use crate::position::{EventId, Version};
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
        }
    }

    /// The item's version after this event.
    #[must_use]
    pub const fn version(&self) -> Version {
        match self {
            Self::Replaced(event) => event.version,
            Self::Adjusted(event) => event.version,
        }
    }

    /// Change of units on hand.
    #[must_use]
    pub const fn delta(&self) -> i64 {
        match self {
            Self::Replaced(event) => event.delta,
            Self::Adjusted(event) => event.delta,
        }
    }

    /// Units on hand after this event.
    #[must_use]
    pub const fn on_hand(&self) -> i64 {
        match self {
            Self::Replaced(event) => event.on_hand,
            Self::Adjusted(event) => event.on_hand,
        }
    }

    /// Units promised to reservations after this event.
    #[must_use]
    pub const fn reserved(&self) -> i64 {
        match self {
            Self::Replaced(event) => event.reserved,
            Self::Adjusted(event) => event.reserved,
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
        };
        data.expect("integers and checked text always serialise")
    }

    /// Reads the JSON data of a type.
    ///
    /// # Errors
    /// [`InvalidEventData`]: an unknown type, or data that is not of the type's shape.
    pub fn from_data(event_type: &str, data: &[u8]) -> Result<Self, InvalidEventData> {
        let malformed =
            |event_type| move |source| InvalidEventData::Malformed { event_type, source };
        match event_type {
            STOCK_REPLACED => {
                serde_json::from_slice(data).map(Self::Replaced).map_err(malformed(STOCK_REPLACED))
            }
            STOCK_ADJUSTED => {
                serde_json::from_slice(data).map(Self::Adjusted).map_err(malformed(STOCK_ADJUSTED))
            }
            other => Err(InvalidEventData::UnknownType(other.to_owned())),
        }
    }
}

/// Type of [`StockReplaced`].
pub const STOCK_REPLACED: &str = "inventory.stock-replaced.v1";
/// Type of [`StockAdjusted`].
pub const STOCK_ADJUSTED: &str = "inventory.stock-adjusted.v1";

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
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
    /// What happened.
    pub event: StockEvent,
}
