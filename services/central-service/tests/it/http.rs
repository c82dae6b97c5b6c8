//! The HTTP interface: every answer as its description says, every refusal as a problem document.

use std::sync::Arc;

use axum::Router;
use central_service::App;
use central_service::read_model::Seen;
use event_log::{EventLog, MemoryLog};
use serde_json::{Value, json};

use crate::support::{Centre, Running, SOON, Shop, config, documented, get, heartbeats, publish};

const QUERY: &str = "/api/query/inventory";

/// Two stores: one that was counted and sold from, and one that only has one of the items.
fn north() -> Shop {
    let mut shop = Shop::new("north.3");
    shop.count("ABC-1", 10);
    shop.count("Ä/ö 3", 1);
    shop.change("ABC-1", -4);
    shop
}

fn south() -> Shop {
    let mut shop = Shop::new("S2");
    shop.count("ABC-1", 5);
    shop
}

/// A centre that was built over what another one had committed; it hears nothing.
fn built(folder: &std::path::Path) -> Router {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    publish(log.as_ref(), &north().journal);
    let mut centre = Centre::open(folder, &log);
    centre.catch_up();
    publish(log.as_ref(), &south().journal);
    heartbeats(log.as_ref(), [north().heartbeat(), south().heartbeat()]);
    centre.catch_up();
    drop(centre);
    App::build(config(folder), log).expect("the folder is free").router()
}

/// Without what depends on the moment.
fn without_age(mut answer: Value) -> Value {
    fn strip(value: &mut Value) {
        if let Value::Object(fields) = value {
            fields.remove("ageMs");
            fields.remove("since");
            fields.values_mut().for_each(strip);
        } else if let Value::Array(items) = value {
            items.iter_mut().for_each(strip);
        }
    }
    strip(&mut answer);
    answer
}

