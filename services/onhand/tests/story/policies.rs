//! What the chain decides, safety stocks and stores' selling: set anywhere, in force everywhere, and not
//! lost with a database.

use serde_json::{Value, json};

use crate::shop::{Answer, Chain, answer};

async fn set(chain: &Chain, scope: &str, units: i64) -> Answer {
    let url = format!("{}/policies/safety-stock{scope}", chain.centre);
    let body = json!({ "units": units }).to_string();
    answer(chain.client.put(url).header("content-type", "application/json").body(body)).await
}

async fn remove(chain: &Chain, scope: &str) -> Answer {
    answer(chain.client.delete(format!("{}/policies/safety-stock{scope}", chain.centre))).await
}

async fn available(chain: &Chain, store: &str) -> Value {
    chain.get(&format!("/query/inventory/store/{store}/MUG")).await.is(200)["available"].clone()
}

#[tokio::test]
async fn the_most_specific_policy_is_in_force_at_once_and_everywhere() {
    let mut chain = Chain::open().await;
    chain.stock("A", "MUG", 10).await;
    chain.stock("B", "MUG", 10).await;
    set(&chain, "", 1).await.is(200);
    set(&chain, "?storeId=A", 2).await.is(200);
    set(&chain, "?sku=MUG", 3).await.is(200);
    assert_eq!((available(&chain, "A").await, available(&chain, "B").await), (json!(7), json!(7)));
    set(&chain, "?storeId=A&sku=MUG", 4).await.is(200);
    assert_eq!((available(&chain, "A").await, available(&chain, "B").await), (json!(6), json!(7)));
    remove(&chain, "?sku=MUG").await.is(200);
    assert_eq!((available(&chain, "A").await, available(&chain, "B").await), (json!(6), json!(9)));
    remove(&chain, "?sku=MUG").await.problem(404, "not_found");
    let all = chain.get("/policies/safety-stock").await.is(200)["policies"].clone();
    let units: Vec<_> = all.as_array().unwrap().iter().map(|policy| &policy["units"]).collect();
    assert_eq!(units, [1, 2, 4]);

    let why = chain.get("/query/inventory/A/MUG/explain").await.is(200);
    assert_eq!((&why["available"], &why["terms"][4]["units"]), (&json!(6), &json!(-4)));
    // Checkout has the same number.
    let lines = json!([{"sku": "MUG", "quantity": 7}]);
    let refused = chain.reserve(&json!({"orderId": "o", "lines": lines, "storeId": "A"})).await;
    assert_eq!(refused.problem(409, "reservation_rejected")["lines"][0]["available"], 6);

    // A centre that never saw it set, with an empty database, has it from the topic.
    let second = chain.open_centre("c2").await;
    let theirs = chain.get_from(&second, "/policies/safety-stock").await.is(200);
    assert_eq!(theirs["policies"], all);
    let item = chain.get_from(&second, "/query/inventory/store/A/MUG").await.is(200);
    assert_eq!(item["available"], 6);
}

#[tokio::test]
async fn units_out_of_bounds_are_refused() {
    let chain = Chain::open().await;
    for units in [-1, 1_000_000_001] {
        let refused = set(&chain, "", units).await;
        assert_eq!(refused.problem(422, "invalid_field")["field"], "units");
    }
    set(&chain, "?shop=A", 1).await.problem(422, "invalid_field");
}

async fn sell(chain: &Chain, store: &str, body: &Value) -> Answer {
    let url = format!("{}/stores/{store}/selling", chain.centre);
    let request = chain.client.put(url).header("content-type", "application/json");
    answer(request.body(body.to_string())).await
}

#[tokio::test]
async fn a_store_that_is_switched_off_hands_over_what_it_keeps_and_promises_nothing_new() {
    let mut chain = Chain::open().await;
    chain.stock("A", "MUG", 10).await;
    chain.stock("B", "MUG", 2).await;
    let lines = json!([{"sku": "MUG", "quantity": 4}]);
    let before = json!({"orderId": "before", "lines": lines, "storeId": "A"});
    let kept = chain.reserve(&before).await.is(201)["reservationId"].clone();

    let off = json!({"enabled": false, "reason": "burst pipe"});
    let said = sell(&chain, "A", &off).await.is(200);
    assert_eq!((&said["enabled"], &said["reason"]), (&json!(false), &json!("burst pipe")));
    assert_eq!(sell(&chain, "A", &off).await.is(200), said, "again is the same");
    assert_eq!(available(&chain, "A").await, json!(0));
    let global = chain.get("/query/inventory/global/MUG").await.is(200);
    assert_eq!((&global["available"], &global["contributing"]), (&json!(2), &json!(1)));
    assert_eq!(global["excluded"], json!({"dark": 0, "switchedOff": 1}));
    let store = chain.get("/stores/A").await.is(200);
    assert_eq!((&store["freshness"]["state"], &store["selling"]), (&json!("switchedOff"), &said));
    assert_eq!(store["freshness"]["since"], said["changedAt"]);
    let why = chain.get("/query/inventory/A/MUG/explain").await.is(200);
    let because = why["because"].as_str().unwrap();
    assert!(
        because.starts_with("switched off by centre c1 at ") && because.ends_with("burst pipe")
    );

    // Nobody is sent there, by name or without.
    let lines = json!([{"sku": "MUG", "quantity": 1}]);
    let refused = chain.reserve(&json!({"orderId": "o", "lines": lines, "storeId": "A"})).await;
    assert_eq!(refused.problem(409, "reservation_rejected")["lines"][0]["available"], 0);
    let elsewhere = chain.reserve_one("p", "MUG", 2).await.is(201);
    assert_eq!(elsewhere["allocations"][0]["storeId"], "B");
    // What was promised before is handed over.
    let path = format!("/reservations/{}/fulfil", kept.as_str().unwrap());
    let handed = chain.post(&path, &json!({})).await.is(200);
    assert_eq!(handed["state"], "fulfilled");

    // A centre with an empty database hears of it, and may switch it on again.
    let second = chain.open_centre("c2").await;
    let theirs = chain.get_from(&second, "/stores/A").await.is(200);
    assert_eq!(theirs["selling"], said);
    sell(&chain, "A", &json!({"enabled": true})).await.is(200);
    assert_eq!(available(&chain, "A").await, json!(6));
    sell(&chain, "Z", &off).await.problem(404, "unknown_store");
}
