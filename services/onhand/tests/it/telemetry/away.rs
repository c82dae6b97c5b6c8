//! A collector that is away, fails or never answers costs telemetry and nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::json;
use test_support::otlp::{Collector, Manner};

use crate::process::{Service, eventually, free_port};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Sales of one measurement.
const SALES: usize = 150;

/// Small batches and a short queue: many batches fail, and the queue is full, within a test.
const HURRIED: [(&str, &str); 6] = [
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
    ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "32"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8"),
    ("OTEL_BLRP_SCHEDULE_DELAY", "20"),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "1"),
];

/// A store without a broker, in an environment.
async fn store(folder: &Path, env: &[(&str, &str)]) -> Service {
    std::fs::create_dir_all(folder).unwrap();
    let data = folder.join("data");
    let args = ["store", "--store-id", "A", "--witness-wait-ms", "0", "--kafka", "127.0.0.1:1"];
    let args = [&args[..], &["--data-dir", data.to_str().unwrap()]].concat();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let store = Service::start_in(&args, env, free_port(), &folder.join("log")).await;
    store.opened().await;
    store
}

/// How long sales take, in order of duration.
async fn sales(store: &Service) -> Vec<Duration> {
    let client = Client::new();
    let url = format!("{}/api/commands/inventory/replace", store.url);
    let mut took = Vec::with_capacity(SALES);
    for quantity in 0..SALES {
        let body = json!({"storeId": "A", "sku": "X", "quantity": quantity});
        let began = Instant::now();
        let answer = client.post(&url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took
}

/// Lines of the log that are about telemetry being lost.
fn complaints(store: &Service) -> usize {
    let log = std::fs::read_to_string(&store.log).unwrap();
    log.lines().filter(|line| line.contains("telemetry cannot be exported")).count()
}

/// Spans and log lines that the store counts as lost.
async fn lost(store: &Service) -> u64 {
    let metrics = reqwest::get(format!("{}/metrics", store.url)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let lost = metrics.lines().filter(|line| line.starts_with("onhand_telemetry_lost_total{"));
    lost.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Two stores, one of which exports: it sells as fast as the other.
async fn is_not_slowed(folder: &Path, endpoint: &str) -> [Service; 2] {
    let plain = store(&folder.join("plain"), &[]).await;
    let env = [&HURRIED[..], &[(ENDPOINT, endpoint)]].concat();
    let traced = store(&folder.join("traced"), &env).await;
    let (without, with) = (sales(&plain).await, sales(&traced).await);
    let (without, with, slowest) = (without[SALES / 2], with[SALES / 2], with[SALES - 1]);
    println!("{endpoint}: median {with:?}, without {without:?}, slowest {slowest:?}");
    // A tenth of what one attempt to export takes before it is given up.
    assert!(with < without * 2 + Duration::from_millis(30), "median {with:?}, without {without:?}");
    [plain, traced]
}

/// It sells as fast as one that tells nobody, says once what is wrong, and stops in time.
async fn is_harmless(endpoint: &str) {
    let folder = tempfile::tempdir().unwrap();
    let [plain, mut traced] = is_not_slowed(folder.path(), endpoint).await;
    eventually("it says what is wrong", async || (complaints(&traced) > 0).then_some(())).await;
    sales(&traced).await;
    // Of spans and of log lines: one collector is one failure.
    assert_eq!(complaints(&traced), 1);
    assert!(lost(&traced).await > 0);
    assert_eq!(lost(&plain).await, 0);

    let asked = Instant::now();
    assert!(traced.terminate().await.success());
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?} to stop", asked.elapsed());
    assert_eq!(complaints(&traced), 1);
}

#[tokio::test]
async fn a_collector_that_is_away_is_harmless() {
    is_harmless(&format!("http://127.0.0.1:{}", free_port())).await;
}

#[tokio::test]
async fn a_collector_that_fails_is_harmless() {
    let collector = Collector::start(Manner::Fails);
    is_harmless(&collector.endpoint).await;
    assert!(collector.requests() > 1);
}

#[tokio::test]
async fn what_a_slow_collector_has_no_room_for_is_counted_and_nothing_is_slowed() {
    let collector = Collector::start(Manner::Slow);
    let folder = tempfile::tempdir().unwrap();
    let [_plain, mut traced] = is_not_slowed(folder.path(), &collector.endpoint).await;
    assert!(lost(&traced).await > 0);
    assert!(traced.terminate().await.success());
    assert_eq!(complaints(&traced), 0, "it does take what it gets");
}

#[tokio::test]
async fn a_collector_that_never_answers_is_harmless() {
    let collector = Collector::start(Manner::Hangs);
    is_harmless(&collector.endpoint).await;
    assert!(collector.requests() > 1);
}

#[tokio::test]
async fn what_was_not_sent_yet_is_sent_when_a_service_stops() {
    let collector = Collector::start(Manner::Takes);
    let folder = tempfile::tempdir().unwrap();
    // Nothing is sent before the end unless the end sends it.
    let env = [
        (ENDPOINT, collector.endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "3600000"),
    ];
    let mut store = store(folder.path(), &env).await;
    let trace = format!("{:032x}", fastrand::u128(1..));
    let url = format!("{}/api/commands/inventory/replace", store.url);
    let body = json!({"storeId": "A", "sku": "X", "quantity": 1});
    let request = Client::new().post(&url).json(&body);
    let request = request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert!(store.terminate().await.success());
    let spans = collector.trace(&trace);
    assert!(spans.iter().any(|span| span.kind == "Server"), "{spans:?}");
    assert!(spans.iter().all(|span| span.service == "onhand-store"), "{spans:?}");
    let lines = collector.lines();
    assert!(
        !lines.is_empty() && lines.iter().all(|line| line.service == "onhand-store"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_is_said_of_the_export_is_not_exported() {
    let collector = Collector::start(Manner::TakesLines);
    let folder = tempfile::tempdir().unwrap();
    // What the exporters' own HTTP client says in other threads too.
    let env = [&HURRIED[..], &[(ENDPOINT, &*collector.endpoint), ("ONHAND_LOG", "trace")]].concat();
    let mut store = store(folder.path(), &env).await;
    sales(&store).await;
    eventually("it says what is wrong", async || (complaints(&store) > 0).then_some(())).await;
    eventually("lines come", async || (!collector.lines().is_empty()).then_some(())).await;
    assert!(store.terminate().await.success());
    let log = std::fs::read_to_string(&store.log).unwrap();
    assert!(log.contains("hyper_util"), "the client does say something");
    for line in collector.lines() {
        assert!(!line.body.contains("cannot be exported"), "{line:?}");
        assert!(
            !line.target.starts_with("hyper") && !line.target.starts_with("reqwest"),
            "{line:?}"
        );
    }
}
