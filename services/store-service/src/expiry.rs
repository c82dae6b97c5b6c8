//! Lets go of reservations whose time is long over: the store's own way out, should the centre never
//! come back.

use std::sync::Arc;
use std::time::Duration;

use service_kit::clock;
use shared_events::Timestamp;
use tracing::{info, warn};

use crate::decisions::Command;
use crate::shelf::Shelf;
use crate::writer::{Handle, Request};

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
    pub async fn watch(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    async fn look(&self) {
        let expired_before = expired_before(self.grace);
        let items = self.shelf.expired(expired_before).len();
        if items == 0 {
            return;
        }
        info!(items, "letting go of what nobody fetched in time");
        let command = Command::LetGo { expired_before };
        let request = Request { command, id: None, traceparent: None, answer_by_event: false };
        if let Err(error) = self.writer.execute(vec![request]).await {
            warn!(%error, "not let go yet; it is tried again");
        }
    }
}

/// The point before which a reservation must have expired to be over for certain, by this clock.
pub(crate) fn expired_before(grace: Duration) -> Timestamp {
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let millis = clock::unix_millis().saturating_sub(grace_ms);
    Timestamp::from_unix_millis(millis).expect("the clock is between years 1 and 9999")
}
