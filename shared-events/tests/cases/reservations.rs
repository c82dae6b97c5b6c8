//! What stores and the centre say to each other about units kept for customers.

use shared_events::command::{AdjustStock, OnShortfall, ReplaceStock, StockCommand, StoreCommand};
use shared_events::reservation::{
    Binding, BreakReason, FulfilReservation, RefusalReason, ReleaseReason, ReleaseReservation,
    ReservationBroken, ReservationFulfilled, ReservationRefused, ReservationReleased, ReserveStock,
    StockCommandRefused, StockReserved, WantedLine,
};
use shared_events::{
    Allocation, Delta, MAX_UNITS, Quantity, Rejection, ReservationId, Sku, StockEvent, Version,
};

use super::{text, time};

const VERSION: Version = Version::new(13);

pub(super) fn reservation() -> ReservationId {
    "c1.0193ab-7".parse().expect("valid")
}

pub(super) fn sku(text: &str) -> Sku {
    text.parse().expect("valid")
}

fn allocation() -> Allocation {
    Allocation {
        reservation_id: reservation(),
        order_id: "web/2026#000451".parse().expect("valid"),
        attempt: 2,
        line: 3,
        lines: 4,
        quantity: 3,
        line_quantity: 5,
        expires_at: time("2026-11-21T11:30:00.250Z"),
        binding: Binding::Any,
    }
}

pub(crate) fn reserved() -> StockEvent {
    StockEvent::Reserved(StockReserved {
        version: VERSION,
        on_hand: 40,
        reserved: 8,
        allocation: allocation(),
    })
}

/// For a customer who takes everything from one store.
pub(crate) fn reserved_together() -> StockEvent {
    StockEvent::Reserved(StockReserved {
        version: VERSION,
        on_hand: 40,
        reserved: 8,
        allocation: Allocation { binding: Binding::OneStore, ..allocation() },
    })
}

pub(crate) fn refused() -> StockEvent {
    StockEvent::ReservationRefused(ReservationRefused {
        allocation: allocation(),
        reason: RefusalReason::InsufficientStock,
        available: 2,
    })
}

pub(crate) fn released() -> StockEvent {
    StockEvent::Released(ReservationReleased {
        version: VERSION,
        on_hand: 40,
        reserved: 8,
        allocation: allocation(),
        reason: ReleaseReason::TimedOut,
    })
}

pub(crate) fn fulfilled() -> StockEvent {
    StockEvent::Fulfilled(ReservationFulfilled {
        version: VERSION,
        delta: -3,
        on_hand: 40,
        reserved: 8,
        allocation: allocation(),
    })
}

pub(crate) fn broken() -> StockEvent {
    StockEvent::Broken(ReservationBroken {
        version: VERSION,
        delta: -3,
        on_hand: 40,
        reserved: 8,
        allocation: allocation(),
        reason: BreakReason::NotFound,
    })
}

fn command_refused(rejection: Rejection) -> StockEvent {
    StockEvent::CommandRefused(StockCommandRefused { rejection })
}

pub(crate) fn shortfall() -> StockEvent {
    command_refused(Rejection::InsufficientStock { requested: 9, available: 2, on_hand: 5 })
}

pub(crate) fn conflict() -> StockEvent {
    command_refused(Rejection::VersionConflict { expected: Version::ZERO, current: VERSION })
}

pub(crate) fn reused() -> StockEvent {
    command_refused(Rejection::CommandIdReused)
}

pub(crate) fn out_of_range() -> StockEvent {
    command_refused(Rejection::LevelOutOfRange { on_hand: MAX_UNITS, delta: 1 })
}

pub(crate) fn replace() -> StoreCommand {
    StoreCommand::Stock(StockCommand::Replace(ReplaceStock {
        sku: sku("Käse 5 kg"),
        quantity: Quantity::new(40).expect("in bounds"),
        expected_version: Some(Version::new(12)),
        reason: Some(text("Inventur \"März\" / 棚卸し")),
        reference: Some(text("count-sheet 17")),
    }))
}

pub(crate) fn adjust() -> StoreCommand {
    StoreCommand::Stock(StockCommand::Adjust(AdjustStock {
        sku: sku("Käse 5 kg"),
        delta: Delta::new(-2).expect("in bounds"),
        expected_version: Some(Version::MAX),
        on_shortfall: OnShortfall::BreakReservations,
        reason: Some(text("sale")),
        reference: Some(text("receipt 000451")),
    }))
}

pub(crate) fn reserve() -> StoreCommand {
    let Allocation { reservation_id, order_id, attempt, lines, expires_at, .. } = allocation();
    let wanted = |line, name, quantity, line_quantity| WantedLine {
        line,
        sku: sku(name),
        quantity,
        line_quantity,
    };
    StoreCommand::Reserve(ReserveStock {
        reservation_id,
        order_id,
        attempt,
        lines,
        expires_at,
        binding: Binding::Any,
        wanted: vec![wanted(3, "Käse 5 kg", 3, 5), wanted(4, "ABC-1", 1, MAX_UNITS)],
    })
}

/// For a customer who comes to this store.
pub(crate) fn reserve_here() -> StoreCommand {
    let Allocation { reservation_id, order_id, attempt, lines, expires_at, .. } = allocation();
    let wanted = |line, name, quantity, line_quantity| WantedLine {
        line,
        sku: sku(name),
        quantity,
        line_quantity,
    };
    StoreCommand::Reserve(ReserveStock {
        reservation_id,
        order_id,
        attempt,
        lines,
        expires_at,
        binding: Binding::ThisStore,
        wanted: vec![wanted(3, "Käse 5 kg", 3, 5), wanted(4, "ABC-1", 1, MAX_UNITS)],
    })
}

pub(crate) fn release() -> StoreCommand {
    StoreCommand::Release(ReleaseReservation {
        reservation_id: reservation(),
        attempt: 2,
        skus: vec![sku("Käse 5 kg"), sku("ABC-1")],
        reason: ReleaseReason::Cancelled,
    })
}

pub(crate) fn fulfil() -> StoreCommand {
    StoreCommand::Fulfil(FulfilReservation {
        reservation_id: reservation(),
        attempt: 2,
        skus: vec![sku("Käse 5 kg"), sku("ABC-1")],
    })
}
