//! The stream: every change once and in order, whatever happens to the centre or to its clients.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use central_service::api::stream::Limits;
use central_service::history::DEFAULT_EVENTS;
use event_log::{Chaos, EventLog, MemoryLog};
use serde_json::{Value, json};
use shared_events::RecordedEvent;

use crate::support::{
    Centre, Running, SOON, Shop, ask, config, documented, file, follow, get, publish,
};

const OTHER_LIFE: &str = "00000000000000aa-1";

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>) {
    (tempfile::tempdir().expect("a folder"), Arc::new(MemoryLog::default()))
}

/// A shop that sold an item again and again.
fn busy(name: &str, sales: usize) -> Shop {
    let mut shop = Shop::new(name);
    shop.count("ABC-1", 100_000);
    (1..sales).for_each(|_sale| assert!(shop.change("ABC-1", -1)));
    shop
}

fn ids(changes: &[Value]) -> Vec<String> {
    let text = |change: &Value| change["eventId"].as_str().expect("an id").to_owned();
    changes.iter().map(text).collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

fn written<'a>(events: impl IntoIterator<Item = &'a RecordedEvent>) -> Vec<String> {
    events.into_iter().map(|event| event.id.to_string()).collect()
}

/// What a client makes of levels: those of late changes are not the newest.
fn learn(levels: &mut BTreeMap<(String, String), (i64, u64)>, told: &Value) {
    if told["onHand"].is_null() || told["late"] == true {
        return;
    }
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let level = (told["onHand"].as_i64().expect("units"), told["version"].as_u64().expect("one"));
    levels.insert((text("storeId"), text("sku")), level);
}

async fn status(router: &Router, path: &str, last_id: Option<&str>) -> (u16, Value) {
    let mut request = axum::http::Request::get(path);
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let answer = ask(router, request.body(axum::body::Body::empty()).expect("a request")).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn a_change_is_told_with_its_levels_and_its_cause() {
    let (folder, log) = setting();
    let mut centre = Centre::open(folder.path(), &log);
    let router = centre.router();
    let mut client = follow(&router, "", None).await;
    client.id().await;
    let mut shop = Shop::new("S1");
    shop.count("ABC-1", 10);
    shop.refuse("ABC-1");
    publish(log.as_ref(), &shop.journal);
    centre.catch_up();
    let changes = client.changes(2).await;
    let openapi = get(&router, "/api/openapi.json").await.ok();
    changes.iter().for_each(|change| documented(&openapi, "StockChange", change));
    let expected = json!({
        "id": changes[0]["id"], "storeId": "S1", "sku": "ABC-1", "eventId": "S1/1/1",
        "type": "inventory.stock-replaced.v1", "onHand": 10, "reserved": 0, "version": 1,
        "delta": 10, "occurredAt": shop.journal[0].occurred_at.to_string(), "late": false,
    });
    assert_eq!(changes[0], expected);
    assert_eq!(changes[1]["commandId"], "c9.command");
    assert_eq!(changes[1]["onHand"], Value::Null, "a refusal changes nothing");
}

/// Duplicates, redeliveries and delays by seed; events are published out of order on top.
#[tokio::test]
async fn every_change_comes_once_and_in_the_order_of_its_ids_whatever_the_broker_does() {
    for seed in 0..12 {
        let chaos = Chaos { seed, duplicate: 30, lose_ack: 20, redeliver: 30, delay: 30 };
        let folder = tempfile::tempdir().expect("a folder");
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::with_chaos(chaos));
        let mut shop = busy("S1", 60);
        shop.count("B", 3);
        let mut centre = Centre::open(folder.path(), &log);
        let router = centre.router();
        let mut client = follow(&router, "", None).await;
        client.id().await;
        let mut order: Vec<&RecordedEvent> = shop.journal.iter().collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut order);
        for part in order.chunks(7) {
            publish(log.as_ref(), part.iter().copied());
            centre.catch_up();
        }
        let changes = client.changes(shop.journal.len()).await;
        assert_eq!(sorted(ids(&changes)), sorted(written(&shop.journal)), "seed {seed}");
        let positions = changes.iter().map(|change| {
            let (_, position) = change["id"].as_str().expect("an id").split_once('-').expect("two");
            position.parse::<usize>().expect("a number")
        });
        assert!(positions.eq(1..=shop.journal.len()), "seed {seed}: no gap");
        let mut levels = BTreeMap::new();
        changes.iter().for_each(|change| learn(&mut levels, change));
        let on_hand = |item: &str| levels[&("S1".to_owned(), item.to_owned())].0;
        assert_eq!(Some(on_hand("ABC-1")), centre.on_hand(&shop.id, "ABC-1"), "seed {seed}");
    }
}

