//! What happened to an item, how it stood at a point, and the list of all items, page by page.

use serde_json::{Value, json};
use test_support::eventually_async;

use crate::support::{ADJUST, DEADLINE, REPLACE, TestStore, adjust, replace, with};

const EVENTS: &str = "/api/query/inventory/store/A/X/events";

/// X has the sequences 1, 3, 5, 7, 9 and the levels 10 to 50; Y has those between.
async fn five_events() -> TestStore {
    let store = TestStore::start().await;
    for _ in 0..5 {
        store.adjust("X", 10).await;
        store.adjust("Y", 1).await;
    }
    store
}

async fn history(store: &TestStore, query: &str) -> Value {
    store.get(&format!("{EVENTS}{query}")).await.accepted()
}

fn sequences(history: &Value) -> Vec<u64> {
    let events = history["events"].as_array().unwrap();
    events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn an_event_tells_who_what_and_why() {
    let store = TestStore::start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let why = json!({"reason": "count", "reference": "sheet 7", "commandId": "c-1"});
    let counted = with(replace("X", 10), why);
    store.post_with(REPLACE, &counted, &[("traceparent", trace)]).await.accepted();
    store.post_with(ADJUST, &adjust("X", -1), &[("traceparent", "not a trace")]).await.accepted();

    let mut history = history(&store, "").await;
    for event in history["events"].as_array_mut().unwrap() {
        let occurred = event.as_object_mut().unwrap().remove("occurredAt").unwrap();
        assert!(occurred.as_str().unwrap().ends_with('Z'), "{occurred}");
    }
    let expected = json!({
        "item": {
            "storeId": "A", "sku": "X", "quantity": 9, "onHand": 9, "reserved": 0,
            "available": 9, "version": 2
        },
        "events": [
            {
                "eventId": "A/1/1", "sequence": 1, "type": "inventory.stock-replaced.v1",
                "commandId": "c-1", "traceparent": trace,
                "data": {
                    "version": 1, "delta": 10, "onHand": 10, "reserved": 0,
                    "reason": "count", "reference": "sheet 7"
                }
            },
            {
                "eventId": "A/1/2", "sequence": 2, "type": "inventory.stock-adjusted.v1",
                "data": {"version": 2, "delta": -1, "onHand": 9, "reserved": 0}
            }
        ]
    });
    assert_eq!(history, expected);
}

#[tokio::test]
async fn a_history_holds_the_events_of_its_item_alone() {
    let store = five_events().await;
    let all = history(&store, "").await;
    assert_eq!(sequences(&all), [1, 3, 5, 7, 9]);
    assert_eq!((&all["item"]["onHand"], all.get("next")), (&json!(50), None));
    let never = store.get("/api/query/inventory/store/A/never/events").await.accepted();
    assert_eq!((&never["events"], &never["item"]["version"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn a_history_is_read_page_by_page() {
    let store = five_events().await;
    let (mut after, mut read, mut pages) = (0, Vec::new(), 0);
    loop {
        let page = history(&store, &format!("?limit=2&after={after}")).await;
        assert_eq!(page["item"]["onHand"], 50, "the item is the same on every page");
        read.extend(sequences(&page));
        pages += 1;
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!((read, pages), (vec![1, 3, 5, 7, 9], 3));
    assert_eq!(sequences(&history(&store, "?after=4").await), [5, 7, 9]);
    assert!(sequences(&history(&store, "?after=9").await).is_empty());
    assert!(sequences(&history(&store, "?after=9007199254740991").await).is_empty());
}

#[tokio::test]
async fn an_item_can_be_seen_as_of_a_sequence() {
    let store = five_events().await;
    for (as_of, on_hand, version, events) in [
        (0_i64, 0, 0, vec![]),
        (1, 10, 1, vec![1]),
        (4, 20, 2, vec![1, 3]),
        (5, 30, 3, vec![1, 3, 5]),
        (9, 50, 5, vec![1, 3, 5, 7, 9]),
        (9_007_199_254_740_991, 50, 5, vec![1, 3, 5, 7, 9]),
    ] {
        let then = history(&store, &format!("?asOf={as_of}")).await;
        let item = &then["item"];
        assert_eq!((&item["onHand"], &item["version"]), (&json!(on_hand), &json!(version)));
        assert_eq!(sequences(&then), events, "{as_of}");
    }
    let page = history(&store, "?asOf=5&after=1&limit=1").await;
    assert_eq!((sequences(&page), &page["next"]), (vec![3], &json!(3)));
    assert_eq!(page["item"]["onHand"], 30);
}

#[tokio::test]
async fn an_item_can_be_seen_as_of_a_time() {
    let store = TestStore::start().await;
    store.replace("X", 1).await;
    let first = history(&store, "").await["events"][0]["occurredAt"].as_str().unwrap().to_owned();
    // Until the store's clock, which counts milliseconds, has gone on.
    eventually_async("a later event", DEADLINE, async || {
        store.adjust("X", 1).await;
        let newest = history(&store, "").await;
        let last = newest["events"].as_array().unwrap().last().unwrap().clone();
        (last["occurredAt"].as_str().unwrap() > first.as_str()).then_some(())
    })
    .await;

    let then = history(&store, &format!("?asOf={first}")).await;
    let events = then["events"].as_array().unwrap();
    assert!(events.iter().all(|event| event["occurredAt"] == *first), "{then}");
    assert_eq!(then["item"]["version"], events.len(), "as it was then");
    let now = history(&store, "").await["item"]["version"].clone();
    assert_ne!(then["item"]["version"], now);
    assert_eq!(history(&store, "?asOf=9999-12-31T23:59:59Z").await["item"]["version"], now);
    let before = history(&store, "?asOf=1999-12-31T23:59:59Z").await;
    assert_eq!((&before["item"]["version"], &before["events"]), (&json!(0), &json!([])));
    // An offset's plus sign is a space unless it is escaped.
    let offset = history(&store, "?asOf=9999-12-31T23:59:59%2B00:00").await;
    assert_eq!(offset["item"]["version"], now);
}

#[tokio::test]
async fn items_are_listed_page_by_page_in_order() {
    let store = TestStore::start().await;
    for sku in ["b", "Ä/1", "a", "d", "c"] {
        store.replace(sku, 1).await;
    }
    let (mut path, mut skus) = ("/api/query/inventory/store/A?limit=2".to_owned(), Vec::new());
    loop {
        let page = store.get(&path).await.accepted();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        skus.extend(items.iter().map(|item| item["sku"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/query/inventory/store/A?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(skus, ["a", "b", "c", "d", "Ä/1"]);
    let all = store.get("/api/query/inventory/store/A").await.accepted();
    assert_eq!((all["items"].as_array().unwrap().len(), all.get("next")), (5, None));
    let item = json!({
        "storeId": "A", "sku": "a", "quantity": 1, "onHand": 1, "reserved": 0, "available": 1,
        "version": 1
    });
    assert_eq!(all["items"][0], item);
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let store = five_events().await;
    let (events, items) =
        (history(&store, "").await, store.get("/api/query/inventory/store/A").await);
    let store = store.restart().await;
    assert_eq!(history(&store, "").await, events);
    assert_eq!(store.get("/api/query/inventory/store/A").await.json(), items.json());
    assert_eq!(store.adjust("X", 1).await.json()["sequence"], 11);
}
