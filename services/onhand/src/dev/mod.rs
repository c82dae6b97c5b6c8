//! `onhand dev`: a whole chain in one process, to try things out.

mod sample;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use central_service::read_model::ReadModel;
use event_log::{EventLog, KafkaConfig, KafkaLog, MockBroker};
use service_kit::{clock, http};
use shared_events::topic::Topics;
use shared_events::{CentreId, StoreId};
use store_service::config::{DEFAULT_RELEASE_GRACE_MS, DEFAULT_WITNESS_WAIT_MS};
use store_service::opening::Unwitnessed;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::central::{Saga, Timing};
use crate::cli::{self, Naming};
use crate::output;

/// Run three stores, the centre and a broker in one process. Not for production: the broker is in
/// memory unless you name one, and nobody has to log in.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example: onhand dev --stores north,south --data-dir data")]
pub(crate) struct Args {
    /// Use this Kafka instead of the one in memory.
    #[arg(long, env = "ONHAND_KAFKA", value_name = "HOST:PORT,…", value_parser = cli::brokers)]
    kafka: Option<String>,
    /// Names of the stores.
    #[arg(
        long,
        env = "ONHAND_STORES",
        default_value = "A,B,C",
        value_delimiter = ',',
        value_name = "IDS"
    )]
    stores: Vec<StoreId>,
    /// Keep journals and database here; without it they go when the program ends, and on a Kafka
    /// of your own the topics get a name of this run.
    #[arg(long, env = "ONHAND_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Port of the centre; the stores take the ports after it.
    #[arg(
        long,
        env = "ONHAND_PORT",
        default_value_t = 8_080,
        value_name = "PORT",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    port: u16,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    saga: Saga,
    #[command(flatten)]
    naming: Naming,
}

/// The centre's name, which reservations made here begin with.
const CENTRE_ID: &str = "central";
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    if let Err(wrong) = check(&args) {
        output::error(&format!("{wrong} (see `onhand dev --help`)"));
        return Ok(ExitCode::from(cli::USAGE));
    }
    let listeners = bind(&args).await?;
    // Removed when dropped, at the end of the run.
    let temporary = tempfile::tempdir().context("make a temporary folder")?;
    let data_dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let topics = topics(&args);
    let (log, broker) = broker(&args, &topics)?;

    let mut services = JoinSet::new();
    let mut listeners = listeners.into_iter();
    let centre = listeners.next().context("the centre's listener")?;
    for ((store, listener), place) in args.stores.iter().zip(listeners).zip(0..) {
        let app = build_store(store, place, &data_dir, &topics, &log)?;
        sample::stock(store, &app);
        services.spawn(app.run(listener, stop.clone()));
    }
    let centre_id = CentreId::parse(CENTRE_ID).context("the centre's id")?;
    let config = central_service::Config {
        data_dir: data_dir.join("central"),
        topics,
        freshness: args.timing.freshness(),
        gap_grace: args.timing.gap_grace(),
        ledger: args.saga.settings(centre_id),
        history_events: central_service::history::DEFAULT_EVENTS,
    };
    let app = central_service::App::build(config, log)?;
    let model = app.model();
    services.spawn(app.run(centre, stop.clone()));

    let mut result = tokio::select! {
        ended = services.join_next() => ended.map_or(Ok(()), joined),
        () = all_heard_of(&args.stores, &model) => {
            banner(&args, &data_dir);
            Ok(())
        }
    };
    if result.is_err() {
        stop.cancel();
    }
    while let Some(ended) = services.join_next().await {
        // One service that fails takes the others with it: half a chain teaches nobody.
        stop.cancel();
        let ended = joined(ended);
        result = result.and(ended);
    }
    drop(broker);
    result.map(|()| ExitCode::SUCCESS)
}

fn joined(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Result<()> {
    ended.context("join a service")?
}

fn check(args: &Args) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = args.stores.iter().find(|store| !seen.insert(*store)) {
        return Err(format!("store {twice} is named twice"));
    }
    if usize::from(args.port).saturating_add(args.stores.len()) > usize::from(u16::MAX) {
        return Err(format!("there are not enough ports after {} for all stores", args.port));
    }
    args.timing.check()
}

/// Journals that go when the program ends must not speak under a name that others remember.
fn topics(args: &Args) -> Topics {
    if args.kafka.is_some() && args.data_dir.is_none() {
        args.naming.topics_under(&format!("dev-{}.", clock::unix_millis()))
    } else {
        args.naming.topics()
    }
}

