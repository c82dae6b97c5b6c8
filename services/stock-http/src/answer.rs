//! What a caller of `replace` and `adjust` gets.

use inventory_core::available;
use serde::Serialize;
use service_kit::{ErrorCode, Problem};
use shared_events::{Levels, RecordedEvent, Rejection, Sku, StockEvent, StoreId};
use utoipa::ToSchema;

/// An accepted command: durable, and what it led to.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The store.
    #[schema(value_type = String)]
    pub store_id: StoreId,
    /// The item.
    #[schema(value_type = String)]
    pub sku: Sku,
    /// Units on hand now; the same as `onHand`, under the name older callers know.
    pub quantity: i64,
    /// `store/epoch/sequence` of the event.
    pub event_id: String,
    /// Its place in the store's journal.
    pub sequence: u64,
    /// The item's version now; also the `ETag`.
    pub version: u64,
    /// Change of units on hand.
    pub delta: i64,
    /// Units on hand now.
    pub on_hand: i64,
    /// Units promised to reservations.
    pub reserved: i64,
    /// Units that may be sold or promised.
    pub available: i64,
    /// Units sold that the books did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discrepancy: Option<i64>,
    /// Promises to customers that had to be broken for it; absent when none.
    #[serde(skip_serializing_if = "is_zero")]
    pub broken_reservations: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Accepted {
    /// From the event a stock command led to: the last, behind those of promises it broke. `None` when
    /// there is none that changed anything.
    #[must_use]
    pub fn from_events(events: &[RecordedEvent]) -> Option<Self> {
        let recorded = events.last()?;
        let Levels { version, delta, on_hand, reserved } = recorded.event.levels()?;
        let discrepancy = match &recorded.event {
            StockEvent::Adjusted(adjusted) => Some(adjusted.discrepancy),
            _ => None,
        };
        let broken = |event: &&RecordedEvent| matches!(event.event, StockEvent::Broken(_));
        Some(Self {
            store_id: recorded.id.store.clone(),
            sku: recorded.sku.clone(),
            quantity: on_hand,
            event_id: recorded.id.to_string(),
            sequence: recorded.id.sequence.get(),
            version: version.get(),
            delta,
            on_hand,
            reserved,
            available: available(on_hand, reserved),
            discrepancy: discrepancy.filter(|units| *units != 0),
            broken_reservations: events.iter().filter(broken).count(),
        })
    }
}

/// A business "no" as a problem. `by_precondition`: the caller used `If-Match`, not the body.
#[must_use]
pub fn rejected(rejection: &Rejection, by_precondition: bool) -> Problem {
    let detail = rejection.to_string();
    match *rejection {
        Rejection::InsufficientStock { requested, available, on_hand } => {
            Problem::new(ErrorCode::InsufficientStock, detail)
                .fact("requested", requested)
                .fact("available", available)
                .fact("onHand", on_hand)
        }
        Rejection::VersionConflict { expected, current } => {
            let code = if by_precondition {
                ErrorCode::PreconditionFailed
            } else {
                ErrorCode::VersionConflict
            };
            Problem::new(code, detail)
                .field(if by_precondition { "if-match" } else { "expectedVersion" })
                .fact("expectedVersion", expected.get())
                .fact("currentVersion", current.get())
        }
        Rejection::CommandIdReused => {
            Problem::new(ErrorCode::CommandIdReused, detail).field("commandId")
        }
        Rejection::LevelOutOfRange { on_hand, delta } => {
            Problem::new(ErrorCode::LevelOutOfRange, detail)
                .fact("onHand", on_hand)
                .fact("delta", delta)
        }
    }
}
