//! Durable commands at a store.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::bench::chain::{self, sale};
use crate::bench::limits::disk::{Disk, fsyncs};
use crate::bench::limits::http;
use crate::bench::load::{Asked, Next, millis};
use crate::bench::process::{Process, bytes_in, cpu_per_million};
use crate::bench::row::{Aim, Cost, Row};
use crate::bench::run::{Part, Run};

const ITEMS: u64 = 10_000;
/// Commands of one batch.
const LINES: u32 = 1_000;
/// Clients that send batches: one is on its way while another is committed.
const BATCH_CLIENTS: u16 = 4;

#[derive(Default)]
struct Rounds {
    echo: Vec<f64>,
    groups: Vec<f64>,
    single: Vec<f64>,
    large_groups: Vec<f64>,
    batch: Vec<f64>,
    fsync_and_echo: Vec<f64>,
    one: Vec<f64>,
    single_cost: Vec<f64>,
    batch_cost: Vec<f64>,
}

pub(in crate::bench) async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let part = run.part()?;
    let store = chain::store(&part).await?;
    chain::fill(&store, ITEMS).await?;
    let bare = http::start(&part.folder, "").await?;
    let file = part.folder.join("bare.db");
    let mut disk = run.blocking(move || Disk::open(&file)).await?;
    let mut rounds = Rounds::default();
    for _ in 0..run.rounds {
        run.go_on()?;
        disk = limits(run, &part, &bare, disk, &mut rounds).await?;
        subject(run, &store, &mut rounds).await?;
    }
    chain::published(&store).await?;
    let resident = store.used().map(crate::bench::process::Used::resident_mib);
    let head = chain::field(&store.ask("/api/sync").await?, "head").as_f64();
    store.stop().await?;
    bare.stop().await?;
    let bytes = bytes_in(&chain::store_folder(&part))? as f64;
    let bytes_per_event = Some(bytes / head.context("the journal's head")?);
    Ok(rows(run, &rounds, Cost { resident_mib: resident, bytes_per_event, ..Cost::default() }))
}

async fn limits(
    run: &Run,
    part: &Part,
    bare: &Process,
    mut disk: Disk,
    rounds: &mut Rounds,
) -> anyhow::Result<Disk> {
    let echo: Next = Arc::new(|number| Asked::post("/echo", sale(number % ITEMS)));
    rounds.echo.push(run.load(bare, run.clients, Arc::clone(&echo)).run().await?.per_second());
    let echo = run.load(bare, 1, echo).run().await?.millis(0.5);
    let (time, group, file) = (run.time, u32::from(run.clients), part.folder.join("fsync"));
    let (disk, small, large, fsync) = run
        .blocking(move || {
            let small = disk.rows_per_second(group, time)?;
            let large = disk.rows_per_second(LINES, time)?;
            Ok((disk, small, large, fsyncs(&file, time.min(Duration::from_secs(2)))?))
        })
        .await?;
    rounds.groups.push(small);
    rounds.large_groups.push(large);
    rounds.fsync_and_echo.push(millis(&fsync, 0.5) + echo);
    Ok(disk)
}

async fn subject(run: &Run, store: &Process, rounds: &mut Rounds) -> anyhow::Result<()> {
    let single: Next =
        Arc::new(|number| Asked::post("/api/commands/inventory/adjust", sale(number % ITEMS)));
    let before = store.used();
    let many = run.load(store, run.clients, Arc::clone(&single)).run().await?;
    rounds.single.push(many.per_second());
    chain::published(store).await?;
    let cost = cpu_per_million(before, store.used(), many.count() as f64);
    rounds.single_cost.extend(cost);
    rounds.one.push(run.load(store, 1, single).run().await?.millis(0.5));
    let batch: Next = Arc::new(|number| {
        let first = number * u64::from(LINES);
        let lines: String =
            (first..first + u64::from(LINES)).map(|line| sale(line % ITEMS) + "\n").collect();
        let asked = Asked::post("/api/commands/inventory/batch", lines);
        asked.header("content-type", "application/x-ndjson")
    });
    let before = store.used();
    let batches = run.load(store, BATCH_CLIENTS, batch).run().await?;
    rounds.batch.push(batches.per_second() * f64::from(LINES));
    chain::published(store).await?;
    let lines = batches.count() as f64 * f64::from(LINES);
    rounds.batch_cost.extend(cpu_per_million(before, store.used(), lines));
    Ok(())
}

fn rows(run: &Run, rounds: &Rounds, cost: Cost) -> Vec<Row> {
    let clients = run.clients;
    let lower: Vec<f64> =
        rounds.echo.iter().zip(&rounds.groups).map(|(echo, group)| echo.min(*group)).collect();
    let of = |measured: &[f64]| (!measured.is_empty()).then(|| Row::median(measured));
    let cost_of = |cpu: &[f64]| Cost { cpu_seconds_per_million: of(cpu), ..cost };
    vec![
        Row::new("write.echo", format!("bare echo, {clients} clients"), "/s", &rounds.echo),
        Row::new("write.groups", format!("bare commits of {clients} rows"), "/s", &rounds.groups),
        Row::new("write.single", format!("commands, {clients} clients"), "/s", &rounds.single)
            .beside("lower of both", &rounds.single, &lower)
            .aim(Aim::AtLeast(0.7))
            .cost(cost_of(&rounds.single_cost)),
        Row::new("write.batch", format!("commands in batches of {LINES}"), "/s", &rounds.batch)
            .beside("bare commits of as many", &rounds.batch, &rounds.large_groups)
            .aim(Aim::AtLeast(0.6))
            .cost(cost_of(&rounds.batch_cost)),
        Row::new("write.one", "one client's command, p50", "ms", &rounds.one)
            .beside("bare fsync + bare echo", &rounds.one, &rounds.fsync_and_echo)
            .aim(Aim::AtMost(1.3)),
    ]
}
