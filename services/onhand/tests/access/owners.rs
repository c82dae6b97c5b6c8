//! Whose reservation it is: what one customer's shop made, no other sees.

use access::Scope::{ReservationsWrite, Staff, StockRead};
use reqwest::Method;
use serde_json::{Value, json};

use crate::chain::{Chain, OPEN_RESERVATIONS};

async fn reserve(chain: &Chain, token: &str, key: &str) -> Value {
    let url = format!("{}/api/reservations", chain.centre);
    let order = json!({ "orderId": "o-1", "lines": [{ "sku": "MUG", "quantity": 1 }] });
    let request = chain.client.post(url).bearer_auth(token).header("prefer", "wait=20");
    let answer = request.header("idempotency-key", key).json(&order).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_reservation_is_its_owners_and_staffs_and_unknown_to_everybody_else() {
    let mut chain = Chain::open().await;
    let [shop, other] = ["shop-1", "shop-2"]
        .map(|subject| chain.token_of(subject, &[ReservationsWrite, StockRead], None));
    let staff = chain.token_of("desk", &[Staff], None);
    let elsewhere = chain.token_of("desk-b", &[Staff], Some(&["B"]));
    let here = chain.token_of("desk-a", &[Staff], Some(&["A"]));
    let made = reserve(&chain, &shop, "key-1").await;
    let id = made["reservationId"].as_str().unwrap().to_owned();
    assert_eq!(made.get("owner"), None, "who made it is nobody's business");

    // The same key of somebody else is another request.
    let others = reserve(&chain, &other, "key-1").await;
    assert_ne!(others["reservationId"], made["reservationId"]);
    assert_eq!(reserve(&chain, &shop, "key-1").await["reservationId"], made["reservationId"]);

    for restarted in [false, true] {
        if restarted {
            chain.restart_the_centre(false).await;
        }
        let path = format!("/api/reservations/{id}");
        for (token, status) in
            [(&shop, 200), (&staff, 200), (&here, 200), (&other, 404), (&elsewhere, 404)]
        {
            assert_eq!(status_of(&chain, &path, token).await, status, "restarted: {restarted}");
        }
        let list = async |token: &str| {
            let path = "/api/reservations";
            let list = chain.ask(&chain.centre, Method::GET, path, Some(token), None).await;
            list.is(200)["reservations"].as_array().unwrap().len()
        };
        assert_eq!((list(&staff).await, list(&here).await, list(&elsewhere).await), (2, 2, 0));
        for verb in ["cancel", "fulfil"] {
            for token in [&other, &elsewhere] {
                let path = format!("/api/reservations/{id}/{verb}");
                let refused =
                    chain.ask(&chain.centre, Method::POST, &path, Some(token), None).await;
                let problem = refused.is(404);
                assert_eq!(problem["code"], "unknown_reservation");
                assert_eq!(problem["detail"], format!("there is no reservation {id}"));
            }
        }
    }
    let path = format!("/api/reservations/{id}/cancel");
    let cancelled = chain.ask(&chain.centre, Method::POST, &path, Some(&shop), None).await.is(200);
    assert_eq!(cancelled["state"], "released");
}

#[tokio::test]
async fn an_owner_that_the_ledger_has_lost_is_known_again_by_its_key() {
    let mut chain = Chain::open().await;
    let [shop, other] =
        ["shop-1", "shop-2"].map(|subject| chain.token_of(subject, &[ReservationsWrite], None));
    let staff = chain.token_of("desk", &[Staff], None);
    let made = reserve(&chain, &shop, "key-1").await["reservationId"].clone();
    let path = format!("/api/reservations/{}", made.as_str().unwrap());
    chain.restart_the_centre(true).await;
    assert_eq!(status_of(&chain, &path, &staff).await, 200);
    assert_eq!(status_of(&chain, &path, &shop).await, 404, "stores do not tell whose it is");
    assert_ne!(reserve(&chain, &other, "key-1").await["reservationId"], made);
    assert_eq!(status_of(&chain, &path, &shop).await, 404);
    assert_eq!(reserve(&chain, &shop, "key-1").await["reservationId"], made);
    assert_eq!(status_of(&chain, &path, &shop).await, 200);
    assert_eq!(status_of(&chain, &path, &other).await, 404);
    chain.restart_the_centre(false).await;
    assert_eq!(status_of(&chain, &path, &shop).await, 200);
}

#[tokio::test]
async fn who_asked_for_a_change_is_told_with_it_by_store_and_centre() {
    let chain = Chain::open().await;
    let staff = chain.token_of("desk", &[Staff], None);
    for base in [&chain.store, &chain.centre] {
        let path = "/api/query/inventory/store/A/CUP/events";
        let told = chain.ask(base, Method::GET, path, Some(&staff), None).await.is(200);
        assert_eq!(told["events"][0]["principal"], "somebody", "{told}");
    }
}

#[tokio::test]
async fn who_has_as_many_open_reservations_as_it_may_is_told_so_and_counted() {
    let chain = Chain::open().await;
    let [hoarder, other] =
        ["hoarder", "shop"].map(|subject| chain.token_of(subject, &[ReservationsWrite], None));
    let order = |sku: &str| json!({ "orderId": "o-1", "lines": [{ "sku": sku, "quantity": 1 }] });
    let reserve = async |token: &str, sku: &str| {
        let path = "/api/reservations";
        chain.ask(&chain.centre, Method::POST, path, Some(token), Some(&order(sku))).await
    };
    for sku in ["MUG"; 5].into_iter().chain(["CUP"; 3]) {
        reserve(&hoarder, sku).await.is(201);
    }
    let problem = reserve(&hoarder, "CUP").await.is(429);
    assert_eq!(problem["code"], "quota_exceeded");
    assert_eq!(
        (&problem["limit"], &problem["retryable"]),
        (&OPEN_RESERVATIONS.into(), &true.into())
    );
    reserve(&other, "CUP").await.is(201);
    let metrics = chain.client.get(format!("{}/metrics", chain.centre)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("onhand_http_refused_total{reason=\"quota\"} 1\n"), "{metrics}");
}

async fn status_of(chain: &Chain, path: &str, token: &str) -> u16 {
    chain.ask(&chain.centre, Method::GET, path, Some(token), None).await.status
}
