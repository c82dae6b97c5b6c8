//! Whether the journal may be written: not before it is known to be whole and the only one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How far the opening came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The centre is asked what it has seen of the journal; requests wait, for a bounded time.
    Asking,
    /// No centre answers, and the store is set up to wait for one; requests are refused.
    Held,
    /// Events that the journal has lost come back; requests are refused.
    Refilling {
        /// So many so far.
        events: u64,
    },
    /// It is written.
    Open,
    /// The store stopped before it was opened.
    Closed,
}

/// The stage, shared by the writer, which sets it, and all who wait for it.
#[derive(Debug)]
pub struct Standing {
    stage: Mutex<Stage>,
    changed: Condvar,
}

impl Default for Standing {
    fn default() -> Self {
        Self { stage: Mutex::new(Stage::Asking), changed: Condvar::new() }
    }
}

impl Standing {
    /// How far the opening came.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.lock()
    }

    /// Waits until the journal is open; `false` when the store stopped instead.
    #[must_use]
    pub fn wait_until_open(&self) -> bool {
        let waiting = |stage: &mut Stage| !matches!(stage, Stage::Open | Stage::Closed);
        let stage = self.changed.wait_while(self.lock(), waiting);
        *stage.unwrap_or_else(PoisonError::into_inner) == Stage::Open
    }

    pub(crate) fn set(&self, stage: Stage) {
        *self.lock() = stage;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
