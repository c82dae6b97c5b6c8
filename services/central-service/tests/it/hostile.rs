//! Whoever can write to a topic can write anything: it is put aside or ignored by a rule, shown to who asks,
//! and changes no level.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use central_service::admission::{Admission, Cause, Kind, Verdict};
use central_service::database::Lane;
use event_log::{EventLog, MemoryLog, Offset, Received, partition};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use shared_events::wire::{IncomingRecord, OutgoingRecord, encode_event, header};
use shared_events::{Epoch, RecordedEvent, Sequence, StoreCommand};

use crate::support::{
    Centre, Moving, Running, Shop, ask, config, documented, get, heartbeats, post, publish, raw,
    topics, wait_for,
};

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>) {
    (tempfile::tempdir().expect("a folder"), Arc::new(MemoryLog::default()))
}

/// An event of the shop's first item as somebody else would write it: right in every way but its place.
fn forged(shop: &Shop, epoch: Epoch, sequence: u64) -> RecordedEvent {
    let mut other = Shop::new(shop.id.as_str());
    other.count("ITEM-0", 666);
    let mut event = other.journal.remove(0);
    event.id.epoch = epoch;
    event.id.sequence = Sequence::new(sequence);
    event
}

fn dead(centre: &Centre) -> usize {
    let dead = topics().dead_letters().name;
    centre.outbox().iter().filter(|row| row.publication.topic == dead).count()
}

#[test]
fn an_event_outside_of_the_partition_of_its_key_is_put_aside() {
    let shop = Shop::stocked("S1", 1);
    let record = encode_event(&shop.journal[0]);
    let headers: Vec<_> =
        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let (_folder, log) = setting();
    let (topic, admission) = (topics().stock_events(), Admission::new(topics(), log));
    let right = i32::try_from(partition(&record.key, 3)).expect("few partitions");
    for place in 0..3 {
        let verdict = admission.judge(
            Kind::Events,
            &Received {
                topic: &topic.name,
                partition: place,
                offset: Offset(0),
                appended_at_ms: None,
                record: IncomingRecord {
                    key: Some(&record.key),
                    headers: &headers,
                    value: record.value.as_deref(),
                },
            },
        );
        let let_in = matches!(verdict, Verdict::Event(_));
        let misplaced = matches!(verdict, Verdict::Quarantined(Cause::Misplaced, _));
        assert_eq!((let_in, misplaced), (place == right, place != right), "{place}");
    }
}

#[test]
fn what_lies_far_beyond_a_stores_reports_is_put_aside() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 3);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    publish(log.as_ref(), &shop.journal);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    let before = centre.view(&shop.id);

    publish(log.as_ref(), [&forged(&shop, shop.epoch(), Sequence::MAX.get())]);
    let mut beat = shop.heartbeat();
    beat.head = Sequence::MAX;
    heartbeats(log.as_ref(), [beat]);
    assert_eq!(centre.catch_up().implausible, 2);
    assert_eq!(centre.on_hand(&shop.id, "ITEM-0"), Some(1));
    let view = centre.view(&shop.id);
    assert_eq!((view.witness, view.digest, view.missing), (before.witness, before.digest, 0));
    assert_eq!(dead(&centre), 2);
}

#[test]
fn an_old_event_with_other_content_is_a_repeat() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 3);
    publish(log.as_ref(), &shop.journal);
    publish(log.as_ref(), [&forged(&shop, shop.epoch(), 1)]);
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.catch_up().duplicates, 1);
    assert_eq!(centre.on_hand(&shop.id, "ITEM-0"), Some(1));
}

/// One that could be true is believed until its store has reported twice without it.
#[test]
fn an_event_that_its_store_never_reports_is_found_and_undone() {
    let (one, two) = (Epoch::new(1), Epoch::MAX);
    for (epoch, sequence) in [(one, 4), (one, 4_000), (two, 1), (two, 4), (two, 1_000_000)] {
        let (folder, log) = setting();
        let shop = Shop::stocked("S1", 3);
        let mut centre = Centre::open(folder.path(), &log);
        centre.listen();
        publish(log.as_ref(), &shop.journal);
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        centre.catch_up();
        publish(log.as_ref(), [&forged(&shop, epoch, sequence)]);
        centre.catch_up();
        assert_eq!(centre.on_hand(&shop.id, "ITEM-0"), Some(666), "nothing tells it apart yet");
        for _beat in 0..2 {
            heartbeats(log.as_ref(), [shop.heartbeat()]);
            centre.catch_up();
        }
        assert_eq!(centre.look(), 1, "epoch {epoch}, sequence {sequence}");
        for command in centre.take_commands() {
            if let StoreCommand::ReplayEvents(wanted) = command.command {
                publish(log.as_ref(), shop.replay(&wanted));
            }
        }
        centre.catch_up();
        assert_eq!(centre.on_hand(&shop.id, "ITEM-0"), Some(1), "epoch {epoch}, {sequence}");
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        centre.catch_up();
        assert_eq!(centre.model.store(&shop.id).expect("known").1.freshness.name(), "fresh");
    }
}

