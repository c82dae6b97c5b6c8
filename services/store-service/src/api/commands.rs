//! `replace` and `adjust`: the legacy contract's two commands, with more beside it.

use axum::Json as JsonBody;
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use service_kit::extract::Json;
use service_kit::problem::{ErrorCode, Problem};
use shared_events::wire::valid_traceparent;
use shared_events::{
    AdjustStock, CommandId, Delta, OnShortfall, Quantity, ReplaceStock, Sku, StockCommand, StoreId,
    Text, Version,
};
use utoipa::ToSchema;

use super::State;
use super::answer::{Accepted, entity_tag, mark_repeated, refused, verdict, version_of};
use crate::decisions::Command;
use crate::writer::Request;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Set an item's level to an absolute count.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReplaceBody {
    /// The store this is sent to.
    #[schema(value_type = String, example = "A")]
    store_id: StoreId,
    /// The item: 1 to 64 characters.
    #[schema(value_type = String, example = "ABC-1")]
    sku: Sku,
    /// Units counted, 0 to 1,000,000,000.
    #[schema(value_type = i64, minimum = 0, maximum = 1_000_000_000, example = 10)]
    quantity: Quantity,
    /// Why, in your words.
    #[schema(value_type = Option<String>)]
    reason: Option<Text>,
    /// Your document, such as a count sheet.
    #[schema(value_type = Option<String>)]
    reference: Option<Text>,
    /// Only if the item still has this version; 0 for an item never seen.
    #[schema(value_type = Option<u64>)]
    expected_version: Option<Version>,
    /// Your name for this request: a repeat gets the recorded answer. Or use `Idempotency-Key`.
    #[schema(value_type = Option<String>)]
    command_id: Option<CommandId>,
}

/// Change an item's level by a difference.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AdjustBody {
    /// The store this is sent to.
    #[schema(value_type = String, example = "A")]
    store_id: StoreId,
    /// The item: 1 to 64 characters.
    #[schema(value_type = String, example = "ABC-1")]
    sku: Sku,
    /// Units to add, or to take when negative; not 0.
    #[schema(value_type = i64, minimum = -1_000_000_000, maximum = 1_000_000_000, example = -1)]
    delta: Delta,
    /// Why, in your words.
    #[schema(value_type = Option<String>)]
    reason: Option<Text>,
    /// Your document, such as a receipt.
    #[schema(value_type = Option<String>)]
    reference: Option<Text>,
    /// Only if the item still has this version; 0 for an item never seen.
    #[schema(value_type = Option<u64>)]
    expected_version: Option<Version>,
    /// When the shelf cannot cover it: `reject`, `breakReservations` or `recordDiscrepancy`.
    #[serde(default)]
    #[schema(value_type = String, default = "reject")]
    on_shortfall: OnShortfall,
    /// Your name for this request: a repeat gets the recorded answer. Or use `Idempotency-Key`.
    #[schema(value_type = Option<String>)]
    command_id: Option<CommandId>,
}

/// A command as parsed, before anyone has judged it.
#[derive(Debug, Clone)]
pub(super) struct Parsed {
    pub(super) store: StoreId,
    pub(super) id: Option<CommandId>,
    pub(super) command: StockCommand,
}

impl From<ReplaceBody> for Parsed {
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

impl From<AdjustBody> for Parsed {
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

/// Set an item's level to an absolute count.
#[utoipa::path(
    post, path = "/api/commands/inventory/replace", tag = "commands", request_body = ReplaceBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "As `commandId`."),
        ("If-Match" = Option<String>, Header, description = "As `expectedVersion`, quoted."),
    ),
    responses(
        (status = 200, description = "Durable.", body = Accepted),
        (status = "4XX", description = "Refused; nothing was written.", body = Problem),
        (status = "5XX", description = "Not served; see `retryable`.", body = Problem),
    )
)]
pub(super) async fn replace(
    Ctx(state): Ctx<State>,
    headers: HeaderMap,
    Json(body): Json<ReplaceBody>,
) -> Result<Response, Problem> {
    execute(&state, &headers, body.into()).await
}

