//! The one thread that writes the centre's database: what stores say, and what callers ask.
//!
//! Callers and batches share a mailbox, so that the thread sleeps in one place; batches wait in a
//! queue of their own, so that a slow disk slows the reading instead of filling memory. Whatever has
//! arrived while a transaction was being written goes into the next one together.

use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SendError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use service_kit::trace::names::{COMMIT_FAILED, transaction};
use service_kit::trace::{self, Context, Span};
use shared_events::StoreId;
use tokio::sync::oneshot;

use crate::admission::Verdict;
use crate::clock::now;
use crate::database::{Error, Lane};
use crate::ledger::{Ask, Refusal};
use crate::letters::Redriven;
use crate::metrics::Metrics;
use crate::outbound::Bell;
use crate::projection::{Batch, Projection};

/// Batches that may wait: the next one is decoded while this one is committed, and no more.
const BATCHES: usize = 2;
/// Requests that may wait; more are refused.
const MAILBOX: usize = 1_024;
/// Most requests of one transaction.
const REQUESTS_PER_COMMIT: usize = 256;
/// How often stores are looked at for events that do not come, and what has waited for a transaction is
/// saved.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is sent to the projector.
#[derive(Debug)]
enum Message {
    /// A batch waits in its queue.
    Batch,
    /// A caller asks, as part of a trace perhaps.
    Ask(Ask, Option<Context>),
    /// Somebody wants a store's levels compared with its journal.
    Compare(StoreId, oneshot::Sender<()>),
    /// A dead letter is tried again, as it was judged.
    Redrive(i64, Box<Verdict>, oneshot::Sender<Redriven>),
    /// A lane of the outbox was published up to this row.
    Published(Lane, i64),
    /// Nobody will ask any more.
    Stop,
}

/// The way into the mailbox, which counts what waits there.
#[derive(Debug, Clone)]
struct Mail {
    mailbox: SyncSender<Message>,
    waiting: Gauge,
}

impl Mail {
    /// Blocks while the mailbox is full.
    fn send(&self, message: Message) -> Result<(), SendError<()>> {
        self.waiting.inc();
        self.mailbox.send(message).map_err(|_ended| {
            self.waiting.dec();
            SendError(())
        })
    }

    fn try_send(&self, message: Message) -> Result<(), Refusal> {
        self.waiting.inc();
        self.mailbox.try_send(message).map_err(|error| {
            self.waiting.dec();
            match error {
                TrySendError::Full(_) => Refusal::Overloaded,
                TrySendError::Disconnected(_) => Refusal::Stopped,
            }
        })
    }
}

/// The way in for batches.
#[derive(Debug, Clone)]
pub struct Batches {
    batches: SyncSender<Batch>,
    mail: Mail,
}

impl Batches {
    /// Hands over a batch; blocks while earlier ones wait.
    ///
    /// # Errors
    /// When the projector has ended.
    pub fn send(&self, batch: Batch) -> Result<(), SendError<()>> {
        self.batches.send(batch).map_err(|_ended| SendError(()))?;
        self.mail.send(Message::Batch)
    }

    /// Tells that a lane of the outbox was published up to a row.
    ///
    /// # Errors
    /// When the projector has ended.
    pub fn published(&self, lane: Lane, through: i64) -> Result<(), SendError<()>> {
        self.mail.send(Message::Published(lane, through))
    }
}

/// The way in for callers.
#[derive(Debug, Clone)]
pub struct Handle {
    mail: Mail,
}

impl Handle {
    /// A way to nobody: every request is refused.
    #[must_use]
    pub fn closed() -> Self {
        Self { mail: Mail { mailbox: sync_channel(0).0, waiting: Gauge::default() } }
    }

    /// Asks the ledger, and waits until what that led to is on disk.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Ask,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.mail.try_send(Message::Ask(ask(reply), trace::current()))?;
        answer.await.map_err(|_dropped| Refusal::Unknown)?
    }

    /// Wants a store's levels compared with its whole journal, as soon as there is room; returns when that
    /// is known to the projector. A store nobody knows is passed over.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn compare(&self, store: StoreId) -> Result<(), Refusal> {
        let (reply, noted) = oneshot::channel();
        self.mail.try_send(Message::Compare(store, reply))?;
        noted.await.map_err(|_dropped| Refusal::Unknown)
    }

    /// Tries a dead letter again, as it was judged; tells what came of it once that is on disk.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn redrive(&self, id: i64, verdict: Verdict) -> Result<Redriven, Refusal> {
        let (reply, came) = oneshot::channel();
        self.mail.try_send(Message::Redrive(id, Box::new(verdict), reply))?;
        came.await.map_err(|_dropped| Refusal::Unknown)
    }

    /// Ends the projector behind everything that was sent before. Connections that are still open keep
    /// their handles, so it cannot wait for those to go.
    pub(crate) fn stop(&self) {
        if self.mail.send(Message::Stop).is_err() {
            tracing::debug!("the projector has ended already");
        }
    }
}

/// The thread's state.
#[derive(Debug)]
pub struct Projector {
    projection: Projection,
    bell: Arc<Bell>,
    metrics: Arc<Metrics>,
    mailbox: Receiver<Message>,
    batches: Receiver<Batch>,
    /// Name of the topic of events.
    topic: String,
}

/// What one round works off.
#[derive(Debug, Default)]
struct Round {
    batch: bool,
    asks: Vec<Ask>,
    /// The traces that they are part of.
    traces: Vec<Context>,
    compare: Vec<(StoreId, oneshot::Sender<()>)>,
    redrive: Vec<(i64, Verdict, oneshot::Sender<Redriven>)>,
    published: Vec<(Lane, i64)>,
    stop: bool,
}

