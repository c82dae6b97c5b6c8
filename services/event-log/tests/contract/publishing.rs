//! Promises about publishing: all of it, in order, unchanged, or an exact account of what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::thread;

use event_log::{Chaos, Error, EventLog as _, MemoryLog, Publication};
use shared_events::wire::OutgoingRecord;
use tokio_util::sync::CancellationToken;

use crate::support::{Adapter, DEADLINE, Delivery, topic, values};

pub(crate) fn everything_is_acknowledged_and_arrives(adapter: Adapter) {
    let bench = adapter.bench(&[3]);
    let records: Vec<_> = (0..500).map(|n| bench.record(&format!("key {}", n % 20), n)).collect();
    bench.publish(&records);
    let arrived = values(&bench.read_all());
    if !bench.is_nasty() {
        assert_eq!(arrived.len(), 500, "each exactly once");
    }
    let arrived: BTreeSet<_> = arrived.into_iter().collect();
    assert_eq!(arrived, (0..500).map(|n| n.to_string()).collect());
}

pub(crate) fn nothing_is_published_at_once(adapter: Adapter) {
    let bench = adapter.bench(&[1]);
    let mut publisher = bench.log().publisher().unwrap();
    let published = publisher.publish(&[], &CancellationToken::new());
    assert_eq!(published.acknowledged, 0);
    assert_eq!(published.error, None);
}

pub(crate) fn records_of_a_key_keep_their_order(adapter: Adapter) {
    let bench = adapter.bench(&[4]);
    let records: Vec<_> = (0..600).map(|n| bench.record(&format!("key {}", n % 30), n)).collect();
    for batch in records.chunks(150) {
        bench.publish(batch);
    }
    let mut seen: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for delivery in bench.read_all() {
        let number = values(std::slice::from_ref(&delivery))[0].parse().unwrap();
        let seen = seen.entry(delivery.key.unwrap()).or_default();
        // A duplicate is no news: the order is that of the first appearances.
        if !bench.is_nasty() || !seen.contains(&number) {
            seen.push(number);
        }
    }
    assert_eq!(seen.len(), 30);
    for (n, numbers) in (0_u32..30).map(|n| (n, &seen[format!("key {n}").as_bytes()])) {
        let published: Vec<_> = (0..20).map(|round| round * 30 + n).collect();
        assert_eq!(*numbers, published, "key {n}");
    }
}

pub(crate) fn records_arrive_byte_for_byte(adapter: Adapter) {
    let bench = adapter.bench(&[1]);
    let every_byte: Vec<u8> = (0..=255).collect();
    let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let record = |key: &[u8], headers, value: Option<&[u8]>| Publication {
        topic: bench.topics[0].name.clone(),
        record: OutgoingRecord { key: key.to_vec(), headers, value: value.map(<[u8]>::to_vec) },
    };
    let records = [
        record(b"plain", vec![], Some(b"{}")),
        record(b"tombstone", vec![header("why", b"gone")], None),
        record(b"empty value", vec![], Some(b"")),
        record(b"", vec![], Some(b"empty key")),
        record(&every_byte, vec![header("bytes", &every_byte)], Some(&every_byte)),
        record(
            b"headers",
            vec![
                header("ce_id", b"A/1/1"),
                header("twice", b"1"),
                header("twice", b"2"),
                header("empty", b""),
                header("gr\u{fc}\u{df}e", "日本".as_bytes()),
            ],
            Some(b"v"),
        ),
        record(b"large", vec![], Some(&every_byte.repeat(2_000))),
    ];
    bench.publish(&records);

    let mut arrived: Vec<_> = bench
        .read_all()
        .into_iter()
        .map(|Delivery { key, headers, value, .. }| (key, headers, value))
        .collect();
    arrived.dedup();
    let published: Vec<_> = records
        .into_iter()
        .map(|Publication { record, .. }| (Some(record.key), record.headers, record.value))
        .collect();
    assert_eq!(arrived, published);
}

pub(crate) fn publishing_to_a_missing_topic_is_an_error(adapter: Adapter) {
    let bench = adapter.bench(&[1]);
    let mut lost = bench.record("k", "v");
    lost.topic = format!("{}-missing", lost.topic);
    let mut publisher = bench.log().publisher().unwrap();
    let (report, published) = mpsc::channel();
    // In a thread of its own: what is tested is that it does not hang.
    thread::spawn(move || report.send(publisher.publish(&[lost], &CancellationToken::new())));
    let published = published.recv_timeout(DEADLINE).expect("it does not hang");
    assert_eq!(published.acknowledged, 0);
    assert!(matches!(published.error, Some(Error::TopicMissing(_))), "{:?}", published.error);
}

/// Or a seed that loses the first acknowledgement would lose it for ever.
#[test]
fn a_publisher_made_anew_after_a_loss_is_not_bound_to_lose_the_same() {
    for seed in 0..50 {
        let log = MemoryLog::with_chaos(Chaos { seed, lose_ack: 50, ..Chaos::default() });
        let topics = [topic("t", 1)];
        log.ensure_topics(&topics).unwrap();
        let record = OutgoingRecord { key: Vec::new(), headers: Vec::new(), value: None };
        let records = [Publication { topic: "t".to_owned(), record }];
        let delivered = (0..100).any(|_| {
            log.publisher().unwrap().publish(&records, &CancellationToken::new()).error.is_none()
        });
        assert!(delivered, "seed {seed}");
    }
}