#[tokio::test]
async fn a_client_resumes_by_its_last_id_over_a_restart_of_the_centre() {
    let (folder, log) = setting();
    let shop = busy("S1", 900);
    let mut centre = Centre::open(folder.path(), &log);
    let mut client = follow(&centre.router(), "", None).await;
    let start = client.id().await;
    publish(log.as_ref(), shop.events(1, 300));
    centre.catch_up();
    let mut seen = client.changes(123).await;
    let last = client.last_id.clone().expect("an id");
    drop((centre, client));

    publish(log.as_ref(), shop.events(301, 600));
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let mut client = follow(&centre.router(), "", Some(&last)).await;
    seen.extend(client.changes(600 - 123).await);
    publish(log.as_ref(), shop.events(601, 900));
    centre.catch_up();
    seen.extend(client.changes(300).await);
    assert_eq!(sorted(ids(&seen)), sorted(written(&shop.journal)));

    let mut again = follow(&centre.router(), &format!("?after={start}"), None).await;
    assert_eq!(again.changes(900).await, seen, "the same from the first id on, by the query");
    let mut header = follow(&centre.router(), &format!("?after={start}"), Some(&last)).await;
    assert_eq!(header.changes(1).await[0], seen[123], "the header wins");
}

#[tokio::test]
async fn an_id_of_a_database_that_was_deleted_gets_a_snapshot() {
    let (folder, log) = setting();
    let shop = busy("S1", 40);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    let mut client = follow(&centre.router(), "", None).await;
    client.id().await;
    centre.catch_up();
    client.changes(40).await;
    let last = client.last_id.clone();
    drop(centre);
    std::fs::remove_file(file(folder.path())).expect("the database can go");

    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let mut client = follow(&centre.router(), "", last.as_deref()).await;
    let told = client.until("snapshot-end").await;
    let names: Vec<&str> = told.iter().map(|told| told.event.as_str()).collect();
    assert_eq!(names, ["snapshot-begin", "item", "snapshot-end"]);
    assert_eq!(told[1].data["onHand"], 100_000 - 39);
    assert_eq!(told[2].data["id"], client.last_id.clone().expect("an id"));
    assert_ne!(client.last_id, last, "positions of another life");
    let openapi = get(&centre.router(), "/api/openapi.json").await.ok();
    documented(&openapi, "StockItemNow", &told[1].data);
}

#[tokio::test]
async fn a_position_that_was_pruned_gets_a_snapshot_and_the_oldest_that_is_kept_does_not() {
    let (folder, log) = setting();
    let shop = busy("S1", 50);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::keeping(folder.path(), &log, 10, Limits::default());
    let mut client = follow(&centre.router(), "", None).await;
    let first = client.id().await;
    centre.catch_up();
    let page = get(&centre.router(), "/api/events").await.ok();
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(10), "no more are kept");
    let life = first.split_once('-').expect("two parts").0;
    let mut gone = follow(&centre.router(), "", Some(&format!("{life}-39"))).await;
    assert_eq!(gone.next().await.expect("an event").event, "snapshot-begin");
    let mut kept = follow(&centre.router(), "", Some(&format!("{life}-40"))).await;
    assert_eq!(ids(&kept.changes(10).await), written(shop.events(41, 50)));
    let mut ahead = follow(&centre.router(), "", Some(&format!("{life}-51"))).await;
    assert_eq!(ahead.next().await.expect("an event").event, "snapshot-begin");
}

/// Whoever takes a snapshot while the stores go on selling misses nothing.
#[tokio::test]
async fn a_snapshot_and_what_follows_it_miss_nothing() {
    let (folder, log) = setting();
    let mut shop = Shop::stocked("S1", 700);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let mut client = follow(&centre.router(), "?snapshot=true", None).await;
    let mut levels = BTreeMap::new();
    let mut told = client.next().await.expect("it begins");
    assert_eq!(told.event, "snapshot-begin");
    let mut items = 0;
    for sale in 0_usize.. {
        // A change between any two messages, until the snapshot is over.
        if sale < 1_400 && sale % 7 == 0 {
            let from = shop.journal.len();
            assert!(shop.change(&format!("ITEM-{}", (sale * 37) % 700), 1));
            publish(log.as_ref(), &shop.journal[from..]);
            centre.catch_up();
        }
        told = client.next().await.expect("it goes on");
        learn(&mut levels, &told.data);
        items += usize::from(told.event == "item");
        if told.event == "snapshot-end" {
            break;
        }
    }
    assert_eq!(items, 700);
    let id = told.data["id"].as_str().expect("an id").to_owned();
    let (_, through) = id.split_once('-').expect("two parts");
    let behind = shop.journal.len() - through.parse::<usize>().expect("a number");
    client.changes(behind).await.iter().for_each(|change| learn(&mut levels, change));
    assert_eq!(levels.len(), 700);
    for ((_, item), (on_hand, _)) in &levels {
        assert_eq!(Some(*on_hand), centre.on_hand(&shop.id, item), "{item}");
    }
}

