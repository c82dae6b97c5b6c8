//! What the store counts.

use std::path::PathBuf;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use service_kit::metrics::{Common, SECONDS};
use shared_events::Rejection;

use crate::journal::Verdict;
use crate::opening::Opened;
use crate::writer::{Answer, Refusal};

/// Label of command counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    outcome: &'static str,
}

/// The store's metrics and the registry that renders them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// What every service counts.
    pub common: Common,
    commands: Family<OutcomeLabel, Counter>,
    commit_commands: Histogram,
    commit_seconds: Histogram,
    sync_seconds: Histogram,
    /// Commands of the centre that were delivered again.
    pub inbox_repeats: Counter,
    /// Events acknowledged by the broker, replays included.
    pub published: Counter,
    /// Attempts to publish that failed and were started again.
    pub publish_failures: Counter,
    /// Commands of the centre that nobody could read.
    pub unreadable_commands: Counter,
    /// Events not yet acknowledged by the broker; set when scraped.
    pub outbox_depth: Gauge,
    /// Age of the oldest of them; set when scraped.
    pub outbox_oldest_seconds: Gauge,
    /// Events that came back from the broker when the journal was opened.
    pub refilled: Counter,
    /// Events that were seen of the journal and are lost for good; set when it is opened.
    pub lost: Gauge,
    /// The life of the journal.
    pub epoch: Gauge,
    /// 1 while commits are refused because the disk is full.
    pub storage_full: Gauge,
    /// Newest sequence in the journal; set when scraped.
    pub head: Gauge,
    /// Items the store has had; set when scraped.
    pub items: Gauge,
    /// Reservations with something kept here; set when scraped.
    pub reservations: Gauge,
}

impl Metrics {
    /// Registers everything; `database` is the journal's file.
    #[must_use]
    pub fn new(database: PathBuf) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("onhand_store"),
            common: Common::new(env!("CARGO_PKG_VERSION"), database),
            commands: Family::default(),
            commit_commands: Histogram::new([
                1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0,
            ]),
            commit_seconds: Histogram::new(SECONDS),
            sync_seconds: Histogram::new(SECONDS),
            inbox_repeats: Counter::default(),
            published: Counter::default(),
            publish_failures: Counter::default(),
            unreadable_commands: Counter::default(),
            outbox_depth: Gauge::default(),
            outbox_oldest_seconds: Gauge::default(),
            refilled: Counter::default(),
            lost: Gauge::default(),
            epoch: Gauge::default(),
            storage_full: Gauge::default(),
            head: Gauge::default(),
            items: Gauge::default(),
            reservations: Gauge::default(),
        };
        for outcome in OUTCOMES {
            drop(metrics.commands.get_or_create(&OutcomeLabel { outcome }));
        }
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("commands", "Commands by outcome", self.commands.clone());
        registry.register(
            "commit_commands",
            "Commands answered by one commit",
            self.commit_commands.clone(),
        );
        registry.register_with_unit(
            "commit",
            "Time to decide and commit a group",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register_with_unit(
            "sync",
            "Time until a commit was on disk",
            Unit::Seconds,
            self.sync_seconds.clone(),
        );
        registry.register(
            "inbox_repeats",
            "Commands of the centre that were delivered again, and known",
            self.inbox_repeats.clone(),
        );
        registry.register(
            "published_events",
            "Events acknowledged by the broker, replays included",
            self.published.clone(),
        );
        registry.register(
            "publish_failures",
            "Attempts to publish that failed and were started again",
            self.publish_failures.clone(),
        );
        registry.register(
            "unreadable_commands",
            "Commands of the centre that could not be read",
            self.unreadable_commands.clone(),
        );
        registry.register(
            "refilled_events",
            "Events that came back from the broker when the journal was opened",
            self.refilled.clone(),
        );
        self.register_gauges();
    }

    /// What stands as it is: set when the journal is opened, or when somebody scrapes.
    fn register_gauges(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "outbox_events",
            "Events not yet acknowledged by the broker",
            self.outbox_depth.clone(),
        );
        registry.register_with_unit(
            "outbox_oldest",
            "Age of the oldest event not yet acknowledged",
            Unit::Seconds,
            self.outbox_oldest_seconds.clone(),
        );
        registry.register(
            "lost_events",
            "Events that were seen of the journal and are lost for good",
            self.lost.clone(),
        );
        registry.register("journal_epoch", "The life of the journal", self.epoch.clone());
        registry.register(
            "storage_full",
            "1 while commits are refused because the disk is full",
            self.storage_full.clone(),
        );
        registry.register("journal_head", "Newest sequence in the journal", self.head.clone());
        registry.register("items", "Items the store has had", self.items.clone());
        registry.register(
            "reservations",
            "Reservations with something kept here",
            self.reservations.clone(),
        );
    }

    /// The registry, for rendering.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn opened(&self, opened: &Opened) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.refilled.inc_by(opened.refilled);
        self.lost.set(gauge(opened.lost));
        self.epoch.set(gauge(opened.epoch.get()));
    }

    /// A commit is on disk.
    pub(crate) fn synced(&self, started: Instant) {
        self.sync_seconds.observe(started.elapsed().as_secs_f64());
    }

    pub(crate) fn committed(&self, started: Instant, answered: &[Vec<Result<Answer, Refusal>>]) {
        let mut commands = 0_u32;
        for answer in answered.iter().flatten() {
            commands += 1;
            self.commands.get_or_create(&OutcomeLabel { outcome: outcome(answer) }).inc();
        }
        if commands > 0 {
            self.commit_commands.observe(f64::from(commands));
            self.commit_seconds.observe(started.elapsed().as_secs_f64());
        }
    }
}

/// Every kind of answer that is counted.
const OUTCOMES: [&str; 7] = [
    "accepted",
    "command_id_reused",
    "insufficient_stock",
    "level_out_of_range",
    "refused",
    "repeated",
    "version_conflict",
];

/// The kind of answer, for counting; one of [`OUTCOMES`].
fn outcome(answer: &Result<Answer, Refusal>) -> &'static str {
    match answer {
        Ok(Answer { repeated: true, .. }) => "repeated",
        Ok(Answer { verdict: Verdict::Accepted(_), .. }) => "accepted",
        Ok(Answer { verdict: Verdict::Rejected(rejection), .. }) => match rejection {
            Rejection::InsufficientStock { .. } => "insufficient_stock",
            Rejection::VersionConflict { .. } => "version_conflict",
            Rejection::LevelOutOfRange { .. } => "level_out_of_range",
            Rejection::CommandIdReused => "command_id_reused",
        },
        Err(_) => "refused",
    }
}
