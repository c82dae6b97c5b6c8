//! A broker that is away: the shop sells, says so, and closes when asked.

use std::time::Duration;

use event_log::{KafkaConfig, KafkaLog, MemoryLog};
use test_support::{AWAY, eventually_async};

use crate::relay::{events, published};
use crate::support::{DEADLINE, Setup, sequences_by_key};

/// What an orchestrator and a person can be asked to wait for.
const STOP_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_store_sells_without_a_broker_and_says_how_much_waits() {
    let away = KafkaLog::new(KafkaConfig::new(AWAY));
    let store = Setup::with_log(away).start().await;
    for _ in 0..3 {
        store.adjust("X", 1).await;
    }
    let ready = eventually_async("it is noticed", DEADLINE, async || {
        let ready = store.get("/readyz?verbose").await;
        assert_eq!(ready.status, 200, "ready it is");
        ready.text().contains("degraded").then_some(ready)
    })
    .await;
    let text = ready.text();
    assert!(text.contains("[+] journal ok"), "{text}");
    assert!(text.contains("[~] relay degraded: 3 events wait, the oldest for "), "{text}");
    assert!(text.contains(AWAY), "{text}");
    assert!(text.ends_with("ready, degraded\n"), "{text}");
    assert_eq!(store.get("/readyz").await.text(), "ready, degraded\n");
    assert_eq!(store.metric("onhand_store_outbox_events").await, 3);
    assert!(store.metric("onhand_store_publish_failures_total").await >= 1);
    assert_eq!((store.item("X").await, store.adjust("X", 1).await.status), ((3, 3), 200));

    let (setup, took) = store.stop_timed().await;
    assert!(took < STOP_WITHIN, "{took:?}");
    // Now there is one: what was sold meanwhile is published, from the first.
    let log = MemoryLog::default();
    let store = setup.with_other_log(log.clone()).start().await;
    published(&log, 4).await;
    assert_eq!(sequences_by_key(&events(&log)), [("X".to_owned(), vec![1, 2, 3, 4])].into());
    assert_eq!(store.get("/readyz").await.text(), "ready\n");
}

/// At any moment of the relay's waiting and trying.
#[tokio::test]
async fn a_store_without_a_broker_stops_in_time_whenever_it_is_asked() {
    for sales in [0, 1, 20, 200] {
        let away = KafkaLog::new(KafkaConfig::new(AWAY));
        let store = Setup::with_log(away).start().await;
        for _ in 0..sales {
            store.adjust("X", 1).await;
        }
        let (_setup, took) = store.stop_timed().await;
        assert!(took < STOP_WITHIN, "after {sales} sales: {took:?}");
    }
}
