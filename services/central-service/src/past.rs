//! How an item stood, as far as its events tell: apart from the tables they are read from.
//!
//! Versions count an item's events, so a hole shows by itself: where two events that follow each other
//! here do not follow each other by their versions, one between them is not kept, or has not come.

use std::collections::HashSet;

use inventory_core::AsOf;
use shared_events::{Epoch, ReservationId, Sequence, StockEvent, Timestamp, Version};

use crate::read_model::Level;

/// What is known of an item around a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Around {
    /// As of its newest event.
    pub newest: Option<Level>,
    /// As of the last event at the point that is kept.
    pub at: Option<Level>,
    /// As of the first one behind that.
    pub next: Option<Level>,
}

/// The history does not tell: events are missing that it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotKept;

impl Around {
    /// How the item stood at the point; `None` when it had no event then.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn standing(&self, point: AsOf) -> Result<Option<Level>, NotKept> {
        let Some(newest) = self.newest.filter(|newest| !is_at(newest, point)) else {
            return Ok(self.newest);
        };
        let next = self.next.unwrap_or(newest);
        let follows = match &self.at {
            None => next.version == Version::new(1),
            // A new life may count from elsewhere.
            Some(at) => next.epoch != at.epoch || next.version == at.version.next(),
        };
        if follows { Ok(self.at) } else { Err(NotKept) }
    }
}

/// Whether the newest level is how the item stood, so that no event need be looked for.
#[must_use]
pub fn is_settled(newest: Option<&Level>, point: AsOf) -> bool {
    newest.is_none_or(|newest| is_at(newest, point))
}

fn is_at(level: &Level, point: AsOf) -> bool {
    match point {
        AsOf::Sequence(sequence) => level.sequence <= sequence,
        AsOf::Time(time) => level.occurred_at_ms <= time.unix_millis(),
    }
}

/// An event of an item as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Life of the store's journal.
    pub epoch: Epoch,
    /// Place in it.
    pub sequence: Sequence,
    /// What happened.
    pub kind: String,
    /// When, by the store's clock.
    pub occurred_at: Timestamp,
    /// The command it answers.
    pub cause: Option<String>,
    /// Who asked for it.
    pub principal: Option<String>,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
    /// The event's JSON.
    pub data: String,
}

/// Units that a store kept for a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// Which of its asks.
    pub attempt: u32,
    /// Units.
    pub units: i64,
    /// Until when.
    pub expires_at: Timestamp,
    /// The event that promised them.
    pub at: (Epoch, Sequence),
}

/// Finds the promises that make up what was reserved, going back from the event that said how much.
#[derive(Debug)]
pub struct Promises {
    missing: i64,
    ended: HashSet<(ReservationId, u32)>,
    found: Vec<Promise>,
}

impl Promises {
    /// Looks for promises of so many units.
    #[must_use]
    pub fn of(units: i64) -> Self {
        Self { missing: units, ended: HashSet::new(), found: Vec::new() }
    }

    /// Whether there is more to be found.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        self.missing > 0
    }

    /// Takes the event before; gives whether there is more to be found.
    pub fn take(&mut self, at: (Epoch, Sequence), event: &StockEvent) -> bool {
        if let Some(allocation) = event.allocation() {
            let ask = (allocation.reservation_id.clone(), allocation.attempt);
            if !matches!(event, StockEvent::Reserved(_)) {
                self.ended.insert(ask);
            } else if !self.ended.contains(&ask) {
                self.missing -= allocation.quantity;
                self.found.push(Promise {
                    reservation_id: ask.0,
                    attempt: ask.1,
                    units: allocation.quantity,
                    expires_at: allocation.expires_at,
                    at,
                });
            }
        }
        self.is_incomplete()
    }

    /// The promises, newest first.
    ///
    /// # Errors
    /// [`NotKept`] when they are not all there.
    pub fn found(self) -> Result<Vec<Promise>, NotKept> {
        if self.missing == 0 { Ok(self.found) } else { Err(NotKept) }
    }
}
