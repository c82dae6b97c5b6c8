//! What those who share clients may not do to each other.

use std::sync::mpsc;
use std::thread;

use event_log::{Error, EventLog as _, KafkaConfig, KafkaLog, Offset, Position, Publication};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use shared_events::wire::OutgoingRecord;
use test_support::eventually;
use tokio_util::sync::CancellationToken;

use crate::support::{Adapter, Bench, DEADLINE, poll, values};

const BOTH: [Adapter; 2] = [Adapter::SharedMockBroker, Adapter::SharedKafka];

fn record(topic: &str, value: Vec<u8>) -> Publication {
    let record = OutgoingRecord { key: b"k".to_vec(), headers: Vec::new(), value: Some(value) };
    Publication { topic: topic.to_owned(), record }
}

fn start_of(bench: &Bench, topic: usize) -> Position {
    let topic = bench.topics[topic].name.clone();
    Position { topic, partition: 0, next: Offset(0) }
}

#[test]
fn a_reader_that_takes_nothing_holds_up_no_other_and_loses_nothing() {
    for adapter in BOTH {
        let bench = adapter.bench(&[1, 1]);
        let [slow, quick] = [0, 1].map(|topic| bench.topics[topic].name.clone());
        let mut waiting = bench.log().subscriber(&[start_of(&bench, 0)]).unwrap();
        let mut reading = bench.log().subscriber(&[start_of(&bench, 1)]).unwrap();
        // Several times what its queue takes.
        let large: Vec<_> = (0..80).map(|n| record(&slow, vec![n; 100_000])).collect();
        bench.publish(&large);
        for round in 0..20 {
            bench.publish(&[record(&quick, vec![round])]);
            eventually("the quick one reads on", DEADLINE, || {
                let read = poll(reading.as_mut(), 10).unwrap();
                (read.first()?.value.as_deref() == Some(&[round])).then_some(())
            });
        }
        let mut next = 0_u8;
        eventually("the slow one has it all, in order", DEADLINE, || {
            for delivery in poll(waiting.as_mut(), 3).unwrap() {
                assert_eq!(delivery.value, Some(vec![next; 100_000]));
                next += 1;
            }
            (next == 80).then_some(())
        });
    }
}

#[test]
fn who_comes_back_for_a_partition_takes_nothing_from_those_who_stay() {
    for adapter in BOTH {
        let bench = adapter.bench(&[1, 1]);
        let other = bench.topics[1].name.clone();
        bench.publish(&(0..5).map(|n| bench.record("k", n)).collect::<Vec<_>>());
        let mut stays = bench.log().subscriber(&[start_of(&bench, 1)]).unwrap();
        for round in 0..5 {
            assert_eq!(values(&bench.read_all()), ["0", "1", "2", "3", "4"], "round {round}");
            bench.publish(&[record(&other, vec![round])]);
            eventually("who stays reads on", DEADLINE, || {
                let read = poll(stays.as_mut(), 10).unwrap();
                (read.first()?.value.as_deref() == Some(&[round])).then_some(())
            });
        }
    }
}

#[test]
fn publications_of_many_are_accounted_for_each() {
    for adapter in BOTH {
        let bench = adapter.bench(&[3]);
        let missing = format!("{}-missing", bench.topics[0].name);
        thread::scope(|scope| {
            for store in 0..8 {
                let (bench, missing) = (&bench, &missing);
                scope.spawn(move || {
                    let mut publisher = bench.log().publisher().unwrap();
                    for size in 1..20 {
                        let key = format!("store {store}");
                        let records = vec![bench.record(&key, size); size];
                        let published = publisher.publish(&records, &CancellationToken::new());
                        assert_eq!(published.error, None);
                        assert_eq!(published.acknowledged, size);
                    }
                    // What one gets wrong is told to that one alone.
                    if store == 0 {
                        let lost = [record(missing, vec![])];
                        let lost = publisher.publish(&lost, &CancellationToken::new());
                        assert!(matches!(lost.error, Some(Error::TopicMissing(_))));
                    }
                });
            }
        });
        assert_eq!(bench.read_all().len(), 8 * (1..20).sum::<usize>());
    }
}

#[test]
fn after_an_error_that_ends_the_producer_the_next_publisher_has_another() {
    let (go, wait) = mpsc::channel::<()>();
    let (told, address) = mpsc::channel();
    // The cluster handle may not change threads.
    let broker = thread::spawn(move || {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
        cluster.request_errors(RDKafkaApiKey::InitProducerId, &[denied]);
        told.send(cluster.bootstrap_servers()).unwrap();
        wait.recv().unwrap_or_default();
    });
    let log = KafkaLog::new(KafkaConfig::new(address.recv().unwrap())).shared();
    let [mut first, mut second] = [log.publisher().unwrap(), log.publisher().unwrap()];
    let forever = CancellationToken::new();
    let records = [record("t", b"1".to_vec())];
    thread::scope(|scope| {
        for publisher in [&mut first, &mut second] {
            let (records, forever) = (&records, &forever);
            scope.spawn(move || {
                let published = publisher.publish(records, forever);
                assert!(published.error.is_some(), "neither is left waiting");
                assert_eq!(published.acknowledged, 0);
            });
        }
    });
    let published = log.publisher().unwrap().publish(&records, &forever);
    assert_eq!((published.acknowledged, published.error), (1, None));
    drop(go);
    broker.join().unwrap();
}