impl Round {
    /// Takes a message; `false` when the round is full.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Batch => self.batch = true,
            Message::Ask(ask, trace) => {
                self.asks.push(ask);
                self.traces.extend(trace);
            }
            Message::Compare(store, reply) => self.compare.push((store, reply)),
            Message::Redrive(id, verdict, reply) => self.redrive.push((id, *verdict, reply)),
            Message::Published(lane, through) => self.published.push((lane, through)),
            Message::Stop => self.stop = true,
        }
        !self.batch && !self.stop && self.asks.len() < REQUESTS_PER_COMMIT
    }
}

impl Projector {
    /// A projector over an opened view, and the ways to it. It rings the bell when there is something
    /// to publish.
    #[must_use]
    pub fn new(
        projection: Projection,
        bell: Arc<Bell>,
        metrics: Arc<Metrics>,
    ) -> (Self, Batches, Handle) {
        let (mail, mailbox) = sync_channel(MAILBOX);
        let mail = Mail { mailbox: mail, waiting: metrics.common.mailbox.clone() };
        let (sender, batches) = sync_channel(BATCHES);
        let topic = projection.topics.stock_events().name;
        let projector = Self { projection, bell, metrics, mailbox, batches, topic };
        (projector, Batches { batches: sender, mail: mail.clone() }, Handle { mail })
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// [`Error`]: memory and database may differ, the process must end.
    pub fn run(mut self) -> Result<(), Error> {
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            let round = self.next_round(look_at);
            for (lane, through) in round.published {
                self.projection.published(lane, through);
            }
            if round.batch {
                self.apply()?;
            }
            for (store, reply) in round.compare {
                self.projection.compare(&store);
                // At once: somebody waits for it.
                look_at = Instant::now();
                if reply.send(()).is_err() {
                    tracing::debug!(%store, "whoever wanted the comparison has left");
                }
            }
            for (id, verdict, reply) in round.redrive {
                self.redrive(id, verdict, reply)?;
            }
            self.serve(round.asks, &round.traces)?;
            if Instant::now() >= look_at {
                look_at = Instant::now() + LOOK_EVERY;
                self.projection.save()?;
                let asked = self.projection.ask_for_missing(now())?;
                if asked > 0 {
                    self.metrics.replays_asked.inc_by(asked);
                    self.bell.ring();
                }
            }
            if round.stop {
                return self.projection.save();
            }
        }
    }

    /// Waits for something to do, and takes what has arrived with it.
    fn next_round(&self, look_at: Instant) -> Round {
        let mut round = Round::default();
        let mut left = look_at.saturating_duration_since(Instant::now());
        if let Some(due) = self.projection.next_due() {
            let until = due.unix_millis().saturating_sub(now().unix_millis());
            left = left.min(Duration::from_millis(u64::try_from(until).unwrap_or_default()));
        }
        match self.mailbox.recv_timeout(left) {
            Ok(message) => {
                let waiting = &self.metrics.common.mailbox;
                waiting.dec();
                let mut more = round.take(message);
                while more {
                    more = match self.mailbox.try_recv() {
                        Ok(message) => {
                            waiting.dec();
                            round.take(message)
                        }
                        Err(TryRecvError::Empty | TryRecvError::Disconnected) => false,
                    };
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => round.stop = true,
        }
        round
    }

    /// Answers callers, and does what has become due.
    fn serve(&mut self, asks: Vec<Ask>, traces: &[Context]) -> Result<(), Error> {
        let traces = traces.iter().copied().map(Some);
        let mut commit = trace::commit(transaction::LEDGER, asks.len(), traces);
        match self.projection.serve(asks, now()) {
            Ok(to_publish) => {
                if to_publish {
                    self.bell.ring();
                }
                Ok(())
            }
            Err(error) => {
                commit.failed(COMMIT_FAILED);
                Err(error)
            }
        }
    }

    fn redrive(
        &mut self,
        id: i64,
        verdict: Verdict,
        reply: oneshot::Sender<Redriven>,
    ) -> Result<(), Error> {
        let (came, applied) = self.projection.redrive(id, verdict, now())?;
        self.metrics.applied(Instant::now(), applied, &Batch::default());
        self.bell.ring();
        if reply.send(came).is_err() {
            tracing::debug!(id, "whoever tried the dead letter again has left");
        }
        Ok(())
    }

    /// A span for each event that is part of a sampled trace.
    fn spans(&self, batch: &Batch) -> Vec<Span> {
        if !trace::is_exported() {
            return Vec::new();
        }
        let events = batch.events.iter().filter_map(|event| {
            let happened_at = event.occurred_at.unix_millis();
            let trace = trace::recent(event.traceparent.as_deref(), happened_at)?;
            Some(trace::process(&self.topic, &event.id, Some(trace)))
        });
        events.filter(|span| span.context().is_some()).collect()
    }

    fn apply(&mut self) -> Result<(), Error> {
        // It was queued before it was announced.
        let Ok(batch) = self.batches.recv() else {
            return Ok(());
        };
        let started = Instant::now();
        let spans = self.spans(&batch);
        let mut commit =
            trace::commit(transaction::VIEW, batch.events.len(), spans.iter().map(Span::context));
        let applied = self.projection.apply(&batch, now());
        if applied.is_err() {
            commit.failed(COMMIT_FAILED);
        }
        drop(commit);
        let applied = applied?;
        self.metrics.applied(started, applied, &batch);
        self.bell.ring();
        Ok(())
    }
}