#[tokio::test]
async fn a_client_gets_what_its_filter_wants_and_nothing_else() {
    let (folder, log) = setting();
    let mut centre = Centre::open(folder.path(), &log);
    let router = centre.router();
    let mut north = follow(&router, "?storeId=north.3", None).await;
    let mut item = follow(&router, "?sku=B,%20C", None).await;
    let mut both = follow(&router, "?storeId=S2,north.3&sku=B", None).await;
    for client in [&mut north, &mut item, &mut both] {
        client.id().await;
    }
    for name in ["S1", "S2", "north.3"] {
        let mut shop = Shop::new(name);
        ["A", "B", "C"].iter().for_each(|item| shop.count(item, 5));
        publish(log.as_ref(), &shop.journal);
        centre.catch_up();
    }
    let expected = ["north.3/1/1", "north.3/1/2", "north.3/1/3"];
    assert_eq!(sorted(ids(&north.changes(3).await)), expected);
    let expected = ["S1/1/2", "S1/1/3", "S2/1/2", "S2/1/3", "north.3/1/2", "north.3/1/3"];
    assert_eq!(sorted(ids(&item.changes(6).await)), expected);
    assert_eq!(ids(&both.changes(2).await), ["S2/1/2", "north.3/1/2"]);

    for (query, items) in [("&storeId=S1", 3), ("&sku=B,X", 3), ("&storeId=S1,S9&sku=C,A", 2)] {
        let mut client = follow(&router, &format!("?snapshot=true{query}"), None).await;
        let told = client.until("snapshot-end").await;
        assert_eq!(told.len() - 2, items, "{query}: {told:?}");
    }
}

