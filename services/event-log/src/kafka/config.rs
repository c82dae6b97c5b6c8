//! Client settings, each with the fact it rests on.

use rdkafka::ClientConfig;

/// How to reach a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Bootstrap addresses, `host:port[,host:port…]`.
    pub brokers: String,
    /// Longest wait of an idle fetch, in milliseconds. A real broker answers at once when data comes;
    /// librdkafka's mock broker sleeps it out, so that needs a small value.
    pub fetch_wait_ms: u32,
}

impl KafkaConfig {
    /// A real cluster.
    #[must_use]
    pub fn new(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), fetch_wait_ms: 500 }
    }

    pub(super) fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "onhand")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            // The defaults wait up to 10 s; a shop's line that is back should be used at once.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            // A deleted topic is otherwise noticed after five minutes.
            .set("topic.metadata.refresh.interval.ms", "10000")
            // And a missing one is taken for a new one, which looks like silence, for 30 s.
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("allow.auto.create.topics", "false");
        config
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // librdkafka 2.12's idempotence can duplicate or reorder with more in flight after a
            // leader change, or after any message timeout (librdkafka#4953).
            .set("max.in.flight.requests.per.connection", "1")
            .set("message.timeout.ms", "0")
            .set("linger.ms", "0")
            // Dead letters carry what other producers wrote, whatever their own limit was.
            .set("message.max.bytes", "8388608")
            .set("retry.backoff.max.ms", "1000")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4");
        config
    }

    pub(super) fn consumer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            // `assign` needs a group name although nothing is ever joined or committed.
            .set("group.id", "onhand")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", self.fetch_wait_ms.to_string())
            .set("fetch.error.backoff.ms", "100")
            // Applies whenever the local queue is full: the default stalls a drain for a second.
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", "32768");
        config
    }
}
