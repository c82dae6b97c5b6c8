//! A store's sign of life, sent through the same pipe as its events.

use serde::{Deserialize, Serialize};

use crate::ids::StoreId;
use crate::position::{Epoch, Sequence};
use crate::timestamp::Timestamp;

/// Type of [`Heartbeat`].
pub const HEARTBEAT: &str = "inventory.heartbeat.v1";

/// Where a store's journal stood when the heartbeat was made.
///
/// It travels behind the events it vouches for, so a relay that is stuck cannot look alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// The store.
    pub store_id: StoreId,
    /// The life of its journal.
    pub epoch: Epoch,
    /// Newest sequence in the journal; 0 when it is empty.
    pub head: Sequence,
    /// Chain hash at `head`, hexadecimal.
    pub head_hash: String,
    /// Everything up to here has been acknowledged by the broker.
    pub published_through: Sequence,
    /// Set hash over the store's items at `head`, hexadecimal.
    pub digest: String,
    /// The store's clock.
    pub sent_at: Timestamp,
}
