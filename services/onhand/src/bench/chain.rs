//! A store and a centre in this process, on a broker's topics of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use central_service::ledger::{DEFAULT_STEP_TIMEOUT_MS, Settings};
use central_service::read_model::ReadModel;
use event_log::EventLog;
use shared_events::topic::Topics;
use shared_events::{Quantity, ReplaceStock, Sku, StockCommand};
use store_service::config::DEFAULT_RELEASE_GRACE_MS;
use store_service::decisions::Command;
use store_service::writer::Request;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Commands of one batch to the store.
const STOCK_AT_ONCE: usize = 1_000;

pub(super) struct Chain {
    /// The centre's address, with the path that all routes begin with.
    pub(super) url: String,
    services: JoinSet<anyhow::Result<()>>,
    store: store_service::writer::Handle,
    model: Arc<ReadModel>,
    stop: CancellationToken,
}

impl Chain {
    pub(super) async fn open(
        log: Arc<dyn EventLog>,
        topics: &Topics,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let (mut services, stop) = (JoinSet::new(), CancellationToken::new());
        let store = store_service::App::build(
            store_service::Config {
                store: "BENCH".parse()?,
                data_dir: folder.join("store"),
                topics: topics.clone(),
                location: None,
                witness_wait: Duration::ZERO,
                unwitnessed: store_service::opening::Unwitnessed::Serve,
                heartbeat_every: Duration::from_secs(1),
                release_grace: Duration::from_millis(DEFAULT_RELEASE_GRACE_MS),
            },
            Arc::clone(&log),
        )?;
        let handle = store.handle();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        services.spawn(store.run(listener, stop.clone()));
        let config = central_service::Config {
            data_dir: folder.join("central"),
            topics: topics.clone(),
            freshness: inventory_core::FreshnessBounds::default(),
            gap_grace: Duration::from_secs(2),
            ledger: Settings::new(
                "bench".parse()?,
                DEFAULT_STEP_TIMEOUT_MS,
                DEFAULT_RELEASE_GRACE_MS,
            ),
            history_events: central_service::history::DEFAULT_EVENTS,
        };
        let centre = central_service::App::build(config, log)?;
        let model = centre.model();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/api", listener.local_addr()?);
        services.spawn(centre.run(listener, stop.clone()));
        Ok(Self { url, services, store: handle, model, stop })
    }

    /// Puts units of each item on the shelf and waits until the centre knows.
    pub(super) async fn stock(&self, skus: &[Sku], units: i64) -> anyhow::Result<()> {
        let quantity = Quantity::new(units).context("units of an item")?;
        let request = |sku: &Sku| Request {
            command: Command::Stock(StockCommand::Replace(ReplaceStock {
                sku: sku.clone(),
                quantity,
                expected_version: None,
                reason: None,
                reference: None,
            })),
            id: None,
            principal: None,
            traceparent: None,
            answer_by_event: false,
        };
        for some in skus.chunks(STOCK_AT_ONCE) {
            self.store.execute(some.iter().map(request).collect()).await?;
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.model.has_caught_up() || !skus.iter().all(|sku| self.model.knows(sku)) {
            if Instant::now() > deadline {
                bail!("the centre does not hear the store; is the broker well?");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.services.join_next().await {
            ended.context("join a service")??;
        }
        Ok(())
    }
}
