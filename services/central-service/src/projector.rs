//! The one thread that writes the centre's database.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use service_kit::clock;
use shared_events::Timestamp;
use shared_events::topic::Topics;

use crate::database::Error;
use crate::metrics::Metrics;
use crate::outbound::Bell;
use crate::projection::{Batch, Projection};

/// Batches that may wait: the next one is decoded while this one is committed, and no more, so that a
/// slow disk slows the reading instead of filling memory.
const MAILBOX: usize = 2;
/// How often stores are looked at for events that do not come.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is sent to the projector.
#[derive(Debug)]
pub enum Message {
    /// Records to apply.
    Batch(Batch),
    /// The outbox was published up to this row.
    Published(i64),
}

/// The thread's state.
#[derive(Debug)]
pub struct Projector {
    projection: Projection,
    topics: Topics,
    bell: Arc<Bell>,
    metrics: Arc<Metrics>,
    mailbox: Receiver<Message>,
}

impl Projector {
    /// A projector over an opened view, and the way to it. It rings the bell when there is
    /// something to publish.
    #[must_use]
    pub fn new(
        projection: Projection,
        topics: Topics,
        bell: Arc<Bell>,
        metrics: Arc<Metrics>,
    ) -> (Self, SyncSender<Message>) {
        let (sender, mailbox) = sync_channel(MAILBOX);
        (Self { projection, topics, bell, metrics, mailbox }, sender)
    }

    /// Serves until all senders are gone.
    ///
    /// # Errors
    /// [`Error`]: memory and database may differ, the process must end.
    pub fn run(mut self) -> Result<(), Error> {
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            let left = look_at.saturating_duration_since(Instant::now());
            match self.mailbox.recv_timeout(left) {
                Ok(Message::Batch(batch)) => self.apply(&batch)?,
                Ok(Message::Published(through)) => self.projection.published(through)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if Instant::now() >= look_at {
                look_at = Instant::now() + LOOK_EVERY;
                let asked = self.projection.ask_for_missing(&self.topics, now())?;
                if asked > 0 {
                    self.metrics.replays_asked.inc_by(asked);
                    self.bell.ring();
                }
            }
        }
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), Error> {
        let started = Instant::now();
        let applied = self.projection.apply(batch)?;
        self.metrics.applied(started, applied, &batch.events);
        if !batch.dead_letters.is_empty() {
            self.bell.ring();
        }
        Ok(())
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_millis(clock::unix_millis())
        .expect("the clock is between years 1 and 9999")
}
