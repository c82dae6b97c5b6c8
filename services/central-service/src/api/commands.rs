//! `replace` and `adjust` for callers who know the centre only: carried to the store, which decides.

use std::sync::Arc;

use access::Principal;
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use inventory_core::available;
use serde::Serialize;
use service_kit::extract::{Json, Path};
use service_kit::{ErrorCode, Problem, trace};
use shared_events::{CommandId, Sku, StoreId, Timestamp};
use stock_http::headers::{entity_tag, mark_repeated, wait};
use stock_http::{Accepted, AdjustBody, ParsedCommand, ReplaceBody, rejected};
use utoipa::ToSchema;

use super::{State, now, read, refused, require_ready, unknown_store};
use crate::ledger::{Ask, CommandAnswer, Refusal, StockCommandRecord, StockOutcome};

/// A command on its way, or with its verdict.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommandView {
    /// Its name.
    #[schema(value_type = String)]
    command_id: CommandId,
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// `pending`, `accepted` or `refused`.
    state: &'static str,
    /// When it was taken.
    #[schema(value_type = String)]
    issued_at: Timestamp,
    /// What the store answered, once it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<Accepted>,
    /// Why the store refused, once it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

impl CommandView {
    fn new(record: StockCommandRecord) -> Self {
        let verdict = verdict(&record, false);
        let (state, accepted, problem) = match verdict {
            None => ("pending", None, None),
            Some(Ok(accepted)) => ("accepted", Some(accepted), None),
            Some(Err(problem)) => ("refused", None, Some(problem)),
        };
        let StockCommandRecord { command_id, store_id, command, issued_at, .. } = record;
        let sku = command.sku().clone();
        Self { command_id, store_id, sku, state, issued_at, accepted, problem }
    }
}

/// The store's verdict in the form the store itself gives it; `None` while it is on its way.
fn verdict(
    record: &StockCommandRecord,
    by_precondition: bool,
) -> Option<Result<Accepted, Problem>> {
    Some(match record.outcome.as_ref()? {
        StockOutcome::Refused(rejection) => Err(rejected(rejection, by_precondition)),
        StockOutcome::Accepted {
            event_id,
            sequence,
            version,
            delta,
            on_hand,
            reserved,
            discrepancy,
        } => Ok(Accepted {
            store_id: record.store_id.clone(),
            sku: record.command.sku().clone(),
            quantity: *on_hand,
            event_id: event_id.clone(),
            sequence: *sequence,
            version: *version,
            delta: *delta,
            on_hand: *on_hand,
            reserved: *reserved,
            available: available(*on_hand, *reserved),
            discrepancy: Some(*discrepancy).filter(|units| *units != 0),
            broken_reservations: usize::try_from(record.broken).unwrap_or(usize::MAX),
        }),
    })
}

/// Have a store set an item's level to an absolute count.
#[utoipa::path(
    post, path = "/api/commands/inventory/replace", tag = "commands", request_body = ReplaceBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "As `commandId`."),
        ("If-Match" = Option<String>, Header, description = "As `expectedVersion`, quoted."),
        ("Prefer" = Option<String>, Header, description = "`wait=5`: seconds to wait for the verdict."),
    ),
    security(("bearer" = ["stock:write"])),
    responses(
        (status = 200, description = "The store has done it.", body = Accepted),
        (status = 202, description = "On its way; `Location` tells the verdict.", body = CommandView),
        (status = "4XX", description = "Refused, by the store where it has the store's numbers.", body = Problem),
        (status = "5XX", description = "Not served; see `retryable`.", body = Problem),
    )
)]
pub(super) async fn replace(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    headers: HeaderMap,
    Json(body): Json<ReplaceBody>,
) -> Result<Response, Problem> {
    carry(&state, &principal, &headers, body.into()).await
}

