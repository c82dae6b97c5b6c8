//! Asking a store for its journal again, and watching it come.

use std::sync::Arc;

use access::Principal;
use axum::Json;
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::Path;
use service_kit::http::path_segment;
use shared_events::{StoreId, Timestamp};
use stock_http::once::{Asked, once};
use utoipa::ToSchema;

use super::freshness::FreshnessView;
use super::{State, refused, require_ready, unknown_store};
use crate::read_model::Seen;
use crate::resync::{Outcome, Status};

/// How a store's journal and what is shown of it stand to each other.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sync {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// `idle`; `filling` while events it reported are missing; `waiting` or `comparing` while all of
    /// its journal is, or is to be, compared with what is shown.
    state: &'static str,
    /// How far its numbers can be believed.
    freshness: FreshnessView,
    /// Newest sequence in its journal, as it last reported.
    head: u64,
    /// Everything up to here is applied, without a hole.
    applied_through: u64,
    /// Events it reported that are not applied.
    missing: u64,
    /// The comparison that is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    comparing: Option<Comparing>,
    /// The last comparison that ended, since this centre started.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Compared>,
}

/// A comparison that is running.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Comparing {
    /// Since when.
    #[schema(value_type = String)]
    since: Timestamp,
    /// Events of the journal that have come.
    received: u64,
    /// The journal's end.
    through: u64,
}

/// A comparison that ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Compared {
    /// When.
    #[schema(value_type = String)]
    at: Timestamp,
    /// `equal`: what is shown is what the journal leads to. `unexplained`: the journal does not lead to
    /// the digest that the store reports.
    outcome: &'static str,
    /// Items that were shown otherwise before.
    corrected: u64,
}

impl Sync {
    fn new(seen: &Seen) -> Self {
        let Status { wanted, running_since, through, received, last } = seen.view.resync;
        let state = if running_since.is_some() {
            "comparing"
        } else if wanted {
            "waiting"
        } else if seen.view.missing > 0 {
            "filling"
        } else {
            "idle"
        };
        Self {
            store_id: seen.view.id.clone(),
            state,
            freshness: FreshnessView::new(seen),
            head: seen.view.witness.head.get(),
            applied_through: seen.view.applied_through.get(),
            missing: seen.view.missing,
            comparing: running_since.map(|since| Comparing {
                since,
                received,
                through: through.get(),
            }),
            last: last.map(|(outcome, at)| Compared::new(outcome, at)),
        }
    }
}

impl Compared {
    const fn new(outcome: Outcome, at: Timestamp) -> Self {
        match outcome {
            Outcome::Equal { corrected } => Self { at, outcome: "equal", corrected },
            Outcome::Unexplained => Self { at, outcome: "unexplained", corrected: 0 },
        }
    }
}

/// How a store's journal and what is shown of it stand to each other.
#[utoipa::path(
    get, path = "/api/sync/stores/{storeId}", tag = "stores",
    params(("storeId" = String, Path)),
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "As it stands.", body = Sync),
        (status = "4XX", description = "No such store.", body = Problem),
    )
)]
pub(super) async fn status(
    Ctx(state): Ctx<Arc<State>>,
    Path(store): Path<StoreId>,
) -> Result<Json<Sync>, Problem> {
    let (_, seen) = state.model.store(&store).ok_or_else(|| unknown_store(&store))?;
    Ok(Json(Sync::new(&seen)))
}

/// Compare all of a store with its whole journal, which it publishes again. Asked for twice it is done
/// once.
#[utoipa::path(
    post, path = "/api/sync/stores/{storeId}", tag = "stores",
    params(
        ("storeId" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat gets the first answer."),
    ),
    security(("bearer" = ["admin"])),
    responses(
        (status = 202, description = "It will be; `Location` tells how it goes.", body = Sync),
        (status = "4XX", description = "No such store.", body = Problem),
        (status = 503, description = "Still starting, or too much is waiting.", body = Problem),
    )
)]
pub(super) async fn compare(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Path(store): Path<StoreId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = format!("/api/sync/stores/{}", path_segment(store.as_str()));
    let asked = Asked {
        subject: principal.subject.as_ref(),
        headers: &headers,
        operation: &format!("POST {path}"),
        body: &(),
    };
    once(&state.answers, asked, async {
        require_ready(&state)?;
        if state.model.index(&store).is_none() {
            return Err(unknown_store(&store));
        }
        state.ledger.compare(store.clone()).await.map_err(|refusal| refused(&refusal))?;
        let (_, seen) = state.model.store(&store).ok_or_else(|| unknown_store(&store))?;
        Ok((StatusCode::ACCEPTED, Some(path.clone()), Sync::new(&seen)))
    })
    .await
}
