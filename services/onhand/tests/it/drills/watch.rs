//! Looks at what the centre shows, all the time, and at what is true in the journals.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::Client;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::task::AbortHandle;

use super::drill::{MARGIN, STALE_AFTER};
use crate::chain::Chain;
use crate::process::eventually;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the centre said of a store.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) asked: Instant,
    pub(super) answered: Instant,
    store: String,
    pub(super) state: String,
    pub(super) age_ms: Option<u64>,
    pub(super) lag: u64,
    pub(super) head: u64,
    pub(super) applied: u64,
}

impl Sample {
    pub(super) fn is(&self, state: &str) -> bool {
        self.state == state
    }
}

/// A journal's head at a moment.
type Truth = Vec<(Instant, u64)>;

#[derive(Default)]
struct Seen {
    samples: Mutex<Vec<Sample>>,
    heads: Mutex<BTreeMap<String, Truth>>,
    /// When the centre stood still, and could compute nothing.
    still: Mutex<Vec<(Instant, Instant)>>,
    stop: AtomicBool,
}

/// The watch of one drill.
pub(super) struct Watch {
    seen: Arc<Seen>,
    asking: AbortHandle,
    reading: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the first centre and all stores.
    pub(super) fn open(chain: &Chain) -> Self {
        let seen = Arc::new(Seen::default());
        let url = format!("{}/api/stores", chain.centres[0].url);
        let asking = tokio::spawn(ask(url, Arc::clone(&seen))).abort_handle();
        let journals: Vec<(String, PathBuf)> =
            chain.stores.iter().map(|store| (store.id.clone(), chain.journal(&store.id))).collect();
        let reading = std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || read(&journals, &seen)
        });
        Self { seen, asking, reading: Some(reading) }
    }

    /// Looks at the journals no more: from now on, what the centre shows is not held to them.
    pub(super) fn stop_reading(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
    }

    /// Waits for an answer about a store that was asked for after a moment.
    pub(super) async fn sees(
        &self,
        store: &str,
        since: Instant,
        wanted: impl Fn(&Sample) -> bool,
    ) -> Sample {
        eventually("the centre shows it", async || {
            let samples = self.seen.samples.lock().unwrap();
            let of_store =
                |sample: &&Sample| sample.store == store && sample.asked >= since && wanted(sample);
            samples.iter().find(of_store).cloned()
        })
        .await
    }

    /// What was answered about a store to those who asked between two moments.
    pub(super) fn between(&self, store: &str, from: Instant, to: Instant) -> Vec<Sample> {
        let samples = self.seen.samples.lock().unwrap();
        let within =
            |sample: &&Sample| sample.store == store && (from..=to).contains(&sample.asked);
        samples.iter().filter(within).cloned().collect()
    }

    /// How often each state was shown.
    pub(super) fn states(&self, store: &str, from: Instant, to: Instant) -> String {
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        for sample in self.between(store, from, to) {
            *states.entry(sample.state).or_default() += 1;
        }
        let mut told = String::new();
        for (state, count) in states {
            write!(told, "{}{count} × {state}", if told.is_empty() { "" } else { ", " }).unwrap();
        }
        told
    }

    /// The centre stood still between two moments: who asked then was answered later.
    pub(super) fn centre_stood_still(&self, from: Instant, to: Instant) {
        self.seen.still.lock().unwrap().push((from, to));
    }

    /// Holds everything the centre showed to the journals: a store's number that was shown as fresh was
    /// true no longer ago than a heartbeat may be. Gives the number of looks.
    pub(super) fn is_honest(&self) -> usize {
        let samples = self.seen.samples.lock().unwrap();
        let (heads, still) = (self.seen.heads.lock().unwrap(), self.seen.still.lock().unwrap());
        for sample in samples.iter().filter(|sample| sample.is("fresh")) {
            let stood = still.iter().find(|(from, to)| *from <= sample.asked && sample.asked < *to);
            let computed = stood.map_or(sample.asked, |(_, to)| *to);
            let oldest = computed.checked_sub(STALE_AFTER + MARGIN).unwrap();
            let truth = &heads[&sample.store];
            let known = truth.iter().take_while(|(at, _)| *at <= oldest).map(|(_, head)| *head);
            let head = known.max().unwrap_or_default();
            assert!(
                sample.applied >= head,
                "{sample:?} is older than it may be: the store was at {head} {:?} before",
                STALE_AFTER + MARGIN
            );
            let age = Duration::from_millis(sample.age_ms.unwrap());
            assert!(age < STALE_AFTER, "{sample:?}");
        }
        samples.len()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.asking.abort();
        self.stop_reading();
    }
}

/// Asks for ever, and waits for each answer as long as it takes: a centre that stood still must be
/// caught with its first one.
async fn ask(url: String, seen: Arc<Seen>) {
    let client = Client::new();
    loop {
        let asked = Instant::now();
        if let Ok(response) = client.get(&url).send().await
            && let Ok(text) = response.text().await
        {
            let answered = Instant::now();
            let answer: Value = serde_json::from_str(&text).unwrap();
            let mut samples = seen.samples.lock().unwrap();
            for store in answer["stores"].as_array().unwrap() {
                let freshness = &store["freshness"];
                samples.push(Sample {
                    asked,
                    answered,
                    store: store["storeId"].as_str().unwrap().to_owned(),
                    state: freshness["state"].as_str().unwrap().to_owned(),
                    age_ms: freshness["ageMs"].as_u64(),
                    lag: freshness["lagEvents"].as_u64().unwrap(),
                    head: store["head"].as_u64().unwrap(),
                    applied: store["appliedThrough"].as_u64().unwrap(),
                });
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn read(journals: &[(String, PathBuf)], seen: &Seen) {
    while !seen.stop.load(Ordering::Relaxed) {
        for (store, journal) in journals {
            // Away or being made: nothing new is known.
            if let Ok(head) = head(journal) {
                let mut heads = seen.heads.lock().unwrap();
                heads.entry(store.clone()).or_default().push((Instant::now(), head));
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Read-only, so that the looking leaves the journal as a kill left it.
pub(super) fn head(journal: &Path) -> rusqlite::Result<u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(journal.join("journal.db"), flags)?;
    let sql = "SELECT coalesce(max(sequence), 0) FROM events";
    database.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}
