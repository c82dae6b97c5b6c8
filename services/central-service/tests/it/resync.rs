//! Levels that are not the store's are repaired from its whole journal: in memory and in the database
//! alike, once, and whatever happens meanwhile.

use std::path::Path;
use std::sync::Arc;

use central_service::commitments::Commitment;
use central_service::ledger::Ask;
use event_log::{EventLog, MemoryLog};
use inventory_core::saga::Wish;
use rusqlite::Connection;
use shared_events::command::ReplayEvents;
use shared_events::reservation::{Allocation, Binding, StockReserved};
use shared_events::wire::{encode_event, header};
use shared_events::{RecordedEvent, StockEvent, StoreCommand, Version};
use tokio::sync::oneshot;

use crate::support::{Centre, Shop, file, heartbeats, publish, raw, sku, topics};

/// A shop with five items, all of them known to the centre; then somebody lays hands on its database.
fn tampered(folder: &Path) -> (Arc<dyn EventLog>, Shop, Centre) {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let shop = Shop::stocked("S1", 5);
    publish(log.as_ref(), &shop.journal);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    Centre::open(folder, &log).catch_up();
    let meddler = Connection::open(file(folder)).expect("the file is there");
    meddler
        .execute_batch(
            "UPDATE levels SET on_hand = 77 WHERE sku = 'ITEM-0';
             UPDATE levels SET sku = 'PHANTOM' WHERE sku = 'ITEM-1';
             DELETE FROM levels WHERE sku = 'ITEM-2';",
        )
        .expect("rows can be changed");
    let mut centre = Centre::open(folder, &log);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    (log, shop, centre)
}

/// Looks once, and lets the shop publish what it was asked for; gives the requests.
fn repair(log: &dyn EventLog, shop: &Shop, centre: &mut Centre) -> Vec<ReplayEvents> {
    centre.look();
    let mut asked = Vec::new();
    for command in centre.take_commands() {
        if let StoreCommand::ReplayEvents(wanted) = command.command {
            publish(log, shop.replay(&wanted));
            asked.push(wanted);
        }
    }
    asked
}

/// An event as only a newer version would write it.
fn of_tomorrow(log: &dyn EventLog, event: &RecordedEvent) {
    let mut record = encode_event(event);
    for (name, value) in &mut record.headers {
        if name == header::TYPE {
            *value = b"inventory.stock-teleported.v9".to_vec();
        }
    }
    raw(log, &topics().stock_events(), [record]);
}

fn state(centre: &Centre, shop: &Shop) -> &'static str {
    centre.model.store(&shop.id).expect("it is known").1.freshness.name()
}

#[track_caller]
fn memory_is_the_database(centre: Centre, folder: &Path, log: &Arc<dyn EventLog>) {
    let before = centre.picture();
    drop(centre);
    assert_eq!(Centre::open(folder, log).picture(), before);
}

#[track_caller]
fn is_the_journals(centre: &Centre, shop: &Shop) {
    let view = centre.view(&shop.id);
    assert_eq!((view.missing, view.digest.to_string()), (0, shop.heartbeat().digest));
    assert_eq!(state(centre, shop), "fresh");
}

#[test]
fn rows_that_somebody_changed_are_as_the_journal_has_them_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, shop, mut centre) = tampered(folder.path());
    assert_eq!(state(&centre, &shop), "diverged");
    assert_eq!(repair(log.as_ref(), &shop, &mut centre).len(), 1);
    assert_eq!(repair(log.as_ref(), &shop, &mut centre), [], "what it asked for is on its way");
    centre.catch_up();
    is_the_journals(&centre, &shop);
    assert_eq!(centre.on_hand(&shop.id, "PHANTOM"), None);
    for _look in 0..3 {
        assert_eq!(repair(log.as_ref(), &shop, &mut centre), [], "it is done once");
    }
    memory_is_the_database(centre, folder.path(), &log);
}

#[test]
fn a_comparison_goes_through_duplicates_new_sales_and_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut shop, mut centre) = tampered(folder.path());
    repair(log.as_ref(), &shop, &mut centre);
    drop(centre);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    for round in 1..=3 {
        shop.count("ITEM-0", round);
        shop.count("NEW", round);
        publish(log.as_ref(), &shop.journal[shop.journal.len() - 2..]);
        publish(log.as_ref(), shop.events(1, 2));
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        centre.catch_up();
        repair(log.as_ref(), &shop, &mut centre);
        centre.catch_up();
    }
    is_the_journals(&centre, &shop);
    memory_is_the_database(centre, folder.path(), &log);
}

/// What came beyond the report is applied; the next report must not miss it.
#[test]
fn what_was_sold_behind_the_report_stays_applied() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut shop, mut centre) = tampered(folder.path());
    repair(log.as_ref(), &shop, &mut centre);
    shop.count("ITEM-3", 40);
    shop.count("NEW", 1);
    publish(log.as_ref(), shop.events(6, 7));
    centre.catch_up();
    assert_eq!(centre.on_hand(&shop.id, "PHANTOM"), None, "it was repaired");
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    is_the_journals(&centre, &shop);
    for _look in 0..3 {
        assert_eq!(repair(log.as_ref(), &shop, &mut centre), [], "nothing is asked for again");
    }
    memory_is_the_database(centre, folder.path(), &log);
}

