//! How a process stops: a first signal drains, a second one ends it at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Exit code of a process that was told twice to stop.
pub const INTERRUPTED: i32 = 130;

/// How long a stop may take in all. What does not end by itself is cut off: everything promised is on
/// disk by then, and a broker client can hang in its destructor.
const STOP_WITHIN: Duration = Duration::from_millis(4_500);

/// Cancels the token on the first SIGINT or SIGTERM and exits on the second, or with `cut_off` when
/// the stop takes too long.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signals(stop: CancellationToken, cut_off: i32) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first {
                info!("stopping; a second signal stops at once");
                stop.cancel();
                std::thread::spawn(move || {
                    std::thread::sleep(STOP_WITHIN);
                    warn!("not everything ended within {STOP_WITHIN:?}; stopping without it");
                    std::process::exit(cut_off);
                });
            } else {
                warn!("stopped by a second signal");
                std::process::exit(INTERRUPTED);
            }
        }
    });
    Ok(())
}
