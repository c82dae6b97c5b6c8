//! The store's hot path, for `scripts/instructions`: `store_paths append TIMES`.
//!
//! Whatever `TIMES` says, the same is prepared, so that the difference between two runs is the path alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use event_log::MemoryLog;
use inventory_core::Digest;
use shared_events::topic::Topics;
use shared_events::{
    AdjustStock, CommandId, Delta, OnShortfall, Quantity, ReplaceStock, Sku, StockCommand, StoreId,
    Text,
};
use store_service::decisions::Command;
use store_service::journal::{Journal, Verdict};
use store_service::metrics::Metrics;
use store_service::opening::{Opening, Unwitnessed};
use store_service::outbox::{Committed, Outbox};
use store_service::shelf::Shelf;
use store_service::writer::{Handle, Request, Writer};
use tokio_util::sync::CancellationToken;

/// Commands of one commit.
const GROUP: usize = 64;
const ITEMS: usize = 1_024;
/// Most groups that are measured.
const GROUPS: usize = 128;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let path = arguments.next().unwrap_or_else(|| "append".to_owned());
    ensure!(path == "append", "there is one path here: append");
    let times: usize = arguments.next().map_or(Ok(1), |times| times.parse())?;
    append(times)
}

/// Decides and commits groups of commands, each by an id of its own, in the thread that does it in a store.
fn append(times: usize) -> anyhow::Result<()> {
    ensure!(times <= GROUPS, "at most {GROUPS} groups");
    let folder = test_support::folder();
    let store: StoreId = "A".parse()?;
    let journal = Journal::open(folder.path(), &store, |_event| {})?;
    let committed = Committed { head: journal.head(), digest: Digest::default() };
    let lineage = journal.identity().lineage.clone();
    let outbox = Arc::new(Outbox::new(lineage, committed, journal.published_through()));
    let shelf = Arc::new(Shelf::new(BTreeMap::new()));
    let metrics = Arc::new(Metrics::new(PathBuf::new()));
    let (writer, handle) = Writer::new(journal, shelf, outbox, metrics);
    let opening = Opening {
        store,
        log: Arc::new(MemoryLog::default()),
        topics: Topics::new("", 1),
        location: None,
        wait: Duration::ZERO,
        unwitnessed: Unwitnessed::Serve,
    };
    let counts = groups("count", ITEMS, count)?;
    let sales = groups("sale", GROUPS * GROUP, sale)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;

    thread::spawn(move || writer.run(&opening, &CancellationToken::new()));
    ensure!(handle.standing().wait_until_open(), "the journal opens");
    for group in counts.into_iter().chain(sales.into_iter().take(times)) {
        runtime.block_on(execute(&handle, group))?;
    }
    Ok(())
}

async fn execute(handle: &Handle, group: Vec<Request>) -> anyhow::Result<()> {
    for answer in handle.execute(group).await? {
        ensure!(matches!(answer?.verdict, Verdict::Accepted(_)), "every command is accepted");
    }
    Ok(())
}

/// So many commands, named by their kind and number, in groups.
fn groups(
    kind: &str,
    commands: usize,
    command: impl Fn(usize) -> anyhow::Result<StockCommand>,
) -> anyhow::Result<Vec<Vec<Request>>> {
    let request = |number: usize| -> anyhow::Result<Request> {
        Ok(Request {
            command: Command::Stock(command(number)?),
            id: Some(CommandId::parse(&format!("{kind}-{number:08}"))?),
            principal: None,
            traceparent: Some(format!("00-{number:032x}-{number:016x}-00")),
            answer_by_event: false,
        })
    };
    let requests: Vec<Request> = (1..=commands).map(request).collect::<anyhow::Result<_>>()?;
    Ok(requests.chunks(GROUP).map(<[Request]>::to_vec).collect())
}

fn count(number: usize) -> anyhow::Result<StockCommand> {
    Ok(StockCommand::Replace(ReplaceStock {
        sku: item(number)?,
        quantity: Quantity::new(1_000_000).context("a quantity")?,
        expected_version: None,
        reason: None,
        reference: None,
    }))
}

fn sale(number: usize) -> anyhow::Result<StockCommand> {
    Ok(StockCommand::Adjust(AdjustStock {
        sku: item(number)?,
        delta: Delta::new(-1).context("a delta")?,
        expected_version: None,
        on_shortfall: OnShortfall::Reject,
        reason: Some(Text::parse("sale").map_err(anyhow::Error::msg)?),
        reference: None,
    }))
}

/// Items in an order that is not the order of their names.
fn item(number: usize) -> anyhow::Result<Sku> {
    Ok(Sku::parse(&format!("ITEM-{:05}", number * 619 % ITEMS))?)
}
