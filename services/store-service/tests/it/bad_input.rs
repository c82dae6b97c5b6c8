//! Nothing that comes in breaks the store: each is a 4xx that says what is wrong, and writes nothing.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use crate::support::{ADJUST, BATCH, REPLACE, Reply, TestStore, adjust, replace, with};

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) struct Bad {
    what: &'static str,
    status: u16,
    code: &'static str,
    field: Option<&'static str>,
}

pub(crate) const fn bad(
    what: &'static str,
    status: u16,
    code: &'static str,
    field: &'static str,
) -> Bad {
    let field = if field.is_empty() { None } else { Some(field) };
    Bad { what, status, code, field }
}

pub(crate) const fn invalid(what: &'static str, field: &'static str) -> Bad {
    bad(what, 422, "invalid_field", field)
}

#[track_caller]
pub(crate) fn check(expected: &Bad, reply: &Reply) {
    let problem = reply.problem(expected.status, expected.code);
    assert_eq!(problem["field"].as_str(), expected.field, "{}: {problem}", expected.what);
    assert!(reply.text().len() < 4_000, "{}: as much comes back as came in", expected.what);
}

pub(crate) async fn send(
    store: &TestStore,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    store.send(request.body(body.into()).unwrap()).await
}

/// The store works as before and has written nothing.
pub(crate) async fn unharmed(store: TestStore) {
    assert_eq!(store.head().await, 0);
    store.replace("X", 1).await;
    store.stop().await;
}

#[tokio::test]
async fn bad_fields_and_amounts_are_named() {
    let store = TestStore::start().await;
    let long = "x".repeat(100_000);
    let cases = [
        (
            REPLACE,
            with(replace("X", 1), json!({"colour": "red"})),
            invalid("unknown field", "colour"),
        ),
        (REPLACE, with(replace("X", 1), json!({"delta": 1})), invalid("another's field", "delta")),
        (REPLACE, json!({"storeId": "A", "sku": "X"}), invalid("no quantity", "")),
        (ADJUST, json!({"storeId": "A", "delta": 1}), invalid("no sku", "")),
        (ADJUST, json!({"sku": "X", "delta": 1}), invalid("no store", "")),
        (REPLACE, with(replace("X", 1), json!({"quantity": -1})), invalid("negative", "quantity")),
        (REPLACE, replace("X", 1_000_000_001), invalid("too many", "quantity")),
        (REPLACE, replace("X", i64::MIN), invalid("least", "quantity")),
        (REPLACE, replace("X", i64::MAX), invalid("most", "quantity")),
        (REPLACE, with(replace("X", 1), json!({"quantity": u64::MAX})), invalid("u64", "quantity")),
        (REPLACE, with(replace("X", 1), json!({"quantity": 1.5})), invalid("float", "quantity")),
        (REPLACE, with(replace("X", 1), json!({"quantity": 1.0})), invalid("float", "quantity")),
        (REPLACE, with(replace("X", 1), json!({"quantity": "1"})), invalid("text", "quantity")),
        (REPLACE, with(replace("X", 1), json!({"quantity": &long})), invalid("text", "quantity")),
        (REPLACE, with(replace("X", 1), json!({"quantity": null})), invalid("null", "quantity")),
        (REPLACE, with(replace("X", 1), json!({"quantity": [1]})), invalid("array", "quantity")),
        (REPLACE, with(replace("X", 1), json!({"quantity": true})), invalid("bool", "quantity")),
        (ADJUST, adjust("X", 0), invalid("no change", "delta")),
        (ADJUST, adjust("X", -1_000_000_001), invalid("too many", "delta")),
        (ADJUST, adjust("X", i64::MIN), invalid("least", "delta")),
    ];
    for (path, body, expected) in &cases {
        check(expected, &store.post(path, body).await);
    }
    unharmed(store).await;
}

#[tokio::test]
async fn bad_names_and_choices_are_named() {
    let store = TestStore::start().await;
    let long = "x".repeat(100_000);
    let cases = [
        (ADJUST, adjust("", 1), invalid("empty", "sku")),
        (ADJUST, adjust("a|b", 1), invalid("pipe", "sku")),
        (ADJUST, adjust(" a", 1), invalid("space", "sku")),
        (ADJUST, adjust("a\u{0}b", 1), invalid("control", "sku")),
        (ADJUST, adjust(&"é".repeat(65), 1), invalid("long", "sku")),
        (ADJUST, with(adjust("X", 1), json!({"sku": {"a": 1}})), invalid("object", "sku")),
        (ADJUST, with(adjust("X", 1), json!({"storeId": "a/b"})), invalid("slash", "storeId")),
        (ADJUST, with(adjust("X", 1), json!({"storeId": ".."})), invalid("dots", "storeId")),
        (ADJUST, with(adjust("X", 1), json!({"reason": ""})), invalid("empty", "reason")),
        (ADJUST, with(adjust("X", 1), json!({"reason": &long})), invalid("long", "reason")),
        (ADJUST, with(adjust("X", 1), json!({"reference": "a\nb"})), invalid("line", "reference")),
        (ADJUST, with(adjust("X", 1), json!({"commandId": "a b"})), invalid("space", "commandId")),
        (ADJUST, with(adjust("X", 1), json!({"commandId": ""})), invalid("empty", "commandId")),
        (ADJUST, with(adjust("X", 1), json!({"commandId": 7})), invalid("number", "commandId")),
        (
            ADJUST,
            with(adjust("X", 1), json!({"expectedVersion": -1})),
            invalid("negative", "expectedVersion"),
        ),
        (
            ADJUST,
            with(adjust("X", 1), json!({"expectedVersion": 1_u64 << 53})),
            invalid("beyond JSON's integers", "expectedVersion"),
        ),
        (
            ADJUST,
            with(adjust("X", 1), json!({"onShortfall": "panic"})),
            invalid("unknown choice", "onShortfall"),
        ),
        (
            ADJUST,
            with(adjust("X", 1), json!({"onShortfall": &long})),
            invalid("long choice", "onShortfall"),
        ),
        (
            ADJUST,
            with(adjust("X", 1), json!({"storeId": "B"})),
            bad("another store", 422, "wrong_store", "storeId"),
        ),
    ];
    for (path, body, expected) in &cases {
        check(expected, &store.post(path, body).await);
    }
    unharmed(store).await;
}

