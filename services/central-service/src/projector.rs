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

use shared_events::StoreId;
use tokio::sync::oneshot;

use crate::clock::now;
use crate::database::{Error, Lane};
use crate::ledger::{Ask, Refusal};
use crate::metrics::Metrics;
use crate::outbound::Bell;
use crate::projection::{Batch, Projection};

/// Batches that may wait: the next one is decoded while this one is committed, and no more.
const BATCHES: usize = 2;
/// Requests that may wait; more are refused.
const MAILBOX: usize = 1_024;
/// Most requests of one transaction.
const REQUESTS_PER_COMMIT: usize = 256;
/// How often stores are looked at for events that do not come.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is sent to the projector.
#[derive(Debug)]
enum Message {
    /// A batch waits in its queue.
    Batch,
    /// A caller asks.
    Ask(Ask),
    /// Somebody wants a store's levels compared with its journal.
    Compare(StoreId, oneshot::Sender<()>),
    /// A lane of the outbox was published up to this row.
    Published(Lane, i64),
    /// Nobody will ask any more.
    Stop,
}

/// The way in for batches.
#[derive(Debug, Clone)]
pub struct Batches {
    batches: SyncSender<Batch>,
    mailbox: SyncSender<Message>,
}

impl Batches {
    /// Hands over a batch; blocks while earlier ones wait.
    ///
    /// # Errors
    /// When the projector has ended.
    pub fn send(&self, batch: Batch) -> Result<(), SendError<()>> {
        self.batches.send(batch).map_err(|_ended| SendError(()))?;
        self.mailbox.send(Message::Batch).map_err(|_ended| SendError(()))
    }

    /// Tells that a lane of the outbox was published up to a row.
    ///
    /// # Errors
    /// When the projector has ended.
    pub fn published(&self, lane: Lane, through: i64) -> Result<(), SendError<()>> {
        self.mailbox.send(Message::Published(lane, through)).map_err(|_ended| SendError(()))
    }
}

/// The way in for callers.
#[derive(Debug, Clone)]
pub struct Handle {
    mailbox: SyncSender<Message>,
}

impl Handle {
    /// A way to nobody: every request is refused.
    #[must_use]
    pub fn closed() -> Self {
        Self { mailbox: sync_channel(0).0 }
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
        self.send(Message::Ask(ask(reply)))?;
        answer.await.map_err(|_dropped| Refusal::Unknown)?
    }

    /// Wants a store's levels compared with its whole journal, as soon as there is room; returns when that
    /// is known to the projector. A store nobody knows is passed over.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn compare(&self, store: StoreId) -> Result<(), Refusal> {
        let (reply, noted) = oneshot::channel();
        self.send(Message::Compare(store, reply))?;
        noted.await.map_err(|_dropped| Refusal::Unknown)
    }

    fn send(&self, message: Message) -> Result<(), Refusal> {
        self.mailbox.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Overloaded,
            TrySendError::Disconnected(_) => Refusal::Stopped,
        })
    }

    /// Ends the projector behind everything that was sent before. Connections that are still open keep
    /// their handles, so it cannot wait for those to go.
    pub(crate) fn stop(&self) {
        if self.mailbox.send(Message::Stop).is_err() {
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
}

/// What one round works off.
#[derive(Debug, Default)]
struct Round {
    batch: bool,
    asks: Vec<Ask>,
    compare: Vec<(StoreId, oneshot::Sender<()>)>,
    published: Vec<(Lane, i64)>,
    stop: bool,
}

impl Round {
    /// Takes a message; `false` when the round is full.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Batch => self.batch = true,
            Message::Ask(ask) => self.asks.push(ask),
            Message::Compare(store, reply) => self.compare.push((store, reply)),
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
        let (sender, batches) = sync_channel(BATCHES);
        let projector = Self { projection, bell, metrics, mailbox, batches };
        (projector, Batches { batches: sender, mailbox: mail.clone() }, Handle { mailbox: mail })
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
            if self.projection.serve(round.asks, now())? {
                self.bell.ring();
            }
            if Instant::now() >= look_at {
                look_at = Instant::now() + LOOK_EVERY;
                let asked = self.projection.ask_for_missing(now())?;
                if asked > 0 {
                    self.metrics.replays_asked.inc_by(asked);
                    self.bell.ring();
                }
            }
            if round.stop {
                return Ok(());
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
                let mut more = round.take(message);
                while more {
                    more = match self.mailbox.try_recv() {
                        Ok(message) => round.take(message),
                        Err(TryRecvError::Empty | TryRecvError::Disconnected) => false,
                    };
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => round.stop = true,
        }
        round
    }

    fn apply(&mut self) -> Result<(), Error> {
        // It was queued before it was announced.
        let Ok(batch) = self.batches.recv() else {
            return Ok(());
        };
        let started = Instant::now();
        let applied = self.projection.apply(&batch, now())?;
        self.metrics.applied(started, applied, &batch.events);
        self.bell.ring();
        Ok(())
    }
}
