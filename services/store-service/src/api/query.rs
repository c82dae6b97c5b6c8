//! The shelf now, and an item's history.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Ctx;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use inventory_core::AsOf;
use serde::{Deserialize, Serialize};
use service_kit::extract::{Path, Query, page_limit};
use service_kit::{ErrorCode, Problem};
use shared_events::{Sequence, Sku, StoreId};
use stock_http::ItemEvent;
use stock_http::headers::entity_tag;
use stock_http::history::as_of;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Item, unreadable};
use super::{State, read};
use crate::journal::Reader;

/// One item of this store, now.
#[utoipa::path(
    get, path = "/api/query/inventory/store/{storeId}/{sku}", tag = "queries",
    params(("storeId" = String, Path), ("sku" = String, Path)),
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "The item; one never seen counts as 0.", body = Item),
        (status = "4XX", description = "Not this store, or no such name.", body = Problem),
    )
)]
pub(super) async fn item(
    Ctx(state): Ctx<Arc<State>>,
    Path((store, sku)): Path<(StoreId, Sku)>,
) -> Result<Response, Problem> {
    require_known(&state, &store)?;
    let item = state.shelf.get(&sku);
    let tag = entity_tag(item.version.get());
    Ok(([(header::ETAG, tag)], Json(Item::new(store, sku, &item))).into_response())
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
    #[schema(value_type = Option<String>)]
    next: Option<Sku>,
}

/// All items of this store, now, page by page.
#[utoipa::path(
    get, path = "/api/query/inventory/store/{storeId}", tag = "queries",
    params(("storeId" = String, Path), ItemsQuery),
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "A page.", body = Items),
        (status = "4XX", description = "Not this store, or a bad query.", body = Problem),
    )
)]
pub(super) async fn items(
    Ctx(state): Ctx<Arc<State>>,
    Path(store): Path<StoreId>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Items>, Problem> {
    require_known(&state, &store)?;
    let limit = page_limit(query.limit)?;
    let page = state.shelf.page(query.after.as_ref(), limit);
    let next = page.get(limit - 1).map(|(sku, _)| sku.clone());
    let items = page.into_iter().map(|(sku, item)| Item::new(store.clone(), sku, &item)).collect();
    Ok(Json(Items { items, next }))
}

/// Which part of an item's history.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Only events behind this sequence.
    after: Option<u64>,
    /// Events of a page, 1 to 1,000; 100 unless asked.
    limit: Option<usize>,
    /// As it was after this sequence, or at this RFC 3339 time by the store's clock.
    as_of: Option<String>,
}

/// An item's history.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct History {
    /// The item at the point asked for.
    item: Item,
    /// Its events up to there, oldest first.
    events: Vec<ItemEvent>,
    /// Ask again with `after` set to this; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// What happened to one item, and how it stood at a point.
#[utoipa::path(
    get, path = "/api/query/inventory/store/{storeId}/{sku}/events", tag = "queries",
    params(("storeId" = String, Path), ("sku" = String, Path), EventsQuery),
    security(("bearer" = ["staff"])),
    responses(
        (status = 200, description = "The history.", body = History),
        (status = "4XX", description = "Not this store, or a bad query.", body = Problem),
    )
)]
pub(super) async fn events(
    Ctx(state): Ctx<Arc<State>>,
    Path((store, sku)): Path<(StoreId, Sku)>,
    Query(query): Query<EventsQuery>,
) -> Result<Json<History>, Problem> {
    require_known(&state, &store)?;
    let limit = page_limit(query.limit)?;
    let as_of = query.as_of.as_deref().map(as_of).transpose()?;
    let after = Sequence::new(query.after.unwrap_or_default());
    if after > Sequence::MAX {
        return Err(Problem::new(ErrorCode::InvalidField, "no such sequence").field("after"));
    }
    read(&state, move |reader| history(reader, store, &sku, after, as_of, limit)).await.map(Json)
}

fn history(
    reader: &Reader,
    store: StoreId,
    sku: &Sku,
    after: Sequence,
    as_of: Option<AsOf>,
    limit: usize,
) -> Result<History, Problem> {
    let item = reader.item(sku, as_of).map_err(|error| unreadable(&error))?;
    let recorded = reader.history(sku, after, as_of, limit).map_err(|error| unreadable(&error))?;
    let next = recorded.get(limit - 1).map(|event| event.id.sequence.get());
    let events = recorded.iter().map(ItemEvent::new).collect();
    Ok(History { item: Item::new(store, sku.clone(), &item), events, next })
}

pub(super) fn require_known(state: &State, store: &StoreId) -> Result<(), Problem> {
    if *store == state.store {
        return Ok(());
    }
    let detail = format!("this is store {}, which knows nothing of {store}", state.store);
    Err(Problem::new(ErrorCode::UnknownStore, detail).field("storeId"))
}
