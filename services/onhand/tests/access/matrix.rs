//! Every route of both services with every kind of token. The table is written down here; the routes are
//! those that the services describe, so a new one without a line fails.

use std::collections::BTreeSet;

use access::Scope::{self, Admin, ReservationsWrite, Staff, StockRead, StockWrite};
use reqwest::Method;
use serde_json::{Value, json};

use crate::chain::Chain;

/// What a token that has the scope, and is bound to store A, gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// In, where what is asked is about A; a token of store B is kept out.
    ToItsStore,
    /// In, whatever it is bound to: the answer is narrowed to its stores, or names none.
    Narrowed,
    /// Kept out: it is about every store.
    Out,
}
use Bound::{Narrowed, Out, ToItsStore};

type Line = (&'static str, &'static [Scope], Bound);

/// The store A.
const STORE: [Line; 14] = [
    ("GET /api/query/inventory/store/{storeId}", &[StockRead], ToItsStore),
    ("GET /api/query/inventory/store/{storeId}/{sku}", &[StockRead], ToItsStore),
    ("GET /api/query/inventory/store/{storeId}/{sku}/events", &[Staff], ToItsStore),
    ("GET /api/stores/{storeId}/reservations", &[Staff], ToItsStore),
    ("GET /api/stores/{storeId}/reservations/{reservationId}", &[Staff], ToItsStore),
    ("GET /api/sync", &[StockRead], ToItsStore),
    ("GET /livez", &[], Narrowed),
    ("GET /metrics", &[], Narrowed),
    ("GET /readyz", &[], Narrowed),
    ("POST /api/commands/inventory/adjust", &[StockWrite], ToItsStore),
    ("POST /api/commands/inventory/batch", &[StockWrite], ToItsStore),
    ("POST /api/commands/inventory/replace", &[StockWrite], ToItsStore),
    ("POST /api/stores/{storeId}/reservations/{reservationId}/fulfil", &[Staff], ToItsStore),
    ("POST /api/stores/{storeId}/reservations/{reservationId}/refuse", &[Staff], ToItsStore),
];
const STORE_ADMIN: [Line; 1] = [("POST /api/sync", &[Admin], ToItsStore)];

/// The centre.
const CENTRE: [Line; 30] = [
    ("DELETE /api/policies/safety-stock", &[Admin], ToItsStore),
    ("GET /api/commands/{commandId}", &[StockWrite], Narrowed),
    ("GET /api/dead-letters", &[Admin], Out),
    ("GET /api/events", &[StockRead], Narrowed),
    ("GET /api/policies/safety-stock", &[Admin], Narrowed),
    ("GET /api/query/availability", &[StockRead], Narrowed),
    ("GET /api/query/inventory/global/{sku}", &[StockRead], Out),
    ("GET /api/query/inventory/store/{storeId}", &[StockRead], ToItsStore),
    ("GET /api/query/inventory/store/{storeId}/{sku}", &[StockRead], ToItsStore),
    ("GET /api/query/inventory/store/{storeId}/{sku}/events", &[Staff], ToItsStore),
    ("GET /api/query/inventory/{storeId}/{sku}/explain", &[Staff], ToItsStore),
    ("GET /api/reservations", &[Staff], Narrowed),
    ("GET /api/reservations/{reservationId}", &[ReservationsWrite, Staff], Narrowed),
    ("GET /api/stores", &[StockRead], Narrowed),
    ("GET /api/stores/{storeId}", &[StockRead], ToItsStore),
    ("GET /api/stream", &[StockRead], Narrowed),
    ("GET /api/sync/stores/{storeId}", &[StockRead], ToItsStore),
    ("GET /livez", &[], Narrowed),
    ("GET /metrics", &[], Narrowed),
    ("GET /readyz", &[], Narrowed),
    ("POST /api/commands/inventory/adjust", &[StockWrite], ToItsStore),
    ("POST /api/commands/inventory/replace", &[StockWrite], ToItsStore),
    ("POST /api/dead-letters/{id}/redrive", &[Admin], Out),
    ("POST /api/reservations", &[ReservationsWrite], ToItsStore),
    ("POST /api/reservations/{reservationId}/cancel", &[ReservationsWrite, Staff], Narrowed),
    ("POST /api/reservations/{reservationId}/fulfil", &[ReservationsWrite, Staff], Narrowed),
    ("POST /api/sync/stores/{storeId}", &[Admin], ToItsStore),
    ("PUT /api/policies/safety-stock", &[Admin], ToItsStore),
    ("PUT /api/stores/{storeId}/selling", &[Admin], ToItsStore),
    // What serves the description is not described by it.
    ("GET /api/openapi.json", &[], Narrowed),
];

/// How a token fares at a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fares {
    In,
    Unknown,
    Forbidden,
}

fn fares(status: u16) -> Fares {
    match status {
        401 => Fares::Unknown,
        403 => Fares::Forbidden,
        status if status < 500 => Fares::In,
        status => panic!("a status of {status}"),
    }
}

