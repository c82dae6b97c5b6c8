//! What may be offered of many items, where.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use axum::Json;
use axum::extract::State as Ctx;
use inventory_core::sourcing::distance;
use serde::{Deserialize, Serialize};
use service_kit::extract::Query;
use service_kit::{ErrorCode, Problem};
use shared_events::{Location, Sku, StoreId};
use utoipa::{IntoParams, ToSchema};

use super::{FreshnessView, State, now, unknown_store};
use crate::read_model::Seen;

/// Most items of one question.
const MAX_ITEMS: usize = 200;

/// Which items, and where.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AvailabilityQuery {
    /// The items, separated by commas: 1 to 200. An item with a comma in its name is asked for on its
    /// own page.
    sku: String,
    /// Only this store.
    #[param(value_type = Option<String>)]
    store_id: Option<StoreId>,
    /// Nearest first, from `latitude,longitude`.
    near: Option<String>,
    /// Only stores within so many kilometres of `near`, 1 to 20,000.
    radius_km: Option<u64>,
}

/// The answer, item by item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Availability {
    /// In the order asked for.
    items: Vec<ItemAvailability>,
}

/// One item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ItemAvailability {
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units that may be offered in these stores together.
    available: i64,
    /// Stores that ever had it: nearest first with `near`, else in the order they became known.
    stores: Vec<StoreAvailability>,
}

/// One item in one store.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StoreAvailability {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// Units that may be offered.
    available: i64,
    /// Kilometres from `near`, rounded up; absent where a place is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_km: Option<u64>,
    /// How far this can be believed.
    freshness: FreshnessView,
}

/// What may be offered of many items at once.
#[utoipa::path(
    get, path = "/api/query/availability", tag = "queries", params(AvailabilityQuery),
    responses(
        (status = 200, description = "Each item; one never seen counts as 0.", body = Availability),
        (status = "4XX", description = "A bad query, or no such store.", body = Problem),
    )
)]
pub(super) async fn availability(
    Ctx(state): Ctx<State>,
    Query(query): Query<AvailabilityQuery>,
) -> Result<Json<Availability>, Problem> {
    let invalid =
        |detail: String, field: &str| Problem::new(ErrorCode::InvalidField, detail).field(field);
    let skus: Vec<Sku> = query
        .sku
        .split(',')
        .map(|sku| Sku::parse(sku.trim()))
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(error.to_string(), "sku"))?;
    if skus.len() > MAX_ITEMS {
        return Err(invalid(format!("at most {MAX_ITEMS} items at once"), "sku"));
    }
    let near = query.near.as_deref().map(str::parse::<Location>).transpose();
    let near = near.map_err(|error| invalid(error.to_string(), "near"))?;
    if query.radius_km.is_some_and(|radius| near.is_none() || !(1..=20_000).contains(&radius)) {
        return Err(invalid("radiusKm is 1 to 20,000, and goes with near".to_owned(), "radiusKm"));
    }
    if let Some(store) = &query.store_id
        && state.model.index(store).is_none()
    {
        return Err(unknown_store(store));
    }
    let seen = state.model.stores();
    let now_ms = now().unix_millis();
    let items = skus.into_iter().map(|sku| {
        let shelves = state.model.shelves(&seen, &sku, now_ms);
        let stores = shelves.iter().filter_map(|shelf| {
            let seen = seen.get(shelf.store.place())?;
            let far = distance_km(seen, near);
            let chosen = query.store_id.as_ref().is_none_or(|store| *store == seen.view.id);
            let within = query.radius_km.is_none_or(|most| far.is_some_and(|far| far <= most));
            (chosen && within).then(|| StoreAvailability {
                store_id: seen.view.id.clone(),
                available: shelf.terms.available(),
                distance_km: far,
                freshness: FreshnessView::new(seen),
            })
        });
        let mut stores: Vec<StoreAvailability> = stores.collect();
        stores.sort_by_key(|store| store.distance_km.unwrap_or(u64::MAX));
        let available = stores.iter().map(|store| store.available).sum();
        ItemAvailability { sku, available, stores }
    });
    Ok(Json(Availability { items: items.collect() }))
}

fn distance_km(seen: &Seen, near: Option<Location>) -> Option<u64> {
    let (from, to) = near.zip(seen.view.location)?;
    Some(distance(from, to).div_ceil(1_000))
}
