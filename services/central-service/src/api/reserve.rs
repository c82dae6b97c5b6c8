//! `POST /api/reservations`: what a customer wants, checked before anyone is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use access::{Principal, Stores};
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use inventory_core::saga::requests::name;
use inventory_core::saga::{Wish, state_at};
use serde::{Deserialize, Serialize};
use service_kit::extract::Json;
use service_kit::server::Reason;
use service_kit::{ErrorCode, Problem, trace};
use shared_events::ledger::{Reservation, ReservationState, Transition};
use shared_events::reservation::MAX_LINES;
use shared_events::{
    CommandId, Location, MAX_UNITS, OrderId, ReservationId, Sku, StoreId, Subject,
};
use stock_http::headers::{idempotency_key, wait};
use utoipa::ToSchema;

use super::reservation_answer::{in_state, marked, of_owner, outcome, refused, request, shown};
use super::reservation_view::ReservationView;
use super::{State, now, require_ready, unknown_store};
use crate::ledger::{Ask, Refusal};

/// How long units are kept unless asked, and at most.
const TTL_SECONDS: u64 = 900;
const TTL_SECONDS_MAX: u64 = 86_400;

/// Keep units for a customer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReserveBody {
    /// Your name for the order.
    #[schema(value_type = String, example = "order-1")]
    order_id: OrderId,
    /// What is wanted: 1 to 1,000 lines. Lines of one item are added up.
    lines: Vec<LineBody>,
    /// The only store to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    /// Ask stores near this place first: `{"latitude": 52.52, "longitude": 13.405}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    near: Option<Place>,
    /// Whether several stores may each keep a part.
    #[serde(default)]
    allow_split: bool,
    /// How long the units are kept, 1 to 86,400 seconds; 900 unless asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<u64>,
}

/// A place on the earth, in degrees.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Place {
    /// -90 to 90.
    #[schema(example = 52.52)]
    latitude: f64,
    /// -180 to 180.
    #[schema(example = 13.405)]
    longitude: f64,
}

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LineBody {
    /// The item.
    #[schema(value_type = String, example = "ABC-1")]
    sku: Sku,
    /// Units, 1 to 1,000,000,000.
    #[schema(minimum = 1, maximum = 1_000_000_000, example = 1)]
    quantity: i64,
}

/// Keep units of one or many items for a customer: all or none.
#[utoipa::path(
    post, path = "/api/reservations", tag = "reservations", request_body = ReserveBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat gets the same reservation."),
        ("Prefer" = Option<String>, Header, description = "`wait=2`: seconds to wait for the stores."),
    ),
    security(("bearer" = ["reservations:write"])),
    responses(
        (status = 201, description = "Confirmed by the stores.", body = ReservationView),
        (status = 202, description = "Taken, and on disk; the stores have not answered yet.", body = ReservationView),
        (status = 409, description = "No store can keep it; `lines` says what is missing.", body = Problem),
        (status = "4XX", description = "Refused; nothing was done.", body = Problem),
        (status = "5XX", description = "Not served; see `retryable`.", body = Problem),
    )
)]
pub(super) async fn reserve(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    headers: HeaderMap,
    Json(body): Json<ReserveBody>,
) -> Result<Response, Problem> {
    require_store(&principal, body.store_id.as_ref())?;
    let owner = principal.subject;
    let key = idempotency_key(&headers)?;
    let request = key.as_ref().map(|key| request("reserve", owner.as_ref(), key, &body));
    let id = reservation_id(&state, owner.as_ref(), key.as_ref());
    require_ready(&state)?;
    let wish = wish(&state, owner, body)?;
    let wait = wait(&headers);
    let asked =
        state.ledger.ask(|reply| Ask::Reserve { id, request, wish, wait: wait.is_some(), reply });
    let asked = asked.await.map_err(|refusal| {
        if let Refusal::QuotaExceeded { .. } = refusal {
            state.metrics.common.server.refused(Reason::Quota);
        }
        refused(refusal)
    })?;
    let (reservation, repeated) = outcome(asked, wait).await;
    let now = now();
    let response = match state_at(&reservation, now) {
        ReservationState::Rejected => rejected(&reservation),
        ReservationState::Requested => shown(StatusCode::ACCEPTED, reservation, now),
        _ if reservation.confirmed_at.is_some() => shown(StatusCode::CREATED, reservation, now),
        state => {
            let detail = format!("the reservation is {}: it was never confirmed", name(state));
            in_state(detail, &reservation).into_response()
        }
    };
    Ok(marked(response, repeated))
}