#[tokio::test]
async fn a_client_that_resumes_gets_no_snapshot_although_its_address_asks_for_one() {
    let (folder, log) = setting();
    let shop = busy("S1", 5);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    let mut client = follow(&centre.router(), "?snapshot=true", None).await;
    client.until("snapshot-end").await;
    let last = client.last_id.clone();
    centre.catch_up();
    let mut again = follow(&centre.router(), "?snapshot=true", last.as_deref()).await;
    assert_eq!(ids(&again.changes(5).await), written(&shop.journal));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_ended_and_resumes_while_others_go_on() {
    let (folder, log) = setting();
    let shop = busy("S1", 2_000);
    let limits = Limits { patience: Duration::from_millis(50), ..Limits::default() };
    let mut centre = Centre::keeping(folder.path(), &log, DEFAULT_EVENTS, limits);
    let router = centre.router();
    let mut slow = follow(&router, "", None).await;
    slow.id().await;
    let mut quick = follow(&router, "", None).await;
    quick.id().await;
    publish(log.as_ref(), &shop.journal);
    centre.catch_up();
    let all = quick.changes(2_000).await;
    assert_eq!(sorted(ids(&all)), sorted(written(&shop.journal)));
    // It reads again only when it was given up.
    test_support::eventually_async("it is given up", SOON, async || {
        (centre.streams.clients() == 1).then_some(())
    })
    .await;
    let mut seen = Vec::new();
    let end = loop {
        let told = slow.next().await.expect("it is told why");
        match told.event.as_str() {
            "stock" => seen.push(told.data),
            _ => break told,
        }
    };
    assert_eq!((end.event.as_str(), &end.data), ("end", &json!({"reason": "slow"})));
    assert_eq!(slow.next().await, None, "it is closed");
    let last = slow.last_id.clone();
    let mut resumed = follow(&router, "", last.as_deref()).await;
    seen.extend(resumed.changes(2_000 - seen.len()).await);
    assert_eq!(seen, all, "nothing is missing and nothing comes twice");
}

#[tokio::test]
async fn more_clients_than_there_are_seats_are_told_to_come_again() {
    let (folder, log) = setting();
    let limits = Limits { clients: 2, ..Limits::default() };
    let centre = Centre::keeping(folder.path(), &log, DEFAULT_EVENTS, limits);
    let router = centre.router();
    let (one, two) = (follow(&router, "", None).await, follow(&router, "", None).await);
    let (code, problem) = status(&router, "/api/stream", None).await;
    assert_eq!((code, &problem["code"]), (503, &json!("overloaded")));
    assert_eq!(problem["retryable"], true);
    drop(one);
    test_support::eventually_async("a seat is free", SOON, async || {
        (centre.streams.clients() == 1).then_some(())
    })
    .await;
    follow(&router, "", None).await;
    drop(two);
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_and_moves_its_id_on() {
    let (folder, log) = setting();
    let limits = Limits { keep_alive: Duration::from_millis(20), ..Limits::default() };
    let mut centre = Centre::keeping(folder.path(), &log, DEFAULT_EVENTS, limits);
    let mut client = follow(&centre.router(), "?sku=NOTHING", None).await;
    let first = client.id().await;
    client.comment().await;
    publish(log.as_ref(), &busy("S1", 30).journal);
    centre.catch_up();
    let deadline = std::time::Instant::now() + SOON;
    while client.last_id.as_deref() == Some(first.as_str()) {
        client.comment().await;
        assert!(std::time::Instant::now() < deadline, "its id moves on");
    }
    assert!(client.last_id.expect("an id").ends_with("-30"), "it need not look at those again");
}

#[tokio::test]
async fn every_stream_ends_when_the_centre_stops() {
    let (folder, log) = setting();
    let centre = Centre::open(folder.path(), &log);
    let mut waiting = follow(&centre.router(), "", None).await;
    waiting.id().await;
    centre.closing.cancel();
    let end = waiting.next().await.expect("it is told why");
    assert_eq!((end.event.as_str(), &end.data), ("end", &json!({"reason": "stopping"})));
    assert_eq!(waiting.next().await, None);
    let (code, problem) = status(&centre.router(), "/api/stream", None).await;
    assert_eq!((code, &problem["code"]), (503, &json!("shutting_down")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_open_streams_stops_at_once() {
    let (folder, log) = setting();
    let centre = Running::start(config(folder.path()), &log).await;
    let (address, (follows, told)) = (centre.address, tokio::sync::oneshot::channel());
    let client = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).expect("it listens");
        let request = "GET /api/stream HTTP/1.1\r\nhost: centre\r\n\r\n";
        connection.write_all(request.as_bytes()).expect("it is read");
        let (mut text, mut bytes) = (String::new(), [0; 4_096]);
        while !text.contains("id: ") {
            let count = connection.read(&mut bytes).expect("it is written");
            text += std::str::from_utf8(&bytes[..count]).expect("UTF-8");
        }
        follows.send(()).expect("it is waited for");
        connection.read_to_string(&mut text).expect("a clean end");
        text
    });
    told.await.expect("it follows");
    centre.stop().await;
    let text = client.await.expect("no panic");
    assert!(text.contains("event: end\ndata: {\"reason\":\"stopping\"}"), "{text}");
    assert!(text.ends_with("\r\n0\r\n\r\n"), "it was not cut off: {text}");
}

#[tokio::test]
async fn what_is_no_id_and_no_filter_is_refused() {
    let (folder, log) = setting();
    let router = Centre::open(folder.path(), &log).router();
    let many = vec!["A"; 201].join(",");
    let cases = [
        ("?after=17".to_owned(), "after"),
        ("?after=".to_owned(), "after"),
        (format!("?after={OTHER_LIFE}x"), "after"),
        ("?storeId=A%7CB".to_owned(), "storeId"),
        ("?storeId=A,,B".to_owned(), "storeId"),
        ("?sku=".to_owned(), "sku"),
        (format!("?sku={many}"), "sku"),
    ];
    for route in ["stream", "events"] {
        for (query, field) in &cases {
            let answer = get(&router, &format!("/api/{route}{query}")).await;
            assert_eq!(answer.problem(422, "invalid_field"), *field, "{route}{query}");
        }
        let answer = get(&router, &format!("/api/{route}?from=1")).await;
        assert_eq!(answer.problem(422, "invalid_field"), "query");
    }
    let answer = get(&router, "/api/stream?snapshot=maybe").await;
    assert_eq!(answer.problem(422, "invalid_field"), "query");
    let (code, problem) = status(&router, "/api/stream", Some("seventeen")).await;
    assert_eq!((code, &problem["field"]), (422, &json!("last-event-id")));
}
