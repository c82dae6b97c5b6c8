//! `replace` and `adjust`: what is answered, and when the business says no.

use serde_json::json;

use crate::support::{ADJUST, REPLACE, TestStore, adjust, replace, with};

#[tokio::test]
async fn a_replace_says_what_it_led_to() {
    let store = TestStore::start().await;
    let first = store.replace("ABC-1", 10).await;
    assert_eq!(
        first.json(),
        json!({
            "storeId": "A", "sku": "ABC-1", "quantity": 10, "eventId": "A/1/1", "sequence": 1,
            "version": 1, "delta": 10, "onHand": 10, "reserved": 0, "available": 10
        })
    );
    assert_eq!(first.header("etag"), Some("\"1\""));
    assert!(!first.is_replayed());

    let second = store.replace("ABC-1", 4).await;
    let expected = json!({
        "storeId": "A", "sku": "ABC-1", "quantity": 4, "eventId": "A/1/2", "sequence": 2,
        "version": 2, "delta": -6, "onHand": 4, "reserved": 0, "available": 4
    });
    assert_eq!(second.json(), expected);
}

#[tokio::test]
async fn an_adjust_says_what_it_led_to() {
    let store = TestStore::start().await;
    // An item never seen counts as 0.
    let first = store.adjust("ABC-1", 5).await;
    let expected = json!({
        "storeId": "A", "sku": "ABC-1", "quantity": 5, "eventId": "A/1/1", "sequence": 1,
        "version": 1, "delta": 5, "onHand": 5, "reserved": 0, "available": 5
    });
    assert_eq!(first.json(), expected);

    let second = store.adjust("ABC-1", -5).await;
    assert_eq!(second.header("etag"), Some("\"2\""));
    let expected = json!({
        "storeId": "A", "sku": "ABC-1", "quantity": 0, "eventId": "A/1/2", "sequence": 2,
        "version": 2, "delta": -5, "onHand": 0, "reserved": 0, "available": 0
    });
    assert_eq!(second.json(), expected);
}

#[tokio::test]
async fn sequences_are_the_stores_and_versions_the_items() {
    let store = TestStore::start().await;
    store.adjust("X", 1).await;
    store.adjust("Y", 1).await;
    let third = store.adjust("X", 1).await.json();
    assert_eq!((&third["sequence"], &third["version"]), (&json!(3), &json!(2)));
}

#[tokio::test]
async fn the_shelf_is_what_the_last_answer_said() {
    let store = TestStore::start().await;
    store.replace("ABC-1", 10).await;
    store.adjust("ABC-1", -3).await;
    let item = store.get("/api/query/inventory/store/A/ABC-1").await;
    let expected = json!({
        "storeId": "A", "sku": "ABC-1", "quantity": 7, "onHand": 7, "reserved": 0,
        "available": 7, "version": 2
    });
    assert_eq!(item.accepted(), expected);
    assert_eq!(item.header("etag"), Some("\"2\""));
}

#[tokio::test]
async fn an_item_never_seen_counts_as_none() {
    let store = TestStore::start().await;
    let item = store.get("/api/query/inventory/store/A/never").await;
    let expected = json!({
        "storeId": "A", "sku": "never", "quantity": 0, "onHand": 0, "reserved": 0,
        "available": 0, "version": 0
    });
    assert_eq!(item.accepted(), expected);
    assert_eq!(item.header("etag"), Some("\"0\""));
}

#[tokio::test]
async fn a_sku_may_be_any_text_in_body_and_path() {
    let store = TestStore::start().await;
    for (sku, path) in [
        ("Käse 5 kg", "K%C3%A4se%205%20kg"),
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("100%", "100%25"),
        ("..", "%2E%2E"),
    ] {
        store.replace(sku, 3).await;
        assert_eq!(store.item(path).await, (3, 1), "{sku}");
    }
}

#[tokio::test]
async fn a_stale_expected_version_is_a_conflict() {
    let store = TestStore::start().await;
    store.replace("X", 10).await;
    for (path, body) in [(ADJUST, adjust("X", -1)), (REPLACE, replace("X", 9))] {
        let stale = with(body, json!({"expectedVersion": 0}));
        let problem = store.post(path, &stale).await.problem(409, "version_conflict");
        assert_eq!(problem["field"], "expectedVersion");
        assert_eq!(problem["expectedVersion"], 0);
        assert_eq!(problem["currentVersion"], 1);
    }
    assert_eq!((store.item("X").await, store.head().await), ((10, 1), 1), "nothing was written");
    let right = with(adjust("X", -1), json!({"expectedVersion": 1}));
    assert_eq!(store.post(ADJUST, &right).await.accepted()["version"], 2);
}

