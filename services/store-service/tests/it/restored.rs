//! A backup put back in place of its journal: the events that it lacks come back from the broker.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use event_log::MemoryLog;
use inventory_core::{Digest, StockItem, evolve};
use serde_json::json;
use shared_events::{RecordedEvent, Sequence, Sku};
use store_service::journal::{self, Head, Journal};

use crate::support::{
    ADJUST, Setup, TestStore, Topic, Witness, adjust, copy_of, seen, store_id, topics, with,
};

const LONG: Duration = Duration::from_secs(3_600);

/// A copy beside the folder, as it is now.
fn keep(folder: &Path) -> PathBuf {
    let file = folder.with_extension("kept");
    journal::backup(folder, &file).unwrap();
    file
}

fn put_back(file: &Path, folder: &Path) {
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _gone_already = fs::remove_file(folder.join(name)).is_err();
    }
    fs::rename(file, folder.join("journal.db")).unwrap();
}

fn events(folder: &Path) -> (Vec<RecordedEvent>, Head) {
    let mut events = Vec::new();
    let (_, head) = journal::replay(folder, |event| events.push(event.clone())).unwrap();
    (events, head)
}

/// The digest that a walk over the journal gives.
fn digest(events: &[RecordedEvent]) -> String {
    let mut items: BTreeMap<Sku, StockItem> = BTreeMap::new();
    for event in events.iter().filter(|event| event.event.levels().is_some()) {
        evolve(items.entry(event.sku.clone()).or_default(), &event.event);
    }
    let none = StockItem::default();
    let all =
        items.iter().fold(Digest::default(), |all, (sku, item)| all.replace(sku, &none, item));
    all.to_string()
}

fn named(n: u64) -> serde_json::Value {
    with(adjust(&format!("S{}", n % 7), 1), json!({"commandId": format!("c{n}")}))
}

async fn sell(store: &TestStore, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        store.post(ADJUST, &named(n)).await.accepted();
    }
}

#[tokio::test]
async fn a_restored_backup_gets_its_events_back_and_repeats_no_sequence() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let store = Setup::with_log(log.clone()).asking(LONG).start().await;
    sell(&store, 1..=20).await;
    let kept = keep(store.folder());
    let lines: Vec<_> = (21..=520).map(|n| named(n).to_string()).collect();
    let results = store.batch(&lines.join("\n"), &[]).await;
    assert!(results.iter().all(|result| result["status"] == 200), "{:?}", results[0]);
    let answer = store.post(ADJUST, &named(520)).await.accepted();
    store.published().await;
    let setup = store.stop().await;
    let (original, end) = events(setup.folder());
    assert_eq!(original.len(), 520);

    put_back(&kept, setup.folder());
    let store = setup.start().await;
    store.opened().await;
    assert_eq!(store.metric("onhand_store_refilled_events_total").await, 500);
    assert_eq!(store.metric("onhand_store_lost_events").await, 0);
    let repeated = store.post(ADJUST, &named(520)).await;
    assert!(repeated.is_replayed());
    assert_eq!(repeated.accepted(), answer);
    sell(&store, 21..=520).await;
    assert_eq!(store.head().await, 520, "none was executed again");
    let next = store.adjust("S1", 1).await.json();
    assert_eq!(next["sequence"], 521);
    store.published().await;

    let setup = store.stop().await;
    let (back, _) = events(setup.folder());
    assert_eq!(back[..520], original[..]);
    let reader = journal::reader(setup.folder()).unwrap();
    assert_eq!(reader.hash_at(end.sequence).unwrap(), Some(end.hash));
    let heartbeats = Topic::read(&log, &topics().heartbeats()).heartbeats();
    let said = heartbeats.iter().rfind(|said| !said.opening && said.head == end.sequence).unwrap();
    assert_eq!(said.digest, digest(&original));
    assert_eq!(said.epoch, back[520].id.epoch);
    assert!(said.epoch > original[519].id.epoch);
}

#[tokio::test]
async fn what_follows_a_hole_stays_out_and_is_counted_as_lost() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let store = Setup::with_log(log.clone()).asking(LONG).start().await;
    for n in 0..9 {
        store.replace(&format!("S{n}"), 100).await;
    }
    store.published().await;
    let topic = Topic::read(&log, &topics().stock_events());
    let partition = |sequence| topic.behind(sequence).0;
    let other = (2..=9).find(|sequence| partition(*sequence) != partition(1)).unwrap();
    let kept = keep(store.folder());
    for _ in 10..=14 {
        store.adjust(&format!("S{}", other - 1), -1).await;
    }
    for _ in 15..=20 {
        store.adjust("S0", -1).await;
        store.adjust(&format!("S{}", other - 1), -1).await;
    }
    store.published().await;
    store.witnessed().await;
    let setup = store.stop().await;
    // 15 is no longer there.
    let (place, behind) = Topic::read(&log, &topics().stock_events()).behind(15);
    log.delete_records_before(&topics().stock_events().name, place, behind);
    put_back(&kept, setup.folder());
    let store = setup.start().await;
    store.opened().await;
    assert_eq!(store.head().await, 14);
    assert_eq!(store.metric("onhand_store_lost_events").await, 12);
    let next = store.adjust("S0", -1).await.json();
    assert_eq!(next["sequence"], 15);
    assert_ne!(next["eventId"], "A/1/15");
    assert_eq!(store.item("S0").await, (99, 2));
}

