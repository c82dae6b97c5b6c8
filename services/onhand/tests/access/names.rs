//! `Idempotency-Key`: every POST takes it, and a name is its caller's own.

use access::Scope::{self, Admin, ReservationsWrite};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::chain::Chain;
use crate::matrix::request;

/// Asks for something under a name; as with a body that is not there, where it is null.
async fn ask(chain: &Chain, url: &str, token: &str, key: &str, body: &Value) -> Response {
    let request = chain.client.post(url).bearer_auth(token).header("idempotency-key", key);
    let request = if body.is_null() { request } else { request.json(body) };
    request.send().await.unwrap()
}

/// Whether an answer was given before, and what it says.
async fn told(response: Response, status: u16) -> (bool, Value) {
    let repeated = response.headers().get("idempotent-replayed").is_some();
    let found = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!(found, status, "{body}");
    (repeated, body)
}

#[tokio::test]
async fn every_post_of_both_services_declares_the_header_and_reads_it() {
    let chain = Chain::open().await;
    let token = chain.token(&Scope::ALL, None);
    let mut posts = 0;
    for base in [&chain.store, &chain.centre] {
        let path = "/api/openapi.json";
        let description = chain.ask(base, Method::GET, path, None, None).await.is(200);
        for (path, item) in description["paths"].as_object().unwrap() {
            let Some(operation) = item.get("post") else {
                continue;
            };
            posts += 1;
            let declared = operation["parameters"].as_array().into_iter().flatten();
            let declared = declared.filter(|one| one["in"] == "header");
            assert!(
                declared.into_iter().any(|one| one["name"] == "Idempotency-Key"),
                "POST {path} of {base} does not take an Idempotency-Key"
            );
            let (_, target, body) = request(&format!("POST {path}"));
            let url = format!("{base}{target}");
            let request = chain.client.post(&url).bearer_auth(&token);
            let request = request.header("idempotency-key", "not a name");
            let kind =
                if url.ends_with("/batch") { "application/x-ndjson" } else { "application/json" };
            let body = body.unwrap_or_default().to_string();
            let request = request.header("content-type", kind).body(body);
            let (_, problem) = told(request.send().await.unwrap(), 422).await;
            assert_eq!(problem["field"], "idempotency-key", "{url}: {problem}");
        }
    }
    assert_eq!(posts, 13, "all were found");
}

#[tokio::test]
async fn an_operators_request_is_done_once_for_each_key_also_when_the_centre_starts_again() {
    let mut chain = Chain::open().await;
    let [one, other] = ["op-1", "op-2"].map(|subject| chain.token_of(subject, &[Admin], None));
    let path = "/api/sync/stores/A";
    let compare = |chain: &Chain, store: &str| format!("{}/api/sync/stores/{store}", chain.centre);
    let none = Value::Null;
    let first = ask(&chain, &compare(&chain, "A"), &one, "k-1", &none).await;
    assert_eq!(first.headers()["location"], path);
    let (repeated, first) = told(first, 202).await;
    assert!(!repeated);
    for restarted in [false, true] {
        if restarted {
            chain.restart_the_centre(false).await;
        }
        let again = ask(&chain, &compare(&chain, "A"), &one, "\"k-1\"", &none).await;
        assert_eq!(again.headers()["location"], path, "restarted: {restarted}");
        assert_eq!(again.headers()["content-type"], "application/json");
        assert_eq!(told(again, 202).await, (true, first.clone()), "restarted: {restarted}");
        // Another store is another request.
        let reused = ask(&chain, &compare(&chain, "B"), &one, "k-1", &none).await;
        let (_, problem) = told(reused, 422).await;
        assert_eq!(
            (&problem["code"], &problem["field"]),
            (&"command_id_reused".into(), &"idempotency-key".into())
        );
    }
    // The key of somebody else is another name.
    let others = ask(&chain, &compare(&chain, "B"), &other, "k-1", &none).await;
    assert!(!told(others, 202).await.0);
    // What was refused was not done, and may be asked for again.
    let unknown = compare(&chain, "NOWHERE");
    for _ in 0..2 {
        let refused = ask(&chain, &unknown, &one, "k-2", &none).await;
        let (repeated, problem) = told(refused, 404).await;
        assert_eq!((repeated, &problem["code"]), (false, &"unknown_store".into()));
    }
    assert!(!told(ask(&chain, &compare(&chain, "A"), &one, "k-2", &none).await, 202).await.0);
}

#[tokio::test]
async fn a_store_publishes_again_once_for_each_key_and_body() {
    let chain = Chain::open().await;
    let [one, other] = ["op-1", "op-2"].map(|subject| chain.token_of(subject, &[Admin], None));
    let url = format!("{}/api/sync", chain.store);
    let (repeated, first) =
        told(ask(&chain, &url, &one, "k", &json!({"from": 1})).await, 202).await;
    assert!(!repeated);
    // What it says counts, not how it was spelled.
    let spelled = json!({"through": null, "from": 1});
    assert_eq!(told(ask(&chain, &url, &one, "k", &spelled).await, 202).await, (true, first));
    let (_, problem) = told(ask(&chain, &url, &one, "k", &json!({"from": 2})).await, 422).await;
    assert_eq!(problem["code"], "command_id_reused");
    assert!(!told(ask(&chain, &url, &other, "k", &json!({"from": 2})).await, 202).await.0);
}

#[tokio::test]
async fn a_cancel_under_a_key_is_marked_when_it_is_repeated() {
    let mut chain = Chain::open().await;
    let shop = chain.token_of("shop-1", &[ReservationsWrite], None);
    let order = json!({ "orderId": "o", "lines": [{ "sku": "MUG", "quantity": 1 }] });
    let path = "/api/reservations";
    let made = chain.ask(&chain.centre, Method::POST, path, Some(&shop), Some(&order)).await;
    let id = made.is(201)["reservationId"].as_str().unwrap().to_owned();
    let cancel = |chain: &Chain| format!("{}/api/reservations/{id}/cancel", chain.centre);
    let (repeated, first) =
        told(ask(&chain, &cancel(&chain), &shop, "c", &Value::Null).await, 200).await;
    assert_eq!((repeated, &first["state"]), (false, &"released".into()));
    assert!(told(ask(&chain, &cancel(&chain), &shop, "c", &Value::Null).await, 200).await.0);
    chain.restart_the_centre(false).await;
    let (repeated, again) =
        told(ask(&chain, &cancel(&chain), &shop, "c", &Value::Null).await, 200).await;
    assert_eq!((repeated, &again["state"]), (true, &"released".into()));
    // Under another name, or none, it is no error and no repeat.
    assert!(!told(ask(&chain, &cancel(&chain), &shop, "d", &Value::Null).await, 200).await.0);
}
