//! Where things are said: topic names, keys and the settings each topic must have.

use crate::ids::{Sku, StoreId};

/// How a topic is created, and what it must look like to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Full name.
    pub name: String,
    /// Partition count; another count on the broker is refused, since keys would move.
    pub partitions: i32,
    /// Broker settings beside the defaults.
    pub settings: &'static [(&'static str, &'static str)],
}

/// The topics of one chain on a broker.
///
/// `prefix` lets several chains share a cluster: `staging.` gives `staging.inventory.stock-events.v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
    partitions: i32,
}

/// Partitions of the keyed topics unless configured otherwise.
pub const DEFAULT_PARTITIONS: i32 = 12;

/// Broker time, since a store that was offline for a week would otherwise publish records that
/// time-based retention deletes at once.
const KEEP_LONG: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("message.timestamp.type", "LogAppendTime"),
];
const KEEP_LARGE: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", "8388608"),
];
/// What nobody can read must not fill the brokers' disks: the newest 1 GiB of it is kept, for 90 days.
const KEEP_SOME: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("retention.ms", "7776000000"),
    ("retention.bytes", "1073741824"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", "8388608"),
];
const COMPACT: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    // Small segments, or a heartbeat a second would wait a week for its first compaction.
    ("segment.ms", "3600000"),
    ("message.timestamp.type", "LogAppendTime"),
];

impl Topics {
    /// Topics under a name prefix, with a partition count for the keyed ones.
    #[must_use]
    pub fn new(prefix: impl Into<String>, partitions: i32) -> Self {
        Self { prefix: prefix.into(), partitions }
    }

    /// Stock events of all stores, key `store|sku`.
    #[must_use]
    pub fn stock_events(&self) -> TopicSpec {
        self.spec("inventory.stock-events.v1", self.partitions, KEEP_LONG)
    }

    /// Heartbeats of all stores, key store.
    #[must_use]
    pub fn heartbeats(&self) -> TopicSpec {
        self.spec("inventory.heartbeats.v1", 1, COMPACT)
    }

    /// Commands to one store: one partition, so their order is one.
    #[must_use]
    pub fn commands(&self, store: &StoreId) -> TopicSpec {
        self.spec(&format!("inventory.commands.v1.{store}"), 1, KEEP_LONG)
    }

    /// Every change of every reservation, key reservation id.
    #[must_use]
    pub fn reservations(&self) -> TopicSpec {
        self.spec("inventory.reservations.v1", self.partitions, KEEP_LARGE)
    }

    /// What the chain has decided about its stock, key kind and scope.
    #[must_use]
    pub fn policies(&self) -> TopicSpec {
        self.spec("inventory.policies.v1", 1, COMPACT)
    }

    /// Records nobody could read, with the reason. It takes larger records than the others do: a
    /// letter is what it carries and more.
    #[must_use]
    pub fn dead_letters(&self) -> TopicSpec {
        self.spec("inventory.dead-letters.v1", 1, KEEP_SOME)
    }

    /// All topics that are not one store's.
    #[must_use]
    pub fn shared(&self) -> [TopicSpec; 5] {
        [
            self.stock_events(),
            self.heartbeats(),
            self.reservations(),
            self.policies(),
            self.dead_letters(),
        ]
    }

    fn spec(
        &self,
        name: &str,
        partitions: i32,
        settings: &'static [(&'static str, &'static str)],
    ) -> TopicSpec {
        TopicSpec { name: format!("{}{name}", self.prefix), partitions, settings }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self::new("", DEFAULT_PARTITIONS)
    }
}

/// Key of an event record: all events of one item share a partition.
#[must_use]
pub fn event_key(store: &StoreId, sku: &Sku) -> String {
    format!("{store}|{sku}")
}
