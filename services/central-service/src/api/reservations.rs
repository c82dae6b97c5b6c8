//! Reservations: the storefront asks, the ledger finds a store, the store decides.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State as Ctx;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use inventory_core::saga::requests::{Illegal, name};
use inventory_core::saga::{Wish, state_at, units};
use serde::{Deserialize, Serialize};
use service_kit::extract::{Json, OptionalJson, Path, Query, page_limit};
use service_kit::fingerprint::fingerprint;
use service_kit::{ErrorCode, Problem};
use shared_events::ledger::{
    AllocationState, LedgerAllocation, Reservation, ReservationState, Transition,
};
use shared_events::reservation::MAX_LINES;
use shared_events::{
    CommandId, Location, MAX_UNITS, OrderId, ReservationId, Sku, StoreId, Timestamp,
};
use stock_http::headers::{idempotency_key, mark_repeated, traceparent, wait};
use utoipa::{IntoParams, ToSchema};

use super::reservation_view::ReservationView;
use super::{State, now, read, require_ready, unknown_store};
use crate::database::Filter;
use crate::ledger::{Answer, Ask, Refusal, Request};

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
    responses(
        (status = 201, description = "Confirmed by the stores.", body = ReservationView),
        (status = 202, description = "Taken, and on disk; the stores have not answered yet.", body = ReservationView),
        (status = 409, description = "No store can keep it; `lines` says what is missing.", body = Problem),
        (status = "4XX", description = "Refused; nothing was done.", body = Problem),
        (status = "5XX", description = "Not served; see `retryable`.", body = Problem),
    )
)]
pub(super) async fn reserve(
    Ctx(state): Ctx<State>,
    headers: HeaderMap,
    Json(body): Json<ReserveBody>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let request = key.as_ref().map(|key| request("reserve", key, &body));
    let id = reservation_id(&state, key.as_ref());
    require_ready(&state)?;
    let wish = wish(&state, &headers, body)?;
    let wait = wait(&headers);
    let asked = state.ledger.reservation(|reply| Ask::Reserve {
        id,
        request,
        wish,
        wait: wait.is_some(),
        reply,
    });
    let (reservation, repeated) = outcome(asked.await.map_err(refused)?, wait).await;
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

/// A reservation's name follows from the caller's key, so that a repeat finds it even in a ledger that
/// was lost; without a key it is drawn.
fn reservation_id(state: &State, key: Option<&CommandId>) -> ReservationId {
    let name = match key {
        Some(key) => {
            let hash = blake3::hash(key.as_str().as_bytes()).to_hex();
            hash.as_str().chars().take(32).collect()
        }
        None => uuid::Uuid::now_v7().simple().to_string(),
    };
    let id = format!("{}.{name}", state.centre);
    ReservationId::parse(&id).expect("a centre's id and hexadecimal digits make a reservation id")
}

fn request(kind: &str, key: &CommandId, body: &impl Serialize) -> Request {
    Request { key: format!("{kind}:{key}"), fingerprint: fingerprint(body) }
}

/// Checks what is wanted and adds up lines of one item.
fn wish(state: &State, headers: &HeaderMap, body: ReserveBody) -> Result<Wish, Problem> {
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
        traceparent: traceparent(headers),
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

/// One reservation.
#[utoipa::path(
    get, path = "/api/reservations/{reservationId}", tag = "reservations",
    params(("reservationId" = String, Path)),
    responses(
        (status = 200, description = "As it stands.", body = ReservationView),
        (status = "4XX", description = "Unknown, or another centre's.", body = Problem),
    )
)]
pub(super) async fn reservation(
    Ctx(state): Ctx<State>,
    Path(id): Path<ReservationId>,
) -> Result<Response, Problem> {
    require_ours(&state, &id)?;
    let wanted = id.clone();
    let found = read(&state, move |reader| reader.reservation(&wanted)).await?;
    let Some(reservation) = found else {
        // It may only not have been read yet.
        require_ready(&state)?;
        return Err(unknown(&id));
    };
    Ok(axum::Json(ReservationView::new(reservation, now())).into_response())
}