/// Takes all ports before anything is opened: first the centre's, then the stores'.
async fn bind(args: &Args) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for place in 0..=args.stores.len() {
        let port = u16::try_from(place).ok().and_then(|place| args.port.checked_add(place));
        let port = port.context("there are not enough ports after --port for all stores")?;
        listeners.push(http::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?);
    }
    Ok(listeners)
}

/// Waits, for a moment, until the centre has heard of every store: what is printed then works.
async fn all_heard_of(stores: &[StoreId], model: &ReadModel) {
    let heard = async {
        let known =
            |store| model.store(store).is_some_and(|(_, seen)| seen.view.heard_at.is_some());
        while !stores.iter().all(known) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(5), heard).await.is_err() {
        warn!("not every store has been heard of yet; the broker may be away");
    }
}

fn broker(args: &Args, topics: &Topics) -> anyhow::Result<(Arc<dyn EventLog>, Option<MockBroker>)> {
    if let Some(kafka) = &args.kafka {
        return Ok((Arc::new(KafkaLog::new(KafkaConfig::new(kafka))), None));
    }
    let mut all = Vec::from(topics.shared());
    all.extend(args.stores.iter().map(|store| topics.commands(store)));
    let broker = MockBroker::start(&all).context("start the broker in memory")?;
    Ok((Arc::new(KafkaLog::new(broker.config().clone())), Some(broker)))
}

fn build_store(
    store: &StoreId,
    place: usize,
    data_dir: &Path,
    topics: &Topics,
    log: &Arc<dyn EventLog>,
) -> anyhow::Result<store_service::App> {
    let config = store_service::Config {
        store: store.clone(),
        data_dir: data_dir.join("stores").join(store.as_str()),
        topics: topics.clone(),
        witness_wait: Duration::from_millis(DEFAULT_WITNESS_WAIT_MS),
        unwitnessed: Unwitnessed::Serve,
        heartbeat_every: HEARTBEAT_EVERY,
        location: sample::location(place),
        release_grace: Duration::from_millis(DEFAULT_RELEASE_GRACE_MS),
    };
    store_service::App::build(config, Arc::clone(log)).with_context(|| format!("store {store}"))
}

fn banner(args: &Args, data_dir: &Path) {
    let port = args.port;
    output::heading("Onhand, for trying things out. Not for production.");
    match &args.kafka {
        Some(kafka) => output::say(&format!("  broker   {kafka}")),
        None => output::say("  broker   in memory: forgets everything when this program ends"),
    }
    match &args.data_dir {
        Some(_) => output::say(&format!("  data     {}", data_dir.display())),
        None => output::say("  data     temporary; --data-dir DIR keeps it"),
    }
    output::say(&format!("  centre   http://127.0.0.1:{port}   docs at /api/docs"));
    for (store, place) in args.stores.iter().zip(1_u16..) {
        let port = port.saturating_add(place);
        output::say(&format!("  store {store:<2} http://127.0.0.1:{port}   docs at /api/docs"));
    }
    let first = args.stores.first().map_or("A", StoreId::as_str);
    let second = args.stores.get(1).map_or(first, StoreId::as_str);
    output::heading("Try:");
    let json = "-H 'content-type: application/json' -H 'prefer: wait=5' -d";
    let base = format!("http://127.0.0.1:{port}/api");
    output::say(&format!(
        "  curl -X POST {base}/commands/inventory/replace {json} '{{\"storeId\":\"{first}\",\"sku\":\"ABC-1\",\"quantity\":10}}'\n  \
         curl -X POST {base}/commands/inventory/adjust {json} '{{\"storeId\":\"{second}\",\"sku\":\"ABC-1\",\"delta\":5}}'\n  \
         curl {base}/query/inventory/global/ABC-1\n  \
         curl -X POST {base}/reservations {json} '{{\"orderId\":\"order-1\",\"lines\":[{{\"sku\":\"ABC-1\",\"quantity\":2}}]}}'\n  \
         curl {base}/query/inventory/{first}/ABC-1/explain\n  \
         curl {base}/query/inventory/global/{}\n  \
         curl {base}/stores",
        sample::FIRST_SKU
    ));
    output::say("Ctrl-C stops it.");
}
