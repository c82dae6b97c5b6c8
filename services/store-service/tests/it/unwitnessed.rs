//! A store that no centre answers: it opens with a life of its own, or waits, as it was told to.

use std::time::Duration;

use event_log::{
    Error, EventLog, Extent, MemoryLog, Offset, Position, Publisher, Received, Subscriber,
};
use shared_events::command::JournalWitnessed;
use shared_events::topic::TopicSpec;
use shared_events::{Epoch, Sequence, StoreCommand};
use store_service::journal;
use test_support::eventually_async;

use crate::support::{ADJUST, DEADLINE, Setup, TestStore, Witness, adjust, copy_of, topics};

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(50);

/// The life and the sequence of the next sale.
async fn sell(store: &TestStore) -> (u64, u64) {
    let answer = store.adjust("X", 1).await.json();
    let id = answer["eventId"].as_str().unwrap();
    let mut parts = id.split('/').skip(1).map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

async fn refuses(store: &TestStore) {
    eventually_async("the store refuses", DEADLINE, async || {
        let ready = store.get("/readyz?verbose").await;
        (ready.status == 503 && !ready.text().contains("a centre is asked")).then_some(())
    })
    .await;
    store.post(ADJUST, &adjust("X", 1)).await.problem(503, "not_ready");
}

async fn ends_at_once(store: TestStore) -> Setup {
    let caller = store.caller();
    let setup = tokio::time::timeout(DEADLINE, store.stop()).await.expect("it ends");
    caller.post(ADJUST, &adjust("X", 1)).await.problem(503, "shutting_down");
    // Nobody holds on to its journal.
    assert_eq!(journal::verify(setup.folder()).unwrap().1.sequence, Sequence::ZERO);
    setup
}

#[tokio::test]
async fn a_store_that_nobody_answers_opens_with_a_new_life_within_its_bound() {
    let store = Setup::with_log(MemoryLog::default()).start().await;
    assert_eq!(sell(&store).await, (1, 1));
    let store = store.stop().await.asking(SHORT).start().await;
    // Asked before it is open: the answer waits for the bound, and no longer.
    let (epoch, sequence) = sell(&store).await;
    assert!(epoch > 1);
    assert_eq!(sequence, 2);
    assert_eq!(store.item("X").await, (2, 2));
}

#[tokio::test]
async fn a_broker_that_is_away_is_no_reason_to_wait_longer() {
    let folder = test_support::folder();
    let config = event_log::KafkaConfig::new(test_support::AWAY);
    let store = Setup::with_log(event_log::KafkaLog::new(config))
        .in_folder(folder.path().join("A"))
        .asking(SHORT)
        .start()
        .await;
    assert!(sell(&store).await.0 > 1);
}

#[tokio::test]
async fn lives_that_nobody_vouches_for_are_never_the_same() {
    let store = Setup::with_log(MemoryLog::default()).start().await;
    sell(&store).await;
    let folder = store.folder().to_owned();
    let setup = store.stop().await;
    let copies = [copy_of(&folder), copy_of(&folder)];
    let mut lives = Vec::new();
    for copy in &copies {
        for wait in [Duration::ZERO, SHORT] {
            let setup = setup.clone().in_folder(copy.path().to_owned()).asking(wait);
            let store = setup.start().await;
            lives.push(sell(&store).await.0);
            store.stop().await;
        }
    }
    // An empty disk may have had events, too.
    let empty = test_support::folder();
    for name in ["one", "two"] {
        let setup = setup.clone().in_folder(empty.path().join(name)).asking(SHORT);
        let store = setup.start().await;
        lives.push(sell(&store).await.0);
        store.stop().await;
    }
    let mut different = lives.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), lives.len(), "{lives:?}");
    assert!(!lives.contains(&1), "{lives:?}");
}

#[tokio::test]
async fn a_store_that_is_told_not_to_wait_trusts_its_disk() {
    let mut store = Setup::with_log(MemoryLog::default()).asking(Duration::ZERO).start().await;
    for sequence in 1..=3 {
        assert_eq!(sell(&store).await, (1, sequence));
        store = store.restart().await;
    }
}

#[tokio::test]
async fn a_store_that_holds_refuses_also_who_waits_already_and_opens_when_a_centre_answers() {
    let log = MemoryLog::default();
    let setup = Setup::with_log(log.clone()).asking(SHORT).holding();
    // What a centre said before counts for nothing.
    let nothing = JournalWitnessed {
        epoch: Epoch::ZERO,
        head: Sequence::ZERO,
        head_hash: String::new(),
        lineage: None,
    };
    setup.centre().send("old", StoreCommand::JournalWitnessed(nothing));
    let store = setup.start().await;
    store.post(ADJUST, &adjust("X", 1)).await.problem(503, "not_ready");
    refuses(&store).await;
    let _witness = Witness::start(log);
    store.opened().await;
    assert_eq!(sell(&store).await, (1, 1));
}

#[tokio::test]
async fn a_stop_while_a_centre_is_asked_ends_at_once() {
    let setup = Setup::with_log(MemoryLog::default()).asking(LONG);
    let store = setup.start().await;
    // Somebody waits for it.
    let caller = store.caller();
    let waiting = tokio::spawn(async move { caller.post(ADJUST, &adjust("X", 1)).await });
    tokio::task::yield_now().await;
    ends_at_once(store).await;
    waiting.await.unwrap().problem(503, "shutting_down");
}

#[tokio::test]
async fn a_stop_while_the_store_holds_ends_at_once() {
    let store = Setup::with_log(MemoryLog::default()).asking(SHORT).holding().start().await;
    refuses(&store).await;
    ends_at_once(store).await;
}

#[tokio::test]
async fn a_stop_while_events_come_back_ends_at_once_and_they_come_the_next_time() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let store = Setup::with_log(log.clone()).asking(LONG).start().await;
    store.adjust("X", 1).await;
    store.published().await;
    store.stop().await;
    // On an empty disk, from a broker that is slow.
    let setup = Setup::with_log(Mute(log.clone())).asking(LONG);
    let store = setup.start().await;
    refuses(&store).await;
    let ready = store.get("/readyz?verbose").await;
    assert!(ready.text().contains("0 events have come back so far"), "{}", ready.text());
    let setup = ends_at_once(store).await;
    let store = setup.with_other_log(log).start().await;
    store.opened().await;
    let (epoch, sequence) = sell(&store).await;
    assert!(epoch > 1);
    assert_eq!(sequence, 2);
}

/// A broker that gives no events out.
#[derive(Debug)]
struct Mute(MemoryLog);

impl EventLog for Mute {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        self.0.ensure_topics(topics)
    }

    fn extents(&self, topic: &TopicSpec) -> Result<Vec<Extent>, Error> {
        self.0.extents(topic)
    }

    fn cluster_id(&self) -> Result<String, Error> {
        self.0.cluster_id()
    }

    fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        self.0.publisher()
    }

    fn subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        if positions.iter().any(|at| at.topic == topics().stock_events().name) {
            return Ok(Box::new(Silence));
        }
        self.0.subscriber(positions)
    }
}

struct Silence;

impl Subscriber for Silence {
    fn poll(
        &mut self,
        _max_records: usize,
        timeout: Duration,
        _receive: &mut dyn FnMut(Received<'_>),
    ) -> Result<usize, Error> {
        std::thread::sleep(timeout);
        Ok(0)
    }

    fn end(&mut self, _topic: &str, _partition: i32) -> Result<Offset, Error> {
        Ok(Offset(0))
    }
}
