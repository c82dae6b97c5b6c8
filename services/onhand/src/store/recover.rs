//! `onhand store recover`: a journal comes back from the broker.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use inventory_core::StockItem;
use reqwest::Url;
use serde::Deserialize;
use shared_events::command::JournalWitnessed;
use shared_events::{Sku, StoreId, Version};
use store_service::config::DEFAULT_RELEASE_GRACE_MS;
use store_service::opening::{Progress, Unwitnessed};
use store_service::recovery::Recovery;
use store_service::{App, Config};
use tokio_util::sync::CancellationToken;

use crate::cli::{self, Broker, INTERRUPTED_EXIT};
use crate::output;
use crate::progress::Bar;
use crate::record_keys::{Own, RecordKeyArgs};
use crate::web::{self, Page, below, get, page};

/// Bring back what a journal has lost, on a new disk all of it, from the broker, and begin a new life of it.
/// A running centre is asked what it has seen. A store that starts does the same; here it is shown, and
/// what the broker no longer has can be taken from a centre.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Example: onhand store recover --store-id A --kafka 127.0.0.1:9092 --data-dir data/A"
)]
pub(crate) struct Args {
    /// Which store this is.
    #[arg(long, env = "ONHAND_STORE_ID", value_name = "ID")]
    store_id: StoreId,
    /// Folder of its journal; made when new.
    #[arg(long, env = "ONHAND_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// How long to wait for a centre to say what it has seen, in milliseconds.
    #[arg(
        long,
        env = "ONHAND_WITNESS_WAIT_MS",
        default_value_t = 30_000,
        value_name = "MS",
        value_parser = clap::value_parser!(u64).range(1..=600_000)
    )]
    witness_wait_ms: u64,
    /// Take from this centre how items stand, should the broker no longer have all their events.
    #[arg(long, env = "ONHAND_CENTRAL", value_name = "URL", value_parser = web::base)]
    central: Option<Url>,
    #[command(flatten)]
    token: web::Token,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    record_keys: RecordKeyArgs,
}

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let config = Config {
        store: args.store_id.clone(),
        data_dir: args.data_dir.clone(),
        topics: args.broker.topics(),
        location: None,
        witness_wait: Duration::from_millis(args.witness_wait_ms),
        unwitnessed: Unwitnessed::Serve,
        heartbeat_every: Duration::from_secs(1),
        release_grace: Duration::from_millis(DEFAULT_RELEASE_GRACE_MS),
    };
    let own = Own::Store(args.store_id.as_str());
    let log = match args.broker.log().and_then(|log| args.record_keys.before(log, own)) {
        Ok(log) => log,
        Err(wrong) => return Ok(cli::makes_no_sense(&wrong, "store")),
    };
    let app = App::build(config, log)?;
    let cancel = stop.clone();
    let recovered = tokio::task::spawn_blocking(move || {
        let mut bar = Bar::new("records read");
        let recovered = app.recover(&mut |progress| tell(&mut bar, progress), &cancel);
        bar.finish();
        recovered
    });
    let Some(mut recovery) = recovered.await.context("join the recovery")?? else {
        output::say("interrupted; run it again to go on: what came back is kept");
        return Ok(ExitCode::from(INTERRUPTED_EXIT));
    };
    let opened = recovery.opened().clone();
    let Some(seen) = opened.seen else {
        bail!(
            "no centre said within {} ms what it has seen of store {}: start one and run this again",
            args.witness_wait_ms,
            args.store_id
        );
    };
    let mut lost = opened.lost;
    if lost > 0
        && let Some(central) = &args.central
    {
        recovery = restate(recovery, (central, &args.token), &args.store_id, &seen).await?;
        output::say(&format!(
            "{lost} events are gone for good; their effect was taken from {central}"
        ));
        lost = 0;
    }
    let committed = recovery.committed();
    output::say(&format!(
        "store {}, epoch {}: {} events came back; the journal has {} items and ends at sequence {}",
        args.store_id,
        opened.epoch,
        opened.refilled,
        recovery.items(),
        committed.head.sequence
    ));
    output::say(&format!("head hash {}", committed.head.hash));
    output::say(&format!("digest    {}", committed.digest));
    if lost > 0 {
        output::error(&format!(
            "{lost} events that a centre has seen are on no broker any more; --central URL takes their effect from it"
        ));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(bar: &mut Bar, progress: Progress) {
    bar.at(progress.read, progress.of, &format!("{} of this store", progress.own));
}

/// How a store stands at a centre.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    store_id: StoreId,
    epoch: u64,
    head: u64,
    applied_through: u64,
    digest: String,
    reported_digest: String,
}

#[derive(Debug, Deserialize)]
struct Stores {
    stores: Vec<Known>,
}

/// An item at a centre.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    sku: Sku,
    on_hand: i64,
    version: Version,
}

/// Takes over how items stand at a centre that has everything the store ever reported.
async fn restate(
    mut recovery: Recovery,
    (central, token): (&Url, &web::Token),
    store: &StoreId,
    seen: &JournalWitnessed,
) -> anyhow::Result<Recovery> {
    let client = web::client(web::ANSWER_WITHIN, token)?;
    let all: Stores = get(&client, below(central, &["api", "stores"])).await?;
    let known = all.stores.into_iter().find(|known| known.store_id == *store);
    let known = known.with_context(|| format!("{central} knows nothing of store {store}"))?;
    let whole = known.applied_through == known.head && known.digest == known.reported_digest;
    if !whole || (known.epoch, known.head) != (seen.epoch.get(), seen.head.get()) {
        bail!("{central} does not have all that store {store} reported; try another centre");
    }
    let list = below(central, &["api", "query", "inventory", "store", store.as_str()]);
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let next: Page<Item> = get(&client, page(&list, after.as_ref())).await?;
        items.extend(next.items.into_iter().map(|item| {
            (item.sku, StockItem { on_hand: item.on_hand, reserved: 0, version: item.version })
        }));
        after = next.next;
        if after.is_none() {
            break;
        }
    }
    let head = seen.head;
    let restated = tokio::task::spawn_blocking(move || {
        let count = recovery.restate(head, &items)?;
        Ok::<_, store_service::journal::Error>((recovery, count))
    });
    let (recovery, count) = restated.await.context("join the recovery")??;
    output::say(&format!("{count} items were restated"));
    Ok(recovery)
}
