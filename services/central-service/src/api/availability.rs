//! What may be offered of many items, where.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::cell::OnceCell;
use std::sync::Arc;

use access::{Principal, Stores};
use axum::extract::State as Ctx;
use axum::response::{IntoResponse as _, Response};
use inventory_core::sourcing::distance;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use service_kit::extract::Query;
use service_kit::{ErrorCode, Problem};
use shared_events::{Location, Sku, StoreId};
use utoipa::{IntoParams, ToSchema};

use super::freshness::{AsOf, Basis, Dated, Excluded, FreshnessView};
use super::{State, now, unknown_store};
use crate::read_model::{Seen, Shelf};

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
pub(super) struct Availability<'a> {
    /// In the order asked for.
    items: Vec<ItemAvailability<'a>>,
}

/// One item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ItemAvailability<'a> {
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units that may be offered in these stores together.
    available: i64,
    /// The worst freshness among all stores that were asked about, since any of them may have changed
    /// it; of one that is switched off, what it would be otherwise.
    freshness: &'static str,
    /// How old the oldest knowledge in `available` is; absent where a contributing store was not heard
    /// since this centre started, or none contributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<AsOf>,
    /// Stores whose units are counted in `available`.
    contributing: usize,
    /// Stores whose units are not.
    excluded: Excluded,
    /// Stores that ever had it: nearest first with `near`, else in the order they became known.
    stores: Vec<StoreAvailability<'a>>,
}

/// One item in one store.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StoreAvailability<'a> {
    /// The store.
    #[schema(value_type = String)]
    store_id: &'a StoreId,
    /// Units that may be offered; 0 while the store is dark or switched off.
    available: i64,
    /// Kilometres from `near`, rounded up; absent where a place is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_km: Option<u64>,
    /// How far this can be believed.
    #[schema(value_type = FreshnessView)]
    freshness: &'a RawValue,
}

/// A store that is asked about.
#[derive(Debug)]
struct Chosen<'a> {
    seen: &'a Seen,
    far: Option<u64>,
    /// Its part of the answer, alike for all items: written once, by the first that needs it.
    freshness: OnceCell<Box<RawValue>>,
}

impl Chosen<'_> {
    fn freshness(&self) -> &RawValue {
        self.freshness.get_or_init(|| {
            to_raw_value(&FreshnessView::new(self.seen))
                .expect("names and numbers always serialise")
        })
    }
}

/// What may be offered of many items at once.
#[utoipa::path(
    get, path = "/api/query/availability", tag = "queries", params(AvailabilityQuery),
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "Each item; one never seen counts as 0.", body = Availability<'_>),
        (status = "4XX", description = "A bad query, or no such store.", body = Problem),
    )
)]
pub(super) async fn availability(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Query(query): Query<AvailabilityQuery>,
) -> Result<Response, Problem> {
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
    if let Some(store) = &query.store_id {
        principal.require_store(store).map_err(|problem| problem.field("storeId"))?;
        if state.model.index(store).is_none() {
            return Err(unknown_store(store));
        }
    }
    let seen = state.model.stores();
    let chosen = chosen(&seen, &query, near, &principal.stores);
    let now_ms = now().unix_millis();
    let items: Vec<ItemAvailability<'_>> = skus
        .into_iter()
        .map(|sku| {
            let shelves = state.model.shelves(&seen, &sku, now_ms);
            item(sku, &shelves, &chosen)
        })
        .collect();
    let contributing = items.iter().filter(|item| item.contributing > 0);
    let ages: Option<Vec<u64>> =
        contributing.map(|item| item.as_of.map(|as_of| as_of.age_ms)).collect();
    let oldest = ages.and_then(|ages| ages.into_iter().max());
    Ok(Dated::new(&state, oldest, Availability { items }).into_response())
}

/// The stores that are asked about, each in its place with its distance.
fn chosen<'a>(
    seen: &'a [Seen],
    query: &AvailabilityQuery,
    near: Option<Location>,
    stores: &Stores,
) -> Vec<Option<Chosen<'a>>> {
    let choose = |seen: &'a Seen| {
        let far = distance_km(seen, near);
        let named = query.store_id.as_ref().is_none_or(|store| *store == seen.view.id);
        let within = query.radius_km.is_none_or(|most| far.is_some_and(|far| far <= most));
        let included = named && within && stores.include(&seen.view.id);
        included.then(|| Chosen { seen, far, freshness: OnceCell::new() })
    };
    seen.iter().map(choose).collect()
}

fn item<'a>(sku: Sku, shelves: &[Shelf], chosen: &'a [Option<Chosen<'a>>]) -> ItemAvailability<'a> {
    let mut holding: Vec<(&Shelf, &Chosen<'_>)> = shelves
        .iter()
        .filter_map(|shelf| Some((shelf, chosen.get(shelf.store.place())?.as_ref()?)))
        .collect();
    holding.sort_by_key(|(_, store)| store.far.unwrap_or(u64::MAX));
    let asked = chosen.iter().flatten().map(|store| store.seen);
    let Basis { freshness, as_of, contributing, excluded } =
        Basis::new(asked, holding.iter().map(|(_, store)| store.seen));
    ItemAvailability {
        sku,
        available: holding.iter().map(|(shelf, ..)| shelf.terms.available()).sum(),
        freshness,
        as_of,
        contributing,
        excluded,
        stores: holding
            .into_iter()
            .map(|(shelf, store)| StoreAvailability {
                store_id: &store.seen.view.id,
                available: shelf.terms.available(),
                distance_km: store.far,
                freshness: store.freshness(),
            })
            .collect(),
    }
}

fn distance_km(seen: &Seen, near: Option<Location>) -> Option<u64> {
    let (from, to) = near.zip(seen.view.location)?;
    Some(distance(from, to).div_ceil(1_000))
}
