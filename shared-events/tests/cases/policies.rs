//! What the chain has decided about its stock.

use shared_events::policy::{SafetyStock, Scope, Selling};
use shared_events::{MAX_UNITS, Text};

use super::reservations::sku;
use super::time;

fn policy(store: Option<&str>, item: Option<&str>, units: Option<i64>) -> SafetyStock {
    let store_id = store.map(|name| name.parse().expect("valid"));
    SafetyStock {
        scope: Scope { store_id, sku: item.map(sku) },
        units,
        changed_at: time("2026-11-21T09:30:00.007Z"),
        changed_by: "c1".parse().expect("valid"),
    }
}

/// Of one item in one store.
pub(crate) fn full() -> SafetyStock {
    policy(Some("north.7"), Some("Käse 5 kg"), Some(4))
}

/// Of the whole chain.
pub(crate) fn minimal() -> SafetyStock {
    policy(None, None, Some(MAX_UNITS))
}

/// Of one store, where everything is offered.
pub(crate) fn of_a_store() -> SafetyStock {
    policy(Some("north.7"), None, Some(0))
}

/// Of one item in every store, and the item is called like every item.
pub(crate) fn removed() -> SafetyStock {
    policy(None, Some("*"), None)
}

/// A store that an operator has switched off.
pub(crate) fn switched_off() -> Selling {
    Selling {
        store_id: "north.7".parse().expect("valid"),
        enabled: false,
        reason: Some(Text::parse("Wasserschaden im Lager").expect("valid")),
        changed_at: time("2026-11-21T09:30:00.007Z"),
        changed_by: "c1".parse().expect("valid"),
    }
}

/// On again, without a word about why.
pub(crate) fn switched_on() -> Selling {
    Selling { enabled: true, reason: None, ..switched_off() }
}
