//! The stores the centre knows.

use axum::Json;
use axum::extract::State as Ctx;
use serde::Serialize;
use shared_events::StoreId;
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
    let stores = state.model.stores().into_iter().map(|view| Store {
        freshness: FreshnessView::new(state.model.seen(&view), view.missing),
        store_id: view.id,
        epoch: view.witness.epoch.get(),
        head: view.witness.head.get(),
        head_hash: view.witness.head_hash,
        applied_through: view.applied_through.get(),
        digest: view.digest.to_string(),
        reported_digest: view.witness.digest,
    });
    Json(Stores { stores: stores.collect() })
}
