//! Records nobody can read cost nothing but themselves: they are kept with the reason, and reading
//! goes on.

use std::collections::BTreeSet;
use std::sync::Arc;

use central_service::admission::Cause;
use central_service::database::{Database, Lane};
use event_log::{EventLog, MemoryLog};
use serde_json::{Value, json};
use shared_events::StoreId;
use shared_events::wire::{OutgoingRecord, encode_event, encode_heartbeat, header};

use crate::support::{
    Centre, Running, SOON, Shop, at, config, get, heartbeats, publish, raw, records, sku, store,
    topics, wait_for,
};

type Spoil = fn(&mut OutgoingRecord);

/// Every way in which an event record can be wrong, on a record that was right.
const EVENTS: [(&str, Spoil); 25] = [
    ("foreign store id", |record| set(record, header::ID, b"S2/1/1")),
    ("foreign source", |record| set(record, header::SOURCE, b"/stores/S2")),
    ("another item's key", |record| record.key = b"S1|OTHER".to_vec()),
    ("another store's key", |record| record.key = b"S2|BAD".to_vec()),
    ("no key", |record| record.key.clear()),
    ("key that is no text", |record| record.key = vec![0xff, 0xfe, b'|']),
    ("truncated JSON", |record| record.value.as_mut().expect("a value").truncate(20)),
    ("empty value", |record| record.value = Some(Vec::new())),
    ("tombstone", |record| record.value = None),
    ("random bytes", |record| {
        let mut rng = fastrand::Rng::with_seed(7);
        record.key = (0..40).map(|_| rng.u8(..)).collect();
        record.value = Some((0..4_000).map(|_| rng.u8(..)).collect());
        record.headers = (0..9).map(|n| (format!("h{n}"), vec![rng.u8(..); 9])).collect();
    }),
    ("no headers", |record| record.headers.clear()),
    ("no id", |record| remove(record, header::ID)),
    ("no source", |record| remove(record, header::SOURCE)),
    ("no subject", |record| remove(record, header::SUBJECT)),
    ("no time", |record| remove(record, header::TIME)),
    ("type that is no text", |record| set(record, header::TYPE, &[0xff])),
    ("sequence beyond 2^53", |record| set(record, header::ID, b"S1/1/9007199254740992")),
    ("sequence beyond u64", |record| set(record, header::ID, b"S1/1/99999999999999999999")),
    ("version beyond 2^53", |record| put(record, "version", json!(1_u64 << 53))),
    ("more units than a shelf holds", |record| put(record, "onHand", json!(10_000_000_000_i64))),
    ("units beyond i64", |record| put(record, "onHand", json!(1e300))),
    ("nesting without end", |record| record.value = Some(vec![b'['; 100_000])),
    ("nesting in a field", |record| {
        let nested = "[".repeat(100_000);
        record.value = Some(format!("{{\"reason\":{nested}").into_bytes());
    }),
    ("2 MiB of value", |record| record.value.as_mut().expect("a value").resize(2 << 20, b' ')),
    ("headers without number", |record| {
        record.headers.extend((0..5_000).map(|n| (format!("h{n}"), Vec::new())));
    }),
];

/// The same for heartbeats.
const HEARTBEATS: [(&str, Spoil); 9] = [
    ("foreign store", |record| put(record, "storeId", json!("S2"))),
    ("foreign key", |record| record.key = b"S2".to_vec()),
    ("epoch 0", |record| put(record, "epoch", json!(0))),
    ("head beyond 2^53", |record| put(record, "head", json!(1_u64 << 53))),
    ("published beyond its head", |record| put(record, "publishedThrough", json!(1_000))),
    ("truncated JSON", |record| record.value.as_mut().expect("a value").truncate(9)),
    ("tombstone", |record| record.value = None),
    ("nesting without end", |record| record.value = Some(vec![b'['; 100_000])),
    ("2 MiB of value", |record| record.value.as_mut().expect("a value").resize(2 << 20, b' ')),
];

fn set(record: &mut OutgoingRecord, name: &str, value: &[u8]) {
    remove(record, name);
    record.headers.push((name.to_owned(), value.to_vec()));
}

fn remove(record: &mut OutgoingRecord, name: &str) {
    record.headers.retain(|(known, _)| known != name);
}

fn put(record: &mut OutgoingRecord, field: &str, value: Value) {
    let bytes = record.value.as_ref().expect("a value");
    let mut json: Value = serde_json::from_slice(bytes).expect("JSON");
    json[field] = value;
    record.value = Some(json.to_string().into_bytes());
}