#[test]
fn what_is_read_again_is_put_aside_once() {
    let (folder, memory) = (tempfile::tempdir().expect("a folder"), MemoryLog::default());
    let moving = Arc::new(Moving::new("one", &memory));
    let log: Arc<dyn EventLog> = Arc::clone(&moving) as Arc<dyn EventLog>;
    let mut shop = Shop::stocked("S1", 2);
    let lost = shop.clone();
    shop.begin_life(3);
    let mut stray = forged(&lost, Epoch::new(2), 2);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    publish(log.as_ref(), [&stray]);
    stray.id.sequence = Sequence::new(3);
    let mut broken = encode_event(&stray);
    broken.value = Some(b"no JSON".to_vec());
    raw(log.as_ref(), &topics().stock_events(), [broken.clone()]);
    assert_eq!(centre.catch_up().refused, 1);
    assert_eq!(dead(&centre), 2);

    // The same records under another cluster's name: all are read once more.
    moving.move_to("two", &memory);
    drop(centre);
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.catch_up().refused, 1);
    assert_eq!(dead(&centre), 2, "they are known");

    // Another record at the same place is another one.
    let anew = MemoryLog::default();
    moving.move_to("three", &anew);
    broken.value = Some(b"no JSON either".to_vec());
    raw(log.as_ref(), &topics().stock_events(), [broken]);
    drop(centre);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    assert_eq!(dead(&centre), 3);
}

#[test]
fn a_flood_leaves_the_newest_ten_thousand_letters() {
    let (folder, log) = setting();
    let flood = (0..10_050).map(|number: u32| OutgoingRecord {
        key: b"S1|A".to_vec(),
        headers: Vec::new(),
        value: Some(number.to_string().into_bytes()),
    });
    raw(log.as_ref(), &topics().stock_events(), flood);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let reader = centre.reader.lock().expect("no panic");
    let kept = reader.letters(None, 0, 20_000).expect("it can be read");
    assert_eq!(kept.len(), 10_000);
    assert_eq!(kept[0].record.value.as_deref(), Some(b"50".as_slice()));
}

#[test]
fn a_flood_of_large_records_leaves_the_newest_64_mebibytes() {
    let (folder, log) = setting();
    let flood = (0..24).map(|number| OutgoingRecord {
        key: b"S1|A".to_vec(),
        headers: Vec::new(),
        value: Some(vec![number; 4 << 20]),
    });
    raw(log.as_ref(), &topics().stock_events(), flood);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let reader = centre.reader.lock().expect("no panic");
    let kept = reader.letters(None, 0, 100).expect("it can be read");
    let bytes: u64 = kept.iter().filter_map(|letter| letter.value_bytes).sum();
    assert!(bytes <= 64 << 20, "{bytes}");
    assert_eq!(kept.len(), 24, "one batch is cut to 32 MiB, then to excerpts");
    assert_eq!(kept[23].value_bytes, Some(1_024));
}

