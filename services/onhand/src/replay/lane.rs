//! One store's lane: batches go out one after another, so the file's order is kept for the store.

use std::sync::Arc;
use std::time::Duration;

use shared_events::{EventId, StoreId};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::client::{Answer, Attempt, Endpoint, Patience};
use super::pairs::Pairs;
use super::progress::Progress;
use super::rejects::Rejects;
use super::report::Tally;
use super::sale::{Entry, Origin, Writer};

/// Largest body that is sent: what services read, less room for the longest line.
const BODY_BYTES_MAX: usize = service_kit::extract::MAX_BODY_BYTES - 16 * 1024;
/// How long a request that is on its way may still take once a stop was asked for; less than the
/// process gives its parts.
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// What all lanes share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) writer: Writer,
    /// Most lines of a batch.
    pub(super) batch_lines: usize,
    /// How long a lane may go without any success.
    pub(super) give_up_after: Duration,
    pub(super) rejects: Rejects,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: CancellationToken,
}

/// Entries of one store that are sent together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    bytes: usize,
    /// Its share of the memory for lines on their way; given back when the batch is dropped.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Batch {
    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes = self.bytes.saturating_add(entry.json.len());
        self.entries.push(entry);
    }

    pub(super) const fn is_full(&self, lines: usize) -> bool {
        self.entries.len() >= lines || self.bytes >= BODY_BYTES_MAX
    }
}

/// What became of a lane.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) store: StoreId,
    pub(super) tally: Tally,
    /// The items the file mentions; empty when nothing was opened.
    pub(super) pairs: Pairs,
    /// Epoch and sequence of the newest event the store answered with.
    pub(super) newest: Option<(u64, u64)>,
    /// Why the lane gave up.
    pub(super) failed: Option<String>,
}

/// Sends what one store is to get.
#[derive(Debug)]
pub(super) struct Lane {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    outcome: Outcome,
}

