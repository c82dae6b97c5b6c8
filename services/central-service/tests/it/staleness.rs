//! What an old number costs: fewer units, stores left out, and caches that let go in time.

use std::sync::Arc;

use axum::Router;
use event_log::{EventLog, MemoryLog};
use inventory_core::{FreshnessBounds, StalenessBuffer};
use serde_json::{Value, json};

use crate::support::{BLIND, Centre, DEAF, Shop, documented, get, heartbeats, publish, put};

const QUERY: &str = "/api/query";

/// Two shops, of which the first has three kinds of items and the second one of them.
fn setting(bounds: FreshnessBounds) -> (tempfile::TempDir, Arc<dyn EventLog>, [Shop; 2], Centre) {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let shops = [Shop::stocked("S1", 3), Shop::stocked("S2", 1)];
    let mut centre = Centre::with(folder.path(), &log, bounds, std::time::Duration::ZERO);
    centre.listen();
    for shop in &shops {
        publish(log.as_ref(), &shop.journal);
        centre.catch_up();
    }
    (folder, log, shops, centre)
}

async fn availability(router: &Router, rest: &str) -> Value {
    let answer = get(router, &format!("{QUERY}/availability?sku={rest}")).await.ok();
    answer["items"][0].clone()
}

/// The answers about stock.
const ANSWERS: [&str; 5] = [
    "inventory/global/ITEM-0",
    "inventory/store/S1/ITEM-0",
    "inventory/store/S1",
    "inventory/S1/ITEM-0/explain",
    "availability?sku=ITEM-0,ITEM-1",
];

