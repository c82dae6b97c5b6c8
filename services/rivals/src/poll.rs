//! A plain copy: every so often, what has changed since the last time is fetched and written.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::interval;
use tokio_postgres::{Client, NoTls};

use crate::figures::{durations, note};
use crate::serve::database;

/// Between two changes at the source.
const CHANGE_EVERY: Duration = Duration::from_millis(5);
const ITEMS: i64 = 10_000;

/// How old changes were when the copy showed them, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Staleness {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    /// What half of the polls took at most, from asking to the commit at the copy.
    pub poll: f64,
}

impl Staleness {
    /// What polling every so often comes to: a change waits for the next poll, any part of the interval
    /// being as likely as any other, and then for the poll itself.
    pub fn computed(every: Duration, poll: f64) -> Self {
        let every = every.as_secs_f64() * 1_000.0;
        Self { p50: every * 0.5 + poll, p99: every * 0.99 + poll, max: every + poll, poll }
    }
}

/// Changes that the source was asked for, and when, which the copy does not show.
type Pending = Arc<Mutex<VecDeque<(i64, Instant)>>>;

/// Changes the source evenly, and copies it by so many polls.
pub async fn measure(socket: &Path, every: Duration, polls: u64) -> anyhow::Result<Staleness> {
    let (writer, poller) = (connect(socket).await?, connect(socket).await?);
    let pending = Pending::default();
    let change = tokio::spawn(change(writer, Arc::clone(&pending)));
    let copied = copy(poller, every, polls, &pending).await;
    change.abort();
    copied
}

async fn connect(socket: &Path) -> anyhow::Result<Client> {
    let (client, connection) = database(socket).connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// One writer, so that no version becomes visible behind a later one, which a poll would miss.
async fn change(source: Client, pending: Pending) -> anyhow::Result<()> {
    let update = "UPDATE source SET on_hand = on_hand - 1, version = $1 WHERE sku = $2";
    let update = source.prepare(update).await?;
    let mut next = interval(CHANGE_EVERY);
    let first: i64 = source.query_one("SELECT max(version) + 1 FROM source", &[]).await?.get(0);
    for version in first.. {
        next.tick().await;
        let sku = format!("ITEM-{}", fastrand::i64(0..ITEMS));
        // In front of the commit: a poll may come right behind it.
        let asked = (version, Instant::now());
        pending.lock().unwrap_or_else(PoisonError::into_inner).push_back(asked);
        source.execute(&update, &[&version, &sku]).await?;
    }
    Ok(())
}

async fn copy(
    mut database: Client,
    every: Duration,
    polls: u64,
    pending: &Pending,
) -> anyhow::Result<Staleness> {
    let fetch = "SELECT sku, on_hand, version FROM source WHERE version > $1 ORDER BY version";
    let fetch = database.prepare(fetch).await?;
    let write = "
        UPDATE copy SET on_hand = new.on_hand, version = new.version
        FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (sku, on_hand, version)
        WHERE copy.sku = new.sku";
    let write = database.prepare(write).await?;
    let row = database.query_one("SELECT max(version) FROM copy", &[]).await?;
    let mut through: i64 = row.get(0);
    let (mut ages, mut took) = (durations(), durations());
    let mut next = interval(every);
    // The first one is at once, and finds what the run before has left.
    for _poll in 0..=polls {
        next.tick().await;
        let started = Instant::now();
        let rows = database.query(&fetch, &[&through]).await?;
        let skus: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        let levels: Vec<i64> = rows.iter().map(|row| row.get(1)).collect();
        let versions: Vec<i64> = rows.iter().map(|row| row.get(2)).collect();
        let transaction = database.transaction().await?;
        transaction.execute(&write, &[&skus, &levels, &versions]).await?;
        transaction.commit().await?;
        let shown = Instant::now();
        through = versions.last().copied().unwrap_or(through);
        let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, asked)) = pending.pop_front_if(|(version, _)| *version <= through) {
            note(&mut ages, shown.saturating_duration_since(asked));
        }
        drop(pending);
        if !rows.is_empty() {
            note(&mut took, shown - started);
        }
    }
    let millis = |micros: u64| micros as f64 / 1_000.0;
    Ok(Staleness {
        p50: millis(ages.value_at_quantile(0.5)),
        p99: millis(ages.value_at_quantile(0.99)),
        max: millis(ages.max()),
        poll: millis(took.value_at_quantile(0.5)),
    })
}
