//! A year of a real chain: each line over HTTP into its store's journal, over the broker to the centre, and
//! proved there item by item.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::bench::chain;
use crate::bench::process::{Process, run_to_end};
use crate::bench::row::{Aim, Row};
use crate::bench::run::{Part, Run};

/// What the chain may take.
const MOST_SECONDS: f64 = 180.0;
const MOST_MIB: f64 = 2_048.0;
/// Lines of a request: each store has a few thousand in all.
const BATCH_LINES: &str = "200";
/// How long the centre may take to catch up before the proof, and all of it before it is given up.
const PROVE_WITHIN: &str = "600";
const GIVE_UP_AFTER: Duration = Duration::from_secs(1_800);

pub(in crate::bench) async fn measure(run: &Run, sales: &Path) -> anyhow::Result<Vec<Row>> {
    let part = run.part()?;
    let (file, read) = (sales.to_owned(), sales.display().to_string());
    let (stores, lines) =
        run.blocking(move || chain_of(&file)).await.with_context(|| format!("read {read}"))?;
    let serving = start_stores(&part, &stores).await?;
    let centre = chain::centre(&part).await?;
    let command = replay(&part, sales, &stores, &serving, &centre);
    let started = Instant::now();
    // Its proof compares each item of the file at the centre, at its store, and in the file.
    let replayed = run_to_end("onhand replay", &command, GIVE_UP_AFTER, &run.stop).await?;
    let seconds = started.elapsed().as_secs_f64();
    // Without this process, which still holds what it measured other things with.
    let peaks = [serving.peak_mib(), centre.peak_mib(), replayed];
    let memory: f64 = peaks.into_iter().flatten().sum();
    serving.stop().await?;
    centre.stop().await?;
    std::fs::remove_dir_all(&part.folder)?;
    let what = format!("{lines} sales in {} stores, proved exact", stores.len());
    Ok(vec![
        Row::new("scale.year", what, "s", &[seconds]).aim(Aim::AtMost(MOST_SECONDS)),
        Row::new(
            "scale.year-memory",
            "peaks of stores, centre and replay together",
            "MiB",
            &[memory],
        )
        .aim(Aim::AtMost(MOST_MIB)),
    ])
}

/// The stores that a file has sales of, and its lines.
fn chain_of(sales: &Path) -> anyhow::Result<(BTreeSet<String>, u64)> {
    let mut file = csv::Reader::from_path(sales)?;
    let mut names = file.headers()?.iter();
    let place = names.position(|name| name == "storeId").context("it has no column storeId")?;
    let (mut stores, mut lines) = (BTreeSet::new(), 0);
    let mut record = csv::StringRecord::new();
    while file.read_record(&mut record)? {
        lines += 1;
        let store = record.get(place).unwrap_or_default();
        if !stores.contains(store) {
            stores.insert(store.to_owned());
        }
    }
    ensure!(stores.len() > 1, "it has sales of {} stores; two is the least", stores.len());
    Ok((stores, lines))
}

/// All stores in one process.
async fn start_stores(part: &Part, stores: &BTreeSet<String>) -> anyhow::Result<Process> {
    let names: Vec<&str> = stores.iter().map(String::as_str).collect();
    let mut arguments: Vec<OsString> = vec!["store".into(), "--store-id".into()];
    arguments.push(names.join(",").into());
    arguments.extend(["--witness-wait-ms", "0"].map(OsString::from));
    arguments.extend(["--data-dir".into(), part.folder.join("stores").into()]);
    arguments.extend(part.flags.iter().cloned());
    Process::start("the stores", &arguments).await
}

fn replay(
    part: &Part,
    sales: &Path,
    stores: &BTreeSet<String>,
    serving: &Process,
    centre: &Process,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["replay".into(), sales.into()];
    for store in stores {
        let target = format!("{store}=http://{}/stores/{store}", serving.address);
        arguments.extend(["--store".into(), target.into()]);
    }
    let rejects = part.folder.join("rejects.csv");
    arguments.extend(["--rejects".into(), rejects.into()]);
    let flags = ["--opening", "sum", "--batch-lines", BATCH_LINES, "--prove-within", PROVE_WITHIN];
    arguments.extend(flags.map(OsString::from));
    arguments.extend(["--prove".into(), format!("http://{}", centre.address).into()]);
    arguments
}
