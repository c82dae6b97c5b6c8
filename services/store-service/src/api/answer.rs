//! What callers get: accepted commands, refusals, items.

use inventory_core::StockItem;
use serde::Serialize;
use service_kit::{ErrorCode, Problem};
use shared_events::{Sku, StoreId};
use stock_http::{Accepted, rejected};
use utoipa::ToSchema;

use crate::journal::{self, Verdict};
use crate::writer::{Answer, Refusal};

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

/// The accepted answer or the problem, for one command, and whether it had been given before.
pub(super) fn verdict(
    answer: Result<Answer, Refusal>,
    by_precondition: bool,
) -> (Result<Accepted, Problem>, bool) {
    match answer {
        Ok(Answer { verdict, repeated }) => {
            let outcome = match verdict {
                Verdict::Accepted(events) => Accepted::from_events(&events)
                    .ok_or_else(|| Problem::new(ErrorCode::Internal, "the answer has no event")),
                Verdict::Rejected(rejection) => Err(rejected(&rejection, by_precondition)),
            };
            (outcome, repeated)
        }
        Err(refusal) => (Err(refused(refusal)), false),
    }
}

pub(super) fn refused(refusal: Refusal) -> Problem {
    let code = match refusal {
        Refusal::CommandIdReused => ErrorCode::CommandIdReused,
        Refusal::NotOpen => ErrorCode::NotReady,
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
