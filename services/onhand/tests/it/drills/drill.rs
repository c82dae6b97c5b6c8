//! What every drill has: a chain with small bounds, tills, a watch on the centre, and the checks at the
//! end.

use std::fmt::Display;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use super::watch::{Sample, Watch};
use crate::chain::{Chain, Setup, verify};
use crate::load::{Answered, Load, each_answer_stands_once};

/// What the stores are told; see [`Chain::with`].
pub(super) const HEARTBEAT: Duration = Duration::from_millis(200);
pub(super) const STALE_AFTER: Duration = Duration::from_millis(2_000);
pub(super) const DARK_AFTER: Duration = Duration::from_millis(4_000);
/// What a busy machine may add to any time.
pub(super) const MARGIN: Duration = Duration::from_millis(1_500);
/// Between two sales of a till.
const PACE: Duration = Duration::from_millis(15);

/// The centre's flags for these bounds.
pub(super) const BOUNDS: [&str; 4] = ["--stale-after-ms", "2000", "--dark-after-ms", "4000"];

pub(super) const STORES: [&str; 2] = ["north", "south"];

/// One drill at a time: their bounds are not for a machine that runs several.
static TURN: Mutex<()> = Mutex::const_new(());

/// A running drill.
pub(super) struct Drill {
    name: &'static str,
    pub(super) watch: Watch,
    pub(super) chain: Chain,
    load: Option<Load>,
    answers: Vec<Answered>,
    began: Instant,
    _turn: MutexGuard<'static, ()>,
}

impl Drill {
    /// Two stores and a centre with small bounds.
    pub(super) async fn start(name: &'static str, lines: &[&str]) -> Self {
        Self::with(name, &Setup { lines, centre_args: &BOUNDS, ..Setup::default() }).await
    }

    /// The same, with all flags said.
    pub(super) async fn with(name: &'static str, setup: &Setup<'_>) -> Self {
        let turn = TURN.lock().await;
        let began = Instant::now();
        let chain = Chain::with(&STORES, &["central"], setup).await;
        let watch = Watch::open(&chain);
        let (load, answers) = (None, Vec::new());
        let drill = Self { name, watch, chain, load, answers, began, _turn: turn };
        for store in STORES {
            drill.watch.sees(store, began, |sample| sample.is("fresh")).await;
        }
        drill.say(format!("two stores fresh {} after the first process started", s(began)));
        drill
    }

    /// Tells a step.
    pub(super) fn say(&self, step: impl Display) {
        println!("drill {}: {step}", self.name);
    }

    /// Opens the tills of all stores.
    pub(super) fn sell(&mut self) {
        // Other tills than before, whose commands have other ids.
        let seed = fastrand::u64(..1 << 40);
        self.load = Some(Load::at_pace(&self.chain, seed, PACE));
    }

    /// Waits until the tills got so many more answers.
    pub(super) async fn sold(&self, answers: usize) {
        self.load.as_ref().expect("tills that sell").more(answers).await;
    }

    /// A delivery for north's own shelf: one request, one transaction, an event of each item.
    pub(super) async fn deliver(&self, items: usize) {
        let lines = (0..items).map(|item| {
            let sku = format!("DELIVERED-{item}");
            format!("{}\n", json!({"storeId": "north", "sku": sku, "quantity": 5}))
        });
        let url = format!("{}/api/commands/inventory/batch", self.chain.stores[0].service.url);
        let request = Client::new().post(url).body(lines.collect::<String>());
        let answer = request.header("content-type", "application/x-ndjson").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
    }

    /// Answers the tills got so far.
    pub(super) fn answers(&self) -> usize {
        self.load.as_ref().map_or(0, Load::answers)
    }

    /// Waits until a store is no longer shown as being in contact, and holds that to its bound.
    pub(super) async fn silence_is_seen(&self, store: &str, since: Instant) -> Instant {
        let silent = |sample: &Sample| !sample.is("fresh") && !sample.is("lagging");
        let seen = self.watch.sees(store, since, silent).await;
        let took = seen.answered - since;
        let bound = STALE_AFTER + HEARTBEAT + MARGIN;
        self.say(format!(
            "{store} is {} after {:.2} s (bound {:.1} s; {:.1} s with the margin of a busy machine)",
            seen.state,
            took.as_secs_f64(),
            STALE_AFTER.as_secs_f64(),
            bound.as_secs_f64()
        ));
        assert!(seen.is("stale"), "{seen:?}");
        assert!(took <= bound, "{store} was shown as in contact for {took:?}");
        seen.answered
    }

    /// Waits until a store is dark, and holds that to its bound.
    pub(super) async fn darkness_is_seen(&self, store: &str, since: Instant) {
        let seen = self.watch.sees(store, since, |sample| sample.is("dark")).await;
        let took = seen.answered - since;
        self.say(format!(
            "{store} is dark after {:.2} s (bound {:.1} s)",
            took.as_secs_f64(),
            DARK_AFTER.as_secs_f64()
        ));
        assert!(took <= DARK_AFTER + HEARTBEAT + MARGIN, "{store} was sold for {took:?}");
    }

    /// Waits until a store is fresh again.
    pub(super) async fn fresh_again(&self, store: &str, since: Instant, after: &str) {
        let seen = self.watch.sees(store, since, |sample| sample.is("fresh")).await;
        let took = (seen.answered - since).as_secs_f64();
        self.say(format!("{store} is fresh {took:.2} s after {after}"));
    }

    /// Holds the centre to not having shown a store as fresh.
    pub(super) fn never_fresh(&self, store: &str, from: Instant, to: Instant) {
        let shown = self.watch.between(store, from, to);
        assert!(!shown.is_empty(), "nobody looked");
        if let Some(wrong) = shown.iter().find(|sample| sample.is("fresh")) {
            panic!("{store} is silent and shown as {wrong:?}, {:?} in", wrong.asked - from);
        }
    }

    /// Closes the tills; they may open again.
    pub(super) async fn close_tills(&mut self) {
        if let Some(load) = self.load.take() {
            self.answers.extend(load.stop().await);
        }
    }

    /// Closes the tills and holds the chain to every promise.
    pub(super) async fn end(mut self) {
        self.close_tills().await;
        let checked = Instant::now();
        let digests = self.chain.converged().await;
        let converged = s(checked);
        let acknowledged = each_answer_stands_once(&self.chain, &self.answers);
        for store in &self.chain.stores {
            let verified = verify(&self.chain.journal(&store.id));
            assert!(verified.status.success(), "the chain of {} is broken", store.id);
        }
        let looked = self.watch.is_honest();
        self.say(format!(
            "{} answers, {acknowledged} events acknowledged, each stands once; chains verify; \
             digests equal ({}) within {converged}; {looked} looks at the centre, \
             none fresher than it was; {} in all",
            self.answers.len(),
            digests.values().map(|digest| &digest[..8]).collect::<Vec<_>>().join(", "),
            s(self.began)
        ));
    }
}

impl Drop for Drill {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say(format!(
                "failed after {}; the logs end with\n{}",
                s(self.began),
                self.chain.last_words()
            ));
        }
    }
}

/// How often something is done: more often in the long plan.
pub(super) fn rounds(short: usize, long: usize) -> usize {
    let plan = std::env::vars().find(|(name, _)| name == "ONHAND_DRILLS");
    if plan.is_some_and(|(_, plan)| plan == "long") { long } else { short }
}

/// Time since a moment, as people read it.
pub(super) fn s(since: Instant) -> String {
    format!("{:.2} s", since.elapsed().as_secs_f64())
}
