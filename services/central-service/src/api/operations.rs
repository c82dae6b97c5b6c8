//! What operators ask: is it alive, is it ready, how is it doing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Ctx;
use axum::http::HeaderMap;
use axum::response::Response;
use inventory_core::Freshness;
use service_kit::clock;
use service_kit::extract::Query;
use service_kit::health::{Check, Condition, ReadyQuery, readiness};

use super::State;
use crate::metrics::{StateLabel, StoreLabel};

/// The process runs.
#[utoipa::path(
    get, path = "/livez", tag = "operations",
    security(()),
    responses((status = 200, description = "Alive."))
)]
pub(super) async fn livez() -> &'static str {
    "alive\n"
}

/// The centre can answer. A broker that is away degrades it: answers grow stale, and say so.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    params(("verbose" = Option<String>, Query, description = "A line for each part.")),
    security(()),
    responses((status = 200, description = "Ready."), (status = 503, description = "Not ready."))
)]
pub(super) async fn readyz(
    Ctx(state): Ctx<Arc<State>>,
    Query(query): Query<ReadyQuery>,
) -> Response {
    let broker = state.metrics.trouble().map_or(Condition::Ok, Condition::Degraded);
    let stores = state.model.stores();
    let doubtful: Vec<String> = stores
        .iter()
        .filter(|seen| seen.freshness != Freshness::Fresh)
        .map(|seen| format!("{} {}", seen.view.id, seen.freshness.name()))
        .collect();
    let stores =
        if doubtful.is_empty() { Condition::Ok } else { Condition::Degraded(doubtful.join(", ")) };
    let ledger = if state.model.has_caught_up() {
        Condition::Ok
    } else {
        Condition::Degraded("still reading what was missed; no reservations yet".to_owned())
    };
    let checks = [
        Check::new("read model", Condition::Ok),
        Check::new("ledger", ledger),
        Check::new("broker", broker),
        Check::new("stores", stores),
    ];
    readiness(&checks, &query)
}

/// Metrics: `OpenMetrics` for who accepts that, the older text format otherwise.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    security(()),
    responses((status = 200, description = "All metrics."))
)]
pub(super) async fn metrics(Ctx(state): Ctx<Arc<State>>, headers: HeaderMap) -> Response {
    let mut stores = Vec::new();
    for seen in state.model.stores() {
        let label = StoreLabel { store: seen.view.id.to_string() };
        let fresh = seen.freshness == Freshness::Fresh;
        state.metrics.fresh.get_or_create(&label).set(i64::from(fresh));
        let lag = i64::try_from(seen.view.missing).unwrap_or(i64::MAX);
        state.metrics.lag_events.get_or_create(&label).set(lag);
        for name in Freshness::NAMES {
            let label = StateLabel { store: label.store.clone(), state: name };
            let holds = name == seen.freshness.name();
            state.metrics.freshness.get_or_create(&label).set(i64::from(holds));
        }
        match seen.age_ms {
            Some(age_ms) => {
                let age = Duration::from_millis(age_ms).as_secs_f64();
                state.metrics.age_seconds.get_or_create(&label).set(age);
            }
            // No age is not an age of 0.
            None => _ = state.metrics.age_seconds.remove(&label),
        }
        stores.push(label);
    }
    state.metrics.ledger.scraped(stores.iter(), clock::unix_millis());
    let clients = i64::try_from(state.streams.clients()).unwrap_or(i64::MAX);
    state.metrics.stream_clients.set(clients);
    state.metrics.common.render(state.metrics.registry(), &headers)
}
