//! Lets go of reservations whose time is long over: the store's own way out, should the centre never
//! come back.

use std::sync::Arc;
use std::time::Duration;

use service_kit::clock;
use shared_events::Timestamp;
use tracing::{info, warn};

use crate::decisions::{Command, LET_GO_AT_ONCE};
use crate::journal::Verdict;
use crate::shelf::Shelf;
use crate::writer::{Answer, Handle, Request};

/// How often the shelf is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches what is kept for customers.
#[derive(Debug)]
pub struct Expiry {
    /// What is kept.
    pub shelf: Arc<Shelf>,
    /// Lets go.
    pub writer: Handle,
    /// How long after its time.
    pub grace: Duration,
}

impl Expiry {
    /// Watches for ever.
    pub async fn watch(&self) -> std::convert::Infallible {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            // A bounded number at a time, so that tills get in between.
            while self.look().await >= LET_GO_AT_ONCE {}
        }
    }

    /// Gives how many allocations were let go.
    async fn look(&self) -> usize {
        let expired_before = expired_before(self.grace);
        if self.shelf.expired(expired_before).is_empty() {
            return 0;
        }
        let command = Command::LetGo { expired_before };
        let request = Request {
            command,
            id: None,
            principal: None,
            traceparent: None,
            answer_by_event: false,
        };
        match self.writer.execute(vec![request]).await.map(|mut answers| answers.pop()) {
            Ok(Some(Ok(Answer { verdict: Verdict::Accepted(events), .. }))) => {
                info!(allocations = events.len(), "let go of what nobody fetched in time");
                events.len()
            }
            Ok(Some(Err(error))) | Err(error) => {
                warn!(%error, "not let go yet; it is tried again");
                0
            }
            Ok(_) => 0,
        }
    }
}

/// The point before which a reservation must have expired to be over for certain, by this clock.
pub(crate) fn expired_before(grace: Duration) -> Timestamp {
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let millis = clock::unix_millis().saturating_sub(grace_ms);
    Timestamp::from_unix_millis(millis).expect("the clock is between years 1 and 9999")
}
