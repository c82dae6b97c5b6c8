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
use shared_events::{CommandId, Subject, Timestamp};
use stock_http::headers::mark_repeated;

use super::now;
use super::reservation_view::ReservationView;
use crate::ledger::{Answer, Refusal, Request};

/// What a caller named by a key.
pub(super) fn request(
    kind: &str,
    caller: Option<&Subject>,
    key: &CommandId,
    body: &impl Serialize,
) -> Request {
    let key = of_owner(caller, &format!("{kind}:{key}"));
    Request { key, fingerprint: fingerprint(body) }
}

/// A caller's name for something, apart from other callers' names: neither a subject nor a key has a
/// space in it.
pub(super) fn of_owner(owner: Option<&Subject>, name: &str) -> String {
    match owner {
        Some(owner) => format!("{owner} {name}"),
        None => name.to_owned(),
    }
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
    about(Problem::new(ErrorCode::ReservationState, detail), reservation)
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
    let (illegal, reservation) = match refusal {
        Refusal::Illegal { illegal, reservation } => (illegal, reservation),
        Refusal::KeyReused => return super::refused(&refusal).field("idempotency-key"),
        refusal => return super::refused(&refusal),
    };
    let code = match &illegal {
        Illegal::UnknownItem { .. } => ErrorCode::UnknownItem,
        Illegal::Ended { .. }
        | Illegal::NotConfirmed { .. }
        | Illegal::HandingOver { .. }
        | Illegal::NotKept { .. } => ErrorCode::ReservationState,
    };
    let problem = about(Problem::new(code, detail), &reservation);
    match illegal {
        Illegal::NotKept { sku, .. } | Illegal::UnknownItem { sku } => {
            problem.field("skus").fact("sku", sku.as_str())
        }
        Illegal::Ended { .. } | Illegal::NotConfirmed { .. } | Illegal::HandingOver { .. } => {
            problem
        }
    }
}

/// Adds which reservation it is about, and where that stands.
fn about(problem: Problem, reservation: &Reservation) -> Problem {
    problem
        .fact("reservationId", reservation.reservation_id.as_str())
        .fact("state", name(state_at(reservation, now())))
}