async fn letters(centre: &Running, query: &str) -> Value {
    let answer = get(&centre.router, &format!("/api/dead-letters{query}")).await;
    answer.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_listed_page_by_page_and_tried_again() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 1);
    // Nobody has reported so far, so the first heartbeat is believed; the event is then too far ahead.
    let mut beat = shop.heartbeat();
    heartbeats(log.as_ref(), [beat.clone()]);
    let centre = Running::start(config(folder.path()), &log).await;
    test_support::eventually("the heartbeat is heard", crate::support::SOON, || {
        centre.model.store(&shop.id)
    });
    publish(log.as_ref(), [&forged(&shop, shop.epoch(), 20_000_000)]);
    let mut broken = encode_event(&shop.journal[0]);
    broken.key = b"S1|OTHER".to_vec();
    broken.headers.push(("\u{1f9fa}".to_owned(), vec![0xff, b'!']));
    raw(log.as_ref(), &topics().stock_events(), [broken]);
    wait_for(log.as_ref(), &topics().dead_letters(), 2);

    let page = letters(&centre, "?cause=unreadable").await;
    let openapi = get(&centre.router, "/api/openapi.json").await.json();
    documented(&openapi, "DeadLetters", &page);
    let letter = &page["deadLetters"][0];
    assert_eq!(letter["reason"], "the key is not the event's store|sku");
    assert_eq!((&letter["key"], &letter["cause"]), (&json!("S1|OTHER"), &json!("unreadable")));
    assert!(letter["origin"].as_str().expect("text").starts_with("inventory.stock-events.v1/"));
    let last = letter["headers"].as_array().expect("headers").last().expect("one").clone();
    assert_eq!(last, json!({"name": "\u{1f9fa}", "value": "\u{fffd}!"}));
    assert_eq!(page["deadLetters"].as_array().map(Vec::len), Some(1));

    let first = letters(&centre, "?limit=1").await;
    let next = first["next"].as_i64().expect("there is more");
    let second = letters(&centre, &format!("?limit=1&after={next}")).await;
    assert!(second["next"].is_null());
    assert_ne!(first["deadLetters"][0]["id"], second["deadLetters"][0]["id"]);

    // What cannot be read today either stays where it is.
    let tried = format!("/api/dead-letters/{}/redrive", letter["id"]);
    let came = post(&centre.router, &tried).await.ok();
    documented(&openapi, "RedrivenView", &came);
    assert_eq!(came["outcome"], "quarantined");
    assert_eq!(came["reason"], "the key is not the event's store|sku");
    let page = letters(&centre, "?cause=unreadable").await;
    assert_eq!(page["deadLetters"][0]["redriven"]["outcome"], "quarantined");

    // What has become plausible has its effect, once.
    let id = letters(&centre, "?cause=implausible").await["deadLetters"][0]["id"].clone();
    let tried = format!("/api/dead-letters/{id}/redrive");
    assert_eq!(post(&centre.router, &tried).await.ok()["outcome"], "quarantined");
    for head in [9_000_000, 18_000_000] {
        beat.head = Sequence::new(head);
        heartbeats(log.as_ref(), [beat.clone()]);
    }
    test_support::eventually("the heartbeats are heard", crate::support::SOON, || {
        let head = centre.model.store(&shop.id)?.1.view.witness.head;
        (head == beat.head).then_some(())
    });
    // A repeat under its key is told what came of it then; without, it is tried once more.
    let named = async |path: &str| {
        let request = Request::post(path).header("idempotency-key", "redrive-1");
        ask(&centre.router, request.body(Body::empty()).expect("a request")).await
    };
    let applied = named(&tried).await;
    assert_eq!(
        (&applied.ok()["outcome"], applied.header("idempotent-replayed")),
        (&json!("applied"), None)
    );
    assert_eq!(post(&centre.router, &tried).await.ok()["outcome"], "known");
    let again = named(&tried).await;
    assert_eq!((again.ok(), again.header("idempotent-replayed")), (applied.ok(), Some("true")));
    let reused = named("/api/dead-letters/99/redrive").await;
    assert_eq!(reused.problem(422, "command_id_reused"), "idempotency-key");
    let (index, _) = centre.model.store(&shop.id).expect("known");
    let level = centre.model.level(index, &crate::support::sku("ITEM-0"));
    assert_eq!(level.map(|level| level.on_hand), Some(666));

    post(&centre.router, "/api/dead-letters/99/redrive").await.problem(404, "not_found");
    post(&centre.router, "/api/dead-letters/x/redrive").await.problem(422, "invalid_field");
    get(&centre.router, "/api/dead-letters?cause=luck").await.problem(422, "invalid_field");
    get(&centre.router, "/api/dead-letters?limit=0").await.problem(422, "invalid_field");
    centre.stop().await;
}

/// Any bytes, and often those that mean something.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let known = ["S1|ITEM-0", "S1", "S1/1/1", "/stores/S1", "{}", "[", "1", "2026-01-01T00:00:00Z"];
    let types = ["inventory.stock-adjusted.v1", "inventory.heartbeat.v1", "inventory.selling.v1"];
    prop_oneof![
        vec(any::<u8>(), 0..64),
        select([known.as_slice(), types.as_slice()].concat()).prop_map(|text| text.into()),
    ]
}

fn record() -> impl Strategy<Value = OutgoingRecord> {
    let names = [header::ID, header::SOURCE, header::TYPE, header::SUBJECT, header::TIME];
    let name = prop_oneof![select(names.to_vec()).prop_map(str::to_owned), "\\PC{0,8}"];
    (bytes(), vec((name, bytes()), 0..9), proptest::option::of(bytes()))
        .prop_map(|(key, headers, value)| OutgoingRecord { key, headers, value })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_on_any_topic_change_nothing(
        events in vec(record(), 0..40),
        beats in vec(record(), 0..20),
        policies in vec(record(), 0..20),
    ) {
        let (folder, log) = setting();
        let shop = Shop::stocked("S1", 2);
        publish(log.as_ref(), &shop.journal);
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        let mut centre = Centre::open(folder.path(), &log);
        centre.catch_up();
        let before = centre.picture();
        let all = [
            (topics().stock_events(), events),
            (topics().heartbeats(), beats),
            (topics().policies(), policies),
        ];
        let mut sent = 0;
        for (topic, records) in all {
            sent += records.len();
            raw(log.as_ref(), &topic, records);
        }
        centre.catch_up();
        let after = centre.picture();
        prop_assert_eq!((before.levels, before.stores, before.promised),
            (after.levels, after.stores, after.promised));
        let skipped = usize::try_from(centre.metrics.skipped.get()).expect("few");
        let letters = centre.outbox().iter().filter(|row| row.lane == Lane::Records).count();
        prop_assert_eq!(letters + skipped, sent);
    }
}
