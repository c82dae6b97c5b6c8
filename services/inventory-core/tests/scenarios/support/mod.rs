//! `given(events).when(command).then(events)`, and short words for events and commands.

use inventory_core::allocations::{Ending, end, evolve_allocations, reserve};
use inventory_core::{StockItem, decide, evolve};
use shared_events::{
    AdjustStock, Allocation, Delta, OnShortfall, Quantity, Rejection, ReplaceStock, StockAdjusted,
    StockCommand, StockEvent, StockReplaced, Text, Timestamp, Version,
};

mod promises;

pub(crate) use promises::{broken, fulfilled, noon, order, refused, released, reserved};

/// An item with a history: ask it for something.
pub(crate) struct Given {
    pub(crate) item: StockItem,
    kept: Vec<Allocation>,
}

/// What was decided: say what you expect.
#[must_use]
pub(crate) struct When {
    before: Given,
    decided: Result<Vec<StockEvent>, Rejection>,
}

/// The item to which all this happened.
#[track_caller]
pub(crate) fn given<const N: usize>(history: [StockEvent; N]) -> Given {
    Given { item: StockItem::default(), kept: Vec::new() }.after(&history)
}

/// A count, and then these promises, oldest first: one event each.
#[track_caller]
pub(crate) fn shelf<const N: usize>(on_hand: i64, orders: [(&str, i64); N]) -> Given {
    orders.into_iter().fold(given([replaced(1, on_hand, on_hand)]), |given, (name, units)| {
        let (version, promised) = (given.item.version.next().get(), given.item.reserved + units);
        given.after(&[reserved(version, on_hand, order(name, units)).reserving(promised)])
    })
}

impl Given {
    pub(crate) fn when(self, command: StockCommand) -> When {
        When { decided: decide(&self.item, &self.kept, &command), before: self }
    }

    /// The centre asks for an order's units, in good time.
    pub(crate) fn when_asked(self, name: &str, units: i64) -> When {
        self.when_asked_at(noon(-1), name, units)
    }

    pub(crate) fn when_asked_at(self, deadline: Timestamp, name: &str, units: i64) -> When {
        let events = reserve(&[(self.item, order(name, units))], deadline);
        let events = events.into_iter().map(|(place, event)| {
            assert_eq!(place, 0, "one item was asked");
            event
        });
        When { decided: Ok(events.collect()), before: self }
    }

    /// The promise to an order ends.
    #[track_caller]
    pub(crate) fn when_ends(self, name: &str, ending: Ending) -> When {
        let known = |kept: &&Allocation| kept.order_id.as_str() == name;
        let allocation = self.kept.iter().find(known).expect("the order is kept");
        When { decided: Ok(vec![end(&self.item, allocation, ending)]), before: self }
    }

    /// Checks the levels along the way.
    #[track_caller]
    pub(crate) fn has(self, on_hand: i64, reserved: i64, available: i64) -> Self {
        let levels = (self.item.on_hand, self.item.reserved, self.item.available());
        assert_eq!(levels, (on_hand, reserved, available), "on hand, reserved, available");
        self
    }

    /// Checks to whom units are promised, oldest first.
    #[track_caller]
    pub(crate) fn keeps<const N: usize>(self, names: [&str; N]) -> Self {
        let kept: Vec<_> = self.kept.iter().map(|kept| kept.order_id.as_str()).collect();
        assert_eq!(kept, names);
        self
    }

    #[track_caller]
    fn after(mut self, events: &[StockEvent]) -> Self {
        for event in events {
            evolve(&mut self.item, event);
            evolve_allocations(&mut self.kept, event);
        }
        let promised: i64 = self.kept.iter().map(|kept| kept.quantity).sum();
        assert_eq!(self.item.reserved, promised, "reserved is the sum of the promises");
        assert!(promised <= self.item.on_hand, "no more is promised than is there");
        self
    }
}

impl When {
    /// Exactly these events follow. The story may go on from there.
    #[track_caller]
    pub(crate) fn then<const N: usize>(self, expected: [StockEvent; N]) -> Given {
        assert_eq!(self.decided, Ok(expected.to_vec()));
        self.before.after(&expected)
    }

    /// The business says no. The story may go on as if nothing had been asked.
    #[track_caller]
    pub(crate) fn then_rejected(self, expected: Rejection) -> Given {
        assert_eq!(self.decided, Err(expected));
        self.before
    }
}

