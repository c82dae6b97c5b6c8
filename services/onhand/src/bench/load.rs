//! Clients over HTTP, and how long each of their requests took.
//!
//! Each client has a connection of its own, kept open. A closed loop sends when it was answered; an open
//! one at times set beforehand, from which the latency counts, so that a service that stalls is charged
//! for those who waited, too (no coordinated omission).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What one client sends next, by a number that no other request of the load has.
pub(super) type Next = Arc<dyn Fn(u64) -> Asked + Send + Sync>;

/// Told of each answer, and when it came.
pub(super) type Heard = Arc<dyn Fn(Instant, &Bytes) + Send + Sync>;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { method: Method::POST, path: path.into(), headers, body: body.into() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }
}

/// When a client sends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// As soon as it was answered.
    Closed,
    /// So many requests a second of all clients together.
    Open(f64),
}

/// Clients that ask one service.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) next: Next,
    pub(super) heard: Option<Heard>,
    pub(super) clients: u16,
    pub(super) pace: Pace,
    pub(super) time: Duration,
    pub(super) stop: CancellationToken,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    /// In nanoseconds.
    latencies: Histogram<u64>,
    took: Duration,
}

/// Connections and caches, before anything counts; at most a quarter of the time.
const WARM_UP: Duration = Duration::from_millis(500);
const HIGHEST: Duration = Duration::from_secs(120);

impl Measured {
    pub(super) fn count(&self) -> u64 {
        self.latencies.len()
    }

    pub(super) fn per_second(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// In milliseconds.
    pub(super) fn millis(&self, quantile: f64) -> f64 {
        millis(&self.latencies, quantile)
    }
}

/// An empty histogram of nanoseconds, three digits exact.
pub(super) fn histogram() -> Histogram<u64> {
    let highest = u64::try_from(HIGHEST.as_nanos()).unwrap_or(u64::MAX);
    Histogram::new_with_bounds(1, highest, 3).expect("the bounds are in order")
}

/// Counts one duration.
pub(super) fn count(latencies: &mut Histogram<u64>, took: Duration) {
    latencies.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
}

/// The duration that a part of all does not exceed, in milliseconds.
pub(super) fn millis(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1e6
}

impl Load {
    /// Sends for so long, and then until the last is answered.
    ///
    /// # Errors
    /// Any answer but a success, a broken connection, or the stop.
    pub(super) async fn run(&self) -> anyhow::Result<Measured> {
        let number = Arc::new(AtomicU64::new(0));
        let mut connections = Vec::new();
        for _ in 0..self.clients {
            connections.push(connect(self.address).await?);
        }
        let counts_from = Instant::now() + WARM_UP.min(self.time / 4);
        let mut clients = JoinSet::new();
        for (place, connection) in (0_u16..).zip(connections) {
            let client = Client { load: self.clone(), place, number: Arc::clone(&number) };
            clients.spawn(client.run(connection, counts_from));
        }
        let (mut latencies, mut last) = (histogram(), counts_from);
        while let Some(client) = clients.join_next().await {
            let (measured, ended) = client.context("join a client")??;
            latencies.add(&measured).context("add what a client measured")?;
            last = last.max(ended);
        }
        Ok(Measured { latencies, took: last.saturating_duration_since(counts_from) })
    }
}

struct Client {
    load: Load,
    place: u16,
    number: Arc<AtomicU64>,
}

impl Client {
    async fn run(
        self,
        mut connection: SendRequest<Full<Bytes>>,
        counts_from: Instant,
    ) -> anyhow::Result<(Histogram<u64>, Instant)> {
        let Self { load, place, number } = self;
        let every = match load.pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(Duration::from_secs_f64(f64::from(load.clients) / rate)),
        };
        // Clients do not knock all at once.
        let stagger = |every: Duration| every * u32::from(place) / u32::from(load.clients);
        let mut due = Instant::now() + every.map(stagger).unwrap_or_default();
        let (until, mut latencies) = (counts_from + load.time, histogram());
        loop {
            if let Some(every) = every {
                tokio::time::sleep_until(due.into()).await;
                due += every;
            }
            let started = every.map_or_else(Instant::now, |every| due - every);
            if started >= until {
                return Ok((latencies, Instant::now().min(until)));
            }
            ensure!(!load.stop.is_cancelled(), "interrupted");
            let asked = (load.next)(number.fetch_add(1, Ordering::Relaxed));
            let answer = send(&mut connection, load.address, asked).await?;
            if let Some(heard) = &load.heard {
                heard(Instant::now(), &answer);
            }
            if started >= counts_from {
                count(&mut latencies, started.elapsed());
            }
        }
    }
}

/// A connection of one client.
pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let socket = TcpStream::connect(address).await.with_context(|| format!("reach {address}"))?;
    socket.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends and takes the whole answer, which must be a success.
pub(super) async fn send(
    connection: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    asked: Asked,
) -> anyhow::Result<Bytes> {
    let Asked { method, path, headers, body } = asked;
    let mut request =
        Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body)).context("make a request")?;
    connection.ready().await.context("a connection broke")?;
    let answer = connection.send_request(request).await.context("send a request")?;
    let status = answer.status();
    let body = answer.into_body().collect().await.context("read an answer")?.to_bytes();
    ensure!(status.is_success(), "answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}
