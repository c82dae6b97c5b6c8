//! `onhand store`: one store's service, and care for its journal.

mod backup;
mod recover;
mod several;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use shared_events::{Location, StoreId};
use store_service::config::{DEFAULT_RELEASE_GRACE_MS, DEFAULT_WITNESS_WAIT_MS};
use store_service::opening::Unwitnessed;
use store_service::{App, Config};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::access;
use crate::cli::{self, Broker};
use crate::listen::Serving;
use crate::record_keys::{Own, RecordKeyArgs};

/// Run one store's service, or several in one process. It sells with or without the broker; what it
/// writes is published when the line is there.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Example: onhand store --store-id A --kafka 127.0.0.1:9092 --data-dir data/A"
)]
pub(crate) struct Args {
    /// Which store this is: 1 to 32 characters of A-Z a-z 0-9 . _ - Of several, each is served beneath
    /// /stores/ID.
    #[arg(
        long,
        env = "ONHAND_STORE_ID",
        value_name = "ID,…",
        value_delimiter = ',',
        required = true
    )]
    store_id: Vec<StoreId>,
    /// Folder of its journal; made when new. Of several stores, each has DIR/ID.
    #[arg(long, env = "ONHAND_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to listen.
    #[arg(
        long,
        env = "ONHAND_LISTEN",
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS:PORT",
        value_parser = cli::address
    )]
    listen: SocketAddr,
    /// Where the shop is, in degrees: online customers near it are served from here first.
    #[arg(
        long,
        env = "ONHAND_LOCATION",
        value_name = "LATITUDE,LONGITUDE",
        allow_hyphen_values = true
    )]
    location: Option<Location>,
    /// Time between heartbeats, in milliseconds.
    #[arg(
        long,
        env = "ONHAND_HEARTBEAT_MS",
        default_value_t = 1_000,
        value_name = "MS",
        value_parser = clap::value_parser!(u64).range(10..=60_000)
    )]
    heartbeat_ms: u64,
    /// How long after its time a reservation is let go without word from the centre, in milliseconds;
    /// more than the clocks of store and centre may differ.
    #[arg(
        long,
        env = "ONHAND_RELEASE_GRACE_MS",
        default_value_t = DEFAULT_RELEASE_GRACE_MS,
        value_name = "MS",
        value_parser = clap::value_parser!(u64).range(0..=86_400_000)
    )]
    release_grace_ms: u64,
    #[command(flatten)]
    serving: Serving,
    #[command(flatten)]
    access: access::Callers,
    #[command(flatten)]
    witness: Witness,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    record_keys: RecordKeyArgs,
}

/// Runs a store's service, or looks after its journal.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// The service.
    Serve(Box<Args>),
    /// An online copy.
    Backup(backup::Args),
    /// What was lost, from the broker.
    Recover(Box<recover::Args>),
}

const BACKUP: &str = "backup";
const RECOVER: &str = "recover";

impl clap::Args for Command {
    fn augment_args(command: clap::Command) -> clap::Command {
        Args::augment_args(command)
            .subcommand(backup::Args::augment_args(clap::Command::new(BACKUP)))
            .subcommand(recover::Args::augment_args(clap::Command::new(RECOVER)))
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
            Some((BACKUP, given)) => backup::Args::from_arg_matches(given).map(Self::Backup),
            Some((_, given)) => {
                recover::Args::from_arg_matches(given).map(Box::new).map(Self::Recover)
            }
            None => Args::from_arg_matches(matches).map(Box::new).map(Self::Serve),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What a store does before it writes: a restored or copied journal does not know that it is one.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Witness {
    /// How long to wait at the start for a centre to say what it has seen of the journal, in
    /// milliseconds; 0 trusts the disk and asks nobody.
    #[arg(
        long,
        env = "ONHAND_WITNESS_WAIT_MS",
        default_value_t = DEFAULT_WITNESS_WAIT_MS,
        value_name = "MS",
        value_parser = clap::value_parser!(u64).range(0..=600_000)
    )]
    witness_wait_ms: u64,
    /// What to do when none answers: `serve` sells, in a new life of the journal; `hold` refuses
    /// commands until one does.
    #[arg(long, env = "ONHAND_UNWITNESSED", default_value = "serve", value_name = "serve|hold")]
    unwitnessed: Policy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Policy {
    Serve,
    Hold,
}

impl From<Policy> for Unwitnessed {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Serve => Self::Serve,
            Policy::Hold => Self::Hold,
        }
    }
}

pub(crate) async fn run(command: Command, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve(*args, stop).await,
        Command::Backup(args) => backup::run(&args),
        Command::Recover(args) => recover::run(*args, stop).await,
    }
}

impl Args {
    /// The store this is, where it is one.
    pub(crate) fn only_store(&self) -> Option<&StoreId> {
        match self.store_id.as_slice() {
            [store] => Some(store),
            _ => None,
        }
    }

    fn config(&self, store: &StoreId, data_dir: PathBuf) -> Config {
        Config {
            store: store.clone(),
            data_dir,
            topics: self.broker.topics(),
            location: self.location,
            witness_wait: Duration::from_millis(self.witness.witness_wait_ms),
            unwitnessed: self.witness.unwitnessed.into(),
            heartbeat_every: Duration::from_millis(self.heartbeat_ms),
            release_grace: Duration::from_millis(self.release_grace_ms),
        }
    }
}

async fn serve(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    if let Err(wrong) = args.access.check(args.listen) {
        return Ok(cli::makes_no_sense(&wrong, "store"));
    }
    let Some(store) = args.only_store() else {
        return several::serve(args, stop).await;
    };
    if let Err(wrong) = several::check_alone(store, &args.data_dir) {
        return Ok(cli::makes_no_sense(&wrong, "store"));
    }
    let config = args.config(store, args.data_dir.clone());
    let (store, own) = (store.clone(), Own::Store(store.as_str()));
    let log = match args.broker.log().and_then(|log| args.record_keys.before(log, own)) {
        Ok(log) => log,
        Err(wrong) => return Ok(cli::makes_no_sense(&wrong, "store")),
    };
    let admin = args.access.admin_listen();
    let app = App::build(config, log)?;
    let mut app = app.guarded(args.access.open(&args.data_dir).await?);
    let listener = args.serving.listen(args.listen).await?;
    if let Some(admin) = admin {
        app = app.with_admin(args.serving.listen(admin).await?);
    }
    info!(%store, address = %listener.local_addr()?, kafka = %args.broker.kafka, "store is open");
    app.run(listener, stop).await?;
    info!(%store, "store is closed");
    Ok(ExitCode::SUCCESS)
}
