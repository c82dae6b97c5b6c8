//! Listens to the centre on the store's command topic: the inbox.
//!
//! Each batch of commands is executed in one transaction that also saves where reading goes on, so
//! that no command is missed; one that is delivered again is known by its id. Every command is
//! answered by events, which take the journal's way to the centre.

use std::sync::Arc;
use std::time::Duration;

use event_log::{Error, EventLog, Offset, Position, Received, ask};
use service_kit::retry::Retry;
use shared_events::command::{CommandEnvelope, ReplayEvents, StoreCommand};
use shared_events::topic::Topics;
use shared_events::wire::decode_command;
use shared_events::{RecordedEvent, StoreId};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::decisions::Command;
use crate::expiry::expired_before;
use crate::journal::{InboxPosition, Verdict};
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::writer::{Answer, Handle, Refusal, Request};

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
    /// Executes commands.
    pub writer: Handle,
    /// Where reading goes on; `None` before the first command.
    pub position: Option<InboxPosition>,
    /// How long after its time a reservation still counts.
    pub release_grace: Duration,
    /// The broker.
    pub log: Arc<dyn EventLog>,
    /// Names the topic.
    pub topics: Topics,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// Why listening stopped for the moment.
enum Halt {
    Broker(Error),
    Writer(Refusal),
}

impl Commands {
    /// Listens until cancelled.
    pub fn run(mut self, cancel: &CancellationToken) {
        let mut retry = Retry::default();
        while !cancel.is_cancelled() {
            match self.session(&mut retry, cancel) {
                Ok(()) | Err(Halt::Writer(Refusal::Stopped)) => return,
                Err(Halt::Broker(error)) => {
                    debug!(%error, "not listening to the centre for the moment");
                }
                Err(Halt::Writer(refusal)) => {
                    warn!(%refusal, "commands of the centre wait on its topic");
                }
            }
            if !retry.pause(cancel) {
                return;
            }
        }
    }

    fn session(&mut self, retry: &mut Retry, cancel: &CancellationToken) -> Result<(), Halt> {
        let topic = self.topics.commands(&self.store);
        let known = self.position.clone();
        let opened = ask(&self.log, cancel, move |log| {
            log.ensure_topics(std::slice::from_ref(&topic))?;
            let cluster_id = log.cluster_id()?;
            let known = known.filter(|known| known.cluster_id == cluster_id);
            let extent = log.extents(&topic)?.first().copied();
            let next = extent.map_or(Offset(0), |extent| extent.resume(known.map(|at| at.next)));
            let at = Position { topic: topic.name, partition: 0, next };
            Ok((cluster_id, log.subscriber(&[at])?))
        });
        let (cluster_id, mut subscriber) = opened.map_err(Halt::Broker)?;
        while !cancel.is_cancelled() {
            let mut requests = Vec::new();
            let mut next = None;
            let polled = subscriber.poll(RECORDS_PER_POLL, POLL_FOR, &mut |received| {
                next = Some(received.offset.next());
                requests.extend(self.understand(&received));
            });
            if let Some(next) = next {
                let position = InboxPosition { cluster_id: cluster_id.clone(), next };
                self.execute(requests, position)?;
            }
            polled.map_err(Halt::Broker)?;
            retry.succeeded();
        }
        Ok(())
    }

    /// Executes commands; when that is refused, reading starts anew in front of them.
    fn execute(&mut self, requests: Vec<Request>, position: InboxPosition) -> Result<(), Halt> {
        let answers = self.writer.execute_from_inbox(requests, position.clone());
        for answer in answers.map_err(Halt::Writer)? {
            match answer {
                Err(Refusal::CommandIdReused) => {
                    self.metrics.unreadable_commands.inc();
                    warn!("a command of the centre has the id of another one; it is not executed");
                }
                Err(refusal) => return Err(Halt::Writer(refusal)),
                Ok(Answer { repeated: true, verdict: Verdict::Accepted(events) }) => {
                    self.tell_again(&events);
                }
                Ok(_) => {}
            }
        }
        self.position = Some(position);
        Ok(())
    }

    /// Who asks again has not heard the answer.
    fn tell_again(&self, events: &[RecordedEvent]) {
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            let (epoch, from, through) = (first.id.epoch, first.id.sequence, last.id.sequence);
            self.outbox.request_replay(ReplayEvents { epoch, from, through });
        }
    }

    fn understand(&self, received: &Received<'_>) -> Option<Request> {
        match decode_command(&received.record) {
            Ok(envelope) if envelope.store != self.store => {
                self.metrics.unreadable_commands.inc();
                warn!(store = %envelope.store, "a command for another store is on this store's topic");
                None
            }
            Ok(envelope) => self.request(envelope),
            Err(error) => {
                self.metrics.unreadable_commands.inc();
                warn!(%error, offset = received.offset.0, "a command could not be read");
                None
            }
        }
    }

    fn request(&self, envelope: CommandEnvelope) -> Option<Request> {
        let command = match envelope.command {
            StoreCommand::ReplayEvents(wanted) => {
                info!(from = %wanted.from, through = %wanted.through, "the centre misses events");
                self.outbox.request_replay(wanted);
                return None;
            }
            StoreCommand::Stock(command) => Command::Stock(command),
            StoreCommand::Reserve(ask) => {
                Command::Reserve { ask, deadline: expired_before(self.release_grace) }
            }
            StoreCommand::Release(release) => Command::Release(release),
            StoreCommand::Fulfil(fulfil) => Command::Fulfil(fulfil),
        };
        let CommandEnvelope { id, traceparent, .. } = envelope;
        Some(Request { command, id: Some(id), traceparent, answer_by_event: true })
    }
}
