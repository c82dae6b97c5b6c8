//! `onhand central`: the centre.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use central_service::{App, Config};
use inventory_core::FreshnessBounds;
use service_kit::http;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::cli::{self, Broker};
use crate::output;

/// Run the centre. Its database is disposable: delete it, and it is built anew from the topics.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example: onhand central --kafka 127.0.0.1:9092 --data-dir data/central")]
pub(crate) struct Args {
    /// Folder of its database; made when new.
    #[arg(long, env = "ONHAND_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to listen.
    #[arg(
        long,
        env = "ONHAND_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS:PORT",
        value_parser = cli::address
    )]
    listen: SocketAddr,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    broker: Broker,
}

/// When silence means something.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Timing {
    /// Without a heartbeat for this long a store is stale, in milliseconds.
    #[arg(long, env = "ONHAND_STALE_AFTER_MS", default_value_t = 5_000, value_name = "MS")]
    stale_after_ms: u64,
    /// Without a heartbeat for this long a store is dark and not sold online, in milliseconds.
    #[arg(long, env = "ONHAND_DARK_AFTER_MS", default_value_t = 60_000, value_name = "MS")]
    dark_after_ms: u64,
    /// Events missing for this long are asked for again, in milliseconds.
    #[arg(long, env = "ONHAND_GAP_GRACE_MS", default_value_t = 2_000, value_name = "MS")]
    gap_grace_ms: u64,
}

impl Timing {
    pub(crate) const fn freshness(self) -> FreshnessBounds {
        FreshnessBounds { stale_after_ms: self.stale_after_ms, dark_after_ms: self.dark_after_ms }
    }

    pub(crate) fn check(self) -> Result<(), String> {
        if self.stale_after_ms == 0 || self.dark_after_ms <= self.stale_after_ms {
            return Err("--dark-after-ms must be more than --stale-after-ms, and both more than 0"
                .to_owned());
        }
        if self.gap_grace_ms == 0 {
            return Err("--gap-grace-ms must be more than 0".to_owned());
        }
        Ok(())
    }

    pub(crate) const fn gap_grace(self) -> Duration {
        Duration::from_millis(self.gap_grace_ms)
    }
}

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    if let Err(wrong) = args.timing.check() {
        output::error(&format!("{wrong} (see `onhand central --help`)"));
        return Ok(ExitCode::from(cli::USAGE));
    }
    let config = Config {
        data_dir: args.data_dir,
        topics: args.broker.topics(),
        freshness: args.timing.freshness(),
        gap_grace: args.timing.gap_grace(),
    };
    let app = App::build(config, args.broker.log())?;
    let listener = http::bind(args.listen).await?;
    info!(address = %listener.local_addr()?, kafka = %args.broker.kafka, "centre is open");
    app.run(listener, Router::new(), stop).await?;
    info!("centre is closed");
    Ok(ExitCode::SUCCESS)
}
