//! The single writer: one thread decides every command of the store and commits in groups.
//!
//! ```text
//!  Handle ──Message──▶ mailbox ──drain──▶ decide all ──▶ one transaction ──▶ COMMIT (fsync)
//!                                          against          events +            │
//!                                       shelf + batch      commands             ▼
//!                                                               shelf, outbox, then all replies
//! ```
//! While one commit waits for the disk the next group gathers in the mailbox, so a lone sale costs
//! one fsync and a thousand at once cost a few. Nothing is visible or answered before it is durable.

use std::sync::Arc;
use std::time::Instant;

use inventory_core::Digest;
use service_kit::trace::names::{COMMIT_FAILED, transaction};
use service_kit::trace::{self, Context};
use shared_events::{CommandId, RecordedEvent, Sequence, Sku, StockEvent, Subject};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::clock::now;
use crate::decisions::{Batch, Command, HotItems};
use crate::journal::{self, InboxPosition, Journal, NewEvent, Verdict};
use crate::metrics::Metrics;
use crate::opening::{Halt, Opened, Opening, Progress, Refilled};
use crate::outbox::{Committed, Outbox};
use crate::shelf::Shelf;
use crate::standing::{Stage, Standing};

/// Messages that may wait: beyond it the service says so at once instead of queueing without end.
const MAILBOX: usize = 1_024;
/// Commands of one transaction: bounds the memory and the time of a commit, far above what one
/// fsync can amortise.
const COMMANDS_PER_COMMIT: usize = 4_096;

/// Names that one transaction forgets, beside twice as many as it may remember.
const FORGOTTEN_AT_ONCE: usize = 64;

/// A command and what came with it.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// The caller's name for it: a repeat gets the recorded answer.
    pub id: Option<CommandId>,
    /// Who asks, where that is known.
    pub principal: Option<Subject>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The caller is not there to be told: a refusal is told by an event too.
    pub answer_by_event: bool,
}

/// A durable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What became of it.
    pub verdict: Verdict,
    /// Whether it had been answered before.
    pub repeated: bool,
}

/// Why there is no answer. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The command id was used for another command.
    #[error("the command id was used before with another body")]
    CommandIdReused,
    /// It is not known yet whether the journal is whole.
    #[error("the store waits until its journal is known to be whole; nothing was done")]
    NotOpen,
    /// The disk is full.
    #[error("the disk is full; nothing was written")]
    StorageFull,
    /// Too much is waiting.
    #[error("{MAILBOX} requests are waiting already; nothing was done")]
    Overloaded,
    /// The writer has ended.
    #[error("the store is stopping; nothing was done")]
    Stopped,
    /// The writer ended before it could answer: the command may or may not have been executed.
    #[error(
        "the store stopped before it could answer; repeat the command with its id to learn the outcome"
    )]
    Unknown,
}

/// What is sent to the writer.
#[derive(Debug)]
enum Message {
    /// Execute commands and answer each, in order.
    Execute {
        requests: Vec<Request>,
        /// Where reading the centre's commands goes on behind these.
        inbox: Option<InboxPosition>,
        reply: oneshot::Sender<Vec<Result<Answer, Refusal>>>,
    },
    /// Save how far the relay came.
    SaveCursor,
    /// Answer what is waiting and end.
    Stop,
}

/// Sends commands to the writer.
#[derive(Debug, Clone)]
pub struct Handle {
    mailbox: mpsc::Sender<Message>,
    standing: Arc<Standing>,
}