impl Lane {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: StoreId,
        endpoint: Endpoint,
        pairs: Pairs,
    ) -> Self {
        let outcome = Outcome { store, tally: Tally::default(), pairs, newest: None, failed: None };
        Self { shared, endpoint, outcome }
    }

    /// Opens the items, then sends batches until there are no more, or it is told to stop.
    pub(super) async fn run(mut self, mut batches: mpsc::Receiver<Batch>) -> Outcome {
        self.open().await;
        let stop = self.shared.stop.clone();
        // A stop comes first: batches that wait can be sent by the next run.
        while let Some(Some(batch)) = stop.run_until_cancelled(batches.recv()).await {
            if self.outcome.failed.is_none() {
                self.deliver(batch.entries).await;
            } else {
                self.lose(&batch.entries);
            }
        }
        self.outcome
    }

    async fn open(&mut self) {
        let shared = Arc::clone(&self.shared);
        let store = self.outcome.store.clone();
        let openings: Vec<_> =
            self.outcome.pairs.iter().map(|(sku, pair)| (sku.clone(), pair.opening)).collect();
        let mut batch = Batch::default();
        for (sku, quantity) in openings {
            batch.push(shared.writer.opening(&store, &sku, quantity));
            if batch.is_full(shared.batch_lines) {
                self.deliver(std::mem::take(&mut batch).entries).await;
            }
            if self.outcome.failed.is_some() || shared.stop.is_cancelled() {
                return;
            }
        }
        self.deliver(batch.entries).await;
    }

    /// Sends entries until each has its final answer, the lane gives up, or it is told to stop.
    async fn deliver(&mut self, mut open: Vec<Entry>) {
        let mut patience = Patience::new(self.shared.give_up_after);
        let mut troubled = false;
        while !open.is_empty() {
            let Some(attempt) = self.attempt(&open).await else { return };
            let trouble = match attempt {
                Attempt::Answered(answers) => {
                    let before = open.len();
                    open = self.settle(open, answers);
                    if open.len() < before {
                        patience.succeeded();
                    }
                    "the store asks to try lines again".to_owned()
                }
                Attempt::Trouble(reason) => reason,
                Attempt::Refused(reason) => return self.fail(reason, &open),
            };
            if open.is_empty() {
                break;
            }
            if !std::mem::replace(&mut troubled, true) {
                warn!(store = %self.outcome.store, reason = trouble, "trying again until it works");
            }
            let Some(pause) = patience.pause() else {
                let limit = self.shared.give_up_after;
                return self.fail(format!("no success within {limit:?}: {trouble}"), &open);
            };
            let pause = tokio::time::sleep(pause);
            if self.shared.stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
        if troubled {
            info!(store = %self.outcome.store, "it works again");
        }
    }

    /// One request; `None` when a stop was asked for and the answer did not come in time.
    async fn attempt(&self, entries: &[Entry]) -> Option<Attempt> {
        let body = entries.iter().flat_map(|entry| entry.json.iter().copied()).collect();
        let stopped = async {
            self.shared.stop.cancelled().await;
            tokio::time::sleep(FINISH_WITHIN).await;
        };
        tokio::select! {
            attempt = self.endpoint.send(body, entries.len()) => Some(attempt),
            () = stopped => None,
        }
    }

    /// Takes final answers; gives back what is worth another try, in order.
    fn settle(&mut self, entries: Vec<Entry>, answers: Vec<Answer>) -> Vec<Entry> {
        let sent = entries.len();
        let mut open = Vec::new();
        for (entry, answer) in entries.into_iter().zip(answers) {
            if answer.accepted() {
                self.accept(&entry, &answer);
            } else if answer.retryable() {
                open.push(entry);
            } else {
                self.refuse(&entry, answer);
            }
        }
        self.shared.progress.settle(sent.saturating_sub(open.len()));
        open
    }

    fn accept(&mut self, entry: &Entry, answer: &Answer) {
        let Outcome { tally, pairs, newest, .. } = &mut self.outcome;
        let counts = match entry.origin {
            Origin::Opening => &mut tally.openings,
            Origin::Sale { .. } => &mut tally.sales,
        };
        counts.accepted += 1;
        counts.repeated += u64::from(answer.repeated);
        let id = answer.event_id.as_deref().and_then(|id| id.parse::<EventId>().ok());
        *newest = (*newest).max(id.map(|id| (id.epoch.get(), id.sequence.get())));
        let Some(pair) = pairs.get_mut(&entry.sku) else { return };
        pair.repeated |= answer.repeated;
        match entry.origin {
            Origin::Opening => {
                pair.opened = Some(answer.version.unwrap_or_default());
            }
            Origin::Sale { delta, .. } => {
                pair.sales += 1;
                // Units that were sold without being in the books did not come off the shelf.
                let moved = delta.saturating_add(answer.discrepancy.unwrap_or_default());
                pair.net = pair.net.saturating_add(moved);
            }
        }
    }

    fn refuse(&mut self, entry: &Entry, answer: Answer) {
        let problem = answer.problem.unwrap_or_default();
        let code = if problem.code.is_empty() {
            format!("status_{}", answer.status)
        } else {
            problem.code
        };
        let (counts, rejects) = (&mut self.outcome.tally, &self.shared.rejects);
        let refused = match &entry.origin {
            Origin::Opening => {
                let reason = format!(
                    "the opening of {} at {}: {}",
                    entry.sku, self.outcome.store, problem.detail
                );
                rejects.opening(&code, &reason);
                &mut counts.openings.refused
            }
            Origin::Sale { line, raw, .. } => {
                rejects.line(*line, &code, &problem.detail, raw);
                &mut counts.sales.refused
            }
        };
        *refused.entry(code).or_default() += 1;
    }

    fn fail(&mut self, reason: String, entries: &[Entry]) {
        warn!(store = %self.outcome.store, reason, "giving up; the other stores go on");
        self.outcome.failed = Some(reason);
        self.lose(entries);
    }

    fn lose(&mut self, entries: &[Entry]) {
        let lost = entries.iter().filter(|entry| matches!(entry.origin, Origin::Sale { .. }));
        self.outcome.tally.failed += u64::try_from(lost.count()).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests;
