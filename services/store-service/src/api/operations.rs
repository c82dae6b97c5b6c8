//! What operators ask: is it alive, is it ready, how is it doing.

use std::sync::PoisonError;

use axum::extract::State as Ctx;
use axum::response::Response;
use service_kit::extract::Query;
use service_kit::health::{Check, Condition, ReadyQuery, readiness};
use service_kit::{clock, metrics};
use shared_events::Timestamp;

use super::State;

/// The process runs.
#[utoipa::path(get, path = "/livez", tag = "operations", responses((status = 200)))]
pub(super) async fn livez() -> &'static str {
    "alive\n"
}

/// The store can sell. A broker that is away degrades it and no more: the journal keeps the events.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    params(("verbose" = Option<String>, Query, description = "A line for each part.")),
    responses((status = 200, description = "Ready."), (status = 503, description = "Not ready."))
)]
pub(super) async fn readyz(Ctx(state): Ctx<State>, Query(query): Query<ReadyQuery>) -> Response {
    let waiting = depth(&state);
    let relay = match state.outbox.trouble() {
        None => Condition::Ok,
        Some(trouble) => {
            let oldest = oldest_seconds(&state);
            let detail =
                format!("{waiting} events wait, the oldest for {oldest} s; sales go on: {trouble}");
            Condition::Degraded(detail)
        }
    };
    let checks = [
        Check { name: "journal", condition: Condition::Ok },
        Check { name: "relay", condition: relay },
    ];
    readiness(&checks, &query)
}

/// Metrics in the `OpenMetrics` format.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200)))]
pub(super) async fn metrics(Ctx(state): Ctx<State>) -> Response {
    let gauges = &state.metrics;
    gauges.outbox_depth.set(signed(depth(&state)));
    gauges.outbox_oldest_seconds.set(oldest_seconds(&state));
    gauges.head.set(signed(state.outbox.committed().head.sequence.get()));
    gauges.items.set(i64::try_from(state.shelf.len()).unwrap_or(i64::MAX));
    metrics::render(gauges.registry())
}

fn depth(state: &State) -> u64 {
    let published = state.outbox.published_through().get();
    state.outbox.committed().head.sequence.get().saturating_sub(published)
}

/// Age of the oldest event the broker has not acknowledged, in seconds; 0 when there is none.
fn oldest_seconds(state: &State) -> i64 {
    let reader = state.reader.lock().unwrap_or_else(PoisonError::into_inner);
    let oldest = reader.occurred_after(state.outbox.published_through()).ok().flatten();
    let age = |at: Timestamp| clock::unix_millis().saturating_sub(at.unix_millis()) / 1_000;
    oldest.map_or(0, age).max(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
