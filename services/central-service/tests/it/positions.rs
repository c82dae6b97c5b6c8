//! Positions that mean nothing any more: the topic is another one, records are gone, the cluster is
//! another one. The centre starts from what is there, and ends right.

use std::path::Path;
use std::sync::Arc;

use event_log::{Error, EventLog, MemoryLog, Offset};
use shared_events::RecordedEvent;
use shared_events::topic::event_key;

use crate::support::{Centre, Moving, Shop, at, heartbeats, publish, topics};

/// The centre knows exactly what the shop wrote.
#[track_caller]
fn check(centre: &Centre, shop: &Shop) {
    let view = centre.view(&shop.id);
    assert_eq!((view.applied_through, view.missing), (shop.head(), 0));
    assert_eq!(view.digest.to_string(), shop.heartbeat().digest);
}

fn recreate(log: &MemoryLog) {
    let all = [topics().stock_events(), topics().heartbeats(), topics().dead_letters()];
    for topic in &all {
        log.delete_topic(&topic.name);
    }
    log.ensure_topics(&all).expect("topics can be made");
}

/// A centre that has read everything of a shop with twenty items.
fn settled(folder: &Path, log: &Arc<dyn EventLog>) -> (Centre, Shop) {
    let shop = Shop::stocked("S1", 20);
    let mut centre = Centre::open(folder, log);
    publish(log.as_ref(), &shop.journal);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    check(&centre, &shop);
    (centre, shop)
}

/// Events of the partition that holds an item.
fn of_partition(log: &dyn EventLog, shop: &Shop, partition: i32) -> Vec<RecordedEvent> {
    let extent = log.extents(&topics().stock_events()).expect("the topic is there")
        [usize::try_from(partition).expect("a partition")];
    let keys: Vec<Vec<u8>> = (extent.low.0..extent.high.0)
        .map(|offset| {
            at(log, &format!("{}/{partition}/{offset}", topics().stock_events().name)).key
        })
        .collect();
    let lies_there = |event: &&RecordedEvent| {
        keys.contains(&event_key(&event.id.store, &event.sku).into_bytes())
    };
    shop.journal.iter().filter(lies_there).cloned().collect()
}

#[test]
fn a_topic_that_was_recreated_is_read_from_its_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryLog::default();
    let log: Arc<dyn EventLog> = Arc::new(memory.clone());
    let (mut centre, mut shop) = settled(folder.path(), &log);

    memory.delete_topic(&topics().stock_events().name);
    memory.delete_topic(&topics().heartbeats().name);
    assert!(matches!(centre.poll(), Err(Error::TopicMissing(_))), "the session is over");
    recreate(&memory);
    shop.change("ITEM-3", 5);
    publish(log.as_ref(), &shop.journal[15..]);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let applied = centre.catch_up();
    assert_eq!((applied.events, applied.duplicates, applied.rows), (1, 5, 1));
    check(&centre, &shop);
    drop(centre);

    let mut centre = Centre::open(folder.path(), &log);
    assert!(centre.reads_nothing(), "the new positions were kept");
    check(&centre, &shop);
}

/// Offsets alone cannot tell a new topic that has grown beyond the old position from the old one. What
/// is skipped then is missing, and what is missing is asked for.
#[test]
fn a_recreated_topic_that_outgrew_the_position_heals_by_a_replay() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryLog::default();
    let log: Arc<dyn EventLog> = Arc::new(memory.clone());
    let (centre, mut shop) = settled(folder.path(), &log);
    drop(centre);
    recreate(&memory);
    for item in 0..20 {
        shop.change(&format!("ITEM-{item}"), 100);
    }
    publish(log.as_ref(), shop.journal.iter().rev());
    heartbeats(log.as_ref(), [shop.heartbeat(), shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.catch_up().events, 0, "what was new lay before the position");
    assert_eq!((centre.view(&shop.id).missing, centre.look(), centre.look()), (20, 0, 1));
    publish(log.as_ref(), shop.events(21, 40));
    centre.catch_up();
    check(&centre, &shop);
}

#[test]
fn a_session_that_finds_its_position_gone_ends_and_the_next_one_starts_from_what_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryLog::default();
    let log: Arc<dyn EventLog> = Arc::new(memory.clone());
    let (mut centre, mut shop) = settled(folder.path(), &log);
    recreate(&memory);
    assert!(matches!(centre.poll(), Err(Error::PositionLost)));
    shop.count("NEW", 1);
    publish(log.as_ref(), shop.journal.last());
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    assert_eq!(centre.catch_up().events, 1);
    check(&centre, &shop);
}

