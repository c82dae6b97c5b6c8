//! From a reservation's request to the store's confirmation.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use event_log::EventLog;
use reqwest::Client;
use serde_json::json;
use service_kit::clock;
use shared_events::Sku;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::chain::Chain;
use super::figures::{Durations, millis, ratio};
use super::{Common, bare};
use crate::output;

/// Measure reservations: request to store-confirmed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Items of the spread load.
    #[arg(
        long,
        default_value_t = 10_000,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    skus: u32,
}

/// Units of each item: more than any run reserves.
const UNITS: i64 = 1_000_000_000;

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let Args { common, skus } = args;
    let folder = match &common.data_dir {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let folder = folder.context("make a folder for the run")?;
    let log: Arc<dyn EventLog> = common.broker.log().map_err(anyhow::Error::msg)?;
    let name = format!("bench-{}.", clock::unix_millis());
    let topics = common.broker.topics_under(&name);

    output::heading("Reserve: request to store-confirmed, over HTTP, with Prefer: wait");
    let bare = {
        let (log, topic) = (Arc::clone(&log), topics.policies());
        let topic = shared_events::topic::TopicSpec { name: format!("{name}bare"), ..topic };
        let (path, time) = (folder.path().to_owned(), common.time());
        tokio::task::spawn_blocking(move || bare::round_trips(log.as_ref(), &topic, &path, time))
            .await??
    };
    report("bare: 2 hops + 2 commits, one at a time", &bare, None);

    let chain = Chain::open(log, &topics, folder.path()).await?;
    let spread: Vec<Sku> =
        (0..skus).map(|item| format!("ITEM-{item}").parse()).collect::<Result<_, _>>()?;
    let hot: Vec<Sku> = vec!["HOT".parse()?];
    chain.stock(&spread, UNITS).await?;
    chain.stock(&hot, UNITS).await?;

    let load = |skus: &[Sku], clients: u16, every: Option<Duration>| Load {
        url: format!("{}/reservations", chain.url),
        skus: Arc::new(skus.to_vec()),
        clients,
        every,
        time: common.time(),
        stop: stop.clone(),
    };
    let one = load(&spread, 1, None).run().await?;
    report("one client", &one.durations, Some(&bare));
    let wide = load(&spread, common.clients, None).run().await?;
    rate(&format!("{} clients on {skus} items", common.clients), &wide);
    report("  each", &wide.durations, Some(&bare));
    let hot_rate = load(&hot, common.clients, None).run().await?;
    rate(&format!("{} clients on one item", common.clients), &hot_rate);
    report("  each", &hot_rate.durations, Some(&bare));
    output::say(&format!(
        "  hot item's rate / spread rate: {} (aim: 0.50 or more)",
        ratio(u128::from(hot_rate.per_second()), u128::from(wide.per_second()))
    ));
    // Half the rate that was reached, evenly spread over the clients.
    let every = Duration::from_secs(2) * u32::from(common.clients)
        / u32::try_from(wide.per_second().max(1)).unwrap_or(u32::MAX);
    let half = load(&spread, common.clients, Some(every)).run().await?;
    rate("at half that load", &half);
    report("  each (aim: p99 2.00 or less)", &half.durations, Some(&bare));
    chain.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn report(what: &str, durations: &Durations, bare: Option<&Durations>) {
    let at = |percent| {
        let measured = durations.percentile(percent);
        let beside = bare.map(|bare| {
            let to = bare.percentile(percent);
            format!(" ({} x bare)", ratio(measured.as_micros(), to.as_micros()))
        });
        format!("p{percent} {}{}", millis(measured), beside.unwrap_or_default())
    };
    output::say(&format!("  {what:<42} {}, {}; {} times", at(50), at(99), durations.count()));
}

fn rate(what: &str, run: &Run) {
    output::say(&format!("  {what:<42} {}/s", run.per_second()));
}

/// Clients who reserve one unit at a time.
struct Load {
    url: String,
    skus: Arc<Vec<Sku>>,
    clients: u16,
    /// Time between two requests of one client; as fast as they are answered, when absent.
    every: Option<Duration>,
    time: Duration,
    stop: CancellationToken,
}

struct Run {
    durations: Durations,
    took: Duration,
}

impl Run {
    fn per_second(&self) -> u64 {
        let count = u128::try_from(self.durations.count()).unwrap_or(u128::MAX);
        let per_second = (count * 1_000).checked_div(self.took.as_millis()).unwrap_or_default();
        u64::try_from(per_second).unwrap_or(u64::MAX)
    }
}

impl Load {
    async fn run(self) -> anyhow::Result<Run> {
        static ORDER: AtomicU64 = AtomicU64::new(0);
        let (client, started) = (Client::new(), Instant::now());
        let mut clients = JoinSet::new();
        for number in 0..self.clients {
            let (client, skus) = (client.clone(), Arc::clone(&self.skus));
            let (url, time, every) = (self.url.clone(), self.time, self.every);
            let stop = self.stop.clone();
            clients.spawn(async move {
                let mut measured = Vec::new();
                // Clients do not knock all at once.
                let mut next = started
                    + every.unwrap_or_default() * u32::from(number) / u32::from(self.clients);
                while started.elapsed() < time {
                    if stop.is_cancelled() {
                        bail!("interrupted");
                    }
                    if let Some(every) = every {
                        tokio::time::sleep_until(next.into()).await;
                        next += every;
                    }
                    let order = ORDER.fetch_add(1, Ordering::Relaxed);
                    let place = fastrand::usize(0..skus.len());
                    let sku = skus.get(place).context("an item")?;
                    let lines = json!([{"sku": sku, "quantity": 1}]);
                    let body = json!({"orderId": order.to_string(), "lines": lines}).to_string();
                    let request = client.post(&url).header("content-type", "application/json");
                    let asked = Instant::now();
                    let answer = request.header("prefer", "wait=20").body(body).send().await?;
                    let status = answer.status().as_u16();
                    let text = answer.text().await?;
                    if status != 201 {
                        bail!("a reservation was answered {status}: {text}");
                    }
                    measured.push(asked.elapsed());
                }
                Ok(measured)
            });
        }
        let mut measured = Vec::new();
        while let Some(one) = clients.join_next().await {
            measured.extend(one.context("join a client")??);
        }
        Ok(Run { durations: Durations::new(measured), took: started.elapsed() })
    }
}
