//! A point in the past of a store's item, as callers name it.

use std::str::FromStr;

use shared_events::{Sequence, Timestamp};

/// A point in an item's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// After the event of this sequence.
    Sequence(Sequence),
    /// At this time by the store's clock.
    Time(Timestamp),
}

/// A text that names no point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("asOf is a sequence or an RFC 3339 time, as in 2026-11-21T09:30:00Z")]
pub struct InvalidAsOf;

impl FromStr for AsOf {
    type Err = InvalidAsOf;

    fn from_str(text: &str) -> Result<Self, InvalidAsOf> {
        if let Ok(sequence) = text.parse::<u64>()
            && sequence <= Sequence::MAX.get()
        {
            return Ok(Self::Sequence(Sequence::new(sequence)));
        }
        text.parse().map(Self::Time).map_err(|_invalid| InvalidAsOf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_sequence_or_a_time() {
        assert_eq!("17".parse(), Ok(AsOf::Sequence(Sequence::new(17))));
        let time = "2026-11-21T09:30:00Z".parse().unwrap();
        assert_eq!("2026-11-21T09:30:00Z".parse(), Ok(AsOf::Time(time)));
        for text in ["", "-1", "noon", "9007199254740992", "2026-11-21"] {
            assert_eq!(text.parse::<AsOf>(), Err(InvalidAsOf), "{text}");
        }
    }
}
