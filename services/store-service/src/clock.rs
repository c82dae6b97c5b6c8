//! The wall clock as the wire writes it.

use service_kit::clock;
use shared_events::Timestamp;

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_millis(clock::unix_millis())
        .expect("the clock is between years 1 and 9999")
}
