//! Reservations that go as they should.

use serde_json::{Value, json};

use crate::shop::Chain;

/// Stores and units of a reservation's live allocations.
fn kept(reservation: &Value) -> Vec<(String, String, i64)> {
    let allocations = reservation["allocations"].as_array().unwrap();
    let mut kept: Vec<_> = allocations
        .iter()
        .filter(|one| one["state"] == "reserved")
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap().to_owned();
            (text("storeId"), text("sku"), one["quantity"].as_i64().unwrap())
        })
        .collect();
    kept.sort();
    kept
}

fn part(store: &str, sku: &str, units: i64) -> (String, String, i64) {
    (store.to_owned(), sku.to_owned(), units)
}

#[tokio::test]
async fn reserve_confirm_fulfil() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 5).await;
    let answer = chain.reserve_one("order-1", "MUG", 2).await;
    let location = answer.location.clone().unwrap();
    let reserved = answer.is(201);
    assert_eq!(reserved["state"], "confirmed");
    assert_eq!(kept(&reserved), [part("A", "MUG", 2)]);
    let found = chain.get(location.strip_prefix("/api").unwrap()).await.is(200);
    assert_eq!(found, reserved);
    let item = chain.get("/query/inventory/store/A/MUG").await.is(200);
    assert_eq!(
        (&item["onHand"], &item["reserved"], &item["available"]),
        (&json!(5), &json!(2), &json!(3))
    );

    let fulfil = format!("/reservations/{}/fulfil", reserved["reservationId"].as_str().unwrap());
    let fulfilled = chain.post(&fulfil, &json!({})).await.is(200);
    assert_eq!(fulfilled["state"], "fulfilled");
    let item = chain.get("/query/inventory/store/A/MUG").await.is(200);
    assert_eq!(
        (&item["onHand"], &item["reserved"], &item["available"]),
        (&json!(3), &json!(0), &json!(3))
    );
    // Again is no error, and changes nothing.
    assert_eq!(chain.post(&fulfil, &json!({})).await.is(200), fulfilled);
}

#[tokio::test]
async fn without_a_wait_it_is_taken_and_its_location_tells() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 5).await;
    let body = json!({"orderId": "o", "lines": [{"sku": "MUG", "quantity": 1}]}).to_string();
    let taken = chain.send(&chain.centre, "/reservations", &body, &[]).await;
    assert!(taken.location.is_some());
    let taken = taken.is(202);
    assert_eq!(taken["state"], "requested");
    let id = &taken["reservationId"];
    chain.reservation_is(id, |known| known["state"] == "confirmed").await;
}

#[tokio::test]
async fn two_customers_one_unit() {
    let chain = Chain::open().await;
    chain.stock("B", "LAST", 1).await;
    let (one, two) =
        tokio::join!(chain.reserve_one("first", "LAST", 1), chain.reserve_one("second", "LAST", 1));
    let mut answers = [one, two];
    answers.sort_by_key(|answer| answer.status);
    let [confirmed, rejected] = answers;
    assert_eq!(confirmed.is(201)["state"], "confirmed");
    let rejected = rejected.problem(409, "reservation_rejected");
    let line = json!({"line": 1, "sku": "LAST", "requested": 1, "available": 0});
    assert_eq!(rejected["lines"], json!([line]));
}

#[tokio::test]
async fn lines_of_one_item_are_added_up_and_all_lines_are_kept_or_none() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 3).await;
    chain.stock("A", "TEA", 1).await;
    let lines = json!([
        {"sku": "MUG", "quantity": 1}, {"sku": "TEA", "quantity": 1}, {"sku": "MUG", "quantity": 2}
    ]);
    let reserved = chain.reserve(&json!({"orderId": "o", "lines": lines})).await.is(201);
    assert_eq!(kept(&reserved), [part("A", "MUG", 3), part("A", "TEA", 1)]);

    chain.stock("B", "MUG", 3).await;
    let none = chain.reserve(&json!({"orderId": "o", "lines": lines, "allowSplit": true})).await;
    let lines = none.problem(409, "reservation_rejected")["lines"].clone();
    assert_eq!(lines[1], json!({"line": 2, "sku": "TEA", "requested": 1, "available": 0}));
    let item = chain.get("/query/inventory/store/B/MUG").await.is(200);
    assert_eq!(item["available"], 3, "nothing was kept of it");
}

#[tokio::test]
async fn a_split_is_made_only_when_it_is_allowed_and_needed() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 3).await;
    chain.stock("B", "MUG", 3).await;
    let lines = json!([{"sku": "MUG", "quantity": 5}]);
    let whole = chain.reserve(&json!({"orderId": "o", "lines": lines})).await;
    assert_eq!(whole.problem(409, "reservation_rejected")["lines"][0]["available"], 3);
    let split = json!({"orderId": "o", "lines": lines, "allowSplit": true});
    let reserved = chain.reserve(&split).await.is(201);
    let units: i64 = kept(&reserved).iter().map(|part| part.2).sum();
    assert_eq!((kept(&reserved).len(), units), (2, 5));
}

