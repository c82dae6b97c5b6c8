//! Client settings, each with the fact it rests on.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;

/// Whether TLS to the brokers, and the SASL mechanisms that need it, are built in.
const TLS: bool = cfg!(feature = "kafka-tls");

/// How long the broker may wait until a patient consumer's records are worth an answer, in milliseconds.
const PATIENCE_MS: u32 = 100;

/// How to reach a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Bootstrap addresses, `host:port[,host:port…]`.
    pub brokers: String,
    /// Longest wait of an idle fetch, in milliseconds. A real broker answers at once when data comes;
    /// librdkafka's mock broker sleeps it out, so that needs a small value.
    pub fetch_wait_ms: u32,
    properties: Properties,
}

/// Settings of the client beside Onhand's own. `Debug` shows their names only: some are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
struct Properties(BTreeMap<String, String>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Settings on which Onhand's promises rest, each with the promise.
const OURS: [(&str, &str); 17] = [
    ("bootstrap.servers", "the brokers are named once"),
    ("metadata.broker.list", "the brokers are named once"),
    ("acks", "what is acknowledged must be on all in-sync replicas"),
    ("request.required.acks", "what is acknowledged must be on all in-sync replicas"),
    ("enable.idempotence", "a retry must not write a record twice"),
    ("enable.gapless.guarantee", "the relay keeps the order itself"),
    ("transactional.id", "offsets are kept beside what they led to"),
    ("max.in.flight", "records of a store stay in order"),
    ("max.in.flight.requests.per.connection", "records of a store stay in order"),
    ("message.timeout.ms", "a record waits for the broker as long as it takes"),
    ("delivery.timeout.ms", "a record waits for the broker as long as it takes"),
    ("partitioner", "keys lie where every other client puts them"),
    ("enable.auto.commit", "offsets are kept beside what they led to"),
    ("enable.auto.offset.store", "offsets are kept beside what they led to"),
    ("auto.offset.reset", "a lost position must be noticed"),
    ("isolation.level", "what was never committed must not be read"),
    ("allow.auto.create.topics", "a mistyped name must not become a topic"),
];

/// Settings that are secrets: a command line shows them to every user of the machine.
const SECRETS: [&str; 6] = [
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
];

impl KafkaConfig {
    /// A real cluster.
    #[must_use]
    pub fn new(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), fetch_wait_ms: 500, properties: Properties::default() }
    }

    /// Sets a property of librdkafka that a person wrote.
    ///
    /// # Errors
    /// Why it cannot be set so: a promise rests on it, or it is a secret.
    pub fn property(self, name: &str, value: &str) -> Result<Self, String> {
        if let Some((_, promise)) = OURS.iter().find(|(ours, _)| *ours == name) {
            return Err(format!("{name} cannot be set: {promise}"));
        }
        if SECRETS.contains(&name) {
            return Err(format!("{name} is a secret: name a file that has it instead"));
        }
        Ok(self.set(name, value))
    }

    /// Sets a property of librdkafka that Onhand knows, a secret perhaps.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.properties.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Whether a client can be made of it. Connects to nothing.
    ///
    /// # Errors
    /// What is wrong, with the fix; never a secret.
    pub fn check(&self) -> Result<(), String> {
        let is = |name: &str, values: &[&str]| {
            let value = self.properties.0.get(name).map(|value| value.to_ascii_lowercase());
            value.is_some_and(|value| values.iter().any(|one| value.starts_with(one)))
        };
        let needs_tls = is("security.protocol", &["ssl", "sasl_ssl"])
            || is("sasl.mechanism", &["scram", "oauthbearer"])
            || is("sasl.mechanisms", &["scram", "oauthbearer"]);
        if needs_tls && !TLS {
            return Err(
                "TLS, SCRAM and OAUTHBEARER to the brokers are not built into this onhand: \
                build it with `cargo build --release --features kafka-tls`, as the image is"
                    .to_owned(),
            );
        }
        for config in [self.producer(), self.consumer()] {
            config.create_native_config().map_err(|error| error.to_string())?;
        }
        Ok(())
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
        for (name, value) in &self.properties.0 {
            config.set(name, value);
        }
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

    /// A consumer that takes much at once rather than each record when it comes.
    pub(super) fn patient_consumer(&self) -> ClientConfig {
        let mut config = self.consumer();
        config
            .set("fetch.min.bytes", "65536")
            .set("fetch.wait.max.ms", self.fetch_wait_ms.min(PATIENCE_MS).to_string());
        config
    }

    /// A consumer whose partitions have queues of their own: their bounds hold for each of hundreds.
    pub(super) fn shared_consumer(&self) -> ClientConfig {
        let mut config = self.consumer();
        config.set("queued.max.messages.kbytes", "1024");
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_promises_rest_on_and_secrets_are_not_taken_from_a_command_line() {
        let config = || KafkaConfig::new("127.0.0.1:9");
        for (name, reason) in [
            ("acks", "acks cannot be set: what is acknowledged must be on all in-sync replicas"),
            (
                "enable.idempotence",
                "enable.idempotence cannot be set: a retry must not write a record twice",
            ),
            (
                "auto.offset.reset",
                "auto.offset.reset cannot be set: a lost position must be noticed",
            ),
            ("sasl.password", "sasl.password is a secret: name a file that has it instead"),
        ] {
            assert_eq!(config().property(name, "0"), Err(reason.to_owned()));
        }
        let fine = config().property("client.rack", "north").expect("no promise rests on it");
        assert_eq!(fine.check(), Ok(()));
        let unknown = config().property("no.such.thing", "1").expect("the client knows better");
        let told = unknown.check().expect_err("the client does not know it");
        assert!(told.contains("no.such.thing"), "{told}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let config = KafkaConfig::new("127.0.0.1:9").set("sasl.password", "hunter2");
        let shown = format!("{config:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_build_without_tls_says_how_to_get_one_with_it() {
        let config = KafkaConfig::new("127.0.0.1:9").set("security.protocol", "sasl_ssl");
        let told = config.check();
        if TLS {
            assert_eq!(told, Ok(()));
        } else {
            assert!(told.expect_err("it is not built in").contains("--features kafka-tls"));
        }
    }
}
