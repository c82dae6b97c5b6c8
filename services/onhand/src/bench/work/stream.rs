//! Changes to many who follow them.

use std::sync::Arc;

use super::visible::followed;
use crate::bench::chain;
use crate::bench::limits::broker::Hop;
use crate::bench::load::millis;
use crate::bench::process::cpu_per_million;
use crate::bench::row::{Cost, Row};
use crate::bench::run::Run;

const ITEMS: u64 = 10_000;
const FOLLOWERS: u32 = 100;
const PER_SECOND: f64 = 100.0;

pub(in crate::bench) async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let part = run.part()?;
    let (store, centre) = chain::filled(&part, ITEMS).await?;
    let (log, topic) = (Arc::clone(&run.log), run.bare_topic());
    let mut hop = run.blocking(move || Hop::open(log.as_ref(), &topic)).await?;
    let (mut limits, mut rounds, mut cost) = (Vec::new(), Vec::new(), None);
    for _ in 0..run.rounds {
        run.go_on()?;
        let (time, bare);
        time = run.time;
        (bare, hop) = run.blocking(move || hop.paced(PER_SECOND, time)).await?;
        limits.push(millis(&bare, 0.99));
        let before = centre.used();
        let followers = usize::try_from(FOLLOWERS)?;
        let heard = followed(run, &store, &centre, PER_SECOND, followers).await?;
        let told = heard.len() as f64 * f64::from(FOLLOWERS);
        cost = cpu_per_million(before, centre.used(), told);
        rounds.push(millis(&heard, 0.99));
    }
    store.stop().await?;
    centre.stop().await?;
    let what = format!("commit to the last of {FOLLOWERS} followers, 100/s, p99");
    Ok(vec![
        Row::new("stream.p99", what, "ms", &rounds)
            .beside("bare hop", &rounds, &limits)
            .cost(Cost { cpu_seconds_per_million: cost, ..Cost::default() }),
    ])
}
