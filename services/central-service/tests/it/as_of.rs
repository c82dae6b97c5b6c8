//! The past: what the events up to a point lead to, or that it is not kept.

use std::sync::Arc;

use axum::Router;
use central_service::api::stream::Limits;
use event_log::{Chaos, EventLog, MemoryLog};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared_events::{Allocation, RecordedEvent};

use crate::support::{Centre, Shop, documented, fold, get, publish, sku};

const ITEMS: [&str; 3] = ["A", "B-2", "Ä/ö 3"];
const SHOPS: [&str; 2] = ["S1", "north.3"];

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>) {
    (tempfile::tempdir().expect("a folder"), Arc::new(MemoryLog::default()))
}

/// Something a shop does with an item.
#[derive(Debug, Clone)]
enum Step {
    Count(i64),
    Change(i64),
    Keep(i64),
    LetGo,
    Refuse,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (50..90_i64).prop_map(Step::Count),
        4 => prop_oneof![-3..=-1_i64, 1..=3_i64].prop_map(Step::Change),
        3 => (1..4_i64).prop_map(Step::Keep),
        2 => Just(Step::LetGo),
        1 => Just(Step::Refuse),
    ]
}

/// What shops wrote, and what they keep at the end.
fn written(steps: &[(usize, usize, Step)]) -> Vec<Shop> {
    let mut shops = SHOPS.map(Shop::new).to_vec();
    let mut kept: Vec<(usize, usize, Allocation)> = Vec::new();
    for ((shop, item, step), attempt) in steps.iter().zip(1..) {
        let name = ITEMS[*item];
        let writer = &mut shops[*shop];
        match step {
            Step::Count(units) => writer.count(name, *units),
            Step::Change(units) => drop(writer.change(name, *units)),
            Step::Keep(units) => kept.push((*shop, *item, writer.keep(name, attempt, *units))),
            Step::Refuse => writer.refuse(name),
            Step::LetGo => {
                let found = kept.iter().position(|(of, one, _)| (of, one) == (shop, item));
                if let Some(place) = found {
                    writer.let_go(name, kept.swap_remove(place).2);
                }
            }
        }
    }
    shops
}

fn encoded(item: &str) -> &str {
    if item == "Ä/ö 3" { "%C3%84%2F%C3%B6%203" } else { item }
}

/// Asks of an item in a shop at each of its events and between, by sequence and by time.
async fn compare(router: &Router, shops: &[Shop]) {
    for shop in shops {
        for through in 0..=shop.journal.len() {
            let so_far = &shop.journal[..through];
            for item in ITEMS {
                let stood = fold(so_far).remove(&sku(item)).unwrap_or_default();
                let mut points = vec![through.to_string()];
                points.extend(so_far.last().map(|event| event.occurred_at.to_string()));
                for point in points {
                    check_item(router, shop, item, &point, stood).await;
                    check_reservations(router, shop, item, &point, so_far).await;
                }
            }
        }
    }
}

async fn check_item(
    router: &Router,
    shop: &Shop,
    item: &str,
    point: &str,
    stood: inventory_core::StockItem,
) {
    let path = format!("/api/query/inventory/store/{}/{}", shop.id, encoded(item));
    let then = get(router, &format!("{path}?asOf={point}")).await.ok();
    let levels = (&then["onHand"], &then["reserved"], &then["version"]);
    let expected = (json!(stood.on_hand), json!(stood.reserved), json!(stood.version.get()));
    let described = format!("{item} of {} at {point}: {then}", shop.id);
    assert_eq!(levels, (&expected.0, &expected.1, &expected.2), "{described}");
    assert_eq!(then["quantity"], then["onHand"], "{described}");
    assert!(then["available"].is_null() && then["freshness"].is_null(), "{described}");
}