/// A count was made.
pub(crate) fn replaced(version: u64, delta: i64, on_hand: i64) -> StockEvent {
    StockEvent::Replaced(StockReplaced {
        version: Version::new(version),
        delta,
        on_hand,
        reserved: 0,
        reason: None,
        reference: None,
    })
}

/// The level changed by a difference.
pub(crate) fn adjusted(version: u64, delta: i64, on_hand: i64) -> StockEvent {
    StockEvent::Adjusted(StockAdjusted {
        version: Version::new(version),
        delta,
        on_hand,
        reserved: 0,
        discrepancy: 0,
        reason: None,
        reference: None,
    })
}

/// "There are so many."
pub(crate) fn count(units: i64) -> StockCommand {
    StockCommand::Replace(ReplaceStock {
        sku: "ABC-1".parse().expect("valid"),
        quantity: Quantity::new(units).expect("within the bounds"),
        expected_version: None,
        reason: None,
        reference: None,
    })
}

/// "So many came in."
pub(crate) fn add(units: i64) -> StockCommand {
    StockCommand::Adjust(AdjustStock {
        sku: "ABC-1".parse().expect("valid"),
        delta: Delta::new(units).expect("within the bounds"),
        expected_version: None,
        on_shortfall: OnShortfall::default(),
        reason: None,
        reference: None,
    })
}

/// "So many were sold."
pub(crate) fn sell(units: i64) -> StockCommand {
    add(-units)
}

/// "The shelf cannot cover it."
pub(crate) fn insufficient(requested: i64, available: i64, on_hand: i64) -> Rejection {
    Rejection::InsufficientStock { requested, available, on_hand }
}

/// "Somebody else changed it."
pub(crate) fn conflict(expected: u64, current: u64) -> Rejection {
    let (expected, current) = (Version::new(expected), Version::new(current));
    Rejection::VersionConflict { expected, current }
}

/// "No shelf holds that."
pub(crate) fn too_many(on_hand: i64, delta: i64) -> Rejection {
    Rejection::LevelOutOfRange { on_hand, delta }
}

/// What an event can say beside its levels.
pub(crate) trait EventDetails {
    fn reserving(self, units: i64) -> Self;
    fn short_by(self, units: i64) -> Self;
    fn because(self, reason: &str, reference: &str) -> Self;
}

impl EventDetails for StockEvent {
    fn reserving(mut self, units: i64) -> Self {
        match &mut self {
            Self::Replaced(event) => event.reserved = units,
            Self::Adjusted(event) => event.reserved = units,
            Self::Reserved(event) => event.reserved = units,
            Self::Released(event) => event.reserved = units,
            Self::Fulfilled(event) => event.reserved = units,
            Self::Broken(event) => event.reserved = units,
            Self::ReservationRefused(_) | Self::CommandRefused(_) => unreachable!("no levels"),
        }
        self
    }

    fn short_by(mut self, units: i64) -> Self {
        let Self::Adjusted(event) = &mut self else { unreachable!("only a sale is ever short") };
        event.discrepancy = units;
        self
    }

    fn because(mut self, why: &str, document: &str) -> Self {
        let (reason, reference) = match &mut self {
            Self::Replaced(event) => (&mut event.reason, &mut event.reference),
            Self::Adjusted(event) => (&mut event.reason, &mut event.reference),
            promise => unreachable!("{promise:?} is in nobody's words"),
        };
        (*reason, *reference) = (Text::parse(why).ok(), Text::parse(document).ok());
        self
    }
}

/// What a caller can add to a command.
pub(crate) trait CommandDetails {
    fn at_version(self, version: u64) -> Self;
    fn on_shortfall(self, choice: OnShortfall) -> Self;
    fn because(self, reason: &str, reference: &str) -> Self;
}

impl CommandDetails for StockCommand {
    fn at_version(mut self, version: u64) -> Self {
        let expected = match &mut self {
            Self::Replace(command) => &mut command.expected_version,
            Self::Adjust(command) => &mut command.expected_version,
        };
        *expected = Some(Version::new(version));
        self
    }

    fn on_shortfall(mut self, choice: OnShortfall) -> Self {
        match &mut self {
            Self::Replace(_) => unreachable!("a count has no shortfall"),
            Self::Adjust(command) => command.on_shortfall = choice,
        }
        self
    }

    fn because(mut self, why: &str, document: &str) -> Self {
        let (reason, reference) = match &mut self {
            Self::Replace(command) => (&mut command.reason, &mut command.reference),
            Self::Adjust(command) => (&mut command.reason, &mut command.reference),
        };
        (*reason, *reference) = (Text::parse(why).ok(), Text::parse(document).ok());
        self
    }
}
