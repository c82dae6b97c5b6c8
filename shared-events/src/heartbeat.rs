//! A store's sign of life, sent through the same pipe as its events.

use serde::{Deserialize, Serialize};

use crate::ids::StoreId;
use crate::location::Location;
use crate::position::{Epoch, Sequence};
use crate::timestamp::Timestamp;

/// Type of [`Heartbeat`].
pub const HEARTBEAT: &str = "inventory.heartbeat.v1";

/// Where a store's journal stood when the heartbeat was made.
///
/// It takes the same way as the events, so a relay that is stuck cannot look alive; `published_through`
/// says which of them went before it.
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
    /// Where the shop is, when it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}
