//! The broker forgets: the journals are the truth.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use crate::chain::Chain;
use crate::load::{Load, each_answer_stands_once};

const TOPIC: &str = "inventory.stock-events.v1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_deleted_under_a_running_chain_heals_from_the_journals() {
    let mut chain = Chain::start(&["north", "south"]).await;
    let load = Load::start(&chain, 7);
    load.more(500).await;
    delete(&chain.broker.address).await;
    load.more(500).await;
    let answers = load.stop().await;

    each_answer_stands_once(&chain, &answers);
    let digests = chain.converged().await;
    // What the centre had applied before is gone from the topic; only the journals still have it.
    chain.lose_centre().await;
    assert_eq!(chain.converged().await, digests, "the rebuilt centre differs");
}

async fn delete(kafka: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka).create().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    let deleted = admin.delete_topics(&[TOPIC], &options).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
}
