//! `replace` and `adjust`: the legacy contract's two commands, with more beside it.

use axum::http::HeaderMap;
use serde::Deserialize;
use service_kit::{ErrorCode, Problem};
use shared_events::{
    AdjustStock, CommandId, Delta, OnShortfall, Quantity, ReplaceStock, Sku, StockCommand, StoreId,
    Text, Version,
};
use utoipa::ToSchema;

use crate::headers::{idempotency_key, if_match};

/// Set an item's level to an absolute count.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplaceBody {
    /// The store this is sent to.
    #[schema(value_type = String, example = "A")]
    pub store_id: StoreId,
    /// The item: 1 to 64 characters.
    #[schema(value_type = String, example = "ABC-1")]
    pub sku: Sku,
    /// Units counted, 0 to 1,000,000,000.
    #[schema(value_type = i64, minimum = 0, maximum = 1_000_000_000, example = 10)]
    pub quantity: Quantity,
    /// Why, in your words.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Text>,
    /// Your document, such as a count sheet.
    #[schema(value_type = Option<String>)]
    pub reference: Option<Text>,
    /// Only if the item still has this version; 0 for an item never seen.
    #[schema(value_type = Option<u64>)]
    pub expected_version: Option<Version>,
    /// Your name for this request: a repeat gets the recorded answer. Or use `Idempotency-Key`.
    #[schema(value_type = Option<String>)]
    pub command_id: Option<CommandId>,
}

/// Change an item's level by a difference.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdjustBody {
    /// The store this is sent to.
    #[schema(value_type = String, example = "A")]
    pub store_id: StoreId,
    /// The item: 1 to 64 characters.
    #[schema(value_type = String, example = "ABC-1")]
    pub sku: Sku,
    /// Units to add, or to take when negative; not 0.
    #[schema(value_type = i64, minimum = -1_000_000_000, maximum = 1_000_000_000, example = -1)]
    pub delta: Delta,
    /// Why, in your words.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Text>,
    /// Your document, such as a receipt.
    #[schema(value_type = Option<String>)]
    pub reference: Option<Text>,
    /// Only if the item still has this version; 0 for an item never seen.
    #[schema(value_type = Option<u64>)]
    pub expected_version: Option<Version>,
    /// When the shelf cannot cover it: `reject`, `breakReservations` or `recordDiscrepancy`.
    #[serde(default)]
    #[schema(value_type = String, default = "reject")]
    pub on_shortfall: OnShortfall,
    /// Your name for this request: a repeat gets the recorded answer. Or use `Idempotency-Key`.
    #[schema(value_type = Option<String>)]
    pub command_id: Option<CommandId>,
}

/// A command as parsed, before anyone has judged it.
#[derive(Debug, Clone)]
pub struct ParsedCommand {
    /// The store it is for.
    pub store: StoreId,
    /// The caller's name for it.
    pub id: Option<CommandId>,
    /// What is asked.
    pub command: StockCommand,
}

impl From<ReplaceBody> for ParsedCommand {
    fn from(body: ReplaceBody) -> Self {
        Self {
            store: body.store_id,
            id: body.command_id,
            command: StockCommand::Replace(ReplaceStock {
                sku: body.sku,
                quantity: body.quantity,
                expected_version: body.expected_version,
                reason: body.reason,
                reference: body.reference,
            }),
        }
    }
}

impl From<AdjustBody> for ParsedCommand {
    fn from(body: AdjustBody) -> Self {
        Self {
            store: body.store_id,
            id: body.command_id,
            command: StockCommand::Adjust(AdjustStock {
                sku: body.sku,
                delta: body.delta,
                expected_version: body.expected_version,
                on_shortfall: body.on_shortfall,
                reason: body.reason,
                reference: body.reference,
            }),
        }
    }
}

impl ParsedCommand {
    /// Joins the body with the headers; what they both say must agree. Gives whether the version came
    /// by `If-Match`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidField`]: a header is broken, or contradicts the body.
    pub fn with_headers(mut self, headers: &HeaderMap) -> Result<(Self, bool), Problem> {
        self.id = match (self.id, idempotency_key(headers)?) {
            (Some(id), Some(key)) if id != key => {
                let detail = "commandId and Idempotency-Key differ; use one of them";
                return Err(Problem::new(ErrorCode::InvalidField, detail).field("commandId"));
            }
            (id, key) => id.or(key),
        };
        let precondition = if_match(headers)?;
        if let Some(version) = precondition {
            let expected = match &mut self.command {
                StockCommand::Replace(command) => &mut command.expected_version,
                StockCommand::Adjust(command) => &mut command.expected_version,
            };
            if expected.replace(version).is_some_and(|body| body != version) {
                let detail = "expectedVersion and If-Match differ; use one of them";
                return Err(Problem::new(ErrorCode::InvalidField, detail).field("expectedVersion"));
            }
        }
        Ok((self, precondition.is_some()))
    }
}
