//! How stock stood: from the events, by the stores' clocks.
//!
//! What the centre knew of a store then, and what may have been offered, is not kept: answers of the
//! past have neither `available` nor freshness.

use inventory_core::AsOf;
use serde::{Deserialize, Serialize};
use service_kit::{ErrorCode, Problem};
use shared_events::{EventId, Sku, StoreId, Timestamp};
use stock_http::history::as_of;
use utoipa::{IntoParams, ToSchema};

use super::explain::{ReservedUnits, Term};
use super::{State, read, unknown_store};
use crate::past::{NotKept, Promise, Promises};
use crate::read_model::{Level, StoreIndex};

/// Events about reservations that are looked through for those that were kept.
const MAX_LOOKED_THROUGH: usize = 100_000;

/// At which point.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AsOfQuery {
    /// As it stood after this sequence of the store's journal, or at this RFC 3339 time by the store's
    /// clock; now, when it is left out.
    as_of: Option<String>,
}

impl AsOfQuery {
    pub(super) fn point(&self) -> Result<Option<AsOf>, Problem> {
        self.as_of.as_deref().map(as_of).transpose()
    }
}

/// At which time.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AsOfTimeQuery {
    /// As it stood at this RFC 3339 time by each store's clock; now, when it is left out.
    as_of: Option<String>,
}

impl AsOfTimeQuery {
    pub(super) fn time(&self) -> Result<Option<Timestamp>, Problem> {
        match self.as_of.as_deref().map(as_of).transpose()? {
            None => Ok(None),
            Some(AsOf::Time(time)) => Ok(Some(time)),
            Some(AsOf::Sequence(_)) => {
                let detail = "stores have no sequence in common: asOf is an RFC 3339 time here";
                Err(Problem::new(ErrorCode::InvalidField, detail).field("asOf"))
            }
        }
    }
}

/// An answer about now, or about the past.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum NowOrThen<N, T> {
    /// Without `asOf`.
    Now(N),
    /// With it.
    Then(T),
}

/// One item in one store, as it stood.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ItemThen {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// The point: a sequence, or a time by the store's clock.
    as_of: String,
    /// Units on hand; the same as `onHand`, under the name older callers know.
    quantity: i64,
    /// Units on hand.
    on_hand: i64,
    /// Units promised to reservations.
    reserved: i64,
    /// Events of the item up to then; 0 for one not seen yet.
    version: u64,
    /// Its newest event then, by its place in the store's journal; 0 for one not seen yet.
    sequence: u64,
    /// That event; absent for an item not seen yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// When it happened, by the store's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    occurred_at: Option<Timestamp>,
}

impl ItemThen {
    pub(super) fn new(store: &StoreId, sku: &Sku, point: &str, level: Option<&Level>) -> Self {
        let on_hand = level.map_or(0, |level| level.on_hand);
        Self {
            store_id: store.clone(),
            sku: sku.clone(),
            as_of: point.to_owned(),
            quantity: on_hand,
            on_hand,
            reserved: level.map_or(0, |level| level.reserved),
            version: level.map_or(0, |level| level.version.get()),
            sequence: level.map_or(0, |level| level.sequence.get()),
            event_id: level.map(|level| event_id(store, level)),
            occurred_at: level
                .and_then(|level| Timestamp::from_unix_millis(level.occurred_at_ms).ok()),
        }
    }
}

/// One item in all stores, as it stood.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GlobalThen {
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// The time, by each store's own clock.
    as_of: String,
    /// Units on hand in all stores; the same as `onHand`, under the name older callers know.
    quantity: i64,
    /// Units on hand in all stores.
    on_hand: i64,
    /// Units promised to reservations in all stores.
    reserved: i64,
    /// Stores that had ever had the item by then.
    stores: Vec<ItemThen>,
}

/// What the levels were made of.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExplanationThen {
    /// How it stood.
    item: ItemThen,
    /// `onHand` and `reserved`. The other terms of an explanation are not kept.
    terms: Vec<Term>,
}

/// An item in one store at a point.
pub(super) async fn item(
    state: &State,
    store: StoreId,
    sku: Sku,
    point: AsOf,
) -> Result<ItemThen, Problem> {
    let level = standing(state, &store, &sku, point).await?;
    Ok(ItemThen::new(&store, &sku, &text(point), level.as_ref()))
}

