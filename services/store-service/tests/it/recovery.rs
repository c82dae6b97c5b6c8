//! A journal brought back without serving it, and what the broker no longer has taken from a centre.

use std::time::Duration;

use event_log::{MemoryLog, Offset};
use inventory_core::StockItem;
use shared_events::{Sequence, Sku, Version};
use store_service::journal;
use store_service::recovery::Recovery;
use test_support::eventually_async;
use tokio_util::sync::CancellationToken;

use crate::support::{DEADLINE, Setup, Topic, Witness, seen, topics};

const LONG: Duration = Duration::from_secs(3_600);

fn known(items: &[(&str, i64, u64)]) -> Vec<(Sku, StockItem)> {
    let item = |(sku, on_hand, version): &(&str, i64, u64)| {
        let stock = StockItem { on_hand: *on_hand, reserved: 0, version: Version::new(*version) };
        (sku.parse().unwrap(), stock)
    };
    items.iter().map(item).collect()
}

/// Runs what blocks beside the test.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn recover(setup: &Setup) -> Recovery {
    let app = setup.app();
    let recovered = blocking(move || app.recover(&mut |_| {}, &CancellationToken::new())).await;
    recovered.unwrap().expect("nobody stops it")
}

/// A store that made six events, X at 3 and Y at 30, on the broker to their end.
async fn six_events(log: &MemoryLog) -> Setup {
    let store = Setup::with_log(log.clone()).asking(LONG).start().await;
    for _ in 0..3 {
        store.adjust("X", 1).await;
        store.adjust("Y", 10).await;
    }
    store.published().await;
    store.witnessed().await;
    store.stop().await
}

fn forget(log: &MemoryLog) {
    let topic = topics().stock_events();
    for partition in 0..3 {
        log.delete_records_before(&topic.name, partition, Offset(1_000));
    }
}

#[tokio::test]
async fn an_empty_journal_goes_on_behind_what_was_seen_and_shows_what_was_known() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let setup = six_events(&log).await;
    forget(&log);
    std::fs::remove_dir_all(setup.folder()).unwrap();

    // Once in vain: nobody was asked for the levels, and nothing was written.
    let recovery = recover(&setup).await;
    assert_eq!((recovery.opened().lost, recovery.items()), (6, 0));
    drop(recovery);
    let mut recovery = recover(&setup).await;
    assert_eq!(recovery.opened().lost, 6, "it is still lost");
    let restated = blocking(move || {
        let items = known(&[("X", 3, 3), ("Y", 30, 3)]);
        let count = recovery.restate(Sequence::new(6), &items).unwrap();
        // Twice is once.
        assert_eq!(recovery.restate(Sequence::new(6), &items).unwrap(), 0);
        assert_eq!(recovery.items(), 2);
        (count, recovery.committed())
    });
    let (count, committed) = restated.await;
    assert_eq!((count, committed.head.sequence), (2, Sequence::new(8)));
    let (identity, head) = journal::verify(setup.folder()).unwrap();
    assert_eq!(head, committed.head);
    assert_eq!(identity.lineage.first(), Sequence::new(7));

    let store = setup.start().await;
    store.opened().await;
    assert_eq!((store.item("X").await, store.item("Y").await), ((3, 4), (30, 4)));
    assert_eq!(store.metric("onhand_store_lost_events").await, 0);
    assert_eq!(store.adjust("X", 1).await.json()["sequence"], 9);
    store.published().await;
    assert_eq!(seen(&log).head, Sequence::new(9));
    let setup = store.stop().await;

    // And that journal can be lost, too.
    let (_, head) = journal::verify(setup.folder()).unwrap();
    std::fs::remove_dir_all(setup.folder()).unwrap();
    let store = setup.start().await;
    store.opened().await;
    assert_eq!((store.item("X").await, store.head().await), ((4, 5), 9));
    assert_eq!(store.metric("onhand_store_lost_events").await, 0);
    let reader = journal::reader(store.folder()).unwrap();
    assert_eq!(reader.hash_at(head.sequence).unwrap(), Some(head.hash));
    let setup = store.stop().await;
    setup.start().await.opened().await;
}

#[tokio::test]
async fn a_journal_that_begins_later_publishes_again_what_it_has_and_no_more() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let setup = six_events(&log).await;
    forget(&log);
    std::fs::remove_dir_all(setup.folder()).unwrap();
    let mut recovery = recover(&setup).await;
    blocking(move || recovery.restate(Sequence::new(6), &known(&[("X", 3, 3)])).unwrap()).await;
    let store = setup.start().await;
    store.published().await;
    let before = Topic::read(&log, &topics().stock_events()).len();
    let body = serde_json::json!({"from": 1, "through": 3});
    store.post("/api/sync", &body).await.problem(422, "invalid_field");
    // A centre does not know where it begins.
    let replay = |from, through| {
        shared_events::StoreCommand::ReplayEvents(shared_events::command::ReplayEvents {
            epoch: seen(&log).epoch,
            from: Sequence::new(from),
            through: Sequence::new(through),
        })
    };
    store.centre().send("replay-1", replay(1, 3));
    store.centre().send("replay-2", replay(1, 7));
    eventually_async("it is published again", DEADLINE, async || {
        let sync = store.get("/api/sync").await.accepted();
        let more = Topic::read(&log, &topics().stock_events()).len() > before;
        (more && sync["state"] == "idle").then_some(())
    })
    .await;
    assert_eq!(store.post("/api/sync", &serde_json::json!({})).await.status, 202);
}

#[tokio::test]
async fn a_journal_that_kept_a_part_gets_the_items_that_differ() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let setup = six_events(&log).await;
    let kept = setup.folder().with_extension("kept");
    journal::backup(setup.folder(), &kept).unwrap();
    let store = setup.start().await;
    store.opened().await;
    store.adjust("Y", 1).await;
    store.adjust("Z", 5).await;
    store.published().await;
    store.witnessed().await;
    let setup = store.stop().await;
    forget(&log);
    std::fs::remove_dir_all(setup.folder()).unwrap();
    std::fs::create_dir(setup.folder()).unwrap();
    std::fs::rename(kept, setup.folder().join("journal.db")).unwrap();

    let mut recovery = recover(&setup).await;
    assert_eq!((recovery.opened().lost, recovery.opened().refilled), (2, 0));
    let items = known(&[("X", 3, 3), ("Y", 31, 4), ("Z", 5, 1)]);
    let (count, committed) = blocking(move || {
        let count = recovery.restate(Sequence::new(8), &items).unwrap();
        (count, recovery.committed())
    })
    .await;
    // Behind its own end: the sequences in between are those of a new life.
    assert_eq!((count, committed.head.sequence), (2, Sequence::new(8)));
    let store = setup.start().await;
    store.opened().await;
    for (sku, item) in [("X", (3, 3)), ("Y", (31, 5)), ("Z", (5, 2))] {
        assert_eq!(store.item(sku).await, item, "{sku}");
    }
    let lineage = store.get("/api/sync").await.accepted()["lineage"].clone();
    let from: Vec<_> = lineage.as_array().unwrap().iter().map(|life| &life["from"]).collect();
    assert_eq!(from, [1, 7]);
}
