//! The changes of the stream, page by page.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::str::FromStr;
use std::sync::Arc;

use access::{Principal, Stores};
use axum::Json;
use axum::extract::State as Ctx;
use serde::{Deserialize, Serialize};
use service_kit::extract::{Query, page_limit};
use service_kit::{ErrorCode, Problem};
use shared_events::{CommandId, Sku, StoreId, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::{State, unreadable};
use crate::history::{Change, ChangeId, Filter, Kept};

/// Most names in one part of a filter.
const MAX_NAMES: usize = 200;
/// Pages of the feed that one request goes through to find what is asked for.
const PAGES: usize = 40;

/// Something that happened to one item of one store.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StockChange {
    /// Its place in the order of this centre: what `Last-Event-ID` and `after` take.
    id: String,
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// `store/epoch/sequence`: its place in the store's own order.
    event_id: String,
    /// The event's type and version.
    #[serde(rename = "type")]
    kind: String,
    /// Units on hand behind it; absent, as the next three, where nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_hand: Option<i64>,
    /// Units promised to reservations behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved: Option<i64>,
    /// The item's version behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// Change of units on hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<i64>,
    /// When, by the store's clock.
    #[schema(value_type = String)]
    occurred_at: Timestamp,
    /// The command it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    command_id: Option<CommandId>,
    /// A newer event of the item came before it: its levels are not the newest.
    late: bool,
}

impl StockChange {
    pub(super) fn new(id: &ChangeId, change: &Change) -> Self {
        let levels = change.levels;
        Self {
            id: id.to_string(),
            store_id: change.id.store.clone(),
            sku: change.sku.clone(),
            event_id: change.id.to_string(),
            kind: change.kind.clone(),
            on_hand: levels.map(|levels| levels.on_hand),
            reserved: levels.map(|levels| levels.reserved),
            version: levels.map(|levels| levels.version.get()),
            delta: levels.map(|levels| levels.delta),
            occurred_at: change.occurred_at,
            command_id: change.cause.clone(),
            late: change.late,
        }
    }
}

/// Which changes.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Behind this id; from the oldest that is kept, when it is left out.
    after: Option<String>,
    /// Only of these stores, separated by commas: at most 200. They need not be known yet.
    store_id: Option<String>,
    /// Only of these items, separated by commas: at most 200.
    sku: Option<String>,
    /// Changes of a page, 1 to 1,000; 100 unless asked.
    limit: Option<usize>,
}

/// A page of changes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changes {
    /// In the order this centre applied them. May be fewer than asked for, also none, with more to come.
    changes: Vec<StockChange>,
    /// Ask again with `after` set to this, now or later.
    next: String,
    /// Whether there is more behind it already.
    more: bool,
}

/// The changes of the stream, page by page.
#[utoipa::path(
    get, path = "/api/events", tag = "changes", params(EventsQuery),
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "A page.", body = Changes),
        (status = 410, description = "The id is not kept any more, or of another life.", body = Problem),
        (status = "4XX", description = "A bad id or query.", body = Problem),
    )
)]
pub(super) async fn events(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Query(query): Query<EventsQuery>,
) -> Result<Json<Changes>, Problem> {
    let filter = filter(&principal, query.store_id.as_deref(), query.sku.as_deref())?;
    let limit = page_limit(query.limit)?;
    let asked = query.after.as_deref().map(|text| id(text, "after")).transpose()?;
    let feed = &state.streams.feed;
    let kept = feed.kept();
    let mut after = match asked {
        Some(id) => kept.position(&id).ok_or_else(|| gone(&kept))?,
        None => kept.before_oldest(),
    };
    let mut changes = Vec::new();
    for _page in 0..PAGES {
        if after >= kept.newest || changes.len() == limit {
            break;
        }
        let page = feed.page(after).await.map_err(|error| unreadable(&error))?;
        let page = page.ok_or_else(|| gone(&feed.kept()))?;
        for change in &page.changes {
            if changes.len() == limit {
                break;
            }
            after = change.position;
            if filter.wants(change) {
                changes.push(StockChange::new(&kept.id(after), change));
            }
        }
    }
    Ok(Json(Changes {
        changes,
        next: kept.id(after).to_string(),
        more: after < feed.kept().newest,
    }))
}

/// The id that a caller names.
pub(super) fn id(text: &str, field: &str) -> Result<ChangeId, Problem> {
    text.parse().map_err(|error: crate::history::InvalidChangeId| {
        Problem::new(ErrorCode::InvalidField, error.to_string()).field(field)
    })
}

/// The filter that a caller names; whoever is bound to stores gets no others.
pub(super) fn filter(
    principal: &Principal,
    stores: Option<&str>,
    skus: Option<&str>,
) -> Result<Filter, Problem> {
    let mut stores: Vec<StoreId> = names(stores, "storeId")?;
    for store in &stores {
        principal.require_store(store).map_err(|problem| problem.field("storeId"))?;
    }
    if let (Stores::Only(its), true) = (&principal.stores, stores.is_empty()) {
        stores.extend(its.iter().cloned());
    }
    Ok(Filter { stores, skus: names(skus, "sku")? })
}

fn names<T: FromStr<Err: std::fmt::Display>>(
    text: Option<&str>,
    field: &str,
) -> Result<Vec<T>, Problem> {
    let invalid = |detail: String| Problem::new(ErrorCode::InvalidField, detail).field(field);
    let parts = text.into_iter().flat_map(|text| text.split(','));
    let names: Vec<T> = parts
        .map(|part| part.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(|error: T::Err| invalid(error.to_string()))?;
    if names.len() > MAX_NAMES {
        return Err(invalid(format!("at most {MAX_NAMES} at once")));
    }
    Ok(names)
}

fn gone(kept: &Kept) -> Problem {
    let detail = "the changes behind this id are not kept, or are of a database that is no more; \
                  take a snapshot from /api/stream?snapshot=true, or go on from the oldest";
    Problem::new(ErrorCode::HistoryGone, detail)
        .field("after")
        .fact("oldest", kept.id(kept.before_oldest()).to_string())
}
