//! What staff pick: reservations with something in this store, and what became of them at the shelf.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::sync::Arc;

use access::Principal;
use axum::Json;
use axum::extract::State as Ctx;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use service_kit::extract::{Json as Body, OptionalJson, Path, Query, page_limit};
use service_kit::{ErrorCode, Problem, trace};
use shared_events::reservation::{BreakReason, MAX_LINES};
use shared_events::{Allocation, OrderId, RecordedEvent, ReservationId, Sku, StoreId, Timestamp};
use stock_http::headers::{idempotency_key, mark_repeated};
use utoipa::{IntoParams, ToSchema};

use super::State;
use super::answer::refused;
use super::query::require_known;
use crate::decisions::{Command, StaffDecision};
use crate::journal::Verdict;
use crate::writer::Request;

/// A reservation with something in this store.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reservation {
    /// The reservation.
    #[schema(value_type = String)]
    reservation_id: ReservationId,
    /// The order it is for.
    #[schema(value_type = String)]
    order_id: OrderId,
    /// Until when, by the centre's clock.
    #[schema(value_type = String)]
    expires_at: Timestamp,
    /// What is kept here, in order of SKU.
    lines: Vec<Line>,
}

/// Units of one item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Line {
    /// The reservation's line.
    line: u32,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units kept here.
    quantity: i64,
}

impl Reservation {
    fn new(kept: Vec<(Sku, Allocation)>) -> Option<Self> {
        let (_, first) = kept.first()?;
        Some(Self {
            reservation_id: first.reservation_id.clone(),
            order_id: first.order_id.clone(),
            expires_at: first.expires_at,
            lines: kept
                .into_iter()
                .map(|(sku, one)| Line { line: one.line, sku, quantity: one.quantity })
                .collect(),
        })
    }
}

/// Page through reservations.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReservationsQuery {
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
    reservations: Vec<Reservation>,
    /// Ask again with `after` set to this; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next: Option<ReservationId>,
}

/// What is to be picked in this store, page by page.
#[utoipa::path(
    get, path = "/api/stores/{storeId}/reservations", tag = "reservations",
    params(("storeId" = String, Path), ReservationsQuery),
    security(("bearer" = ["staff"])),
    responses(
        (status = 200, description = "A page.", body = Reservations),
        (status = "4XX", description = "Not this store, or a bad query.", body = Problem),
    )
)]
pub(super) async fn reservations(
    Ctx(state): Ctx<Arc<State>>,
    Path(store): Path<StoreId>,
    Query(query): Query<ReservationsQuery>,
) -> Result<Json<Reservations>, Problem> {
    require_known(&state, &store)?;
    let limit = page_limit(query.limit)?;
    let page = state.shelf.reservations(query.after.as_ref(), limit);
    let next = page.get(limit - 1).map(|(id, _)| id.clone());
    let reservations = page.into_iter().filter_map(|(_, kept)| Reservation::new(kept)).collect();
    Ok(Json(Reservations { reservations, next }))
}

/// What is kept here for one reservation.
#[utoipa::path(
    get, path = "/api/stores/{storeId}/reservations/{reservationId}", tag = "reservations",
    params(("storeId" = String, Path), ("reservationId" = String, Path)),
    security(("bearer" = ["staff"])),
    responses(
        (status = 200, description = "What is kept.", body = Reservation),
        (status = "4XX", description = "Not this store, or nothing is kept.", body = Problem),
    )
)]
pub(super) async fn reservation(
    Ctx(state): Ctx<Arc<State>>,
    Path((store, id)): Path<(StoreId, ReservationId)>,
) -> Result<Json<Reservation>, Problem> {
    require_known(&state, &store)?;
    Reservation::new(state.shelf.reservation(&id)).map(Json).ok_or_else(|| unknown(&id))
}

/// Which items; all that the reservation has here unless named.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FulfilBody {
    /// The items handed over.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    skus: Vec<Sku>,
}

/// Which items could not be handed over, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefuseBody {
    /// The items; all that the reservation has here unless named.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    skus: Vec<Sku>,
    /// Why.
    reason: RefuseReason,
}

/// Why staff cannot hand something over. Either way it leaves the books: it is not there to be sold.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum RefuseReason {
    /// It is not on the shelf.
    NotFound,
    /// It is not fit for sale.
    Damaged,
}

/// What was done, durable.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settled {
    /// The reservation.
    #[schema(value_type = String)]
    reservation_id: ReservationId,
    /// What became of each item.
    lines: Vec<SettledLine>,
}