async fn check_reservations(
    router: &Router,
    shop: &Shop,
    item: &str,
    point: &str,
    so_far: &[RecordedEvent],
) {
    use shared_events::StockEvent::{Released, Reserved};
    let path = format!("/api/query/inventory/{}/{}/explain", shop.id, encoded(item));
    let then = get(router, &format!("{path}?asOf={point}")).await.ok();
    let mut expected: Vec<(u32, i64, String)> = Vec::new();
    for event in so_far.iter().filter(|event| event.sku == sku(item)) {
        match &event.event {
            Reserved(kept) => {
                let Allocation { attempt, quantity, .. } = kept.allocation;
                expected.push((attempt, quantity, event.id.to_string()));
            }
            Released(ended) => {
                expected.retain(|(attempt, ..)| *attempt != ended.allocation.attempt);
            }
            _ => {}
        }
    }
    expected.reverse();
    let terms = then["terms"].as_array().expect("terms");
    assert_eq!(terms.len(), 2, "{then}");
    let none = Vec::new();
    let listed = terms[1]["reservations"].as_array().unwrap_or(&none);
    let found = listed.iter().map(|one| {
        assert_eq!(one["reservationId"], "c9.r");
        let attempt = one["attempt"].as_u64().and_then(|n| u32::try_from(n).ok());
        let event = one["eventId"].as_str().expect("an event").to_owned();
        (attempt.expect("a number"), one["quantity"].as_i64().expect("units"), event)
    });
    assert_eq!(found.collect::<Vec<_>>(), expected, "{item} at {point}: {then}");
    assert_eq!((&terms[0]["term"], &terms[1]["term"]), (&json!("onHand"), &json!("reserved")));
    assert_eq!(terms[0]["units"], then["item"]["onHand"]);
    assert_eq!(terms[0]["eventId"], then["item"]["eventId"]);
}

/// Sums over all shops at each time.
async fn compare_sums(router: &Router, shops: &[Shop]) {
    let all = shops.iter().flat_map(|shop| &shop.journal);
    let mut times: Vec<_> = all.clone().map(|event| event.occurred_at).collect();
    times.sort_unstable();
    times.dedup();
    for time in times {
        let then = all.clone().filter(|event| event.occurred_at <= time);
        for item in ITEMS {
            let (mut on_hand, mut reserved) = (0, 0);
            for shop in shops {
                let of_shop = then.clone().filter(|event| event.id.store == shop.id).cloned();
                let stood = fold(&of_shop.collect::<Vec<_>>()).remove(&sku(item));
                on_hand += stood.unwrap_or_default().on_hand;
                reserved += stood.unwrap_or_default().reserved;
            }
            let path = format!("/api/query/inventory/global/{}?asOf={time}", encoded(item));
            let told = get(router, &path).await.ok();
            let sums = (told["onHand"].as_i64(), told["reserved"].as_i64());
            assert_eq!(sums, (Some(on_hand), Some(reserved)), "{item} at {time}: {told}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Whatever the shops did, and however the broker mixed it.
    #[test]
    fn the_past_is_what_the_events_up_to_there_lead_to(
        steps in vec((0..SHOPS.len(), 0..ITEMS.len(), step()), 1..40),
        seed in any::<u64>(),
    ) {
        let chaos = Chaos { seed, duplicate: 30, lose_ack: 20, redeliver: 30, delay: 30 };
        let folder = tempfile::tempdir().expect("a folder");
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::with_chaos(chaos));
        let shops = written(&steps);
        let mut order: Vec<&RecordedEvent> = shops.iter().flat_map(|shop| &shop.journal).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut order);
        let mut centre = Centre::open(folder.path(), &log);
        for part in order.chunks(5) {
            publish(log.as_ref(), part.iter().copied());
            centre.catch_up();
        }
        // A shop that never wrote is not known here.
        let known: Vec<Shop> =
            shops.into_iter().filter(|shop| !shop.journal.is_empty()).collect();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let router = centre.router();
        runtime.block_on(compare(&router, &known));
        runtime.block_on(compare_sums(&router, &known));
    }
}

/// Items are found in full segments as well as behind the last one, also while the oldest are pruned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_items_events_are_found_across_segments() {
    let (folder, log) = setting();
    let mut shop = Shop::new("S1");
    for step in 0_usize..70_000 {
        shop.count(["A", "B", "C", "D"][step % 4], i64::try_from(step % 1_000).expect("small"));
    }
    let mut centre = Centre::keeping(folder.path(), &log, 60_000, Limits::default());
    for part in shop.journal.chunks(5_000) {
        let events = part.to_vec();
        centre.apply(&central_service::projection::Batch { events, ..Default::default() });
    }
    let router = centre.router();
    for sequence in [10_004, 32_767, 32_769, 40_000, 65_536, 65_540, 69_999, 70_000] {
        let path = format!("/api/query/inventory/store/S1/B?asOf={sequence}");
        let last = shop.journal[..sequence].iter().rev().find(|event| event.sku == sku("B"));
        let last = last.expect("it was counted");
        let then = get(&router, &path).await.ok();
        assert_eq!(then["eventId"], last.id.to_string());
        assert_eq!(then["onHand"], last.event.levels().expect("a count").on_hand);
    }
    let path = "/api/query/inventory/store/S1/B";
    let gone = get(&router, &format!("{path}?asOf=9000")).await;
    assert_eq!(gone.problem(410, "history_gone"), "asOf");
    let events = get(&router, &format!("{path}/events?limit=1")).await.ok();
    assert_eq!(events["complete"], false);
    assert_eq!(events["events"][0]["eventId"], "S1/1/10002");
}

