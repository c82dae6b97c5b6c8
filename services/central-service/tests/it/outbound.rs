//! What the centre has to say reaches the broker: in order, at least once, whoever else is away.

use std::sync::Arc;

use event_log::{Chaos, EventLog, MemoryLog};

use crate::support::{
    Centre, Running, SOON, Shop, config, heartbeats, raw, records, topics, wait_for,
};

/// A store's command topic is made by the store. One that reported long ago and has not been on this
/// cluster since must not hold up the dead letters and the requests to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_topic_that_is_missing_holds_up_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let (away, present) = (Shop::stocked("away", 3), Shop::stocked("present", 3));
    log.ensure_topics(&[topics().commands(&present.id)]).expect("a topic can be made");
    heartbeats(log.as_ref(), [away.heartbeat(), present.heartbeat()]);

    let centre = Running::start(config(folder.path()), &log).await;
    wait_for(log.as_ref(), &topics().commands(&present.id), 1);
    test_support::eventually_async("its topic is made", SOON, async || {
        log.extents(&topics().commands(&away.id)).ok()
    })
    .await;
    wait_for(log.as_ref(), &topics().commands(&away.id), 1);
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_acknowledgement_repeats_letters_and_loses_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let chaos = Chaos { seed: 11, lose_ack: 30, ..Chaos::default() };
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::with_chaos(chaos));
    let record = |n: u8| shared_events::wire::OutgoingRecord {
        key: vec![n],
        headers: Vec::new(),
        value: Some(vec![n; 9]),
    };
    raw(log.as_ref(), &topics().heartbeats(), (0..12).map(record));
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let waiting: Vec<_> = centre.outbox().into_iter().map(|row| row.publication.record).collect();
    assert!(waiting.len() >= 12);
    drop(centre);

    let centre = Running::start(config(folder.path()), &log).await;
    let topic = topics().dead_letters();
    test_support::eventually_async("all letters are published", SOON, async || {
        let found = records(log.as_ref(), &topic);
        waiting.iter().all(|letter| found.contains(letter)).then_some(())
    })
    .await;
    centre.stop().await;

    // First appearances are in order.
    let mut found = records(log.as_ref(), &topic);
    let mut seen = Vec::new();
    found.retain(|letter| {
        !seen.contains(letter) && {
            seen.push(letter.clone());
            true
        }
    });
    assert_eq!(found, waiting);
    let outbox = Centre::open(folder.path(), &log).outbox();
    assert!(outbox.len() <= 1, "at most what was published when it stopped: {outbox:?}");
}