impl Handle {
    /// Executes commands in order and gives an answer for each, once it is durable.
    ///
    /// # Errors
    /// [`Refusal`] for all of them; a refusal of one stands in its place of the list.
    pub async fn execute(
        &self,
        requests: Vec<Request>,
    ) -> Result<Vec<Result<Answer, Refusal>>, Refusal> {
        if matches!(self.standing.stage(), Stage::Held | Stage::Refilling { .. }) {
            return Err(Refusal::NotOpen);
        }
        let (reply, answers) = oneshot::channel();
        let message = Message::Execute { requests, inbox: None, reply };
        self.mailbox.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Refusal::Stopped,
        })?;
        answers.await.map_err(|_dropped| Refusal::Unknown)
    }

    /// Executes commands of the centre and saves, with their events, where reading goes on behind
    /// them. Blocks; a full mailbox slows the reading.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was written, the position included.
    pub(crate) fn execute_from_inbox(
        &self,
        requests: Vec<Request>,
        position: InboxPosition,
    ) -> Result<Vec<Result<Answer, Refusal>>, Refusal> {
        let (reply, answers) = oneshot::channel();
        let message = Message::Execute { requests, inbox: Some(position), reply };
        self.mailbox.blocking_send(message).map_err(|_closed| Refusal::Stopped)?;
        answers.blocking_recv().map_err(|_dropped| Refusal::Unknown)
    }

    /// Asks for the relay's cursor to be saved when there is time.
    pub(crate) fn save_cursor(&self) {
        // A full mailbox means commands are coming, and each commit saves the cursor anyway.
        if self.mailbox.try_send(Message::SaveCursor).is_err() {
            tracing::debug!("the cursor is saved with the next command");
        }
    }
}

impl Handle {
    /// Messages that wait for the writer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.mailbox.max_capacity() - self.mailbox.capacity()
    }

    /// Whether the journal may be written.
    #[must_use]
    pub fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    /// Ends the writer once it has answered what is waiting. Connections that are still open keep
    /// their handles, so it cannot wait for those to go.
    pub(crate) async fn stop(&self) {
        if self.mailbox.send(Message::Stop).await.is_err() {
            tracing::debug!("the writer has ended already");
        }
    }
}

/// The writer's state and its ends.
#[derive(Debug)]
pub struct Writer {
    journal: Journal,
    shelf: Arc<Shelf>,
    outbox: Arc<Outbox>,
    metrics: Arc<Metrics>,
    standing: Arc<Standing>,
    digest: Digest,
    hot: HotItems,
    mailbox: mpsc::Receiver<Message>,
}

impl Writer {
    /// A writer over an opened journal, and the handle to it.
    #[must_use]
    pub fn new(
        journal: Journal,
        shelf: Arc<Shelf>,
        outbox: Arc<Outbox>,
        metrics: Arc<Metrics>,
    ) -> (Self, Handle) {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let digest = outbox.committed().digest;
        let (hot, standing) = (HotItems::default(), Arc::default());
        let handle = Handle { mailbox: sender, standing: Arc::clone(&standing) };
        (Self { journal, shelf, outbox, metrics, standing, digest, hot, mailbox }, handle)
    }

    /// Makes sure that the journal is whole before anything is written to it; `None` when the store is
    /// stopped meanwhile.
    ///
    /// # Errors
    /// A journal that failed.
    pub fn open(
        &mut self,
        opening: &Opening,
        progress: &mut dyn FnMut(Progress),
        cancel: &CancellationToken,
    ) -> Result<Option<Opened>, journal::Error> {
        let (shelf, mailbox) = (self.shelf.as_ref(), &mut self.mailbox);
        let mut returned = Returned { shelf, digest: self.digest, progress, mailbox };
        let opened =
            opening.open(&mut self.journal, self.digest, &self.standing, &mut returned, cancel);
        self.digest = returned.digest;
        let opened = match opened {
            Ok(opened) => opened,
            Err(Halt::Stopped) => return Ok(None),
            Err(Halt::Journal(fatal)) => return Err(fatal),
        };
        let (head, digest) = (self.journal.head(), self.digest);
        let published = self.journal.published_through();
        self.outbox.opened(self.journal.identity(), Committed { head, digest }, published);
        self.metrics.opened(&opened);
        self.standing.set(Stage::Open);
        Ok(Some(opened))
    }

    /// Lets the journal keep so much of its pages in memory.
    pub(crate) fn set_cache(&self, kib: u32) -> Result<(), journal::Error> {
        self.journal.set_cache(kib)
    }

