//! A broker that keeps the order of everything published to it, over all topics.

use std::sync::{Arc, Mutex, PoisonError};

use event_log::{
    Error, EventLog, Extent, MemoryLog, Position, Publication, Published, Publisher, Subscriber,
};
use shared_events::topic::TopicSpec;
use tokio_util::sync::CancellationToken;

/// One call of `publish` and how it went.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) records: Vec<Publication>,
    pub(crate) acknowledged: usize,
}

/// Passes all on to a broker in memory, and remembers it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spy {
    log: MemoryLog,
    said: Arc<Mutex<Vec<Said>>>,
}

impl Spy {
    pub(crate) fn on(log: MemoryLog) -> Self {
        Self { log, said: Arc::default() }
    }

    pub(crate) fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventLog for Spy {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        self.log.ensure_topics(topics)
    }

    fn extents(&self, topic: &TopicSpec) -> Result<Vec<Extent>, Error> {
        self.log.extents(topic)
    }

    fn cluster_id(&self) -> Result<String, Error> {
        self.log.cluster_id()
    }

    fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        Ok(Box::new(Ear { publisher: self.log.publisher()?, said: Arc::clone(&self.said) }))
    }

    fn subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        self.log.subscriber(positions)
    }
}

struct Ear {
    publisher: Box<dyn Publisher>,
    said: Arc<Mutex<Vec<Said>>>,
}

impl Publisher for Ear {
    fn publish(&mut self, records: &[Publication], cancel: &CancellationToken) -> Published {
        // Held meanwhile: nobody may see the records before they are remembered.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let published = self.publisher.publish(records, cancel);
        said.push(Said { records: records.to_vec(), acknowledged: published.acknowledged });
        published
    }
}
