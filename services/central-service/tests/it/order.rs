//! What one batch does: the newest sequence wins, each row is written once, and effect and position
//! stand or fall together.

use std::sync::Arc;

use central_service::projection::{Applied, Batch};
use event_log::{EventLog, MemoryLog};
use rusqlite::Connection;
use shared_events::RecordedEvent;

use crate::support::{Centre, Shop, file, fold, publish, store};

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>) {
    (tempfile::tempdir().expect("a folder"), Arc::new(MemoryLog::default()))
}

fn batch(events: &[&RecordedEvent]) -> Batch {
    Batch { events: events.iter().map(|event| (*event).clone()).collect(), ..Batch::default() }
}

fn applied(events: u64, duplicates: u64, rows: u64) -> Applied {
    Applied { events, duplicates, rows, ..Applied::default() }
}

/// All orders of a few things, by Heap's algorithm.
fn orders<T: Copy>(things: &[T]) -> Vec<Vec<T>> {
    fn heap<T: Copy>(size: usize, things: &mut [T], found: &mut Vec<Vec<T>>) {
        if size <= 1 {
            found.push(things.to_vec());
            return;
        }
        for place in 0..size {
            heap(size - 1, things, found);
            things.swap(if size.is_multiple_of(2) { place } else { 0 }, size - 1);
        }
    }
    let mut found = Vec::new();
    heap(things.len(), &mut things.to_vec(), &mut found);
    found
}

/// Two lives of one item and a second item beside it: five events.
fn two_lives() -> Shop {
    let mut shop = Shop::new("S1");
    shop.count("A", 10);
    shop.change("A", -3);
    shop.count("B", 4);
    shop.begin_new_life();
    shop.change("A", 5);
    shop.change("A", -1);
    shop
}

#[test]
fn the_newest_sequence_wins_in_every_order() {
    let shop = two_lives();
    let all: Vec<&RecordedEvent> = shop.journal.iter().collect();
    let expected = fold(&shop.journal);
    let (folder, log) = setting();
    for (order, split) in orders(&all).iter().zip((0..=5).cycle()) {
        let place = folder.path().join("one");
        let mut centre = Centre::open(&place, &log);
        let (first, second) = order.split_at(split);
        let sum = centre.apply(&batch(first)).events + centre.apply(&batch(second)).events;
        assert_eq!(sum, 5, "{order:?}");

        let (index, seen) = centre.model.store(&shop.id).expect("events of it came");
        for (sku, item) in &expected {
            let level = centre.model.level(index, sku).expect("events of it came");
            assert_eq!(level.item(), *item, "{sku} after {order:?} split at {split}");
        }
        assert_eq!(seen.view.digest.to_string(), shop.heartbeat().digest, "{order:?}");
        drop(centre);
        std::fs::remove_dir_all(&place).expect("the folder can go");
    }
}

#[test]
fn a_batch_writes_each_changed_row_once() {
    let mut shop = Shop::new("S1");
    for step in 1..=900 {
        shop.count(["A", "B", "C"][step % 3], i64::try_from(step).expect("small"));
    }
    let (folder, log) = setting();
    let mut centre = Centre::open(folder.path(), &log);
    let all: Vec<&RecordedEvent> = shop.journal.iter().collect();
    assert_eq!(centre.apply(&batch(&all)), applied(900, 0, 3));
    assert_eq!(centre.apply(&batch(&all)), applied(0, 900, 0));
}

#[test]
fn a_late_older_event_is_counted_and_changes_nothing() {
    let mut shop = Shop::new("S1");
    shop.count("A", 1);
    shop.count("A", 2);
    shop.count("A", 3);
    let (folder, log) = setting();
    let mut centre = Centre::open(folder.path(), &log);
    let event = |sequence: usize| &shop.journal[sequence - 1];
    assert_eq!(centre.apply(&batch(&[event(3)])), applied(1, 0, 1));
    assert_eq!(centre.apply(&batch(&[event(1)])), applied(1, 0, 0));
    assert_eq!(centre.apply(&batch(&[event(1), event(2), event(2)])), applied(1, 2, 0));
    assert_eq!(centre.on_hand(&shop.id, "A"), Some(3));
}

#[test]
fn a_batch_that_was_read_and_not_applied_is_read_again() {
    let shop = Shop::stocked("S1", 20);
    let (folder, log) = setting();
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    let read = centre.poll().expect("the broker works").expect("a batch");
    assert_eq!(read.events.len(), 20);
    drop(centre);

    let mut centre = Centre::open(folder.path(), &log);
    assert!(centre.model.stores().is_empty(), "nothing was applied");
    assert_eq!(centre.catch_up(), applied(20, 0, 20));
}

#[test]
fn a_batch_that_was_applied_is_not_read_again() {
    let shop = Shop::stocked("S1", 20);
    let (folder, log) = setting();
    publish(log.as_ref(), &shop.journal);
    assert_eq!(Centre::open(folder.path(), &log).catch_up(), applied(20, 0, 20));

    let mut centre = Centre::open(folder.path(), &log);
    assert!(centre.reads_nothing(), "there is nothing new");
    assert_eq!(centre.picture().levels.len(), 20);
}

/// The last thing that a commit writes are the positions: all that came before them must go as well.
#[test]
fn a_commit_that_fails_at_its_end_leaves_nothing_behind() {
    let shop = Shop::stocked("S1", 20);
    let (folder, log) = setting();
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    let meddler = Connection::open(file(folder.path())).expect("the file is there");
    meddler
        .execute_batch(
            "CREATE TRIGGER meddle BEFORE INSERT ON positions
             BEGIN SELECT RAISE(ABORT, 'no positions today'); END",
        )
        .expect("a trigger can be made");
    let read = centre.poll().expect("the broker works").expect("a batch");
    let refused = centre.projection.apply(&read, centre.now).expect_err("the trigger refuses");
    assert!(refused.to_string().contains("no positions today"), "{refused}");
    assert!(centre.model.stores().is_empty(), "memory shows what is committed");
    drop(centre);
    meddler.execute_batch("DROP TRIGGER meddle").expect("a trigger can go");

    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.picture().stores, []);
    assert_eq!(centre.catch_up(), applied(20, 0, 20));
    assert_eq!(centre.on_hand(&store("S1"), "ITEM-19"), Some(20));
}