fn of_unknown_type(mut record: OutgoingRecord) -> OutgoingRecord {
    set(&mut record, header::TYPE, b"inventory.stock-teleported.v9");
    record.value = Some(b"not even JSON".to_vec());
    record
}

/// Writes all bad records, each between two good ones. Gives the shop with what it really has.
fn spoiled(log: &dyn EventLog) -> Shop {
    let mut shop = Shop::new("S1");
    let mut bad = Shop::new("S1");
    bad.count("BAD", 666);
    for (name, spoil) in EVENTS {
        shop.count(&format!("after {name}"), 1);
        let mut record = encode_event(&bad.journal[0]);
        spoil(&mut record);
        raw(log, &topics().stock_events(), [record]);
        publish(log, shop.journal.last());
    }
    for (_name, spoil) in HEARTBEATS {
        let mut record = encode_heartbeat(&shop.heartbeat());
        spoil(&mut record);
        raw(log, &topics().heartbeats(), [record]);
    }
    shop
}

const ALL: usize = EVENTS.len() + HEARTBEATS.len();

/// A letter is the record at its origin, with origin and reason behind its own headers. Gives the
/// origin.
#[track_caller]
fn check_letter(log: &dyn EventLog, letter: &OutgoingRecord) -> String {
    let [headers @ .., (origin_name, origin), (reason_name, reason)] = letter.headers.as_slice()
    else {
        panic!("a letter has at least two headers");
    };
    assert_eq!((origin_name.as_str(), reason_name.as_str()), (header::ORIGIN, header::REASON));
    assert!(!reason.is_empty());
    let origin = String::from_utf8(origin.clone()).expect("an origin is text");
    let original = at(log, &origin);
    assert_eq!((&letter.key, &letter.value), (&original.key, &original.value), "{origin}");
    assert_eq!(headers, original.headers, "{origin}");
    origin
}