/// Which reservations, page by page.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReservationsQuery {
    /// Of this order.
    #[param(value_type = Option<String>)]
    order_id: Option<OrderId>,
    /// In this state.
    #[param(value_type = Option<String>)]
    state: Option<ReservationState>,
    /// The last reservation of the page before.
    #[param(value_type = Option<String>)]
    after: Option<ReservationId>,
    /// Reservations of a page, 1 to 1,000; 100 unless asked.
    limit: Option<usize>,
}

/// A page of reservations.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reservations {
    /// In order of id.
    reservations: Vec<ReservationView>,
    /// Ask again with `after` set to this; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next: Option<ReservationId>,
}

/// Reservations of this centre, by order or by state.
#[utoipa::path(
    get, path = "/api/reservations", tag = "reservations", params(ReservationsQuery),
    responses(
        (status = 200, description = "A page.", body = Reservations),
        (status = "4XX", description = "A bad query.", body = Problem),
    )
)]
pub(super) async fn reservations(
    Ctx(state): Ctx<State>,
    Query(query): Query<ReservationsQuery>,
) -> Result<axum::Json<Reservations>, Problem> {
    let limit = page_limit(query.limit)?;
    let wanted = query.state;
    let filter = Filter { order_id: query.order_id, state: wanted, after: query.after };
    let (page, more) = read(&state, move |reader| reader.reservations(&filter, limit)).await?;
    let next = page.last().filter(|_| more).map(|last| last.reservation_id.clone());
    let now = now();
    // What has expired a moment ago is written down a moment later.
    let as_wanted = |known: &Reservation| wanted.is_none_or(|state| state_at(known, now) == state);
    let page = page.into_iter().filter(as_wanted);
    let reservations = page.map(|known| ReservationView::new(known, now).without_history());
    let reservations = reservations.collect();
    Ok(axum::Json(Reservations { reservations, next }))
}

/// Which items; all of the reservation unless named.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FulfilBody {
    /// The items handed over; at least one where the field is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    skus: Option<Vec<Sku>>,
}

/// The customer takes the units: all, or the named items.
#[utoipa::path(
    post, path = "/api/reservations/{reservationId}/fulfil", tag = "reservations",
    request_body = Option<FulfilBody>,
    params(
        ("reservationId" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat changes nothing."),
        ("Prefer" = Option<String>, Header, description = "`wait=2`: seconds to wait for the stores."),
    ),
    responses(
        (status = 200, description = "The stores have handed over.", body = ReservationView),
        (status = 202, description = "The stores are told.", body = ReservationView),
        (status = 409, description = "Its state does not allow it; `state` tells which it is.", body = Problem),
        (status = "4XX", description = "Refused; nothing was done.", body = Problem),
    )
)]
pub(super) async fn fulfil(
    Ctx(state): Ctx<State>,
    Path(id): Path<ReservationId>,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<FulfilBody>,
) -> Result<Response, Problem> {
    require_ours(&state, &id)?;
    require_ready(&state)?;
    let most = usize::try_from(MAX_LINES).unwrap_or(usize::MAX);
    if body.skus.as_ref().is_some_and(|skus| !(1..=most).contains(&skus.len())) {
        let detail = format!("skus names 1 to {MAX_LINES} items; leave it out for all");
        return Err(Problem::new(ErrorCode::InvalidField, detail).field("skus"));
    }
    let key = idempotency_key(&headers)?;
    let request = key.map(|key| request(&format!("fulfil:{id}"), &key, &body));
    let wait = wait(&headers);
    let named = body.skus.unwrap_or_default();
    let asked = state.ledger.reservation(|reply| Ask::Fulfil {
        id,
        request,
        skus: named.clone(),
        wait: wait.is_some(),
        reply,
    });
    let (reservation, repeated) = outcome(asked.await.map_err(refused)?, wait).await;
    let response = match handed_over(&reservation, &named) {
        Some(true) => shown(StatusCode::OK, reservation, now()),
        None => shown(StatusCode::ACCEPTED, reservation, now()),
        Some(false) => {
            let detail =
                "a store could not hand over all that was named; `lines` tells what is left";
            in_state(detail.to_owned(), &reservation).into_response()
        }
    };
    Ok(marked(response, repeated))
}

