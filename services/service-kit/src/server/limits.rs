//! What bounds the server: how long, how large, how many.

use std::time::Duration;

/// Longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 8 * 1024;
/// Most bytes of all headers together.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Most headers of an HTTP/1 request; hyper answers 431 to more.
pub const MAX_HEADERS: usize = 64;
/// Bodies that are being received or served, all together, in bytes.
pub const MAX_BODIES_BYTES: usize = 256 * 1024 * 1024;
/// Connections that may be open at the same time, unless configured otherwise.
pub const DEFAULT_MAX_CONNECTIONS: usize = 8_192;
/// Requests that may be served at the same time, unless configured otherwise.
pub const DEFAULT_MAX_REQUESTS: usize = 4_096;

/// What an HTTP/1 connection may read ahead. Above [`MAX_URL_BYTES`] and [`MAX_HEADER_BYTES`] together, so
/// that who is somewhat over them gets a problem document, and only who is far over them hyper's bare 431.
pub(super) const READ_AHEAD_BYTES: usize = 32 * 1024;
/// Streams of one HTTP/2 connection.
pub(super) const MAX_STREAMS: u32 = 100;
/// Streams that a client opened and reset before they were looked at; more end the connection.
pub(super) const MAX_RESET_STREAMS: usize = 20;
/// Streams that were reset for a client's errors; more end the connection.
pub(super) const MAX_ERROR_STREAMS: usize = 64;
/// What an HTTP/2 connection may hold of answers that the client does not take, for each stream.
pub(super) const SEND_AHEAD_BYTES: usize = 64 * 1024;
/// What HTTP/2 clients may send ahead, for a stream and for a connection.
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; beyond it the one that was idle longest is closed for the new one.
    pub connections: usize,
    /// Requests being served; queries are refused from half of it on.
    pub requests: usize,
    /// From the first byte of a connection or a request to the end of its head, a TLS handshake included.
    pub head_within: Duration,
    /// How long a connection may be open without a request.
    pub idle_within: Duration,
    /// How long a client may take none of an answer.
    pub taken_within: Duration,
    /// Longest time open requests get to finish after a stop was asked for.
    pub drain_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: DEFAULT_MAX_CONNECTIONS,
            requests: DEFAULT_MAX_REQUESTS,
            head_within: Duration::from_secs(10),
            idle_within: Duration::from_secs(75),
            taken_within: Duration::from_secs(30),
            drain_within: Duration::from_secs(3),
        }
    }
}

/// Files that are not connections: database, broker, log.
const OTHER_FILES: u64 = 256;

impl Limits {
    /// With no more connections than the process may have files, beside so many more than usual.
    #[must_use]
    pub fn within_files(mut self, others: u64) -> Self {
        if let Some(files) = most_files().map(|files| files.saturating_sub(others)) {
            let left = files.saturating_sub(OTHER_FILES).max(files / 2).max(1);
            self.connections = self.connections.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self
    }
}

/// How many files the process may have open, `None` without a bound. Asks the system first for all it
/// gives.
#[must_use]
pub fn most_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let mut files = getrlimit(Resource::Nofile);
    let asked = Rlimit { current: files.maximum, maximum: files.maximum };
    if setrlimit(Resource::Nofile, asked).is_ok() {
        files = asked;
    }
    files.current
}
