//! Stock of one item: everywhere, in one store, and a whole store page by page.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::sync::PoisonError;

use axum::Json;
use axum::extract::State as Ctx;
use inventory_core::{Freshness, available};
use serde::{Deserialize, Serialize};
use service_kit::extract::{Path, Query, page_limit};
use service_kit::{ErrorCode, Problem};
use shared_events::{Sku, StoreId};
use utoipa::{IntoParams, ToSchema};

use super::{FreshnessView, State};
use crate::read_model::{Level, StoreView};

/// One item in one store, as the centre knows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units on hand; the same as `onHand`, under the name older callers know.
    quantity: i64,
    /// Units on hand.
    on_hand: i64,
    /// Units promised to reservations.
    reserved: i64,
    /// Units that may be offered online; 0 while the store is dark.
    available: i64,
    /// Events of the item so far; 0 for one never seen.
    version: u64,
    /// Newest event of the item, by its place in the store's journal; 0 for one never seen.
    sequence: u64,
    /// How far this can be believed.
    freshness: FreshnessView,
}

impl Item {
    fn new(state: &State, view: &StoreView, sku: Sku, level: Option<&Level>) -> (Self, Freshness) {
        let seen = state.model.seen(view);
        let (on_hand, reserved) = level.map_or((0, 0), |level| (level.on_hand, level.reserved));
        let sellable = seen.freshness.sellable();
        let item = Self {
            store_id: view.id.clone(),
            sku,
            quantity: on_hand,
            on_hand,
            reserved,
            available: if sellable { available(on_hand, reserved) } else { 0 },
            version: level.map_or(0, |level| level.version.get()),
            sequence: level.map_or(0, |level| level.sequence.get()),
            freshness: FreshnessView::new(seen, view.missing),
        };
        (item, seen.freshness)
    }
}

/// One item in all stores.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Global {
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units on hand in all stores; the same as `onHand`, under the name older callers know.
    quantity: i64,
    /// Units on hand in all stores.
    on_hand: i64,
    /// Units promised to reservations in all stores.
    reserved: i64,
    /// Units that may be offered online; dark stores count 0.
    available: i64,
    /// The worst freshness among all known stores, since any of them may have changed it.
    freshness: &'static str,
    /// Stores that ever had the item.
    stores: Vec<Item>,
}

/// One item in all stores, with their sum.
#[utoipa::path(
    get, path = "/api/query/inventory/global/{sku}", tag = "queries",
    params(("sku" = String, Path)),
    responses(
        (status = 200, description = "The item; one never seen counts as 0.", body = Global),
        (status = "4XX", description = "No such name.", body = Problem),
    )
)]
pub(super) async fn global(
    Ctx(state): Ctx<State>,
    Path(sku): Path<Sku>,
) -> Result<Json<Global>, Problem> {
    // Freshness first: a level that is newer than its label is honest, the other way round is not.
    let views = state.model.stores();
    let levels = state.model.levels(&sku);
    let stores: Vec<Item> = levels
        .iter()
        .filter_map(|level| {
            let view = views.get(level.store.place())?;
            Some(Item::new(&state, view, sku.clone(), Some(level)).0)
        })
        .collect();
    let worst = views.iter().map(|view| state.model.seen(view).freshness).max_by_key(doubt);
    let on_hand = stores.iter().map(|item| item.on_hand).sum();
    Ok(Json(Global {
        quantity: on_hand,
        on_hand,
        reserved: stores.iter().map(|item| item.reserved).sum(),
        available: stores.iter().map(|item| item.available).sum(),
        freshness: worst.unwrap_or(Freshness::Unknown).name(),
        stores,
        sku,
    }))
}

const fn doubt(freshness: &Freshness) -> u8 {
    match freshness {
        Freshness::Fresh => 0,
        Freshness::Lagging { .. } => 1,
        Freshness::Unknown => 2,
        Freshness::Stale => 3,
        Freshness::Diverged => 4,
        Freshness::Dark => 5,
    }
}

/// One item in one store.
#[utoipa::path(
    get, path = "/api/query/inventory/store/{storeId}/{sku}", tag = "queries",
    params(("storeId" = String, Path), ("sku" = String, Path)),
    responses(
        (status = 200, description = "The item; one never seen counts as 0.", body = Item),
        (status = "4XX", description = "No such store.", body = Problem),
    )
)]
pub(super) async fn item(
    Ctx(state): Ctx<State>,
    Path((store, sku)): Path<(StoreId, Sku)>,
) -> Result<Json<Item>, Problem> {
    let (index, view) = state.model.store(&store).ok_or_else(|| unknown(&store))?;
    let level = state.model.level(index, &sku);
    Ok(Json(Item::new(&state, &view, sku, level.as_ref()).0))
}

/// Page through a list by name.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ItemsQuery {
    /// The last SKU of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Sku>,
    /// Items of a page, 1 to 1,000; 100 unless asked.
    limit: Option<usize>,
}

/// A page of items.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Items {
    /// In order of SKU.
    items: Vec<Item>,
    /// Ask again with `after` set to this; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// All items of one store, page by page.
#[utoipa::path(
    get, path = "/api/query/inventory/store/{storeId}", tag = "queries",
    params(("storeId" = String, Path), ItemsQuery),
    responses(
        (status = 200, description = "A page.", body = Items),
        (status = "4XX", description = "No such store, or a bad query.", body = Problem),
    )
)]
pub(super) async fn items(
    Ctx(state): Ctx<State>,
    Path(store): Path<StoreId>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Items>, Problem> {
    let (index, view) = state.model.store(&store).ok_or_else(|| unknown(&store))?;
    let limit = page_limit(query.limit)?;
    let reader = state.reader.clone();
    let skus = tokio::task::spawn_blocking(move || {
        let after = query.after.as_ref().map_or("", Sku::as_str);
        reader.lock().unwrap_or_else(PoisonError::into_inner).skus(index, after, limit)
    })
    .await
    .map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?
    .map_err(|error| {
        tracing::error!(%error, "the database cannot be read");
        Problem::new(ErrorCode::Internal, "the database cannot be read; the log has the cause")
    })?;
    // The order comes from the database, the numbers from memory, as in every other answer.
    let items = skus.iter().filter_map(|sku| Sku::parse(sku).ok()).map(|sku| {
        let level = state.model.level(index, &sku);
        Item::new(&state, &view, sku, level.as_ref()).0
    });
    Ok(Json(Items { items: items.collect(), next: skus.get(limit - 1).cloned() }))
}

fn unknown(store: &StoreId) -> Problem {
    let detail = format!("no event and no heartbeat of store {store} has been seen here");
    Problem::new(ErrorCode::UnknownStore, detail).field("storeId")
}