/// The customer does not want it any more. Again is no error.
#[utoipa::path(
    post, path = "/api/reservations/{reservationId}/cancel", tag = "reservations",
    params(("reservationId" = String, Path)),
    responses(
        (status = 200, description = "Released; the stores are told.", body = ReservationView),
        (status = 409, description = "It was handed over or never kept; `state` tells.", body = Problem),
        (status = "4XX", description = "Unknown, or another centre's.", body = Problem),
    )
)]
pub(super) async fn cancel(
    Ctx(state): Ctx<State>,
    Path(id): Path<ReservationId>,
) -> Result<Response, Problem> {
    require_ours(&state, &id)?;
    require_ready(&state)?;
    let asked = state.ledger.reservation(|reply| Ask::Cancel { id, reply });
    let Answer { reservation, .. } = asked.await.map_err(refused)?;
    Ok(shown(StatusCode::OK, reservation, now()))
}

/// The answer, after waiting for the stores where that was asked: not longer than was asked.
async fn outcome(answer: Answer, wait: Option<Duration>) -> (Reservation, bool) {
    let Answer { reservation, repeated, settled } = answer;
    let Some((settled, wait)) = settled.zip(wait) else {
        return (reservation, repeated);
    };
    match tokio::time::timeout(wait, settled).await {
        Ok(Ok(settled)) => (settled, repeated),
        _ => (reservation, repeated),
    }
}

/// Whether the customer has all that was named; `None` while stores have still to answer.
fn handed_over(reservation: &Reservation, named: &[Sku]) -> Option<bool> {
    let named = |sku: &Sku| named.is_empty() || named.contains(sku);
    let on_its_way =
        |known: &LedgerAllocation| known.state == AllocationState::Fulfilling && named(&known.sku);
    if reservation.allocations.iter().any(on_its_way) {
        return None;
    }
    let has = units(reservation, |known| known.state == AllocationState::Fulfilled);
    let mut lines = reservation.lines.iter().filter(|line| named(&line.sku));
    Some(lines.all(|line| has.get(&line.line).is_some_and(|units| *units >= line.quantity)))
}

/// What was asked does not fit the state it is in.
fn in_state(detail: String, reservation: &Reservation) -> Problem {
    Problem::new(ErrorCode::ReservationState, detail)
        .fact("reservationId", reservation.reservation_id.as_str())
        .fact("state", name(state_at(reservation, now())))
}

fn shown(status: StatusCode, reservation: Reservation, now: Timestamp) -> Response {
    let location = format!("/api/reservations/{}", reservation.reservation_id);
    let view = ReservationView::new(reservation, now);
    let mut response = (status, axum::Json(view)).into_response();
    if status != StatusCode::OK
        && let Ok(location) = location.parse()
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn marked(mut response: Response, repeated: bool) -> Response {
    if repeated {
        mark_repeated(&mut response);
    }
    response
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

fn refused(refusal: Refusal) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        Refusal::KeyReused => {
            Problem::new(ErrorCode::CommandIdReused, detail).field("idempotency-key")
        }
        Refusal::UnknownReservation(_) => Problem::new(ErrorCode::UnknownReservation, detail),
        Refusal::Illegal { illegal, reservation } => {
            let (code, sku) = match &illegal {
                Illegal::Ended { .. }
                | Illegal::NotConfirmed { .. }
                | Illegal::HandingOver { .. } => (ErrorCode::ReservationState, None),
                Illegal::NotKept { sku, .. } => (ErrorCode::ReservationState, Some(sku)),
                Illegal::UnknownItem { sku } => (ErrorCode::UnknownItem, Some(sku)),
            };
            let problem = Problem::new(code, detail)
                .fact("reservationId", reservation.reservation_id.as_str())
                .fact("state", name(state_at(&reservation, now())));
            match sku {
                Some(sku) => problem.field("skus").fact("sku", sku.as_str()),
                None => problem,
            }
        }
        refusal => super::refused(&refusal),
    }
}

fn require_ours(state: &State, id: &ReservationId) -> Result<(), Problem> {
    if id.centre() == state.centre.as_str() {
        return Ok(());
    }
    let detail = format!("this is centre {}; ask centre {}", state.centre, id.centre());
    Err(Problem::new(ErrorCode::WrongCentre, detail).fact("centreId", id.centre()))
}

fn unknown(id: &ReservationId) -> Problem {
    Problem::new(ErrorCode::UnknownReservation, format!("there is no reservation {id}"))
}
