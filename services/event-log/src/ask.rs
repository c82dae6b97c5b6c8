//! Asking a broker without being held up by it.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::port::{Error, EventLog};

/// How often a wait for the answer looks whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(50);

/// Puts a question to the broker and waits for the answer or for the cancel, whichever comes first.
///
/// The clients of a broker that is away wait seconds for it and cannot be interrupted. So the question
/// is put in a thread of its own; after a cancel that one ends by itself, and its answer is dropped.
///
/// # Errors
/// That of the question, or [`Error::Cancelled`].
pub fn ask<T: Send + 'static>(
    log: &Arc<dyn EventLog>,
    cancel: &CancellationToken,
    question: impl FnOnce(&dyn EventLog) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let log = Arc::clone(log);
    let (answer, answered) = mpsc::channel();
    std::thread::Builder::new()
        .name("ask-broker".to_owned())
        .spawn(move || {
            if answer.send(question(log.as_ref())).is_err() {
                debug!("the broker's answer came after the cancel");
            }
        })
        .map_err(|error| Error::Client(error.to_string()))?;
    loop {
        match answered.recv_timeout(CANCEL_CHECK) {
            Ok(answer) => return answer,
            Err(mpsc::RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                return Err(Error::Cancelled);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Error::Client("the question panicked".to_owned()));
            }
        }
    }
}
