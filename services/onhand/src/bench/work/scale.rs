//! Many items, long histories, quiet stores, a year of many stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use event_log::EventLog as _;
use tokio_util::sync::CancellationToken;

use super::year;
use crate::bench::chain::{self, sale};
use crate::bench::events::{self, Events};
use crate::bench::load::{Asked, Next};
use crate::bench::process::Process;
use crate::bench::row::{Aim, Row, ratio};
use crate::bench::run::{Part, Run};

/// Pairs of store and item; the first is what the others are compared with.
const PAIRS: [u64; 3] = [10_000, 1_000_000, 10_000_000];
const STORES: u64 = 100;
/// Events that are applied to the pairs when all of them are there.
const MORE: u64 = 500_000;
const HISTORY: u64 = 1_000_000;
const ITEMS: u64 = 10_000;
const LINES: u64 = 1_000;
const QUIET_STORES: u64 = 100;

pub(in crate::bench) async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let mut rows = pairs(run).await?;
    rows.extend(history(run).await?);
    rows.push(quiet(run).await?);
    if let Some(sales) = &run.sales {
        rows.extend(year::measure(run, sales).await?);
    }
    Ok(rows)
}

/// What a centre with so many pairs takes.
struct Centre {
    pairs: u64,
    /// Of one more event of a pair that is there, in microseconds.
    micros: f64,
    resident: f64,
    /// From start to having read its database, in seconds.
    start: f64,
}

async fn pairs(run: &Run) -> anyhow::Result<Vec<Row>> {
    let mut measured = Vec::new();
    for pairs in PAIRS {
        run.go_on()?;
        measured.push(with_pairs(run, run.sized(pairs)).await?);
    }
    let Some(first) = measured.first() else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    for Centre { pairs, micros, resident, start } in &measured {
        let name = |what: &str| format!("scale.{pairs}.{what}");
        let more = (pairs - first.pairs) as f64;
        let what = format!("one event with {pairs} pairs");
        let row = Row::new(&name("event"), what, "us", &[*micros]);
        if more == 0.0 {
            rows.push(row);
            continue;
        }
        let beside = format!("with {} pairs", first.pairs);
        rows.push(row.beside(&beside, &[*micros], &[first.micros]).aim(Aim::AtMost(1.2)));
        let each = (resident - first.resident) / more;
        let what = format!("resident for each of {pairs} pairs");
        rows.push(Row::new(&name("bytes"), what, "B", &[each]).aim(Aim::AtMost(120.0)));
        let what = format!("start from disk with {pairs} pairs");
        let most = (*pairs as f64 / 1e6).max(0.1);
        rows.push(Row::new(&name("start"), what, "s", &[*start]).aim(Aim::AtMost(most)));
    }
    Ok(rows)
}

async fn with_pairs(run: &Run, pairs: u64) -> anyhow::Result<Centre> {
    let part = run.part()?;
    let events = publish(run, &part, Events::new("MANY", STORES, pairs / STORES), pairs).await?;
    let centre = chain::centre(&part).await?;
    events::shown(&events, &centre).await?;
    centre.stop().await?;
    // All pairs are there: what one event costs does not depend on making them.
    let more = run.sized(MORE);
    let events = publish(run, &part, events, more).await?;
    let started = Instant::now();
    let centre = chain::centre(&part).await?;
    let start = started.elapsed();
    let reading = Instant::now();
    events::shown(&events, &centre).await?;
    let micros = reading.elapsed().as_secs_f64() * 1e6 / more as f64;
    let resident = centre.used().unwrap_or_default().resident as f64;
    centre.stop().await?;
    std::fs::remove_dir_all(&part.folder)?;
    Ok(Centre { pairs, micros, resident, start: start.as_secs_f64() })
}

async fn publish(run: &Run, part: &Part, mut events: Events, count: u64) -> anyhow::Result<Events> {
    let (log, topics) = (Arc::clone(&run.log), part.topics.clone());
    run.blocking(move || {
        events.publish_all(log.as_ref(), &topics, count)?;
        Ok(events)
    })
    .await
}

