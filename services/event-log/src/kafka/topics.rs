//! Creating and describing topics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use shared_events::topic::TopicSpec;

use super::{ANSWER_WITHIN, TopicStatus};

pub(super) type Admin = AdminClient<DefaultClientContext>;

/// The broker's own default, as set by whoever runs it.
const DEFAULT_REPLICATION: TopicReplication<'_> = TopicReplication::Fixed(-1);

/// Rest before a broker that is not ready yet is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Partition count of every topic whose partitions all have a leader.
pub(super) fn partition_counts(admin: &Admin) -> KafkaResult<BTreeMap<String, i32>> {
    // All topics: asking for one by name may create it on a broker with auto-creation on.
    let metadata = admin.inner().fetch_metadata(None, ANSWER_WITHIN)?;
    Ok(metadata
        .topics()
        .iter()
        .filter(|topic| topic.error().is_none())
        .map(|topic| {
            (topic.name().to_owned(), i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX))
        })
        .collect())
}

/// Where a partition begins and ends. One that was just made has a leader before that one leads it.
pub(super) fn watermarks(admin: &Admin, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    loop {
        let asked = admin.inner().fetch_watermarks(topic, partition, ANSWER_WITHIN);
        let code = asked.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        let not_yet = code == Some(RDKafkaErrorCode::NotLeaderForPartition);
        if !not_yet || Instant::now() > deadline {
            return asked;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Creates topics and waits until they can be used. One that exists by now is no error: another
/// service may have been faster.
pub(super) fn create(admin: &Admin, topics: &[TopicSpec]) -> KafkaResult<()> {
    let new_topics: Vec<_> = topics
        .iter()
        .map(|topic| NewTopic {
            name: &topic.name,
            num_partitions: topic.partitions,
            replication: DEFAULT_REPLICATION,
            config: topic.settings.to_vec(),
        })
        .collect();
    for result in block_on(admin.create_topics(&new_topics, &answered_in_time()))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    wait_until_visible(admin, topics)
}

/// Deletes all topics whose names begin so.
pub(super) fn delete(admin: &Admin, prefix: &str) -> KafkaResult<()> {
    let found = partition_counts(admin)?;
    let names: Vec<_> =
        found.keys().filter(|name| name.starts_with(prefix)).map(String::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    for result in block_on(admin.delete_topics(&names, &answered_in_time()))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    Ok(())
}

fn answered_in_time() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN))
}

fn wait_until_visible(admin: &Admin, topics: &[TopicSpec]) -> KafkaResult<()> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    loop {
        let metadata = admin.inner().fetch_metadata(None, ANSWER_WITHIN)?;
        let led = |name: &str| {
            metadata.topics().iter().any(|topic| {
                topic.name() == name
                    && topic.partitions().iter().all(|partition| partition.leader() >= 0)
            })
        };
        if topics.iter().all(|topic| led(&topic.name)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::RequestTimedOut));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Partition counts, replicas and settings of those topics that exist.
pub(super) fn describe(admin: &Admin, topics: &[TopicSpec]) -> KafkaResult<Vec<TopicStatus>> {
    let metadata = admin.inner().fetch_metadata(None, ANSWER_WITHIN)?;
    let found: Vec<_> = metadata
        .topics()
        .iter()
        .filter(|topic| topics.iter().any(|wanted| wanted.name == topic.name()))
        .collect();
    if found.is_empty() {
        // The client refuses to ask about nothing.
        return Ok(Vec::new());
    }
    let resources: Vec<_> =
        found.iter().map(|topic| ResourceSpecifier::Topic(topic.name())).collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
    let described = block_on(admin.describe_configs(&resources, &options))?;
    found
        .iter()
        .zip(described)
        .map(|(topic, config)| {
            let config = config.map_err(KafkaError::AdminOp)?;
            let settings = config
                .entries
                .into_iter()
                .filter_map(|entry| entry.value.map(|value| (entry.name, value)))
                .collect();
            Ok(TopicStatus {
                name: topic.name().to_owned(),
                partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
                replicas: topic.partitions().first().map_or(0, |p| p.replicas().len()),
                settings,
            })
        })
        .collect()
}
