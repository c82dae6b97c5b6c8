//! How the ledger's answers about a reservation look to its caller.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use inventory_core::saga::requests::{Illegal, name};
use inventory_core::saga::state_at;
use serde::Serialize;
use service_kit::fingerprint::fingerprint;
use service_kit::{ErrorCode, Problem};
use shared_events::ledger::Reservation;
use shared_events::{CommandId, Timestamp};
use stock_http::headers::mark_repeated;

use super::now;
use super::reservation_view::ReservationView;
use crate::ledger::{Answer, Refusal, Request};

/// What a caller named by a key.
pub(super) fn request(kind: &str, key: &CommandId, body: &impl Serialize) -> Request {
    Request { key: format!("{kind}:{key}"), fingerprint: fingerprint(body) }
}

/// The answer, after waiting for the stores where that was asked: not longer than was asked.
pub(super) async fn outcome(answer: Answer, wait: Option<Duration>) -> (Reservation, bool) {
    let Answer { reservation, repeated, settled } = answer;
    let Some((settled, wait)) = settled.zip(wait) else {
        return (reservation, repeated);
    };
    match tokio::time::timeout(wait, settled).await {
        Ok(Ok(settled)) => (settled, repeated),
        _ => (reservation, repeated),
    }
}

/// What was asked does not fit the state it is in.
pub(super) fn in_state(detail: String, reservation: &Reservation) -> Problem {
    Problem::new(ErrorCode::ReservationState, detail)
        .fact("reservationId", reservation.reservation_id.as_str())
        .fact("state", name(state_at(reservation, now())))
}

pub(super) fn shown(status: StatusCode, reservation: Reservation, now: Timestamp) -> Response {
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

pub(super) fn marked(mut response: Response, repeated: bool) -> Response {
    if repeated {
        mark_repeated(&mut response);
    }
    response
}

pub(super) fn refused(refusal: Refusal) -> Problem {
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
