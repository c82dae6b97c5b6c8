//! How much is being served, and what is refused when it is too much.
//!
//! Two things tell: how many requests are open, and how long work that is ready waits for a thread. Queries
//! are refused first, since a caller can ask again and a sale cannot be made later; commands are refused at
//! twice as much. The relay and whatever else is no request has threads of its own and is never refused.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, header};

use super::counts::{Counts, Reason};
use super::limits::{Limits, MAX_BODIES_BYTES};
use crate::extract::MAX_BODY_BYTES;

/// Waits of ready work above which queries, and above which commands are refused.
const READS_WAIT: Duration = Duration::from_millis(100);
const WRITES_WAIT: Duration = Duration::from_millis(250);
/// How often the wait is measured.
const MEASURED_EVERY: Duration = Duration::from_millis(25);
/// Measurements of which the least counts: one long pause is no queue.
const MEASURED: usize = 8;

/// What a request is, when there is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// What orchestrators ask: they must not take a busy service for a dead one.
    Probe,
    /// It only asks.
    Read,
    /// It wants something done.
    Write,
}

impl Class {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match path {
            "/livez" | "/readyz" | "/metrics" => Self::Probe,
            _ if method.is_safe() => Self::Read,
            _ => Self::Write,
        }
    }
}

/// What is being served.
#[derive(Debug)]
pub(super) struct Load {
    most: usize,
    requests: AtomicUsize,
    bodies: AtomicUsize,
    /// How long ready work waits, in microseconds.
    wait: AtomicU64,
    measured: Mutex<[Duration; MEASURED]>,
    counts: Counts,
}

impl Load {
    pub(super) fn new(limits: &Limits, counts: Counts) -> Arc<Self> {
        Arc::new(Self {
            most: limits.requests,
            requests: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            wait: AtomicU64::new(0),
            measured: Mutex::default(),
            counts,
        })
    }

    /// Lets a request in, or says why not.
    pub(super) fn admit(
        self: &Arc<Self>,
        class: Class,
        body_bytes: usize,
    ) -> Result<Permit, Reason> {
        // Made first: what it counted is given back however this ends.
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        let bodies = self.bodies.fetch_add(body_bytes, Ordering::Relaxed);
        self.counts.requests.inc();
        let permit = Permit { load: Arc::clone(self), body_bytes };
        let wait = Duration::from_micros(self.wait.load(Ordering::Relaxed));
        match class {
            Class::Probe => Ok(permit),
            Class::Read if requests >= self.most / 2 || wait > READS_WAIT => Err(Reason::Read),
            Class::Write if requests >= self.most || wait > WRITES_WAIT => Err(Reason::Requests),
            _ if bodies.saturating_add(body_bytes) > MAX_BODIES_BYTES => Err(Reason::Bodies),
            Class::Read | Class::Write => Ok(permit),
        }
    }

    /// Measures, until it is dropped, how long work that is ready waits for a thread.
    pub(super) async fn watch(self: Arc<Self>) {
        for turn in (0..MEASURED).cycle() {
            let started = Instant::now();
            tokio::time::sleep(MEASURED_EVERY).await;
            // A timer's work may be taken out of turn; what has yielded stands behind all others.
            tokio::task::yield_now().await;
            self.measured(turn, started.elapsed().saturating_sub(MEASURED_EVERY));
        }
    }

    fn measured(&self, turn: usize, wait: Duration) {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = measured.get_mut(turn) {
            *slot = wait;
        }
        let least = measured.iter().min().copied().unwrap_or_default();
        let least = u64::try_from(least.as_micros()).unwrap_or(u64::MAX);
        self.wait.store(least, Ordering::Relaxed);
    }
}

/// What a body may come to: what it declares, else the most that is read.
pub(super) fn body_bytes(headers: &HeaderMap, empty: bool) -> usize {
    if empty {
        return 0;
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let declared = declared.and_then(|length| length.parse().ok());
    declared.unwrap_or(MAX_BODY_BYTES).min(MAX_BODY_BYTES)
}

/// A request that is being served.
#[derive(Debug)]
pub(super) struct Permit {
    load: Arc<Load>,
    body_bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.load.requests.fetch_sub(1, Ordering::Relaxed);
        self.load.bodies.fetch_sub(self.body_bytes, Ordering::Relaxed);
        self.load.counts.requests.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(requests: usize) -> Arc<Load> {
        Load::new(&Limits { requests, ..Limits::default() }, Counts::default())
    }

    #[test]
    fn queries_are_refused_at_half_of_what_commands_are_and_probes_never() {
        let load = load(4);
        let mut open = Vec::new();
        for _ in 0..2 {
            open.push(load.admit(Class::Read, 0).unwrap());
        }
        assert_eq!(load.admit(Class::Read, 0).unwrap_err(), Reason::Read);
        for _ in 0..2 {
            open.push(load.admit(Class::Write, 0).unwrap());
        }
        assert_eq!(load.admit(Class::Write, 0).unwrap_err(), Reason::Requests);
        open.push(load.admit(Class::Probe, 0).unwrap());
        drop(open);
        load.admit(Class::Read, 0).unwrap();
    }

    #[test]
    fn a_queue_that_stands_is_seen_and_a_single_pause_is_not() {
        let load = load(4);
        load.measured(0, Duration::from_secs(3));
        load.admit(Class::Read, 0).unwrap();
        for turn in 0..MEASURED {
            load.measured(turn, Duration::from_millis(150));
        }
        assert_eq!(load.admit(Class::Read, 0).unwrap_err(), Reason::Read);
        load.admit(Class::Write, 0).unwrap();
        for turn in 0..MEASURED {
            load.measured(turn, Duration::from_millis(300));
        }
        assert_eq!(load.admit(Class::Write, 0).unwrap_err(), Reason::Requests);
        load.measured(3, Duration::from_millis(1));
        load.admit(Class::Read, 0).unwrap();
    }

    #[test]
    fn bodies_have_a_bound_together() {
        let load = load(10_000);
        let bodies = MAX_BODIES_BYTES / MAX_BODY_BYTES;
        let open: Vec<_> =
            (0..bodies).map(|_| load.admit(Class::Write, MAX_BODY_BYTES).unwrap()).collect();
        assert_eq!(load.admit(Class::Write, 1).unwrap_err(), Reason::Bodies);
        load.admit(Class::Read, 0).unwrap();
        drop(open);
        load.admit(Class::Write, 1).unwrap();
    }
}
