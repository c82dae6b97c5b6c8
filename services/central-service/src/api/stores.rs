//! The stores the centre knows.

use axum::Json;
use axum::extract::State as Ctx;
use serde::Serialize;
use shared_events::{Location, StoreId};
use utoipa::ToSchema;

use super::{FreshnessView, State};

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
struct Store {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// How far its numbers can be believed.
    freshness: FreshnessView,
    /// Where the shop is, when it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    location: Option<Location>,
    /// Life of its journal, as it last reported.
    epoch: u64,
    /// Newest sequence in its journal, as it last reported.
    head: u64,
    /// Chain hash there.
    head_hash: String,
    /// Everything up to here is applied, without a hole.
    applied_through: u64,
    /// Set hash of its items as known here.
    digest: String,
    /// Set hash of its items as it last reported; equal when it is fresh.
    reported_digest: String,
}

/// All stores with their freshness.
#[utoipa::path(
    get, path = "/api/stores", tag = "stores",
    responses((status = 200, description = "All stores.", body = Stores))
)]
pub(super) async fn stores(Ctx(state): Ctx<State>) -> Json<Stores> {
    let stores = state.model.stores().into_iter().map(|seen| Store {
        freshness: FreshnessView::new(&seen),
        store_id: seen.view.id.clone(),
        location: seen.view.location,
        epoch: seen.view.witness.epoch.get(),
        head: seen.view.witness.head.get(),
        head_hash: seen.view.witness.head_hash.clone(),
        applied_through: seen.view.applied_through.get(),
        digest: seen.view.digest.to_string(),
        reported_digest: seen.view.witness.digest.clone(),
    });
    Json(Stores { stores: stores.collect() })
}
