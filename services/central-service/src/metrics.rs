//! What the centre counts.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use service_kit::clock;
use service_kit::metrics::{Common, SECONDS};

use crate::admission::Cause;
use crate::ledger::LedgerMetrics;
use crate::projection::{Applied, Batch};

/// Events older than this were waiting for the centre, not on their way to it.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// Label of per-store metrics; stores are few.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StoreLabel {
    /// The store.
    pub store: String,
}

/// Label of what a store's numbers are called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabel {
    /// The store.
    pub store: String,
    /// A state of freshness.
    pub state: &'static str,
}

/// Label of why records were put aside: one of a few.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabel {
    /// A [`Cause`]'s name.
    pub cause: &'static str,
}

/// The centre's metrics and the registry that renders them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// What every service counts.
    pub common: Common,
    events: Counter,
    duplicates: Counter,
    rows: Counter,
    apply_seconds: Histogram,
    visible_seconds: Histogram,
    /// Records of types a newer producer knows.
    pub skipped: Counter,
    dead_letters: Family<CauseLabel, Counter>,
    /// Requests to stores for events that did not come.
    pub replays_asked: Counter,
    refused: Counter,
    corrected: Counter,
    lost: Counter,
    oversold: Counter,
    /// Events reported and not applied, by store; set when scraped.
    pub lag_events: Family<StoreLabel, Gauge>,
    /// 1 for a store whose numbers are fresh; set when scraped.
    pub fresh: Family<StoreLabel, Gauge>,
    /// 1 for the state a store is in, 0 for the others; set when scraped.
    pub freshness: Family<StateLabel, Gauge>,
    /// Time since a store was heard, absent while it was not; set when scraped.
    pub age_seconds: Family<StoreLabel, Gauge<f64, AtomicU64>>,
    /// Clients of the stream; set when scraped.
    pub stream_clients: Gauge,
    /// What the ledger counts.
    pub ledger: LedgerMetrics,
    trouble: Mutex<Option<String>>,
    /// When everything there was had been read, in milliseconds since the epoch; in no time's reach before.
    live_from: AtomicI64,
}

