//! The wall clock, read in one place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch; 0 for a clock set before it.
#[must_use]
pub fn unix_millis() -> i64 {
    i64::try_from(since_epoch().as_millis()).unwrap_or_default()
}

/// Microseconds since the Unix epoch; 0 for a clock set before it.
#[must_use]
pub fn unix_micros() -> u64 {
    u64::try_from(since_epoch().as_micros()).unwrap_or_default()
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
