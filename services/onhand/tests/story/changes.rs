//! Whoever follows the chain, and whoever asks about its past.

use serde_json::json;

use crate::shop::{Chain, PATIENCE};

#[tokio::test]
async fn a_sale_in_a_shop_is_told_to_whoever_follows() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 5).await;
    let address = format!("{}/stream?sku=MUG", chain.centre);
    let mut stream = reqwest::get(address).await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let mut sold = false;
    while !text.contains("event: stock") {
        let chunk = tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap();
        text += std::str::from_utf8(&chunk.unwrap()).unwrap();
        // It follows from its first id on.
        if !sold && text.starts_with("id: ") {
            let body = json!({"storeId": "A", "sku": "MUG", "delta": -2, "commandId": "till-7"});
            chain.post_to(&chain.store("A"), "/commands/inventory/adjust", &body).await.is(200);
            sold = true;
        }
    }
    let (_, data) = text.split_once("event: stock\ndata: ").unwrap();
    let change: serde_json::Value = serde_json::from_str(data.trim_end()).unwrap();
    assert_eq!(
        (&change["storeId"], &change["onHand"], &change["delta"], &change["commandId"]),
        (&json!("A"), &json!(3), &json!(-2), &json!("till-7"))
    );
}

#[tokio::test]
async fn the_centre_tells_an_items_past_as_its_store_does() {
    let chain = Chain::open().await;
    chain.stock("A", "MUG", 5).await;
    let kept = chain.reserve_one("order-1", "MUG", 2).await.is(201);
    chain.sell("A", "MUG", 1, "reject").await.is(200);
    let store = chain.store("A");
    let all = chain.get_from(&store, "/query/inventory/store/A/MUG/events").await.is(200);
    let events = all["events"].as_array().unwrap();
    assert_eq!(events.len(), 3, "{all}");
    chain
        .until("the centre has the sale", async || {
            let item = chain.get("/query/inventory/store/A/MUG").await.is(200);
            (item["onHand"] == 4).then_some(())
        })
        .await;
    for event in events {
        for point in [&event["sequence"].to_string(), event["occurredAt"].as_str().unwrap()] {
            let path = format!("/query/inventory/store/A/MUG/events?asOf={point}");
            let there = chain.get_from(&store, &path).await.is(200);
            let here = chain.get(&path).await.is(200);
            assert_eq!(here["events"], there["events"], "{point}");
            for field in ["onHand", "reserved", "version"] {
                assert_eq!(here["item"][field], there["item"][field], "{field} at {point}");
            }
        }
    }
    let sequence = &events[1]["sequence"];
    let then = chain.get(&format!("/query/inventory/A/MUG/explain?asOf={sequence}")).await.is(200);
    let reserved = &then["terms"][1];
    assert_eq!(reserved["units"], -2);
    assert_eq!(reserved["reservations"][0]["reservationId"], kept["reservationId"]);
    assert_eq!(reserved["reservations"][0]["eventId"], events[1]["eventId"]);
}
