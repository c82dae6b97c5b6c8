//! Points in time on the wire: milliseconds of UTC, written as RFC 3339.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970-01-01T00:00:00Z, between the years 1 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// A text or number that is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is RFC 3339, as in 2026-11-21T09:30:00.000Z")]
pub struct InvalidTimestamp;

const RANGE_MILLIS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] outside the years 1 to 9999, which RFC 3339 cannot write.
    pub fn from_unix_millis(millis: i64) -> Result<Self, InvalidTimestamp> {
        if RANGE_MILLIS.contains(&millis) { Ok(Self(millis)) } else { Err(InvalidTimestamp) }
    }

    /// So much later, and at most at the end of the year 9999.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        let (millis, last) = (self.0.saturating_add_unsigned(millis), *RANGE_MILLIS.end());
        Self(if millis < last { millis } else { last })
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .map_err(|_out_of_range| fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_parse| InvalidTimestamp)?;
        // Not by way of `to_offset`: it panics where UTC falls into the year 10000.
        let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
        i64::try_from(millis).map_err(|_range| InvalidTimestamp).and_then(Self::from_unix_millis)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_its_text_form_to_the_millisecond() {
        for text in
            ["2026-11-21T09:30:00.007Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"]
        {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_offsets_become_utc() {
        let at: Timestamp = "2026-11-21T10:30:00.0079+01:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-21T09:30:00.007Z");
    }

    #[test]
    fn what_cannot_be_written_cannot_be_made() {
        assert!(Timestamp::from_unix_millis(i64::MAX).is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!("9999-12-31T23:59:59-01:00".parse::<Timestamp>().is_err());
        assert!("0001-01-01T00:59:59+01:00".parse::<Timestamp>().is_err());
    }
}
