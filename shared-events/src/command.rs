//! What is asked of a store: by its own tills over HTTP, and by the centre over the store's topic.

use serde::{Deserialize, Serialize};

use crate::ids::{CommandId, Sku, StoreId, Subject};
use crate::lineage::Lineage;
use crate::position::{Epoch, Sequence, Version};
use crate::quantity::{Delta, Quantity};
use crate::reservation::{FulfilReservation, ReleaseReservation, ReserveStock};
use crate::text::Text;
use crate::timestamp::Timestamp;

/// A change to one item, asked of the store that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StockCommand {
    /// See [`ReplaceStock`].
    Replace(ReplaceStock),
    /// See [`AdjustStock`].
    Adjust(AdjustStock),
}

impl StockCommand {
    /// The item it is about.
    #[must_use]
    pub const fn sku(&self) -> &Sku {
        match self {
            Self::Replace(command) => &command.sku,
            Self::Adjust(command) => &command.sku,
        }
    }

    /// The version the item must still have, when the caller asked for one.
    #[must_use]
    pub const fn expected_version(&self) -> Option<Version> {
        match self {
            Self::Replace(command) => command.expected_version,
            Self::Adjust(command) => command.expected_version,
        }
    }
}

/// Set an item's level to an absolute count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplaceStock {
    /// The item.
    pub sku: Sku,
    /// Units counted.
    pub quantity: Quantity,
    /// Only if the item still has this version.
    pub expected_version: Option<Version>,
    /// Why.
    pub reason: Option<Text>,
    /// The caller's document.
    pub reference: Option<Text>,
}

/// Change an item's level by a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdjustStock {
    /// The item.
    pub sku: Sku,
    /// Units to add (positive) or take (negative).
    pub delta: Delta,
    /// Only if the item still has this version.
    pub expected_version: Option<Version>,
    /// What to do when the shelf cannot cover it.
    #[serde(default)]
    pub on_shortfall: OnShortfall,
    /// Why.
    pub reason: Option<Text>,
    /// The caller's document.
    pub reference: Option<Text>,
}

/// What a sale that the shelf cannot cover should do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnShortfall {
    /// Refuse it.
    #[default]
    Reject,
    /// The customer has the item in hand: the newest reservations give way.
    BreakReservations,
    /// The books were wrong: go to zero and record the difference.
    RecordDiscrepancy,
}

/// A command of the centre to one store, on that store's command topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnvelope {
    /// Names the command: the store executes one id once.
    pub id: CommandId,
    /// The store it is meant for.
    pub store: StoreId,
    /// The centre's clock when it was issued.
    pub issued_at: Timestamp,
    /// Who asked the centre for it, where requests are authenticated.
    pub principal: Option<Subject>,
    /// W3C trace context of the request that led to it.
    pub traceparent: Option<String>,
    /// What is asked.
    pub command: StoreCommand,
}

/// What the centre can ask of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreCommand {
    /// Publish a part of the journal again.
    ReplayEvents(ReplayEvents),
    /// Compare the journal with what was seen of it.
    JournalWitnessed(JournalWitnessed),
    /// Change one item, for a caller who knows the centre only.
    Stock(StockCommand),
    /// Keep units for a customer.
    Reserve(ReserveStock),
    /// Let them go.
    Release(ReleaseReservation),
    /// Hand them over.
    Fulfil(FulfilReservation),
}

impl StoreCommand {
    /// The `CloudEvents` type, version included.
    #[must_use]
    pub const fn command_type(&self) -> &'static str {
        match self {
            Self::ReplayEvents(_) => REPLAY_EVENTS,
            Self::JournalWitnessed(_) => JOURNAL_WITNESSED,
            Self::Stock(StockCommand::Replace(_)) => REPLACE_STOCK,
            Self::Stock(StockCommand::Adjust(_)) => ADJUST_STOCK,
            Self::Reserve(_) => RESERVE_STOCK,
            Self::Release(_) => RELEASE_RESERVATION,
            Self::Fulfil(_) => FULFIL_RESERVATION,
        }
    }
}

/// Publish the events `from ..= through` of an epoch again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayEvents {
    /// The journal's life the sequences belong to.
    pub epoch: Epoch,
    /// First sequence wanted.
    pub from: Sequence,
    /// Last sequence wanted.
    pub through: Sequence,
}

/// What a centre has seen of a store's journal. A journal that does not have it has lost its end, or is
/// not the only one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalWitnessed {
    /// Newest life that was heard of; 0 when nothing ever was.
    pub epoch: Epoch,
    /// Newest sequence that was heard of in it.
    pub head: Sequence,
    /// Chain hash there, hexadecimal; empty where events were heard of and no heartbeat behind them.
    pub head_hash: String,
    /// The journal's lives, as they were told; absent when there was only one, and that began at 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
}

impl JournalWitnessed {
    /// The lives of the journal that was seen; `None` when nothing was.
    #[must_use]
    pub fn lives(&self) -> Option<Lineage> {
        let only = || Lineage::new(self.epoch, Sequence::new(1));
        (self.epoch > Epoch::default()).then(|| self.lineage.clone().unwrap_or_else(only))
    }
}

/// Type of [`ReplayEvents`].
pub const REPLAY_EVENTS: &str = "inventory.replay-events.v1";
/// Type of [`JournalWitnessed`].
pub const JOURNAL_WITNESSED: &str = "inventory.journal-witnessed.v1";
/// Type of [`ReplaceStock`].
pub const REPLACE_STOCK: &str = "inventory.replace-stock.v1";
/// Type of [`AdjustStock`].
pub const ADJUST_STOCK: &str = "inventory.adjust-stock.v1";
/// Type of [`ReserveStock`].
pub const RESERVE_STOCK: &str = "inventory.reserve-stock.v1";
/// Type of [`ReleaseReservation`].
pub const RELEASE_RESERVATION: &str = "inventory.release-reservation.v1";
/// Type of [`FulfilReservation`].
pub const FULFIL_RESERVATION: &str = "inventory.fulfil-reservation.v1";
