//! Stores and a centre to be measured.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::load::{Asked, connect, send};
use super::process::Process;
use super::run::Part;

pub(super) const STORE: &str = "BENCH";
/// Units of each item: more than any run takes.
const UNITS: u64 = 1_000_000_000;
const LINES_AT_ONCE: usize = 1_000;
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(900);

/// A store with an empty journal, or with the one that is there.
pub(super) async fn store(part: &Part) -> anyhow::Result<Process> {
    let mut arguments: Vec<OsString> =
        ["store", "--store-id", STORE, "--witness-wait-ms", "0"].map(Into::into).into();
    arguments.extend(["--data-dir".into(), store_folder(part).into()]);
    arguments.extend(part.flags.iter().cloned());
    Process::start("the store", &arguments).await
}

pub(super) fn store_folder(part: &Part) -> PathBuf {
    part.folder.join("store")
}

/// A centre, as far as its database is; it may still be reading.
pub(super) async fn centre(part: &Part) -> anyhow::Result<Process> {
    let mut arguments: Vec<OsString> =
        vec!["central".into(), "--data-dir".into(), centre_folder(part).into()];
    arguments.extend(["--max-open-reservations".into(), "0".into()]);
    arguments.extend(part.flags.iter().cloned());
    Process::start("the centre", &arguments).await
}

pub(super) fn centre_folder(part: &Part) -> PathBuf {
    part.folder.join("centre")
}

/// A store with units of so many items, and a centre that shows them.
pub(super) async fn filled(part: &Part, items: u64) -> anyhow::Result<(Process, Process)> {
    let (store, centre) = (store(part).await?, centre(part).await?);
    fill(&store, items).await?;
    shown(&store, &centre).await?;
    Ok((store, centre))
}

/// The name of an item by its number.
pub(super) fn item(number: u64) -> String {
    format!("ITEM-{number}")
}

/// Puts units of the first so many items on the store's shelf.
pub(super) async fn fill(store: &Process, items: u64) -> anyhow::Result<()> {
    let mut connection = connect(store.address).await?;
    let numbers: Vec<u64> = (0..items).collect();
    for some in numbers.chunks(LINES_AT_ONCE) {
        let lines: String = some.iter().map(|number| replace_line(*number)).collect();
        let asked = Asked::post("/api/commands/inventory/batch", lines);
        let asked = asked.header("content-type", "application/x-ndjson");
        send(&mut connection, store.address, asked).await.context("fill the shelf")?;
    }
    Ok(())
}

fn replace_line(number: u64) -> String {
    let line = json!({"storeId": STORE, "sku": item(number), "quantity": UNITS});
    format!("{line}\n")
}

/// The body of a sale of one unit.
pub(super) fn sale(item_number: u64) -> String {
    json!({"storeId": STORE, "sku": item(item_number), "delta": -1}).to_string()
}

/// Waits until the broker has everything the store wrote.
pub(super) async fn published(store: &Process) -> anyhow::Result<()> {
    store.wait_for("/api/sync", CAUGHT_UP_WITHIN, |sync| field(sync, "state") == "idle").await
}

/// Waits until the centre shows everything the store wrote.
async fn shown(store: &Process, centre: &Process) -> anyhow::Result<()> {
    published(store).await?;
    let head = field(&store.ask("/api/sync").await?, "head");
    let path = format!("/api/stores/{STORE}");
    let there = |answer: &str| field(answer, "appliedThrough") == head;
    centre.wait_for(&path, CAUGHT_UP_WITHIN, there).await?;
    centre.wait_for("/readyz?verbose", CAUGHT_UP_WITHIN, |ready| !ready.contains("missed")).await
}

/// A field of an answer, `Null` where it is not there.
pub(super) fn field(answer: &str, name: &str) -> Value {
    serde_json::from_str::<Value>(answer)
        .ok()
        .and_then(|answer| answer.get(name).cloned())
        .unwrap_or_default()
}
