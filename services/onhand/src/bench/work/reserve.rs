//! From a reservation's request to the store's confirmation.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use event_log::EventLog;
use hdrhistogram::Histogram;
use serde_json::json;
use shared_events::topic::TopicSpec;

use crate::bench::chain::{self, item};
use crate::bench::limits::broker::Hop;
use crate::bench::limits::disk::Disk;
use crate::bench::load::{Asked, Load, Next, Pace, count, histogram, millis};
use crate::bench::process::{Process, cpu_per_million};
use crate::bench::rivals::Rivals;
use crate::bench::row::{Aim, Cost, Row};
use crate::bench::run::Run;

const ITEMS: u64 = 10_000;
/// Trips before any counts.
const WARM_UP: usize = 20;

#[derive(Default)]
struct Rounds {
    bare_p50: Vec<f64>,
    bare_p99: Vec<f64>,
    one_p50: Vec<f64>,
    half_p99: Vec<f64>,
    wide: Vec<f64>,
    hot: Vec<f64>,
    wide_cost: Option<f64>,
}

pub(in crate::bench) async fn measure(run: &Run) -> anyhow::Result<Vec<Row>> {
    let rivals = run.rivals.as_deref().map(Rivals::read).transpose()?.unwrap_or_default();
    let part = run.part()?;
    let (store, centre) = chain::filled(&part, ITEMS).await?;
    let (log, topics) = (Arc::clone(&run.log), [run.bare_topic(), run.bare_topic()]);
    let folder = part.folder.clone();
    let mut path = run.blocking(move || BarePath::open(log.as_ref(), &topics, &folder)).await?;
    let mut rounds = Rounds::default();
    for _ in 0..run.rounds {
        run.go_on()?;
        let (time, bare);
        time = run.time;
        (bare, path) = run.blocking(move || path.round_trips(time)).await?;
        rounds.bare_p50.push(millis(&bare, 0.5));
        rounds.bare_p99.push(millis(&bare, 0.99));
        subject(run, &store, &centre, &mut rounds).await?;
    }
    store.stop().await?;
    centre.stop().await?;
    Ok(rows(run, &rounds, &rivals))
}

async fn subject(
    run: &Run,
    store: &Process,
    centre: &Process,
    rounds: &mut Rounds,
) -> anyhow::Result<()> {
    let spread: Next = Arc::new(|number| reservation(number, fastrand::u64(0..ITEMS)));
    let hot: Next = Arc::new(|number| reservation(number, 0));
    let one = run.load(centre, 1, Arc::clone(&spread)).run().await?;
    rounds.one_p50.push(one.millis(0.5));
    let before = (store.used(), centre.used());
    let wide = run.load(centre, run.clients, Arc::clone(&spread)).run().await?;
    let done = wide.count() as f64;
    let cost = (cpu_per_million(before.0, store.used(), done)).zip(cpu_per_million(
        before.1,
        centre.used(),
        done,
    ));
    rounds.wide_cost = cost.map(|(store, centre)| store + centre);
    rounds.wide.push(wide.per_second());
    rounds.hot.push(run.load(centre, run.clients, hot).run().await?.per_second());
    let half =
        Load { pace: Pace::Open(wide.per_second() / 2.0), ..run.load(centre, run.clients, spread) };
    rounds.half_p99.push(half.run().await?.millis(0.99));
    Ok(())
}

/// One unit of an item, answered when the store has promised it.
fn reservation(number: u64, item_number: u64) -> Asked {
    let lines = json!([{"sku": item(item_number), "quantity": 1}]);
    let body = json!({"orderId": number.to_string(), "lines": lines}).to_string();
    Asked::post("/api/reservations", body).header("prefer", "wait=20")
}

fn rows(run: &Run, rounds: &Rounds, rivals: &Rivals) -> Vec<Row> {
    let clients = run.clients;
    let bare = "two bare hops + two bare commits";
    let hot = Row::new("reserve.hot", format!("{clients} clients on one item"), "/s", &rounds.hot);
    let wide = Row::new(
        "reserve.spread",
        format!("{clients} clients on {ITEMS} items"),
        "/s",
        &rounds.wide,
    )
    .cost(Cost { cpu_seconds_per_million: rounds.wide_cost, ..Cost::default() });
    vec![
        Row::new("reserve.one", "one client, p50", "ms", &rounds.one_p50).beside(
            bare,
            &rounds.one_p50,
            &rounds.bare_p50,
        ),
        Row::new("reserve.half", "at half the rate reached, p99", "ms", &rounds.half_p99)
            .beside(bare, &rounds.half_p99, &rounds.bare_p99)
            .aim(Aim::AtMost(2.0)),
        rivals.beside(hot, ("reserve.raw.hot.rate", clients), "PostgreSQL", Aim::AtLeast(5.0)),
        rivals.beside(
            wide,
            ("reserve.http.spread.rate", clients),
            "PostgreSQL behind axum",
            Aim::AtLeast(1.0),
        ),
    ]
}

/// The way a reservation takes, with nothing on it: a commit at the centre, a hop to the store, a commit
/// there, and a hop back.
struct BarePath {
    there: Hop,
    back: Hop,
    centre: Disk,
    store: Disk,
}

impl BarePath {
    fn open(log: &dyn EventLog, topics: &[TopicSpec; 2], folder: &Path) -> anyhow::Result<Self> {
        let [there, back] = topics;
        Ok(Self {
            there: Hop::open(log, there)?,
            back: Hop::open(log, back)?,
            centre: Disk::open(&folder.join("bare-centre.db"))?,
            store: Disk::open(&folder.join("bare-store.db"))?,
        })
    }

    /// One at a time, for so long.
    fn round_trips(mut self, time: Duration) -> anyhow::Result<(Histogram<u64>, Self)> {
        for _ in 0..WARM_UP {
            self.trip()?;
        }
        let (mut trips, started) = (histogram(), Instant::now());
        while started.elapsed() < time {
            let began = Instant::now();
            self.trip()?;
            count(&mut trips, began.elapsed());
        }
        ensure!(!trips.is_empty(), "not one round trip in {time:?}");
        Ok((trips, self))
    }

    fn trip(&mut self) -> anyhow::Result<()> {
        self.centre.commit(1)?;
        self.there.take()?;
        self.store.commit(1)?;
        self.back.take()
    }
}
