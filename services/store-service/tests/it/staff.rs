//! What staff see and do: pick, hand over, or say that it cannot be.

use serde_json::{Value, json};
use shared_events::StockEvent;
use shared_events::reservation::BreakReason;

use crate::support::TestStore;

const LIST: &str = "/api/stores/A/reservations";

/// A store with 5 X and 2 Y, of which `c.1` has 3 and 2, and `c.2` one X.
async fn with_two_reservations() -> TestStore {
    let store = TestStore::start().await;
    store.replace("X", 5).await;
    store.replace("Y", 2).await;
    store.centre().reserve("c.1", &[("X", 3), ("Y", 2)]);
    store.centre().reserve("c.2", &[("X", 1)]);
    store.centre().answer("c.2:1").await;
    store
}

fn at(reservation: &str, verb: &str) -> String {
    format!("{LIST}/{reservation}/{verb}")
}

async fn listed(store: &TestStore) -> Vec<(String, Value)> {
    let list = store.get(LIST).await.accepted();
    let all = list["reservations"].as_array().unwrap().iter();
    all.map(|one| (one["reservationId"].as_str().unwrap().to_owned(), one["lines"].clone()))
        .collect()
}

#[tokio::test]
async fn the_list_shows_what_is_to_be_picked_also_after_a_restart() {
    let store = with_two_reservations().await.restart().await;
    let expected = vec![
        (
            "c.1".to_owned(),
            json!([
                {"line": 1, "sku": "X", "quantity": 3}, {"line": 2, "sku": "Y", "quantity": 2}
            ]),
        ),
        ("c.2".to_owned(), json!([{"line": 1, "sku": "X", "quantity": 1}])),
    ];
    assert_eq!(listed(&store).await, expected);
    let one = store.get(&format!("{LIST}/c.2")).await.accepted();
    assert_eq!(one["orderId"], "order-1");
    assert!(one["expiresAt"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn the_list_comes_in_pages() {
    let store = with_two_reservations().await;
    let first = store.get(&format!("{LIST}?limit=1")).await.accepted();
    assert_eq!(first["next"], "c.1");
    let second = store.get(&format!("{LIST}?limit=2&after=c.1")).await.accepted();
    assert_eq!(second["reservations"][0]["reservationId"], "c.2");
    assert!(second.get("next").is_none());
}

#[tokio::test]
async fn what_is_handed_over_leaves_the_shelf() {
    let store = with_two_reservations().await;
    let answer = store.post(&at("c.1", "fulfil"), &json!({"skus": ["X"]})).await.accepted();
    assert_eq!(answer["lines"][0]["onHand"], 2);
    assert_eq!(answer["lines"][0]["reserved"], 1);
    assert_eq!(answer["lines"].as_array().unwrap().len(), 1);
    let rest = store.post(&at("c.1", "fulfil"), &json!({})).await.accepted();
    assert_eq!(rest["lines"][0]["sku"], "Y");
    assert_eq!(listed(&store).await.len(), 1);
    assert_eq!(store.metric("onhand_store_reservations").await, 1);
    assert_eq!(store.item("Y").await.0, 0);
}

#[tokio::test]
async fn what_cannot_be_found_is_broken_and_leaves_the_books() {
    let store = with_two_reservations().await;
    let body = json!({"skus": ["Y"], "reason": "notFound"});
    let answer = store
        .post_with(&at("c.1", "refuse"), &body, &[("Idempotency-Key", "staff-1")])
        .await
        .accepted();
    assert_eq!(
        (&answer["lines"][0]["onHand"], &answer["lines"][0]["reserved"]),
        (&json!(0), &json!(0))
    );
    let told = store.centre().answer("staff-1").await;
    let StockEvent::Broken(broken) = &told[0].event else { panic!("{told:?}") };
    assert_eq!((broken.reason, broken.delta), (BreakReason::NotFound, -2));

    let again =
        store.post_with(&at("c.1", "refuse"), &body, &[("Idempotency-Key", "staff-1")]).await;
    assert!(again.is_replayed());
    assert_eq!(again.accepted(), answer);
}

#[tokio::test]
async fn who_names_what_is_not_kept_changes_nothing() {
    let store = with_two_reservations().await;
    let head = store.head().await;
    for (reservation, skus) in
        [("c.3", json!([])), ("c.2", json!(["Y"])), ("c.2", json!(["X", "Y"]))]
    {
        let reply = store.post(&at(reservation, "fulfil"), &json!({"skus": skus})).await;
        reply.problem(404, "unknown_reservation");
    }
    store.get(&format!("{LIST}/c.3")).await.problem(404, "unknown_reservation");
    let other = "/api/stores/B/reservations/c.1/fulfil";
    store.post(other, &json!({})).await.problem(404, "unknown_store");
    assert_eq!(store.head().await, head);
}

#[tokio::test]
async fn a_refusal_needs_a_reason_that_is_one() {
    let store = with_two_reservations().await;
    for body in [json!({}), json!({"reason": "lazy"}), json!({"reason": "sold"})] {
        store.post(&at("c.1", "refuse"), &body).await.problem(422, "invalid_field");
    }
    let many: Vec<String> = (0..=1_000).map(|number| format!("S{number}")).collect();
    let body = json!({"skus": many, "reason": "damaged"});
    let problem = store.post(&at("c.1", "refuse"), &body).await.problem(422, "invalid_field");
    assert_eq!(problem["field"], "skus");
}
