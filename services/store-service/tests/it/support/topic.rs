//! What a topic of the broker in memory holds, read to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use event_log::{EventLog, Offset, Position};
use shared_events::topic::TopicSpec;
use shared_events::wire::{IncomingRecord, decode_event, decode_heartbeat};
use shared_events::{Heartbeat, RecordedEvent};
use test_support::eventually;

use super::DEADLINE;

type Headers = Vec<(String, Vec<u8>)>;

/// A record as it lies in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lying {
    key: Vec<u8>,
    headers: Headers,
    value: Option<Vec<u8>>,
}

impl Lying {
    /// Or something that a test put there.
    fn is_typed(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == "ce_type")
    }

    fn read<T>(&self, decode: impl FnOnce(&IncomingRecord<'_>) -> T) -> T {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        decode(&IncomingRecord {
            key: Some(&self.key),
            headers: &headers,
            value: self.value.as_deref(),
        })
    }
}

/// All records of a topic, by partition, each partition in its own order.
#[derive(Debug)]
pub(crate) struct Topic {
    records: BTreeMap<(i32, Offset), Lying>,
}

impl Topic {
    /// Reads what lies there now, whatever the broker does to its readers.
    pub(crate) fn read(log: &dyn EventLog, topic: &TopicSpec) -> Self {
        let mut records = BTreeMap::new();
        let Ok(extents) = log.extents(topic) else {
            return Self { records };
        };
        let total: i64 = extents.iter().map(|extent| extent.high.0 - extent.low.0).sum();
        let from: Vec<_> = (extents.iter().zip(0..))
            .map(|(extent, partition)| Position {
                topic: topic.name.clone(),
                partition,
                next: extent.low,
            })
            .collect();
        let mut subscriber = log.subscriber(&from).unwrap();
        eventually("the topic is read", DEADLINE, || {
            let mut receive = |received: event_log::Received<'_>| {
                let record = received.record;
                let owned = |(name, value): &(&str, &[u8])| ((*name).to_owned(), value.to_vec());
                let lying = Lying {
                    key: record.key.unwrap_or_default().to_vec(),
                    headers: record.headers.iter().map(owned).collect(),
                    value: record.value.map(<[u8]>::to_vec),
                };
                records.insert((received.partition, received.offset), lying);
            };
            subscriber.poll(1_000, Duration::from_millis(10), &mut receive).unwrap();
            (records.len() >= usize::try_from(total).unwrap()).then_some(())
        });
        Self { records }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn events(&self) -> Vec<RecordedEvent> {
        let events = self.records.values().filter(|record| record.is_typed());
        events.map(|record| record.read(decode_event).unwrap()).collect()
    }

    /// The event of a sequence, as it was published first: its partition, and the offset behind it.
    pub(crate) fn behind(&self, sequence: u64) -> (usize, Offset) {
        let found = self
            .records
            .iter()
            .find(|(_, record)| record.read(decode_event).unwrap().id.sequence.get() == sequence);
        let (partition, offset) = found.unwrap_or_else(|| panic!("no event {sequence}")).0;
        (usize::try_from(*partition).unwrap(), offset.next())
    }

    pub(crate) fn heartbeats(&self) -> Vec<Heartbeat> {
        self.records.values().map(|record| record.read(decode_heartbeat).unwrap()).collect()
    }
}

/// Each item's sequences in the order of their first appearance.
pub(crate) fn sequences_by_key(events: &[RecordedEvent]) -> BTreeMap<String, Vec<u64>> {
    let mut by_key: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for event in events {
        let sequences = by_key.entry(event.sku.to_string()).or_default();
        let sequence = event.id.sequence.get();
        if !sequences.contains(&sequence) {
            sequences.push(sequence);
        }
    }
    by_key
}
