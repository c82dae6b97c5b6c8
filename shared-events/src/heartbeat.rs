//! A store's sign of life, sent through the same pipe as its events.

use serde::{Deserialize, Serialize};

use crate::ids::StoreId;
use crate::lineage::Lineage;
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
    /// The journal's lives; absent while there was only one, and that began at 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// The store has just opened its journal and asks what a centre has seen of it; until it knows, it
    /// writes nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub opening: bool,
}

impl Heartbeat {
    /// The lives of the journal.
    #[must_use]
    pub fn lives(&self) -> Lineage {
        let first = Sequence::new(1);
        self.lineage.clone().unwrap_or_else(|| Lineage::new(self.epoch, first))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