impl Metrics {
    /// Registers everything; `database` is the centre's file.
    #[must_use]
    pub fn new(database: PathBuf) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("onhand_central"),
            common: Common::new(env!("CARGO_PKG_VERSION"), database),
            events: Counter::default(),
            duplicates: Counter::default(),
            rows: Counter::default(),
            apply_seconds: Histogram::new(SECONDS),
            visible_seconds: Histogram::new(SECONDS),
            skipped: Counter::default(),
            dead_letters: Family::default(),
            replays_asked: Counter::default(),
            refused: Counter::default(),
            corrected: Counter::default(),
            lost: Counter::default(),
            oversold: Counter::default(),
            lag_events: Family::default(),
            fresh: Family::default(),
            freshness: Family::default(),
            age_seconds: Family::default(),
            stream_clients: Gauge::default(),
            ledger: LedgerMetrics::default(),
            trouble: Mutex::default(),
            live_from: AtomicI64::new(i64::MAX),
        };
        metrics.register();
        // A counter that appears with its first record does not rise: it would raise no alarm.
        Cause::ALL.into_iter().for_each(|cause| metrics.put_aside(cause, 0));
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("applied_events", "Events applied", self.events.clone());
        registry.register(
            "duplicate_events",
            "Events that had been applied before",
            self.duplicates.clone(),
        );
        registry.register("written_rows", "Item rows written", self.rows.clone());
        registry.register_with_unit(
            "apply",
            "Time to apply and commit a batch",
            Unit::Seconds,
            self.apply_seconds.clone(),
        );
        registry.register_with_unit(
            "visible",
            "Time from the store's commit to the centre's answer, by both clocks",
            Unit::Seconds,
            self.visible_seconds.clone(),
        );
        registry.register(
            "skipped_records",
            "Records of types only newer versions know",
            self.skipped.clone(),
        );
        registry.register(
            "dead_letters",
            "Records that were put aside, by why",
            self.dead_letters.clone(),
        );
        registry.register(
            "replays_asked",
            "Requests for events that did not come",
            self.replays_asked.clone(),
        );
        registry.register(
            "refused_events",
            "Events written by a copy of a journal, or lost from it since",
            self.refused.clone(),
        );
        registry.register(
            "lost_events",
            "Events that stores once reported and that their journals do not have any more",
            self.lost.clone(),
        );
        registry.register(
            "corrected_items",
            "Items that were not as their store's journal has them",
            self.corrected.clone(),
        );
        registry.register(
            "oversold_events",
            "Events by which a store had promised more of an item than it had; expected to stay 0",
            self.oversold.clone(),
        );
        self.ledger.register(registry);
        self.register_gauges();
    }

    /// What is looked up when somebody scrapes.
    fn register_gauges(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "lag_events",
            "Events a store reported that are not applied",
            self.lag_events.clone(),
        );
        registry.register(
            "store_fresh",
            "1 for a store whose numbers are fresh",
            self.fresh.clone(),
        );
        registry.register(
            "store_freshness",
            "1 for the state of freshness a store is in",
            self.freshness.clone(),
        );
        registry.register_with_unit(
            "store_age",
            "Time since a store's last heartbeat arrived",
            Unit::Seconds,
            self.age_seconds.clone(),
        );
        registry.register(
            "stream_clients",
            "Clients that follow the changes",
            self.stream_clients.clone(),
        );
    }

    /// The registry, for rendering.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Why nothing is being read, when that is so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn broker_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Counts records that are put aside.
    pub fn put_aside(&self, cause: Cause, records: u64) {
        let label = CauseLabel { cause: cause.name() };
        self.dead_letters.get_or_create(&label).inc_by(records);
    }

    /// Records that were put aside for a cause.
    #[must_use]
    pub fn dead_letters(&self, cause: Cause) -> u64 {
        self.dead_letters.get_or_create(&CauseLabel { cause: cause.name() }).get()
    }

    pub(crate) fn applied(&self, started: Instant, applied: Applied, batch: &Batch) {
        self.events.inc_by(applied.events);
        self.duplicates.inc_by(applied.duplicates);
        self.rows.inc_by(applied.rows);
        self.refused.inc_by(applied.refused);
        self.put_aside(Cause::Refused, applied.refused);
        self.put_aside(Cause::Implausible, applied.implausible);
        self.corrected.inc_by(applied.corrected);
        self.lost.inc_by(applied.lost);
        self.apply_seconds.observe(started.elapsed().as_secs_f64());
        let (live_from, now) = (self.live_from.load(Ordering::Relaxed), clock::unix_millis());
        // Of a batch that repeats events, nobody says which of them are new.
        let all_new = u64::try_from(batch.events.len()) == Ok(applied.events);
        for event in &batch.events {
            if event.event.levels().is_some_and(|levels| levels.reserved > levels.on_hand) {
                self.oversold.inc();
            }
            let committed_at = event.occurred_at.unix_millis();
            if let Some(took) = way(committed_at, live_from, now).filter(|_| all_new) {
                self.visible_seconds.observe(took.as_secs_f64());
            }
        }
        if batch.caught_up && live_from == i64::MAX {
            self.live_from.store(now, Ordering::Relaxed);
        }
    }
}

/// How long an event was on its way; nothing for one that was committed before the centre followed live,
/// which the centre only finds later, or that had to wait.
fn way(committed_at: i64, live_from: i64, now: i64) -> Option<Duration> {
    // By another clock it may be committed in the future.
    let took = u64::try_from(now.saturating_sub(committed_at)).unwrap_or_default();
    let took = Duration::from_millis(took);
    (committed_at >= live_from && took < ON_ITS_WAY).then_some(took)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(PathBuf::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_committed_while_the_centre_follows_live_was_on_its_way() {
        let caught_up = 1_000_000;
        assert_eq!(way(caught_up + 5, caught_up, caught_up + 25), Some(Duration::from_millis(20)));
        assert_eq!(way(caught_up + 50, caught_up, caught_up + 25), Some(Duration::ZERO));
        assert_eq!(way(caught_up - 5, caught_up, caught_up + 25), None, "found when it started");
        assert_eq!(way(caught_up + 5, i64::MAX, caught_up + 25), None, "not caught up yet");
        assert_eq!(way(caught_up, caught_up, caught_up + 60_000), None, "its store was cut off");
    }
}
