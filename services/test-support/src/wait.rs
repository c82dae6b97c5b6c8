//! Waiting for a condition, with a deadline instead of a guess at how long it takes.

use std::time::{Duration, Instant};

const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until `probe` finds what it looks for.
///
/// # Panics
/// After the deadline, saying what did not come.
#[track_caller]
pub fn eventually<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until `probe` finds what it looks for, letting other tasks run.
///
/// # Panics
/// After the deadline, saying what did not come.
pub async fn eventually_async<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
