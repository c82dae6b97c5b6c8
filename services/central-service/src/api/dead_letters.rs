//! Records that were not let in: looking at them, and trying them again.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::sync::Arc;

use access::Principal;
use axum::Json;
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use service_kit::extract::{Path, Query, page_limit};
use service_kit::{ErrorCode, Problem};
use shared_events::Timestamp;
use stock_http::once::{Asked, once};
use utoipa::{IntoParams, ToSchema};

use super::{State, read, refused};
use crate::admission::Cause;
use crate::letters::{Kept, Redriven};

/// Who may look at dead letters.
const WHOLE_CHAIN: &str = "dead letters are for operators of the whole chain";
/// Most characters of a key, of a header's name and of its value.
const MAX_TEXT: usize = 200;
/// Most headers.
const MAX_HEADERS: usize = 64;

/// Which dead letters, page by page.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadLettersQuery {
    /// Put aside for this cause.
    cause: Option<CauseName>,
    /// The last letter of the page before.
    after: Option<i64>,
    /// Letters of a page, 1 to 1,000; 100 unless asked.
    limit: Option<usize>,
}

/// Why a record was put aside.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum CauseName {
    /// It does not prove that it was written by whom it speaks for.
    Unverified,
    /// It cannot be decoded, or contradicts itself.
    Unreadable,
    /// It is not in the partition of its key.
    Misplaced,
    /// It is far beyond everything its store has reported.
    Implausible,
    /// It was written outside of the lives its store's journal goes by.
    Refused,
}

impl From<CauseName> for Cause {
    fn from(name: CauseName) -> Self {
        match name {
            CauseName::Unverified => Self::Unverified,
            CauseName::Unreadable => Self::Unreadable,
            CauseName::Misplaced => Self::Misplaced,
            CauseName::Implausible => Self::Implausible,
            CauseName::Refused => Self::Refused,
        }
    }
}

impl From<Cause> for CauseName {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Unverified => Self::Unverified,
            Cause::Unreadable => Self::Unreadable,
            Cause::Misplaced => Self::Misplaced,
            Cause::Implausible => Self::Implausible,
            Cause::Refused => Self::Refused,
        }
    }
}

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetters {
    /// In the order they were put aside.
    dead_letters: Vec<DeadLetter>,
    /// Ask again with `after` set to this; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// A record that was not let in. It has changed nothing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeadLetter {
    /// Its number at this centre.
    id: i64,
    /// Why it was put aside.
    cause: CauseName,
    /// The same in words.
    reason: String,
    /// Where it comes from: `topic/partition/offset`, or its own id where what its store reported
    /// decided.
    origin: String,
    /// When it was put aside, by the centre's clock.
    #[schema(value_type = String)]
    quarantined_at: Timestamp,
    /// Its key, at most 200 characters; what is not UTF-8 is replaced.
    key: String,
    /// Its first 64 headers, names and values as the key.
    headers: Vec<Header>,
    /// The first 1,024 bytes of its value; absent for a record without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Bytes of its value as it is kept; absent for a record without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_bytes: Option<u64>,
    /// When it was tried again last, and what came of it; absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    redriven: Option<RedrivenView>,
}

/// A header of a record.
#[derive(Debug, Serialize, ToSchema)]
struct Header {
    /// Its name.
    name: String,
    /// Its value.
    value: String,
}

/// What came of trying a dead letter again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RedrivenView {
    /// `applied`: it was let in. `known`: it was let in, and had had its effect before. `skipped`: only a
    /// newer version knows its type. `quarantined`: it is not let in today either.
    outcome: &'static str,
    /// Why it is not let in today either.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When, by the centre's clock.
    #[schema(value_type = String)]
    at: Timestamp,
}

impl RedrivenView {
    fn new(came: Redriven, at: Timestamp) -> Self {
        let outcome = came.name();
        let reason = match came {
            Redriven::Quarantined(reason) => Some(reason),
            Redriven::Applied | Redriven::Known | Redriven::Skipped => None,
        };
        Self { outcome, reason, at }
    }
}

impl DeadLetter {
    fn new(kept: Kept) -> Self {
        let record = &kept.record;
        let headers = record.headers.iter().take(MAX_HEADERS);
        let headers = headers
            .map(|(name, value)| Header { name: excerpt(name.as_bytes()), value: excerpt(value) });
        Self {
            id: kept.id,
            cause: kept.cause.into(),
            origin: kept.origin,
            quarantined_at: kept.quarantined_at,
            key: excerpt(&record.key),
            headers: headers.collect(),
            value: record.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned()),
            value_bytes: kept.value_bytes,
            reason: kept.reason,
            redriven: kept.redriven.map(|(at, came)| RedrivenView::new(came, at)),
        }
    }
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(MAX_TEXT).collect()
}

/// Records of the broker that were not let in: the newest 10,000, or 64 MiB.
#[utoipa::path(
    get, path = "/api/dead-letters", tag = "operations", params(DeadLettersQuery),
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "A page.", body = DeadLetters),
        (status = "4XX", description = "A bad query.", body = Problem),
    )
)]
pub(super) async fn dead_letters(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Query(query): Query<DeadLettersQuery>,
) -> Result<Json<DeadLetters>, Problem> {
    // Nobody can tell whose a record is that nobody could read.
    principal.require_all_stores(WHOLE_CHAIN)?;
    let limit = page_limit(query.limit)?;
    let (cause, after) = (query.cause.map(Cause::from), query.after.unwrap_or_default());
    // One more than wanted, to know whether there is one.
    let found = read(&state, move |reader| reader.letters(cause, after, limit + 1)).await?;
    let more = found.len() > limit;
    let page: Vec<_> = found.into_iter().take(limit).map(DeadLetter::new).collect();
    let next = page.last().filter(|_| more).map(|last| last.id);
    Ok(Json(DeadLetters { dead_letters: page, next }))
}

/// Try a dead letter again: it is judged by today's rules, and has its effect when it is let in. Asked for
/// twice it has its effect once.
#[utoipa::path(
    post, path = "/api/dead-letters/{id}/redrive", tag = "operations",
    params(
        ("id" = i64, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat gets the first answer."),
    ),
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "What came of it.", body = RedrivenView),
        (status = "4XX", description = "No such letter, or not kept any more.", body = Problem),
        (status = 503, description = "Too much is waiting.", body = Problem),
    )
)]
pub(super) async fn redrive(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    principal.require_all_stores(WHOLE_CHAIN)?;
    let asked = Asked {
        subject: principal.subject.as_ref(),
        headers: &headers,
        operation: &format!("POST /api/dead-letters/{id}/redrive"),
        body: &(),
    };
    once(&state.answers, asked, async {
        let Some(letter) = read(&state, move |reader| reader.letter(id)).await? else {
            let detail = format!("there is no dead letter {id} here, or it is not kept any more");
            return Err(Problem::new(ErrorCode::NotFound, detail));
        };
        let verdict = letter.judge(&state.admission);
        let came = state.ledger.redrive(id, verdict).await.map_err(|refusal| refused(&refusal))?;
        Ok((StatusCode::OK, None, RedrivenView::new(came, super::now())))
    })
    .await
}