fn item(store: &str, sku: &str, on_hand: i64, version: u64, sequence: u64, state: &str) -> Value {
    json!({
        "storeId": store, "sku": sku, "quantity": on_hand, "onHand": on_hand, "reserved": 0,
        "available": on_hand, "version": version, "sequence": sequence,
        "freshness": {"state": state, "lagEvents": 0},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_centre_answers_with_the_documented_fields() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    publish(log.as_ref(), north().journal.iter().chain(&south().journal));
    let centre = Running::start(config(folder.path()), &log).await;
    test_support::eventually_async("both stores are fresh", SOON, async || {
        heartbeats(log.as_ref(), [north().heartbeat(), south().heartbeat()]);
        let stores = centre.model.stores();
        let fresh = |seen: &Seen| seen.freshness.name() == "fresh";
        (stores.len() == 2 && stores.iter().all(fresh)).then_some(())
    })
    .await;
    let openapi = get(&centre.router, "/api/openapi.json").await.ok();

    let global = get(&centre.router, &format!("{QUERY}/global/ABC-1")).await.ok();
    documented(&openapi, "Global", &global);
    assert!(global["stores"][0]["freshness"]["ageMs"].is_u64());
    let mut global = without_age(global);
    let stores = global["stores"].as_array_mut().expect("stores");
    stores.sort_by_key(|item| item["storeId"].to_string());
    let expected = json!({
        "sku": "ABC-1", "quantity": 11, "onHand": 11, "reserved": 0, "available": 11,
        "freshness": "fresh", "asOf": {}, "contributing": 2,
        "excluded": {"dark": 0, "switchedOff": 0},
        "stores": [
            item("S2", "ABC-1", 5, 1, 1, "fresh"),
            item("north.3", "ABC-1", 6, 2, 3, "fresh"),
        ],
    });
    assert_eq!(global, expected);

    let one = get(&centre.router, &format!("{QUERY}/store/north.3/%C3%84%2F%C3%B6%203")).await.ok();
    documented(&openapi, "Item", &one);
    assert_eq!(without_age(one), item("north.3", "Ä/ö 3", 1, 1, 2, "fresh"));

    let list = get(&centre.router, &format!("{QUERY}/store/north.3?limit=1000")).await.ok();
    documented(&openapi, "Items", &list);
    let all =
        [item("north.3", "ABC-1", 6, 2, 3, "fresh"), item("north.3", "Ä/ö 3", 1, 1, 2, "fresh")];
    assert_eq!(without_age(list), json!({"items": all}));

    let stores = get(&centre.router, "/api/stores").await.ok();
    documented(&openapi, "Stores", &stores);
    let stores = without_age(stores);
    let listed = stores["stores"].as_array().expect("stores");
    let south = listed.iter().find(|listed| listed["storeId"] == "S2").expect("it is listed");
    let heartbeat = self::south().heartbeat();
    let expected = json!({
        "storeId": "S2", "freshness": {"state": "fresh", "lagEvents": 0},
        "selling": {"enabled": true}, "epoch": 1, "lineage": [{"epoch": 1, "from": 1}], "head": 1,
        "headHash": heartbeat.head_hash, "appliedThrough": 1, "digest": heartbeat.digest,
        "reportedDigest": heartbeat.digest,
    });
    assert_eq!(*south, expected);
    let one = get(&centre.router, "/api/stores/S2").await.ok();
    documented(&openapi, "Store", &one);
    assert_eq!(without_age(one), expected);
    centre.stop().await;
}

#[tokio::test]
async fn a_centre_that_just_started_answers_and_says_that_it_does_not_know() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = built(folder.path());
    let one = get(&router, &format!("{QUERY}/store/S2/ABC-1")).await.ok();
    assert_eq!(without_age(one), item("S2", "ABC-1", 5, 1, 1, "unknown"));
    let global = get(&router, &format!("{QUERY}/global/ABC-1")).await.ok();
    assert_eq!((&global["freshness"], &global["available"]), (&"unknown".into(), &11.into()));
}

#[tokio::test]
async fn an_item_never_seen_is_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = built(folder.path());
    let nothing = get(&router, &format!("{QUERY}/store/S2/NEVER-SEEN")).await.ok();
    assert_eq!(without_age(nothing), item("S2", "NEVER-SEEN", 0, 0, 0, "unknown"));
    let nothing = get(&router, &format!("{QUERY}/global/NEVER-SEEN")).await.ok();
    let expected = json!({
        "sku": "NEVER-SEEN", "quantity": 0, "onHand": 0, "reserved": 0, "available": 0,
        "freshness": "unknown", "contributing": 0, "excluded": {"dark": 0, "switchedOff": 0},
        "stores": [],
    });
    assert_eq!(nothing, expected);
}

#[tokio::test]
async fn a_store_never_heard_of_is_a_problem() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = built(folder.path());
    for path in ["store/S9/ABC-1", "store/S9", "store/s2", "store/S9?limit=7"] {
        let field = get(&router, &format!("{QUERY}/{path}")).await.problem(404, "unknown_store");
        assert_eq!(field, "storeId", "{path}");
    }
    get(&router, "/api/stores/S9").await.problem(404, "unknown_store");
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = built(folder.path());
    let long = "x".repeat(65);
    let cases = [
        ("global/A%7CB", "path"),
        ("global/%20A", "path"),
        ("global/%07", "path"),
        (&format!("global/{long}"), "path"),
        (&format!("store/S2/{long}"), "path"),
        ("store/S%7C2/A", "path"),
        ("store/..%2F..", "path"),
        ("store/S2?limit=0", "limit"),
        ("store/S2?limit=1001", "limit"),
        ("store/S2?limit=-1", "query"),
        ("store/S2?limit=many", "query"),
        ("store/S2?limit=99999999999999999999", "query"),
        ("store/S2?after=%7C", "query"),
        ("store/S2?size=10", "query"),
        ("store/S2?limit=10&limit=20", "query"),
    ];
    for (path, field) in cases {
        let found = get(&router, &format!("{QUERY}/{path}")).await.problem(422, "invalid_field");
        assert_eq!(found, field, "{path}");
    }
}

