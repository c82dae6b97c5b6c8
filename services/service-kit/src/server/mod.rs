//! The server: connections, TLS and bounds around a router.
//!
//! ```text
//!  accept ─▶ connections ─▶ TLS ─▶ HTTP/1 or HTTP/2 ─▶ gate ─▶ router
//!            (who waits        │        (hyper)         size, certificate, load
//!             longest goes)    └─ certificates, read again when they change
//! ```
//! `limits` has every bound, `counts` what is told of them. The router and its layers know nothing of
//! connections, so that tests can call it without any.

pub mod beneath;
mod connections;
mod counts;
mod gate;
mod limits;
mod load;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::http::bounded;
use crate::metrics::Common;

pub use counts::{Counts, Reason};
pub use limits::{
    DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_REQUESTS, Limits, MAX_BODIES_BYTES, MAX_HEADER_BYTES,
    MAX_HEADERS, MAX_URL_BYTES, most_files,
};
pub use tls::{ClientIdentity, Tls, TlsFiles};

use connections::{Connections, Place};
use gate::Gate;
use load::Load;
use wire::Wire;

/// How often connections are looked at that wait too long.
const SWEPT_EVERY: Duration = Duration::from_secs(1);
/// How often the TLS files are looked at.
const LOOKED_AGAIN_EVERY: Duration = Duration::from_secs(2);
/// Rest after a connection could not be taken: there are too many files open.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Pings that keep an HTTP/2 connection, and how long one may be unanswered.
const PING_EVERY: Duration = Duration::from_secs(20);

/// The other end of the connection that a request came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Where a service is to be served, and how.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    tls: Option<Tls>,
    limits: Limits,
}

impl From<TcpListener> for Listener {
    /// Without TLS, with the bounds that hold unless configured otherwise.
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None, limits: Limits::default() }
    }
}

impl Listener {
    /// With TLS when there are certificates for it.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// With these bounds.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Serves until the token is cancelled, then lets open requests finish for a bounded time.
///
/// # Errors
/// None today: what fails is one connection.
pub async fn serve(
    listener: Listener,
    router: Router,
    common: &Common,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    serve_bounded(listener, bounded(router, &common.requests), common.server.clone(), stop).await
}

/// The same for a router that has its bounds already.
///
/// # Errors
/// None today: what fails is one connection.
pub async fn serve_bounded(
    listener: Listener,
    router: Router,
    counts: Counts,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Listener { listener, tls, limits } = listener;
    let connections = Connections::new(limits, counts.clone());
    let server = Arc::new(Server {
        router,
        load: Load::new(&limits, counts.clone()),
        tls,
        counts,
        http: http(),
        stop,
    });
    let open = TaskTracker::new();
    let beside = CancellationToken::new();
    let _beside = beside.clone().drop_guard();
    tokio::spawn(beside.clone().run_until_cancelled_owned(Arc::clone(&server.load).watch()));
    tokio::spawn(beside.clone().run_until_cancelled_owned(sweep(Arc::clone(&connections))));
    tokio::spawn(beside.run_until_cancelled_owned(look_again(Arc::clone(&server))));
    loop {
        let accepted = tokio::select! {
            () = server.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(place) = connections.admit() {
                    open.spawn(Arc::clone(&server).connection(stream, Peer(peer), place));
                }
            }
            Err(error) => {
                debug!(%error, "a connection could not be taken");
                connections.sweep(Instant::now());
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(limits.drain_within, open.wait()).await.is_err() {
        warn!("requests were still open after {:?}; closing them", limits.drain_within);
        connections.cut_all();
        open.wait().await;
    }
    Ok(())
}

async fn sweep(connections: Arc<Connections>) {
    loop {
        tokio::time::sleep(SWEPT_EVERY).await;
        connections.sweep(Instant::now());
    }
}

async fn look_again(server: Arc<Server>) {
    while server.tls.is_some() {
        tokio::time::sleep(LOOKED_AGAIN_EVERY).await;
        let server = Arc::clone(&server);
        let looked = tokio::task::spawn_blocking(move || {
            if let Some(tls) = &server.tls {
                tls.look_again(&server.counts);
            }
        });
        if let Err(error) = looked.await {
            warn!(%error, "looking at the TLS files failed");
        }
    }
}

/// What speaks HTTP on a connection. Times are kept by the sweep, but for HTTP/2's own pings.
fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().max_buf_size(limits::READ_AHEAD_BYTES).max_headers(MAX_HEADERS);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .max_concurrent_streams(limits::MAX_STREAMS)
        .max_pending_accept_reset_streams(limits::MAX_RESET_STREAMS)
        .max_local_error_reset_streams(limits::MAX_ERROR_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES + MAX_URL_BYTES).unwrap_or(u32::MAX))
        .max_send_buf_size(limits::SEND_AHEAD_BYTES)
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW);
    http
}

/// What all connections share.
#[derive(Debug)]
struct Server {
    router: Router,
    load: Arc<Load>,
    tls: Option<Tls>,
    counts: Counts,
    http: auto::Builder<TokioExecutor>,
    stop: CancellationToken,
}

impl Server {
    /// Serves one connection to its end, unless it has to go before.
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: Peer, place: Place) {
        // Answers are small and complete: none should wait for an acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "the connection stays with Nagle's algorithm");
        }
        let cut = place.connection.cut.clone();
        cut.run_until_cancelled_owned(self.met(stream, peer, &place)).await;
    }

    async fn met(self: Arc<Self>, stream: TcpStream, peer: Peer, place: &Place) {
        let wire = Wire::new(stream, Arc::clone(&place.connection));
        let mut gate = Gate {
            router: self.router.clone(),
            load: Arc::clone(&self.load),
            counts: self.counts.clone(),
            connection: Arc::clone(&place.connection),
            peer,
            identity: None,
            certificates: false,
        };
        let Some(tls) = &self.tls else {
            return self.spoken(wire, gate).await;
        };
        match tls.acceptor().accept(wire).await {
            Ok(stream) => {
                gate.identity = tls::identity(stream.get_ref().1);
                gate.certificates = tls.wants_certificates();
                // Boxed: a connection without TLS need not have room for one with it.
                Box::pin(self.spoken(stream, gate)).await;
            }
            Err(error) => {
                self.counts.closed(counts::Cause::Handshake);
                debug!(%error, peer = %peer.0, "no TLS came of a connection");
            }
        }
    }

    async fn spoken(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, gate: Gate) {
        let gate = Arc::new(gate);
        let service = service_fn(move |request| Arc::clone(&gate).serve(request));
        let connection = self.http.serve_connection(TokioIo::new(io), service);
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            debug!(error, "a connection ended");
        }
    }
}
