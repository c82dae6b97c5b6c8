//! What operators ask: is it alive, is it ready, how is it doing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Ctx;
use axum::http::HeaderMap;
use axum::response::Response;
use service_kit::extract::Query;
use service_kit::health::{Check, Condition, ReadyQuery, readiness};
use service_kit::{Problem, clock};
use shared_events::Timestamp;

use super::answer::unreadable;
use super::{State, read};
use crate::standing::Stage;

/// A broker that takes longer to acknowledge counts as away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// The process runs.
#[utoipa::path(
    get, path = "/livez", tag = "operations",
    security(()),
    responses((status = 200, description = "Alive."))
)]
pub(super) async fn livez() -> &'static str {
    "alive\n"
}

/// The store can sell. A broker that is away degrades it and no more: the journal keeps the events.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    params(("verbose" = Option<String>, Query, description = "A line for each part.")),
    security(()),
    responses((status = 200, description = "Ready."), (status = 503, description = "Not ready."))
)]
pub(super) async fn readyz(
    Ctx(state): Ctx<Arc<State>>,
    Query(query): Query<ReadyQuery>,
) -> Result<Response, Problem> {
    Ok(readiness(&checks(&state).await?, &query))
}

/// How the parts of a store are.
pub(super) async fn checks(state: &State) -> Result<[Check; 3], Problem> {
    let silence = state.outbox.silence();
    let trouble = state.outbox.trouble().or_else(|| {
        let slow = silence >= ANSWERS_WITHIN;
        slow.then(|| format!("the broker has not answered for {} s", silence.as_secs()))
    });
    let relay = match trouble {
        None => Condition::Ok,
        Some(trouble) => {
            let (waiting, oldest) = (depth(state), oldest_seconds(state).await?);
            let detail =
                format!("{waiting} events wait, the oldest for {oldest} s; sales go on: {trouble}");
            Condition::Degraded(detail)
        }
    };
    let journal = if state.metrics.storage_full.get() == 0 {
        Condition::Ok
    } else {
        Condition::Failed("the disk is full; free some space, nothing else is needed".to_owned())
    };
    Ok([
        Check::new("journal", journal),
        Check::new("opening", opening(state.writer.standing().stage())),
        Check::new("relay", relay),
    ])
}

fn opening(stage: Stage) -> Condition {
    let detail = match stage {
        Stage::Open => return Condition::Ok,
        Stage::Asking => "a centre is asked whether the journal is whole; commands wait".to_owned(),
        Stage::Held => {
            "no centre says whether the journal is whole, and the store waits for one (--unwitnessed hold)"
                .to_owned()
        }
        Stage::Refilling { events } => {
            format!("the journal has lost its end; {events} events have come back so far")
        }
        Stage::Closed => "the store is stopping".to_owned(),
    };
    Condition::Failed(detail)
}

/// Metrics: `OpenMetrics` for who accepts that, the older text format otherwise.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    security(()),
    responses((status = 200, description = "All metrics."))
)]
pub(super) async fn metrics(
    Ctx(state): Ctx<Arc<State>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let oldest = oldest_seconds(&state).await?;
    let gauges = &state.metrics;
    gauges.outbox_depth.set(signed(depth(&state)));
    gauges.outbox_oldest_seconds.set(oldest);
    gauges.head.set(signed(state.outbox.committed().head.sequence.get()));
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    gauges.items.set(count(state.shelf.len()));
    gauges.reservations.set(count(state.shelf.reservation_count()));
    gauges.common.mailbox.set(count(state.writer.waiting()));
    Ok(gauges.common.render(gauges.registry(), &headers))
}

fn depth(state: &State) -> u64 {
    let published = state.outbox.published_through().get();
    state.outbox.committed().head.sequence.get().saturating_sub(published)
}

/// Age of the oldest event the broker has not acknowledged, in seconds; 0 when there is none.
async fn oldest_seconds(state: &State) -> Result<i64, Problem> {
    let published = state.outbox.published_through();
    let oldest = read(state, move |reader| {
        reader.occurred_after(published).map_err(|error| unreadable(&error))
    })
    .await?;
    let age = |at: Timestamp| clock::unix_millis().saturating_sub(at.unix_millis()) / 1_000;
    Ok(oldest.map_or(0, age).max(0))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
