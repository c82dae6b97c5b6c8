//! Listens to the centre on the store's command topic: the inbox.
//!
//! Each batch of commands is executed in one transaction that also saves where reading goes on, so
//! that no command is missed; one that is delivered again is known by its id. Every command is
//! answered by events, which take the journal's way to the centre.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event_log::{Error, EventLog, Offset, Position, Received, Stalls, ask};
use inventory_core::witness::{Comparison, Own, compare};
use service_kit::retry::Retry;
use service_kit::trace::{self, Context, Span};
use shared_events::command::{CommandEnvelope, JournalWitnessed, ReplayEvents, StoreCommand};
use shared_events::topic::Topics;
use shared_events::wire::{decode_command, traceparent};
use shared_events::{Epoch, RecordedEvent, Sequence, StoreId};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::decisions::Command;
use crate::expiry::expired_before;
use crate::journal::{self, InboxPosition, Reader, Verdict};
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::standing::Standing;
use crate::writer::{Answer, Handle, Refusal, Request};

const RECORDS_PER_POLL: usize = 100;
/// How often a quiet topic lets the thread look whether it should stop.
const POLL_FOR: Duration = Duration::from_millis(200);

/// How often the broker is asked whether there is more than comes: seldom, for there may be hundreds of
/// quiet stores in a process.
const ASK_END_EVERY: Duration = Duration::from_secs(10);
/// And how often while there is.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The consumer of a store's commands.
#[derive(Debug)]
pub struct Commands {
    /// The store.
    pub store: StoreId,
    /// Says when commands may be executed.
    pub standing: Arc<Standing>,
    /// Compares the journal with what a centre has seen of it; others' as well, since that is seldom.
    pub reader: Arc<Mutex<Reader>>,
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
    Journal(journal::Error),
    Refused(Refused),
}

/// The journal is not the one the chain goes by: this store must not write any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "another copy of this journal is written: a centre has seen epoch {epoch}, sequence {head}, which this one (epoch {own}) does not have. \
     Only one may run. If this is the right one, stop the other and start this again"
)]
pub struct Refused {
    /// The life that was seen.
    pub epoch: Epoch,
    /// The newest sequence that was seen.
    pub head: Sequence,
    /// The life of this journal.
    pub own: Epoch,
}

