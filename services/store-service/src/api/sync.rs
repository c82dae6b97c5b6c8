//! Publishing a part of the journal again, and how far the relay came.

use std::sync::Arc;

use access::Principal;
use axum::Json;
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use service_kit::extract::OptionalJson;
use service_kit::{ErrorCode, Problem};
use shared_events::command::ReplayEvents;
use shared_events::{Sequence, StoreId};
use stock_http::lineage::{LifeView, lives};
use stock_http::once::{Asked, once};
use utoipa::ToSchema;

use super::State;

/// Which part of the journal to publish again.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SyncBody {
    /// First sequence; the journal's first unless said.
    #[schema(minimum = 1)]
    from: Option<u64>,
    /// Last sequence; the journal's end unless said.
    #[schema(minimum = 1)]
    through: Option<u64>,
}

/// How the journal and the broker stand to each other.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sync {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// `idle`; `publishing` while new events wait; `replaying` while older ones are published again.
    state: &'static str,
    /// Life of the journal.
    epoch: u64,
    /// All its lives, each with its first sequence.
    lineage: Vec<LifeView>,
    /// Newest sequence in the journal.
    head: u64,
    /// Chain hash there.
    head_hash: String,
    /// The broker has acknowledged everything up to here.
    published_through: u64,
    /// What is still to be published again.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Replay>,
    /// Why nothing is being published, when that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

/// A part of the journal.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Replay {
    /// First sequence.
    from: u64,
    /// Last sequence.
    through: u64,
}

impl Sync {
    fn new(state: &State) -> Self {
        let (committed, published) = (state.outbox.committed(), state.outbox.published_through());
        let lineage = state.outbox.lineage();
        let replay = state.outbox.replaying();
        let activity = if published < committed.head.sequence {
            "publishing"
        } else if replay.is_some() {
            "replaying"
        } else {
            "idle"
        };
        Self {
            store_id: state.store.clone(),
            state: activity,
            epoch: lineage.current().epoch.get(),
            lineage: lives(lineage),
            head: committed.head.sequence.get(),
            head_hash: committed.head.hash.to_string(),
            published_through: published.get(),
            replay: replay
                .map(|(from, through)| Replay { from: from.get(), through: through.get() }),
            trouble: state.outbox.trouble(),
        }
    }
}

/// How far the relay came.
#[utoipa::path(
    get, path = "/api/sync", tag = "operations",
    security(("bearer" = ["stock:read"])),
    responses((status = 200, description = "As it stands.", body = Sync))
)]
pub(super) async fn status(Ctx(state): Ctx<Arc<State>>) -> Json<Sync> {
    Json(Sync::new(&state))
}

/// Publish a part of the journal again: harmless, since every event names itself. New events go first;
/// requests that overlap are done together.
#[utoipa::path(
    post, path = "/api/sync", tag = "operations", request_body = Option<SyncBody>,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat gets the first answer."),
    ),
    security(("bearer" = ["admin"])),
    responses(
        (status = 202, description = "It will be; `Location` tells how it goes.", body = Sync),
        (status = "4XX", description = "No such part.", body = Problem),
    )
)]
pub(super) async fn replay(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<SyncBody>,
) -> Result<Response, Problem> {
    let asked = Asked {
        subject: principal.subject.as_ref(),
        headers: &headers,
        operation: "POST /api/sync",
        body: &body,
    };
    once(&state.answers, asked, async {
        state.outbox.request_replay(part(&state, &body)?);
        Ok((StatusCode::ACCEPTED, Some("/api/sync".to_owned()), Sync::new(&state)))
    })
    .await
}

/// The part of the journal that is asked for.
fn part(state: &State, body: &SyncBody) -> Result<ReplayEvents, Problem> {
    let head = state.outbox.committed().head.sequence.get();
    let lineage = state.outbox.lineage();
    let first = lineage.first().get();
    let last = head.max(first);
    let (from, through) = (body.from.unwrap_or(first), body.through.unwrap_or(last));
    let invalid = |field: &str, detail: String| {
        Err(Problem::new(ErrorCode::InvalidField, detail).field(field))
    };
    if !(first..=last).contains(&from) {
        return invalid("from", format!("the journal has sequences {first} to {head}"));
    }
    if !(from..=last).contains(&through) {
        return invalid("through", format!("from `from` to {head}, the journal's end"));
    }
    Ok(ReplayEvents {
        epoch: lineage.current().epoch,
        from: Sequence::new(from),
        through: Sequence::new(through),
    })
}
