//! The broker forgets: topics, the front of one, everything. The journals are the truth.

use std::time::{Duration, Instant};

use event_log::{EventLog as _, KafkaConfig, KafkaLog};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use reqwest::Client;
use serde_json::json;
use shared_events::topic::{DEFAULT_PARTITIONS, Topics};

use super::drill::{Drill, STORES, rounds, s};
use crate::process::eventually;

const EVENTS: &str = "inventory.stock-events.v1";
const SALES_BETWEEN: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_events_topic_deleted_under_load_heals_from_the_journals() {
    let mut drill = Drill::start("events-deleted", &[]).await;
    drill.sell();
    for _ in 0..rounds(1, 5) {
        drill.sold(SALES_BETWEEN).await;
        delete(&drill.chain.broker.address, &[EVENTS.to_owned()]).await;
        let deleted = Instant::now();
        drill.say(format!("{EVENTS} is deleted"));
        drill.sold(SALES_BETWEEN).await;
        exists_again(&drill, EVENTS, deleted).await;
        for store in STORES {
            drill.fresh_again(store, Instant::now(), "that").await;
        }
    }
    drill.close_tills().await;
    let digests = drill.chain.converged().await;
    // What the centre had applied before is gone from the topic; only the journals still have it.
    let lost = Instant::now();
    drill.chain.lose_centre().await;
    assert_eq!(drill.chain.converged().await, digests, "the rebuilt centre differs");
    drill.say(format!("a centre with an empty database has everything after {}", s(lost)));
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_topics_deleted_under_load_come_back_and_carry_commands() {
    let mut drill = Drill::start("commands-deleted", &[]).await;
    drill.sell();
    for round in 0..rounds(1, 5) {
        command(&drill, &format!("before-{round}")).await;
        let topics = STORES.map(|store| format!("inventory.commands.v1.{store}"));
        delete(&drill.chain.broker.address, &topics).await;
        let deleted = Instant::now();
        drill.say("the stores' command topics are deleted");
        for topic in &topics {
            exists_again(&drill, topic, deleted).await;
        }
        command(&drill, &format!("after-{round}")).await;
    }
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_that_retention_cut_while_the_centre_was_down_is_found_and_filled() {
    let mut drill = Drill::start("retention-cut", &[]).await;
    drill.sell();
    for _ in 0..rounds(1, 5) {
        drill.sold(SALES_BETWEEN).await;
        let kafka = drill.chain.broker.address.clone();
        drill.chain.centres[0].kill();
        drill.say("kill -9 of the centre, under load");
        let behind = written(&kafka).await;
        written_beyond(&kafka, behind + 100).await;
        let cut = cut(&kafka).await;
        assert!(cut > behind, "the cut has to lie behind what the centre can have read");
        drill.say(format!(
            "DeleteRecords cut off all {cut} records, {} of them unread",
            cut - behind
        ));
        drill.sold(SALES_BETWEEN).await;
        let started = Instant::now();
        drill.chain.centres[0].start_again().await;
        for store in STORES {
            let lagging = drill.watch.sees(store, started, |sample| sample.is("lagging")).await;
            drill.say(format!("{store} is lagging by {} events after {}", lagging.lag, s(started)));
            drill.fresh_again(store, lagging.answered, "that").await;
        }
    }
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_lost_its_disk_is_filled_again_by_stores_and_centre() {
    let mut drill = Drill::start("broker-wiped", &[]).await;
    drill.sell();
    for round in 0..rounds(1, 5) {
        drill.sold(SALES_BETWEEN).await;
        let before = cluster(&drill.chain.broker.address).await;
        drill.chain.broker.lose_disk();
        let lost = Instant::now();
        let after = cluster(&drill.chain.broker.address).await;
        assert_ne!(before, after);
        drill
            .say(format!("cluster {before} is gone with its disk; {after} is in its place, empty"));
        drill.sold(SALES_BETWEEN).await;
        exists_again(&drill, EVENTS, lost).await;
        for store in STORES {
            drill.fresh_again(store, Instant::now(), "that").await;
        }
        command(&drill, &format!("there-{round}")).await;
    }
    drill.close_tills().await;
    let digests = drill.chain.converged().await;
    let lost = Instant::now();
    drill.chain.lose_centre().await;
    assert_eq!(drill.chain.converged().await, digests, "the rebuilt centre differs");
    drill.say(format!("a centre with an empty database has everything after {}", s(lost)));
    drill.end().await;
}

/// A stock command to each store by way of the centre, with the verdict awaited: it takes the command
/// topic, and its answer the events topic.
async fn command(drill: &Drill, sku: &str) {
    let asked = Instant::now();
    let url = format!("{}/api/commands/inventory/adjust", drill.chain.centres[0].url);
    let answered = |store: &'static str| {
        let body = json!({"storeId": store, "sku": sku, "delta": 5}).to_string();
        let key = format!("{store}-{sku}");
        let request =
            Client::new().post(&url).header("content-type", "application/json").body(body);
        let request = request.header("prefer", "wait=5").header("idempotency-key", key);
        async move {
            eventually("the store answers a command that came by the centre", async || {
                let answer = request.try_clone().unwrap().send().await.ok()?;
                (answer.status().as_u16() == 200).then_some(())
            })
            .await;
        }
    };
    tokio::join!(answered(STORES[0]), answered(STORES[1]));
    let took = s(asked);
    drill.say(format!("both stores answered a command that came by the centre, within {took}"));
}

fn admin(kafka: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", kafka).create().unwrap()
}

async fn delete(kafka: &str, topics: &[String]) {
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let deleted = admin(kafka).delete_topics(&topics, &options).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
}

async fn exists_again(drill: &Drill, topic: &str, since: Instant) {
    let client = admin(&drill.chain.broker.address);
    eventually("a service creates the topic anew", async || {
        let known = client.inner().fetch_metadata(None, Duration::from_secs(5)).ok()?;
        known.topics().iter().any(|known| known.name() == topic).then_some(())
    })
    .await;
    drill.say(format!("{topic} is there again after {}", s(since)));
}

/// Records that were ever written to the events topic.
pub(super) async fn written(kafka: &str) -> i64 {
    let log = KafkaLog::new(KafkaConfig::new(kafka));
    tokio::task::spawn_blocking(move || {
        let topic = Topics::new("", DEFAULT_PARTITIONS).stock_events();
        log.extents(&topic).unwrap().iter().map(|extent| extent.high.0).sum()
    })
    .await
    .unwrap()
}

async fn written_beyond(kafka: &str, records: i64) {
    eventually("the stores publish", async || (written(kafka).await > records).then_some(())).await;
}

/// Deletes every record of the events topic; gives how many were ever written.
pub(super) async fn cut(kafka: &str) -> i64 {
    let mut list = TopicPartitionList::new();
    for partition in 0..DEFAULT_PARTITIONS {
        list.add_partition_offset(EVENTS, partition, Offset::End).unwrap();
    }
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    let deleted = admin(kafka).delete_records(&list, &options).await.unwrap();
    let partitions = deleted.elements();
    let low = partitions.iter().map(|partition| match partition.offset() {
        Offset::Offset(low) => low,
        other => panic!("{other:?}"),
    });
    low.sum()
}

async fn cluster(kafka: &str) -> String {
    let log = KafkaLog::new(KafkaConfig::new(kafka));
    tokio::task::spawn_blocking(move || log.cluster_id().unwrap()).await.unwrap()
}
