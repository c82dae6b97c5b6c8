//! What callers get: accepted commands, refusals, events.

use axum::http::HeaderValue;
use inventory_core::{Rejection, StockItem, available};
use serde::Serialize;
use service_kit::{ErrorCode, Problem};
use shared_events::{RecordedEvent, Sku, StockEvent, StoreId, Version};
use utoipa::ToSchema;

use crate::journal::{self, Verdict};
use crate::writer::{Answer, Refusal};

/// An accepted command: durable, and what it led to.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    /// The store.
    #[schema(value_type = String)]
    pub(super) store_id: StoreId,
    /// The item.
    #[schema(value_type = String)]
    pub(super) sku: Sku,
    /// Units on hand now; the same as `onHand`, under the name older callers know.
    pub(super) quantity: i64,
    /// `store/epoch/sequence` of the event.
    pub(super) event_id: String,
    /// Its place in the store's journal.
    pub(super) sequence: u64,
    /// The item's version now; also the `ETag`.
    pub(super) version: u64,
    /// Change of units on hand.
    pub(super) delta: i64,
    /// Units on hand now.
    pub(super) on_hand: i64,
    /// Units promised to reservations.
    pub(super) reserved: i64,
    /// Units that may be sold or promised.
    pub(super) available: i64,
    /// Units sold that the books did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) discrepancy: Option<i64>,
}

impl Accepted {
    pub(super) fn new(recorded: &RecordedEvent) -> Self {
        let event = &recorded.event;
        let discrepancy = match event {
            StockEvent::Adjusted(adjusted) => {
                Some(adjusted.discrepancy).filter(|units| *units != 0)
            }
            StockEvent::Replaced(_) => None,
        };
        Self {
            store_id: recorded.id.store.clone(),
            sku: recorded.sku.clone(),
            quantity: event.on_hand(),
            event_id: recorded.id.to_string(),
            sequence: recorded.id.sequence.get(),
            version: event.version().get(),
            delta: event.delta(),
            on_hand: event.on_hand(),
            reserved: event.reserved(),
            available: available(event.on_hand(), event.reserved()),
            discrepancy,
        }
    }
}

/// An item's state.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units on hand; the same as `onHand`, under the name older callers know.
    quantity: i64,
    /// Units on hand.
    on_hand: i64,
    /// Units promised to reservations.
    reserved: i64,
    /// Units that may be sold or promised.
    available: i64,
    /// Events so far; 0 for an item never seen. Also the `ETag`.
    version: u64,
}

impl Item {
    pub(super) fn new(store_id: StoreId, sku: Sku, item: &StockItem) -> Self {
        Self {
            store_id,
            sku,
            quantity: item.on_hand,
            on_hand: item.on_hand,
            reserved: item.reserved,
            available: item.available(),
            version: item.version.get(),
        }
    }
}

/// A version as a strong entity tag.
pub(super) fn entity_tag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits make a header value")
}

/// The accepted answer or the problem, for one command, and whether it had been given before.
pub(super) fn verdict(
    answer: Result<Answer, Refusal>,
    by_precondition: bool,
) -> (Result<Accepted, Problem>, bool) {
    match answer {
        Ok(Answer { verdict, repeated }) => {
            let outcome = match verdict {
                Verdict::Accepted(event) => Ok(Accepted::new(&event)),
                Verdict::Rejected(rejection) => Err(rejected(&rejection, by_precondition)),
            };
            (outcome, repeated)
        }
        Err(refusal) => (Err(refused(refusal)), false),
    }
}

/// A business "no" as a problem. `by_precondition`: the caller used `If-Match`, not the body.
fn rejected(rejection: &Rejection, by_precondition: bool) -> Problem {
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
        Rejection::LevelOutOfRange { on_hand, delta } => {
            Problem::new(ErrorCode::LevelOutOfRange, detail)
                .fact("onHand", on_hand)
                .fact("delta", delta)
        }
    }
}

pub(super) fn refused(refusal: Refusal) -> Problem {
    let code = match refusal {
        Refusal::CommandIdReused => ErrorCode::CommandIdReused,
        Refusal::StorageFull => ErrorCode::StorageFull,
        Refusal::Overloaded => ErrorCode::Overloaded,
        Refusal::Stopped => ErrorCode::ShuttingDown,
        Refusal::Unknown => ErrorCode::OutcomeUnknown,
    };
    Problem::new(code, refusal.to_string())
}

pub(super) fn unreadable(error: &journal::Error) -> Problem {
    tracing::error!(%error, "the journal cannot be read");
    Problem::new(ErrorCode::Internal, "the journal cannot be read; the log has the cause")
}

/// A version from its wire form.
pub(super) fn version_of(tag: &str) -> Option<Version> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let version = Version::new(digits.parse().ok()?);
    // One spelling, and nothing the journal could not hold.
    (version <= Version::MAX && version.to_string() == digits).then_some(version)
}