    /// The journal's end and the digest there.
    pub(crate) fn committed(&self) -> Committed {
        Committed { head: self.journal.head(), digest: self.digest }
    }

    /// Writes events that nobody asked for, all or none; an empty journal begins behind `seen` with them.
    pub(crate) fn record(
        &mut self,
        events: impl Iterator<Item = NewEvent>,
        seen: Sequence,
    ) -> Result<(), journal::Error> {
        let mut events = events.peekable();
        if events.peek().is_none() {
            return Ok(());
        }
        let mut append = if self.journal.head().sequence == Sequence::ZERO {
            self.journal.begin_behind(seen)?
        } else {
            self.journal.append()?
        };
        let mut recorded = Vec::new();
        for event in events {
            let RecordedEvent { sku, event, .. } = append.event(event)?;
            recorded.push((sku, event));
        }
        append.commit()?;
        for (sku, event) in recorded {
            show(&self.shelf, &mut self.digest, sku, event);
        }
        Ok(())
    }

    /// Serves until it is told to stop, then answers what is waiting.
    ///
    /// # Errors
    /// A journal that failed: what a running commit did is unknown, so the process must end and
    /// start from the journal.
    pub fn run(
        mut self,
        opening: &Opening,
        cancel: &CancellationToken,
    ) -> Result<(), journal::Error> {
        if self.open(opening, &mut |_read| {}, cancel)?.is_none() {
            self.refuse_all();
            return Ok(());
        }
        while let Some(first) = self.mailbox.blocking_recv() {
            let mut group = Group::default();
            group.add(first);
            while group.requests < COMMANDS_PER_COMMIT
                && let Ok(message) = self.mailbox.try_recv()
            {
                group.add(message);
            }
            if group.stop {
                self.mailbox.close();
            }
            self.commit(group)?;
        }
        self.commit(Group::default())
    }

    /// Refuses what waits until it is told to stop: the journal was never opened.
    fn refuse_all(&mut self) {
        self.standing.set(Stage::Closed);
        while let Some(message) = self.mailbox.blocking_recv() {
            refuse(message, &mut self.mailbox, Refusal::Stopped);
        }
    }

    fn commit(&mut self, group: Group) -> Result<(), journal::Error> {
        if group.asked.is_empty() && !self.has_unsaved() {
            return Ok(());
        }
        let started = Instant::now();
        let mut span = trace::commit(transaction::JOURNAL, group.requests, group.traces());
        let committed = self.try_commit(&group);
        if committed.is_err() {
            span.failed(COMMIT_FAILED);
        }
        // Ended before anyone is answered: who has the answer finds the commit in front of it.
        drop(span);
        match committed {
            Ok(answered) => {
                self.metrics.committed(started, &answered);
                self.metrics.storage_full.set(0);
                for (asked, answers) in group.asked.into_iter().zip(answered) {
                    answer(asked.reply, answers);
                }
                Ok(())
            }
            Err(journal::Error::Full) => {
                warn!("the disk is full: commands are refused until there is space again");
                self.metrics.storage_full.set(1);
                for Asked { requests, reply, .. } in group.asked {
                    // Also where only a position was to be saved: its sender must see that it was not.
                    let answers = requests.len().max(1);
                    answer(reply, vec![Err(Refusal::StorageFull); answers]);
                }
                Ok(())
            }
            Err(fatal) => {
                error!(error = %fatal, "the journal failed; the store stops");
                Err(fatal)
            }
        }
    }

    /// Whether a commit without commands does anything: saves how far the relay came, or finds out whether
    /// the disk has room again.
    fn has_unsaved(&self) -> bool {
        let published = self.outbox.published_through();
        published != self.journal.published_through() || self.metrics.storage_full.get() != 0
    }

