//! Many commands in one body: each judged on its own.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::support::{ADJUST, BATCH, TestStore, adjust, check_problem, replace, with};

fn lines(bodies: &[Value]) -> String {
    bodies.iter().map(|body| format!("{body}\n")).collect()
}

async fn post(
    store: &TestStore,
    content_type: &str,
    body: impl Into<Body>,
) -> crate::support::Reply {
    let request = Request::post(BATCH).header(header::CONTENT_TYPE, content_type);
    store.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn each_line_gets_the_answer_it_would_get_alone() {
    let store = TestStore::start().await;
    let results =
        store.batch(&lines(&[replace("X", 10), adjust("X", -3), replace("Y", 1)]), &[]).await;
    let expected = [
        json!({
            "line": 1, "status": 200, "storeId": "A", "sku": "X", "quantity": 10,
            "eventId": "A/1/1", "sequence": 1, "version": 1, "delta": 10, "onHand": 10,
            "reserved": 0, "available": 10
        }),
        json!({
            "line": 2, "status": 200, "storeId": "A", "sku": "X", "quantity": 7,
            "eventId": "A/1/2", "sequence": 2, "version": 2, "delta": -3, "onHand": 7,
            "reserved": 0, "available": 7
        }),
        json!({
            "line": 3, "status": 200, "storeId": "A", "sku": "Y", "quantity": 1,
            "eventId": "A/1/3", "sequence": 3, "version": 1, "delta": 1, "onHand": 1,
            "reserved": 0, "available": 1
        }),
    ];
    assert_eq!(results, expected);
    assert_eq!(store.item("X").await, (7, 2));
}

#[tokio::test]
async fn a_bad_line_costs_no_other() {
    let store = TestStore::start().await;
    let bad = [
        ("not json", 400, "malformed_body", None),
        ("{\"storeId\":\"A\"", 400, "malformed_body", None),
        ("[1]", 422, "invalid_field", None),
        ("{\"storeId\":\"A\",\"sku\":\"X\"}", 422, "invalid_field", Some("quantity")),
        (
            "{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":1,\"delta\":1}",
            422,
            "invalid_field",
            Some("quantity"),
        ),
        (
            "{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":1,\"onShortfall\":\"reject\"}",
            422,
            "invalid_field",
            Some("onShortfall"),
        ),
        (
            "{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":-1}",
            422,
            "invalid_field",
            Some("quantity"),
        ),
        ("{\"storeId\":\"B\",\"sku\":\"X\",\"quantity\":1}", 422, "wrong_store", Some("storeId")),
        (
            "{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":1,\"x\":1}",
            422,
            "invalid_field",
            Some("x"),
        ),
        ("{\"storeId\":\"A\",\"sku\":\"X\",\"delta\":-99}", 409, "insufficient_stock", None),
        (
            "{\"storeId\":\"A\",\"sku\":\"X\",\"delta\":1,\"expectedVersion\":77}",
            409,
            "version_conflict",
            Some("expectedVersion"),
        ),
    ];
    let mut body = String::new();
    for (line, ..) in bad {
        body.push_str(&format!("{}\n{line}\n", adjust("X", 1)));
    }
    let results = store.batch(&body, &[]).await;
    assert_eq!(results.len(), bad.len() * 2);
    for (n, (pair, (line, status, code, field))) in results.chunks(2).zip(bad).enumerate() {
        assert_eq!((&pair[0]["status"], &pair[0]["onHand"]), (&json!(200), &json!(n + 1)));
        assert_eq!((&pair[1]["line"], &pair[1]["status"]), (&json!(n * 2 + 2), &json!(status)));
        check_problem(&pair[1]["problem"], status, code);
        assert_eq!(pair[1]["problem"]["field"].as_str(), field, "{line}");
    }
    assert_eq!(store.head().await, 11);
}

