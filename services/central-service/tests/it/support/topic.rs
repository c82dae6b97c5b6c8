//! Writing to topics and reading them back.

use std::time::{Duration, Instant};

use event_log::{EventLog, Offset, Position, Publication};
use shared_events::command::CommandEnvelope;
use shared_events::topic::TopicSpec;
use shared_events::wire::{
    IncomingRecord, OutgoingRecord, decode_command, encode_event, encode_heartbeat,
};
use shared_events::{Heartbeat, RecordedEvent};
use tokio_util::sync::CancellationToken;

use super::{SOON, topics};

/// Publishes events as a relay does: what is not acknowledged is sent again by a new publisher.
pub(crate) fn publish<'a>(log: &dyn EventLog, events: impl IntoIterator<Item = &'a RecordedEvent>) {
    raw(log, &topics().stock_events(), events.into_iter().map(encode_event));
}

pub(crate) fn heartbeats(log: &dyn EventLog, heartbeats: impl IntoIterator<Item = Heartbeat>) {
    let records = heartbeats.into_iter().map(|heartbeat| encode_heartbeat(&heartbeat));
    raw(log, &topics().heartbeats(), records);
}

/// Publishes any records to a topic, which is made when it is missing.
pub(crate) fn raw(
    log: &dyn EventLog,
    topic: &TopicSpec,
    records: impl IntoIterator<Item = OutgoingRecord>,
) {
    log.ensure_topics(std::slice::from_ref(topic)).expect("the topic is as expected");
    let batch: Vec<_> = records
        .into_iter()
        .map(|record| Publication { topic: topic.name.clone(), record })
        .collect();
    send(log, &batch);
}

/// Publishes until everything is acknowledged, by a new publisher after each failure.
pub(crate) fn send(log: &dyn EventLog, batch: &[Publication]) {
    let mut acknowledged = 0;
    for _attempt in 0..10_000 {
        let mut publisher = log.publisher().expect("a publisher");
        let rest = &batch[acknowledged..];
        let published = publisher.publish(rest, &CancellationToken::new());
        acknowledged += published.acknowledged;
        if published.error.is_none() {
            return;
        }
    }
    panic!("no acknowledgement in 10,000 attempts");
}

/// Everything a topic of one partition holds.
pub(crate) fn records(log: &dyn EventLog, topic: &TopicSpec) -> Vec<OutgoingRecord> {
    read(log, topic, 0, Offset(0), usize::MAX, Duration::ZERO)
}

/// The record at `topic/partition/offset`.
pub(crate) fn at(log: &dyn EventLog, origin: &str) -> OutgoingRecord {
    let mut parts = origin.rsplitn(3, '/');
    let offset = Offset(parts.next().and_then(|text| text.parse().ok()).expect("an offset"));
    let partition = parts.next().and_then(|text| text.parse().ok()).expect("a partition");
    let name = parts.next().expect("a topic").to_owned();
    let topic = TopicSpec { name, partitions: 1, settings: &[] };
    read(log, &topic, partition, offset, 1, Duration::ZERO).pop().expect("the record is there")
}

/// The records of a topic of one partition, once there are `count` of them.
pub(crate) fn wait_for(log: &dyn EventLog, topic: &TopicSpec, count: usize) -> Vec<OutgoingRecord> {
    log.ensure_topics(std::slice::from_ref(topic)).expect("the topic is as expected");
    let found = read(log, topic, 0, Offset(0), count, SOON);
    assert_eq!(found.len(), count, "records on {} within {SOON:?}", topic.name);
    found
}

/// A record of a command topic, as its store reads it.
pub(crate) fn command(record: &OutgoingRecord) -> CommandEnvelope {
    let headers: Vec<_> =
        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let value = record.value.as_deref();
    decode_command(&IncomingRecord { key: Some(&record.key), headers: &headers, value })
        .expect("a command")
}

fn read(
    log: &dyn EventLog,
    topic: &TopicSpec,
    partition: i32,
    next: Offset,
    count: usize,
    within: Duration,
) -> Vec<OutgoingRecord> {
    let start = Position { topic: topic.name.clone(), partition, next };
    let mut subscriber = log.subscriber(&[start]).expect("a subscriber");
    let deadline = Instant::now() + within;
    let mut found: Vec<OutgoingRecord> = Vec::new();
    while found.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        let polled = subscriber.poll(count - found.len(), left, &mut |received| {
            found.push(OutgoingRecord {
                key: received.record.key.unwrap_or_default().to_vec(),
                headers: (received.record.headers.iter())
                    .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                    .collect(),
                value: received.record.value.map(<[u8]>::to_vec),
            });
        });
        if polled.expect("the topic can be read") == 0 {
            break;
        }
    }
    found
}