/// A store with a long journal beside one with none.
async fn history(run: &Run) -> anyhow::Result<Vec<Row>> {
    let (long, empty) = (run.part()?, run.part()?);
    let store = chain::store(&long).await?;
    chain::fill(&store, ITEMS).await?;
    let events = run.sized(HISTORY);
    sell(&store, events).await?;
    chain::published(&store).await?;
    store.stop().await?;
    let (mut starts, mut rounds, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..run.rounds {
        run.go_on()?;
        // Before anything is sold that would make it longer.
        let started = Instant::now();
        let store = chain::store(&long).await?;
        starts.push(started.elapsed().as_secs_f64());
        store.stop().await?;
    }
    for _ in 0..run.rounds {
        run.go_on()?;
        limits.push(commands(run, &empty).await?);
        rounds.push(commands(run, &long).await?);
    }
    let what = format!("commands behind {events} events, {} clients", run.clients);
    Ok(vec![
        Row::new("scale.history", what, "/s", &rounds)
            .beside("in a new journal", &rounds, &limits)
            .aim(Aim::AtLeast(1.0 / 1.05)),
        Row::new("scale.history-start", format!("start with {events} events"), "s", &starts)
            .aim(Aim::AtMost(2.0)),
    ])
}

/// Commands a second of a store that is started for it.
async fn commands(run: &Run, part: &Part) -> anyhow::Result<f64> {
    let store = chain::store(part).await?;
    chain::fill(&store, ITEMS).await?;
    chain::published(&store).await?;
    let single: Next =
        Arc::new(|number| Asked::post("/api/commands/inventory/adjust", sale(number % ITEMS)));
    let rate = run.load(&store, run.clients, single).run().await?.per_second();
    chain::published(&store).await?;
    store.stop().await?;
    Ok(rate)
}

async fn sell(store: &Process, events: u64) -> anyhow::Result<()> {
    let mut connection = crate::bench::load::connect(store.address).await?;
    for first in (0..events).step_by(usize::try_from(LINES)?) {
        let lines: String =
            (first..(first + LINES).min(events)).map(|line| sale(line % ITEMS) + "\n").collect();
        let asked = Asked::post("/api/commands/inventory/batch", lines);
        let asked = asked.header("content-type", "application/x-ndjson");
        crate::bench::load::send(&mut connection, store.address, asked).await?;
    }
    Ok(())
}

/// A centre that hears from many stores, and nothing else.
async fn quiet(run: &Run) -> anyhow::Result<Row> {
    let part = run.part()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (log, topics, ended) = (Arc::clone(&run.log), part.topics.clone(), Arc::clone(&stop));
    let beating = tokio::task::spawn_blocking(move || {
        log.ensure_topics(&topics.shared())?;
        let mut publisher = log.publisher()?;
        let every = Duration::from_millis(1_000 / QUIET_STORES);
        let stores = Events::new("QUIET", QUIET_STORES, 1);
        while !ended.load(Ordering::Relaxed) {
            for heartbeat in stores.heartbeats(&topics)? {
                let sent = publisher.publish(&[heartbeat], &CancellationToken::new());
                sent.error.map_or(Ok(()), Err)?;
                std::thread::sleep(every);
            }
        }
        anyhow::Ok(())
    });
    let centre = chain::centre(&part).await?;
    let all = |answer: &str| {
        let stores = chain::field(answer, "stores");
        stores.as_array().is_some_and(|stores| stores.len() as u64 == QUIET_STORES)
    };
    centre.wait_for("/api/stores", Duration::from_secs(60), all).await?;
    let mut shares = Vec::new();
    for _ in 0..run.rounds {
        let (before, started) = (centre.used().unwrap_or_default(), Instant::now());
        tokio::time::sleep(run.time).await;
        let used = centre.used().unwrap_or_default().cpu.saturating_sub(before.cpu);
        shares.push(100.0 * ratio(used.as_secs_f64(), started.elapsed().as_secs_f64()));
    }
    centre.stop().await?;
    stop.store(true, Ordering::Relaxed);
    beating.await.context("join the heartbeats")??;
    let what = format!("of a core, {QUIET_STORES} quiet stores");
    Ok(Row::new("scale.quiet", what, "%", &shares).aim(Aim::AtMost(2.0)))
}
