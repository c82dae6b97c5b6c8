//! Which connections are open, what each waits for, and which of them go first.
//!
//! A connection that waits for its client costs the client nothing, so it is the first to go: for a new
//! one when all places are taken, and by itself when it waits too long. One whose request is being served
//! stays. So nobody locks others out by opening connections and saying little.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::counts::{Cause, Counts};
use super::limits::Limits;

/// Part of all places that is freed at once: a flood must not cost a search for each connection.
const FREED_AT_ONCE: usize = 64;

/// What a connection is doing.
#[derive(Debug, Clone, Copy)]
struct Doing {
    /// Requests that began and whose answer is not complete.
    open: usize,
    /// Those of them whose body is still on its way.
    receiving: usize,
    /// When it was opened, or its last answer was complete.
    since: Instant,
    /// When something came after that.
    heard: Option<Instant>,
    /// When writing to it began to wait for its client.
    stuck: Option<Instant>,
    /// Bytes may come outside of requests.
    multiplexed: bool,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    doing: Mutex<Doing>,
    /// Ends it at once.
    pub(super) cut: CancellationToken,
}

impl Connection {
    fn new() -> Self {
        let doing = Doing {
            open: 0,
            receiving: 0,
            since: Instant::now(),
            heard: None,
            stuck: None,
            multiplexed: false,
        };
        Self { doing: Mutex::new(doing), cut: CancellationToken::new() }
    }

    fn change(&self, change: impl FnOnce(&mut Doing)) {
        change(&mut self.doing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn doing(&self) -> Doing {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        self.change(|doing| {
            if doing.open == 0 && doing.heard.is_none() {
                doing.heard = Some(Instant::now());
            }
        });
    }

    /// Writing waits for the client, or does not any more.
    pub(super) fn stuck(&self, stuck: bool) {
        self.change(|doing| {
            if stuck != doing.stuck.is_some() {
                doing.stuck = stuck.then(Instant::now);
            }
        });
    }

    /// A request began.
    pub(super) fn began(&self, multiplexed: bool) {
        self.change(|doing| {
            doing.open += 1;
            doing.heard = None;
            doing.multiplexed = multiplexed;
        });
    }

    /// Its answer is complete, or nobody waits for it any more.
    pub(super) fn ended(&self) {
        self.change(|doing| {
            doing.open = doing.open.saturating_sub(1);
            doing.since = Instant::now();
        });
    }

    /// A body is on its way, or has come.
    pub(super) fn receiving(&self, receiving: bool) {
        self.change(|doing| {
            doing.receiving =
                if receiving { doing.receiving + 1 } else { doing.receiving.saturating_sub(1) };
        });
    }
}

impl Doing {
    /// Since when it waits for its client; `None` while the client waits for it.
    fn waits_since(&self) -> Option<Instant> {
        (self.open <= self.receiving).then_some(self.since)
    }

    /// Why it has waited too long.
    fn overdue(&self, now: Instant, limits: &Limits) -> Option<Cause> {
        let over = |since: Instant, within| now.saturating_duration_since(since) >= within;
        if self.stuck.is_some_and(|since| over(since, limits.taken_within)) {
            return Some(Cause::SlowReader);
        }
        if self.open > 0 {
            return None;
        }
        match self.heard {
            Some(heard) if !self.multiplexed && over(heard, limits.head_within) => {
                Some(Cause::SlowHead)
            }
            _ => over(self.since, limits.idle_within).then_some(Cause::Idle),
        }
    }
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    open: Mutex<Open>,
    limits: Limits,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

impl Connections {
    pub(super) fn new(limits: Limits, counts: Counts) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), limits, counts })
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection in, for which others may have to go; `None` when all are being served.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open();
        if open.connections.len() >= self.limits.connections && !self.make_room(&mut open) {
            self.counts.closed(Cause::Full);
            return None;
        }
        let connection = Arc::new(Connection::new());
        let id = open.next;
        open.next += 1;
        open.connections.insert(id, Arc::clone(&connection));
        self.counts.connections.inc();
        Some(Place { id, connection, all: Arc::clone(self) })
    }

    /// Closes those that have waited longest for their clients; says whether there were any.
    fn make_room(&self, open: &mut Open) -> bool {
        let mut waiting: Vec<_> = open
            .connections
            .iter()
            .filter_map(|(id, connection)| Some((connection.doing().waits_since()?, *id)))
            .collect();
        if waiting.is_empty() {
            return false;
        }
        let freed = (self.limits.connections / FREED_AT_ONCE).clamp(1, waiting.len());
        waiting.select_nth_unstable(freed - 1);
        for (_, id) in waiting.into_iter().take(freed) {
            if let Some(connection) = open.connections.remove(&id) {
                self.close(&connection, Cause::Place);
            }
        }
        true
    }

    /// Closes what has waited too long.
    pub(super) fn sweep(&self, now: Instant) {
        let open = self.open();
        for connection in open.connections.values() {
            if connection.cut.is_cancelled() {
                continue;
            }
            if let Some(cause) = connection.doing().overdue(now, &self.limits) {
                self.close(connection, cause);
            }
        }
    }

    fn close(&self, connection: &Connection, cause: Cause) {
        self.counts.closed(cause);
        connection.cut.cancel();
    }

    /// Ends all of them at once.
    pub(super) fn cut_all(&self) {
        for connection in self.open().connections.values() {
            connection.cut.cancel();
        }
    }
}

