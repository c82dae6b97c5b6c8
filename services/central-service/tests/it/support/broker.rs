//! A broker that can be moved to another cluster, and that fails when told.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use event_log::{
    Error, EventLog, Extent, MemoryLog, Offset, Position, Publisher, Received, Subscriber,
};
use shared_events::topic::TopicSpec;

/// Where a [`Moving`] broker points now.
#[derive(Debug, Default)]
struct Now {
    log: MemoryLog,
    cluster_id: String,
    refuse_subscribers: bool,
    fail_behind_records: bool,
}

/// One address, behind which the cluster can change.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    now: Mutex<Now>,
}

impl Moving {
    pub(crate) fn new(cluster_id: &str, log: &MemoryLog) -> Self {
        let moving = Self::default();
        moving.move_to(cluster_id, log);
        moving
    }

    pub(crate) fn move_to(&self, cluster_id: &str, log: &MemoryLog) {
        self.with(|now| {
            now.log = log.clone();
            cluster_id.clone_into(&mut now.cluster_id);
        });
    }

    pub(crate) fn refuse_subscribers(&self, refuse: bool) {
        self.with(|now| now.refuse_subscribers = refuse);
    }

    /// The next subscriber reports an error with the first records that it delivers, and is
    /// silent from then on, as a partition that failed is.
    pub(crate) fn fail_behind_records(&self) {
        self.with(|now| now.fail_behind_records = true);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Now) -> T) -> T {
        work(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventLog for Moving {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        self.with(|now| now.log.ensure_topics(topics))
    }

    fn extents(&self, topic: &TopicSpec) -> Result<Vec<Extent>, Error> {
        self.with(|now| now.log.extents(topic))
    }

    fn cluster_id(&self) -> Result<String, Error> {
        self.with(|now| Ok(now.cluster_id.clone()))
    }

    fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        self.with(|now| now.log.publisher())
    }

    fn subscriber(&self, positions: &[Position]) -> Result<Box<dyn Subscriber>, Error> {
        self.with(|now| {
            if now.refuse_subscribers {
                return Err(Error::Client("not today".to_owned()));
            }
            let subscriber = now.log.subscriber(positions)?;
            if !std::mem::take(&mut now.fail_behind_records) {
                return Ok(subscriber);
            }
            let failing: Box<dyn Subscriber> = Box::new(Failing { subscriber, failed: false });
            Ok(failing)
        })
    }
}

struct Failing {
    subscriber: Box<dyn Subscriber>,
    failed: bool,
}

impl Subscriber for Failing {
    fn poll(
        &mut self,
        max_records: usize,
        timeout: Duration,
        receive: &mut dyn FnMut(Received<'_>),
    ) -> Result<usize, Error> {
        if self.failed {
            return Ok(0);
        }
        let delivered = self.subscriber.poll(max_records.min(5), timeout, receive)?;
        self.failed = delivered > 0;
        if self.failed { Err(Error::PositionLost) } else { Ok(0) }
    }

    fn end(&mut self, topic: &str, partition: i32) -> Result<Offset, Error> {
        self.subscriber.end(topic, partition)
    }
}
