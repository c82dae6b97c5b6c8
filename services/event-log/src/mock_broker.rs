//! librdkafka's broker inside this process: the real protocol, memory only.

use std::sync::mpsc;
use std::thread::JoinHandle;

use rdkafka::mocking::MockCluster;
use shared_events::topic::TopicSpec;

use crate::kafka::KafkaConfig;
use crate::port::Error;

/// A broker for trying things out. It keeps about 5 MB per partition and forgets all when dropped.
#[derive(Debug)]
pub struct MockBroker {
    config: KafkaConfig,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockBroker {
    /// Starts a broker with these topics; it cannot create others later.
    ///
    /// # Errors
    /// [`Error::Client`] when librdkafka cannot start it.
    pub fn start(topics: &[TopicSpec]) -> Result<Self, Error> {
        let topics = topics.to_vec();
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        // The cluster handle may not change threads, so one thread owns it for life.
        let thread = std::thread::Builder::new()
            .name("mock-broker".to_owned())
            .spawn(move || {
                let cluster = create(&topics);
                let address = cluster.as_ref().map(MockCluster::bootstrap_servers);
                if ready.send(address.map_err(Clone::clone)).is_ok() && cluster.is_ok() {
                    // Ends with a disconnect when the `MockBroker` is dropped.
                    stopped.recv().unwrap_or_default();
                }
            })
            .map_err(|error| Error::Client(error.to_string()))?;
        let brokers = started
            .recv()
            .map_err(|error| Error::Client(error.to_string()))?
            .map_err(|error| Error::Client(error.to_string()))?;
        let mut config = KafkaConfig::new(brokers);
        config.fetch_wait_ms = 5;
        Ok(Self { config, stop: Some(stop), thread: Some(thread) })
    }

    /// How to reach it.
    #[must_use]
    pub const fn config(&self) -> &KafkaConfig {
        &self.config
    }
}

impl Drop for MockBroker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the mock broker's thread panicked");
        }
    }
}

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

fn create(topics: &[TopicSpec]) -> rdkafka::error::KafkaResult<Cluster> {
    let cluster = MockCluster::new(1)?;
    for topic in topics {
        cluster.create_topic(&topic.name, topic.partitions, 1)?;
    }
    Ok(cluster)
}
