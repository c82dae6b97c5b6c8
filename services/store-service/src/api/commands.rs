//! `replace` and `adjust`, for one item at a time.

use std::sync::Arc;

use access::Principal;
use axum::Json as JsonBody;
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use service_kit::extract::Json;
use service_kit::problem::{ErrorCode, Problem};
use service_kit::trace;
use shared_events::StoreId;
use stock_http::headers::{entity_tag, mark_repeated};
use stock_http::{Accepted, AdjustBody, ParsedCommand, ReplaceBody};

use super::State;
use super::answer::{refused, verdict};
use crate::decisions::Command;
use crate::writer::Request;

/// Set an item's level to an absolute count.
#[utoipa::path(
    post, path = "/api/commands/inventory/replace", tag = "commands", request_body = ReplaceBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "As `commandId`."),
        ("If-Match" = Option<String>, Header, description = "As `expectedVersion`, quoted."),
    ),
    security(("bearer" = ["stock:write"])),
    responses(
        (status = 200, description = "Durable.", body = Accepted),
        (status = "4XX", description = "Refused; nothing was written.", body = Problem),
        (status = "5XX", description = "Not served; see `retryable`.", body = Problem),
    )
)]
pub(super) async fn replace(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    headers: HeaderMap,
    Json(body): Json<ReplaceBody>,
) -> Result<Response, Problem> {
    execute(&state, principal, &headers, body.into()).await
}

/// Change an item's level by a difference: a sale, a return, a delivery.
#[utoipa::path(
    post, path = "/api/commands/inventory/adjust", tag = "commands", request_body = AdjustBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "As `commandId`."),
        ("If-Match" = Option<String>, Header, description = "As `expectedVersion`, quoted."),
    ),
    security(("bearer" = ["stock:write"])),
    responses(
        (status = 200, description = "Durable.", body = Accepted),
        (status = "4XX", description = "Refused; nothing was written.", body = Problem),
        (status = "5XX", description = "Not served; see `retryable`.", body = Problem),
    )
)]
pub(super) async fn adjust(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    headers: HeaderMap,
    Json(body): Json<AdjustBody>,
) -> Result<Response, Problem> {
    execute(&state, principal, &headers, body.into()).await
}

async fn execute(
    state: &State,
    principal: Principal,
    headers: &HeaderMap,
    parsed: ParsedCommand,
) -> Result<Response, Problem> {
    let (request, by_precondition) = request(state, principal, headers, parsed)?;
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

fn request(
    state: &State,
    principal: Principal,
    headers: &HeaderMap,
    parsed: ParsedCommand,
) -> Result<(Request, bool), Problem> {
    require_store(&state.store, &parsed.store)?;
    let (ParsedCommand { id, command, .. }, by_precondition) = parsed.with_headers(headers)?;
    let traceparent = trace::traceparent();
    let (command, principal) = (Command::Stock(command), principal.subject);
    Ok((Request { command, id, principal, traceparent, answer_by_event: false }, by_precondition))
}

pub(super) fn require_store(ours: &StoreId, asked: &StoreId) -> Result<(), Problem> {
    if ours == asked {
        return Ok(());
    }
    Err(Problem::new(ErrorCode::WrongStore, format!("this is store {ours}, not {asked}"))
        .field("storeId")
        .fact("storeId", ours.as_str()))
}
