//! `onhand verify`: is a journal what was once written, and what a centre has seen of it?

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use inventory_core::witness::{Comparison, Own, compare};
use inventory_core::{Digest, StockItem, evolve};
use reqwest::Url;
use serde::Deserialize;
use shared_events::command::JournalWitnessed;
use shared_events::{Epoch, Lineage, Sequence, Sku, StoreId};
use store_service::journal;

use crate::output;
use crate::web::{self, below, get};

/// Walk a store's journal from the first event and check that every hash covers its event and the one
/// before. Reads beside a running store.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example: onhand verify --data-dir data/A --central http://127.0.0.1:8080")]
pub(crate) struct Args {
    /// Folder of the journal.
    #[arg(long, env = "ONHAND_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Also compare it with what this centre has seen and shows.
    #[arg(long, env = "ONHAND_CENTRAL", value_name = "URL", value_parser = web::base)]
    central: Option<Url>,
    #[command(flatten)]
    token: web::Token,
}

/// A journal that holds.
struct Verified {
    store: StoreId,
    lineage: Lineage,
    head: journal::Head,
    digest: Digest,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let folder = args.data_dir.clone();
    let walked =
        tokio::task::spawn_blocking(move || walk(&folder)).await.context("join the walk")?;
    let verified = match walked {
        Ok(verified) => verified,
        Err(error @ (journal::Error::Broken { .. } | journal::Error::Damaged { .. })) => {
            output::error(&error.to_string());
            return Ok(ExitCode::FAILURE);
        }
        Err(other) => return Err(other.into()),
    };
    let Verified { store, lineage, head, .. } = &verified;
    let epoch = lineage.current().epoch;
    output::say(&format!("store {store}, epoch {epoch}: {} events hold", head.sequence));
    output::say(&format!("head hash {}", head.hash));
    let Some(central) = &args.central else {
        return Ok(ExitCode::SUCCESS);
    };
    let client = web::client(web::ANSWER_WITHIN, &args.token)?;
    let all: Stores = get(&client, below(central, &["api", "stores"])).await?;
    let Some(known) = all.stores.into_iter().find(|known| known.store_id == *store) else {
        output::error(&format!("{central} knows nothing of store {store}"));
        return Ok(ExitCode::FAILURE);
    };
    let reader = journal::reader(&args.data_dir)?;
    Ok(tell(&verified, known, &reader)?)
}

fn walk(folder: &std::path::Path) -> Result<Verified, journal::Error> {
    let mut items: BTreeMap<Sku, StockItem> = BTreeMap::new();
    let (identity, head) = journal::replay(folder, |recorded| {
        if recorded.event.levels().is_some() {
            evolve(items.entry(recorded.sku.clone()).or_default(), &recorded.event);
        }
    })?;
    let digest = items.iter().fold(Digest::default(), |digest, (sku, item)| {
        digest.replace(sku, &StockItem::default(), item)
    });
    Ok(Verified { lineage: identity.lineage, store: identity.store, head, digest })
}

/// A store as a centre shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    store_id: StoreId,
    epoch: Epoch,
    lineage: Option<Lineage>,
    head: Sequence,
    head_hash: String,
    applied_through: u64,
    digest: String,
}

#[derive(Debug, Deserialize)]
struct Stores {
    stores: Vec<Known>,
}

fn tell(
    verified: &Verified,
    known: Known,
    reader: &journal::Reader,
) -> Result<ExitCode, journal::Error> {
    let Verified { lineage, head, digest, .. } = verified;
    let hash = reader.hash_at(known.head)?.map(|hash| hash.to_string());
    let epoch = lineage.current().epoch;
    let own = Own { epoch, lineage, head: head.sequence, hash_there: hash.as_deref() };
    let Known { applied_through, digest: shown, .. } = known;
    let seen = JournalWitnessed {
        epoch: known.epoch,
        head: known.head,
        head_hash: known.head_hash,
        lineage: known.lineage,
    };
    let wrong = match compare(own, &seen) {
        Comparison::Whole | Comparison::Earlier => None,
        Comparison::Behind => Some(format!(
            "the journal has lost its end: the centre has seen sequence {}; start the store, or run onhand store recover",
            seen.head
        )),
        Comparison::Forked => Some(format!(
            "the centre has seen other events up to sequence {}: there is another copy of this journal",
            seen.head
        )),
        Comparison::Superseded => {
            Some(format!("a copy of this journal is written elsewhere, in epoch {}", seen.epoch))
        }
    };
    if let Some(wrong) = wrong {
        output::error(&wrong);
        return Ok(ExitCode::FAILURE);
    }
    output::say(&format!(
        "the centre has seen it through sequence {} of epoch {}",
        seen.head, seen.epoch
    ));
    if applied_through != head.sequence.get() {
        output::say(&format!(
            "it shows sequence {applied_through}, the journal ends at {}; levels are not compared",
            head.sequence
        ));
        return Ok(ExitCode::SUCCESS);
    }
    if shown != digest.to_string() {
        output::error(&format!(
            "the centre shows other levels (digest {shown}, here {digest}): POST /api/sync/stores/{} compares them",
            verified.store
        ));
        return Ok(ExitCode::FAILURE);
    }
    output::say(&format!("and shows the same levels, digest {digest}"));
    Ok(ExitCode::SUCCESS)
}
