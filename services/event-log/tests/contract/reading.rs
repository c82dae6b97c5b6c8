//! Promises about reading: exactly from the position, in order, and never a silent gap.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use event_log::{Error, Offset, Position};
use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, TopicPartitionList};
use test_support::eventually;

use crate::support::{Adapter, Bench, DEADLINE, poll, poll_until_error, values};

/// Partition 0 with the values 0 to 9, and for a nasty adapter their duplicates among them.
fn ten(adapter: Adapter) -> Bench {
    let bench = adapter.bench(&[1]);
    bench.publish(&(0..10).map(|n| bench.record("k", n)).collect::<Vec<_>>());
    bench
}

pub(crate) fn reading_starts_exactly_at_the_position(adapter: Adapter) {
    let bench = ten(adapter);
    let all = values(&bench.read_all());
    for start in 0..all.len() {
        let read = bench.read(&[bench.position(0, i64::try_from(start).unwrap())]);
        assert_eq!(values(&read), all[start..], "from {start}");
    }
}

pub(crate) fn only_the_partitions_asked_for_are_read(adapter: Adapter) {
    let bench = adapter.bench(&[4, 1]);
    bench.publish(&(0..40).map(|n| bench.record(&n.to_string(), n)).collect::<Vec<_>>());
    let mut other = bench.record("k", "of another topic");
    other.topic.clone_from(&bench.topics[1].name);
    bench.publish(&[other]);

    let read = bench.read(&[bench.position(1, 0), bench.position(3, 2)]);
    assert!(read.iter().all(|delivery| delivery.topic == bench.topics[0].name));
    let partitions: BTreeSet<_> = read.iter().map(|delivery| delivery.partition).collect();
    assert_eq!(partitions, BTreeSet::from([1, 3]));
}

pub(crate) fn a_poll_gives_no_more_than_asked_for(adapter: Adapter) {
    let bench = ten(adapter);
    let mut subscriber = bench.log().subscriber(&bench.beginning()).unwrap();
    let mut last = None;
    eventually("the end", DEADLINE, || {
        let polled = poll(subscriber.as_mut(), 3).unwrap();
        assert!(polled.len() <= 3, "{}", polled.len());
        last = last.max(polled.last().map(|delivery| delivery.offset));
        let end = bench.log().extents(&bench.topics[0]).unwrap()[0].high;
        (last.map(Offset::next) == Some(end)).then_some(())
    });
}

pub(crate) fn what_lies_beyond_an_end_was_written_after_it_was_asked_for(adapter: Adapter) {
    let bench = ten(adapter);
    let mut asker = bench.log().subscriber(&[]).unwrap();
    let topic = bench.topics[0].name.clone();
    let end = asker.end(&topic, 0).unwrap();
    assert_eq!(end, bench.log().extents(&bench.topics[0]).unwrap()[0].high);
    bench.publish(&[bench.record("k", "later")]);
    let read = bench.read(&bench.beginning());
    let later = read.iter().filter(|delivery| delivery.offset >= end);
    assert!(values(&later.cloned().collect::<Vec<_>>()).iter().all(|value| value == "later"));
    assert!(asker.end(&topic, 0).unwrap() > end);
}

pub(crate) fn silence_is_no_error(adapter: Adapter) {
    let bench = adapter.bench(&[2]);
    let mut subscriber = bench.log().subscriber(&bench.beginning()).unwrap();
    for _ in 0..3 {
        assert_eq!(poll(subscriber.as_mut(), 10).unwrap(), []);
    }
    let mut none = bench.log().subscriber(&[]).unwrap();
    assert_eq!(poll(none.as_mut(), 10).unwrap(), []);
}

pub(crate) fn a_waiting_reader_gets_what_is_written_later(adapter: Adapter) {
    let bench = ten(adapter);
    let end = bench.log().extents(&bench.topics[0]).unwrap()[0].high;
    let mut subscriber = bench.log().subscriber(&[bench.position(0, end.0)]).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| bench.publish(&[bench.record("k", "later")]));
        eventually("the record written later", DEADLINE, || {
            let mut received = false;
            let mut receive = |received_now: event_log::Received<'_>| {
                received |= received_now.offset >= end
                    && received_now.record.value == Some(b"later".as_slice());
            };
            subscriber.poll(10, Duration::from_secs(1), &mut receive).unwrap();
            received.then_some(())
        });
    });
}

pub(crate) fn a_patient_reader_gets_everything_in_order_what_is_written_later_included(
    adapter: Adapter,
) {
    let bench = ten(adapter);
    let mut subscriber = bench.log().patient_subscriber(&bench.beginning()).unwrap();
    let mut next = Offset(0);
    for later in 0..3 {
        bench.publish(&[bench.record("k", later)]);
        let end = bench.log().extents(&bench.topics[0]).unwrap()[0].high;
        eventually("the end", DEADLINE, || {
            for delivery in poll(subscriber.as_mut(), 10).unwrap() {
                assert!(delivery.offset <= next, "{next:?} was left out");
                next = next.max(delivery.offset.next());
            }
            (next == end).then_some(())
        });
    }
}

pub(crate) fn readers_do_not_disturb_each_other(adapter: Adapter) {
    let bench = ten(adapter);
    let expected = bench.read_all();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(bench.read_all(), expected));
        }
    });
}

pub(crate) fn a_position_beyond_the_end_is_lost(adapter: Adapter) {
    let bench = ten(adapter);
    let end = bench.log().extents(&bench.topics[0]).unwrap()[0].high;
    for beyond in [end.0 + 1, end.0 + 1_000_000] {
        let mut subscriber = bench.log().subscriber(&[bench.position(0, beyond)]).unwrap();
        assert_eq!(poll_until_error(subscriber.as_mut()), Error::PositionLost, "{beyond}");
    }
    // The end itself is where the next record will be.
    assert_eq!(bench.read(&[bench.position(0, end.0)]), []);
}

pub(crate) fn a_position_before_the_oldest_record_is_lost(adapter: Adapter) {
    if adapter.is_mock_broker() {
        return; // It deletes no records.
    }
    let bench = ten(adapter);
    delete_records_before(&bench, 4);
    let extent = bench.log().extents(&bench.topics[0]).unwrap()[0];
    assert_eq!(extent.low, Offset(4));
    for before in [0, 3] {
        let mut subscriber = bench.log().subscriber(&[bench.position(0, before)]).unwrap();
        assert_eq!(poll_until_error(subscriber.as_mut()), Error::PositionLost, "{before}");
    }
    let rest = bench.read(&[bench.position(0, 4)]);
    assert_eq!(rest.first().map(|delivery| delivery.offset), Some(Offset(4)));
}

/// As retention does.
fn delete_records_before(bench: &Bench, offset: i64) {
    let topic = &bench.topics[0].name;
    if let Some(memory) = &bench.memory {
        memory.delete_records_before(topic, 0, Offset(offset));
        return;
    }
    let brokers = &bench.config.as_ref().unwrap().brokers;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(topic, 0, rdkafka::Offset::Offset(offset)).unwrap();
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    block_on(admin.delete_records(&before, &options)).unwrap();
}

pub(crate) fn reading_a_missing_topic_is_an_error(adapter: Adapter) {
    let bench = adapter.bench(&[1]);
    let topic = format!("{}-missing", bench.topics[0].name);
    let missing = Position { topic, partition: 0, next: Offset(0) };
    let mut subscriber = bench.log().subscriber(&[missing]).unwrap();
    let error = poll_until_error(subscriber.as_mut());
    assert!(matches!(error, Error::TopicMissing(_)), "{error:?}");
}
