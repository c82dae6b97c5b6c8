//! A reservation as callers see it.

use std::collections::BTreeMap;

use inventory_core::saga::{requests, state_at, units};
use serde::Serialize;
use shared_events::ledger::{AllocationState, CloseReason, Reservation, ReservationState, Step};
use shared_events::{Location, OrderId, ReservationId, Sku, StoreId, Timestamp};
use utoipa::ToSchema;

/// A reservation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReservationView {
    /// Its name.
    #[schema(value_type = String)]
    reservation_id: ReservationId,
    /// The order it is for.
    #[schema(value_type = String)]
    order_id: OrderId,
    /// `requested`, `confirmed`, `resourcing`, `short`, `fulfilled`, `released` or `rejected`.
    pub(super) state: &'static str,
    /// Why it was released or rejected: `cancelled`, `expired` or `rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// When it was made.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// Until when the units are kept.
    #[schema(value_type = String)]
    expires_at: Timestamp,
    /// The only store to be asked, where one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    /// The place near which stores are asked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    near: Option<Location>,
    /// Whether several stores may each keep a part.
    allow_split: bool,
    /// When all lines were first kept; absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    confirmed_at: Option<Timestamp>,
    /// Whether this centre lost it and knows of it from the stores' events alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rebuilt: bool,
    /// Its lines, in order.
    lines: Vec<LineView>,
    /// What each store was asked to keep, and what became of it.
    allocations: Vec<AllocationView>,
    /// What happened, in order; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    history: Option<Vec<Step>>,
}

/// One line: all units of one item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LineView {
    /// Its number, from 1.
    line: u32,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units wanted.
    quantity: i64,
    /// Units stores keep now.
    kept: i64,
    /// Units handed over.
    fulfilled: i64,
    /// Units nobody keeps and nobody is asked for; they can still be found while the reservation is
    /// `short`.
    missing: i64,
}

/// What one store was asked to keep of one line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AllocationView {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// Which of the reservation's asks.
    attempt: u32,
    /// The line.
    line: u32,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units.
    quantity: i64,
    /// `asked`, `withdrawn`, `reserved`, `stray`, `fulfilling`, `releasing`, `refused`, `notKept`,
    /// `released`, `fulfilled`, `broken` or `lapsed`.
    #[schema(value_type = String)]
    state: AllocationState,
    /// Why, where there is a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<shared_events::ledger::Reason>,
    /// Units that could have been kept, as the store that refused said.
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<i64>,
    /// `store/epoch/sequence` of the store's newest word; absent before its first.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
}

impl ReservationView {
    pub(super) fn new(reservation: Reservation, now: Timestamp) -> Self {
        let state = state_at(&reservation, now);
        let closed = reservation
            .closed
            .or_else(|| (state == ReservationState::Released).then_some(CloseReason::Expired));
        let reason =
            closed.filter(|_| state != ReservationState::Fulfilled).map(|closed| match closed {
                CloseReason::Cancelled => "cancelled",
                CloseReason::Expired => "expired",
                CloseReason::Rejected => "rejected",
            });
        let lines = lines(&reservation);
        let allocations = reservation.allocations.into_iter().map(|known| AllocationView {
            event_id: (known.sequence.get() > 0)
                .then(|| format!("{}/{}/{}", known.store_id, known.epoch, known.sequence)),
            store_id: known.store_id,
            attempt: known.attempt,
            line: known.line,
            sku: known.sku,
            quantity: known.quantity,
            state: known.state,
            reason: known.reason,
            available: known.available,
        });
        Self {
            state: requests::name(state),
            reason,
            created_at: reservation.created_at,
            expires_at: reservation.expires_at,
            store_id: reservation.store_id,
            near: reservation.near,
            allow_split: reservation.allow_split,
            confirmed_at: reservation.confirmed_at,
            rebuilt: reservation.rebuilt,
            lines,
            allocations: allocations.collect(),
            history: Some(reservation.history),
            reservation_id: reservation.reservation_id,
            order_id: reservation.order_id,
        }
    }
}

impl ReservationView {
    /// As lists have it.
    pub(super) fn without_history(self) -> Self {
        Self { history: None, ..self }
    }
}

fn lines(reservation: &Reservation) -> Vec<LineView> {
    let of = |units: &BTreeMap<u32, i64>, line: u32| units.get(&line).copied().unwrap_or_default();
    let fulfilled = units(reservation, |known| known.state == AllocationState::Fulfilled);
    let covered = units(reservation, |known| known.state.covers());
    let asked = units(reservation, |known| known.state == AllocationState::Asked);
    let line = |line: &shared_events::ledger::ReservationLine| {
        let (covered, fulfilled) = (of(&covered, line.line), of(&fulfilled, line.line));
        LineView {
            line: line.line,
            sku: line.sku.clone(),
            quantity: line.quantity,
            kept: covered - fulfilled,
            fulfilled,
            missing: (line.quantity - covered - of(&asked, line.line)).max(0),
        }
    };
    reservation.lines.iter().map(line).collect()
}
