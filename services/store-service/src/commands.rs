//! Listens to the centre on the store's command topic.
//!
//! Starts at the topic's end: the only command so far asks for a replay, which the centre repeats for
//! as long as it misses something.

use std::sync::Arc;
use std::time::Duration;

use event_log::{Error, EventLog, Offset, Position, Received, ask};
use service_kit::retry::Retry;
use shared_events::StoreId;
use shared_events::command::StoreCommand;
use shared_events::topic::Topics;
use shared_events::wire::decode_command;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::metrics::Metrics;
use crate::outbox::Outbox;

const RECORDS_PER_POLL: usize = 100;
/// How often a quiet topic lets the thread look whether it should stop.
const POLL_FOR: Duration = Duration::from_millis(200);

/// The consumer of a store's commands.
#[derive(Debug)]
pub struct Commands {
    /// The store.
    pub store: StoreId,
    /// Takes replay requests.
    pub outbox: Arc<Outbox>,
    /// The broker.
    pub log: Arc<dyn EventLog>,
    /// Names the topic.
    pub topics: Topics,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Commands {
    /// Listens until cancelled.
    pub fn run(self, cancel: &CancellationToken) {
        let mut retry = Retry::default();
        while !cancel.is_cancelled() {
            if let Err(error) = self.session(&mut retry, cancel) {
                debug!(%error, "not listening to the centre for the moment");
            }
            if !retry.pause(cancel) {
                return;
            }
        }
    }

    fn session(&self, retry: &mut Retry, cancel: &CancellationToken) -> Result<(), Error> {
        let topic = self.topics.commands(&self.store);
        let mut subscriber = ask(&self.log, cancel, move |log| {
            log.ensure_topics(std::slice::from_ref(&topic))?;
            let next = log.extents(&topic)?.first().map_or(Offset(0), |extent| extent.high);
            log.subscriber(&[Position { topic: topic.name, partition: 0, next }])
        })?;
        while !cancel.is_cancelled() {
            subscriber.poll(RECORDS_PER_POLL, POLL_FOR, &mut |received| self.receive(&received))?;
            retry.succeeded();
        }
        Ok(())
    }

    fn receive(&self, received: &Received<'_>) {
        match decode_command(&received.record) {
            Ok(envelope) if envelope.store != self.store => {
                self.metrics.unreadable_commands.inc();
                warn!(store = %envelope.store, "a command for another store is on this store's topic");
            }
            Ok(envelope) => match envelope.command {
                StoreCommand::ReplayEvents(wanted) => {
                    info!(from = %wanted.from, through = %wanted.through, "the centre misses events");
                    self.outbox.request_replay(wanted);
                }
            },
            Err(error) => {
                self.metrics.unreadable_commands.inc();
                warn!(%error, offset = received.offset.0, "a command could not be read");
            }
        }
    }
}