#[tokio::test]
async fn a_stale_if_match_is_a_failed_precondition() {
    let store = TestStore::start().await;
    let tag = store.replace("X", 10).await.header("etag").unwrap().to_owned();
    let sale = adjust("X", -1);
    store.post_with(ADJUST, &sale, &[("if-match", &tag)]).await.accepted();
    let stale = store.post_with(ADJUST, &sale, &[("if-match", &tag)]).await;
    let problem = stale.problem(412, "precondition_failed");
    assert_eq!(problem["field"], "if-match");
    assert_eq!((&problem["expectedVersion"], &problem["currentVersion"]), (&json!(1), &json!(2)));
    assert_eq!(store.head().await, 2);
}

#[tokio::test]
async fn body_and_if_match_may_say_the_same_and_no_more() {
    let store = TestStore::start().await;
    store.replace("X", 10).await;
    let sale = with(adjust("X", -1), json!({"expectedVersion": 1}));
    let torn = store.post_with(ADJUST, &sale, &[("if-match", "\"2\"")]).await;
    assert_eq!(torn.problem(422, "invalid_field")["field"], "expectedVersion");
    store.post_with(ADJUST, &sale, &[("if-match", "\"1\"")]).await.accepted();
}

#[tokio::test]
async fn version_zero_means_an_item_never_seen() {
    let store = TestStore::start().await;
    let first = with(replace("X", 10), json!({"expectedVersion": 0}));
    store.post(REPLACE, &first).await.accepted();
    store.post(REPLACE, &first).await.problem(409, "version_conflict");
}

#[tokio::test]
async fn a_sale_the_shelf_cannot_cover_is_refused_with_the_numbers() {
    let store = TestStore::start().await;
    store.replace("X", 2).await;
    for body in [adjust("X", -3), with(adjust("X", -3), json!({"onShortfall": "reject"}))] {
        let problem = store.post(ADJUST, &body).await.problem(409, "insufficient_stock");
        let numbers = (&problem["requested"], &problem["available"], &problem["onHand"]);
        assert_eq!(numbers, (&json!(3), &json!(2), &json!(2)));
    }
    assert_eq!((store.item("X").await, store.head().await), ((2, 1), 1), "nothing was written");
}

#[tokio::test]
async fn a_walk_in_customer_takes_what_is_there_and_not_more() {
    let store = TestStore::start().await;
    store.replace("X", 2).await;
    let walk_in = |delta| with(adjust("X", delta), json!({"onShortfall": "breakReservations"}));
    store.post(ADJUST, &walk_in(-3)).await.problem(409, "insufficient_stock");
    assert_eq!(store.post(ADJUST, &walk_in(-2)).await.accepted()["onHand"], 0);
}

#[tokio::test]
async fn a_discrepancy_empties_the_shelf_and_is_on_record() {
    let store = TestStore::start().await;
    store.replace("X", 2).await;
    let sold = with(adjust("X", -5), json!({"onShortfall": "recordDiscrepancy"}));
    let answer = store.post(ADJUST, &sold).await.accepted();
    let numbers = (&answer["onHand"], &answer["delta"], &answer["discrepancy"]);
    assert_eq!(numbers, (&json!(0), &json!(-2), &json!(3)));
    let history = store.get("/api/query/inventory/store/A/X/events").await.accepted();
    assert_eq!(history["events"][1]["data"]["discrepancy"], 3);
    // Where the shelf suffices there is none.
    store.replace("Y", 9).await;
    let covered = with(adjust("Y", -5), json!({"onShortfall": "recordDiscrepancy"}));
    let answer = store.post(ADJUST, &covered).await.accepted();
    assert_eq!((&answer["onHand"], answer.get("discrepancy")), (&json!(4), None));
}

#[tokio::test]
async fn a_shelf_holds_a_thousand_million_and_no_more() {
    let store = TestStore::start().await;
    store.replace("X", 1_000_000_000).await;
    let problem = store.post(ADJUST, &adjust("X", 1)).await.problem(422, "level_out_of_range");
    assert_eq!((&problem["onHand"], &problem["delta"]), (&json!(1_000_000_000), &json!(1)));
    store.adjust("X", -1_000_000_000).await;
    assert_eq!((store.item("X").await, store.head().await), ((0, 2), 2));
}
