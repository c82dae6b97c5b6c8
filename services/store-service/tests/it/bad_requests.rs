//! Nothing around the body breaks the store either: headers, paths, queries, methods, torn requests.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use axum::http::Method;

use crate::bad_input::{JSON, bad, check, invalid, send, unharmed};
use crate::support::{ADJUST, BATCH, REPLACE, TestStore, adjust, replace};

#[tokio::test]
async fn bad_headers_are_named() {
    let store = TestStore::start().await;
    let long = "k".repeat(129);
    for (name, value) in [
        ("idempotency-key", ""),
        ("idempotency-key", "\"\""),
        ("idempotency-key", "a b"),
        ("idempotency-key", "\u{e4}"),
        ("idempotency-key", &long),
        ("if-match", "1"),
        ("if-match", "*"),
        ("if-match", "W/\"1\""),
        ("if-match", "\"\""),
        ("if-match", "\"-1\""),
        ("if-match", "\"+1\""),
        ("if-match", "\"01\""),
        ("if-match", "\"1\", \"2\""),
        ("if-match", "\"9007199254740992\""),
        ("if-match", "\"99999999999999999999\""),
        ("if-match", "\u{e4}"),
    ] {
        let reply = store.post_with(ADJUST, &adjust("X", 1), &[(name, value)]).await;
        let problem = reply.problem(422, "invalid_field");
        assert_eq!(problem["field"], name, "{value}: {problem}");
    }
    unharmed(store).await;
}

#[tokio::test]
async fn bad_paths_and_queries_are_refused() {
    let store = TestStore::start().await;
    let not_found = |what| bad(what, 404, "not_found", "");
    let base = "/api/query/inventory/store";
    let cases = [
        ("/A/%FF", invalid("not UTF-8", "path")),
        ("/A/%C3%28", invalid("not UTF-8", "path")),
        ("/A/a%00b", invalid("control character", "path")),
        ("/A/a%7Cb", invalid("pipe", "path")),
        ("/A/%20a", invalid("space in front", "path")),
        ("/a%2Fb/X", invalid("no store id", "path")),
        ("/%2E%2E/X", invalid("dots", "path")),
        ("/B/X", bad("another store", 404, "unknown_store", "storeId")),
        ("/B", bad("another store", 404, "unknown_store", "storeId")),
        ("/B/X/events", bad("another store", 404, "unknown_store", "storeId")),
        ("/A/X/", not_found("slash at the end")),
        ("/A/X/event", not_found("no such thing")),
        ("/A/X/events/1", not_found("no such thing")),
        ("/A?limit=0", invalid("none", "limit")),
        ("/A?limit=1001", invalid("too many", "limit")),
        ("/A?limit=-1", invalid("negative", "query")),
        ("/A?limit=x", invalid("text", "query")),
        ("/A?limit=1&limit=2", invalid("twice", "query")),
        ("/A?after=a%7Cb", invalid("no sku", "query")),
        ("/A?colour=red", invalid("unknown", "query")),
        ("/A/X/events?limit=0", invalid("none", "limit")),
        ("/A/X/events?after=-1", invalid("negative", "query")),
        ("/A/X/events?after=9007199254740992", invalid("beyond", "after")),
        ("/A/X/events?after=18446744073709551616", invalid("beyond 64 bits", "query")),
        ("/A/X/events?asOf=", invalid("empty", "asOf")),
        ("/A/X/events?asOf=yesterday", invalid("no time", "asOf")),
        ("/A/X/events?asOf=-1", invalid("negative", "asOf")),
        ("/A/X/events?asOf=9007199254740992", invalid("beyond", "asOf")),
        ("/A/X/events?asOf=2026-13-01T00:00:00Z", invalid("no month", "asOf")),
        ("/A/X/events?asOf=9999-12-31T23:59:59-01:00", invalid("year 10000", "asOf")),
        ("/A/X/events?colour=red", invalid("unknown", "query")),
    ];
    for (path, expected) in &cases {
        check(expected, &store.get(&format!("{base}{path}")).await);
    }
    for path in ["/", "/nothing", "/api", "/api/commands/inventory", "/..%2f..%2fetc%2fpasswd"] {
        check(&not_found("unknown path"), &store.get(path).await);
    }
    unharmed(store).await;
}

#[tokio::test]
async fn a_wrong_method_is_refused_with_those_there_are() {
    let store = TestStore::start().await;
    let item = "/api/query/inventory/store/A/X";
    for (method, path, allowed) in [
        (Method::GET, REPLACE, "POST"),
        (Method::PUT, ADJUST, "POST"),
        (Method::DELETE, BATCH, "POST"),
        (Method::POST, item, "GET,HEAD"),
        (Method::PATCH, "/metrics", "GET,HEAD"),
        (Method::POST, "/readyz", "GET,HEAD"),
    ] {
        let reply = send(&store, method, path, &[JSON], "{}").await;
        check(&bad("method", 405, "method_not_allowed", ""), &reply);
        assert_eq!(reply.header("allow"), Some(allowed), "{path}");
    }
    unharmed(store).await;
}

/// A complete command in a request that was cut off: nobody may take it for one.
#[tokio::test]
async fn a_request_that_breaks_off_executes_nothing() {
    let store = TestStore::start().await;
    let body = replace("X", 1).to_string();
    let length = body.len() + 10;
    let request = format!(
        "POST {REPLACE} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let address = store.address;
    let exchange = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = exchange.await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    unharmed(store).await;
}
