//! Stock commands handed to the centre, and idempotency.

use serde_json::json;

use crate::shop::Chain;

#[tokio::test]
async fn a_command_to_the_centre_gets_the_stores_verdict() {
    let chain = Chain::open().await;
    let replace = json!({"storeId": "A", "sku": "MUG", "quantity": 10});
    let done = chain.post("/commands/inventory/replace", &replace).await.is(200);
    assert_eq!((&done["quantity"], &done["version"]), (&json!(10), &json!(1)));
    let sale = json!({"storeId": "A", "sku": "MUG", "delta": -11});
    let refused = chain.post("/commands/inventory/adjust", &sale).await;
    let refused = refused.problem(409, "insufficient_stock");
    assert_eq!((&refused["requested"], &refused["available"]), (&json!(11), &json!(10)));
    let stale = json!({"storeId": "A", "sku": "MUG", "delta": -1, "expectedVersion": 7});
    let stale = chain.post("/commands/inventory/adjust", &stale).await;
    assert_eq!(stale.problem(409, "version_conflict")["currentVersion"], 1);
}

#[tokio::test]
async fn without_a_wait_its_location_tells_the_verdict() {
    let chain = Chain::open().await;
    let body =
        json!({"storeId": "B", "sku": "MUG", "quantity": 4, "commandId": "count/7"}).to_string();
    let taken = chain.send(&chain.centre, "/commands/inventory/replace", &body, &[]).await;
    let location = taken.location.clone().unwrap();
    assert_eq!(taken.is(202)["state"], "pending");
    let told = chain
        .until("the store decides", async || {
            let told = chain.get(location.strip_prefix("/api").unwrap()).await.is(200);
            (told["state"] != "pending").then_some(told)
        })
        .await;
    assert_eq!((&told["state"], &told["accepted"]["quantity"]), (&json!("accepted"), &json!(4)));
    chain.get("/commands/nobody-said-so").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_command_is_executed_once_whichever_way_it_comes() {
    let chain = Chain::open().await;
    let body = json!({"storeId": "A", "sku": "MUG", "delta": 3, "commandId": "delivery-1"});
    let first = chain.post("/commands/inventory/adjust", &body).await.is(200);
    let again = chain.post("/commands/inventory/adjust", &body).await;
    assert!(again.repeated);
    assert_eq!(again.is(200), first);
    // By the store's own door it is the same command.
    let direct = chain.post_to(&chain.store("A"), "/commands/inventory/adjust", &body).await;
    assert!(direct.repeated);
    assert_eq!(direct.is(200)["eventId"], first["eventId"]);
    let other = json!({"storeId": "A", "sku": "MUG", "delta": 4, "commandId": "delivery-1"});
    chain.post("/commands/inventory/adjust", &other).await.problem(422, "command_id_reused");
}

#[tokio::test]
async fn what_a_store_has_done_by_its_own_door_is_told_to_the_centre_again() {
    let chain = Chain::open().await;
    let body = json!({"storeId": "A", "sku": "MUG", "delta": 3, "commandId": "delivery-1"});
    let direct =
        chain.post_to(&chain.store("A"), "/commands/inventory/adjust", &body).await.is(200);
    let carried = chain.post("/commands/inventory/adjust", &body).await.is(200);
    assert_eq!(carried["eventId"], direct["eventId"]);
    assert_eq!(chain.get("/query/inventory/global/MUG").await.is(200)["quantity"], 3);
}

#[tokio::test]
async fn a_key_names_one_reservation() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 5).await;
    let body = json!({"orderId": "o", "lines": [{"sku": "MUG", "quantity": 2}]});
    let headers = [("idempotency-key", "k1"), ("prefer", "wait=20")];
    let first = chain.send(&chain.centre, "/reservations", &body.to_string(), &headers).await;
    assert!(!first.repeated);
    let first = first.is(201);
    // Spelled otherwise, it is still the same.
    let spelled = r#"{"lines":[{"quantity":2,"sku":"MUG"}],"orderId":"o","allowSplit":false}"#;
    let again = chain.send(&chain.centre, "/reservations", spelled, &headers).await;
    assert!(again.repeated);
    assert_eq!(again.is(201), first);
    let other = json!({"orderId": "o", "lines": [{"sku": "MUG", "quantity": 3}]}).to_string();
    let other = chain.send(&chain.centre, "/reservations", &other, &headers).await;
    other.problem(422, "command_id_reused");
    let item = chain.get("/query/inventory/store/A/MUG").await.is(200);
    assert_eq!(item["reserved"], 2);

    let fulfil = format!("/reservations/{}/fulfil", first["reservationId"].as_str().unwrap());
    let body = json!({"skus": ["MUG"]}).to_string();
    let done = chain.send(&chain.centre, &fulfil, &body, &headers).await;
    assert!(!done.repeated);
    assert_eq!(done.is(200)["state"], "fulfilled");
    assert!(chain.send(&chain.centre, &fulfil, &body, &headers).await.repeated);
    let other = chain.send(&chain.centre, &fulfil, "", &headers).await;
    other.problem(422, "command_id_reused");
}
