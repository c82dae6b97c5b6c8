//! What stands on a compacted topic until something newer is said: a heartbeat, or a policy.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use shared_events::policy::{SafetyStock, Scope, Selling};
use shared_events::{CentreId, Epoch, Heartbeat, Life, Lineage, Sequence};

use super::{level, location, optional_text, position, sku, store, time};

fn centre() -> impl Strategy<Value = CentreId> {
    "[A-Za-z0-9_-]{1,32}".prop_map(|text| CentreId::parse(&text).expect("a narrow alphabet"))
}

/// Whatever a store may say of its journal.
pub(crate) fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let positions = prop_oneof![Just((0, 0)), (position(), position())];
    let said = (store(), "[0-9a-f]{64}", "[0-9a-f]{32}", time(), option::of(location()));
    let lives = option::of(vec((1..9_u64, 1..999_u64), 0..4));
    (position(), positions, said, lives, any::<bool>()).prop_map(
        |(
            epoch,
            (one, other),
            (store_id, head_hash, digest, sent_at, location),
            lives,
            opening,
        )| {
            let lineage = lives.and_then(|lives| lineage(epoch, one.max(other), lives));
            Heartbeat {
                store_id,
                epoch: Epoch::new(epoch),
                head: Sequence::new(one.max(other)),
                head_hash,
                published_through: Sequence::new(one.min(other)),
                digest,
                sent_at,
                location,
                lineage,
                opening,
            }
        },
    )
}

/// Lives that lead to an epoch within a journal of this length, where there is room for any.
pub(crate) fn lineage(epoch: u64, head: u64, steps: Vec<(u64, u64)>) -> Option<Lineage> {
    let mut lives = vec![Life { epoch: Epoch::new(epoch), from: Sequence::new(head.max(1)) }];
    for (epochs, sequences) in steps {
        let next = lives.last()?;
        let epoch = next.epoch.get().checked_sub(epochs).filter(|epoch| *epoch > 0)?;
        let from = next.from.get().checked_sub(sequences).filter(|from| *from > 0)?;
        lives.push(Life { epoch: Epoch::new(epoch), from: Sequence::new(from) });
    }
    lives.reverse();
    Lineage::try_from(lives).ok()
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