/// A partition of the new topic that is quiet at first must not be read from the old position later,
/// when it has grown beyond it.
#[test]
fn a_position_of_the_old_topic_does_not_come_back_with_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryLog::default();
    let log: Arc<dyn EventLog> = Arc::new(memory.clone());
    let (centre, mut shop) = settled(folder.path(), &log);
    drop(centre);
    recreate(&memory);
    // The new topics hold heartbeats and no event yet.
    heartbeats(log.as_ref(), [shop.heartbeat(), shop.heartbeat()]);
    Centre::open(folder.path(), &log).catch_up();

    let known = shop.journal.len();
    for item in 0..20 {
        shop.change(&format!("ITEM-{item}"), 100);
    }
    publish(log.as_ref(), &shop.journal[known..]);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.catch_up().events, 20);
    check(&centre, &shop);
}

#[test]
fn records_that_were_deleted_are_asked_for_and_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryLog::default();
    let log: Arc<dyn EventLog> = Arc::new(memory.clone());
    let (centre, mut shop) = settled(folder.path(), &log);
    drop(centre);

    let known = shop.journal.len();
    for item in 0..20 {
        shop.change(&format!("ITEM-{item}"), 100);
        shop.change(&format!("ITEM-{item}"), -1);
    }
    publish(log.as_ref(), &shop.journal[known..]);
    // Beyond the centre's positions, into what it has not read.
    for (extent, partition) in log.extents(&topics().stock_events()).expect("there").iter().zip(0..)
    {
        let before = Offset(extent.high.0 - 1);
        memory.delete_records_before(&topics().stock_events().name, partition, before);
    }
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.catch_up().events, 3, "the one that each partition still has");
    assert_eq!(centre.view(&shop.id).missing, 37);

    assert_eq!((centre.look(), centre.look()), (0, 1), "the store is asked");
    publish(log.as_ref(), &shop.journal[known..]);
    assert_eq!(centre.catch_up().events, 37);
    check(&centre, &shop);
}

#[test]
fn another_cluster_is_read_from_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = MemoryLog::default();
    let moving = Arc::new(Moving::new("old", &old));
    let log: Arc<dyn EventLog> = moving.clone();
    let (mut centre, mut shop) = settled(folder.path(), &log);

    // The new cluster has as many records, in another order, and one event more: all positions of the
    // old one are within it.
    let new = MemoryLog::default();
    shop.change("ITEM-7", 7);
    publish(&new, shop.journal.iter().rev());
    heartbeats(&new, [shop.heartbeat()]);
    moving.move_to("new", &new);
    centre.session = None;
    let applied = centre.catch_up();
    assert_eq!((applied.events, applied.duplicates), (1, 20));
    check(&centre, &shop);
    drop(centre);

    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.intake.cluster_id.as_deref(), Some("new"));
    assert!(centre.reads_nothing(), "it is not read twice");
}

/// The first batch from the new cluster reaches one partition only, and the centre dies.
#[test]
fn no_position_of_the_old_cluster_outlives_the_first_batch_from_the_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = MemoryLog::default();
    let moving = Arc::new(Moving::new("old", &old));
    let log: Arc<dyn EventLog> = moving.clone();
    let (centre, mut shop) = settled(folder.path(), &log);
    drop(centre);

    let new = MemoryLog::default();
    moving.move_to("new", &new);
    publish(&new, &of_partition(&old, &shop, 0));
    Centre::open(folder.path(), &log).catch_up();

    let known = shop.journal.len();
    for item in 0..20 {
        shop.change(&format!("ITEM-{item}"), 100);
    }
    publish(&new, &shop.journal[known..]);
    heartbeats(&new, [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.catch_up().events, 20);
    check(&centre, &shop);
}

/// The name of the cluster must reach the database although the first session on it failed, or a
/// later move would not be noticed.
#[test]
fn the_cluster_is_noted_although_the_first_session_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = MemoryLog::default();
    let moving = Arc::new(Moving::new("old", &old));
    let log: Arc<dyn EventLog> = moving.clone();
    let mut centre = Centre::open(folder.path(), &log);
    moving.refuse_subscribers(true);
    assert!(centre.intake.open().is_err());
    moving.refuse_subscribers(false);
    let shop = Shop::stocked("S1", 20);
    publish(&old, &shop.journal);
    heartbeats(&old, [shop.heartbeat()]);
    centre.catch_up();
    drop(centre);
    let centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.intake.cluster_id.as_deref(), Some("old"));
}

#[test]
fn an_error_behind_records_neither_loses_them_nor_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryLog::default();
    let moving = Arc::new(Moving::new("old", &memory));
    let log: Arc<dyn EventLog> = moving.clone();
    let shop = Shop::stocked("S1", 20);
    publish(&memory, &shop.journal);
    heartbeats(&memory, [shop.heartbeat()]);
    moving.fail_behind_records();
    let mut centre = Centre::open(folder.path(), &log);
    let batch = centre.poll().expect("records first").expect("a batch");
    assert_eq!(batch.events.len() + batch.heartbeats.len(), 5);
    let first = centre.apply(&batch);
    assert_eq!(centre.poll().expect_err("then the error"), Error::PositionLost);
    let rest = centre.catch_up();
    assert_eq!((first.events + rest.events, rest.duplicates), (20, 0));
    check(&centre, &shop);
}
