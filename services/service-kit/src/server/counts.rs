//! What the server counts: what is open, what was refused and what was closed, by closed lists of reasons.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which limit a request was refused by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// More bytes of bodies are being received than will be kept.
    Bodies,
    /// The client shows no certificate, or none for this.
    Certificate,
    /// Its headers are too large.
    Headers,
    /// Its principal has as many open reservations as it may.
    Quota,
    /// Its principal asks too often.
    Rate,
    /// It only asks, and commands need what is left.
    Read,
    /// Too much is being served.
    Requests,
    /// Its URL is too long.
    Url,
}

impl Reason {
    const fn label(self) -> &'static str {
        match self {
            Self::Bodies => "bodies",
            Self::Certificate => "certificate",
            Self::Headers => "headers",
            Self::Quota => "quota",
            Self::Rate => "rate",
            Self::Read => "read",
            Self::Requests => "requests",
            Self::Url => "url",
        }
    }
}

/// Why a connection was closed from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing was asked for long.
    Idle,
    /// Another one needed its place.
    Place,
    /// A request or a handshake was begun and not finished.
    SlowHead,
    /// An answer is not taken.
    SlowReader,
    /// All places are taken by connections that are being served.
    Full,
    /// No TLS came of it.
    Handshake,
}

impl Cause {
    const fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Place => "place",
            Self::SlowHead => "slow_head",
            Self::SlowReader => "slow_reader",
            Self::Full => "full",
            Self::Handshake => "handshake",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

/// Counts of a server; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub(super) connections: Gauge,
    pub(super) requests: Gauge,
    pub(super) tls_broken: Gauge,
    refused: Family<ReasonLabel, Counter>,
    closed: Family<CauseLabel, Counter>,
}

impl Counts {
    /// Registers what is counted.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("http_connections", "Open connections", self.connections.clone());
        registry.register(
            "http_requests_open",
            "Requests being served; a stream, until it begins",
            self.requests.clone(),
        );
        registry.register(
            "http_refused",
            "Requests refused by a limit, by reason",
            self.refused.clone(),
        );
        registry.register(
            "http_connections_closed",
            "Connections closed from this side, by cause",
            self.closed.clone(),
        );
        registry.register(
            "tls_files_broken",
            "1 while the TLS files on disk cannot be used and those read before are",
            self.tls_broken.clone(),
        );
    }

    /// Counts a refusal.
    pub fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&ReasonLabel { reason: reason.label() }).inc();
    }

    pub(super) fn closed(&self, cause: Cause) {
        self.closed.get_or_create(&CauseLabel { cause: cause.label() }).inc();
    }
}
