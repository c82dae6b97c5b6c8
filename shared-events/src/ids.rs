//! Names of stores, articles and commands, valid by construction.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name that breaks its rules; the message states the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct InvalidId {
    /// The rule that was broken, as a sentence for the caller.
    pub rule: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Parses and checks a name.
            ///
            /// # Errors
            /// [`InvalidId`] with the rule, when `text` breaks it.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(InvalidId { rule: $rule })
                }
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One shop. It is part of topic names and file names, hence the narrow alphabet.
    StoreId,
    "a store id is 1 to 32 characters of A-Z a-z 0-9 . _ - and not only dots",
    |text| {
        (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            && text.bytes().any(|b| b != b'.')
    }
);

id!(
    /// One article, the same in every store of the chain.
    Sku,
    "a sku is 1 to 64 characters without control characters, without '|' and without a space at either end",
    |text| {
        // 64 characters are at most 256 bytes: the cheap test keeps `chars` off hostile input.
        !text.is_empty()
            && text.len() <= 256
            && text.chars().count() <= 64
            && !text.chars().any(|c| c.is_control() || c == '|')
            && text.trim() == text
    }
);

id!(
    /// The caller's own name for one request: a repeat of it is answered, not executed again.
    CommandId,
    "a command id is 1 to 128 visible ASCII characters",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);

id!(
    /// The order a reservation is for, in the caller's words.
    OrderId,
    "an order id is 1 to 128 visible ASCII characters",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);

id!(
    /// Who asks: a service, a till or a person, as the issuer of its token names it.
    Subject,
    "a subject is 1 to 128 visible ASCII characters",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);

id!(
    /// One centre: each keeps its own ledger.
    CentreId,
    "a centre id is 1 to 32 characters of A-Z a-z 0-9 _ -",
    valid_centre
);

id!(
    /// A reservation, `centre.name`: the centre whose ledger has it, and its name there.
    ReservationId,
    "a reservation id is CENTRE.NAME, the name 1 to 40 characters of A-Z a-z 0-9 -",
    |text| {
        text.split_once('.').is_some_and(|(centre, name)| {
            valid_centre(centre)
                && (1..=40).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
    }
);

impl ReservationId {
    /// The centre whose ledger has it, as text.
    #[must_use]
    pub fn centre(&self) -> &str {
        self.as_str().split_once('.').map_or("", |(centre, _)| centre)
    }
}

fn valid_centre(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T>(parse: fn(&str) -> Result<T, InvalidId>, accepted: &[&str], refused: &[&str]) {
        for text in accepted {
            assert!(parse(text).is_ok(), "{text:?} should be accepted");
        }
        for text in refused {
            assert!(parse(text).is_err(), "{text:?} should be refused");
        }
    }

    #[test]
    fn store_ids_fit_topic_and_file_names() {
        let long = "x".repeat(33);
        check(
            StoreId::parse,
            &["A", "31782", "north.7_b-c", &"x".repeat(32)],
            &["", " ", "A/B", "..", ".", "é", "a|b", &long],
        );
    }

    #[test]
    fn skus_keep_the_key_unambiguous() {
        check(
            Sku::parse,
            &["ABC-1", "Käse 5 kg", "a/b?c#d", "日本", &"é".repeat(64)],
            &[
                "",
                " a",
                "a ",
                "a|b",
                "a\nb",
                "a\u{7f}",
                "\u{a0}a",
                &"é".repeat(65),
                &"x".repeat(65),
            ],
        );
    }

    #[test]
    fn a_reservation_id_names_its_centre() {
        let name = "x".repeat(41);
        check(
            ReservationId::parse,
            &["c1.0193-AB", "north_2.7"],
            &["", ".", "c1", "c1.", ".x", "c1.a.b", "c/1.a", &format!("c1.{name}")],
        );
        assert_eq!(ReservationId::parse("north_2.7").unwrap().centre(), "north_2");
    }

    #[test]
    fn command_ids_are_printable() {
        check(CommandId::parse, &["x", "replay:1f-2"], &["", "a b", "a\n", &"x".repeat(129)]);
    }
}
