//! The README's quick start, against `onhand dev` as a newcomer runs it.

use std::process::Stdio;

use reqwest::Client;
use serde_json::{Value, json};

use crate::process::{Guarded, eventually, free_ports, onhand};

async fn post(client: &Client, url: String, body: Value) -> Value {
    let request = client.post(url).header("content-type", "application/json");
    let request = request.header("prefer", "wait=20");
    let response = request.body(body.to_string()).send().await.unwrap();
    assert!([200, 201].contains(&response.status().as_u16()), "{}", response.status());
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replace_at_one_store_and_adjust_at_another_add_up_at_the_centre() {
    // The centre and three stores.
    let port = free_ports(4);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("dev.log");
    let dev = onhand()
        .args(["dev", "--port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut dev = Guarded(dev);
    let base = format!("http://127.0.0.1:{port}/api");
    let client = Client::new();
    let running = std::cell::RefCell::new(&mut dev);
    eventually("dev answers", async || {
        if let Some(status) = running.borrow_mut().0.try_wait().unwrap() {
            panic!("dev ended with {status}: {}", std::fs::read_to_string(&log).unwrap());
        }
        let text = client.get(format!("{base}/stores")).send().await.ok()?.text().await.ok()?;
        let known: Value = serde_json::from_str(&text).ok()?;
        (known["stores"].as_array()?.len() == 3).then_some(())
    })
    .await;

    let replace = json!({"storeId": "A", "sku": "ABC-1", "quantity": 10});
    let replaced = post(&client, format!("{base}/commands/inventory/replace"), replace).await;
    assert_eq!(replaced["quantity"], 10);
    let adjust = json!({"storeId": "B", "sku": "ABC-1", "delta": 5});
    let adjusted = post(&client, format!("{base}/commands/inventory/adjust"), adjust).await;
    assert_eq!(adjusted["quantity"], 5);
    let global = eventually("the sum arrives", async || {
        let url = format!("{base}/query/inventory/global/ABC-1");
        let text = client.get(url).send().await.ok()?.text().await.ok()?;
        let global: Value = serde_json::from_str(&text).ok()?;
        (global["quantity"] == 15).then_some(global)
    })
    .await;
    assert_eq!(global["sku"], "ABC-1");
    assert_eq!(global["available"], 15);
    let order = json!({"orderId": "order-1", "lines": [{"sku": "ABC-1", "quantity": 2}]});
    let reserved = post(&client, format!("{base}/reservations"), order).await;
    assert_eq!(reserved["state"], "confirmed");

    let stopping = std::time::Instant::now();
    let interrupted =
        std::process::Command::new("kill").arg("-INT").arg(dev.0.id().to_string()).status();
    assert!(interrupted.unwrap().success());
    let status = tokio::task::spawn_blocking(move || dev.0.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(stopping.elapsed() < std::time::Duration::from_secs(5), "Ctrl-C took too long");
}