/// Have a store change an item's level by a difference.
#[utoipa::path(
    post, path = "/api/commands/inventory/adjust", tag = "commands", request_body = AdjustBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "As `commandId`."),
        ("If-Match" = Option<String>, Header, description = "As `expectedVersion`, quoted."),
        ("Prefer" = Option<String>, Header, description = "`wait=5`: seconds to wait for the verdict."),
    ),
    security(("bearer" = ["stock:write"])),
    responses(
        (status = 200, description = "The store has done it.", body = Accepted),
        (status = 202, description = "On its way; `Location` tells the verdict.", body = CommandView),
        (status = "4XX", description = "Refused, by the store where it has the store's numbers.", body = Problem),
        (status = "5XX", description = "Not served; see `retryable`.", body = Problem),
    )
)]
pub(super) async fn adjust(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    headers: HeaderMap,
    Json(body): Json<AdjustBody>,
) -> Result<Response, Problem> {
    carry(&state, &principal, &headers, body.into()).await
}

/// What became of a command that was handed to this centre.
#[utoipa::path(
    get, path = "/api/commands/{commandId}", tag = "commands",
    params(("commandId" = String, Path)),
    security(("bearer" = ["stock:write"])),
    responses(
        (status = 200, description = "As it stands.", body = CommandView),
        (status = "4XX", description = "No such command.", body = Problem),
    )
)]
pub(super) async fn command(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Path(id): Path<CommandId>,
) -> Result<axum::Json<CommandView>, Problem> {
    let wanted = id.clone();
    let record = read(&state, move |reader| reader.stock_command(&wanted)).await?;
    let record = record.filter(|record| principal.stores.include(&record.store_id));
    let record = record.ok_or_else(|| {
        let detail = format!("no command {id} was handed to this centre");
        Problem::new(ErrorCode::NotFound, detail)
    })?;
    Ok(axum::Json(CommandView::new(record)))
}

async fn carry(
    state: &State,
    principal: &Principal,
    headers: &HeaderMap,
    parsed: ParsedCommand,
) -> Result<Response, Problem> {
    let (ParsedCommand { store, id, command }, by_precondition) = parsed.with_headers(headers)?;
    principal.require_store(&store)?;
    require_ready(state)?;
    if state.model.index(&store).is_none() {
        return Err(unknown_store(&store));
    }
    let id = id.unwrap_or_else(|| {
        let id = format!("{}:{}", state.centre, uuid::Uuid::now_v7().simple());
        CommandId::parse(&id).expect("a centre's id and hexadecimal digits make a command id")
    });
    let (caller, traceparent) = (principal.subject.clone(), trace::traceparent());
    let record = StockCommandRecord::new(id, store, command, caller, traceparent, now());
    let wait = wait(headers);
    let asked = state.ledger.ask(|reply| Ask::StockCommand {
        record: Box::new(record),
        wait: wait.is_some(),
        reply,
    });
    let CommandAnswer { mut record, repeated, settled } = asked.await.map_err(|refusal| {
        let problem = refused(&refusal);
        if refusal == Refusal::KeyReused { problem.field("commandId") } else { problem }
    })?;
    if let Some((settled, wait)) = settled.zip(wait)
        && let Ok(Ok(told)) = tokio::time::timeout(wait, settled).await
    {
        record = told;
    }
    let mut response = match verdict(&record, by_precondition).filter(|_| wait.is_some()) {
        Some(Ok(accepted)) => {
            let tag = entity_tag(accepted.version);
            ([(header::ETAG, tag)], axum::Json(accepted)).into_response()
        }
        Some(Err(problem)) => problem.into_response(),
        None => on_its_way(record),
    };
    if repeated {
        mark_repeated(&mut response);
    }
    Ok(response)
}

fn on_its_way(record: StockCommandRecord) -> Response {
    // A command id may hold characters that mean something in a path.
    let location =
        format!("/api/commands/{}", service_kit::http::path_segment(record.command_id.as_str()));
    let mut response = (StatusCode::ACCEPTED, axum::Json(CommandView::new(record))).into_response();
    if let Ok(location) = location.parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
