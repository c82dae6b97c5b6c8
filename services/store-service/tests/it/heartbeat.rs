//! A store's sign of life: never vouches for too much, and is a proof of what it stands for.

use std::collections::{BTreeMap, BTreeSet};

use event_log::{Chaos, EventLog, MemoryLog, Publication};
use inventory_core::{Digest, StockItem, evolve};
use shared_events::wire::{IncomingRecord, decode_heartbeat};
use shared_events::{Heartbeat, RecordedEvent, Sku};
use store_service::journal;
use test_support::eventually_async;

use crate::relay::{events, heartbeats, published, sell_up_to};
use crate::support::{DEADLINE, Said, Setup, Spy, topics};

#[tokio::test]
async fn a_heartbeat_never_vouches_for_more_than_was_acknowledged() {
    for seed in 0..4 {
        println!("seed {seed}");
        let chaos = Chaos { seed, duplicate: 10, lose_ack: 5, ..Chaos::default() };
        let spy = Spy::on(MemoryLog::with_chaos(chaos));
        let store = Setup::with_log(spy.clone()).start().await;
        sell_up_to(&store, 40).await;
        let store = store.restart().await;
        sell_up_to(&store, 80).await;
        published(&spy, 80).await;
        let _setup = store.stop().await;
        check_heartbeats(&spy.said());
    }
}

fn check_heartbeats(said: &[Said]) {
    let (mut acknowledged, mut checked, mut last) = (BTreeSet::new(), 0, (0, 0));
    for Said { records, acknowledged: count } in said {
        for (n, Publication { topic, record }) in records.iter().enumerate() {
            let headers: Vec<_> =
                record.headers.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
            let record = IncomingRecord {
                key: Some(&record.key),
                headers: &headers,
                value: record.value.as_deref(),
            };
            if *topic == topics().stock_events().name {
                let event = shared_events::wire::decode_event(&record).unwrap();
                if n < *count {
                    acknowledged.insert(event.id.sequence.get());
                }
            } else {
                let heartbeat = decode_heartbeat(&record).unwrap();
                let through = heartbeat.published_through.get();
                let hole = (1..=through).find(|sequence| !acknowledged.contains(sequence));
                assert_eq!(hole, None, "vouched for without an acknowledgement: {heartbeat:?}");
                let now = (heartbeat.head.get(), through);
                assert!(now.0 >= last.0 && now.1 >= last.1, "{last:?} then {now:?}");
                last = now;
                checked += 1;
            }
        }
    }
    assert!(checked > 2, "{checked}");
    assert_eq!(last, (80, 80));
}

#[tokio::test]
async fn a_heartbeat_has_the_digest_and_the_hash_of_what_is_there() {
    let log = MemoryLog::default();
    let store = Setup::with_log(log.clone()).start().await;
    assert_eq!(digest_of(&[]), first_heartbeat(&log).await.digest, "the empty shelf");
    sell_up_to(&store, 25).await;
    published(&log, 25).await;
    let last = heartbeats(&log).pop().unwrap();
    let (_, head) = journal::verify(store.folder()).unwrap();
    assert_eq!(last.head, head.sequence);
    assert_eq!(last.head_hash, head.hash.to_string());
    assert_eq!(last.digest, digest_of(&events(&log)));
    // The replay at start ends at the same.
    let before = heartbeats(&log).len();
    let _store = store.restart().await;
    let first = eventually_async("a heartbeat of the second life", DEADLINE, async || {
        heartbeats(&log).get(before).cloned()
    })
    .await;
    assert_eq!((first.head_hash, first.digest), (last.head_hash, last.digest));
}

async fn first_heartbeat(log: &dyn EventLog) -> Heartbeat {
    let first = async || heartbeats(log).first().cloned();
    eventually_async("a heartbeat", DEADLINE, first).await
}

/// Digest of the items that these events lead to.
fn digest_of(events: &[RecordedEvent]) -> String {
    let mut items: BTreeMap<Sku, StockItem> = BTreeMap::new();
    for event in events {
        evolve(items.entry(event.sku.clone()).or_default(), &event.event);
    }
    let none = StockItem::default();
    let digest = items
        .iter()
        .fold(Digest::default(), |digest, (sku, item)| digest.replace(sku, &none, item));
    digest.to_string()
}
