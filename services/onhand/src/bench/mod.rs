//! `onhand bench`: speed, each figure beside its physical limit measured in the same run.

mod bare;
mod chain;
mod figures;
mod reserve;

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cli::Broker;

/// Measure speed on this machine and broker. Each figure stands beside a limit that was measured in
/// the same run, so that a noisy machine neither flatters nor shames it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example: onhand --log warn bench reserve --kafka 127.0.0.1:9092")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum What {
    /// From a reservation's request to the store's confirmation: latency and rate, on one hot item and
    /// spread over many.
    Reserve(reserve::Args),
}

/// What every measurement needs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) broker: Broker,
    /// How long each part is measured, in seconds.
    #[arg(
        long,
        default_value_t = 10,
        value_name = "S",
        value_parser = clap::value_parser!(u64).range(1..=600)
    )]
    seconds: u64,
    /// Requests under way at the same time.
    #[arg(
        long,
        default_value_t = 64,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1_024)
    )]
    pub(crate) clients: u16,
    /// Folder for journals and database, on the disk to be measured; a new one in it is used and
    /// removed. The system's temporary folder unless named.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<std::path::PathBuf>,
}

impl Common {
    pub(crate) const fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Reserve(args) => reserve::run(args, stop).await,
    }
}
