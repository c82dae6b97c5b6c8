//! What happened to one item of one store, and how it stood at a point: the store's own route, from
//! what the centre has of it.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Ctx;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use service_kit::extract::{Path, Query, page_limit};
use service_kit::{ErrorCode, Problem};
use shared_events::{Epoch, EventId, Sequence, Sku, StoreId};
use stock_http::ItemEvent;
use utoipa::{IntoParams, ToSchema};

use super::as_of::{ItemThen, standing, text};
use super::{State, read, unknown_store};
use crate::past::Told;

/// Which part of an item's history.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ItemEventsQuery {
    /// Only events behind this `EPOCH/SEQUENCE`.
    after: Option<String>,
    /// Events of a page, 1 to 1,000; 100 unless asked.
    limit: Option<usize>,
    /// As it stood after this sequence, or at this RFC 3339 time by the store's clock.
    as_of: Option<String>,
}

/// An item's history, as far as this centre has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ItemHistory {
    /// The item at the point asked for.
    item: ItemThen,
    /// Its events up to there in the order the store wrote them, which need not be that of their times.
    events: Vec<ItemEvent>,
    /// Whether the item's first event is kept here, and so what the events begin with.
    complete: bool,
    /// Ask again with `after` set to this; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What happened to one item, and how it stood at a point.
#[utoipa::path(
    get, path = "/api/query/inventory/store/{storeId}/{sku}/events", tag = "queries",
    params(("storeId" = String, Path), ("sku" = String, Path), ItemEventsQuery),
    security(("bearer" = ["staff"])),
    responses(
        (status = 200, description = "The history.", body = ItemHistory),
        (status = 410, description = "The point is not kept here any more.", body = Problem),
        (status = "4XX", description = "No such store, or a bad query.", body = Problem),
    )
)]
pub(super) async fn item_events(
    Ctx(state): Ctx<Arc<State>>,
    Path((store, sku)): Path<(StoreId, Sku)>,
    Query(query): Query<ItemEventsQuery>,
) -> Result<Json<ItemHistory>, Problem> {
    let limit = page_limit(query.limit)?;
    let point = query.as_of.as_deref().map(stock_http::history::as_of).transpose()?;
    let after = query.after.as_deref().map(place).transpose()?.unwrap_or_default();
    let (index, _) = state.model.store(&store).ok_or_else(|| unknown_store(&store))?;
    let (item, as_of) = match point {
        Some(point) => (standing(&state, &store, &sku, point).await?, text(point)),
        None => (state.model.level(index, &sku), super::now().to_string()),
    };
    let item = ItemThen::new(&store, &sku, &as_of, item.as_ref());
    let (told, complete) = read(&state, move |reader| {
        Ok((reader.told(index, &sku, after, point, limit)?, reader.begins(index, &sku)?))
    })
    .await?;
    let next = told.get(limit - 1).map(|told| format!("{}/{}", told.epoch, told.sequence));
    let events = told.into_iter().map(|told| item_event(&store, told)).collect();
    Ok(Json(ItemHistory { item, events, complete, next }))
}

fn item_event(store: &StoreId, told: Told) -> ItemEvent {
    let Told { epoch, sequence, .. } = told;
    ItemEvent {
        event_id: EventId { store: store.clone(), epoch, sequence }.to_string(),
        sequence: sequence.get(),
        event_type: told.kind,
        occurred_at: told.occurred_at.to_string(),
        command_id: told.cause,
        principal: told.principal,
        traceparent: told.traceparent,
        data: RawValue::from_string(told.data).unwrap_or_default(),
    }
}

/// A place in a store's journals: the life, and the sequence in it.
fn place(text: &str) -> Result<(Epoch, Sequence), Problem> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n <= Sequence::MAX.get());
    let place = text.split_once('/').and_then(|(epoch, sequence)| {
        Some((Epoch::new(number(epoch)?), Sequence::new(number(sequence)?)))
    });
    place.ok_or_else(|| {
        let detail = "after is EPOCH/SEQUENCE, the end of an event's id";
        Problem::new(ErrorCode::InvalidField, detail).field("after")
    })
}
