//! Reservations that meet walk-in customers, empty shelves and stores that do not answer.

use serde_json::{Value, json};

use crate::shop::Chain;

fn store_of(reservation: &Value) -> Option<&str> {
    let allocations = reservation["allocations"].as_array().unwrap();
    allocations.iter().find(|one| one["state"] == "reserved")?["storeId"].as_str()
}

fn other(store: &str) -> &'static str {
    if store == "A" { "B" } else { "A" }
}

#[tokio::test]
async fn a_walk_in_breaks_the_newest_reservation_and_it_moves_to_another_store() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 2).await;
    let first = chain.reserve_one("first", "MUG", 1).await.is(201);
    let second = chain.reserve_one("second", "MUG", 1).await.is(201);
    chain.stock("B", "MUG", 1).await;
    let sold = chain.sell("A", "MUG", 1, "breakReservations").await.is(200);
    assert_eq!(sold["brokenReservations"], 1);
    let moved = chain
        .reservation_is(&second["reservationId"], |known| {
            known["state"] == "confirmed" && store_of(known) == Some("B")
        })
        .await;
    let told: Vec<_> =
        moved["history"].as_array().unwrap().iter().map(|step| step["state"].as_str()).collect();
    assert!(told.contains(&Some("resourcing")), "{told:?}");
    assert_eq!(store_of(&chain.reservation(&first["reservationId"]).await), Some("A"));
}

#[tokio::test]
async fn a_shortfall_is_told_and_filled_when_units_come_in() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 2).await;
    let reserved = chain.reserve_one("o", "MUG", 2).await.is(201);
    let id = &reserved["reservationId"];
    // A count finds one of the two.
    chain.stock("A", "MUG", 1).await;
    let short = chain.reservation_is(id, |known| known["state"] == "short").await;
    let line = &short["lines"][0];
    assert_eq!(
        (&line["quantity"], &line["kept"], &line["missing"]),
        (&json!(2), &json!(0), &json!(2))
    );
    let url = format!("/reservations/{}/fulfil", id.as_str().unwrap());
    let refused = chain.post(&url, &json!({})).await.problem(409, "reservation_state");
    assert_eq!((&refused["state"], &refused["sku"]), (&json!("short"), &json!("MUG")));

    chain.stock("C", "MUG", 2).await;
    let filled = chain.reservation_is(id, |known| known["state"] == "confirmed").await;
    assert_eq!(store_of(&filled), Some("C"));
}

#[tokio::test]
async fn what_broke_in_parts_is_not_split_against_the_customers_word() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 1).await;
    chain.stock("A", "TEA", 1).await;
    let lines = json!([{"sku": "MUG", "quantity": 1}, {"sku": "TEA", "quantity": 1}]);
    let reserved = chain.reserve(&json!({"orderId": "o", "lines": lines})).await.is(201);
    chain.stock("B", "MUG", 1).await;
    chain.stock("C", "TEA", 1).await;
    for sku in ["MUG", "TEA"] {
        chain.sell("A", sku, 1, "breakReservations").await.is(200);
    }
    let short = chain
        .reservation_is(&reserved["reservationId"], |known| {
            let allocations = known["allocations"].as_array().unwrap();
            let broken = allocations.iter().filter(|one| one["state"] == "broken").count();
            broken == 2 && store_of(known).is_some() && known["state"] != "resourcing"
        })
        .await;
    assert_eq!(short["state"], "short", "{short}");
    let kept = short["allocations"].as_array().unwrap();
    assert_eq!(kept.iter().filter(|one| one["state"] == "reserved").count(), 1, "{short}");
}

#[tokio::test]
async fn what_staff_cannot_find_is_looked_for_elsewhere() {
    let chain = Chain::open().await;
    for store in ["A", "B"] {
        chain.stock(store, "MUG", 1).await;
    }
    let reserved = chain.reserve_one("o", "MUG", 1).await.is(201);
    let id = &reserved["reservationId"];
    let first = store_of(&reserved).unwrap().to_owned();
    let staff = chain.store(&first);
    let url = format!("/stores/{first}/reservations/{}/refuse", id.as_str().unwrap());
    chain.post_to(&staff, &url, &json!({"reason": "damaged"})).await.is(200);
    let second = other(&first);
    let moved = chain.reservation_is(id, |known| store_of(known) == Some(second)).await;
    assert_eq!(moved["state"], "confirmed");
    let refused =
        moved["allocations"].as_array().unwrap().iter().find(|one| one["storeId"] == *first);
    assert_eq!(refused.unwrap()["reason"], "damaged");
}

#[tokio::test]
async fn what_staff_hand_over_is_fulfilled_at_the_centre() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 1).await;
    let reserved = chain.reserve_one("o", "MUG", 1).await.is(201);
    let id = reserved["reservationId"].as_str().unwrap();
    let to_pick = chain.get_from(&chain.store("A"), "/stores/A/reservations").await.is(200);
    assert_eq!(to_pick["reservations"][0]["reservationId"], id);
    let url = format!("/stores/A/reservations/{id}/fulfil");
    chain.post_to(&chain.store("A"), &url, &json!({})).await.is(200);
    chain.reservation_is(&reserved["reservationId"], |known| known["state"] == "fulfilled").await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_passed_over_and_its_late_answer_undone() {
    let mut chain = Chain::impatient().await;
    chain.stock("A", "MUG", 5).await;
    chain.stock("B", "MUG", 1).await;
    // A is deeper, so it is asked first; the centre still believes it.
    chain.close_store("A").await;
    let reserved = chain.reserve_one("o", "MUG", 1).await.is(201);
    assert_eq!(store_of(&reserved), Some("B"));
    let late = reserved["allocations"].as_array().unwrap();
    let late = late.iter().find(|one| one["storeId"] == "A").unwrap();
    assert_eq!((&late["state"], &late["reason"]), (&json!("withdrawn"), &json!("timedOut")));

    chain.open_store("A").await;
    let id = &reserved["reservationId"];
    let undone = chain
        .reservation_is(id, |known| {
            known["allocations"].as_array().unwrap().iter().any(|one| one["state"] == "released")
        })
        .await;
    assert_eq!((undone["state"].as_str(), store_of(&undone)), (Some("confirmed"), Some("B")));
    chain
        .until("nothing is held at A", async || {
            let item = chain.get("/query/inventory/store/A/MUG").await.is(200);
            (item["available"] == 5 && item["reserved"] == 0).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_store_that_keeps_not_answering_is_no_longer_asked() {
    let mut chain = Chain::impatient().await;
    chain.stock("A", "MUG", 50).await;
    chain.close_store("A").await;
    for order in ["1", "2", "3"] {
        let rejected = chain.reserve_one(order, "MUG", 1).await;
        rejected.problem(409, "reservation_rejected");
    }
    // The breaker is open: the answer is immediate, and says that nothing can be had.
    let body = json!({"orderId": "4", "lines": [{"sku": "MUG", "quantity": 1}]}).to_string();
    let rejected = chain.send(&chain.centre, "/reservations", &body, &[]).await;
    assert_eq!(rejected.problem(409, "reservation_rejected")["lines"][0]["available"], 0);
}
