//! A centre with an empty disk, from the topics.

use std::sync::Arc;
use std::time::Instant;

use crate::bench::chain;
use crate::bench::events::{self, Events};
use crate::bench::limits::broker::drain;
use crate::bench::process::{bytes_in, cpu_per_million};
use crate::bench::row::{Aim, Cost, Row};
use crate::bench::run::Run;

const EVENTS: u64 = 2_000_000;
const STORES: u64 = 12;
/// Of each store: 600,000 pairs together.
const ITEMS: u64 = 50_000;

pub(in crate::bench) async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let part = run.part()?;
    let count = run.sized(EVENTS);
    let (log, topics) = (Arc::clone(&run.log), part.topics.clone());
    let mut events = Events::new("PAST", STORES, run.sized(ITEMS));
    let events = run
        .blocking(move || {
            events.publish_all(log.as_ref(), &topics, count)?;
            Ok(events)
        })
        .await?;
    let (mut limits, mut rounds, mut cost) = (Vec::new(), Vec::new(), Cost::default());
    for _ in 0..run.rounds {
        run.go_on()?;
        let (log, topic) = (Arc::clone(&run.log), part.topics.stock_events());
        limits.push(run.blocking(move || drain(&log, &topic)).await?);
        let started = Instant::now();
        let centre = chain::centre(&part).await?;
        events::shown(&events, &centre).await?;
        rounds.push(count as f64 / started.elapsed().as_secs_f64());
        let used = centre.used();
        centre.stop().await?;
        cost = Cost {
            cpu_seconds_per_million: cpu_per_million(Some(Default::default()), used, count as f64),
            resident_mib: used.map(crate::bench::process::Used::resident_mib),
            bytes_per_event: Some(bytes_in(&chain::centre_folder(&part))? as f64 / count as f64),
        };
        std::fs::remove_dir_all(chain::centre_folder(&part))?;
    }
    let what = format!("events of {} pairs, from an empty disk", STORES * run.sized(ITEMS));
    Ok(vec![
        Row::new("rebuild.events", what, "/s", &rounds)
            .beside("bare drain of the topic", &rounds, &limits)
            .aim(Aim::AtLeast(0.5))
            .cost(cost),
    ])
}
