//! Positions as types of their own, so that a [`Sequence`] is never taken for a broker offset.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::StoreId;

macro_rules! position {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);
            /// The largest position: JSON's and the database's integers both carry it (2⁵³ − 1).
            pub const MAX: Self = Self((1 << 53) - 1);

            /// Wraps a number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number itself.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one behind this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = u64::deserialize(deserializer)?;
                if number > Self::MAX.get() {
                    let reason = format_args!("{number} is more than {}", Self::MAX);
                    return Err(serde::de::Error::custom(reason));
                }
                Ok(Self(number))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

position!(
    /// Place of an event in its store's journal: 1, 2, 3 … without a hole, given by the writer.
    Sequence
);
position!(
    /// One life of a journal. A restored journal opens a new one, so no (epoch, sequence) is used twice.
    Epoch
);
position!(
    /// How many events one item of one store has had; 0 for an item never seen. The `ETag` of an item.
    Version
);

/// `store/epoch/sequence`: the natural name of an event, so duplicates name themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// The store that wrote the event.
    pub store: StoreId,
    /// The journal's life it was written in.
    pub epoch: Epoch,
    /// Its place in the journal.
    pub sequence: Sequence,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.store, self.epoch, self.sequence)
    }
}

/// A text that is no event id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event id is store/epoch/sequence, each position from 1 to {}", Sequence::MAX)]
pub struct InvalidEventId;

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let mut parts = text.splitn(3, '/');
        let store = parts.next().and_then(|part| StoreId::parse(part).ok());
        let epoch = parts.next().and_then(positive);
        let sequence = parts.next().and_then(positive);
        match (store, epoch, sequence) {
            (Some(store), Some(epoch), Some(sequence)) => {
                Ok(Self { store, epoch: Epoch::new(epoch), sequence: Sequence::new(sequence) })
            }
            _ => Err(InvalidEventId),
        }
    }
}

fn positive(text: &str) -> Option<u64> {
    // `parse` would also take "+7": one event must have one spelling.
    let digits = !text.starts_with('+') && !text.starts_with('0');
    text.parse().ok().filter(|number| digits && (1..=Sequence::MAX.get()).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_survives_its_text_form() {
        let id: EventId = "north.7/2/9007199254740991".parse().unwrap();
        assert_eq!(id.to_string(), "north.7/2/9007199254740991");
    }

    #[test]
    fn an_event_id_has_one_spelling() {
        for text in ["A", "A/1", "A/1/", "A/1/0", "A/0/1", "A/1/01", "A/1/+1", "A/1/1/1", "|/1/1"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
        assert!("A/1/9007199254740992".parse::<EventId>().is_err());
    }
}