/// The last piece of the journal comes together with events of a life that was not reported yet.
#[test]
fn a_comparison_that_ends_with_the_first_events_of_a_new_life_leaves_memory_and_database_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut shop, mut centre) = tampered(folder.path());
    repair(log.as_ref(), &shop, &mut centre);
    shop.begin_new_life();
    shop.count("ITEM-3", 40);
    shop.count("NEW", 1);
    publish(log.as_ref(), shop.events(6, 7));
    centre.catch_up();
    let before = centre.picture();
    drop(centre);
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.picture(), before);

    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    for _round in 0..4 {
        centre.catch_up();
        repair(log.as_ref(), &shop, &mut centre);
    }
    is_the_journals(&centre, &shop);
    memory_is_the_database(centre, folder.path(), &log);
}

#[test]
fn a_new_life_starts_a_comparison_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, shop, mut centre) = tampered(folder.path());
    centre.look();
    publish(log.as_ref(), shop.events(1, 4));
    centre.catch_up();
    let mut reborn = shop.backup(3);
    reborn.begin_new_life();
    reborn.count("ITEM-3", 9);
    publish(log.as_ref(), reborn.events(4, 4));
    heartbeats(log.as_ref(), [reborn.heartbeat()]);
    for _round in 0..3 {
        centre.catch_up();
        repair(log.as_ref(), &reborn, &mut centre);
    }
    is_the_journals(&centre, &reborn);
    assert_eq!(centre.on_hand(&shop.id, "ITEM-4"), None, "the journal has lost it");
    memory_is_the_database(centre, folder.path(), &log);
}

/// A type of a newer version has come, and it changed a level: the journal leads elsewhere here.
#[test]
fn a_journal_that_is_not_understood_replaces_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut shop, mut centre) = tampered(folder.path());
    shop.count("ITEM-3", 9);
    of_tomorrow(log.as_ref(), shop.journal.last().expect("an event"));
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    let before = centre.picture();
    centre.look();
    publish(log.as_ref(), shop.events(1, 5));
    centre.catch_up();
    assert_eq!(state(&centre, &shop), "diverged");
    assert_eq!(centre.picture().levels, before.levels);
    memory_is_the_database(centre, folder.path(), &log);
}

/// The level of an item heals with its next event. What was promised of it does not.
#[test]
fn promises_of_a_lost_end_go_although_the_levels_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let mut lost = Shop::new("S1");
    lost.count("MUG", 10);
    let mut shop = lost.clone();
    let allocation = Allocation {
        reservation_id: "elsewhere.r".parse().expect("an id"),
        order_id: "o".parse().expect("an id"),
        attempt: 1,
        line: 1,
        lines: 1,
        quantity: 3,
        line_quantity: 3,
        expires_at: shop.heartbeat().sent_at,
        binding: Binding::Any,
    };
    let version = Version::new(2);
    let kept = StockReserved { version, on_hand: 10, reserved: 3, allocation };
    lost.say("MUG", None, StockEvent::Reserved(kept));
    publish(log.as_ref(), &lost.journal);
    heartbeats(log.as_ref(), [lost.heartbeat()]);
    Centre::open(folder.path(), &log).catch_up();
    shop.begin_new_life();
    shop.count("MUG", 8);
    publish(log.as_ref(), shop.journal.last());
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    Centre::open(folder.path(), &log).catch_up();

    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    is_the_journals(&centre, &shop);
    assert_eq!(centre.promised(&shop.id, "MUG").len(), 1, "this is what is wrong");
    assert_eq!(repair(log.as_ref(), &shop, &mut centre).len(), 1);
    centre.catch_up();
    assert_eq!(centre.promised(&shop.id, "MUG"), []);
    assert_eq!(repair(log.as_ref(), &shop, &mut centre), []);
    memory_is_the_database(centre, folder.path(), &log);
}

/// What this centre has asked for and was not answered is in no journal.
#[test]
fn holds_stay_through_a_comparison() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, shop, mut centre) = tampered(folder.path());
    let wish = Wish {
        order_id: "o".parse().expect("an id"),
        lines: vec![(sku("ITEM-4"), 3)],
        store_id: None,
        near: None,
        allow_split: false,
        expires_at: centre.now.plus_millis(900_000),
        traceparent: None,
        owner: None,
    };
    let (id, (reply, _answer)) = ("c1.r".parse().expect("an id"), oneshot::channel());
    let ask = Ask::Reserve { id, request: None, wish, wait: false, reply };
    centre.projection.serve(vec![ask], centre.now).expect("the database works");
    let held = centre.promised(&shop.id, "ITEM-4");
    assert!(matches!(held[..], [(_, Commitment::Hold(3))]), "{held:?}");
    repair(log.as_ref(), &shop, &mut centre);
    centre.catch_up();
    is_the_journals(&centre, &shop);
    assert_eq!(centre.promised(&shop.id, "ITEM-4"), held);
    memory_is_the_database(centre, folder.path(), &log);
}

#[test]
fn what_a_journal_has_lost_is_refused_also_when_it_is_not_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let lost = Shop::stocked("S1", 5);
    let mut shop = lost.backup(3);
    shop.begin_new_life();
    publish(log.as_ref(), &shop.journal);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    of_tomorrow(log.as_ref(), &lost.journal[4]);
    centre.catch_up();
    assert_eq!(repair(log.as_ref(), &shop, &mut centre), [], "nothing of it is here");
}
