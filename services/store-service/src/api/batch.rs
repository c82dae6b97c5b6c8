//! Many commands in one body: a line each in, a line each out, each judged on its own.

use std::sync::Arc;

use access::Principal;
use axum::body::Bytes;
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use service_kit::extract::{Body, parse_json, require_media_type};
use service_kit::{ErrorCode, Problem, trace};
use shared_events::{
    AdjustStock, CommandId, Delta, OnShortfall, Quantity, ReplaceStock, Sku, StockCommand, StoreId,
    Text, Version,
};
use stock_http::Accepted;
use stock_http::headers::idempotency_key;
use utoipa::ToSchema;

use super::State;
use super::answer::{refused, verdict};
use super::commands::require_store;
use crate::decisions::Command;
use crate::writer::Request;

/// Most lines of one body.
const MAX_LINES: usize = 10_000;
const NDJSON: &str = "application/x-ndjson";

/// One line: a `replace` when it has `quantity`, an `adjust` when it has `delta`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
// Not `Line`, which the description has already: a line of a reservation.
#[schema(as = BatchLine)]
pub(super) struct Line {
    #[schema(value_type = String)]
    store_id: StoreId,
    #[schema(value_type = String)]
    sku: Sku,
    #[schema(value_type = Option<i64>)]
    quantity: Option<Quantity>,
    #[schema(value_type = Option<i64>)]
    delta: Option<Delta>,
    #[schema(value_type = Option<String>)]
    reason: Option<Text>,
    #[schema(value_type = Option<String>)]
    reference: Option<Text>,
    #[schema(value_type = Option<u64>)]
    expected_version: Option<Version>,
    #[schema(value_type = Option<String>)]
    on_shortfall: Option<OnShortfall>,
    #[schema(value_type = Option<String>)]
    command_id: Option<CommandId>,
}

/// What became of one line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineResult {
    /// The line, from 1.
    line: usize,
    /// The status the command would have had on its own.
    status: u16,
    /// Whether this line's command had been answered before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
    #[serde(flatten)]
    outcome: Outcome,
}

/// What a line led to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = LineOutcome)]
pub(super) enum Outcome {
    /// It was accepted.
    Accepted(Accepted),
    /// It was not.
    Refused {
        /// Why.
        problem: Problem,
    },
}

/// Execute up to 10,000 commands, one JSON object a line; lines that are refused do not stop the others.
#[utoipa::path(
    post, path = "/api/commands/inventory/batch", tag = "commands",
    request_body(content = Line, content_type = "application/x-ndjson"),
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Lines without `commandId` get this key, a colon and their number.")),
    security(("bearer" = ["stock:write"])),
    responses(
        (status = 200, description = "A result for each line, in order; blank lines have none.",
            body = LineResult, content_type = "application/x-ndjson"),
        (status = "4XX", description = "The body as a whole was refused.", body = Problem),
        (status = "5XX", description = "Not served; see `retryable`.", body = Problem),
    )
)]
pub(super) async fn batch(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    require_media_type(&headers, &[NDJSON, "application/jsonl"])?;
    let key = idempotency_key(&headers)?;
    let traceparent = trace::traceparent();
    let lines = split(&body)?;
    let mut requests = Vec::with_capacity(lines.len());
    // The problem of a line that is no command, or `None` for one the writer will answer.
    let mut parsed = Vec::with_capacity(lines.len());
    for (number, line) in lines {
        match parse(&state.store, key.as_ref(), number, line) {
            Ok((id, command)) => {
                requests.push(Request {
                    command: Command::Stock(command),
                    id,
                    principal: principal.subject.clone(),
                    traceparent: traceparent.clone(),
                    answer_by_event: false,
                });
                parsed.push((number, None));
            }
            Err(problem) => parsed.push((number, Some(problem))),
        }
    }
    let answers = if requests.is_empty() {
        Vec::new()
    } else {
        state.writer.execute(requests).await.map_err(refused)?
    };
    let mut answers = answers.into_iter();
    let mut text = Vec::new();
    for (line, problem) in parsed {
        let (outcome, repeated) = match problem {
            Some(problem) => (Err(problem), false),
            None => answers.next().map_or_else(
                || (Err(Problem::new(ErrorCode::Internal, "no answer")), false),
                |answer| verdict(answer, false),
            ),
        };
        let result = result(line, outcome, repeated);
        serde_json::to_writer(&mut text, &result).expect("a result is plain data");
        text.push(b'\n');
    }
    Ok(([(header::CONTENT_TYPE, NDJSON)], text).into_response())
}

fn split(body: &Bytes) -> Result<Vec<(usize, &[u8])>, Problem> {
    let lines: Vec<_> = body
        .split(|byte| *byte == b'\n')
        .zip(1..)
        .filter(|(line, _)| !line.trim_ascii().is_empty())
        .map(|(line, number)| (number, line))
        .collect();
    if lines.len() > MAX_LINES {
        let detail = format!("a batch has at most {MAX_LINES} lines, this one has {}", lines.len());
        return Err(Problem::new(ErrorCode::BodyTooLarge, detail).fact("maxLines", MAX_LINES));
    }
    Ok(lines)
}

fn parse(
    store: &StoreId,
    key: Option<&CommandId>,
    number: usize,
    line: &[u8],
) -> Result<(Option<CommandId>, StockCommand), Problem> {
    let line: Line = parse_json(line)?;
    require_store(store, &line.store_id)?;
    let id = match (line.command_id, key) {
        (Some(id), _) => Some(id),
        (None, None) => None,
        (None, Some(key)) => {
            Some(CommandId::parse(&format!("{key}:{number}")).map_err(|error| {
                Problem::new(ErrorCode::InvalidField, error.to_string()).field("idempotency-key")
            })?)
        }
    };
    let command = match (line.quantity, line.delta) {
        (Some(quantity), None) => {
            if line.on_shortfall.is_some() {
                let detail = "onShortfall belongs to an adjust";
                return Err(Problem::new(ErrorCode::InvalidField, detail).field("onShortfall"));
            }
            StockCommand::Replace(ReplaceStock {
                sku: line.sku,
                quantity,
                expected_version: line.expected_version,
                reason: line.reason,
                reference: line.reference,
            })
        }
        (None, Some(delta)) => StockCommand::Adjust(AdjustStock {
            sku: line.sku,
            delta,
            expected_version: line.expected_version,
            on_shortfall: line.on_shortfall.unwrap_or_default(),
            reason: line.reason,
            reference: line.reference,
        }),
        (Some(_), Some(_)) | (None, None) => {
            let detail = "a line has either quantity (replace) or delta (adjust)";
            return Err(Problem::new(ErrorCode::InvalidField, detail).field("quantity"));
        }
    };
    Ok((id, command))
}

fn result(line: usize, outcome: Result<Accepted, Problem>, repeated: bool) -> LineResult {
    let (status, outcome) = match outcome {
        Ok(accepted) => (200, Outcome::Accepted(accepted)),
        Err(problem) => {
            let problem = problem.traced();
            (problem.code().status().as_u16(), Outcome::Refused { problem })
        }
    };
    LineResult { line, status, repeated, outcome }
}
