//! Before it writes, a store makes sure that its journal is whole and the only one.

use std::time::Duration;

use event_log::MemoryLog;
use shared_events::command::JournalWitnessed;
use shared_events::{Epoch, Lineage, Sequence, StoreCommand};
use store_service::journal;

use crate::support::{ADJUST, Setup, TestStore, Topic, Witness, adjust, copy_of, topics};

/// Far longer than a test: who waits it out fails.
const LONG: Duration = Duration::from_secs(3_600);

/// The life that is lived, and whether there was another one.
async fn life(store: &TestStore) -> (u64, usize) {
    let sync = store.get("/api/sync").await.accepted();
    (sync["epoch"].as_u64().unwrap(), sync["lineage"].as_array().unwrap().len())
}

fn witnessed(epoch: u64, head: u64, hash: &str) -> StoreCommand {
    let lineage = Lineage::new(Epoch::new(epoch), Sequence::new(1));
    StoreCommand::JournalWitnessed(JournalWitnessed {
        epoch: Epoch::new(epoch),
        head: Sequence::new(head),
        head_hash: hash.to_owned(),
        lineage: (!lineage.is_plain()).then_some(lineage),
    })
}

#[tokio::test]
async fn a_journal_nobody_has_seen_opens_at_once_when_told_so() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let store = Setup::with_log(log).asking(LONG).start().await;
    assert_eq!(store.replace("X", 5).await.json()["eventId"], "A/1/1");
    assert_eq!(life(&store).await, (1, 1));
    assert_eq!(store.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_journal_that_has_everything_keeps_its_life() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let mut store = Setup::with_log(log).asking(LONG).start().await;
    for sequence in 1..=3_u64 {
        assert_eq!(store.adjust("X", 1).await.json()["eventId"], format!("A/1/{sequence}"));
        store = store.restart().await;
    }
    store.adjust("X", 1).await;
    assert_eq!(life(&store).await, (1, 1));
    assert_eq!(store.metric("onhand_store_lost_events").await, 0);
}

#[tokio::test]
async fn a_copy_in_another_folder_begins_a_new_life_although_nothing_is_missing() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let store = Setup::with_log(log).asking(LONG).start().await;
    store.adjust("X", 3).await;
    store.published().await;
    let setup = store.stop().await;
    let copy = copy_of(setup.folder());
    let store = setup.in_folder(copy.path().to_owned()).start().await;
    assert_eq!(store.adjust("X", 1).await.json()["sequence"], 2);
    let (epoch, lives) = life(&store).await;
    assert!(epoch > 1);
    assert_eq!(lives, 2);
    // It is at home there now.
    let store = store.restart().await;
    assert_eq!(store.adjust("X", 1).await.json()["sequence"], 3);
    assert_eq!(life(&store).await, (epoch, 2));
    assert_eq!(store.item("X").await, (5, 3));
}

#[tokio::test]
async fn the_older_of_two_copies_stops_says_what_to_do_and_writes_nothing_after() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let older = Setup::with_log(log.clone()).asking(LONG).start().await;
    older.adjust("X", 3).await;
    older.published().await;
    let copy = copy_of(older.folder());
    let setup = Setup::with_log(log.clone()).asking(LONG).in_folder(copy.path().to_owned());
    let newer = setup.start().await;
    newer.adjust("X", 1).await;
    newer.published().await;
    let (epoch, _) = life(&newer).await;

    // What a centre tells the one that goes back. It has events of the other that no heartbeat vouches for.
    let mut lineage = Lineage::new(Epoch::new(1), Sequence::new(1));
    lineage.begin(Epoch::new(epoch), Sequence::new(1)).unwrap();
    older.centre().send(
        "witnessed",
        StoreCommand::JournalWitnessed(JournalWitnessed {
            epoch: Epoch::new(epoch),
            head: Sequence::new(2),
            head_hash: String::new(),
            lineage: Some(lineage),
        }),
    );
    let caller = older.caller();
    let (setup, error) = older.ended().await;
    let error = format!("{error:#}");
    assert!(error.contains("stop the other and start this again"), "{error}");
    assert!(error.contains(&format!("epoch {epoch}, sequence 2")), "{error}");
    caller.post(ADJUST, &adjust("X", 1)).await.problem(503, "shutting_down");
    let written = Topic::read(&log, &topics().stock_events()).events();
    let mut of_older = written.iter().filter(|event| event.id.epoch == Epoch::new(1));
    assert!(of_older.all(|event| event.id.sequence == Sequence::new(1)));
    assert_eq!(journal::verify(setup.folder()).unwrap().1.sequence, Sequence::new(1));

    // The other one reads the same, and goes on.
    newer.centre().reserve("east.R1", &[("X", 1)]);
    newer.centre().answer("east.R1:1").await;
    newer.adjust("X", 1).await;
}

#[tokio::test]
async fn what_was_seen_of_an_earlier_life_is_nothing_to_a_later_one() {
    let log = MemoryLog::default();
    let _witness = Witness::start(log.clone());
    let store = Setup::with_log(log).asking(LONG).start().await;
    store.adjust("X", 3).await;
    store.published().await;
    let copy = copy_of(store.folder());
    let store = store.stop().await.in_folder(copy.path().to_owned()).start().await;
    store.adjust("X", 1).await;
    store.centre().send("late", witnessed(1, 900, "ff"));
    store.centre().reserve("east.R1", &[("X", 1)]);
    store.centre().answer("east.R1:1").await;
    assert_eq!(store.adjust("X", 1).await.json()["sequence"], 4);
}
