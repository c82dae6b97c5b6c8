//! Tokens bound to stores, at the centre: what is narrowed to them, and what is refused because a part
//! would be taken for the whole.

use access::Scope::{Admin, ReservationsWrite, StockRead, StockWrite};
use reqwest::Method;
use serde_json::json;

use crate::chain::Chain;

#[tokio::test]
async fn lists_and_sums_have_only_the_stores_of_the_token() {
    let chain = Chain::open().await;
    let get = async |token: &str, path: &str| {
        chain.ask(&chain.centre, Method::GET, path, Some(token), None).await
    };
    let [a, b] = ["A", "B"].map(|store| chain.token(&[StockRead], Some(&[store])));
    for (token, store, available) in [(&a, "A", 5), (&b, "B", 0)] {
        let stores = get(token, "/api/stores").await.is(200);
        assert_eq!(stores["stores"].as_array().unwrap().len(), 1);
        assert_eq!(stores["stores"][0]["storeId"], store);
        let answer = get(token, "/api/query/availability?sku=MUG").await.is(200);
        assert_eq!(answer["items"][0]["available"], available);
    }
    assert_eq!(get(&b, "/api/query/availability?sku=MUG&storeId=A").await.status, 403);
    let changes = async |token: &str| {
        let changes = get(token, "/api/events").await.is(200);
        changes["changes"].as_array().unwrap().len()
    };
    assert_eq!((changes(&a).await, changes(&b).await), (2, 0));
    for path in ["/api/events?storeId=A", "/api/stream?storeId=A,B", "/api/events?storeId=B,A"] {
        assert_eq!(get(&b, path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn what_would_reach_other_stores_is_refused() {
    let chain = Chain::open().await;
    let scopes = [Admin, ReservationsWrite, StockWrite];
    let token = chain.token(&scopes, Some(&["A"]));
    let line = json!([{ "sku": "MUG", "quantity": 1 }]);
    let send = async |method: Method, path: &str, body: serde_json::Value| {
        chain.ask(&chain.centre, method, path, Some(&token), Some(&body)).await
    };
    let anywhere =
        send(Method::POST, "/api/reservations", json!({ "orderId": "o", "lines": line }));
    let problem = anywhere.await.is(403);
    assert_eq!((&problem["code"], &problem["field"]), (&json!("forbidden"), &json!("storeId")));
    let elsewhere = json!({ "orderId": "o", "storeId": "B", "lines": line });
    assert_eq!(send(Method::POST, "/api/reservations", elsewhere).await.status, 403);
    let here = json!({ "orderId": "o", "storeId": "A", "lines": line });
    assert_eq!(send(Method::POST, "/api/reservations", here).await.status, 201);
    let chain_wide = "/api/policies/safety-stock";
    assert_eq!(send(Method::PUT, chain_wide, json!({ "units": 1 })).await.status, 403);
    let item = "/api/policies/safety-stock?sku=MUG";
    assert_eq!(send(Method::PUT, item, json!({ "units": 1 })).await.status, 403);
    let its = "/api/policies/safety-stock?storeId=A";
    assert_eq!(send(Method::PUT, its, json!({ "units": 1 })).await.status, 200);

    // A command of another store is as unknown as none.
    let everywhere = chain.token(&[StockWrite], None);
    let body = json!({ "storeId": "B", "sku": "MUG", "quantity": 1, "commandId": "b-1" });
    let path = "/api/commands/inventory/replace";
    let sent = chain.ask(&chain.centre, Method::POST, path, Some(&everywhere), Some(&body)).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    let get = async |token: &str| {
        let path = "/api/commands/b-1";
        chain.ask(&chain.centre, Method::GET, path, Some(token), None).await.status
    };
    assert_eq!((get(&everywhere).await, get(&token).await), (200, 404));
}
