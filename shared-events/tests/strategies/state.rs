//! What stands on a compacted topic until something newer is said: a heartbeat, or a policy.

use proptest::option;
use proptest::prelude::*;

use shared_events::policy::{SafetyStock, Scope, Selling};
use shared_events::{CentreId, Epoch, Heartbeat, Sequence};

use super::{level, location, optional_text, position, sku, store, time};

fn centre() -> impl Strategy<Value = CentreId> {
    "[A-Za-z0-9_-]{1,32}".prop_map(|text| CentreId::parse(&text).expect("a narrow alphabet"))
}

/// Whatever a store may say of its journal.
pub(crate) fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let positions = prop_oneof![Just((0, 0)), (position(), position())];
    (store(), position(), positions, "[0-9a-f]{64}", "[0-9a-f]{32}", time(), option::of(location()))
        .prop_map(|(store_id, epoch, (one, other), head_hash, digest, sent_at, location)| {
            Heartbeat {
                store_id,
                epoch: Epoch::new(epoch),
                head: Sequence::new(one.max(other)),
                head_hash,
                published_through: Sequence::new(one.min(other)),
                digest,
                sent_at,
                location,
            }
        })
}

/// Whatever the chain may decide.
pub(crate) fn safety_stock() -> impl Strategy<Value = SafetyStock> {
    let scope = (option::of(store()), option::of(sku()));
    (scope, option::of(level()), time(), centre()).prop_map(
        |((store_id, sku), units, changed_at, changed_by)| SafetyStock {
            scope: Scope { store_id, sku },
            units,
            changed_at,
            changed_by,
        },
    )
}

/// Whatever an operator may say of a store.
pub(crate) fn selling() -> impl Strategy<Value = Selling> {
    (store(), any::<bool>(), optional_text(), time(), centre()).prop_map(
        |(store_id, enabled, reason, changed_at, changed_by)| Selling {
            store_id,
            enabled,
            reason,
            changed_at,
            changed_by,
        },
    )
}