#[tokio::test]
async fn an_items_events_come_in_the_order_the_store_wrote_them() {
    let (folder, log) = setting();
    let mut shop = Shop::new("S1");
    for step in 0..25 {
        shop.count("A", step);
        shop.count("B", step);
    }
    shop.refuse("A");
    shop.begin_new_life();
    shop.count("A", 7);
    let mut order: Vec<&RecordedEvent> = shop.journal.iter().collect();
    fastrand::Rng::with_seed(3).shuffle(&mut order);
    let mut centre = Centre::open(folder.path(), &log);
    publish(log.as_ref(), order);
    centre.catch_up();
    let router = centre.router();
    let path = "/api/query/inventory/store/S1/A/events";
    let (mut found, mut after): (Vec<Value>, String) = (Vec::new(), String::new());
    loop {
        let page = get(&router, &format!("{path}?limit=4{after}")).await.ok();
        found.extend(page["events"].as_array().expect("a list").iter().cloned());
        assert_eq!(page["item"]["onHand"], 7, "the item as it is now");
        assert_eq!(page["complete"], true);
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let expected: Vec<&RecordedEvent> =
        shop.journal.iter().filter(|event| event.sku == sku("A")).collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found["eventId"], expected.id.to_string());
        assert_eq!(found["type"], expected.event.event_type());
        let data: Value = serde_json::from_str(&expected.event.to_data()).expect("JSON");
        assert_eq!(found["data"], data);
    }
    let time = shop.journal[4].occurred_at;
    let then = get(&router, &format!("{path}?asOf={time}")).await.ok();
    assert_eq!(then["events"].as_array().map(Vec::len), Some(3));
    assert_eq!(then["item"]["onHand"], 2);
    let openapi = get(&router, "/api/openapi.json").await.ok();
    documented(
        &openapi,
        "ItemHistory",
        &json!({
            "item": then["item"], "complete": true, "next": "1/5", "events": [],
        }),
    );
}

