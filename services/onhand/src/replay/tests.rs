//! The whole command against real stores and a real centre, over a broker in memory.

use std::path::{Path, PathBuf};

use central_service::ledger::{DEFAULT_STEP_TIMEOUT_MS, Settings};
use clap::Parser;
use event_log::{EventLog, MemoryLog};
use shared_events::topic::Topics;
use store_service::config::DEFAULT_RELEASE_GRACE_MS;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// Two stores and a centre.
struct Chain {
    folder: tempfile::TempDir,
    services: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
    stores: String,
    centre: String,
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

impl Chain {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (stop, mut services) = (CancellationToken::new(), JoinSet::new());
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
        let topics = Topics::new("", 3);
        let mut stores = Vec::new();
        for store in ["A", "B"] {
            let config = store_service::Config {
                store: store.parse().unwrap(),
                data_dir: folder.path().join(store),
                topics: topics.clone(),
                witness_wait: Duration::ZERO,
                unwitnessed: store_service::opening::Unwitnessed::Serve,
                heartbeat_every: Duration::from_millis(50),
                location: None,
                release_grace: Duration::from_millis(DEFAULT_RELEASE_GRACE_MS),
            };
            let app = store_service::App::build(config, Arc::clone(&log)).unwrap();
            let (listener, url) = listen().await;
            stores.push(format!("{store}={url}"));
            services.spawn(app.run(listener, stop.clone()));
        }
        let config = central_service::Config {
            data_dir: folder.path().join("central"),
            topics,
            freshness: inventory_core::FreshnessBounds::default(),
            gap_grace: Duration::from_secs(1),
            ledger: Settings::new(
                "central".parse().unwrap(),
                DEFAULT_STEP_TIMEOUT_MS,
                DEFAULT_RELEASE_GRACE_MS,
            ),
            history_events: central_service::history::DEFAULT_EVENTS,
        };
        let app = central_service::App::build(config, log).unwrap();
        let (listener, centre) = listen().await;
        services.spawn(app.run(listener, stop.clone()));
        Self { folder, services, stop, stores: stores.join(","), centre }
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("sales.csv");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn args(&self, file: &Path, more: &[&str]) -> Args {
        let file = file.display().to_string();
        let line = ["replay", &file, "--store", &self.stores, "--give-up-after", "120"];
        Line::try_parse_from(line.iter().chain(more)).unwrap().args
    }

    async fn replay(&self, file: &Path, more: &[&str]) -> String {
        let code = Box::pin(run(self.args(file, more), CancellationToken::new())).await.unwrap();
        format!("{code:?}")
    }

    async fn prove(&self, file: &Path) -> String {
        self.replay(file, &["--opening=sum", "--batch-lines=7", "--prove", &self.centre]).await
    }

    /// Level and version at a store.
    async fn level(&self, store: usize, sku: &str) -> (i64, u64) {
        let (name, url) = self.stores.split(',').nth(store).unwrap().split_once('=').unwrap();
        let url = format!("{url}/api/query/inventory/store/{name}/{sku}");
        let item: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        (item["quantity"].as_i64().unwrap(), item["version"].as_u64().unwrap())
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.services.join_next().await {
            ended.unwrap().unwrap();
        }
    }
}

fn code(number: u8) -> String {
    format!("{:?}", ExitCode::from(number))
}

const HEADER: &str = "timestamp,storeId,sku,quantity,reference\n";

fn sales() -> String {
    let mut text = HEADER.to_owned();
    for number in 0..200 {
        let (store, sku) = (["A", "B"][number % 2], number % 7);
        let line = format!("2026-11-21T09:30:00Z,{store},sku {sku},{},r{number}\n", number % 4);
        text.push_str(&line);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sold_is_sold_once_however_often_it_is_replayed() {
    let chain = Chain::start().await;
    let file = chain.file(&sales());
    assert_eq!(chain.prove(&file).await, code(0));
    let before = chain.level(0, "sku%200").await;
    assert_eq!(before.0, 0);
    assert!(before.1 > 1);
    assert_eq!(chain.prove(&file).await, code(0));
    assert_eq!(chain.level(0, "sku%200").await, before);
    assert!(!chain.folder.path().join("sales.csv.rejects.csv").exists());
    chain.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_and_refused_lines_are_set_aside_and_stop_nothing() {
    let chain = Chain::start().await;
    let file = chain.file(&format!(
        "{HEADER}2026-11-21T09:30:00Z,A,x,-5,\nnever,A,x,1,\n2026-11-21T09:30:00Z,C,x,1,\n\
         2026-11-21T09:30:00Z,A,x,6,too many\n2026-11-21T09:30:00Z,A,x,2,\n"
    ));
    assert_eq!(chain.replay(&file, &[]).await, code(0));
    assert_eq!(chain.level(0, "x").await, (3, 2));
    let rejects =
        std::fs::read_to_string(chain.folder.path().join("sales.csv.rejects.csv")).unwrap();
    let lines: Vec<Vec<_>> =
        rejects.lines().map(|line| line.split(',').take(2).collect()).collect();
    let expected: [Vec<&str>; 4] = [
        vec!["line", "code"],
        vec!["3", "invalid_timestamp"],
        vec!["4", "unknown_store"],
        vec!["5", "insufficient_stock"],
    ];
    assert_eq!(lines, expected);
    assert!(rejects.contains("2026-11-21T09:30:00Z,A,x,6,too many\n"), "{rejects}");
    let recorded = chain.replay(&file, &["--run=again", "--on-shortfall=recordDiscrepancy"]).await;
    assert_eq!(recorded, code(0));
    assert_eq!(chain.level(0, "x").await, (0, 5));
    chain.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_beside_the_replay_are_found_by_the_proof() {
    let chain = Chain::start().await;
    let file = chain.file(&sales());
    assert_eq!(chain.prove(&file).await, code(0));
    let other = chain.folder.path().join("other.csv");
    std::fs::write(&other, format!("{HEADER}2026-11-21T09:30:00Z,A,sku 0,-1,\n")).unwrap();
    assert_eq!(chain.replay(&other, &[]).await, code(0));
    assert_eq!(chain.prove(&file).await, code(1));
    chain.end().await;
}

#[tokio::test]
async fn a_file_that_makes_no_sense_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.csv");
    for text in ["", "timestamp,storeId,sku\n", "\"timestamp\n"] {
        std::fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        let line = ["replay", path.as_str(), "--store=A=http://127.0.0.1:1"];
        let args = Line::try_parse_from(line).unwrap().args;
        let ended = Box::pin(run(args, CancellationToken::new())).await.unwrap();
        assert_eq!(format!("{ended:?}"), code(USAGE), "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_is_continued() {
    let chain = Chain::start().await;
    let file = chain.file(&sales());
    let stop = CancellationToken::new();
    stop.cancel();
    let interrupted = Box::pin(run(chain.args(&file, &["--opening=sum"]), stop)).await.unwrap();
    assert_eq!(format!("{interrupted:?}"), code(INTERRUPTED_EXIT));
    assert_eq!(chain.prove(&file).await, code(0));
    chain.end().await;
}
