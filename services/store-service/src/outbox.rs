//! What stands between the journal and the broker: how far each came, and what is wanted again.
//!
//! The writer says what it committed, the relay waits here for work. No row is copied: the journal is
//! the outbox, this is only its two ends.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use inventory_core::Digest;
use shared_events::command::ReplayEvents;
use shared_events::{Lineage, Sequence};

use crate::journal::{Head, Identity};

/// The journal's end and the shelf's digest there: one moment, both from the same commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// End of the chain.
    pub head: Head,
    /// Digest of the items at that point.
    pub digest: Digest,
}

/// What the relay should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Send the heartbeat.
    Heartbeat,
    /// Publish `from ..= through`, new events.
    Publish {
        /// First sequence.
        from: Sequence,
        /// Last sequence.
        through: Sequence,
    },
    /// Publish `from ..= through` again.
    Replay {
        /// First sequence.
        from: Sequence,
        /// Last sequence.
        through: Sequence,
    },
    /// Everything is sent and a stop was asked for.
    Stop,
}

/// Shared by writer, relay, command consumer and API.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    lineage: Lineage,
    committed: Committed,
    published_through: Sequence,
    replay: Option<(Sequence, Sequence)>,
    trouble: Option<String>,
    awaiting: Option<Instant>,
    stopping: bool,
}

impl Outbox {
    /// An outbox for a journal as it was opened.
    #[must_use]
    pub fn new(lineage: Lineage, committed: Committed, published_through: Sequence) -> Self {
        let state = State {
            lineage,
            committed,
            published_through,
            replay: None,
            trouble: None,
            awaiting: None,
            stopping: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal's lives.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        self.state().lineage.clone()
    }

    /// The journal was opened: what was told of it before may have changed.
    pub(crate) fn opened(
        &self,
        identity: &Identity,
        committed: Committed,
        published_through: Sequence,
    ) {
        let mut state = self.state();
        state.lineage = identity.lineage.clone();
        state.committed = committed;
        state.published_through = published_through;
    }

    /// The newest commit.
    #[must_use]
    pub fn committed(&self) -> Committed {
        self.state().committed
    }

    /// Acknowledged by the broker without a hole up to here.
    #[must_use]
    pub fn published_through(&self) -> Sequence {
        self.state().published_through
    }

    /// Why nothing is being published, when that is so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// The writer committed.
    pub(crate) fn commit(&self, committed: Committed) {
        self.state().committed = committed;
        self.changed.notify_all();
    }

    /// The broker acknowledged everything up to here.
    pub(crate) fn published(&self, through: Sequence) {
        let mut state = self.state();
        state.published_through = state.published_through.max(through);
        state.trouble = None;
    }

    /// A replay from `first` came this far. What was asked for meanwhile and lies before it stays.
    pub(crate) fn replayed(&self, first: Sequence, through: Sequence) {
        let mut state = self.state();
        state.trouble = None;
        state.replay = match state.replay {
            Some((from, last)) if from >= first => {
                Some((from.max(through.next()), last)).filter(|(from, last)| from <= last)
            }
            asked_meanwhile => asked_meanwhile,
        };
    }

    /// The broker acknowledged a heartbeat: whatever the trouble was, it is over.
    pub(crate) fn healthy(&self) {
        self.state().trouble = None;
    }

    /// Notes that an acknowledgement is awaited from now on, or no longer.
    pub(crate) fn awaiting(&self, since: Option<Instant>) {
        self.state().awaiting = since;
    }

    /// How long the relay has been waiting for the broker's acknowledgement.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.state().awaiting.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// What is being published again, or is to be: from here, through here.
    #[must_use]
    pub fn replaying(&self) -> Option<(Sequence, Sequence)> {
        self.state().replay
    }

    /// Publishing does not work at the moment.
    pub(crate) fn stuck(&self, trouble: String) {
        self.state().trouble = Some(trouble);
    }

    /// Asks for events to be published again. Requests are merged; what the journal does not have, or
    /// had in another life, is left out.
    pub fn request_replay(&self, wanted: ReplayEvents) {
        let mut state = self.state();
        let through = wanted.through.min(state.committed.head.sequence);
        let from = wanted.from.max(state.lineage.first());
        if wanted.epoch != state.lineage.current().epoch || from > through {
            return;
        }
        state.replay = Some(
            state
                .replay
                .map_or((from, through), |(first, last)| (first.min(from), last.max(through))),
        );
        self.changed.notify_all();
    }

    /// Lets the relay finish what is committed and end.
    pub(crate) fn stop(&self) {
        self.state().stopping = true;
        self.changed.notify_all();
    }

    /// Waits for work. New events go before a replay, so that a repair does not make the present late.
    pub(crate) fn wait(&self, heartbeat_due: Instant) -> Work {
        let mut state = self.state();
        loop {
            let left = heartbeat_due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Work::Heartbeat;
            }
            let head = state.committed.head.sequence;
            if state.published_through < head {
                return Work::Publish { from: state.published_through.next(), through: head };
            }
            if state.stopping {
                return Work::Stop;
            }
            if let Some((from, through)) = state.replay {
                return Work::Replay { from, through };
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
