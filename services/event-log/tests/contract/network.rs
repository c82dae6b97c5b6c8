//! What only a network can do: settings kept by a broker, brokers that are away, foreign producers.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use event_log::{Error, EventLog, KafkaConfig, KafkaLog, MemoryLog, Offset, Publication, ask};
use shared_events::StoreId;
use shared_events::topic::Topics;
use shared_events::wire::OutgoingRecord;
use test_support::{AWAY, kafka, unique_prefix};
use tokio_util::sync::CancellationToken;

use crate::raw;
use crate::support::{Adapter, topic};

/// A stop that takes longer is felt by whoever stops the service.
const PROMPT: Duration = Duration::from_secs(2);

#[test]
fn a_real_broker_has_the_topics_with_the_settings_they_rest_on() {
    let topics = Topics::new(unique_prefix("settings"), 5);
    let store = StoreId::parse("A").unwrap();
    let specs = [
        topics.stock_events(),
        topics.heartbeats(),
        topics.commands(&store),
        topics.dead_letters(),
    ];
    let log = KafkaLog::new(KafkaConfig::new(kafka()));
    assert_eq!(log.describe_topics(&specs).unwrap(), [], "nothing there yet");
    log.ensure_topics(&specs).unwrap();

    let described = log.describe_topics(&specs).unwrap();
    assert_eq!(described.len(), specs.len());
    for spec in &specs {
        let found = described.iter().find(|status| status.name == spec.name).unwrap();
        assert_eq!(found.partitions, spec.partitions, "{}", spec.name);
        assert!(found.replicas >= 1);
        for name in ["cleanup.policy", "message.timestamp.type"] {
            assert!(spec.settings.iter().any(|(known, _)| *known == name), "{}", spec.name);
        }
        for (name, value) in spec.settings {
            assert_eq!(found.settings.get(*name).map(String::as_str), Some(*value), "{name}");
        }
    }
    let events = &described.iter().find(|status| status.partitions == 5).unwrap().settings;
    assert_eq!(events["cleanup.policy"], "delete");
    assert_eq!(events["retention.ms"], "-1");
    assert_eq!(events["message.timestamp.type"], "LogAppendTime");
}

#[test]
fn a_cancel_interrupts_a_publication_to_a_broker_that_is_away() {
    let log = KafkaLog::new(KafkaConfig::new(AWAY));
    let mut publisher = log.publisher().unwrap();
    let record = OutgoingRecord { key: b"k".to_vec(), headers: Vec::new(), value: None };
    let records = vec![Publication { topic: "any".to_owned(), record }; 100];
    let cancel = CancellationToken::new();
    let (report, published) = mpsc::channel();
    thread::spawn({
        let cancel = cancel.clone();
        move || {
            let published = publisher.publish(&records, &cancel);
            drop(publisher);
            report.send(published)
        }
    });
    let early = published.recv_timeout(Duration::from_millis(300));
    assert!(early.is_err(), "it waits as long as it takes: {early:?}");

    cancel.cancel();
    let cancelled = Instant::now();
    let published = published.recv_timeout(PROMPT).expect("the publisher is gone promptly");
    assert_eq!(published.acknowledged, 0, "after {:?}", cancelled.elapsed());
    assert_eq!(published.error, Some(Error::Cancelled));
}

#[test]
fn a_cancel_interrupts_a_question_to_a_broker_that_is_away() {
    let log: Arc<dyn EventLog> = Arc::new(KafkaLog::new(KafkaConfig::new(AWAY)));
    let cancel = CancellationToken::new();
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&log, &cancel, |log| log.cluster_id()));
        cancel.cancel();
        let cancelled = Instant::now();
        assert_eq!(asked.join().unwrap(), Err(Error::Cancelled));
        assert!(cancelled.elapsed() < PROMPT, "{:?}", cancelled.elapsed());
    });
    let unreachable = ask(&log, &CancellationToken::new(), |log| log.cluster_id()).unwrap_err();
    assert!(matches!(unreachable, Error::Unreachable { .. }), "{unreachable:?}");
    let memory: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let nobody = CancellationToken::new();
    assert_eq!(ask(&memory, &nobody, |log| log.cluster_id()), Ok("memory".to_owned()));
    let broken = ask(&memory, &nobody, |_log| -> Result<(), Error> { panic!("a defect") });
    assert!(matches!(broken, Err(Error::Client(_))), "{broken:?}");
}

#[test]
fn a_broker_that_is_away_is_named_as_unreachable() {
    let log = KafkaLog::new(KafkaConfig::new(AWAY));
    let topics = [topic("any", 1)];
    let errors = thread::scope(|scope| {
        let asked = [
            scope.spawn(|| log.ensure_topics(&topics).unwrap_err()),
            scope.spawn(|| log.extents(&topics[0]).unwrap_err()),
            scope.spawn(|| log.cluster_id().unwrap_err()),
            scope.spawn(|| log.describe_topics(&topics).unwrap_err()),
        ];
        asked.map(|question| question.join().unwrap())
    });
    for error in errors {
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(AWAY), "{error}");
        assert!(error.is_retryable());
    }
}

/// Whoever may write to a topic must not be able to stop its readers.
#[test]
fn a_header_name_that_is_no_text_costs_the_headers_and_not_the_reader() {
    for adapter in [Adapter::Kafka, Adapter::MockBroker] {
        let bench = adapter.bench(&[1]);
        bench.publish(&[bench.record("before", "1")]);
        let broker = &bench.config.as_ref().unwrap().brokers;
        let headers = [(b"fine".as_slice(), b"yes".as_slice()), (b"\xff\xfe", b"no")];
        raw::produce(broker, &bench.topics[0].name, b"raw", &headers, b"2");
        bench.publish(&[bench.record("after", "3")]);

        let read = bench.read_all();
        let offsets: Vec<_> = read.iter().map(|delivery| delivery.offset).collect();
        assert_eq!(offsets, [Offset(0), Offset(1), Offset(2)]);
        assert_eq!(read[1].key.as_deref(), Some(b"raw".as_slice()));
        assert_eq!(read[1].value.as_deref(), Some(b"2".as_slice()));
        assert_eq!(read[1].headers, [], "nobody can decode it, and that is said");
    }
}

#[test]
fn a_record_without_a_key_arrives_without_one() {
    let bench = Adapter::Kafka.bench(&[1]);
    let broker = &bench.config.as_ref().unwrap().brokers;
    raw::produce_without_key(broker, &bench.topics[0].name, b"v");
    assert_eq!(bench.read_all()[0].key, None);
}
