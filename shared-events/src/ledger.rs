//! A reservation as the centre that made it has it in its ledger: what order management and analytics
//! read from the reservations topic.

use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ReservationId, Sku, StoreId, Subject};
use crate::location::Location;
use crate::position::{Epoch, EventId, Sequence};
use crate::reservation::{BreakReason, RefusalReason, ReleaseReason, WantedLine};
use crate::timestamp::Timestamp;

/// Type of [`Reservation`]'s record.
pub const RESERVATION_CHANGED: &str = "inventory.reservation-changed.v1";

/// A reservation with everything that was asked of stores for it and what they answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// Its name, which begins with its centre's.
    pub reservation_id: ReservationId,
    /// The order it is for.
    pub order_id: OrderId,
    /// Who asked for it, and may see and end it; absent where nobody was asked who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Subject>,
    /// Where it stands.
    pub state: ReservationState,
    /// When it was made, by its centre's clock.
    pub created_at: Timestamp,
    /// Until when the units are kept, by its centre's clock.
    pub expires_at: Timestamp,
    /// The only store to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<StoreId>,
    /// Stores near this are asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<Location>,
    /// Whether several stores may each keep a part.
    pub allow_split: bool,
    /// How many lines it has.
    pub line_count: u32,
    /// Its lines in order; some are missing where its centre lost its database and has not heard of
    /// them again.
    pub lines: Vec<ReservationLine>,
    /// What each store was asked to keep, and what became of it.
    pub allocations: Vec<LedgerAllocation>,
    /// Commands sent to stores so far; they are numbered in this order.
    pub commands: u32,
    /// When all lines were first kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// Why it ended before it was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<CloseReason>,
    /// Whether units are missing that no store could be found to keep.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub short: bool,
    /// Grows with every change, also over the loss of its centre's database: the record with the
    /// highest is the newest.
    pub revision: u64,
    /// Whether its centre lost it and knows of it from the stores' events alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebuilt: bool,
    /// W3C trace context of the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What happened, in order.
    pub history: Vec<Step>,
}

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReservationState {
    /// A store is being asked.
    Requested,
    /// All units are kept.
    Confirmed,
    /// It was confirmed, a store could not keep its promise, and another one is being asked.
    Resourcing,
    /// It was confirmed, a store could not keep its promise, and no other store has the units.
    Short,
    /// The customer has all of it.
    Fulfilled,
    /// It was cancelled, or its time is over.
    Released,
    /// No store could keep it.
    Rejected,
}

/// Why a reservation ended before it was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CloseReason {
    /// The customer does not want it any more.
    Cancelled,
    /// Nobody came in time.
    Expired,
    /// No store could keep it.
    Rejected,
}

/// One line: all units of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationLine {
    /// Its number, from 1.
    pub line: u32,
    /// The item.
    pub sku: Sku,
    /// Units wanted.
    pub quantity: i64,
}

/// What one store was asked to keep of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerAllocation {
    /// The ask it belongs to: the number of the command that asked.
    pub attempt: u32,
    /// The store.
    pub store_id: StoreId,
    /// The line.
    pub line: u32,
    /// The item.
    pub sku: Sku,
    /// Units.
    pub quantity: i64,
    /// Where it stands.
    pub state: AllocationState,
    /// Why, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Units that could have been kept, as the store that refused said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<i64>,
    /// The last command about it.
    pub command: u32,
    /// How often that command was sent.
    pub sent: u32,
    /// When an answer to it is overdue; absent while none is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<Timestamp>,
    /// The newest event about it: the journal's life …
    pub epoch: Epoch,
    /// … and the place in it; 0 before the first.
    pub sequence: Sequence,
}

/// Where an allocation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AllocationState {
    /// The store has not answered yet.
    Asked,
    /// The store has not answered yet, and was told to let go should it have kept anything.
    Withdrawn,
    /// The store keeps the units.
    Reserved,
    /// The store keeps units nobody asked it to keep (any more).
    Stray,
    /// The store was told to hand them over.
    Fulfilling,
    /// The store was told to let go.
    Releasing,
    /// The store refused.
    Refused,
    /// The store refused another line of the same ask, so it kept nothing of this one.
    NotKept,
    /// The store let go.
    Released,
    /// The customer has them.
    Fulfilled,
    /// The store could not keep its promise.
    Broken,
    /// The store never said what became of it; its time is over for certain.
    Lapsed,
}

impl AllocationState {
    /// Whether the store may still keep something for it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Asked
            | Self::Withdrawn
            | Self::Reserved
            | Self::Stray
            | Self::Fulfilling
            | Self::Releasing => true,
            Self::Refused
            | Self::NotKept
            | Self::Released
            | Self::Fulfilled
            | Self::Broken
            | Self::Lapsed => false,
        }
    }

    /// Whether it is a request the store has not answered: a hold.
    #[must_use]
    pub const fn is_hold(self) -> bool {
        matches!(self, Self::Asked | Self::Withdrawn)
    }

    /// Whether the units count for the customer.
    #[must_use]
    pub const fn covers(self) -> bool {
        matches!(self, Self::Reserved | Self::Fulfilling | Self::Fulfilled)
    }
}