#[tokio::test]
async fn a_cache_may_keep_what_was_heard_for_as_long_as_it_is_not_stale() {
    let bounds = FreshnessBounds { stale_after_ms: 300_000, ..FreshnessBounds::default() };
    let bounds = FreshnessBounds { dark_after_ms: 600_000, ..bounds };
    let (_folder, log, shops, mut centre) = setting(bounds);
    let router = centre.router();
    for path in ANSWERS {
        let answer = get(&router, &format!("{QUERY}/{path}")).await;
        assert_eq!(answer.header("age"), None, "nothing was heard: {path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    heartbeats(log.as_ref(), [shops[0].heartbeat()]);
    centre.catch_up();
    let answer = get(&router, &format!("{QUERY}/inventory/store/S1/ITEM-0")).await;
    assert!(answer.header("age").is_some());
    // One of two stores has an age, which is not the age of their sum.
    let answer = get(&router, &format!("{QUERY}/inventory/global/ITEM-0")).await;
    assert_eq!((answer.header("age"), answer.header("cache-control")), (None, Some("no-store")));
    assert_eq!(answer.ok().get("asOf"), None);

    heartbeats(log.as_ref(), [shops[1].heartbeat()]);
    centre.catch_up();
    for path in ANSWERS {
        let answer = get(&router, &format!("{QUERY}/{path}")).await;
        let age: u64 = answer.header("age").expect(path).parse().expect("whole seconds");
        assert!(age < 300, "{path}: {age}");
        assert_eq!(answer.header("cache-control"), Some("max-age=300"), "{path}");
        assert_eq!(answer.header("warning"), None, "{path}");
    }
    let never = get(&router, &format!("{QUERY}/inventory/global/NEVER-SEEN")).await;
    assert_eq!(never.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_stale_store_keeps_units_back_and_every_answer_agrees() {
    let (_folder, log, shops, mut centre) = setting(DEAF);
    heartbeats(log.as_ref(), [shops[0].heartbeat()]);
    centre.catch_up();
    let router = centre.router();
    // Two units are kept back at first.
    for (item, on_hand, offered) in [("ITEM-0", 1, 0), ("ITEM-1", 2, 0), ("ITEM-2", 3, 1)] {
        let one = get(&router, &format!("{QUERY}/inventory/store/S1/{item}")).await.ok();
        assert_eq!(one["freshness"]["state"], "stale");
        assert_eq!((&one["onHand"], &one["available"]), (&on_hand.into(), &offered.into()));
        let why = get(&router, &format!("{QUERY}/inventory/S1/{item}/explain")).await.ok();
        assert_eq!((&why["available"], &why["sellable"]), (&offered.into(), &true.into()));
        let term = why["terms"].as_array().expect("terms").last().expect("a term").clone();
        assert_eq!((&term["term"], &term["units"]), (&"staleness".into(), &(-2).into()));
        let because = term["because"].as_str().expect("a reason");
        assert!(because.contains("stale since 2"), "{because}");
        let units = availability(&router, &format!("{item}&storeId=S1")).await;
        assert_eq!((&units["available"], &units["contributing"]), (&offered.into(), &1.into()));
    }
    let page = get(&router, &format!("{QUERY}/inventory/store/S1")).await.ok();
    let units: Vec<_> = page["items"].as_array().expect("items").iter().collect();
    assert_eq!(units.iter().map(|item| item["available"].clone()).collect::<Vec<_>>(), [0, 0, 1]);
}

#[tokio::test]
async fn without_a_buffer_a_stale_store_offers_all_it_has() {
    let buffer = StalenessBuffer { units: 0, units_per_minute: 0 };
    let (_folder, _log, _shops, centre) = setting(FreshnessBounds { buffer, ..DEAF });
    let one = get(&centre.router(), &format!("{QUERY}/inventory/store/S1/ITEM-2")).await.ok();
    assert_eq!((&one["available"], &one["freshness"]["state"]), (&3.into(), &"stale".into()));
}

#[tokio::test]
async fn a_sum_says_what_it_rests_on_and_whom_it_leaves_out() {
    let (_folder, log, shops, mut centre) = setting(crate::support::PATIENT);
    heartbeats(log.as_ref(), shops.each_ref().map(Shop::heartbeat));
    centre.catch_up();
    let router = centre.router();
    let openapi = get(&router, "/api/openapi.json").await.ok();
    let basis = |answer: &Value| {
        let (excluded, dated) = (&answer["excluded"], answer["asOf"]["ageMs"].is_u64());
        let counts = (&excluded["dark"], &excluded["switchedOff"]);
        json!([answer["freshness"], answer["contributing"], counts.0, counts.1, dated])
    };
    let global = get(&router, &format!("{QUERY}/inventory/global/ITEM-0")).await.ok();
    documented(&openapi, "Global", &global);
    assert_eq!(basis(&global), json!(["fresh", 2, 0, 0, true]));
    let answer = get(&router, &format!("{QUERY}/availability?sku=ITEM-0,ITEM-2")).await.ok();
    documented(&openapi, "Availability", &answer);
    assert_eq!(basis(&answer["items"][0]), json!(["fresh", 2, 0, 0, true]));
    assert_eq!(basis(&answer["items"][1]), json!(["fresh", 1, 0, 0, true]));

    crate::selling::switch(&mut centre, "S2", false, None);
    let global = get(&router, &format!("{QUERY}/inventory/global/ITEM-0")).await.ok();
    assert_eq!(basis(&global), json!(["fresh", 1, 0, 1, true]), "the other is alive all the same");
    let alone = availability(&router, "ITEM-0&storeId=S2").await;
    assert_eq!(basis(&alone), json!(["fresh", 0, 0, 1, false]));
    assert_eq!(alone["available"], 0);
}

#[tokio::test]
async fn a_dark_store_is_left_out_of_a_sum_and_counted_as_such() {
    let (_folder, _log, _shops, centre) = setting(BLIND);
    let router = centre.router();
    let global = get(&router, &format!("{QUERY}/inventory/global/ITEM-0")).await;
    assert_eq!(global.header("cache-control"), Some("no-store"), "nothing is known of it");
    let global = global.ok();
    assert_eq!((&global["available"], &global["contributing"]), (&0.into(), &0.into()));
    assert_eq!(global["excluded"], json!({"dark": 2, "switchedOff": 0}));
    let why = get(&router, &format!("{QUERY}/inventory/S1/ITEM-0/explain")).await.ok();
    let because = why["because"].as_str().expect("a reason");
    assert!(because.contains("dark since 2"), "{because}");
}

#[tokio::test]
async fn a_store_is_switched_by_a_body_that_says_so() {
    let (_folder, _log, _shops, centre) = setting(DEAF);
    let router = centre.router();
    for (body, field) in [
        (json!({}), ""),
        (json!({"enabled": "no"}), "enabled"),
        (json!({"enabled": false, "why": "x"}), "why"),
        (json!({"enabled": false, "reason": ""}), "reason"),
        (json!({"enabled": false, "reason": "x".repeat(201)}), "reason"),
    ] {
        let answer = put(&router, "/api/stores/S1/selling", &body).await;
        assert_eq!(answer.problem(422, "invalid_field"), field, "{body}");
    }
    let answer = put(&router, "/api/stores/S9/selling", &json!({"enabled": false})).await;
    assert_eq!(answer.problem(404, "unknown_store"), "storeId");
}