/// An item in all stores at a time.
pub(super) async fn global(
    state: &State,
    sku: Sku,
    time: Timestamp,
) -> Result<GlobalThen, Problem> {
    let point = AsOf::Time(time);
    let wanted = sku.clone();
    let seen = state.model.stores();
    let known = u32::try_from(seen.len()).unwrap_or(u32::MAX);
    let around = read(state, move |reader| {
        let of = |store| reader.around(StoreIndex(store), &wanted, point);
        (0..known).map(of).collect::<Result<Vec<_>, _>>()
    })
    .await?;
    let mut stores = Vec::new();
    for (seen, around) in seen.iter().zip(around) {
        let store = &seen.view.id;
        let level = around.standing(point).map_err(|NotKept| not_kept(store, &sku))?;
        if let Some(level) = level {
            stores.push(ItemThen::new(store, &sku, &text(point), Some(&level)));
        }
    }
    let on_hand = stores.iter().map(|item| item.on_hand).sum();
    let reserved = stores.iter().map(|item| item.reserved).sum();
    Ok(GlobalThen { sku, as_of: text(point), quantity: on_hand, on_hand, reserved, stores })
}

/// Why an item stood so.
pub(super) async fn explain(
    state: &State,
    store: StoreId,
    sku: Sku,
    point: AsOf,
) -> Result<ExplanationThen, Problem> {
    let level = standing(state, &store, &sku, point).await?;
    let item = ItemThen::new(&store, &sku, &text(point), level.as_ref());
    let kept = match &level {
        None => Vec::new(),
        Some(level) => promises(state, &store, &sku, *level).await?,
    };
    let terms = vec![
        Term {
            term: "onHand",
            units: item.on_hand,
            because: "physically present, as the store said".to_owned(),
            event_id: item.event_id.clone(),
            reservations: Vec::new(),
        },
        Term {
            term: "reserved",
            units: -item.reserved,
            because: "kept by the store for reservations of all centres".to_owned(),
            event_id: item.event_id.clone(),
            reservations: kept,
        },
    ];
    Ok(ExplanationThen { item, terms })
}

/// How an item stood; `None` when it had not been seen.
pub(super) async fn standing(
    state: &State,
    store: &StoreId,
    sku: &Sku,
    point: AsOf,
) -> Result<Option<Level>, Problem> {
    let (index, _) = state.model.store(store).ok_or_else(|| unknown_store(store))?;
    let wanted = sku.clone();
    let around = read(state, move |reader| reader.around(index, &wanted, point)).await?;
    around.standing(point).map_err(|NotKept| not_kept(store, sku))
}

/// The promises behind a level's reserved units, those first that were made last.
async fn promises(
    state: &State,
    store: &StoreId,
    sku: &Sku,
    level: Level,
) -> Result<Vec<ReservedUnits>, Problem> {
    let wanted = sku.clone();
    let promises = read(state, move |reader| {
        let mut promises = Promises::of(level.reserved);
        if promises.is_incomplete() {
            let at = (level.epoch, level.sequence);
            let most = MAX_LOOKED_THROUGH;
            reader.promises_back(level.store, &wanted, at, most, &mut |at, event| {
                promises.take(at, event)
            })?;
        }
        Ok(promises)
    })
    .await?;
    let found = promises.found().map_err(|NotKept| not_kept(store, sku))?;
    Ok(found.into_iter().map(|promise| reserved_units(store, promise)).collect())
}

fn reserved_units(store: &StoreId, promise: Promise) -> ReservedUnits {
    let (epoch, sequence) = promise.at;
    ReservedUnits {
        reservation_id: promise.reservation_id,
        attempt: promise.attempt,
        quantity: promise.units,
        expires_at: promise.expires_at,
        event_id: Some(EventId { store: store.clone(), epoch, sequence }.to_string()),
    }
}

/// The point as it is written.
pub(super) fn text(point: AsOf) -> String {
    match point {
        AsOf::Sequence(sequence) => sequence.to_string(),
        AsOf::Time(time) => time.to_string(),
    }
}

fn event_id(store: &StoreId, level: &Level) -> String {
    let Level { epoch, sequence, .. } = *level;
    EventId { store: store.clone(), epoch, sequence }.to_string()
}

fn not_kept(store: &StoreId, sku: &Sku) -> Problem {
    let detail = format!(
        "the events of item {sku} in store {store} around that point are not kept here, or have not \
         come; the store's own history has them"
    );
    Problem::new(ErrorCode::HistoryGone, detail).field("asOf").fact("storeId", store.as_str())
}
