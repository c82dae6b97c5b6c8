//! The stores the centre knows, and the operator's switch of each.

use std::sync::Arc;

use access::Principal;
use axum::Json;
use axum::extract::State as Ctx;
use serde::{Deserialize, Serialize};
use service_kit::Problem;
use service_kit::extract::{Json as Body, Path};
use shared_events::policy::Selling;
use shared_events::{CentreId, Location, StoreId, Text, Timestamp};
use stock_http::lineage::{LifeView, lives};
use utoipa::ToSchema;

use super::freshness::FreshnessView;
use super::{State, refused, require_ready, unknown_store};
use crate::ledger::Ask;
use crate::read_model::Seen;

/// All stores.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stores {
    /// In the order they were first heard of.
    stores: Vec<Store>,
}

/// One store as the centre knows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Store {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// How far its numbers can be believed.
    freshness: FreshnessView,
    /// Whether it sells online, by an operator's word.
    selling: SellingView,
    /// Where the shop is, when it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    location: Option<Location>,
    /// Life of its journal, as it last reported.
    epoch: u64,
    /// All its lives, each with its first sequence; absent before its first report.
    #[serde(skip_serializing_if = "Option::is_none")]
    lineage: Option<Vec<LifeView>>,
    /// Newest sequence in its journal, as it last reported.
    head: u64,
    /// Chain hash there.
    head_hash: String,
    /// Everything up to here is applied, without a hole.
    applied_through: u64,
    /// Set hash of its items as known here.
    digest: String,
    /// Set hash of its items as it last reported, at its head.
    reported_digest: String,
}

impl Store {
    fn new(state: &State, seen: &Seen) -> Self {
        let view = &seen.view;
        Self {
            freshness: FreshnessView::new(seen),
            selling: state.model.selling(|all| all.get(&view.id).into()),
            store_id: view.id.clone(),
            location: view.location,
            epoch: view.witness.epoch.get(),
            lineage: view.witness.told().map(lives),
            head: view.witness.head.get(),
            head_hash: view.witness.head_hash.clone(),
            applied_through: view.applied_through.get(),
            digest: view.digest.to_string(),
            reported_digest: view.witness.digest.clone(),
        }
    }
}

/// Whether a store sells online.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SellingView {
    /// `false`: nothing new is promised there, and its units are not offered.
    enabled: bool,
    /// Why, in the operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<Text>,
    /// When that was said; absent while nobody said anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    changed_at: Option<Timestamp>,
    /// The centre where it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    changed_by: Option<CentreId>,
}

impl From<Option<&Selling>> for SellingView {
    fn from(said: Option<&Selling>) -> Self {
        Self {
            enabled: said.is_none_or(|said| said.enabled),
            reason: said.and_then(|said| said.reason.clone()),
            changed_at: said.map(|said| said.changed_at),
            changed_by: said.map(|said| said.changed_by.clone()),
        }
    }
}

/// All stores with their freshness.
#[utoipa::path(
    get, path = "/api/stores", tag = "stores",
    security(("bearer" = ["stock:read"])),
    responses((status = 200, description = "All stores.", body = Stores))
)]
pub(super) async fn stores(Ctx(state): Ctx<Arc<State>>, principal: Principal) -> Json<Stores> {
    let seen = state.model.stores();
    let seen = seen.iter().filter(|seen| principal.stores.include(&seen.view.id));
    Json(Stores { stores: seen.map(|seen| Store::new(&state, seen)).collect() })
}

/// One store with its freshness.
#[utoipa::path(
    get, path = "/api/stores/{storeId}", tag = "stores", params(("storeId" = String, Path)),
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "The store.", body = Store),
        (status = "4XX", description = "No such store.", body = Problem),
    )
)]
pub(super) async fn store(
    Ctx(state): Ctx<Arc<State>>,
    Path(store): Path<StoreId>,
) -> Result<Json<Store>, Problem> {
    let (_, seen) = state.model.store(&store).ok_or_else(|| unknown_store(&store))?;
    Ok(Json(Store::new(&state, &seen)))
}

/// Whether a store is to sell online.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SellingBody {
    /// `false` takes it off sale.
    enabled: bool,
    /// Why, for whoever looks later: 1 to 200 characters.
    #[schema(value_type = Option<String>, example = "burst pipe in the stock room")]
    reason: Option<Text>,
}

/// Switch a store's selling online on or off.
#[utoipa::path(
    put, path = "/api/stores/{storeId}/selling", tag = "stores", request_body = SellingBody,
    params(("storeId" = String, Path)),
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "On disk, and in force.", body = SellingView),
        (status = "4XX", description = "Refused; nothing was done.", body = Problem),
    )
)]
pub(super) async fn sell(
    Ctx(state): Ctx<Arc<State>>,
    Path(store): Path<StoreId>,
    Body(body): Body<SellingBody>,
) -> Result<Json<SellingView>, Problem> {
    if state.model.index(&store).is_none() {
        require_ready(&state)?;
        return Err(unknown_store(&store));
    }
    let SellingBody { enabled, reason } = body;
    let asked = state.ledger.ask(|reply| Ask::Selling { store_id: store, enabled, reason, reply });
    let said = asked.await.map_err(|refusal| refused(&refusal))?;
    Ok(Json(Some(&said).into()))
}
