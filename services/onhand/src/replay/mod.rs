//! `onhand replay`: sales of the past, from a file into running stores.
//!
//! ```text
//!  FILE ──source──▶ feed ──┬─batches─▶ lane of store A ──NDJSON──▶ A   (one request at a time)
//!          lines   (sale)  └─batches─▶ lane of store B ──NDJSON──▶ B
//!                     │ bad                 │ refused
//!                     └────▶ rejects ◀──────┘         report, then prove
//! ```
//! **Invariant:** a line's command id depends on run name, line number and content only. The stores
//! answer an id they know from their records, so there is no checkpoint: a run that was cut off is
//! continued by running it again. Nothing here holds the file; memory is bounded by batches on their
//! way, and by the file's distinct items when they are opened.

mod args;
mod client;
mod feed;
mod findings;
mod lane;
mod pairs;
mod progress;
mod prove;
mod rejects;
mod report;
mod sale;
mod source;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use csv::ByteRecord;
use reqwest::Client;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::cli::{INTERRUPTED_EXIT, USAGE};
use crate::output;
use crate::web;
pub(crate) use args::Args;
use args::{check, rejects_path};
use client::Endpoint;
use feed::{Feed, Kept};
use findings::Verdict;
use lane::{Lane, Outcome, Shared};
use pairs::Pairs;
use progress::Progress;
use prove::{Claim, Prover};
use rejects::Rejects;
use report::{Tally, report};
use sale::{Layout, Reader, Writer};
use source::Source;

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    // 1. Understand file and flags before anything is sent.
    if !std::fs::metadata(&args.file).context("open the file")?.is_file() {
        let file = args.file.display();
        output::error(&format!(
            "{file} is no regular file: it is read more than once, so not a pipe"
        ));
        return Ok(ExitCode::from(USAGE));
    }
    let mut header = ByteRecord::new();
    let first = Source::open(&args.file)?.next(&mut header).context("read the header")?;
    let layout = match first {
        Some(Ok(())) => Layout::of(&header),
        Some(Err(fault)) => Err(format!("the header cannot be read: {}", fault.reason)),
        None => Err("the file is empty; its first line must name the columns".to_owned()),
    };
    let layout = match layout.and_then(|layout| check(&args).map(|()| layout)) {
        Ok(layout) => layout,
        Err(wrong) => {
            let file = args.file.display();
            output::error(&format!("{file}: {wrong} (see `onhand replay --help`)"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    // 2. Count what will be sold, if asked to.
    let Some(pairs) = openings(&args, &layout, &stop).await? else {
        output::say("interrupted before anything was sent; run the same command again to go on");
        return Ok(ExitCode::from(INTERRUPTED_EXIT));
    };
    // 3. Send.
    let client = web::client(Duration::from_secs(args.give_up_after), &args.token)?;
    let started = Instant::now();
    let rejects = Rejects::new(rejects_path(&args), header)?;
    let (shared, outcomes, kept) =
        Box::pin(send(&args, layout, &client, pairs, rejects, stop.clone())).await?;
    // 4. Tell, and prove.
    let complete = tell(&shared, &outcomes, &kept, started.elapsed())?;
    if stop.is_cancelled() {
        return Ok(interrupted());
    }
    let Some(centre) = args.prove.clone() else {
        return Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    if !complete {
        output::say("not proved: not all lines were sent");
        return Ok(ExitCode::FAILURE);
    }
    let within = Duration::from_secs(args.prove_within);
    let prover = Prover { client, centre, within, stop };
    let (verdict, lines) = prover.prove(&claims(&args, outcomes)).await?;
    lines.iter().for_each(|line| output::say(line));
    Ok(match verdict {
        Verdict::Proved => ExitCode::SUCCESS,
        Verdict::Refuted => ExitCode::FAILURE,
        Verdict::Stopped => interrupted(),
    })
}

fn interrupted() -> ExitCode {
    output::say("interrupted; run the same command again to go on");
    ExitCode::from(INTERRUPTED_EXIT)
}

fn reader(args: &Args, layout: Layout) -> Reader {
    Reader::new(layout, args.stores.iter().map(|target| &target.store))
}

fn progress(args: &Args) -> anyhow::Result<Arc<Progress>> {
    Ok(Arc::new(Progress::new(std::fs::metadata(&args.file)?.len())))
}

/// The pairs of each store; empty ones when nothing is to be opened, `None` when told to stop.
async fn openings(
    args: &Args,
    layout: &Layout,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Vec<Pairs>>> {
    let stores = args.stores.len();
    if args.opening.is_none() {
        return Ok(Some(vec![Pairs::new(); stores]));
    }
    let progress = progress(args)?;
    let _shown = progress::show(&progress, "counting what will be sold");
    let (reader, stop) = (reader(args, layout.clone()), stop.clone());
    let source = Source::open(&args.file)?;
    spawn_blocking(move || pairs::sum(source, &reader, stores, &progress, &stop)).await?
}

async fn send(
    args: &Args,
    layout: Layout,
    client: &Client,
    pairs: Vec<Pairs>,
    rejects: Rejects,
    stop: CancellationToken,
) -> anyhow::Result<(Arc<Shared>, Vec<Outcome>, Kept)> {
    let shared = Arc::new(Shared {
        writer: Writer { run: args.run.clone(), on_shortfall: args.on_shortfall },
        batch_lines: usize::from(args.batch_lines),
        give_up_after: Duration::from_secs(args.give_up_after),
        rejects,
        progress: progress(args)?,
        stop,
    });
    let _shown = progress::show(&shared.progress, "replaying");
    let (mut feeding, mut lanes) = (Vec::new(), Vec::new());
    for (target, pairs) in args.stores.iter().zip(pairs) {
        let (sender, batches) = mpsc::channel(feed::BATCHES_WAITING);
        let endpoint = Endpoint::new(client.clone(), &target.url);
        let lane = Lane::new(Arc::clone(&shared), target.store.clone(), endpoint, pairs);
        feeding.push((target.store.clone(), sender));
        lanes.push(tokio::spawn(lane.run(batches)));
    }
    let feed = Feed::new(Arc::clone(&shared), reader(args, layout), feeding, Handle::current());
    let source = Source::open(&args.file)?;
    // The feed owns the lanes' senders: when it ends, for whatever reason, so do they.
    let kept = spawn_blocking(move || feed.run(source)).await;
    let mut outcomes = Vec::new();
    for lane in lanes {
        outcomes.push(lane.await.context("a lane broke")?);
    }
    Ok((shared, outcomes, kept.context("the feed broke")??))
}

/// Prints the report. `true` when no lane gave up.
fn tell(
    shared: &Shared,
    outcomes: &[Outcome],
    kept: &Kept,
    elapsed: Duration,
) -> anyhow::Result<bool> {
    let tallies: Vec<_> = outcomes
        .iter()
        .zip(&kept.stores)
        .map(|(outcome, kept)| {
            let mut tally = outcome.tally.clone();
            tally.add(kept);
            tally
        })
        .collect();
    let mut rows: Vec<(&str, &Tally)> =
        outcomes.iter().map(|outcome| outcome.store.as_str()).zip(&tallies).collect();
    if kept.elsewhere != Tally::default() {
        rows.push(("(none of these)", &kept.elsewhere));
    }
    report(&rows, elapsed).iter().for_each(|line| output::say(line));
    let rejects = shared.rejects.finish();
    if let Ok(Some(path)) = &rejects {
        output::say(&format!("rejected lines and why: {}", path.display()));
    }
    for outcome in outcomes {
        if let Some(reason) = &outcome.failed {
            output::say(&format!("store {} failed: {reason}", outcome.store));
        }
    }
    let complete = outcomes.iter().all(|outcome| outcome.failed.is_none());
    if !complete && !shared.stop.is_cancelled() {
        output::say("run the same command again to go on; what was executed is not executed twice");
    }
    rejects.map(|_| complete)
}

fn claims(args: &Args, outcomes: Vec<Outcome>) -> Vec<Claim> {
    let urls = args.stores.iter().map(|target| target.url.clone());
    outcomes
        .into_iter()
        .zip(urls)
        .map(|(outcome, url)| Claim {
            store: outcome.store,
            url,
            pairs: outcome.pairs,
            newest: outcome.newest,
        })
        .collect()
}

#[cfg(test)]
mod tests;
