//! From the journal to the broker: all of it, in order, and never vouched for too early.

use std::collections::{BTreeMap, BTreeSet};

use event_log::{Chaos, EventLog, MemoryLog, Publication};
use shared_events::command::{CommandEnvelope, ReplayEvents, StoreCommand};
use shared_events::wire::{OutgoingRecord, encode_command};
use shared_events::{CommandId, Epoch, Heartbeat, RecordedEvent, Sequence, StoreId, Timestamp};
use store_service::journal;
use test_support::eventually_async;
use tokio_util::sync::CancellationToken;

use crate::support::{DEADLINE, Setup, TestStore, Topic, sequences_by_key, store_id, topics};

pub(crate) fn events(log: &dyn EventLog) -> Vec<RecordedEvent> {
    Topic::read(log, &topics().stock_events()).events()
}

pub(crate) fn heartbeats(log: &dyn EventLog) -> Vec<Heartbeat> {
    Topic::read(log, &topics().heartbeats()).heartbeats()
}

/// Waits for a heartbeat that says everything up to here was published.
pub(crate) async fn published(log: &dyn EventLog, through: u64) {
    eventually_async("everything is published", DEADLINE, async || {
        let last = heartbeats(log).pop()?;
        (last.published_through.get() >= through).then_some(())
    })
    .await;
}

/// Sells until the journal has this many events, over a few items.
pub(crate) async fn sell_up_to(store: &TestStore, head: u64) {
    let skus = ["A", "B", "C", "D", "E", "F", "G"];
    for n in store.head().await..head {
        store.adjust(skus[usize::try_from(n).unwrap() % skus.len()], 1).await;
    }
}

/// What the journal holds, as each item's sequences.
fn expected(head: u64) -> BTreeMap<String, Vec<u64>> {
    let mut by_key: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for sequence in 1..=head {
        let sku = char::from(b'A' + u8::try_from((sequence - 1) % 7).unwrap());
        by_key.entry(sku.to_string()).or_default().push(sequence);
    }
    by_key
}

#[tokio::test]
async fn what_is_published_is_what_the_journal_holds() {
    let log = MemoryLog::default();
    let store = Setup::with_log(log.clone()).start().await;
    sell_up_to(&store, 50).await;
    published(&log, 50).await;
    let mut published = events(&log);
    assert_eq!(published.len(), 50, "nothing twice while nothing fails");
    published.sort_by_key(|event| event.id.sequence);

    let folder = store.folder().to_owned();
    let _setup = store.stop().await;
    let mut recorded = Vec::new();
    journal::Journal::open(&folder, &store_id(), |event| recorded.push(event.clone())).unwrap();
    assert_eq!(published, recorded, "ids, times, causes and data included");
}

#[tokio::test]
async fn everything_arrives_at_least_once_and_in_order_whatever_the_broker_does() {
    for seed in 0..6 {
        println!("seed {seed}");
        let chaos = Chaos { seed, duplicate: 20, lose_ack: 5, redeliver: 20, delay: 20 };
        let log = MemoryLog::with_chaos(chaos);
        let store = Setup::with_log(log.clone()).start().await;
        sell_up_to(&store, 30).await;
        // A stop in the middle: what was not acknowledged goes out after it.
        let store = store.restart().await;
        sell_up_to(&store, 60).await;
        published(&log, 60).await;
        assert_eq!(sequences_by_key(&events(&log)), expected(60), "first appearances by item");
    }
}

#[tokio::test]
async fn the_cursor_survives_a_restart() {
    let log = MemoryLog::default();
    let store = Setup::with_log(log.clone()).start().await;
    sell_up_to(&store, 20).await;
    published(&log, 20).await;
    let setup = store.stop().await;

    let before = heartbeats(&log).len();
    let store = setup.start().await;
    let first = eventually_async("a heartbeat of the second life", DEADLINE, async || {
        heartbeats(&log).get(before).cloned()
    })
    .await;
    assert_eq!((first.head.get(), first.published_through.get()), (20, 20));
    sell_up_to(&store, 21).await;
    published(&log, 21).await;
    assert_eq!(events(&log).len(), 21, "nothing was published again");
    assert_eq!(store.metric("onhand_store_published_events_total").await, 1);
}

#[tokio::test]
async fn a_stop_lets_out_what_was_sold_last() {
    let log = MemoryLog::default();
    let store = Setup::with_log(log.clone()).start().await;
    for head in [3, 10, 200] {
        sell_up_to(&store, head).await;
    }
    let _setup = store.stop().await;
    assert_eq!(sequences_by_key(&events(&log)), expected(200));
}

