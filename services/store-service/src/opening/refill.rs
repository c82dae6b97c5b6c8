//! Fetching a store's own events from the broker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use event_log::{Error, EventLog, Offset, Position, Received, ask};
use shared_events::wire::{decode_event, header};
use shared_events::{EventId, Lineage, RecordedEvent, Sequence};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Opening;
use crate::journal;

const RECORDS_PER_POLL: usize = 10_000;
const EVENTS_PER_BATCH: usize = 10_000;
const POLL_FOR: Duration = Duration::from_millis(200);
/// A broker that sends nothing for so long, although there is more, is asked anew.
const SILENCE: Duration = Duration::from_secs(10);
const TELL_EVERY: Duration = Duration::from_secs(2);

/// How much of the topic was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records read, of all stores.
    pub read: u64,
    /// Records there were.
    pub of: u64,
    /// Events of this store among them that the journal did not have.
    pub own: u64,
}

/// Why fetching stopped.
pub(super) enum Halt {
    Broker(Error),
    Journal(journal::Error),
}

/// Takes what comes back.
pub(super) trait Sink {
    /// Events in order, behind those before.
    fn deliver(&mut self, events: &[RecordedEvent]) -> Result<(), journal::Error>;
    /// So much has been read.
    fn progress(&mut self, progress: Progress);
}

/// Reads the whole topic as it stands now, and delivers the events behind `after` in order, up to the
/// first that is missing. What was written outside of the journal's lives is left out.
pub(super) fn fetch(
    opening: &Opening,
    lives: &Lineage,
    after: Sequence,
    sink: &mut dyn Sink,
    cancel: &CancellationToken,
) -> Result<(), Halt> {
    let topic = opening.topics.stock_events();
    let opened = ask(&opening.log, cancel, move |log| {
        log.ensure_topics(std::slice::from_ref(&topic))?;
        let extents = log.extents(&topic)?;
        let from = |(extent, partition): (&event_log::Extent, i32)| Position {
            topic: topic.name.clone(),
            partition,
            next: extent.low,
        };
        let from: Vec<_> = extents.iter().zip(0..).map(from).collect();
        Ok((log.subscriber(&from)?, extents))
    });
    let (mut subscriber, extents) = opened.map_err(Halt::Broker)?;
    let mut left: BTreeMap<i32, Offset> = (0..)
        .zip(&extents)
        .filter(|(_, extent)| extent.low < extent.high)
        .map(|(partition, extent)| (partition, extent.high))
        .collect();
    let of = extents.iter().map(|extent| extent.high.0 - extent.low.0).sum::<i64>();
    let mut progress = Progress { of: of.unsigned_abs(), ..Progress::default() };
    let mut own = Own {
        prefix: format!("{}|", opening.store),
        lives,
        next: if after == Sequence::ZERO { lives.first() } else { after.next() },
        pending: BTreeMap::new(),
    };
    let (mut heard, mut told) = (Instant::now(), Instant::now());
    while !left.is_empty() {
        if cancel.is_cancelled() {
            return Err(Halt::Broker(Error::Cancelled));
        }
        let polled = subscriber.poll(RECORDS_PER_POLL, POLL_FOR, &mut |received| {
            progress.read += 1;
            progress.own += u64::from(own.take(&received, opening.log.as_ref()));
            if left.get(&received.partition).is_some_and(|high| received.offset.next() >= *high) {
                left.remove(&received.partition);
            }
        });
        let count = polled.map_err(Halt::Broker)?;
        own.deliver(sink, EVENTS_PER_BATCH).map_err(Halt::Journal)?;
        sink.progress(progress);
        if count > 0 {
            heard = Instant::now();
        } else if heard.elapsed() > SILENCE {
            let detail = "it sends nothing although there is more".to_owned();
            return Err(Halt::Broker(Error::Client(detail)));
        }
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            info!(store = %opening.store, read = progress.read, of = progress.of, own = progress.own, "fetching lost events");
        }
    }
    own.deliver(sink, 1).map_err(Halt::Journal)?;
    if let Some(first) = own.pending.keys().next() {
        warn!(store = %opening.store, missing = %own.next, first = %first, behind = own.pending.len(),
            "the broker has later events, but not the next one");
    }
    Ok(())
}

/// This store's events on their way back.
struct Own<'a> {
    prefix: String,
    lives: &'a Lineage,
    next: Sequence,
    pending: BTreeMap<Sequence, RecordedEvent>,
}

impl Own<'_> {
    /// Takes a record when it is one that the journal lacks.
    fn take(&mut self, received: &Received<'_>, log: &dyn EventLog) -> bool {
        if !received.record.key.is_some_and(|key| key.starts_with(self.prefix.as_bytes())) {
            return false;
        }
        let Some(id) = id(received).filter(|id| self.wanted(id)) else {
            return false;
        };
        if let Err(unverified) = log.authenticate(received) {
            warn!(event = %id, %unverified, "an event in this store's name is not by it");
            return false;
        }
        match decode_event(&received.record) {
            Ok(event) => self.pending.insert(id.sequence, event).is_none(),
            Err(error) => {
                warn!(event = %id, %error, "an event of this store cannot be read back");
                false
            }
        }
    }

    fn wanted(&self, id: &EventId) -> bool {
        id.sequence >= self.next && self.lives.epoch_of(id.sequence) == Some(id.epoch)
    }

    /// Delivers what follows without a hole, once there is enough of it.
    fn deliver(&mut self, sink: &mut dyn Sink, enough: usize) -> Result<(), journal::Error> {
        loop {
            let mut batch = Vec::new();
            while batch.len() < EVENTS_PER_BATCH
                && let Some(event) = self.pending.remove(&self.next)
            {
                self.next = self.next.next();
                batch.push(event);
            }
            if batch.len() < enough {
                // Back for the next time.
                self.next = batch.first().map_or(self.next, |event| event.id.sequence);
                self.pending.extend(batch.into_iter().map(|event| (event.id.sequence, event)));
                return Ok(());
            }
            sink.deliver(&batch)?;
        }
    }
}

fn id(received: &Received<'_>) -> Option<EventId> {
    std::str::from_utf8(received.record.header(header::ID)?).ok()?.parse().ok()
}
