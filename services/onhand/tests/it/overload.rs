//! Far more requests than a store can serve: it serves what it can, refuses the rest at once, and loses
//! nothing that it acknowledged.
//!
//! Requests come when they are due, whether or not earlier ones were answered, and what is waited is
//! counted from there. `scripts/overload` runs it for a minute against a release build and holds it to its
//! times; in CI the times are only told, since the machine is shared with whoever sends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::process::{Service, free_port};

const ITEMS: usize = 100;
/// Callers of the measurement of what can be served; below where queries are refused.
const CALLERS: usize = 24;
/// Requests that the sender has open at most: four times what is served at the same time. Those due beyond
/// it are not sent, or the sender would measure its own queue.
const OPEN: usize = 256;
const SERVED_P99: Duration = Duration::from_millis(500);
const REFUSED_P99: Duration = Duration::from_millis(50);
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);

/// One request and what became of it.
#[derive(Debug, Clone, Copy)]
struct Sent {
    item: usize,
    is_command: bool,
    /// 0 where there was no answer.
    status: u16,
    waited: Duration,
}

#[derive(Clone)]
struct Sender {
    client: Client,
    url: String,
}

impl Sender {
    /// Asks or sells, by number: each fifth only asks.
    async fn send(&self, number: usize, due: Instant) -> Sent {
        let (item, is_command) = (number % ITEMS, !number.is_multiple_of(5));
        let request = if is_command {
            let body = format!(r#"{{"storeId":"A","sku":"S{item}","delta":1}}"#);
            let url = format!("{}/api/commands/inventory/adjust", self.url);
            self.client.post(url).header("content-type", "application/json").body(body)
        } else {
            self.client.get(format!("{}/api/query/inventory/store/A/S{item}", self.url))
        };
        let status = match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                answer.bytes().await.map_or(0, |_read| status)
            }
            Err(_away) => 0,
        };
        Sent { item, is_command, status, waited: due.elapsed() }
    }

    /// What can be served in a second, and what happened meanwhile.
    async fn capacity(&self, within: Duration) -> (usize, Vec<Sent>) {
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (sender, stop) = (self.clone(), Arc::clone(&stop));
            callers.spawn(async move {
                let mut sent = Vec::new();
                for number in (caller..).step_by(CALLERS) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    sent.push(sender.send(number, Instant::now()).await);
                }
                sent
            });
        }
        tokio::time::sleep(within).await;
        stop.store(true, Ordering::Relaxed);
        let sent: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
        let seconds = usize::try_from(within.as_secs()).unwrap();
        (sent.len() / seconds, sent)
    }

    /// So many a second, come what may; also how many the sender could not send.
    async fn flood(&self, per_second: usize, seconds: usize) -> (Vec<Sent>, usize) {
        let (told, mut answered) = mpsc::unbounded_channel();
        let open = Arc::new(Semaphore::new(OPEN));
        let (started, mut unsent) = (Instant::now(), 0);
        for number in 0..per_second * seconds {
            let nanos = number as u64 * 1_000_000_000 / per_second as u64;
            let due = started + Duration::from_nanos(nanos);
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                tokio::time::sleep(early).await;
            }
            let Ok(permit) = Arc::clone(&open).try_acquire_owned() else {
                unsent += 1;
                tokio::task::yield_now().await;
                continue;
            };
            let (sender, told) = (self.clone(), told.clone());
            tokio::spawn(async move {
                told.send(sender.send(number, due).await).unwrap();
                drop(permit);
            });
        }
        drop(told);
        let mut sent = Vec::new();
        while let Some(one) = answered.recv().await {
            sent.push(one);
        }
        (sent, unsent)
    }
}

fn p99(sent: &[Sent], of: impl Fn(u16) -> bool) -> Duration {
    let mut waits: Vec<_> =
        sent.iter().filter(|one| of(one.status)).map(|one| one.waited).collect();
    waits.sort();
    waits.get(waits.len() * 99 / 100).copied().unwrap_or_default()
}

/// What is on the shelf is what was acknowledged; unanswered commands may have been executed.
async fn nothing_is_lost(sender: &Sender, sent: &[Sent]) {
    let commands = |status: u16| {
        let mut items = BTreeMap::<usize, i64>::new();
        for one in sent.iter().filter(|one| one.is_command && one.status == status) {
            *items.entry(one.item).or_default() += 1;
        }
        items
    };
    let (acknowledged, unknown) = (commands(200), commands(0));
    for item in 0..ITEMS {
        let url = format!("{}/api/query/inventory/store/A/S{item}", sender.url);
        let now: Value = sender.client.get(url).send().await.unwrap().json().await.unwrap();
        let least = acknowledged.get(&item).copied().unwrap_or_default();
        let most = least + unknown.get(&item).copied().unwrap_or_default();
        let on_hand = now["onHand"].as_i64().unwrap();
        assert!((least..=most).contains(&on_hand), "S{item}: {on_hand}, told {least} to {most}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_what_can_be_served_is_refused_at_once_and_loses_nothing() {
    let full = std::env::var_os("ONHAND_OVERLOAD_FULL").is_some();
    let folder = tempfile::tempdir().unwrap();
    let kafka = format!("127.0.0.1:{}", free_port());
    let data = folder.path().join("A");
    let mut args = vec!["store", "--store-id", "A", "--kafka", &kafka, "--witness-wait-ms", "0"];
    // Few enough that the sender of a small machine can have more open.
    args.extend(["--max-requests", "64", "--data-dir", data.to_str().unwrap()]);
    let service = Service::start(&args, free_port(), &folder.path().join("log")).await;
    service.opened().await;
    let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let sender = Sender { client, url: service.url.clone() };

    let (capacity, mut sent) = sender.capacity(Duration::from_secs(3)).await;
    assert!(sent.iter().all(|one| one.status == 200), "it serves what it can");
    let (flood, unsent) = sender.flood(capacity * 3, if full { 60 } else { 10 }).await;
    let over = Instant::now();
    let mut well = 0;
    while well < 20 {
        let one = sender.send(1, Instant::now()).await;
        well = if one.status == 200 && one.waited < REFUSED_P99 { well + 1 } else { 0 };
        sent.push(one);
        assert!(over.elapsed() < Duration::from_secs(60), "it does not recover");
    }
    let recovered = over.elapsed();

    let mut statuses = BTreeMap::<u16, usize>::new();
    for one in &flood {
        *statuses.entry(one.status).or_default() += 1;
    }
    let served = p99(&flood, |status| status == 200);
    let refused = p99(&flood, |status| matches!(status, 429 | 503));
    println!(
        "{capacity} requests/s can be served; three times as many: {statuses:?}, {unsent} not sent; \
         p99 served {served:?}, refused {refused:?}; recovered after {recovered:?}"
    );
    assert!(statuses.keys().all(|status| matches!(status, 200 | 429 | 503)), "{statuses:?}");
    assert!(statuses.contains_key(&200) && statuses.contains_key(&503), "{statuses:?}");
    sent.extend(flood);
    nothing_is_lost(&sender, &sent).await;
    if full {
        assert!(served < SERVED_P99, "{served:?}");
        assert!(refused < REFUSED_P99, "{refused:?}");
        assert!(recovered < RECOVERED_WITHIN, "{recovered:?}");
    }
}
