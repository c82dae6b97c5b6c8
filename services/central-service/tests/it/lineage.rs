//! What counts of a journal that had several lives, and what its store is told of it.

use std::sync::Arc;

use event_log::{EventLog, MemoryLog};
use inventory_core::witness::Comparison;
use shared_events::command::{JournalWitnessed, ReplayEvents};
use shared_events::{Epoch, Sequence, StoreCommand};

use crate::support::{Centre, Shop, heartbeats, publish, records, topics};

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>) {
    (tempfile::tempdir().expect("a folder"), Arc::new(MemoryLog::default()))
}

fn asks(epoch: u64, from: u64, through: u64) -> StoreCommand {
    StoreCommand::ReplayEvents(ReplayEvents {
        epoch: Epoch::new(epoch),
        from: Sequence::new(from),
        through: Sequence::new(through),
    })
}

/// What stores were told of their journals.
fn told(centre: &Centre) -> Vec<JournalWitnessed> {
    let told = |command| match command {
        StoreCommand::JournalWitnessed(seen) => Some(seen),
        _ => None,
    };
    centre.commands().into_iter().filter_map(|(_, sent)| told(sent.command)).collect()
}

/// Ten events, of which a backup has five; the restored one goes on in a second life, with five more.
fn restored() -> (Shop, Shop) {
    let lost = Shop::stocked("S1", 10);
    let mut shop = lost.backup(5);
    shop.begin_new_life();
    for units in 1..=5 {
        shop.count("NEW", units);
    }
    (lost, shop)
}

fn counts(centre: &Centre, shop: &Shop) -> (u64, u64) {
    let view = centre.view(&shop.id);
    (view.applied_through.get(), view.missing)
}

/// Events that were lost stand at the same sequences as those of the next life.
#[test]
fn events_that_a_journal_lost_do_not_stand_for_those_of_its_next_life() {
    let (folder, log) = setting();
    let (lost, shop) = restored();
    publish(log.as_ref(), &lost.journal);
    heartbeats(log.as_ref(), [lost.heartbeat(), shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    assert_eq!(counts(&centre, &shop), (5, 5));
    drop(centre);

    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(counts(&centre, &shop), (5, 5), "also after a restart");
    centre.look();
    centre.look();
    let asked: Vec<_> = centre.commands().into_iter().map(|(_, sent)| sent.command).collect();
    assert!(asked.contains(&asks(2, 6, 10)), "{asked:?}");
    publish(log.as_ref(), shop.events(6, 10));
    centre.catch_up();
    assert_eq!(counts(&centre, &shop), (10, 0));
}

/// A store that found nobody to ask goes on without them; somebody has to say so.
#[test]
fn what_a_store_once_reported_and_goes_on_without_is_counted() {
    let (folder, log) = setting();
    let (lost, shop) = restored();
    let mut centre = Centre::open(folder.path(), &log);
    let mut heard = |shop: &Shop| {
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        centre.catch_up().lost
    };
    assert_eq!((heard(&lost), heard(&shop), heard(&shop)), (0, 5, 0));
    let mut again = shop.clone();
    again.begin_new_life();
    assert_eq!(heard(&again), 0, "a new life behind all of it");
}

/// Events and heartbeats come by different partitions, in any order; restarts come in between.
#[test]
fn lives_are_counted_alike_whatever_comes_first() {
    let (lost, mut shop) = restored();
    let second = shop.heartbeat();
    shop.begin_life(4);
    shop.count("NEWER", 1);
    shop.count("NEWER", 2);
    let beats = [lost.heartbeat(), second, shop.heartbeat()];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        for events_first in [true, false] {
            let (folder, log) = setting();
            let say_all = || {
                publish(log.as_ref(), shop.events(11, 12));
                publish(log.as_ref(), shop.events(1, 9));
            };
            if events_first {
                say_all();
            }
            for beat in order {
                let mut centre = Centre::open(folder.path(), &log);
                heartbeats(log.as_ref(), [beats[beat].clone()]);
                centre.catch_up();
            }
            if !events_first {
                say_all();
            }
            Centre::open(folder.path(), &log).catch_up();
            let centre = Centre::open(folder.path(), &log);
            assert_eq!(counts(&centre, &shop), (9, 1), "{order:?} {events_first}");
            let witness = centre.view(&shop.id).witness;
            assert_eq!((witness.epoch.get(), witness.head), (4, shop.head()), "{order:?}");
        }
    }
}

#[test]
fn events_outside_of_the_lives_are_refused_and_kept_apart() {
    let (folder, log) = setting();
    let (lost, shop) = restored();
    let mut centre = Centre::open(folder.path(), &log);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    publish(log.as_ref(), lost.events(1, 10));
    publish(log.as_ref(), shop.events(6, 10));
    centre.catch_up();
    assert_eq!(counts(&centre, &shop), (10, 0));
    assert_eq!(centre.on_hand(&shop.id, "ITEM-5"), None, "it was lost");
    assert_eq!(centre.on_hand(&shop.id, "ITEM-4"), Some(5), "what both have counts");
    let letters = centre.outbox().into_iter().map(|row| row.publication);
    let dead = letters.filter(|letter| letter.topic == topics().dead_letters().name);
    assert_eq!(dead.count(), 5);
    assert_eq!(records(log.as_ref(), &topics().heartbeats()).len(), 1);
}

/// Retention cut the events, compaction left one heartbeat, the centre has no database.
#[test]
fn a_centre_that_knows_nothing_counts_from_one_heartbeat() {
    let (folder, log) = setting();
    let (_, shop) = restored();
    publish(log.as_ref(), shop.events(4, 7));
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    assert_eq!(counts(&centre, &shop), (0, 6));
    assert_eq!((centre.look(), centre.look()), (0, 1));
    assert_eq!(centre.commands()[0].1.command, asks(2, 1, 10));
    publish(log.as_ref(), &shop.journal);
    centre.catch_up();
    assert_eq!(counts(&centre, &shop), (10, 0));
    assert_eq!(centre.view(&shop.id).digest.to_string(), shop.heartbeat().digest);
}

/// Until its heartbeat comes nobody can tell whose events these are.
#[tokio::test]
async fn events_of_a_later_life_than_was_reported_leave_nothing_fresh() {
    let (folder, log) = setting();
    let mut shop = Shop::stocked("S1", 3);
    let mut copy = shop.clone();
    copy.begin_new_life();
    copy.count("ITEM-0", 9);
    publish(log.as_ref(), &copy.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    // The copy is gone before it has reported. The shop knows nothing of it.
    shop.count("ITEM-0", 5);
    publish(log.as_ref(), shop.journal.last());
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    let state = |centre: &Centre| centre.model.store(&shop.id).expect("known").1.freshness.name();
    assert_eq!((centre.on_hand(&shop.id, "ITEM-0"), state(&centre)), (Some(9), "unknown"));

    assert_eq!(centre.look(), 1, "the whole journal is asked for");
    publish(log.as_ref(), &shop.journal);
    centre.catch_up();
    assert_eq!((centre.on_hand(&shop.id, "ITEM-0"), state(&centre)), (Some(5), "fresh"));
    let before = centre.picture();
    drop(centre);
    assert_eq!(Centre::open(folder.path(), &log).picture(), before);
}

/// A store asks until it is answered: a second hello can come behind its first sales.
#[test]
fn a_store_whose_hello_comes_late_is_not_contradicted() {
    let (folder, log) = setting();
    let (lost, mut shop) = restored();
    publish(log.as_ref(), &lost.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    heartbeats(log.as_ref(), [lost.heartbeat(), lost.backup(5).hello()]);
    publish(log.as_ref(), shop.events(6, 10));
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    let hello = lost.backup(5).hello();
    for late in [hello, lost.heartbeat(), shop.backup(8).heartbeat()] {
        shop.count("NEW", 1);
        publish(log.as_ref(), shop.journal.last());
        heartbeats(log.as_ref(), [late]);
        centre.catch_up();
    }
    let told = told(&centre);
    assert!(!told.is_empty());
    for seen in told {
        let compared = shop.compare(&seen);
        assert!(
            matches!(compared, Comparison::Whole | Comparison::Earlier),
            "{compared:?} {seen:?}"
        );
    }
}

#[test]
fn a_store_that_asks_hears_of_events_whose_heartbeat_never_came() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 10);
    heartbeats(log.as_ref(), [shop.backup(7).heartbeat()]);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let backup = shop.backup(4);
    heartbeats(log.as_ref(), [backup.hello()]);
    centre.catch_up();
    let told = told(&centre);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].epoch.get(), told[0].head.get()), (1, 10));
    assert_eq!(backup.compare(&told[0]), Comparison::Behind);
    assert_eq!(shop.compare(&told[0]), Comparison::Whole);
}