/// Change an item's level by a difference: a sale, a return, a delivery.
#[utoipa::path(
    post, path = "/api/commands/inventory/adjust", tag = "commands", request_body = AdjustBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "As `commandId`."),
        ("If-Match" = Option<String>, Header, description = "As `expectedVersion`, quoted."),
    ),
    responses(
        (status = 200, description = "Durable.", body = Accepted),
        (status = "4XX", description = "Refused; nothing was written.", body = Problem),
        (status = "5XX", description = "Not served; see `retryable`.", body = Problem),
    )
)]
pub(super) async fn adjust(
    Ctx(state): Ctx<State>,
    headers: HeaderMap,
    Json(body): Json<AdjustBody>,
) -> Result<Response, Problem> {
    execute(&state, &headers, body.into()).await
}

async fn execute(state: &State, headers: &HeaderMap, parsed: Parsed) -> Result<Response, Problem> {
    let (request, by_precondition) = request(state, headers, parsed)?;
    let answer = state.writer.execute(vec![request]).await.map_err(refused)?.pop();
    let answer = answer.ok_or_else(|| Problem::new(ErrorCode::Internal, "no answer"))?;
    let (outcome, repeated) = verdict(answer, by_precondition);
    let mut response = match outcome {
        Ok(accepted) => {
            let tag = entity_tag(accepted.version);
            ([(header::ETAG, tag)], JsonBody(accepted)).into_response()
        }
        Err(problem) => problem.into_response(),
    };
    if repeated {
        mark_repeated(&mut response);
    }
    Ok(response)
}

/// Joins body and headers; what they both say must agree.
fn request(state: &State, headers: &HeaderMap, parsed: Parsed) -> Result<(Request, bool), Problem> {
    require_store(&state.store, &parsed.store)?;
    let Parsed { id, mut command, .. } = parsed;
    let id = match (id, idempotency_key(headers)?) {
        (Some(id), Some(key)) if id != key => {
            let detail = "commandId and Idempotency-Key differ; use one of them";
            return Err(Problem::new(ErrorCode::InvalidField, detail).field("commandId"));
        }
        (id, key) => id.or(key),
    };
    let precondition = if_match(headers)?;
    if let Some(version) = precondition {
        let expected = match &mut command {
            StockCommand::Replace(command) => &mut command.expected_version,
            StockCommand::Adjust(command) => &mut command.expected_version,
        };
        if expected.replace(version).is_some_and(|body| body != version) {
            let detail = "expectedVersion and If-Match differ; use one of them";
            return Err(Problem::new(ErrorCode::InvalidField, detail).field("expectedVersion"));
        }
    }
    let traceparent = traceparent(headers);
    let command = Command::Stock(command);
    let request = Request { command, id, traceparent, answer_by_event: false };
    Ok((request, precondition.is_some()))
}

pub(super) fn require_store(ours: &StoreId, asked: &StoreId) -> Result<(), Problem> {
    if ours == asked {
        return Ok(());
    }
    Err(Problem::new(ErrorCode::WrongStore, format!("this is store {ours}, not {asked}"))
        .field("storeId")
        .fact("storeId", ours.as_str()))
}

/// The `Idempotency-Key`: a quoted string by the draft, bare by habit.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<CommandId>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    CommandId::parse(bare).map(Some).map_err(|error| {
        Problem::new(ErrorCode::InvalidField, error.to_string()).field(IDEMPOTENCY_KEY)
    })
}

pub(super) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    valid_traceparent(text).then(|| text.to_owned())
}

fn if_match(headers: &HeaderMap) -> Result<Option<Version>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    value.to_str().ok().and_then(version_of).map(Some).ok_or_else(|| {
        let detail = "If-Match is one version in quotes, as an ETag of this service";
        Problem::new(ErrorCode::InvalidField, detail).field("if-match")
    })
}
