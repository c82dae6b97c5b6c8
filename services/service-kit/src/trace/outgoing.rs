//! What waits for a collector: how much of it there may be, what is lost, and whether the collector takes
//! it.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use opentelemetry_sdk::error::OTelSdkResult;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tracing::{info, warn};

/// More was told than could be sent meanwhile.
const QUEUE_FULL: &str = "queue_full";
/// The collector was away, slow, or did not want it.
const NOT_TAKEN: &str = "not_taken";

/// Label of what is lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Loss {
    signal: &'static str,
    reason: &'static str,
}

/// Counted for the process, as it has one exporter.
static LOST: LazyLock<Family<Loss, Counter>> = LazyLock::new(|| {
    let lost = Family::default();
    for signal in [Signal::Traces, Signal::Logs] {
        for reason in [QUEUE_FULL, NOT_TAKEN] {
            drop(lost.get_or_create(&Loss { signal: signal.name(), reason }));
        }
    }
    lost
});

/// Registers what is counted, from 0 on.
pub(crate) fn register(registry: &mut Registry) {
    registry.register(
        "telemetry_lost",
        "Spans and log lines of the process that no collector got, by why",
        LOST.clone(),
    );
}

/// A kind of what is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    Traces,
    Logs,
}

impl Signal {
    /// As `OTEL_*` variables and addresses have it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Traces => 1,
            Self::Logs => 2,
        }
    }
}

/// Which signals the collector does not take now. A collector that is away is one failure, not one for
/// each.
#[derive(Debug, Default)]
pub(super) struct Failing(AtomicU8);

/// One signal on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    signal: Signal,
    /// Where to, as it may be logged.
    endpoint: String,
    waiting: AtomicUsize,
    /// How many may wait: what the exporter's own queue holds, so that it never drops any by itself.
    room: usize,
    failing: Arc<Failing>,
}

impl Outgoing {
    pub(super) const fn new(
        signal: Signal,
        endpoint: String,
        room: usize,
        failing: Arc<Failing>,
    ) -> Self {
        Self { signal, endpoint, waiting: AtomicUsize::new(0), room, failing }
    }

    /// Whether there is room for one more; it then waits.
    pub(super) fn admits(&self) -> bool {
        let admitted = self.waiting.fetch_add(1, Ordering::Relaxed) < self.room;
        if !admitted {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lost(QUEUE_FULL, 1);
        }
        admitted
    }

    /// So many are being sent, and do not wait any more.
    pub(super) fn leaves(&self, many: usize) {
        self.waiting.fetch_sub(many, Ordering::Relaxed);
    }

    /// How sending so many came out. That it fails is said once, and once that it works again.
    pub(super) fn ended(&self, many: usize, result: &OTelSdkResult) {
        let (bit, signal, endpoint) = (self.signal.bit(), self.signal.name(), &self.endpoint);
        match result {
            Err(error) => {
                self.lost(NOT_TAKEN, many);
                if self.failing.0.fetch_or(bit, Ordering::Relaxed) == 0 {
                    warn!(%error, signal, endpoint, "telemetry cannot be exported and is lost until it can; nothing else is affected");
                }
            }
            Ok(()) => {
                if self.failing.0.fetch_and(!bit, Ordering::Relaxed) == bit {
                    info!(signal, endpoint, "telemetry is exported again");
                }
            }
        }
    }

    fn lost(&self, reason: &'static str, many: usize) {
        let loss = Loss { signal: self.signal.name(), reason };
        LOST.get_or_create(&loss).inc_by(u64::try_from(many).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    fn counted(signal: &'static str, reason: &'static str) -> u64 {
        LOST.get_or_create(&Loss { signal, reason }).get()
    }

    #[test]
    fn what_finds_no_room_or_is_not_taken_is_counted() {
        let outgoing = Outgoing::new(Signal::Logs, String::new(), 2, Arc::default());
        let before = (counted("logs", QUEUE_FULL), counted("logs", NOT_TAKEN));
        assert_eq!([(); 3].map(|()| outgoing.admits()), [true, true, false]);
        outgoing.leaves(2);
        outgoing.ended(2, &Err(OTelSdkError::AlreadyShutdown));
        assert!(outgoing.admits(), "those that left made room");
        let after = (counted("logs", QUEUE_FULL), counted("logs", NOT_TAKEN));
        assert_eq!(after, (before.0 + 1, before.1 + 2));
    }

    #[test]
    fn what_was_never_lost_is_counted_as_none() {
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert_eq!(text.matches("telemetry_lost_total{").count(), 4, "{text}");
    }
}
