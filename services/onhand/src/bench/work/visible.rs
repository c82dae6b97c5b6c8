//! From a store's answer to the moment the centre tells it to those who follow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;

use crate::bench::chain::{self, field, sale};
use crate::bench::follow::Followers;
use crate::bench::limits::broker::Hop;
use crate::bench::load::{Asked, Heard, Next, Pace, count, histogram, millis};
use crate::bench::process::Process;
use crate::bench::row::{Aim, Row};
use crate::bench::run::Run;

const ITEMS: u64 = 10_000;
const PER_SECOND: f64 = 500.0;
const CLIENTS: u16 = 16;
const HEARD_WITHIN: Duration = Duration::from_secs(30);

pub(in crate::bench) async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let part = run.part()?;
    let (store, centre) = chain::filled(&part, ITEMS).await?;
    let (log, topic) = (Arc::clone(&run.log), run.bare_topic());
    let mut hop = run.blocking(move || Hop::open(log.as_ref(), &topic)).await?;
    let [mut bare_p50, mut bare_p99, mut p50, mut p99] = [const { Vec::new() }; 4];
    for _ in 0..run.rounds {
        run.go_on()?;
        let (time, bare);
        time = run.time;
        (bare, hop) = run.blocking(move || hop.paced(PER_SECOND, time)).await?;
        bare_p50.push(millis(&bare, 0.5));
        bare_p99.push(millis(&bare, 0.99));
        let followed = followed(run, &store, &centre, PER_SECOND, 1).await?;
        p50.push(millis(&followed, 0.5));
        p99.push(millis(&followed, 0.99));
    }
    store.stop().await?;
    centre.stop().await?;
    Ok(vec![
        Row::new("visible.p50", "commit to visible, 500/s, p50", "ms", &p50)
            .beside("bare hop", &p50, &bare_p50)
            .aim(Aim::AtMost(2.0)),
        Row::new("visible.p99", "commit to visible, 500/s, p99", "ms", &p99)
            .beside("bare hop", &p99, &bare_p99)
            .aim(Aim::AtMost(2.0)),
    ])
}

/// Sells at so many a second, and times each sale from the store's answer until a follower hears of
/// it; the last one, where there are several.
pub(super) async fn followed(
    run: &Run,
    store: &Process,
    centre: &Process,
    per_second: f64,
    followers: usize,
) -> anyhow::Result<Histogram<u64>> {
    let following = Followers::open(centre, followers).await?;
    let answers: Arc<Mutex<Vec<(u64, Instant)>>> = Arc::default();
    let heard: Heard = {
        let answers = Arc::clone(&answers);
        Arc::new(move |at, answer| {
            let sequence = std::str::from_utf8(answer).ok().map(|answer| field(answer, "sequence"));
            if let Some(sequence) = sequence.and_then(|sequence| sequence.as_u64()) {
                answers.lock().unwrap_or_else(PoisonError::into_inner).push((sequence, at));
            }
        })
    };
    let next: Next =
        Arc::new(|number| Asked::post("/api/commands/inventory/adjust", sale(number % ITEMS)));
    let mut load = run.load(store, CLIENTS, next);
    (load.pace, load.heard) = (Pace::Open(per_second), Some(heard));
    load.run().await?;
    let answers = std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
    let until = Instant::now() + HEARD_WITHIN;
    while following.heard() < answers.len() * followers {
        ensure!(Instant::now() < until, "the stream does not tell everything");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut last: HashMap<u64, Instant> = HashMap::new();
    for (sequence, at) in following.close().await?.into_iter().flatten() {
        last.entry(sequence).and_modify(|last| *last = at.max(*last)).or_insert(at);
    }
    let mut latencies = histogram();
    for (sequence, answered) in answers {
        if let Some(heard) = last.get(&sequence) {
            count(&mut latencies, heard.saturating_duration_since(answered));
        }
    }
    Ok(latencies)
}
