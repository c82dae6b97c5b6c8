//! Availability at the centre, quiet and while events come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;

use crate::bench::chain::{self, item};
use crate::bench::events::{self, Events};
use crate::bench::limits::http;
use crate::bench::load::{Asked, Next, Pace};
use crate::bench::process::{self, Process, cpu_per_million};
use crate::bench::row::{Aim, Cost, Row, ratio};
use crate::bench::run::{Part, Run};

const ITEMS: u64 = 10_000;
/// Items of the larger question.
const MANY: u64 = 50;
/// What comes in meanwhile, events a second.
const FED: f64 = 50_000.0;

fn question(first: u64, items: u64) -> String {
    let skus: Vec<String> = (first..first + items).map(|number| item(number % ITEMS)).collect();
    format!("/api/query/availability?sku={}", skus.join(","))
}

pub(in crate::bench) async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let part = run.part()?;
    let (store, centre) = chain::filled(&part, ITEMS).await?;
    let mut rows = Vec::new();
    for (name, what, items, aim) in
        [("query.one", "one item", 1, 0.85), ("query.fifty", "50 items in one", MANY, 0.6)]
    {
        let bare = http::start(&part.folder, &centre.ask(&question(0, items)).await?).await?;
        rows.push(beside_constant(run, &centre, &bare, (name, what, items, aim)).await?);
        bare.stop().await?;
    }
    rows.extend(while_applying(run, &part, &centre).await?);
    store.stop().await?;
    centre.stop().await?;
    Ok(rows)
}

fn questions(items: u64) -> Next {
    Arc::new(move |number| Asked::get(question(number * items, items)))
}

async fn beside_constant(
    run: &Run,
    centre: &Process,
    bare: &Process,
    (name, what, items, aim): (&str, &str, u64, f64),
) -> anyhow::Result<Row> {
    let constant: Next = Arc::new(|_| Asked::get("/constant"));
    let (mut limits, mut rounds, mut cost) = (Vec::new(), Vec::new(), None);
    for _ in 0..run.rounds {
        run.go_on()?;
        let limit = run.load(bare, run.clients, Arc::clone(&constant)).run().await?;
        limits.push(limit.per_second());
        let before = centre.used();
        let asked = run.load(centre, run.clients, questions(items)).run().await?;
        cost = cpu_per_million(before, centre.used(), asked.count() as f64);
        rounds.push(asked.per_second());
    }
    let what = format!("questions for {what}, {} clients", run.clients);
    Ok(Row::new(name, what, "/s", &rounds)
        .beside("bare constant of the size", &rounds, &limits)
        .aim(Aim::AtLeast(aim))
        .cost(Cost { cpu_seconds_per_million: cost, ..Cost::default() }))
}

/// Questions quiet, then while other stores' events come in; what those alone take of the machine is
/// measured between the two.
async fn while_applying(run: &Run, part: &Part, centre: &Process) -> anyhow::Result<Vec<Row>> {
    let (mut quiet, mut fed, mut left_over) = (Vec::new(), Vec::new(), Vec::new());
    let (mut applied, mut p99) = (Vec::new(), Vec::new());
    let mut events = Events::new("FED", 12, ITEMS);
    for _ in 0..run.rounds {
        run.go_on()?;
        quiet.push(run.load(centre, run.clients, questions(1)).run().await?.per_second());
        let stop = Arc::new(AtomicBool::new(false));
        let feeding = feed(run, part, events, Arc::clone(&stop));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let busy = process::machine();
        tokio::time::sleep(run.time).await;
        let busy = process::machine().zip(busy).map(|(now, then)| now.saturating_sub(then));
        let free = busy.map_or(0.0, |busy| {
            (run.cores as f64 - busy.as_secs_f64() / run.time.as_secs_f64()).max(0.1)
        });
        let before = applied_events(centre).await?;
        let measured = run.load(centre, run.clients, questions(1)).run().await?;
        let seconds = measured.count() as f64 / measured.per_second();
        applied.push((applied_events(centre).await? - before) / seconds);
        fed.push(measured.per_second());
        let half = Pace::Open(measured.per_second() / 2.0);
        let mut load = run.load(centre, run.clients, questions(1));
        load.pace = half;
        p99.push(load.run().await?.millis(0.99));
        let share = ratio(free, run.cores as f64);
        left_over.push(quiet.last().copied().unwrap_or_default() * share);
        stop.store(true, Ordering::Relaxed);
        events = feeding.await.context("join the feeder")??;
        events::shown(&events, centre).await?;
    }
    Ok(vec![
        Row::new("query.applied", "events applied meanwhile", "/s", &applied)
            .aim(Aim::AtLeast(FED * 0.95)),
        Row::new("query.fed", "questions for one item meanwhile", "/s", &fed)
            .beside("quiet, on the cores left over", &fed, &left_over)
            .aim(Aim::AtLeast(0.7)),
        Row::new("query.fed-p99", "each at half of that, p99", "ms", &p99).aim(Aim::AtMost(5.0)),
    ])
}

fn feed(
    run: &Run,
    part: &Part,
    mut events: Events,
    stop: Arc<AtomicBool>,
) -> tokio::task::JoinHandle<anyhow::Result<Events>> {
    let (log, topics) = (Arc::clone(&run.log), part.topics.clone());
    tokio::task::spawn_blocking(move || {
        events.publish_paced(log.as_ref(), &topics, FED, &|| stop.load(Ordering::Relaxed))?;
        Ok(events)
    })
}

/// Of all stores.
async fn applied_events(centre: &Process) -> anyhow::Result<f64> {
    let stores = centre.ask("/api/stores").await?;
    let stores = chain::field(&stores, "stores");
    let stores = stores.as_array().context("a list of stores")?;
    Ok(stores.iter().filter_map(|store| store.get("appliedThrough")?.as_f64()).sum())
}