/// Why an allocation is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The shelf cannot cover it.
    InsufficientStock,
    /// The reservation's time was over.
    Expired,
    /// The customer does not want it any more.
    Cancelled,
    /// The store did not answer in time; others were asked.
    TimedOut,
    /// Other lines of the reservation could not be had.
    Incomplete,
    /// Another line failed there, and all of the reservation was looked for in another store.
    Moved,
    /// A customer in the shop had the units in hand.
    Sold,
    /// A count found fewer units than were promised.
    Recounted,
    /// Staff could not find them.
    NotFound,
    /// Staff found them unfit for sale.
    Damaged,
    /// The store's journal has lost it.
    Lost,
}

impl From<RefusalReason> for Reason {
    fn from(reason: RefusalReason) -> Self {
        match reason {
            RefusalReason::InsufficientStock => Self::InsufficientStock,
            RefusalReason::Expired => Self::Expired,
        }
    }
}

impl From<ReleaseReason> for Reason {
    fn from(reason: ReleaseReason) -> Self {
        match reason {
            ReleaseReason::Cancelled => Self::Cancelled,
            ReleaseReason::Expired => Self::Expired,
            ReleaseReason::TimedOut => Self::TimedOut,
            ReleaseReason::Incomplete => Self::Incomplete,
            ReleaseReason::Moved => Self::Moved,
        }
    }
}

impl From<BreakReason> for Reason {
    fn from(reason: BreakReason) -> Self {
        match reason {
            BreakReason::Sold => Self::Sold,
            BreakReason::Recounted => Self::Recounted,
            BreakReason::NotFound => Self::NotFound,
            BreakReason::Damaged => Self::Damaged,
            BreakReason::Lost => Self::Lost,
        }
    }
}

/// A change of a reservation, and where it stood afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// When, by the centre's clock.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub transition: Transition,
    /// Where it stood afterwards.
    pub state: ReservationState,
}

/// What can happen to a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Transition {
    /// It was asked for.
    Requested,
    /// Its centre lost it and heard of it from a store.
    Rebuilt,
    /// A store is asked.
    Asked {
        /// The command, and the ask.
        attempt: u32,
        /// The store.
        store_id: StoreId,
        /// What it is asked to keep.
        wanted: Vec<WantedLine>,
        /// When an answer is overdue.
        answer_by: Timestamp,
    },
    /// A store said what became of an allocation.
    Answered {
        /// Its event.
        #[serde(with = "event_id")]
        event_id: EventId,
        /// The ask.
        attempt: u32,
        /// The line.
        line: u32,
        /// The item.
        sku: Sku,
        /// Units.
        quantity: i64,
        /// Units of the whole line.
        line_quantity: i64,
        /// What it said.
        #[serde(flatten)]
        answer: Answer,
    },
    /// A store that has not answered is told to let go.
    Withdrawn {
        /// The command.
        command: u32,
        /// The ask.
        attempt: u32,
        /// The store.
        store_id: StoreId,
        /// Why.
        reason: ReleaseReason,
        /// When an answer is overdue.
        answer_by: Timestamp,
    },
    /// A store is told to let go what it keeps.
    Releasing {
        /// The command.
        command: u32,
        /// The ask.
        attempt: u32,
        /// The store.
        store_id: StoreId,
        /// The items.
        skus: Vec<Sku>,
        /// Why.
        reason: ReleaseReason,
        /// When an answer is overdue.
        answer_by: Timestamp,
    },
    /// A store is told to hand over what it keeps.
    Fulfilling {
        /// The command.
        command: u32,
        /// The ask.
        attempt: u32,
        /// The store.
        store_id: StoreId,
        /// The items.
        skus: Vec<Sku>,
        /// When an answer is overdue.
        answer_by: Timestamp,
    },
    /// A command is sent again, since nothing was heard.
    SentAgain {
        /// The command.
        command: u32,
        /// When an answer is overdue.
        answer_by: Timestamp,
    },
    /// It ended before it was handed over.
    Closed {
        /// Why.
        reason: CloseReason,
        /// Lines no store could keep.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lines: Vec<Shortfall>,
    },
    /// It was confirmed, units are missing since, and no store has them.
    Short {
        /// What is missing.
        lines: Vec<Shortfall>,
    },
    /// A store never said what became of its part, and its time is over for certain.
    Lapsed {
        /// The ask.
        attempt: u32,
        /// The store.
        store_id: StoreId,
    },
}

/// What a store said of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Answer {
    /// It keeps the units.
    Reserved,
    /// It keeps nothing of the ask.
    Refused {
        /// Why.
        reason: RefusalReason,
        /// Units it could have kept.
        available: i64,
    },
    /// It let go.
    Released {
        /// Why.
        reason: ReleaseReason,
    },
    /// The customer has the units.
    Fulfilled,
    /// It could not keep its promise.
    Broken {
        /// Why.
        reason: BreakReason,
    },
}

/// A line that no store, or no allowed set of stores, could keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shortfall {
    /// The line.
    pub line: u32,
    /// The item.
    pub sku: Sku,
    /// Units that were still wanted.
    pub requested: i64,
    /// Most units that could have been had: in one store, or in all where a split was allowed.
    pub available: i64,
}

mod event_id {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::position::EventId;

    pub(super) fn serialize<S: Serializer>(id: &EventId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EventId, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