#[tokio::test]
async fn the_name_of_an_unknown_field_is_given_back_in_part() {
    let store = TestStore::start().await;
    let long = format!("x{}", "é".repeat(100_000));
    let reply = store.post(REPLACE, &with(replace("X", 1), json!({long: 1}))).await;
    let problem = reply.problem(422, "invalid_field");
    assert!(problem["field"].as_str().unwrap().starts_with("xéé"));
    assert!(reply.text().len() < 4_000, "{}", reply.text().len());
    unharmed(store).await;
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let store = TestStore::start().await;
    let deep = "[".repeat(100_000);
    let deep_in_a_field = format!("{{\"storeId\":\"A\",\"sku\":{deep}");
    let deep_unknown = format!("{{\"x\":{deep}");
    let deep_object = "{\"storeId\":".repeat(50_000);
    let malformed = |what| bad(what, 400, "malformed_body", "");
    let cases: &[(&[u8], Bad)] = &[
        (b"", malformed("nothing")),
        (b"   ", malformed("blank")),
        (b"hello", malformed("text")),
        (b"{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":1", malformed("truncated")),
        (b"{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":1}}", malformed("one brace too many")),
        (b"{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":1}{}", malformed("two values")),
        (b"{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":01}", malformed("leading zero")),
        (b"{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":+1}", malformed("plus")),
        (b"{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":NaN}", malformed("NaN")),
        (b"{\"storeId\":\"A\",\"sku\":\"\xff\xfe\",\"quantity\":1}", malformed("not UTF-8")),
        (
            b"\xef\xbb\xbf{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":1}",
            malformed("byte order mark"),
        ),
        (b"{\"storeId\":\"A\",\"sku\":\"\\ud800\",\"quantity\":1}", malformed("half a character")),
        (b"5", invalid("a number", "")),
        (b"null", invalid("null", "")),
        (b"\"text\"", invalid("a text", "")),
        (b"[]", invalid("an array", "")),
        (b" [\"A\",\"X\",5,null,null,null,null]", invalid("fields without names", "")),
        (deep.as_bytes(), invalid("deep", "")),
        (deep_in_a_field.as_bytes(), invalid("deep in a field", "sku")),
        (deep_unknown.as_bytes(), invalid("deep in an unknown field", "x")),
        (deep_object.as_bytes(), invalid("deep objects", "storeId")),
        (
            b"{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":1,\"quantity\":2}",
            invalid("a field twice", ""),
        ),
        (
            b"{\"storeId\":\"A\",\"sku\":\"X\",\"quantity\":99999999999999999999999}",
            invalid("beyond 64 bits", "quantity"),
        ),
    ];
    for (body, expected) in cases {
        check(expected, &send(&store, Method::POST, REPLACE, &[JSON], body.to_vec()).await);
    }
    unharmed(store).await;
}

#[tokio::test]
async fn a_body_beyond_a_mebibyte_is_not_read() {
    let store = TestStore::start().await;
    let too_large = bad("too large", 413, "body_too_large", "");
    let body = replace("X", 1).to_string();
    let padded = |length: usize| format!("{body}{}", " ".repeat(length - body.len()));
    let ndjson = [("content-type", "application/x-ndjson")];
    let size = 1024 * 1024;
    check(&too_large, &send(&store, Method::POST, REPLACE, &[JSON], padded(size + 1)).await);
    check(&too_large, &send(&store, Method::POST, BATCH, &ndjson, padded(size + 1)).await);
    // A body of unannounced length is cut off there too.
    let endless = Body::from_stream(Body::from(padded(size + 1)).into_data_stream());
    check(&too_large, &send(&store, Method::POST, REPLACE, &[JSON], endless).await);
    assert_eq!(store.head().await, 0);
    assert_eq!(send(&store, Method::POST, REPLACE, &[JSON], padded(size)).await.status, 200);
}

#[tokio::test]
async fn the_media_type_is_json_or_the_body_is_not_looked_at() {
    let store = TestStore::start().await;
    let expected = bad("media type", 415, "unsupported_media_type", "content-type");
    let types: [&[(&str, &str)]; 6] = [
        &[],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/jsonp")],
        &[("content-type", "application/x-ndjson")],
        &[("content-type", "\u{e4}")],
    ];
    for headers in types {
        check(
            &expected,
            &send(&store, Method::POST, REPLACE, headers, replace("X", 1).to_string()).await,
        );
    }
    assert_eq!(store.head().await, 0);
    let spelled = [("content-type", "Application/JSON ; charset=utf-8")];
    assert_eq!(
        send(&store, Method::POST, REPLACE, &spelled, replace("X", 1).to_string()).await.status,
        200
    );
}