/// One item's end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SettledLine {
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units that were kept.
    quantity: i64,
    /// `store/epoch/sequence` of the event.
    event_id: String,
    /// Units on hand now.
    on_hand: i64,
    /// Units promised to reservations now.
    reserved: i64,
}

/// Staff handed items over to the customer.
#[utoipa::path(
    post, path = "/api/stores/{storeId}/reservations/{reservationId}/fulfil",
    tag = "reservations", request_body = Option<FulfilBody>,
    params(
        ("storeId" = String, Path), ("reservationId" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat gets the first answer."),
    ),
    security(("bearer" = ["staff"])),
    responses(
        (status = 200, description = "Durable.", body = Settled),
        (status = "4XX", description = "Nothing is kept for it; nothing was written.", body = Problem),
    )
)]
pub(super) async fn fulfil(
    Ctx(state): Ctx<Arc<State>>,
    Path((store, id)): Path<(StoreId, ReservationId)>,
    principal: Principal,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<FulfilBody>,
) -> Result<Response, Problem> {
    require_known(&state, &store)?;
    let decision = StaffDecision { reservation_id: id, skus: body.skus, broken: None };
    settle(&state, principal, &headers, decision).await
}

/// Staff cannot hand items over: they are not there, or not fit for sale. The units leave the books, and
/// the centre looks for another store.
#[utoipa::path(
    post, path = "/api/stores/{storeId}/reservations/{reservationId}/refuse",
    tag = "reservations", request_body = RefuseBody,
    params(
        ("storeId" = String, Path), ("reservationId" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat gets the first answer."),
    ),
    security(("bearer" = ["staff"])),
    responses(
        (status = 200, description = "Durable.", body = Settled),
        (status = "4XX", description = "Nothing is kept for it; nothing was written.", body = Problem),
    )
)]
pub(super) async fn refuse(
    Ctx(state): Ctx<Arc<State>>,
    Path((store, id)): Path<(StoreId, ReservationId)>,
    principal: Principal,
    headers: HeaderMap,
    Body(body): Body<RefuseBody>,
) -> Result<Response, Problem> {
    require_known(&state, &store)?;
    let reason = match body.reason {
        RefuseReason::NotFound => BreakReason::NotFound,
        RefuseReason::Damaged => BreakReason::Damaged,
    };
    let decision = StaffDecision { reservation_id: id, skus: body.skus, broken: Some(reason) };
    settle(&state, principal, &headers, decision).await
}

async fn settle(
    state: &State,
    principal: Principal,
    headers: &HeaderMap,
    decision: StaffDecision,
) -> Result<Response, Problem> {
    let most = usize::try_from(MAX_LINES).unwrap_or(usize::MAX);
    if decision.skus.len() > most {
        let detail = format!("a reservation has at most {most} items");
        return Err(Problem::new(ErrorCode::InvalidField, detail).field("skus"));
    }
    let id = decision.reservation_id.clone();
    let request = Request {
        command: Command::Staff(decision),
        id: idempotency_key(headers)?,
        principal: principal.subject,
        traceparent: trace::traceparent(),
        answer_by_event: false,
    };
    let answer = state.writer.execute(vec![request]).await.map_err(refused)?.pop();
    let answer = answer.ok_or_else(|| Problem::new(ErrorCode::Internal, "no answer"))?;
    let answer = answer.map_err(refused)?;
    let events = match answer.verdict {
        Verdict::Accepted(events) if !events.is_empty() => events,
        Verdict::Accepted(_) | Verdict::Rejected(_) => return Err(unknown(&id)),
    };
    let lines = events.into_iter().filter_map(settled).collect();
    let mut response = Json(Settled { reservation_id: id, lines }).into_response();
    if answer.repeated {
        mark_repeated(&mut response);
    }
    Ok(response)
}

fn settled(recorded: RecordedEvent) -> Option<SettledLine> {
    let levels = recorded.event.levels()?;
    Some(SettledLine {
        quantity: recorded.event.allocation()?.quantity,
        event_id: recorded.id.to_string(),
        on_hand: levels.on_hand,
        reserved: levels.reserved,
        sku: recorded.sku,
    })
}

fn unknown(id: &ReservationId) -> Problem {
    let detail = format!(
        "nothing, or not all that was named, is kept here for {id}; it may have been handed over, let go or broken"
    );
    Problem::new(ErrorCode::UnknownReservation, detail)
}
