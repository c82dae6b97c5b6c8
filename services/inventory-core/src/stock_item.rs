//! One SKU at one store: `decide` judges a command, `evolve` applies an event.
//!
//! The same `evolve` serves the live path, the replay at start and the tests' models; it is total and
//! judges nothing, since what has happened has happened.

use shared_events::reservation::BreakReason;
use shared_events::{
    AdjustStock, Allocation, MAX_UNITS, OnShortfall, Rejection, ReplaceStock, StockAdjusted,
    StockCommand, StockEvent, StockReplaced, Version,
};

use crate::allocations::break_newest;
use crate::availability::available;

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

/// Judges a command against an item and what is kept of it for customers, oldest first.
///
/// Units that leave the shelf may be promised ones: a count found fewer, or a customer in the shop has
/// them in hand. The newest promises are then broken, by events in front of the change, so that no
/// more is ever promised than is there.
///
/// # Errors
/// [`Rejection`], and nothing changes.
pub fn decide(
    item: &StockItem,
    kept: &[Allocation],
    command: &StockCommand,
) -> Result<Vec<StockEvent>, Rejection> {
    if let Some(expected) = command.expected_version()
        && expected != item.version
    {
        return Err(Rejection::VersionConflict { expected, current: item.version });
    }
    let (on_hand, reason) = match command {
        StockCommand::Replace(replace) => (replace.quantity.get(), BreakReason::Recounted),
        StockCommand::Adjust(adjust) => {
            (item.on_hand.saturating_add(change(item, adjust)?), BreakReason::Sold)
        }
    };
    let mut events = break_newest(item, kept, on_hand, reason);
    let mut item = *item;
    events.iter().for_each(|event| evolve(&mut item, event));
    events.push(match command {
        StockCommand::Replace(replace) => replaced(&item, replace),
        StockCommand::Adjust(adjust) => adjusted(&item, adjust, on_hand),
    });
    Ok(events)
}

/// Applies what happened. Events carry absolute levels, so nothing is computed here.
pub fn evolve(item: &mut StockItem, event: &StockEvent) {
    if let Some(levels) = event.levels() {
        item.on_hand = levels.on_hand;
        item.reserved = levels.reserved;
        item.version = levels.version;
    }
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

fn adjusted(item: &StockItem, command: &AdjustStock, on_hand: i64) -> StockEvent {
    let delta = on_hand.saturating_sub(item.on_hand);
    StockEvent::Adjusted(StockAdjusted {
        version: item.version.next(),
        delta,
        on_hand,
        reserved: item.reserved,
        discrepancy: delta.saturating_sub(command.delta.get()),
        reason: command.reason.clone(),
        reference: command.reference.clone(),
    })
}

/// Change of units on hand; smaller than asked only where a discrepancy is recorded.
fn change(item: &StockItem, command: &AdjustStock) -> Result<i64, Rejection> {
    let asked = command.delta.get();
    if asked > 0 {
        addable(item, asked)
    } else {
        Ok(asked.saturating_neg().min(takeable(item, command)?).saturating_neg())
    }
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
