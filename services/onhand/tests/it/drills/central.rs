//! The centre is disposable.

use std::time::Instant;

use reqwest::Client;
use serde_json::{Value, json};

use super::drill::{Drill, STORES, rounds, s};
use crate::process::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_centre_whose_database_is_deleted_comes_back_with_every_number_and_every_promise() {
    let mut drill = Drill::start("centre-deleted", &[]).await;
    drill.sell();
    for round in 0..rounds(1, 5) {
        drill.sold(200).await;
        let promised = reserve(&drill, &format!("kept-{round}")).await;
        drill.say(format!("reservation {promised} is confirmed"));
        let lost = Instant::now();
        drill.chain.lose_centre().await;
        drill.say("kill -9 of the centre, its database is deleted, under load");
        let first = drill.watch.sees("north", lost, |_| true).await;
        drill.say(format!("its first word about north is `{}`", first.state));
        for store in STORES {
            drill.fresh_again(store, lost, "the loss").await;
        }
        let url = format!("{}/api/reservations/{promised}", drill.chain.centres[0].url);
        eventually("the promise is known again", async || {
            let known = drill.chain.get(&url).await?;
            (known["state"] == "confirmed").then_some(())
        })
        .await;
        drill.say(format!("the reservation is confirmed again {} after the loss", s(lost)));
    }
    drill.end().await;
}

/// Stocks an item and has a unit of it confirmed.
async fn reserve(drill: &Drill, sku: &str) -> String {
    let body = json!({"storeId": "north", "sku": sku, "quantity": 3});
    let url = format!("{}/api/commands/inventory/replace", drill.chain.stores[0].service.url);
    assert_eq!(post(&url, &body).await.unwrap().0, 200);
    let url = format!("{}/api/reservations", drill.chain.centres[0].url);
    let body = json!({"orderId": sku, "lines": [{"sku": sku, "quantity": 1}]});
    let confirmed = eventually("the store keeps it", async || {
        let (status, answer) = post(&url, &body).await?;
        (status == 201 && answer["state"] == "confirmed").then_some(answer)
    })
    .await;
    confirmed["reservationId"].as_str().unwrap().to_owned()
}

pub(super) async fn post(url: &str, body: &Value) -> Option<(u16, Value)> {
    let request = Client::new().post(url).header("content-type", "application/json");
    let response = request.header("prefer", "wait=5").body(body.to_string()).send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, serde_json::from_str(&response.text().await.ok()?).ok()?))
}