/// Whoever is bound to stores names the one to be asked: without it any store of the chain could be.
fn require_store(principal: &Principal, asked: Option<&StoreId>) -> Result<(), Problem> {
    match (&principal.stores, asked) {
        (Stores::All, _) => Ok(()),
        (Stores::Only(_), Some(store)) => principal.require_store(store),
        (Stores::Only(_), None) => principal
            .require_all_stores("name one of them in storeId")
            .map_err(|problem| problem.field("storeId")),
    }
}

/// A reservation's name follows from the caller and its key, so that a repeat finds it even in a ledger
/// that was lost; without a key it is drawn.
fn reservation_id(
    state: &State,
    owner: Option<&Subject>,
    key: Option<&CommandId>,
) -> ReservationId {
    let name = match key {
        Some(key) => {
            let hash = blake3::hash(of_owner(owner, key.as_str()).as_bytes()).to_hex();
            hash.as_str().chars().take(32).collect()
        }
        None => uuid::Uuid::now_v7().simple().to_string(),
    };
    let id = format!("{}.{name}", state.centre);
    ReservationId::parse(&id).expect("a centre's id and hexadecimal digits make a reservation id")
}

/// Checks what is wanted and adds up lines of one item.
fn wish(state: &State, owner: Option<Subject>, body: ReserveBody) -> Result<Wish, Problem> {
    let invalid = |detail: String, field: &str| {
        Err(Problem::new(ErrorCode::InvalidField, detail).field(field))
    };
    let most = usize::try_from(MAX_LINES).unwrap_or(usize::MAX);
    if !(1..=most).contains(&body.lines.len()) {
        return invalid(format!("a reservation has 1 to {most} lines"), "lines");
    }
    let ttl = body.ttl_seconds.unwrap_or(TTL_SECONDS);
    if !(1..=TTL_SECONDS_MAX).contains(&ttl) {
        return invalid(format!("ttlSeconds is 1 to {TTL_SECONDS_MAX}"), "ttlSeconds");
    }
    let near = body.near.map(|place| Location::from_degrees(place.latitude, place.longitude));
    let near = near
        .transpose()
        .map_err(|error| Problem::new(ErrorCode::InvalidField, error.to_string()).field("near"))?;
    let lines = lines(state, body.lines)?;
    if let Some(store) = &body.store_id
        && state.model.index(store).is_none()
    {
        return Err(unknown_store(store));
    }
    Ok(Wish {
        order_id: body.order_id,
        lines,
        store_id: body.store_id,
        near,
        allow_split: body.allow_split,
        expires_at: now().plus_millis(ttl.saturating_mul(1_000)),
        traceparent: trace::traceparent(),
        owner,
    })
}

/// Adds up lines of one item, in the order in which the items first come.
fn lines(state: &State, asked: Vec<LineBody>) -> Result<Vec<(Sku, i64)>, Problem> {
    let mut places: BTreeMap<Sku, usize> = BTreeMap::new();
    let mut lines: Vec<(Sku, i64)> = Vec::new();
    for (number, LineBody { sku, quantity }) in asked.into_iter().enumerate() {
        if !state.model.knows(&sku) {
            let detail = format!("no store ever had {sku}");
            return Err(Problem::new(ErrorCode::UnknownItem, detail)
                .field(format!("lines[{number}].sku"))
                .fact("sku", sku.as_str()));
        }
        let place = *places.entry(sku.clone()).or_insert(lines.len());
        let before = lines.get(place).map_or(0, |(_, units)| *units);
        let sum = before.saturating_add(quantity);
        if quantity < 1 || sum > MAX_UNITS {
            let detail = format!("units of an item are 1 to {MAX_UNITS}, all its lines together");
            return Err(Problem::new(ErrorCode::InvalidField, detail)
                .field(format!("lines[{number}].quantity")));
        }
        match lines.get_mut(place) {
            Some((_, units)) => *units = sum,
            None => lines.push((sku, sum)),
        }
    }
    Ok(lines)
}

fn rejected(reservation: &Reservation) -> Response {
    let lines = reservation.history.iter().rev().find_map(|step| match &step.transition {
        Transition::Closed { lines, .. } => Some(lines),
        _ => None,
    });
    let lines = serde_json::to_value(lines.cloned().unwrap_or_default()).unwrap_or_default();
    Problem::new(ErrorCode::ReservationRejected, "no store can keep all that is wanted")
        .fact("reservationId", reservation.reservation_id.as_str())
        .fact("state", name(ReservationState::Rejected))
        .fact("lines", lines)
        .into_response()
}
