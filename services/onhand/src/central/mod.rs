//! `onhand central`: the centre.

mod rebuild;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use central_service::history::DEFAULT_EVENTS;
use central_service::ledger::{DEFAULT_MAX_OPEN_RESERVATIONS, DEFAULT_STEP_TIMEOUT_MS, Settings};
use central_service::{App, Config};
use event_log::EventLog;
use inventory_core::{FreshnessBounds, StalenessBuffer};
use shared_events::CentreId;
use store_service::config::DEFAULT_RELEASE_GRACE_MS;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::access;
use crate::cli::{self, Broker};
use crate::listen::Serving;
use crate::record_keys::{Own, RecordKeyArgs};

/// Run the centre. Its database is disposable: delete it, and it is built anew from the topics.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example: onhand central --kafka 127.0.0.1:9092 --data-dir data/central")]
pub(crate) struct Args {
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
    serving: Serving,
    #[command(flatten)]
    access: access::Callers,
    #[command(flatten)]
    pub(crate) centre: Centre,
}

/// One centre, serving or not.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Centre {
    /// Folder of its database; made when new.
    #[arg(long, env = "ONHAND_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// This centre's name: reservations made here begin with it. Each centre of a chain has its own,
    /// for ever.
    #[arg(long, env = "ONHAND_CENTRE_ID", default_value = "central", value_name = "ID")]
    pub(crate) centre_id: CentreId,
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
    /// Reservations that one subject may have open; 0 is no bound. Set it low where each customer has a
    /// token of its own.
    #[arg(
        long,
        env = "ONHAND_MAX_OPEN_RESERVATIONS",
        default_value_t = DEFAULT_MAX_OPEN_RESERVATIONS,
        value_name = "N"
    )]
    max_open_reservations: u32,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    saga: Saga,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    record_keys: RecordKeyArgs,
}

impl Centre {
    /// The broker, with the keys of its records.
    pub(crate) fn log(&self) -> Result<Arc<dyn EventLog>, String> {
        self.record_keys.before(self.broker.log()?, Own::Centre(self.centre_id.as_str()))
    }

    /// What the service needs to know, or what makes no sense.
    fn config(self) -> Result<Config, String> {
        self.timing.check()?;
        Ok(Config {
            data_dir: self.data_dir,
            topics: self.broker.topics(),
            freshness: self.timing.freshness(),
            gap_grace: self.timing.gap_grace(),
            ledger: Settings {
                max_open_reservations: self.max_open_reservations,
                ..self.saga.settings(self.centre_id)
            },
            history_events: self.history_events,
        })
    }
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
    /// Units of each item that a stale store does not offer online.
    #[arg(long, env = "ONHAND_STALE_BUFFER_UNITS", default_value_t = 1, value_name = "UNITS")]
    stale_buffer_units: u32,
    /// Units that a stale store does not offer beside these, for each minute that it has been stale.
    #[arg(long, env = "ONHAND_STALE_BUFFER_PER_MINUTE", default_value_t = 1, value_name = "UNITS")]
    stale_buffer_per_minute: u32,
    /// Events missing for this long are asked for again, in milliseconds.
    #[arg(long, env = "ONHAND_GAP_GRACE_MS", default_value_t = 2_000, value_name = "MS")]
    gap_grace_ms: u64,
}

impl Timing {
    pub(crate) const fn freshness(self) -> FreshnessBounds {
        FreshnessBounds {
            stale_after_ms: self.stale_after_ms,
            dark_after_ms: self.dark_after_ms,
            buffer: StalenessBuffer {
                units: self.stale_buffer_units,
                units_per_minute: self.stale_buffer_per_minute,
            },
        }
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

/// Runs the centre, or builds its view anew.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// The service.
    Serve(Box<Args>),
    /// The view anew.
    Rebuild(Box<rebuild::Args>),
}

impl clap::Args for Command {
    fn augment_args(command: clap::Command) -> clap::Command {
        Args::augment_args(command)
            .subcommand(rebuild::Args::augment_args(clap::Command::new("rebuild")))
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Command {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((_, given)) => {
                rebuild::Args::from_arg_matches(given).map(Box::new).map(Self::Rebuild)
            }
            None => Args::from_arg_matches(matches).map(Box::new).map(Self::Serve),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

pub(crate) async fn run(command: Command, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve(*args, stop).await,
        Command::Rebuild(args) => rebuild::run(*args, stop).await,
    }
}

async fn serve(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let Args { listen, serving, access, centre } = args;
    let (log, kafka) = (centre.log(), centre.broker.kafka.clone());
    let (log, config) = match log.and_then(|log| Ok((log, centre.config()?))) {
        Ok(both) => both,
        Err(wrong) => return Ok(cli::makes_no_sense(&wrong, "central")),
    };
    if let Err(wrong) = access.check(listen) {
        return Ok(cli::makes_no_sense(&wrong, "central"));
    }
    let (admin, data_dir) = (access.admin_listen(), config.data_dir.clone());
    let mut app = App::build(config, log)?.guarded(access.open(&data_dir).await?);
    let listener = serving.listen(listen).await?;
    if let Some(admin) = admin {
        app = app.with_admin(serving.listen(admin).await?);
    }
    info!(address = %listener.local_addr()?, %kafka, "centre is open");
    app.run(listener, stop).await?;
    info!("centre is closed");
    Ok(ExitCode::SUCCESS)
}
