//! Stock of one item: everywhere, in one store, and a whole store page by page.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::sync::Arc;

use access::Principal;
use axum::extract::State as Ctx;
use serde::{Deserialize, Serialize};
use service_kit::Problem;
use service_kit::extract::{Path, Query, page_limit};
use shared_events::{Sku, StoreId};
use utoipa::{IntoParams, ToSchema};

use super::as_of::{self, AsOfQuery, AsOfTimeQuery, GlobalThen, ItemThen, NowOrThen};
use super::freshness::{AsOf, Basis, Dated, Excluded, FreshnessView};
use super::{State, now, read, unknown_store};
use crate::read_model::{Seen, Shelf};

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
    /// Units that may be offered online; 0 while the store is dark or switched off.
    available: i64,
    /// Events of the item so far; 0 for one never seen.
    version: u64,
    /// Newest event of the item, by its place in the store's journal; 0 for one never seen.
    sequence: u64,
    /// How far this can be believed.
    freshness: FreshnessView,
}

impl Item {
    fn new(seen: &Seen, sku: Sku, shelf: &Shelf) -> Self {
        let Shelf { level, terms, .. } = shelf;
        Self {
            store_id: seen.view.id.clone(),
            sku,
            quantity: terms.on_hand,
            on_hand: terms.on_hand,
            reserved: terms.reserved,
            available: terms.available(),
            version: level.map_or(0, |level| level.version.get()),
            sequence: level.map_or(0, |level| level.sequence.get()),
            freshness: FreshnessView::new(seen),
        }
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
    /// Units that may be offered online; stores that are dark or switched off count 0.
    available: i64,
    /// The worst freshness among all known stores, since any of them may have changed it; of one that is
    /// switched off, what it would be otherwise.
    freshness: &'static str,
    /// How old the oldest knowledge in `available` is; absent where a contributing store was not heard
    /// since this centre started, or none contributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<AsOf>,
    /// Stores whose units are counted in `available`.
    contributing: usize,
    /// Stores whose units are not.
    excluded: Excluded,
    /// Stores that ever had the item.
    stores: Vec<Item>,
}

/// One item in all stores, with their sum: now, or as it stood.
#[utoipa::path(
    get, path = "/api/query/inventory/global/{sku}", tag = "queries",
    params(("sku" = String, Path), AsOfTimeQuery),
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "The item; one never seen counts as 0.",
         body = NowOrThen<Global, GlobalThen>),
        (status = 410, description = "The history does not reach back that far.", body = Problem),
        (status = "4XX", description = "No such name, or no such time.", body = Problem),
    )
)]
pub(super) async fn global(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Path(sku): Path<Sku>,
    Query(query): Query<AsOfTimeQuery>,
) -> Result<Dated<NowOrThen<Global, GlobalThen>>, Problem> {
    // A sum over some stores under the name of the sum over all would be believed to be that.
    principal.require_all_stores("ask /api/query/availability, or a store's own level")?;
    if let Some(time) = query.time()? {
        let then = NowOrThen::Then(as_of::global(&state, sku, time).await?);
        return Ok(Dated::new(&state, None, then));
    }
    let seen = state.model.stores();
    let shelves = state.model.shelves(&seen, &sku, now().unix_millis());
    let stores: Vec<Item> = shelves
        .iter()
        .filter_map(|shelf| Some(Item::new(seen.get(shelf.store.place())?, sku.clone(), shelf)))
        .collect();
    let holding = shelves.iter().filter_map(|shelf| seen.get(shelf.store.place()));
    let Basis { freshness, as_of, contributing, excluded } = Basis::new(&seen, holding);
    let on_hand = stores.iter().map(|item| item.on_hand).sum();
    let global = Global {
        quantity: on_hand,
        on_hand,
        reserved: stores.iter().map(|item| item.reserved).sum(),
        available: stores.iter().map(|item| item.available).sum(),
        freshness,
        as_of,
        contributing,
        excluded,
        stores,
        sku,
    };
    let age_ms = as_of.map(|as_of| as_of.age_ms);
    Ok(Dated::new(&state, age_ms, NowOrThen::Now(global)))
}

/// One item in one store: now, or as it stood.
#[utoipa::path(
    get, path = "/api/query/inventory/store/{storeId}/{sku}", tag = "queries",
    params(("storeId" = String, Path), ("sku" = String, Path), AsOfQuery),
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "The item; one never seen counts as 0.",
         body = NowOrThen<Item, ItemThen>),
        (status = 410, description = "The history does not reach back that far.", body = Problem),
        (status = "4XX", description = "No such store.", body = Problem),
    )
)]
pub(super) async fn item(
    Ctx(state): Ctx<Arc<State>>,
    Path((store, sku)): Path<(StoreId, Sku)>,
    Query(query): Query<AsOfQuery>,
) -> Result<Dated<NowOrThen<Item, ItemThen>>, Problem> {
    if let Some(point) = query.point()? {
        let then = NowOrThen::Then(as_of::item(&state, store, sku, point).await?);
        return Ok(Dated::new(&state, None, then));
    }
    let (index, seen) = state.model.store(&store).ok_or_else(|| unknown_store(&store))?;
    let shelf = state.model.shelf(&seen, index, &sku, now().unix_millis());
    Ok(Dated::new(&state, seen.age_ms, NowOrThen::Now(Item::new(&seen, sku, &shelf))))
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
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "A page.", body = Items),
        (status = "4XX", description = "No such store, or a bad query.", body = Problem),
    )
)]
pub(super) async fn items(
    Ctx(state): Ctx<Arc<State>>,
    Path(store): Path<StoreId>,
    Query(query): Query<ItemsQuery>,
) -> Result<Dated<Items>, Problem> {
    let (index, seen) = state.model.store(&store).ok_or_else(|| unknown_store(&store))?;
    let limit = page_limit(query.limit)?;
    let skus = read(&state, move |reader| {
        let after = query.after.as_ref().map_or("", Sku::as_str);
        reader.skus(index, after, limit)
    })
    .await?;
    let now_ms = now().unix_millis();
    // The order comes from the database, the numbers from memory, as in every other answer.
    let items = skus.iter().filter_map(|sku| Sku::parse(sku).ok()).map(|sku| {
        let shelf = state.model.shelf(&seen, index, &sku, now_ms);
        Item::new(&seen, sku, &shelf)
    });
    let items = Items { items: items.collect(), next: skus.get(limit - 1).cloned() };
    Ok(Dated::new(&state, seen.age_ms, items))
}
