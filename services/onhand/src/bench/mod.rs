//! `onhand bench`: speed, each figure beside its physical limit measured in the same run.
//!
//! ```text
//!  work ──┬─ round 1: limit, subject ─┐
//!         ├─ round 2: limit, subject ─┼─▶ ratios ─▶ Row ─▶ table, JSON, comparison with a baseline
//!         └─ …                        ┘
//! ```
//! Services and the servers that stand for limits are processes of their own, as in production; load and
//! limits of disk and broker are in this one.
#![expect(clippy::float_arithmetic, reason = "figures for people; no stock is counted here")]

mod baseline;
mod chain;
mod events;
mod follow;
pub(crate) mod limits;
mod load;
mod process;
mod rivals;
mod row;
mod run;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::{Broker, INTERRUPTED_EXIT};
use crate::output;
use baseline::Baseline;
use row::Row;
use run::Run;

const EXAMPLES: &str = "\
Examples: onhand bench write --kafka 127.0.0.1:9092
          onhand bench all --kafka 127.0.0.1:9092 --json figures.json
          onhand bench all --quick --kafka 127.0.0.1:9092 --check figures.json

It starts the services it measures itself, with data in a new folder below --data-dir and topics whose
names begin with bench-; both are removed at the end. Leave the machine alone meanwhile.

Exit codes: 0 measured, 1 a ratio is worse than the baseline's beyond the tolerance, 64 wrong usage,
130 interrupted.";

/// Measure speed on this machine and broker. Each figure stands beside a limit that was measured in
/// the same run, so that a noisy machine neither flatters nor shames it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to measure.
    #[arg(env = "ONHAND_BENCH_WORK", value_name = "WORK")]
    work: Work,
    #[command(flatten)]
    broker: Broker,
    /// How long each figure is measured in each round, in seconds.
    #[arg(
        long,
        env = "ONHAND_BENCH_SECONDS",
        default_value_t = 5,
        value_name = "S",
        value_parser = clap::value_parser!(u64).range(1..=600)
    )]
    seconds: u64,
    /// How often limit and figure take turns; the table has the one in the middle.
    #[arg(
        long,
        env = "ONHAND_BENCH_ROUNDS",
        default_value_t = 5,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=100)
    )]
    rounds: u16,
    /// Clients at the same time, where many are measured.
    #[arg(
        long,
        env = "ONHAND_BENCH_CLIENTS",
        default_value_t = 64,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1_024)
    )]
    clients: u16,
    /// One short round and a twentieth of the sizes: shows that everything runs, proves no figure.
    #[arg(long, env = "ONHAND_BENCH_QUICK")]
    quick: bool,
    /// Folder for journals and databases, on the disk to be measured; a new one in it is used and
    /// removed. The system's temporary folder unless named.
    #[arg(long, env = "ONHAND_BENCH_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write the figures here, too.
    #[arg(long, env = "ONHAND_BENCH_JSON", value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compare with the figures in this file, as --json wrote them; exit 1 where a ratio is worse.
    #[arg(long, env = "ONHAND_BENCH_CHECK", value_name = "FILE")]
    check: Option<PathBuf>,
    /// How much worse a ratio may be than the baseline's, in percent.
    #[arg(
        long,
        env = "ONHAND_BENCH_TOLERANCE",
        default_value_t = 25,
        value_name = "PERCENT",
        value_parser = clap::value_parser!(u8).range(1..=90)
    )]
    tolerance: u8,
    /// Figures of other systems, as scripts/bench-rivals wrote them; the table sets Onhand's beside them.
    #[arg(long, env = "ONHAND_BENCH_RIVALS", value_name = "FILE")]
    rivals: Option<PathBuf>,
    /// Sales of a chain, as `scripts/complete-journey --stores all` makes them: `scale` replays them into
    /// as many stores in one process, and proves each item at the centre.
    #[arg(long, env = "ONHAND_BENCH_SALES", value_name = "FILE")]
    sales: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    /// Durable commands at a store: many clients, one client, batches.
    Write,
    /// From a store's commit to the centre's answer.
    Visible,
    /// Availability at the centre, quiet and while events come in.
    Query,
    /// A centre with an empty disk, from the topics.
    Rebuild,
    /// From a reservation's request to the store's confirmation.
    Reserve,
    /// Changes to those who follow them.
    Stream,
    /// Many items, long histories, quiet stores; with --sales, a year of many stores.
    Scale,
    /// All of it.
    All,
}

/// Figures of one run, as they are written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures<'a> {
    version: &'static str,
    cores: usize,
    broker: &'a str,
    seconds: u64,
    rounds: u16,
    quick: bool,
    rows: &'a [Row],
}

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    // Before minutes are spent.
    let baseline = args.check.as_deref().map(Baseline::read).transpose()?;
    let run = Run::open(&args, stop.clone())?;
    output::heading(&format!(
        "Onhand {} on {} cores, broker at {}: {} x {} s each{}",
        env!("CARGO_PKG_VERSION"),
        run.cores,
        args.broker.kafka,
        run.rounds,
        run.time.as_secs(),
        if cfg!(debug_assertions) { "; not optimised, figures mean nothing" } else { "" }
    ));
    let measured = match run.warm_up().await {
        Ok(()) => measure(&run, args.work).await,
        Err(error) => Err(error.context("keep the broker busy")),
    };
    let removed = run.close().await;
    let rows = match measured {
        Err(_) if stop.is_cancelled() => return Ok(ExitCode::from(INTERRUPTED_EXIT)),
        measured => measured?,
    };
    removed?;
    if let Some(file) = &args.json {
        let figures = Figures {
            version: env!("CARGO_PKG_VERSION"),
            cores: run.cores,
            broker: &args.broker.kafka,
            seconds: run.time.as_secs(),
            rounds: run.rounds,
            quick: args.quick,
            rows: &rows,
        };
        let json = serde_json::to_string_pretty(&figures).context("write the figures")?;
        std::fs::write(file, json + "\n").with_context(|| format!("write {}", file.display()))?;
    }
    let Some(baseline) = baseline else { return Ok(ExitCode::SUCCESS) };
    let worse = baseline.worse(&rows, f64::from(args.tolerance) / 100.0);
    worse.iter().for_each(|line| output::say(line));
    Ok(if worse.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures, and shows each row as soon as it is there.
async fn measure(run: &Run, work: Work) -> anyhow::Result<Vec<Row>> {
    let all = [
        Work::Write,
        Work::Visible,
        Work::Query,
        Work::Rebuild,
        Work::Reserve,
        Work::Stream,
        Work::Scale,
    ];
    let chosen = if work == Work::All { &all[..] } else { &[work] };
    let mut rows = Vec::new();
    for work in chosen {
        let (title, measured) = match work {
            Work::Write => ("Durable commands at a store", work::write::measure(run).await),
            Work::Visible => ("Commit to visible", work::visible::measure(run).await),
            Work::Query => ("Availability", work::query::measure(run).await),
            Work::Rebuild => ("Rebuild of the centre", work::rebuild::measure(run).await),
            Work::Reserve => ("Reservations", work::reserve::measure(run).await),
            Work::Stream => ("Stream", work::stream::measure(run).await),
            Work::Scale => ("Scale", work::scale::measure(run).await),
            Work::All => continue,
        };
        output::heading(title);
        for row in measured.with_context(|| title)? {
            row.lines().iter().for_each(|line| output::say(line));
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Of one round, unless the run is a quick one.
const QUICK_TIME: Duration = Duration::from_secs(1);
/// What sizes are divided by in a quick run.
const QUICK_PART: u64 = 20;