#[tokio::test]
async fn a_new_disk_gets_everything_back_whatever_else_lies_on_the_topic() {
    let log = MemoryLog::with_chaos(event_log::Chaos {
        seed: 7,
        duplicate: 30,
        redeliver: 20,
        delay: 20,
        ..event_log::Chaos::default()
    });
    let _witness = Witness::start(log.clone());
    let store = Setup::with_log(log.clone()).asking(LONG).start().await;
    sell(&store, 1..=60).await;
    let reserved = store.centre();
    reserved.reserve("east.R1", &[("S1", 2), ("S2", 1)]);
    assert_eq!(reserved.answer("east.R1:1").await.len(), 2);
    store.published().await;
    // What is no event, and another store's.
    for key in ["A|S1", "B|S1", "AB|S1"] {
        reserved.publish_to(
            &topics().stock_events(),
            shared_events::wire::OutgoingRecord {
                key: key.as_bytes().to_vec(),
                headers: vec![("ce_id".to_owned(), b"A/1/63".to_vec())],
                value: Some(b"{}".to_vec()),
            },
        );
    }
    let folder = store.folder().to_owned();
    let setup = store.stop().await;
    let (original, _) = events(&folder);
    fs::remove_dir_all(&folder).unwrap();
    let store = setup.start().await;
    store.opened().await;
    let back: Vec<_> = events(&folder).0;
    assert_eq!(back, original);
    // The centre's command is read again from the beginning, and answered from the record.
    reserved.reserve("east.R2", &[("S1", 1)]);
    reserved.answer("east.R2:1").await;
    assert_eq!(reserved.answer("east.R1:1").await.len(), 2);
    assert_eq!(store.head().await, 63);
}

#[tokio::test]
async fn a_life_that_wrote_nothing_does_not_hide_what_is_missing() {
    let log = MemoryLog::default();
    let witness = Witness::start(log.clone());
    let store = Setup::with_log(log.clone()).asking(LONG).start().await;
    sell(&store, 1..=10).await;
    let kept = keep(store.folder());
    sell(&store, 11..=30).await;
    store.published().await;
    let setup = store.stop().await;
    let (original, _) = events(setup.folder());
    drop(witness);
    put_back(&kept, setup.folder());
    // Opened once where nobody is.
    let alone = setup.with_other_log(MemoryLog::default()).asking(Duration::from_millis(50));
    let store = alone.start().await;
    store.opened().await;
    let epoch = store.get("/api/sync").await.accepted()["epoch"].as_u64().unwrap();
    assert!(epoch > 1);
    let setup = store.stop().await;
    let _witness = Witness::start(log.clone());
    let store = setup.with_other_log(log).asking(LONG).start().await;
    store.opened().await;
    assert_eq!(events(store.folder()).0, original);
    let next = store.adjust("S1", 1).await.json();
    assert_eq!(next["sequence"], 31);
    assert_ne!(next["eventId"], format!("A/{epoch}/31"));
    // The new life is in the journal as it is in memory.
    let setup = store.stop().await;
    setup.start().await.opened().await;
}

#[tokio::test]
async fn a_fork_is_not_made_whole_with_the_other_sides_events() {
    let log = MemoryLog::default();
    let witness = Witness::start(log.clone());
    let store = Setup::with_log(log.clone()).asking(LONG).start().await;
    sell(&store, 1..=10).await;
    store.published().await;
    drop(witness);
    let one = store.folder().to_owned();
    let other = copy_of(&one);
    let short = Duration::from_millis(50);
    // Both go on unseen: this one where nobody is, the other one on the topics.
    let setup = store.stop().await;
    let alone = setup.clone().with_other_log(MemoryLog::default()).asking(short).start().await;
    sell(&alone, 11..=12).await;
    let fork = alone.get("/api/sync").await.accepted()["epoch"].as_u64().unwrap();
    alone.stop().await;
    let heard = setup.clone().in_folder(other.path().to_owned()).asking(short).start().await;
    sell(&heard, 21..=25).await;
    heard.published().await;
    heard.stop().await;
    assert_eq!(seen(&log).head, Sequence::new(15));
    let newest = seen(&log).epoch;

    let _witness = Witness::start(log.clone());
    let store = setup.start().await;
    store.opened().await;
    assert_eq!(store.head().await, 12);
    let (events, _) = events(&one);
    assert_eq!(events[10].id.epoch.get(), fork);
    assert_eq!(store.metric("onhand_store_refilled_events_total").await, 0);
    assert_eq!(store.metric("onhand_store_lost_events").await, 5);
    let next = store.adjust("S1", 1).await.json();
    assert_eq!(next["sequence"], 13);
    assert!(store.get("/api/sync").await.accepted()["epoch"].as_u64().unwrap() > newest.get());
}

/// Between any two of the writer's transactions.
#[tokio::test]
async fn a_crash_in_or_behind_a_refill_does_not_go_on_in_the_life_of_those_who_wrote_it() {
    for through in [15, 20] {
        let log = MemoryLog::default();
        let _witness = Witness::start(log.clone());
        let store = Setup::with_log(log).asking(LONG).start().await;
        sell(&store, 1..=10).await;
        let kept = keep(store.folder());
        sell(&store, 11..=20).await;
        store.published().await;
        let setup = store.stop().await;
        let (original, end) = events(setup.folder());
        put_back(&kept, setup.folder());
        let mut journal = Journal::open(setup.folder(), &store_id(), |_| {}).unwrap();
        journal.refill(&original[10..through]).unwrap();
        drop(journal);
        let store = setup.start().await;
        store.opened().await;
        let next = store.adjust("S1", 1).await.json();
        assert_eq!(next["sequence"], 21);
        assert_ne!(next["eventId"], "A/1/21");
        let reader = journal::reader(store.folder()).unwrap();
        assert_eq!(reader.hash_at(end.sequence).unwrap(), Some(end.hash));
    }
}
