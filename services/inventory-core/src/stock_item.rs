//! One SKU at one store: `decide` judges a command, `evolve` applies an event.
//!
//! The same `evolve` serves the live path, the replay at start and the tests' models; it is total and
//! judges nothing, since what has happened has happened.

use shared_events::{
    AdjustStock, MAX_UNITS, OnShortfall, ReplaceStock, StockAdjusted, StockCommand, StockEvent,
    StockReplaced, Version,
};

use crate::availability::available;
use crate::rejection::Rejection;

/// State of one item. An item never seen is the default: nothing there, version 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StockItem {
    /// Units physically present, 0 to [`MAX_UNITS`].
    pub on_hand: i64,
    /// Units promised to reservations.
    pub reserved: i64,
    /// Events so far.
    pub version: Version,
}

impl StockItem {
    /// Units that may be sold or promised.
    #[must_use]
    pub fn available(&self) -> i64 {
        available(self.on_hand, self.reserved)
    }
}

/// Judges a command against an item.
///
/// # Errors
/// [`Rejection`], and nothing changes.
pub fn decide(item: &StockItem, command: &StockCommand) -> Result<Vec<StockEvent>, Rejection> {
    if let Some(expected) = command.expected_version()
        && expected != item.version
    {
        return Err(Rejection::VersionConflict { expected, current: item.version });
    }
    match command {
        StockCommand::Replace(replace) => Ok(vec![replaced(item, replace)]),
        StockCommand::Adjust(adjust) => adjusted(item, adjust).map(|event| vec![event]),
    }
}

/// Applies what happened. Events carry absolute levels, so nothing is computed here.
pub fn evolve(item: &mut StockItem, event: &StockEvent) {
    item.on_hand = event.on_hand();
    item.reserved = event.reserved();
    item.version = event.version();
}

fn replaced(item: &StockItem, command: &ReplaceStock) -> StockEvent {
    let on_hand = command.quantity.get();
    StockEvent::Replaced(StockReplaced {
        version: item.version.next(),
        delta: on_hand.saturating_sub(item.on_hand),
        on_hand,
        reserved: item.reserved,
        reason: command.reason.clone(),
        reference: command.reference.clone(),
    })
}

fn adjusted(item: &StockItem, command: &AdjustStock) -> Result<StockEvent, Rejection> {
    let asked = command.delta.get();
    let delta = if asked > 0 {
        addable(item, asked)?
    } else {
        asked.saturating_neg().min(takeable(item, command)?).saturating_neg()
    };
    Ok(StockEvent::Adjusted(StockAdjusted {
        version: item.version.next(),
        delta,
        on_hand: item.on_hand.saturating_add(delta),
        reserved: item.reserved,
        discrepancy: delta.saturating_sub(asked),
        reason: command.reason.clone(),
        reference: command.reference.clone(),
    }))
}

fn addable(item: &StockItem, units: i64) -> Result<i64, Rejection> {
    let on_hand = item.on_hand.saturating_add(units);
    if on_hand <= MAX_UNITS {
        Ok(units)
    } else {
        Err(Rejection::LevelOutOfRange { on_hand: item.on_hand, delta: units })
    }
}

/// Units that a sale may take off the shelf; fewer than asked only where a discrepancy is recorded.
fn takeable(item: &StockItem, command: &AdjustStock) -> Result<i64, Rejection> {
    let requested = command.delta.get().saturating_neg();
    let covered = match command.on_shortfall {
        OnShortfall::Reject => item.available(),
        OnShortfall::BreakReservations => item.on_hand,
        OnShortfall::RecordDiscrepancy => return Ok(item.on_hand),
    };
    if requested <= covered {
        Ok(requested)
    } else {
        Err(Rejection::InsufficientStock {
            requested,
            available: item.available(),
            on_hand: item.on_hand,
        })
    }
}