/// A connection's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    pub(super) connection: Arc<Connection>,
    all: Arc<Connections>,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Not there any more when it had to make room.
        self.all.open().connections.remove(&self.id);
        self.all.counts.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn connections(places: usize) -> Arc<Connections> {
        let limits = Limits { connections: places, ..Limits::default() };
        Connections::new(limits, Counts::default())
    }

    #[test]
    fn a_new_connection_takes_the_place_of_the_one_that_waited_longest_and_never_of_one_being_served()
     {
        let all = connections(3);
        let served = all.admit().unwrap();
        served.connection.began(false);
        let slow_body = all.admit().unwrap();
        slow_body.connection.began(false);
        slow_body.connection.receiving(true);
        let idle = all.admit().unwrap();
        let newest = all.admit().unwrap();
        assert!(slow_body.connection.cut.is_cancelled(), "it waited longest");
        assert!(!served.connection.cut.is_cancelled());
        assert!(!idle.connection.cut.is_cancelled());
        newest.connection.began(false);
        idle.connection.began(false);
        assert!(all.admit().is_none(), "all are being served");
        idle.connection.ended();
        assert!(all.admit().is_some());
        assert!(idle.connection.cut.is_cancelled());
    }

    #[test]
    fn what_was_begun_must_be_finished_sooner_than_an_idle_connection_must_go() {
        let all = connections(10);
        let (idle, half, answering) =
            (all.admit().unwrap(), all.admit().unwrap(), all.admit().unwrap());
        half.connection.heard();
        answering.connection.heard();
        answering.connection.began(false);
        let now = Instant::now();
        all.sweep(now + Duration::from_secs(11));
        assert!(half.connection.cut.is_cancelled());
        assert!(!idle.connection.cut.is_cancelled());
        all.sweep(now + Duration::from_secs(76));
        assert!(idle.connection.cut.is_cancelled());
        assert!(!answering.connection.cut.is_cancelled());
        answering.connection.stuck(true);
        all.sweep(Instant::now() + Duration::from_secs(31));
        assert!(answering.connection.cut.is_cancelled(), "its client takes nothing");
    }

    #[test]
    fn the_bytes_that_keep_a_multiplexed_connection_alive_are_no_half_request() {
        let all = connections(10);
        let place = all.admit().unwrap();
        place.connection.began(true);
        place.connection.ended();
        place.connection.heard();
        all.sweep(Instant::now() + Duration::from_secs(30));
        assert!(!place.connection.cut.is_cancelled());
        all.sweep(Instant::now() + Duration::from_secs(76));
        assert!(place.connection.cut.is_cancelled());
    }
}
