//! Far more requests than a store can serve: it serves what it can, refuses the rest at once, and loses
//! nothing that it acknowledged.
//!
//! Requests come when they are due, whether or not earlier ones were answered and however many are open,
//! and what is waited is counted from there. `scripts/overload` runs it for a minute against a release build
//! and holds it to its times; in CI the times are only told. Sender and store share the machine: what can be
//! served is measured with the sender beside it, and what a request waits for the sender counts as waited.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::process::{Service, free_port};

const ITEMS: usize = 100;
/// Lines of a delivery that is booked. It costs the store far more than whoever sends it: a sender beside the
/// store can then send three times what the store can serve.
const LINES: usize = 50;
/// Callers of the measurement of what can be served; below where queries are refused.
const CALLERS: usize = 24;
/// Connections of the sender, far more than requests are served at the same time. What is due while all of
/// them are waiting for an answer waits for one of them, and that is counted as waited.
const CONNECTIONS: usize = 2_048;
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

/// Sends with nothing but sockets: what a client library costs would be taken from the store's cores.
#[derive(Clone)]
struct Sender {
    /// `HOST:PORT`.
    address: Arc<str>,
    idle: Arc<Mutex<Vec<TcpStream>>>,
    free: Arc<Semaphore>,
}

impl Sender {
    /// Asks or books a delivery, by number: each fifth only asks.
    async fn send(&self, number: usize, due: Instant) -> Sent {
        let (item, is_command) = (number % ITEMS, !number.is_multiple_of(5));
        let host = &self.address;
        let request = if is_command {
            let line = format!("{{\"storeId\":\"A\",\"sku\":\"S{item}\",\"delta\":1}}\n");
            let body = line.repeat(LINES);
            format!(
                "POST /api/commands/inventory/batch HTTP/1.1\r\nhost: {host}\r\n\
                 content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        } else {
            let path = format!("/api/query/inventory/store/A/S{item}");
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")
        };
        let status = self.ask(request.as_bytes()).await.unwrap_or_default();
        Sent { item, is_command, status, waited: due.elapsed() }
    }

    /// Sends a request over a connection that is idle, or a new one; gives the answer's status.
    async fn ask(&self, request: &[u8]) -> io::Result<u16> {
        let _one = self.free.acquire().await.unwrap();
        let idle = self.idle.lock().unwrap().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => TcpStream::connect(&*self.address).await?,
        };
        stream.set_nodelay(true)?;
        stream.write_all(request).await?;
        let mut answer = Vec::with_capacity(1_024);
        let status = loop {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(status) = whole(&answer) {
                break status;
            }
        };
        self.idle.lock().unwrap().push(stream);
        Ok(status)
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

    /// So many a second, come what may.
    async fn flood(&self, per_second: usize, seconds: usize) -> Vec<Sent> {
        let (told, mut answered) = mpsc::unbounded_channel();
        let started = Instant::now();
        for number in 0..per_second * seconds {
            let nanos = number as u64 * 1_000_000_000 / per_second as u64;
            let due = started + Duration::from_nanos(nanos);
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                tokio::time::sleep(early).await;
            }
            let (sender, told) = (self.clone(), told.clone());
            tokio::spawn(async move { told.send(sender.send(number, due).await).unwrap() });
        }
        drop(told);
        let mut sent = Vec::new();
        while let Some(one) = answered.recv().await {
            sent.push(one);
        }
        sent
    }
}

/// The status of an answer, once it is there to the end.
fn whole(answer: &[u8]) -> Option<u16> {
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).unwrap();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("an answer with a length").parse().unwrap();
    (answer.len() >= head + 4 + length).then(|| text[9..12].parse().unwrap())
}

fn p99(sent: &[Sent], of: impl Fn(u16) -> bool) -> Duration {
    let mut waits: Vec<_> =
        sent.iter().filter(|one| of(one.status)).map(|one| one.waited).collect();
    waits.sort();
    waits.get(waits.len() * 99 / 100).copied().unwrap_or_default()
}

/// What is on the shelf is what was acknowledged; unanswered commands may have been executed.
async fn nothing_is_lost(url: &str, sent: &[Sent]) {
    let commands = |status: u16| {
        let mut items = BTreeMap::<usize, i64>::new();
        for one in sent.iter().filter(|one| one.is_command && one.status == status) {
            // A delivery is answered as a whole: each of its lines can be booked.
            *items.entry(one.item).or_default() += i64::try_from(LINES).unwrap();
        }
        items
    };
    let (acknowledged, unknown) = (commands(200), commands(0));
    for item in 0..ITEMS {
        let url = format!("{url}/api/query/inventory/store/A/S{item}");
        let now: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
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
    let address = service.url.strip_prefix("http://").unwrap().into();
    let sender =
        Sender { address, idle: Arc::default(), free: Arc::new(Semaphore::new(CONNECTIONS)) };

    let (capacity, mut sent) = sender.capacity(Duration::from_secs(3)).await;
    assert!(sent.iter().all(|one| one.status == 200), "it serves what it can");
    let flood = sender.flood(capacity * 3, if full { 60 } else { 10 }).await;
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
        "{capacity} requests/s can be served; three times as many: {statuses:?}; \
         p99 served {served:?}, refused {refused:?}; recovered after {recovered:?}"
    );
    assert!(statuses.keys().all(|status| matches!(status, 200 | 429 | 503)), "{statuses:?}");
    assert!(statuses.contains_key(&200) && statuses.contains_key(&503), "{statuses:?}");
    sent.extend(flood);
    nothing_is_lost(&service.url, &sent).await;
    if full {
        assert!(served < SERVED_P99, "{served:?}");
        assert!(refused < REFUSED_P99, "{refused:?}");
        assert!(recovered < RECOVERED_WITHIN, "{recovered:?}");
    }
}