#[tokio::test]
async fn a_broker_that_lost_everything_gets_it_again_when_the_centre_asks() {
    let log = MemoryLog::default();
    let store = Setup::with_log(log.clone()).start().await;
    sell_up_to(&store, 30).await;
    published(&log, 30).await;
    let setup = store.stop().await;
    // The cursor belongs to the old one.
    let log = MemoryLog::default();
    let store = setup.with_other_log(log.clone()).start().await;
    replayed(&log, 1, 30, || events(&log).len() >= 30).await;
    let _setup = store.stop().await;
    assert_eq!(sequences_by_key(&events(&log)), expected(30));
}

fn replay_request(store: &str, epoch: u64, from: u64, through: u64) -> OutgoingRecord {
    encode_command(&CommandEnvelope {
        id: CommandId::parse("replay:1").unwrap(),
        store: StoreId::parse(store).unwrap(),
        issued_at: Timestamp::from_unix_millis(0).unwrap(),
        principal: None,
        traceparent: None,
        command: StoreCommand::ReplayEvents(ReplayEvents {
            epoch: Epoch::new(epoch),
            from: Sequence::new(from),
            through: Sequence::new(through),
        }),
    })
}

/// Puts a record on the store's command topic.
fn command(log: &dyn EventLog, record: OutgoingRecord) {
    let topic = topics().commands(&store_id());
    log.ensure_topics(std::slice::from_ref(&topic)).unwrap();
    let mut publisher = log.publisher().unwrap();
    let records = [Publication { topic: topic.name, record }];
    assert_eq!(publisher.publish(&records, &CancellationToken::new()).error, None);
}

/// Asks for a replay until it came, as the centre does: the store listens from the topic's end.
async fn replayed(log: &dyn EventLog, from: u64, through: u64, came: impl Fn() -> bool) {
    eventually_async("the replay", DEADLINE, async || {
        command(log, replay_request("A", 1, from, through));
        came().then_some(())
    })
    .await;
}

/// The sequences that lie on the broker more than once.
fn again(log: &dyn EventLog) -> BTreeSet<u64> {
    let (mut seen, mut again) = (BTreeSet::new(), BTreeSet::new());
    for event in events(log) {
        let sequence = event.id.sequence.get();
        if !seen.insert(sequence) {
            again.insert(sequence);
        }
    }
    again
}

#[tokio::test]
async fn a_replay_publishes_the_range_and_nothing_else() {
    let log = MemoryLog::default();
    let store = Setup::with_log(log.clone()).start().await;
    sell_up_to(&store, 40).await;
    published(&log, 40).await;
    let wanted: BTreeSet<u64> = (7..=13).collect();
    replayed(&log, 7, 13, || again(&log).is_superset(&wanted)).await;

    // Now that it listens: what is not for this store, or for this life of its journal, or nothing.
    command(&log, replay_request("B", 1, 20, 21));
    command(&log, replay_request("A", 2, 20, 21));
    command(&log, replay_request("A", 1, 41, 1_000));
    let broken = unreadable();
    for record in &broken {
        command(&log, record.clone());
    }
    let ignored = 1 + u64::try_from(broken.len()).unwrap();
    eventually_async("all commands are read", DEADLINE, async || {
        let read = store.metric("onhand_store_unreadable_commands_total").await;
        (read == ignored).then_some(())
    })
    .await;
    sell_up_to(&store, 41).await;
    published(&log, 41).await;
    let _setup = store.stop().await;
    assert_eq!(again(&log), wanted);
    let by_id: BTreeMap<_, _> = events(&log).into_iter().map(|e| (e.id.clone(), e)).collect();
    assert!(events(&log).iter().all(|event| by_id[&event.id] == *event), "the same to the byte");
}

#[tokio::test]
async fn a_replay_ends_with_the_journal() {
    let log = MemoryLog::default();
    let store = Setup::with_log(log.clone()).start().await;
    sell_up_to(&store, 40).await;
    published(&log, 40).await;
    let wanted: BTreeSet<u64> = (39..=40).collect();
    replayed(&log, 39, (1 << 53) - 1, || again(&log).is_superset(&wanted)).await;
    let _setup = store.stop().await;
    assert_eq!(again(&log), wanted);
}

/// What a broken or hostile producer may write to a command topic.
fn unreadable() -> Vec<OutgoingRecord> {
    let good = replay_request("A", 1, 20, 21);
    let value = |value: &[u8]| OutgoingRecord { value: Some(value.to_vec()), ..good.clone() };
    vec![
        OutgoingRecord { key: Vec::new(), headers: Vec::new(), value: None },
        OutgoingRecord { value: None, ..good.clone() },
        OutgoingRecord { headers: Vec::new(), ..good.clone() },
        OutgoingRecord { key: b"\xff".to_vec(), ..good.clone() },
        value(b"not json"),
        value(br#"{"epoch":1,"from":0,"through":3}"#),
        value(br#"{"epoch":1,"from":3,"through":2}"#),
        value(br#"{"epoch":1,"from":1,"through":18446744073709551615}"#),
        value(&b"[".repeat(100_000)),
    ]
}