#[test]
fn of_two_copies_the_lower_life_is_told_and_the_higher_is_not_contradicted() {
    let (folder, log) = setting();
    let mut one = Shop::stocked("S1", 3);
    let mut other = one.clone();
    other.begin_new_life();
    publish(log.as_ref(), &one.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    heartbeats(log.as_ref(), [one.heartbeat()]);
    centre.catch_up();
    for _round in 0..3 {
        one.count("ONE", 1);
        other.count("OTHER", 1);
        publish(log.as_ref(), one.journal.last());
        publish(log.as_ref(), other.journal.last());
        heartbeats(log.as_ref(), [one.heartbeat(), other.heartbeat()]);
        centre.catch_up();
    }
    let told = told(&centre);
    assert!(!told.is_empty());
    for seen in &told {
        assert_eq!(other.compare(seen), Comparison::Whole, "{seen:?}");
    }
    let last = one.compare(told.last().expect("it was told"));
    assert!(matches!(last, Comparison::Forked | Comparison::Behind), "{last:?}");
    assert_eq!(centre.view(&other.id).missing, 0);
}

/// Neither has begun a life of its own: only the hash tells what each of them wrote.
#[test]
fn of_two_copies_in_one_life_one_is_told_what_it_does_not_have() {
    let (folder, log) = setting();
    let mut one = Shop::stocked("S1", 3);
    let mut other = one.clone();
    for units in 1..=3 {
        other.count("OTHER", units);
    }
    publish(log.as_ref(), &other.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    one.count("ONE", 1);
    heartbeats(log.as_ref(), [other.backup(5).heartbeat(), one.heartbeat()]);
    centre.catch_up();
    let told = told(&centre);
    assert_eq!(told.len(), 1);
    assert_eq!(one.compare(&told[0]), Comparison::Behind);
    for units in 1..=4 {
        one.count("ONE", units);
    }
    assert_eq!(one.compare(&told[0]), Comparison::Forked, "however far it has gone on since");
    assert_eq!(other.compare(&told[0]), Comparison::Whole);
}
