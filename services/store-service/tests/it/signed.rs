//! A store that asks for centres' signatures: what is not by a centre is not executed.

use std::sync::Arc;

use event_log::{MemoryLog, RecordKey, RecordKeys, SignedLog, Speaker};
use shared_events::{AdjustStock, Delta, OnShortfall, StockCommand, StoreCommand};

use crate::support::{Centre, Setup};

/// Everybody's key is named and made like its owner; a service signs with its own. Only the centre's is
/// asked for.
#[derive(Debug)]
struct Keys(Option<&'static str>);

fn key(owner: &str) -> Arc<RecordKey> {
    Arc::new(RecordKey::new(owner, owner.as_bytes()))
}

impl RecordKeys for Keys {
    fn signing(&self) -> Option<Arc<RecordKey>> {
        self.0.map(key)
    }

    fn verifying(&self, speaker: Speaker<'_>) -> Option<Vec<Arc<RecordKey>>> {
        matches!(speaker, Speaker::AnyCentre).then(|| vec![key("centre")])
    }
}

fn signing(log: &MemoryLog, owner: Option<&'static str>) -> SignedLog {
    SignedLog::new(Arc::new(log.clone()), Arc::new(Keys(owner)), None)
}

fn more(delta: i64) -> StoreCommand {
    StoreCommand::Stock(StockCommand::Adjust(AdjustStock {
        sku: "X".parse().unwrap(),
        delta: Delta::new(delta).unwrap(),
        expected_version: None,
        on_shortfall: OnShortfall::Reject,
        reason: None,
        reference: None,
    }))
}

#[tokio::test]
async fn a_command_that_no_centre_has_signed_is_not_executed_and_is_counted() {
    let memory = MemoryLog::default();
    let store = Setup::with_log(signing(&memory, Some("A"))).start().await;
    let by = |owner| Centre::new(Arc::new(signing(&memory, owner)));
    by(None).send("unsigned", more(100));
    by(Some("B")).send("another-stores", more(10));
    by(Some("centre")).send("the-centres", more(1));
    by(Some("centre")).answer("the-centres").await;
    // It came last, so the others have been looked at.
    assert_eq!(store.item("X").await, (1, 1));
    assert_eq!(store.metric("onhand_store_unreadable_commands_total").await, 2);
    // Nor is it executed after a restart.
    let store = store.restart().await;
    by(Some("centre")).send("the-next", more(1));
    by(Some("centre")).answer("the-next").await;
    assert_eq!(store.item("X").await, (2, 2));
}
