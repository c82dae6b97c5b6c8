//! Reservations as they stand: read, listed, fulfilled, cancelled.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::sync::Arc;

use access::{Principal, Scope, Stores};
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use inventory_core::saga::{state_at, units};
use serde::{Deserialize, Serialize};
use service_kit::extract::{OptionalJson, Path, Query, page_limit};
use service_kit::{ErrorCode, Problem};
use shared_events::ledger::{AllocationState, LedgerAllocation, Reservation, ReservationState};
use shared_events::reservation::MAX_LINES;
use shared_events::{OrderId, ReservationId, Sku};
use stock_http::headers::{idempotency_key, wait};
use utoipa::{IntoParams, ToSchema};

use super::reservation_answer::{in_state, marked, outcome, refused, request, shown};
use super::reservation_view::ReservationView;
use super::{State, now, read, require_ready};
use crate::database::Filter;
use crate::ledger::{Answer, Ask};

/// One reservation.
#[utoipa::path(
    get, path = "/api/reservations/{reservationId}", tag = "reservations",
    params(("reservationId" = String, Path)),
    security(("bearer" = ["reservations:write"]), ("bearer" = ["staff"])),
    responses(
        (status = 200, description = "As it stands.", body = ReservationView),
        (status = "4XX", description = "Unknown, or another centre's.", body = Problem),
    )
)]
pub(super) async fn reservation(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Path(id): Path<ReservationId>,
) -> Result<Response, Problem> {
    require_ours(&state, &id)?;
    let reservation = visible(&state, &principal, &id).await?;
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
    security(("bearer" = ["staff"])),
    responses(
        (status = 200, description = "A page.", body = Reservations),
        (status = "4XX", description = "A bad query.", body = Problem),
    )
)]
pub(super) async fn reservations(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
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
    let page = page.into_iter().filter(as_wanted).filter(|known| may_see(&principal, known));
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
    security(("bearer" = ["reservations:write"]), ("bearer" = ["staff"])),
    responses(
        (status = 200, description = "The stores have handed over.", body = ReservationView),
        (status = 202, description = "The stores are told.", body = ReservationView),
        (status = 409, description = "Its state does not allow it; `state` tells which it is.", body = Problem),
        (status = "4XX", description = "Refused; nothing was done.", body = Problem),
    )
)]
pub(super) async fn fulfil(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
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
    require_visible(&state, &principal, &id).await?;
    let key = idempotency_key(&headers)?;
    let caller = principal.subject.as_ref();
    let request = key.map(|key| request(&format!("fulfil:{id}"), caller, &key, &body));
    let wait = wait(&headers);
    let named = body.skus.unwrap_or_default();
    let asked = state.ledger.ask(|reply| Ask::Fulfil {
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
    params(
        ("reservationId" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat changes nothing."),
    ),
    security(("bearer" = ["reservations:write"]), ("bearer" = ["staff"])),
    responses(
        (status = 200, description = "Released; the stores are told.", body = ReservationView),
        (status = 409, description = "It was handed over or never kept; `state` tells.", body = Problem),
        (status = "4XX", description = "Unknown, or another centre's.", body = Problem),
    )
)]
pub(super) async fn cancel(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Path(id): Path<ReservationId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    require_ours(&state, &id)?;
    require_ready(&state)?;
    require_visible(&state, &principal, &id).await?;
    let key = idempotency_key(&headers)?;
    let caller = principal.subject.as_ref();
    let request = key.map(|key| request(&format!("cancel:{id}"), caller, &key, &()));
    let asked = state.ledger.ask(|reply| Ask::Cancel { id, request, reply });
    let Answer { reservation, repeated, .. } = asked.await.map_err(refused)?;
    Ok(marked(shown(StatusCode::OK, reservation, now()), repeated))
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

fn require_ours(state: &State, id: &ReservationId) -> Result<(), Problem> {
    if id.centre() == state.centre.as_str() {
        return Ok(());
    }
    let detail = format!("this is centre {}; ask centre {}", state.centre, id.centre());
    Err(Problem::new(ErrorCode::WrongCentre, detail).fact("centreId", id.centre()))
}

/// Whether it is the principal's: its own or, as staff, anybody's; and of its stores, where it is bound
/// to some.
fn may_see(principal: &Principal, known: &Reservation) -> bool {
    let at_its_stores = match &principal.stores {
        Stores::All => true,
        Stores::Only(stores) => {
            known.store_id.as_ref().is_some_and(|store| stores.contains(store))
                || known.allocations.iter().any(|one| stores.contains(&one.store_id))
        }
    };
    principal.owns(known.owner.as_ref()) && at_its_stores
}

/// A reservation the principal may see. Somebody else's is as unknown as one that never was.
async fn visible(
    state: &State,
    principal: &Principal,
    id: &ReservationId,
) -> Result<Reservation, Problem> {
    let wanted = id.clone();
    let found = read(state, move |reader| reader.reservation(&wanted)).await?;
    if found.is_none() {
        // It may only not have been read yet.
        require_ready(state)?;
    }
    found.filter(|known| may_see(principal, known)).ok_or_else(|| unknown(id))
}

/// As [`visible`], for who goes on to ask the ledger, which knows nothing of principals. A reservation
/// has its owner from its first record on, so what is seen here still holds there.
async fn require_visible(
    state: &State,
    principal: &Principal,
    id: &ReservationId,
) -> Result<(), Problem> {
    if principal.may(Scope::Staff) && principal.stores == Stores::All {
        return Ok(());
    }
    visible(state, principal, id).await.map(|_seen| ())
}

fn unknown(id: &ReservationId) -> Problem {
    Problem::new(ErrorCode::UnknownReservation, format!("there is no reservation {id}"))
}
