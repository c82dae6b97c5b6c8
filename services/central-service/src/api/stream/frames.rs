//! From a client's task to its connection: a short queue, which a client that does not read fills.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc::{Receiver, Sender, channel as queue};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Texts that wait for the connection: one is taken while the next one is made.
const QUEUE: usize = 2;

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client has gone.
    Left,
    /// It takes nothing.
    Slow,
    /// The centre is stopping.
    Stopping,
    /// The database could not be read.
    Failed,
}

impl End {
    /// What the client is told, if it is there.
    const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Left => None,
            Self::Slow => Some("slow"),
            Self::Stopping => Some("stopping"),
            Self::Failed => Some("failed"),
        }
    }
}

/// The task's end.
#[derive(Debug)]
pub(super) struct Frames {
    sender: Sender<Bytes>,
    /// Only to make room for the last word; the connection owns it.
    queue: Weak<Mutex<Receiver<Bytes>>>,
    patience: Duration,
    pub(super) closing: CancellationToken,
}

/// The connection's end.
#[derive(Debug)]
pub(super) struct Queued(Arc<Mutex<Receiver<Bytes>>>);

/// Both ends.
pub(super) fn channel(patience: Duration, closing: CancellationToken) -> (Frames, Queued) {
    let (sender, receiver) = queue(QUEUE);
    let receiver = Arc::new(Mutex::new(receiver));
    let frames = Frames { sender, queue: Arc::downgrade(&receiver), patience, closing };
    (frames, Queued(receiver))
}

impl Frames {
    /// Hands over text, once the client has taken enough of what was there before.
    pub(super) async fn send(&self, text: String) -> Result<(), End> {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => Err(End::Stopping),
            sent = timeout(self.patience, self.sender.send(text.into())) => match sent {
                Ok(sent) => sent.map_err(|_left| End::Left),
                Err(_elapsed) => Err(End::Slow),
            },
        }
    }

    /// Whether there is anyone to send to.
    pub(super) fn check(&self) -> Result<(), End> {
        if self.closing.is_cancelled() {
            Err(End::Stopping)
        } else if self.sender.is_closed() {
            Err(End::Left)
        } else {
            Ok(())
        }
    }

    /// Waits until the client has gone.
    pub(super) async fn left(&self) {
        self.sender.closed().await;
    }

    /// Says why it ends, in place of what the client has not taken: it asks for that again.
    pub(super) fn end(self, end: End) {
        let (Some(reason), Some(queue)) = (end.reason(), self.queue.upgrade()) else {
            return;
        };
        let mut queue = lock(&queue);
        if self.sender.capacity() == 0 {
            while queue.try_recv().is_ok() {}
        }
        let last = format!("event: end\ndata: {{\"reason\":\"{reason}\"}}\n\n");
        if self.sender.try_send(last.into()).is_err() {
            tracing::debug!("a client left in the same moment");
        }
    }
}

impl Stream for Queued {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        lock(&self.0).poll_recv(context).map(|text| text.map(Ok))
    }
}

fn lock(queue: &Mutex<Receiver<Bytes>>) -> MutexGuard<'_, Receiver<Bytes>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