async fn wait_until_known(centre: &Running, shop: &Shop) {
    let store: &StoreId = &shop.id;
    test_support::eventually_async("all good events are applied", SOON, async || {
        let view = centre.model.store(store)?.1.view;
        (view.witness.head == shop.head() && view.missing == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_records_are_kept_once_and_hold_up_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let shop = spoiled(log.as_ref());
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let topic = topics().dead_letters();

    let centre = Running::start(config(folder.path()), &log).await;
    wait_for(log.as_ref(), &topic, ALL);
    wait_until_known(&centre, &shop).await;
    let (index, seen) = centre.model.store(&shop.id).expect("it is known");
    assert_eq!(seen.view.digest.to_string(), shop.heartbeat().digest, "exactly the good events");
    assert_eq!(centre.model.level(index, &sku("BAD")), None);
    assert!(centre.model.store(&store("S2")).is_none(), "nobody speaks for another store");
    let metrics = get(&centre.router, "/metrics").await.text;
    let counted = |cause: &str, count: usize| {
        let line = format!("onhand_central_dead_letters_total{{cause=\"{cause}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    };
    counted("unreadable", ALL);
    counted("misplaced", 0);
    counted("implausible", 0);
    centre.stop().await;

    let letters = records(log.as_ref(), &topic);
    let origins: BTreeSet<_> =
        letters.iter().map(|letter| check_letter(log.as_ref(), letter)).collect();
    assert_eq!((letters.len(), origins.len()), (ALL, ALL), "each once");

    // Neither a restart nor records behind them bring them again …
    let centre = Running::start(config(folder.path()), &log).await;
    let mut record = encode_event(&shop.journal[0]);
    record.value = Some(b"one more".to_vec());
    raw(log.as_ref(), &topics().stock_events(), [record]);
    let letters = wait_for(log.as_ref(), &topic, ALL + 1);
    assert_eq!(letters[ALL].value.as_deref(), Some(b"one more".as_slice()));
    centre.stop().await;
    assert_eq!(records(log.as_ref(), &topic).len(), ALL + 1);
    let reader = Database::open(folder.path()).expect("the folder is free").reader();
    assert_eq!(
        reader.and_then(|reader| reader.outbox(Lane::Records, 0, 10)).expect("it can be read"),
        []
    );

    // … and a new database reads all of them once more.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let centre = Running::start(config(elsewhere.path()), &log).await;
    wait_for(log.as_ref(), &topic, 2 * (ALL + 1));
    centre.stop().await;
    let letters = records(log.as_ref(), &topic);
    assert_eq!(letters.len(), 2 * (ALL + 1));
    let again: BTreeSet<_> =
        letters[ALL + 1..].iter().map(|letter| check_letter(log.as_ref(), letter)).collect();
    assert_eq!(again.len(), ALL + 1);
}

/// The reason is for the person who reads it.
#[test]
fn a_dead_letter_says_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let mut shop = Shop::new("S1");
    shop.count("A", 1);
    let mut record = encode_event(&shop.journal[0]);
    record.key = b"S1|B".to_vec();
    raw(log.as_ref(), &topics().stock_events(), [record]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let outbox = centre.outbox();
    let reason = outbox[0].publication.record.headers.last().expect("a reason").1.clone();
    assert_eq!(String::from_utf8_lossy(&reason), "the key is not the event's store|sku");
    assert_eq!(outbox[0].publication.topic, "inventory.dead-letters.v1");
}

/// The letter and the position behind its record are one commit: death between reading and applying
/// neither loses the letter nor doubles it.
#[test]
fn a_death_before_or_after_the_commit_makes_no_second_letter() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    spoiled(log.as_ref());
    let mut centre = Centre::open(folder.path(), &log);
    let read = centre.poll().expect("the broker works").expect("a batch");
    assert_eq!(read.dead_letters.len(), ALL);
    drop(centre);

    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.outbox(), []);
    centre.catch_up();
    drop(centre);

    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    assert_eq!(centre.outbox().len(), ALL);
}

/// Its number is taken as seen, since asking for it again would not help; the digest tells.
#[test]
fn an_event_of_an_unknown_type_is_no_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let mut shop = Shop::new("S1");
    shop.count("A", 1);
    shop.count("A", 2);
    shop.count("A", 3);
    shop.count("B", 4);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    publish(log.as_ref(), shop.events(1, 2));
    publish(log.as_ref(), shop.events(4, 4));
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    assert_eq!(centre.catch_up().events, 3);
    let newer = of_unknown_type(encode_event(&shop.journal[2]));
    raw(log.as_ref(), &topics().stock_events(), [newer]);
    assert_eq!(centre.catch_up().events, 0);
    let (_, seen) = centre.model.store(&shop.id).expect("it is known");
    let view = &seen.view;
    assert_eq!((view.applied_through, view.missing), (shop.head(), 0));
    assert_eq!(seen.freshness.name(), "diverged");
    // The store is asked for its whole journal, which explains nothing.
    assert_eq!((centre.look(), centre.look()), (1, 0));
    let before = centre.picture();
    drop(centre);
    assert_eq!(Centre::open(folder.path(), &log).picture(), before);
}

/// Or a record that nobody can read would make the centre drop another store's event as a repeat.
#[test]
fn an_unknown_type_takes_no_number_of_another_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let (shop, other) = (Shop::stocked("S1", 1), Shop::stocked("S2", 1));
    let mut record = of_unknown_type(encode_event(&other.journal[0]));
    set(&mut record, header::ID, b"S1/1/1");
    raw(log.as_ref(), &topics().stock_events(), [record]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    publish(log.as_ref(), &shop.journal);
    assert_eq!(centre.catch_up().events, 1);
    assert_eq!(centre.on_hand(&shop.id, "ITEM-0"), Some(1));
}

#[test]
fn records_of_unknown_types_are_skipped_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let mut shop = Shop::new("S1");
    shop.count("A", 1);
    shop.count("A", 2);
    shop.count("A", 3);
    let unknown = of_unknown_type(encode_event(&shop.journal[2]));
    raw(log.as_ref(), &topics().stock_events(), [unknown.clone(), unknown]);
    publish(log.as_ref(), shop.events(1, 2));
    let unknown = of_unknown_type(encode_heartbeat(&shop.heartbeat()));
    raw(log.as_ref(), &topics().heartbeats(), [unknown]);

    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.catch_up().events, 2);
    assert_eq!(centre.metrics.skipped.get(), 3);
    assert_eq!(Cause::ALL.map(|cause| centre.metrics.dead_letters(cause)), [0; Cause::ALL.len()]);
    assert_eq!(centre.outbox(), []);
    assert_eq!(centre.on_hand(&shop.id, "A"), Some(2));
    drop(centre);

    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    assert_eq!(centre.metrics.skipped.get(), 0, "they are behind the position");
}
