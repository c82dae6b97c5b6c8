//! What is refused, with the reason, and changes nothing.

use serde_json::{Value, json};

use crate::shop::Chain;

fn line(sku: &str, quantity: &Value) -> Value {
    json!({"sku": sku, "quantity": quantity})
}

#[tokio::test]
async fn a_reservation_that_makes_no_sense_is_refused_by_the_field() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 5).await;
    let many: Vec<Value> = (0..1_001).map(|_| line("MUG", &json!(1))).collect();
    let ok = json!([line("MUG", &json!(1))]);
    let huge = json!([line("MUG", &json!(1_000_000_000)), line("MUG", &json!(1))]);
    let cases = [
        (json!({"orderId": "o", "lines": []}), 422, "invalid_field", "lines"),
        (json!({"orderId": "o", "lines": many}), 422, "invalid_field", "lines"),
        (
            json!({"orderId": "o", "lines": [line("MUG", &json!(0))]}),
            422,
            "invalid_field",
            "lines[0].quantity",
        ),
        (
            json!({"orderId": "o", "lines": [line("MUG", &json!(-1))]}),
            422,
            "invalid_field",
            "lines[0].quantity",
        ),
        (json!({"orderId": "o", "lines": huge}), 422, "invalid_field", "lines[1].quantity"),
        (
            json!({"orderId": "o", "lines": [line("MUG", &json!(1.5))]}),
            422,
            "invalid_field",
            "lines[0].quantity",
        ),
        (
            json!({"orderId": "o", "lines": [line("M|G", &json!(1))]}),
            422,
            "invalid_field",
            "lines[0].sku",
        ),
        (
            json!({"orderId": "o", "lines": [line("CUP", &json!(1))]}),
            404,
            "unknown_item",
            "lines[0].sku",
        ),
        (json!({"orderId": "o", "lines": ok, "storeId": "Z"}), 404, "unknown_store", "storeId"),
        (json!({"orderId": "o", "lines": ok, "ttlSeconds": 0}), 422, "invalid_field", "ttlSeconds"),
        (
            json!({"orderId": "o", "lines": ok, "ttlSeconds": 86_401}),
            422,
            "invalid_field",
            "ttlSeconds",
        ),
        (json!({"orderId": "", "lines": ok}), 422, "invalid_field", "orderId"),
        (
            json!({"orderId": "o", "lines": ok, "near": {"latitude": 91, "longitude": 0}}),
            422,
            "invalid_field",
            "near",
        ),
        (json!({"orderId": "o", "lines": ok, "colour": "red"}), 422, "invalid_field", "colour"),
    ];
    for (body, status, code, field) in cases {
        let refused = chain.reserve(&body).await.problem(status, code);
        assert_eq!(refused["field"], field, "{refused}");
    }
    let none = chain.get("/reservations").await.is(200);
    assert_eq!(none["reservations"], json!([]), "nothing was written");
}

#[tokio::test]
async fn a_thousand_lines_are_taken() {
    let chain = Chain::open().await;
    let mut text = String::new();
    for item in 0..1_000 {
        let line = json!({"storeId": "A", "sku": format!("ITEM-{item}"), "quantity": 1});
        text.push_str(&format!("{line}\n"));
    }
    let url = format!("{}/commands/inventory/batch", chain.store("A"));
    let sent = chain.client.post(url).header("content-type", "application/x-ndjson").body(text);
    assert_eq!(sent.send().await.unwrap().status().as_u16(), 200);
    chain
        .until("the centre knows the last", async || {
            let item = chain.get("/query/inventory/store/A/ITEM-999").await;
            (item.body["onHand"] == 1).then_some(())
        })
        .await;
    chain
        .until("the centre knows all", async || {
            let stores = chain.get("/stores").await.body;
            let all = stores["stores"].as_array()?.iter().all(|store| {
                store["freshness"]["lagEvents"] == 0 && store["digest"] == store["reportedDigest"]
            });
            all.then_some(())
        })
        .await;
    let lines: Vec<Value> =
        (0..1_000).map(|item| line(&format!("ITEM-{item}"), &json!(1))).collect();
    let reserved = chain.reserve(&json!({"orderId": "o", "lines": lines})).await.is(201);
    assert_eq!(reserved["state"], "confirmed");
    assert_eq!(reserved["allocations"].as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_reservation_nobody_knows_is_told_so() {
    let chain = Chain::open().await;
    chain.get("/reservations/c1.nobody").await.problem(404, "unknown_reservation");
    chain.get("/reservations/c9.nobody").await.problem(421, "wrong_centre");
    chain.get("/reservations/no-id").await.problem(422, "invalid_field");
    for verb in ["cancel", "fulfil"] {
        let url = format!("/reservations/c1.nobody/{verb}");
        chain.post(&url, &json!({})).await.problem(404, "unknown_reservation");
    }
    chain.get("/reservations?state=lost").await.problem(422, "invalid_field");
    chain.get("/reservations?limit=0").await.problem(422, "invalid_field");
}

#[tokio::test]
async fn a_fulfilment_of_what_is_not_in_it_is_refused() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 1).await;
    let reserved = chain.reserve_one("o", "MUG", 1).await.is(201);
    let url = format!("/reservations/{}/fulfil", reserved["reservationId"].as_str().unwrap());
    let refused = chain.post(&url, &json!({"skus": ["TEA"]})).await;
    assert_eq!(refused.problem(404, "unknown_item")["sku"], "TEA");
    chain.post(&url, &json!({"skus": []})).await.problem(422, "invalid_field");
    chain.post(&url, &json!({"sku": "MUG"})).await.problem(422, "invalid_field");
    assert_eq!(chain.reservation(&reserved["reservationId"]).await["state"], "confirmed");
}

#[tokio::test]
async fn availability_is_asked_within_bounds() {
    let chain = Chain::open().await;
    let many = vec!["MUG"; 201].join(",");
    for query in [
        format!("sku={many}"),
        "sku=".to_owned(),
        "sku=MUG&near=x".to_owned(),
        "sku=MUG&radiusKm=5".to_owned(),
        "sku=MUG&near=0,0&radiusKm=0".to_owned(),
        "item=MUG".to_owned(),
    ] {
        let refused = chain.get(&format!("/query/availability?{query}")).await;
        refused.problem(422, "invalid_field");
    }
    chain.get("/query/availability?sku=MUG&storeId=Z").await.problem(404, "unknown_store");
    let unseen = chain.get("/query/availability?sku=MUG").await.is(200);
    let unseen = &unseen["items"][0];
    assert_eq!((&unseen["available"], &unseen["contributing"]), (&json!(0), &json!(0)));
    assert_eq!((&unseen["stores"], unseen.get("asOf")), (&json!([]), None));
}

#[tokio::test]
async fn a_command_for_a_store_nobody_knows_is_refused_before_it_is_taken() {
    let chain = Chain::open().await;
    let body = json!({"storeId": "Z", "sku": "MUG", "quantity": 1});
    chain.post("/commands/inventory/replace", &body).await.problem(404, "unknown_store");
    let body = json!({"storeId": "A", "sku": "MUG", "quantity": -1});
    chain.post("/commands/inventory/replace", &body).await.problem(422, "invalid_field");
}
