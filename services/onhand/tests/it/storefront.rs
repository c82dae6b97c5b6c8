//! Online customers who reserve, fetch and change their minds, and remember every answer they got.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::process::{PATIENCE, eventually};

/// What a customer was told of one reservation, and did with it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) reservation: String,
    pub(crate) key: String,
    pub(crate) body: Value,
    /// Whether any answer said that the stores keep it.
    pub(crate) confirmed: bool,
    pub(crate) cancelled: bool,
    pub(crate) fetched: bool,
}

/// Customers who shop until they are told to stop.
pub(crate) struct Storefront {
    customers: JoinSet<Vec<Told>>,
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
}

/// What customers want.
#[derive(Clone)]
pub(crate) struct Wants {
    /// Items they choose from.
    pub(crate) skus: Vec<String>,
    /// Centres they ask, by URL.
    pub(crate) centres: Vec<String>,
    /// Whether these may lose what they know.
    pub(crate) forgetful: bool,
}

impl Storefront {
    pub(crate) fn open(wants: &Wants, customers: usize, seed: u64) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut shopping = JoinSet::new();
        for number in 0..customers {
            let customer = Customer {
                name: format!("{seed}-{number}"),
                wants: wants.clone(),
                client: Client::builder().timeout(Duration::from_secs(20)).build().unwrap(),
                random: Rng::with_seed(seed.wrapping_add(u64::try_from(number).unwrap())),
            };
            shopping.spawn(customer.shop(Arc::clone(&stop), Arc::clone(&answers)));
        }
        Self { customers: shopping, stop, answers }
    }

    /// Waits until the customers got this many more answers.
    pub(crate) async fn more(&self, answers: usize) {
        let until = self.answers.load(Ordering::Relaxed) + answers;
        eventually("customers are answered", async || {
            (self.answers.load(Ordering::Relaxed) >= until).then_some(())
        })
        .await;
    }

    /// Sends everybody home; gives what each was told.
    pub(crate) async fn close(self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        self.customers.join_all().await.into_iter().flatten().collect()
    }
}

struct Customer {
    name: String,
    wants: Wants,
    client: Client,
    random: Rng,
}

impl Customer {
    async fn shop(mut self, stop: Arc<AtomicBool>, answers: Arc<AtomicUsize>) -> Vec<Told> {
        let mut told = Vec::new();
        for number in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let one = self.reserve(number).await;
            answers.fetch_add(1, Ordering::Relaxed);
            told.push(one);
        }
        told
    }

    /// One reservation, and what the customer then does with it.
    async fn reserve(&mut self, number: u64) -> Told {
        let centre = self.random.usize(0..self.wants.centres.len());
        let first = self.random.usize(0..self.wants.skus.len());
        let lines: Vec<Value> = (0..self.random.usize(1..=2))
            .map(|line| {
                let sku = &self.wants.skus[(first + line) % self.wants.skus.len()];
                json!({"sku": sku, "quantity": self.random.i64(1..=3)})
            })
            .collect();
        let key = format!("{}-{number}", self.name);
        let body = json!({
            "orderId": key, "lines": lines, "allowSplit": self.random.bool(), "ttlSeconds": 3_600
        });
        let url = format!("{}/api/reservations", self.wants.centres[centre]);
        let (status, answer) = self.ask(&url, &key, &body).await;
        assert!([201, 202, 409].contains(&status), "{status}: {answer}");
        let mut told = Told {
            reservation: answer["reservationId"].as_str().unwrap().to_owned(),
            key,
            body,
            confirmed: status == 201 && answer["state"] == "confirmed",
            cancelled: false,
            fetched: false,
        };
        let url = format!("{url}/{}", told.reservation);
        match self.random.u8(0..10) {
            0..4 => {
                let (status, answer) = self.ask(&format!("{url}/cancel"), "", &json!({})).await;
                self.expect(&[200, 409], status, &answer);
                told.cancelled = status == 200;
            }
            4..6 if told.confirmed => {
                let (status, answer) = self.ask(&format!("{url}/fulfil"), "", &json!({})).await;
                self.expect(&[200, 202, 409], status, &answer);
                told.fetched = status == 200;
            }
            _ => {}
        }
        told
    }

    fn expect(&self, expected: &[u16], status: u16, answer: &Value) {
        let forgotten = self.wants.forgetful && status == 404;
        assert!(forgotten || expected.contains(&status), "{status}: {answer}");
    }

    /// Asks until there is an answer: a customer repeats what the outcome is not known of.
    async fn ask(&self, url: &str, key: &str, body: &Value) -> (u16, Value) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut request = self.client.post(url).header("content-type", "application/json");
            request = request.header("prefer", "wait=5");
            if !key.is_empty() {
                request = request.header("idempotency-key", key);
            }
            if let Ok(response) = request.body(body.to_string()).send().await {
                let status = response.status().as_u16();
                let answer = response.text().await.unwrap_or_default();
                if let (true, Ok(answer)) = (status < 500, serde_json::from_str(&answer)) {
                    return (status, answer);
                }
            }
            assert!(Instant::now() < deadline, "no answer from {url} to {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
