//! The hash chain: each event's hash covers the event and the hash before it.

use std::fmt;

use blake3::Hasher;
use shared_events::StoreId;

/// Hash of an event and of all before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainHash(pub(super) [u8; 32]);

impl ChainHash {
    /// What the first event's hash is built on: another store's events never fit.
    pub(super) fn genesis(store: &StoreId) -> Self {
        let mut hasher = Hasher::new();
        field(&mut hasher, b"onhand journal v1");
        field(&mut hasher, store.as_str().as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    pub(super) fn next(self, row: &ChainedRow<'_>) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&self.0);
        hasher.update(&row.epoch.to_le_bytes());
        hasher.update(&row.sequence.to_le_bytes());
        hasher.update(&row.occurred_at.to_le_bytes());
        field(&mut hasher, row.sku.as_bytes());
        field(&mut hasher, row.event_type.as_bytes());
        field(&mut hasher, row.data.as_bytes());
        for optional in [row.traceparent, row.cause] {
            hasher.update(&[u8::from(optional.is_some())]);
            field(&mut hasher, optional.unwrap_or_default().as_bytes());
        }
        // Only where there is one: events from before it was known keep their hashes. A marker that no
        // optional field begins with keeps the two forms apart.
        if let Some(principal) = row.principal {
            hasher.update(&[2]);
            field(&mut hasher, principal.as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }
}

/// The fields a hash covers, as they stand in the row.
pub(super) struct ChainedRow<'a> {
    pub(super) epoch: u64,
    pub(super) sequence: u64,
    pub(super) occurred_at: i64,
    pub(super) sku: &'a str,
    pub(super) event_type: &'a str,
    pub(super) data: &'a str,
    pub(super) traceparent: Option<&'a str>,
    pub(super) cause: Option<&'a str>,
    pub(super) principal: Option<&'a str>,
}

/// With its length in front, so that no two rows read as the same bytes.
fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
    hasher.update(bytes);
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHash({self})")
    }
}
