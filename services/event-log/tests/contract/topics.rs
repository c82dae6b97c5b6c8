//! Promises about topics: made once, as specified, and never used with other partitions.

use std::sync::Barrier;
use std::thread;

use event_log::{Error, Extent, Offset};

use crate::support::{Adapter, topic};

pub(crate) fn topics_that_exist_are_left_as_they_are(adapter: Adapter) {
    let bench = adapter.bench(&[3, 1]);
    bench.publish(&[bench.record("k", "v")]);
    let before = bench.log().extents(&bench.topics[0]).unwrap();
    bench.log().ensure_topics(&bench.topics).unwrap();
    assert_eq!(bench.log().extents(&bench.topics[0]).unwrap(), before);
}

pub(crate) fn missing_topics_are_created_once_however_many_ask(adapter: Adapter) {
    let bench = adapter.bench_without_topics(&[3, 1]);
    let together = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                together.wait();
                bench.log().ensure_topics(&bench.topics).unwrap();
            });
        }
    });
    for topic in &bench.topics {
        let extents = bench.log().extents(topic).unwrap();
        assert_eq!(extents.len(), usize::try_from(topic.partitions).unwrap());
    }
}

pub(crate) fn another_partition_count_is_refused_with_the_fix(adapter: Adapter) {
    let bench = adapter.bench(&[3]);
    let found = bench.topics[0].name.clone();
    for expected in [2, 12] {
        let error = bench.log().ensure_topics(&[topic(&found, expected)]).unwrap_err();
        let wanted = Error::WrongPartitions { topic: found.clone(), found: 3, expected };
        assert_eq!(error, wanted);
        assert!(error.to_string().contains("ONHAND_PARTITIONS=3"), "{error}");
        assert!(!error.is_retryable(), "a person has to decide");
    }
}

pub(crate) fn of_two_that_disagree_about_partitions_one_is_refused(adapter: Adapter) {
    if adapter.is_mock_broker() {
        return; // It creates no topics.
    }
    for _ in 0..5 {
        let bench = adapter.bench_without_topics(&[2]);
        let other = [topic(&bench.topics[0].name, 3)];
        let together = Barrier::new(2);
        let ensure = |topics| {
            together.wait();
            bench.log().ensure_topics(topics)
        };
        let (one, two) = thread::scope(|scope| {
            let one = scope.spawn(|| ensure(&bench.topics));
            let two = scope.spawn(|| ensure(&other));
            (one.join().unwrap(), two.join().unwrap())
        });
        assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
        let refused = one.and(two).unwrap_err();
        assert!(matches!(refused, Error::WrongPartitions { .. }), "{refused}");
    }
}

pub(crate) fn extents_tell_what_a_partition_holds(adapter: Adapter) {
    let bench = adapter.bench(&[4]);
    let empty = Extent { low: Offset(0), high: Offset(0) };
    assert_eq!(bench.log().extents(&bench.topics[0]).unwrap(), [empty; 4]);

    let records: Vec<_> = (0..40).map(|n| bench.record(&format!("key {}", n % 7), n)).collect();
    bench.publish(&records);
    let extents = bench.log().extents(&bench.topics[0]).unwrap();
    let total: i64 = extents.iter().map(|extent| extent.high.0).sum();
    assert!(extents.iter().all(|extent| extent.low == Offset(0)), "{extents:?}");
    if bench.is_nasty() {
        assert!(total >= 40, "duplicates take room: {extents:?}");
    } else {
        assert_eq!(total, 40, "{extents:?}");
    }
}

pub(crate) fn a_missing_topic_has_no_extents(adapter: Adapter) {
    let bench = adapter.bench(&[1]);
    let missing = topic(&format!("{}-missing", bench.topics[0].name), 1);
    let error = bench.log().extents(&missing).unwrap_err();
    assert!(matches!(error, Error::TopicMissing(_)), "{error:?}");
}

pub(crate) fn a_cluster_has_one_name(adapter: Adapter) {
    let bench = adapter.bench(&[1]);
    let name = bench.log().cluster_id().unwrap();
    assert!(!name.is_empty());
    assert_eq!(bench.log().cluster_id().unwrap(), name);
}