/// The path and the body of a request about store A.
pub(crate) fn request(route: &str) -> (Method, String, Option<Value>) {
    let (method, path) = route.split_once(' ').unwrap();
    let path = path
        .replace("{storeId}", "A")
        .replace("{sku}", "MUG")
        .replace("{reservationId}", "c1.none")
        .replace("{commandId}", "none")
        .replace("{id}", "7");
    let query = match route {
        "GET /api/query/availability" => "?sku=MUG",
        "PUT /api/policies/safety-stock" | "DELETE /api/policies/safety-stock" => "?storeId=A",
        _ => "",
    };
    let body = match path.as_str() {
        "/api/commands/inventory/replace" => json!({ "storeId": "A", "sku": "MUG", "quantity": 5 }),
        "/api/commands/inventory/adjust" => json!({ "storeId": "A", "sku": "MUG", "delta": 1 }),
        "/api/commands/inventory/batch" => json!({ "storeId": "A", "sku": "MUG", "delta": 1 }),
        "/api/reservations" => {
            json!({ "orderId": "o", "storeId": "A", "lines": [{ "sku": "MUG", "quantity": 1 }] })
        }
        "/api/policies/safety-stock" => json!({ "units": 1 }),
        "/api/stores/A/selling" => json!({ "enabled": true }),
        _ if path.ends_with("/refuse") => json!({ "reason": "notFound" }),
        _ => json!({}),
    };
    let body = (method != "GET" && method != "DELETE").then_some(body);
    (method.parse().unwrap(), format!("{path}{query}"), body)
}

async fn fare(chain: &Chain, base: &str, route: &str, token: Option<&str>) -> Fares {
    let (method, path, body) = request(route);
    fares(chain.ask(base, method, &path, token, body.as_ref()).await.status)
}

async fn assert_every_cell(chain: &Chain, base: &str, lines: &[Line]) {
    let expired = chain.expired();
    for (route, scopes, bound) in lines {
        let public = scopes.is_empty();
        let unknown = if public { Fares::In } else { Fares::Unknown };
        assert_eq!(fare(chain, base, route, None).await, unknown, "{route} for nobody");
        assert_eq!(fare(chain, base, route, Some(&expired)).await, unknown, "{route}, expired");
        let none = chain.token(&[], None);
        let lacking = if public { Fares::In } else { Fares::Forbidden };
        assert_eq!(fare(chain, base, route, Some(&none)).await, lacking, "{route}, no scope");
        for scope in Scope::ALL {
            let has = public || scopes.contains(&scope);
            let allowed = |allowed: bool| if allowed { Fares::In } else { Fares::Forbidden };
            for (stores, reaches) in [
                (None, true),
                (Some(&["A"][..]), *bound != Out),
                (Some(&["A", "B"][..]), *bound != Out),
                (Some(&["B"][..]), *bound == Narrowed),
            ] {
                let token = chain.token(&[scope], stores);
                assert_eq!(
                    fare(chain, base, route, Some(&token)).await,
                    allowed(has && reaches),
                    "{route} with {scope}, bound to {stores:?}"
                );
            }
        }
    }
}

/// What a description says of each operation: its scopes.
async fn described(chain: &Chain, base: &str) -> BTreeSet<(String, Vec<String>)> {
    let path = "/api/openapi.json";
    let description = chain.ask(base, Method::GET, path, None, None).await.is(200);
    let mut all = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let ways = operation["security"].as_array().unwrap();
            let scopes = ways.iter().filter_map(|way| way["bearer"][0].as_str());
            let scopes = scopes.map(str::to_owned).collect();
            all.insert((format!("{} {path}", method.to_uppercase()), scopes));
        }
    }
    all
}

fn written(lines: &[&[Line]]) -> BTreeSet<(String, Vec<String>)> {
    let lines = lines.iter().flat_map(|lines| lines.iter());
    lines
        .filter(|(route, ..)| !route.ends_with("openapi.json"))
        .map(|(route, scopes, _)| {
            ((*route).to_owned(), scopes.iter().map(ToString::to_string).collect())
        })
        .collect()
}

#[tokio::test]
async fn every_route_of_a_store_lets_in_whom_the_table_says_and_nobody_else() {
    let chain = Chain::open().await;
    let base = chain.store.clone();
    assert_eq!(described(&chain, &base).await, written(&[&STORE, &STORE_ADMIN]));
    assert_every_cell(&chain, &base, &STORE).await;
    assert_every_cell(&chain, &base, &STORE_ADMIN).await;
}

#[tokio::test]
async fn a_store_beneath_its_name_lets_in_the_same_as_one_that_is_alone() {
    let chain = Chain::open_with_stores_together().await;
    let base = chain.store.clone();
    assert!(base.ends_with("/stores/A"));
    assert_eq!(described(&chain, &base).await, written(&[&STORE, &STORE_ADMIN]));
    assert_every_cell(&chain, &base, &STORE).await;
    assert_every_cell(&chain, &base, &STORE_ADMIN).await;
    let of_a = chain.token(&[StockRead], Some(&["A"]));
    let other = base.replace("/stores/A", "/stores/B");
    let sync = chain.ask(&other, Method::GET, "/api/sync", Some(&of_a), None).await;
    assert_eq!(sync.status, 403, "a token of A at B's prefix");
}

#[tokio::test]
async fn every_route_of_the_centre_lets_in_whom_the_table_says_and_nobody_else() {
    let chain = Chain::open().await;
    let base = chain.centre.clone();
    assert_eq!(described(&chain, &base).await, written(&[&CENTRE]));
    assert_every_cell(&chain, &base, &CENTRE).await;
}
