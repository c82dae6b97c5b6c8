//! Several stores in one process: a folder and a prefix for each, the broker's clients for all.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use event_log::{EventLog, KafkaLog};
use service_kit::server::most_files;
use shared_events::StoreId;
use store_service::journal::DATABASE;
use store_service::{Config, Several};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Args;
use crate::{access, cli};

/// Files that a store has open: its journal, four times with log and index, and its lock.
const FILES_OF_A_STORE: u64 = 16;

pub(super) async fn serve(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let stores = match check(&args).and_then(|()| logs(&args)) {
        Ok(logs) => configured(&args, logs),
        Err(wrong) => return Ok(cli::makes_no_sense(&wrong, "store")),
    };
    let count = stores.len();
    let files = FILES_OF_A_STORE * u64::try_from(count).unwrap_or(u64::MAX);
    if let Some(most) = most_files().filter(|most| *most < files * 2) {
        bail!(
            "{count} stores have up to {files} files open, callers as many, and this process may have \
             {most}: raise that (ulimit -n), or run fewer stores in it"
        );
    }
    let built = tokio::task::spawn_blocking(move || Several::build(stores));
    let stores = built.await.context("open the journals")??;
    let (admin, folder) = (args.access.admin_listen(), args.data_dir.clone());
    let access = args.access.open(&folder).await?;
    let mut stores = stores.guarded(access, |store, access| {
        access::with_audit_log_in(access, &folder.join(store.as_str()))
    })?;
    let listener = args.serving.listen_beside(args.listen, files).await?;
    if let Some(admin) = admin {
        stores = stores.with_admin(args.serving.listen_beside(admin, files).await?);
    }
    info!(stores = count, address = %listener.local_addr()?, kafka = %args.broker.kafka, "stores are open");
    stores.run(listener, stop).await?;
    info!(stores = count, "stores are closed");
    Ok(ExitCode::SUCCESS)
}

/// Whether the parts of the command line go together.
fn check(args: &Args) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = args.store_id.iter().find(|store| !seen.insert(*store)) {
        return Err(format!("--store-id has {twice} twice: name each store once"));
    }
    if args.location.is_some() {
        return Err("--location is one shop's, and --store-id names several: \
             leave it out, or run that store in a process of its own"
            .to_owned());
    }
    let alone = args.data_dir.join(DATABASE);
    if alone.exists() {
        return Err(format!(
            "{} is the journal of a store that was alone: several have a folder each. Move it, and what is \
             beside it, to a folder with the store's name, or name another --data-dir",
            alone.display()
        ));
    }
    Ok(())
}

/// A store that is alone has its journal in the folder itself; one of several beneath it. It must not begin
/// a second journal beside the one it has.
pub(super) fn check_alone(store: &StoreId, data_dir: &Path) -> Result<(), String> {
    let beneath = data_dir.join(store.as_str());
    if beneath.join(DATABASE).exists() {
        let folder = beneath.display();
        return Err(format!(
            "store {store} has a journal in {folder}, from when it was one of several: --data-dir {folder} serves it alone"
        ));
    }
    Ok(())
}

/// The broker as each store sees it: with its own keys, by clients that are all stores'.
fn logs(args: &Args) -> Result<Vec<Arc<dyn EventLog>>, String> {
    let log = Arc::new(KafkaLog::clone(args.broker.log()?.as_ref()).shared());
    args.record_keys.before_each(&log, &args.store_id)
}

fn configured(args: &Args, logs: Vec<Arc<dyn EventLog>>) -> Vec<(Config, Arc<dyn EventLog>)> {
    let config = |store: &StoreId| args.config(store, args.data_dir.join(store.as_str()));
    args.store_id.iter().map(config).zip(logs).collect()
}