#[tokio::test]
async fn blank_lines_have_no_result_and_keep_the_numbering() {
    let store = TestStore::start().await;
    let body = format!("\n{}\r\n   \n\n{}", replace("X", 1), replace("Y", 2));
    let results = store.batch(&body, &[]).await;
    let numbers: Vec<_> = results.iter().map(|result| result["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 5]);
    assert_eq!(store.batch("", &[]).await, [] as [Value; 0]);
    assert_eq!(store.batch("\n \n", &[]).await, [] as [Value; 0]);
}

#[tokio::test]
async fn ten_thousand_lines_are_executed_and_one_more_is_too_many() {
    let store = TestStore::start().await;
    let line = "{\"storeId\":\"A\",\"sku\":\"X\",\"delta\":1}\n";
    let refused = post(&store, "application/x-ndjson", line.repeat(10_001)).await;
    assert_eq!(refused.problem(413, "body_too_large")["maxLines"], 10_000);
    assert_eq!(store.head().await, 0);

    let results = store.batch(&format!("\n\n{}", line.repeat(10_000)), &[]).await;
    assert_eq!(results.len(), 10_000);
    assert!(results.iter().all(|result| result["status"] == 200));
    assert_eq!((store.item("X").await, store.head().await), ((10_000, 10_000), 10_000));
}

#[tokio::test]
async fn a_batch_is_ndjson_and_says_so() {
    let store = TestStore::start().await;
    let line = lines(&[replace("X", 1)]);
    for wrong in ["application/json", "text/plain", "application/x-ndjson2", ""] {
        let refused = post(&store, wrong, line.clone()).await;
        let problem = refused.problem(415, "unsupported_media_type");
        assert_eq!(problem["field"], "content-type", "{wrong}");
    }
    assert_eq!(store.head().await, 0);
    for right in
        ["application/x-ndjson", "Application/X-NDJSON; charset=utf-8", "application/jsonl"]
    {
        assert_eq!(post(&store, right, line.clone()).await.status, 200, "{right}");
    }
}

#[tokio::test]
async fn a_batch_sent_again_gets_its_answers_again() {
    let store = TestStore::start().await;
    // The third is refused, and stays so.
    let body = lines(&[adjust("X", 5), adjust("X", 7), adjust("X", -50)]);
    let first = store.batch(&body, &[("idempotency-key", "\"delivery-7\"")]).await;
    store.adjust("X", 100).await;
    let store = store.restart().await;
    let again = store.batch(&body, &[("idempotency-key", "delivery-7")]).await;
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(first.get("repeated"), None);
        assert_eq!(*again, with(first.clone(), json!({"repeated": true})));
    }
    assert_eq!(store.item("X").await, (112, 3));
    // A line's id is the key, a colon and its number.
    let alone = with(adjust("X", 7), json!({"commandId": "delivery-7:2"}));
    assert!(store.post(ADJUST, &alone).await.is_replayed());
}

#[tokio::test]
async fn a_line_with_an_id_of_its_own_keeps_it() {
    let store = TestStore::start().await;
    let named = with(adjust("X", 5), json!({"commandId": "mine"}));
    let body = lines(&[named.clone(), named.clone(), adjust("X", 5)]);
    let results = store.batch(&body, &[("idempotency-key", "key")]).await;
    assert_eq!(results[0].get("repeated"), None);
    assert_eq!(results[1]["repeated"], true, "within one batch too");
    assert_eq!(results[1]["eventId"], results[0]["eventId"]);
    assert_eq!(results[2].get("repeated"), None);
    assert!(store.post(ADJUST, &named).await.is_replayed());

    let reused = lines(&[with(adjust("X", 6), json!({"commandId": "mine"}))]);
    let result = &store.batch(&reused, &[]).await[0];
    check_problem(&result["problem"], 422, "command_id_reused");
    assert_eq!((store.item("X").await, store.head().await), ((10, 2), 2));
}

#[tokio::test]
async fn a_key_that_leaves_no_room_for_the_line_is_refused_by_line() {
    let store = TestStore::start().await;
    let key = "k".repeat(127);
    let body = lines(&[adjust("X", 1), with(adjust("X", 1), json!({"commandId": "mine"}))]);
    let results = store.batch(&body, &[("idempotency-key", &key)]).await;
    check_problem(&results[0]["problem"], 422, "invalid_field");
    assert_eq!(results[0]["problem"]["field"], "idempotency-key");
    assert_eq!(results[1]["status"], 200);
}