#[tokio::test]
async fn the_nearest_store_is_asked_first_and_the_chosen_one_alone() {
    let chain = Chain::open().await;
    for store in ["A", "B", "C"] {
        chain.stock(store, "MUG", 9).await;
    }
    let near_munich = json!({"latitude": 48.0, "longitude": 11.5});
    let lines = json!([{"sku": "MUG", "quantity": 1}]);
    let near = json!({"orderId": "o", "lines": lines, "near": near_munich});
    assert_eq!(kept(&chain.reserve(&near).await.is(201)), [part("C", "MUG", 1)]);
    let chosen = json!({"orderId": "o", "lines": lines, "near": near_munich, "storeId": "B"});
    assert_eq!(kept(&chain.reserve(&chosen).await.is(201)), [part("B", "MUG", 1)]);
    let lines = json!([{"sku": "MUG", "quantity": 9}]);
    let chosen = json!({"orderId": "o", "lines": lines, "storeId": "B", "allowSplit": true});
    chain.reserve(&chosen).await.problem(409, "reservation_rejected");

    let near = "/query/availability?sku=MUG&near=48.0,11.5&radiusKm=50";
    let stores = chain.get(near).await.is(200)["items"][0]["stores"].clone();
    assert_eq!((stores.as_array().unwrap().len(), &stores[0]["storeId"]), (1, &json!("C")));
}

#[tokio::test]
async fn named_lines_are_fetched_one_by_one() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 1).await;
    chain.stock("A", "TEA", 1).await;
    let lines = json!([{"sku": "MUG", "quantity": 1}, {"sku": "TEA", "quantity": 1}]);
    let reserved = chain.reserve(&json!({"orderId": "o", "lines": lines})).await.is(201);
    let url = format!("/reservations/{}", reserved["reservationId"].as_str().unwrap());
    let part = chain.post(&format!("{url}/fulfil"), &json!({"skus": ["TEA"]})).await.is(200);
    assert_eq!(part["state"], "confirmed");
    assert_eq!(
        (&part["lines"][0]["fulfilled"], &part["lines"][1]["fulfilled"]),
        (&json!(0), &json!(1))
    );
    let whole = chain.post(&format!("{url}/fulfil"), &json!({"skus": ["MUG"]})).await.is(200);
    assert_eq!(whole["state"], "fulfilled");
}

#[tokio::test]
async fn a_cancelled_reservation_is_let_go_and_again_is_no_error() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 1).await;
    let reserved = chain.reserve_one("o", "MUG", 1).await.is(201);
    let url = format!("/reservations/{}", reserved["reservationId"].as_str().unwrap());
    for _ in 0..2 {
        let cancelled = chain.post(&format!("{url}/cancel"), &json!({})).await.is(200);
        assert_eq!(
            (&cancelled["state"], &cancelled["reason"]),
            (&json!("released"), &json!("cancelled"))
        );
    }
    let refused = chain.post(&format!("{url}/fulfil"), &json!({})).await;
    assert_eq!(refused.problem(409, "reservation_state")["state"], "released");
    chain
        .until("the unit is back", async || {
            let item = chain.get("/query/inventory/store/A/MUG").await.is(200);
            (item["available"] == 1).then_some(())
        })
        .await;
}

#[tokio::test]
async fn time_is_over_exactly_when_it_is_over() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 1).await;
    let lines = json!([{"sku": "MUG", "quantity": 1}]);
    let body = json!({"orderId": "o", "lines": lines, "ttlSeconds": 1});
    let reserved = chain.reserve(&body).await.is(201);
    let id = &reserved["reservationId"];
    let over = chain.reservation_is(id, |known| known["state"] == "released").await;
    assert_eq!(over["reason"], "expired");
    // Whoever asks next gets the unit, although the store has perhaps not let go yet.
    let next = chain.reserve_one("next", "MUG", 1).await.is(201);
    assert_eq!(next["state"], "confirmed");
    let fulfil = format!("/reservations/{}/fulfil", id.as_str().unwrap());
    chain.post(&fulfil, &json!({})).await.problem(409, "reservation_state");
}

#[tokio::test]
async fn reservations_are_listed_by_order_and_by_state_page_by_page() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 10).await;
    for _ in 0..3 {
        chain.reserve_one("order-7", "MUG", 1).await.is(201);
    }
    let other = chain.reserve_one("order-8", "MUG", 1).await.is(201);
    let url = format!("/reservations/{}/cancel", other["reservationId"].as_str().unwrap());
    chain.post(&url, &json!({})).await.is(200);

    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page =
            chain.get(&format!("/reservations?orderId=order-7&limit=2{after}")).await.is(200);
        let ids = page["reservations"].as_array().unwrap().iter();
        found.extend(ids.map(|known| known["reservationId"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(found.len(), 3);
    assert!(found.is_sorted());
    let released = chain.get("/reservations?state=released").await.is(200);
    assert_eq!(released["reservations"].as_array().unwrap().len(), 1);
    assert_eq!(released["reservations"][0]["reservationId"], other["reservationId"]);
}

#[tokio::test]
async fn a_second_centre_sees_what_the_first_reserved_and_leaves_it_alone() {
    let mut chain = Chain::open().await;
    chain.stock("A", "MUG", 3).await;
    let second = chain.open_centre("c2").await;
    let reserved = chain.reserve_one("o", "MUG", 2).await.is(201);
    chain
        .until("the sibling sees it", async || {
            let item = chain.get_from(&second, "/query/inventory/store/A/MUG").await;
            (item.body["available"] == 1).then_some(())
        })
        .await;
    let id = reserved["reservationId"].as_str().unwrap();
    let elsewhere = chain.get_from(&second, &format!("/reservations/{id}")).await;
    assert_eq!(elsewhere.problem(421, "wrong_centre")["centreId"], "c1");
    let why = chain.get_from(&second, "/query/inventory/A/MUG/explain").await.is(200);
    assert_eq!(why["terms"][1]["reservations"][0]["reservationId"], id, "{why}");
    let body = json!({"orderId": "o", "lines": [{"sku": "MUG", "quantity": 1}]});
    let theirs = chain.post_to(&second, "/reservations", &body).await.is(201);
    assert!(theirs["reservationId"].as_str().unwrap().starts_with("c2."));
}
