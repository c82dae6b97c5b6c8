//! `onhand central`: the centre.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use central_service::history::DEFAULT_EVENTS;
use central_service::ledger::{DEFAULT_STEP_TIMEOUT_MS, Settings};
use central_service::{App, Config};
use inventory_core::FreshnessBounds;
use service_kit::http;
use shared_events::CentreId;
use store_service::config::DEFAULT_RELEASE_GRACE_MS;
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
    /// This centre's name: reservations made here begin with it. Each centre of a chain has its own,
    /// for ever.
    #[arg(long, env = "ONHAND_CENTRE_ID", default_value = "central", value_name = "ID")]
    centre_id: CentreId,
    /// Changes that are kept for those who follow them, and for questions about the past. The oldest go
    /// first; each takes 200 bytes of disk and more.
    #[arg(
        long,
        env = "ONHAND_HISTORY_EVENTS",
        default_value_t = DEFAULT_EVENTS,
        value_name = "EVENTS",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    history_events: u64,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    saga: Saga,
    #[command(flatten)]
    broker: Broker,
}

/// How long a reservation's steps may take.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Saga {
    /// A store that has not answered for this long is not waited for: the next one is asked, in
    /// milliseconds.
    #[arg(
        long,
        env = "ONHAND_STEP_TIMEOUT_MS",
        default_value_t = DEFAULT_STEP_TIMEOUT_MS,
        value_name = "MS",
        value_parser = clap::value_parser!(u64).range(50..=600_000)
    )]
    step_timeout_ms: u64,
    /// How long after its time a store lets go of a reservation on its own, in milliseconds; at least
    /// what the stores' own setting says.
    #[arg(
        long,
        env = "ONHAND_RELEASE_GRACE_MS",
        default_value_t = DEFAULT_RELEASE_GRACE_MS,
        value_name = "MS",
        value_parser = clap::value_parser!(u64).range(0..=86_400_000)
    )]
    release_grace_ms: u64,
}

impl Saga {
    pub(crate) fn settings(self, centre: CentreId) -> Settings {
        Settings::new(centre, self.step_timeout_ms, self.release_grace_ms)
    }
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
        ledger: args.saga.settings(args.centre_id),
        history_events: args.history_events,
    };
    let app = App::build(config, args.broker.log())?;
    let listener = http::bind(args.listen).await?;
    info!(address = %listener.local_addr()?, kafka = %args.broker.kafka, "centre is open");
    app.run(listener, stop).await?;
    info!("centre is closed");
    Ok(ExitCode::SUCCESS)
}