#[tokio::test]
async fn a_list_comes_page_by_page_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let shop = Shop::stocked("S1", 250);
    publish(log.as_ref(), shop.journal.iter().rev());
    publish(log.as_ref(), &Shop::stocked("S0", 9).journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let router = centre.router();
    let mut expected: Vec<String> = (0..250).map(|item| format!("ITEM-{item}")).collect();
    expected.sort();
    for limit in [None, Some(1), Some(49), Some(250), Some(1_000)] {
        let mut found: Vec<String> = Vec::new();
        let mut after = String::new();
        loop {
            let limit = limit.map_or_else(String::new, |limit: usize| format!("&limit={limit}"));
            let path = format!("{QUERY}/store/S1?{after}{limit}");
            let page = get(&router, &path.replace("?&", "?")).await.ok();
            let items = page["items"].as_array().expect("items");
            found.extend(items.iter().map(|item| item["sku"].as_str().expect("a sku").to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            assert_eq!(found.last().map(String::as_str), Some(next));
            after = format!("after={next}");
        }
        assert_eq!(found, expected, "limit {limit:?}");
    }
    let first = get(&router, &format!("{QUERY}/store/S1")).await.ok();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(100), "unless asked otherwise");
}

#[tokio::test]
async fn the_description_is_openapi_3_1_and_names_every_route() {
    let folder = tempfile::tempdir().expect("a folder");
    let openapi = get(&built(folder.path()), "/api/openapi.json").await.ok();
    assert!(openapi["openapi"].as_str().expect("a version").starts_with("3.1"), "{openapi}");
    let mut paths: Vec<_> = openapi["paths"].as_object().expect("paths").keys().collect();
    paths.sort();
    let expected = [
        "/api/commands/inventory/adjust",
        "/api/commands/inventory/replace",
        "/api/commands/{commandId}",
        "/api/dead-letters",
        "/api/dead-letters/{id}/redrive",
        "/api/events",
        "/api/policies/safety-stock",
        "/api/query/availability",
        "/api/query/inventory/global/{sku}",
        "/api/query/inventory/store/{storeId}",
        "/api/query/inventory/store/{storeId}/{sku}",
        "/api/query/inventory/store/{storeId}/{sku}/events",
        "/api/query/inventory/{storeId}/{sku}/explain",
        "/api/reservations",
        "/api/reservations/{reservationId}",
        "/api/reservations/{reservationId}/cancel",
        "/api/reservations/{reservationId}/fulfil",
        "/api/stores",
        "/api/stores/{storeId}",
        "/api/stores/{storeId}/selling",
        "/api/stream",
        "/api/sync/stores/{storeId}",
        "/livez",
        "/metrics",
        "/readyz",
    ];
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn the_docs_page_is_served_from_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = built(folder.path());
    let page = get(&router, "/api/docs/").await;
    assert_eq!((page.status.as_u16(), page.media_type.as_str()), (200, "text/html"));
    let elsewhere = page.text.split(['"', '\'']).find(|text| text.contains("//"));
    assert_eq!(elsewhere, None, "the page asks the network for nothing");
    let parts = page.text.split("src=\"./").skip(1).map(|rest| rest.split('"').next());
    for part in parts.map(|part| part.expect("a name")) {
        let answer = get(&router, &format!("/api/docs/{part}")).await;
        assert!(answer.status.is_success() && !answer.text.is_empty(), "{part}");
    }
    let start = get(&router, "/api/docs/swagger-initializer.js").await.text;
    assert!(start.contains("/api/openapi.json"), "{start}");
}

#[tokio::test]
async fn operators_are_told_what_is_not_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = built(folder.path());
    assert_eq!(get(&router, "/livez").await.text, "alive\n");
    let ready = get(&router, "/readyz?verbose").await;
    assert_eq!(ready.status.as_u16(), 200, "it answers from what it knows");
    assert!(ready.text.contains("north.3 unknown, S2 unknown"), "{}", ready.text);
    let metrics = get(&router, "/metrics").await.text;
    for line in [
        "onhand_central_store_fresh{store=\"S2\"} 0",
        "onhand_central_store_freshness{store=\"S2\",state=\"unknown\"} 1",
        "onhand_central_store_freshness{store=\"S2\",state=\"fresh\"} 0",
        "onhand_central_lag_events{store=\"S2\"} 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(!metrics.contains("store_age_seconds{"), "no age is not an age of 0: {metrics}");
}