    /// Decides and commits a group; on an error nothing in memory has changed.
    fn try_commit(&mut self, group: &Group) -> Result<Vec<Answers>, journal::Error> {
        let append = self.journal.append()?;
        let mut batch = Batch::new(append, &self.shelf, self.digest, now(), &mut self.hot);
        let mut answered = Vec::with_capacity(group.asked.len());
        for Asked { requests, inbox, .. } in &group.asked {
            let answers: Result<Vec<_>, _> =
                requests.iter().map(|request| batch.execute(request)).collect();
            answered.push(answers?);
            if let Some(position) = inbox {
                batch.append.inbox(position)?;
            }
        }
        let Batch { mut append, changed, events, hot, digest, .. } = batch;
        append.published_through(self.outbox.published_through())?;
        append.forget(now(), FORGOTTEN_AT_ONCE.saturating_add(group.requests * 2))?;
        if self.metrics.storage_full.get() != 0 {
            // Somebody has to try: no sales are sent to a store that is not ready.
            append.probe()?;
        }
        let syncing = Instant::now();
        let head = append.commit()?;
        if group.requests > 0 {
            self.metrics.synced(syncing);
        }
        hot.keep(changed);
        self.digest = digest;
        self.shelf.commit(&events);
        self.outbox.commit(Committed { head, digest });
        Ok(answered)
    }
}

/// However it ends, nobody waits for it to open any longer.
impl Drop for Writer {
    fn drop(&mut self) {
        self.standing.set(Stage::Closed);
    }
}

/// Puts events that come back on the shelf.
struct Returned<'w> {
    shelf: &'w Shelf,
    digest: Digest,
    progress: &'w mut dyn FnMut(Progress),
    mailbox: &'w mut mpsc::Receiver<Message>,
}

impl Refilled for Returned<'_> {
    fn held_up(&mut self) {
        while let Ok(message) = self.mailbox.try_recv() {
            refuse(message, self.mailbox, Refusal::NotOpen);
        }
    }

    fn take(&mut self, event: &RecordedEvent) {
        show(self.shelf, &mut self.digest, event.sku.clone(), event.event.clone());
    }

    fn progress(&mut self, progress: Progress) {
        (self.progress)(progress);
    }
}

/// Shows an event that no command led to.
fn show(shelf: &Shelf, digest: &mut Digest, sku: Sku, event: StockEvent) {
    let before = shelf.get(&sku);
    let happened = [(sku, event)];
    shelf.commit(&happened);
    let [(sku, _)] = &happened;
    *digest = digest.replace(sku, &before, &shelf.get(sku));
}

fn refuse(message: Message, mailbox: &mut mpsc::Receiver<Message>, why: Refusal) {
    match message {
        Message::Execute { requests, reply, .. } => {
            answer(reply, vec![Err(why); requests.len()]);
        }
        Message::SaveCursor => {}
        // Nothing is taken any more, and who waits for messages ends behind the last.
        Message::Stop => mailbox.close(),
    }
}

type Answers = Vec<Result<Answer, Refusal>>;

fn answer(reply: oneshot::Sender<Answers>, answers: Answers) {
    if reply.send(answers).is_err() {
        tracing::debug!("a caller left before its answer; the command stays executed");
    }
}

/// What one commit will hold.
#[derive(Debug, Default)]
struct Group {
    requests: usize,
    stop: bool,
    asked: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    requests: Vec<Request>,
    inbox: Option<InboxPosition>,
    reply: oneshot::Sender<Answers>,
}

impl Group {
    /// The traces that the requests are part of.
    fn traces(&self) -> impl Iterator<Item = Option<Context>> {
        let requests = self.asked.iter().flat_map(|asked| &asked.requests);
        requests.map(|request| request.traceparent.as_deref().and_then(Context::parse))
    }

    fn add(&mut self, message: Message) {
        match message {
            Message::Execute { requests, inbox, reply } => {
                self.requests += requests.len();
                self.asked.push(Asked { requests, inbox, reply });
            }
            // Every commit saves it.
            Message::SaveCursor => {}
            Message::Stop => self.stop = true,
        }
    }
}