impl Commands {
    /// Listens until cancelled.
    ///
    /// # Errors
    /// A journal that cannot be read, or that is [`Refused`] by a centre.
    pub fn run(mut self, cancel: &CancellationToken) -> anyhow::Result<()> {
        if !self.standing.wait_until_open() {
            return Ok(());
        }
        let mut retry = Retry::default();
        while !cancel.is_cancelled() {
            match self.session(&mut retry, cancel) {
                Ok(()) | Err(Halt::Writer(Refusal::Stopped)) => return Ok(()),
                Err(Halt::Journal(fatal)) => return Err(fatal.into()),
                Err(Halt::Refused(refused)) => {
                    error!(%refused, "the store stops");
                    return Err(refused.into());
                }
                Err(Halt::Broker(error)) => {
                    debug!(%error, "not listening to the centre for the moment");
                }
                Err(Halt::Writer(refusal)) => {
                    warn!(%refusal, "commands of the centre wait on its topic");
                }
            }
            if !retry.pause(cancel) {
                return Ok(());
            }
        }
        Ok(())
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
            let live_from = extent.map_or(next, |extent| extent.high);
            Ok((cluster_id, next, live_from, log.subscriber(&[at])?))
        });
        let (cluster_id, mut reached, live_from, mut subscriber) = opened.map_err(Halt::Broker)?;
        let (topic, mut stalls, mut ask_at) =
            (self.topics.commands(&self.store).name, Stalls::default(), Instant::now());
        while !cancel.is_cancelled() {
            let (mut requests, mut spans) = (Vec::new(), Vec::new());
            let (mut next, mut seen) = (None, None);
            let polled = subscriber.poll(RECORDS_PER_POLL, POLL_FOR, &mut |received| {
                next = Some(received.offset.next());
                match self.understand(&received) {
                    Some(Understood::Command(request, span)) => {
                        requests.push(request);
                        spans.push(span);
                    }
                    // An older one is about a journal that was opened since; it is told again.
                    Some(Understood::Witnessed(witnessed)) if received.offset >= live_from => {
                        seen = Some(witnessed);
                    }
                    Some(Understood::Witnessed(_)) | None => {}
                }
            });
            reached = next.unwrap_or(reached);
            if let Some(seen) = seen {
                self.compare(&seen)?;
            }
            if let Some(next) = next {
                let position = InboxPosition { cluster_id: cluster_id.clone(), next };
                self.execute(requests, position)?;
            }
            drop(spans);
            polled.map_err(Halt::Broker)?;
            retry.succeeded();
            if Instant::now() >= ask_at {
                // No answer says nothing: what is suspected stays so.
                let end = subscriber.end(&topic, 0);
                let told = |end: &Offset| stalls.told(0, reached, *end, Instant::now());
                if end.as_ref().is_ok_and(told) {
                    let detail = "there are commands that do not come".to_owned();
                    return Err(Halt::Broker(Error::Client(detail)));
                }
                let rest = if end == Ok(reached) { ASK_END_EVERY } else { ASK_AGAIN_AFTER };
                ask_at = Instant::now() + rest;
            }
        }
        Ok(())
    }

    /// Executes commands; when that is refused, reading starts anew in front of them.
    fn execute(&mut self, requests: Vec<Request>, position: InboxPosition) -> Result<(), Halt> {
        let traces: Vec<_> =
            requests.iter().map(|request| trace::id(request.traceparent.as_deref())).collect();
        let answers = self.writer.execute_from_inbox(requests, position.clone());
        for (answer, trace_id) in answers.map_err(Halt::Writer)?.into_iter().zip(traces) {
            match answer {
                Err(Refusal::CommandIdReused) => {
                    self.metrics.unreadable_commands.inc();
                    warn!(
                        trace_id,
                        "a command of the centre has the id of another one; it is not executed"
                    );
                }
                Err(refusal) => return Err(Halt::Writer(refusal)),
                Ok(Answer { repeated: true, verdict }) => {
                    self.metrics.inbox_repeats.inc();
                    if let Verdict::Accepted(events) = verdict {
                        self.tell_again(&events);
                    }
                }
                Ok(Answer { repeated: false, .. }) => {}
            }
        }
        self.position = Some(position);
        Ok(())
    }

    /// Who asks again has not heard the answer.
    fn tell_again(&self, events: &[RecordedEvent]) {
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            let epoch = self.outbox.lineage().current().epoch;
            let (from, through) = (first.id.sequence, last.id.sequence);
            self.outbox.request_replay(ReplayEvents { epoch, from, through });
        }
    }

    /// A centre saw something that this store did not write?
    fn compare(&self, seen: &JournalWitnessed) -> Result<(), Halt> {
        let lineage = &self.outbox.lineage();
        let epoch = lineage.current().epoch;
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = reader.hash_at(seen.head).map_err(Halt::Journal)?;
        drop(reader);
        let hash = hash.map(|hash| hash.to_string());
        let head = self.outbox.committed().head.sequence;
        let own = Own { epoch, lineage, head, hash_there: hash.as_deref() };
        match compare(own, seen) {
            Comparison::Whole | Comparison::Earlier => Ok(()),
            Comparison::Behind | Comparison::Forked | Comparison::Superseded => {
                Err(Halt::Refused(Refused { epoch: seen.epoch, head: seen.head, own: epoch }))
            }
        }
    }

    fn understand(&self, received: &Received<'_>) -> Option<Understood> {
        if let Err(unverified) = self.log.authenticate(received) {
            self.metrics.unreadable_commands.inc();
            let offset = received.offset.0;
            warn!(%unverified, offset, "a command is not by a centre; it is not executed");
            return None;
        }
        match decode_command(&received.record) {
            Ok(envelope) if envelope.store != self.store => {
                self.metrics.unreadable_commands.inc();
                let trace_id = trace::id(envelope.traceparent.as_deref());
                warn!(store = %envelope.store, trace_id, "a command for another store is on this store's topic");
                None
            }
            Ok(envelope) => self.request(envelope, received.topic),
            Err(error) => {
                self.metrics.unreadable_commands.inc();
                let trace_id = trace::id(traceparent(&received.record));
                warn!(%error, offset = received.offset.0, trace_id, "a command could not be read");
                None
            }
        }
    }

    fn request(&self, envelope: CommandEnvelope, topic: &str) -> Option<Understood> {
        let command = match envelope.command {
            StoreCommand::ReplayEvents(wanted) => {
                info!(from = %wanted.from, through = %wanted.through, "the centre misses events");
                self.outbox.request_replay(wanted);
                return None;
            }
            StoreCommand::JournalWitnessed(seen) => return Some(Understood::Witnessed(seen)),
            StoreCommand::Stock(command) => Command::Stock(command),
            StoreCommand::Reserve(ask) => {
                Command::Reserve { ask, deadline: expired_before(self.release_grace) }
            }
            StoreCommand::Release(release) => Command::Release(release),
            StoreCommand::Fulfil(fulfil) => Command::Fulfil(fulfil),
        };
        let CommandEnvelope { id, principal, traceparent, .. } = envelope;
        let span = trace::process(topic, &id, traceparent.as_deref().and_then(Context::parse));
        // What it leads to follows from its being processed here.
        let traceparent = span.traceparent().or(traceparent);
        let request =
            Request { command, id: Some(id), principal, traceparent, answer_by_event: true };
        Some(Understood::Command(request, span))
    }
}

/// What is left to do about a command once it was read.
enum Understood {
    Command(Request, Span),
    Witnessed(JournalWitnessed),
}
