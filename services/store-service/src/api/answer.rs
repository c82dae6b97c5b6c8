//! What callers get: accepted commands, refusals, events.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use inventory_core::{StockItem, available};
use serde::Serialize;
use service_kit::{ErrorCode, Problem};
use shared_events::{Levels, RecordedEvent, Rejection, Sku, StockEvent, StoreId, Version};
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
    /// Promises to customers that had to be broken for it; absent when none.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) broken_reservations: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Accepted {
    /// From the event a stock command led to: the last, behind those of promises it broke. `None` when
    /// there is none that changed anything.
    fn new(events: &[RecordedEvent]) -> Option<Self> {
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
                Verdict::Accepted(events) => Accepted::new(&events)
                    .ok_or_else(|| Problem::new(ErrorCode::Internal, "the answer has no event")),
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

/// Says that the answer had been given before.
pub(super) fn mark_repeated(response: &mut Response) {
    let name = HeaderName::from_static("idempotent-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
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