/// Between two events that are known, one that has not come may have been in force.
#[tokio::test]
async fn what_depends_on_an_event_that_is_missing_is_not_told() {
    let (folder, log) = setting();
    let mut shop = Shop::new("S1");
    (1..=5).for_each(|units| shop.count("A", units));
    let mut centre = Centre::open(folder.path(), &log);
    publish(log.as_ref(), shop.journal.iter().filter(|event| event.id.sequence.get() != 3));
    centre.catch_up();
    let router = centre.router();
    let path = "/api/query/inventory/store/S1/A";
    for (sequence, told) in [(0, true), (1, true), (2, false), (3, false), (4, true), (5, true)] {
        let answer = get(&router, &format!("{path}?asOf={sequence}")).await;
        if told {
            assert_eq!(answer.ok()["onHand"], sequence);
        } else {
            assert_eq!(answer.problem(410, "history_gone"), "asOf");
        }
    }
    let time = shop.journal[2].occurred_at;
    let answer = get(&router, &format!("/api/query/inventory/global/A?asOf={time}")).await;
    assert_eq!(answer.json()["storeId"], "S1");
    assert_eq!(answer.problem(410, "history_gone"), "asOf");
    publish(log.as_ref(), shop.events(3, 3));
    centre.catch_up();
    assert_eq!(get(&router, &format!("{path}?asOf=3")).await.ok()["onHand"], 3);
}

/// An item that did not change since is known, however little is kept.
#[tokio::test]
async fn an_item_that_did_not_change_since_needs_no_history() {
    let (folder, log) = setting();
    let mut shop = Shop::new("S1");
    shop.count("OLD", 7);
    (0..50).for_each(|units| shop.count("A", units));
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::keeping(folder.path(), &log, 5, Limits::default());
    centre.catch_up();
    let router = centre.router();
    let path = "/api/query/inventory/store/S1";
    assert_eq!(get(&router, &format!("{path}/OLD?asOf=20")).await.ok()["onHand"], 7);
    assert_eq!(get(&router, &format!("{path}/A?asOf=48")).await.ok()["onHand"], 46);
    assert_eq!(get(&router, &format!("{path}/NEVER?asOf=3")).await.ok()["version"], 0);
    assert_eq!(get(&router, &format!("{path}/OLD?asOf=0")).await.ok()["version"], 0);
    for path in ["A?asOf=20", "A/events?asOf=20"] {
        let answer = get(&router, &format!("/api/query/inventory/store/S1/{path}")).await;
        assert_eq!(answer.problem(410, "history_gone"), "asOf", "{path}");
    }
}

#[tokio::test]
async fn answers_of_the_past_are_as_described_and_bad_questions_are_refused() {
    let (folder, log) = setting();
    let mut shop = Shop::new("S1");
    shop.count("A", 5);
    shop.keep("A", 1, 2);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let router = centre.router();
    let openapi = get(&router, "/api/openapi.json").await.ok();
    let query = "/api/query/inventory";
    let then = get(&router, &format!("{query}/store/S1/A?asOf=1")).await.ok();
    documented(&openapi, "ItemThen", &then);
    assert_eq!(then["asOf"], "1");
    let then = get(&router, &format!("{query}/global/A?asOf=2100-01-01T00:00:00Z")).await.ok();
    documented(&openapi, "GlobalThen", &then);
    assert_eq!((&then["onHand"], &then["reserved"]), (&json!(5), &json!(2)));
    let then = get(&router, &format!("{query}/S1/A/explain?asOf=2")).await.ok();
    documented(&openapi, "ExplanationThen", &then);

    for (path, field) in [
        ("store/S1/A?asOf=noon", "asOf"),
        ("store/S1/A?asOf=-1", "asOf"),
        ("store/S1/A?at=1", "query"),
        ("global/A?asOf=17", "asOf"),
        ("global/A?asOf=", "asOf"),
        ("store/S1/A/events?asOf=9007199254740992", "asOf"),
        ("store/S1/A/events?after=17", "after"),
        ("store/S1/A/events?after=1/x", "after"),
        ("store/S1/A/events?limit=0", "limit"),
    ] {
        let answer = get(&router, &format!("{query}/{path}")).await;
        assert_eq!(answer.problem(422, "invalid_field"), field, "{path}");
    }
    for path in ["store/S9/A?asOf=1", "S9/A/explain?asOf=1", "store/S9/A/events"] {
        let answer = get(&router, &format!("{query}/{path}")).await;
        assert_eq!(answer.problem(404, "unknown_store"), "storeId", "{path}");
    }
}
