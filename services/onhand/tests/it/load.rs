//! Tills that never stop selling, and remember every answer they got.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::chain::{Chain, open};
use crate::process::PATIENCE;

/// Items on each shelf: few, so that tills meet at the same ones.
const SKUS: usize = 40;
/// Tills of each store.
const TILLS: usize = 3;

/// An answer a till got.
pub(crate) struct Answered {
    store: String,
    command: String,
    /// The event it was told, or `None` for a business "no".
    event: Option<(i64, i64)>,
}

/// A load that runs until it is told to stop.
pub(crate) struct Load {
    tills: JoinSet<Vec<Answered>>,
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
}

impl Load {
    /// Starts the tills of all stores, as fast as they are answered. `seed` decides what they sell.
    pub(crate) fn start(chain: &Chain, seed: u64) -> Self {
        Self::at_pace(chain, seed, Duration::ZERO)
    }

    /// The same, with a pause between sales.
    pub(crate) fn at_pace(chain: &Chain, seed: u64, pause: Duration) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tills = JoinSet::new();
        for store in &chain.stores {
            for till in 0..TILLS {
                let till = Till {
                    store: store.id.clone(),
                    name: format!("{}-{till}-{seed}", store.id),
                    url: format!("{}/api/commands/inventory/adjust", store.service.url),
                    client: Client::new(),
                    pause,
                    random: fastrand::Rng::with_seed(seed + u64::try_from(till).unwrap()),
                };
                tills.spawn(till.work(Arc::clone(&stop), Arc::clone(&answers)));
            }
        }
        Self { tills, stop, answers }
    }

    /// Answers the tills got so far.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Waits until the tills got this many more answers.
    pub(crate) async fn more(&self, answers: usize) {
        let until = self.answers.load(Ordering::Relaxed) + answers;
        crate::process::eventually("the tills go on selling", async || {
            (self.answers.load(Ordering::Relaxed) >= until).then_some(())
        })
        .await;
    }

    /// Stops the tills and gives all their answers.
    pub(crate) async fn stop(self) -> Vec<Answered> {
        self.stop.store(true, Ordering::Relaxed);
        self.tills.join_all().await.into_iter().flatten().collect()
    }
}

struct Till {
    store: String,
    name: String,
    url: String,
    client: Client,
    pause: Duration,
    random: fastrand::Rng,
}

impl Till {
    async fn work(mut self, stop: Arc<AtomicBool>, answers: Arc<AtomicUsize>) -> Vec<Answered> {
        let (mut answered, mut asked) = (Vec::new(), Vec::new());
        for number in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
            let command = format!("{}-{number}", self.name);
            let sku = format!("SKU-{}", self.random.usize(0..SKUS));
            // More goes out than comes in, so that some sales meet an empty shelf.
            let delta = if self.random.u8(0..100) < 40 {
                self.random.i64(1..=5)
            } else {
                -self.random.i64(1..=4)
            };
            let body = json!({
                "storeId": self.store, "sku": sku, "delta": delta, "commandId": command
            });
            let event = self.answer(&body).await;
            answers.fetch_add(1, Ordering::Relaxed);
            // A till that lost an answer asks again, perhaps after its store was killed.
            asked.push((body, event));
            if self.random.u8(0..100) < 5 {
                let (earlier, told) = &asked[self.random.usize(0..asked.len())];
                assert_eq!(self.answer(earlier).await, *told, "another answer to {earlier}");
            }
            answered.push(Answered { store: self.store.clone(), command, event });
        }
        answered
    }

    /// Asks until there is an answer: a till repeats what it does not know the outcome of.
    async fn answer(&self, body: &Value) -> Option<(i64, i64)> {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let request = self.client.post(&self.url).header("content-type", "application/json");
            if let Ok(response) = request.body(body.to_string()).send().await {
                let status = response.status().as_u16();
                if let Ok(text) = response.text().await {
                    match status {
                        200 => {
                            let answer: Value = serde_json::from_str(&text).unwrap();
                            let number = |name: &str| answer[name].as_i64().unwrap();
                            return Some((number("sequence"), number("delta")));
                        }
                        409 => return None,
                        // Stopping or full: nothing was done, or the id will tell.
                        500.. => {}
                        other => panic!("{other}: {text}"),
                    }
                }
            }
            assert!(std::time::Instant::now() < deadline, "no answer to {body}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Holds the journals to what the tills were told: every acknowledged command is there exactly once,
/// as it was told, and no event of their items is there that nobody asked for.
///
/// Gives the number of acknowledged events.
pub(crate) fn each_answer_stands_once(chain: &Chain, answers: &[Answered]) -> usize {
    let mut acknowledged = 0;
    for store in &chain.stores {
        let events = events(&chain.journal(&store.id));
        let mut told = 0;
        for answer in answers.iter().filter(|answer| answer.store == store.id) {
            let found = events.get(&answer.command).map_or(&[][..], Vec::as_slice);
            match answer.event {
                Some(event) => {
                    assert_eq!(found, [event], "{} stands there otherwise", answer.command);
                    told += 1;
                }
                None => assert!(found.is_empty(), "{} was refused", answer.command),
            }
        }
        assert_eq!(events.len(), told, "store {} has events nobody was told of", store.id);
        acknowledged += told;
    }
    acknowledged
}

/// Sequence and delta of each command's events.
fn events(journal: &Path) -> BTreeMap<String, Vec<(i64, i64)>> {
    let database = open(journal);
    let sql = "SELECT cause, sequence, data ->> 'delta' FROM events WHERE sku LIKE 'SKU-%'";
    let mut statement = database.prepare(sql).unwrap();
    let mut events: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?))))
        .unwrap();
    for row in rows {
        let (command, event) = row.unwrap();
        events.entry(command).or_default().push(event);
    }
    events
}
