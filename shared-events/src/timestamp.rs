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

/// `YYYY-MM-DDThh:mm:ss.mmmZ`
type Text = [u8; 24];

impl Timestamp {
    /// Digit by digit: every record and answer has several times in it, and the formatting of the
    /// standard library was half of what a large answer cost.
    fn text(self) -> Result<Text, fmt::Error> {
        let (seconds, millis) = (self.0.div_euclid(1_000), self.0.rem_euclid(1_000));
        let at =
            OffsetDateTime::from_unix_timestamp(seconds).map_err(|_out_of_range| fmt::Error)?;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (place, number) in [
            (0..4, i64::from(at.year())),
            (5..7, i64::from(u8::from(at.month()))),
            (8..10, i64::from(at.day())),
            (11..13, i64::from(at.hour())),
            (14..16, i64::from(at.minute())),
            (17..19, i64::from(at.second())),
            (20..23, millis),
        ] {
            let mut left = number.unsigned_abs();
            for digit in text.get_mut(place).unwrap_or_default().iter_mut().rev() {
                *digit = u8::try_from(left % 10).map_or(b'0', |digit| b'0' + digit);
                left /= 10;
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()?).map_err(|_not_ascii| fmt::Error)?)
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
        let text = self.text().map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
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
        for text in [
            "2026-11-21T09:30:00.007Z",
            "1969-12-31T23:59:59.999Z",
            "0001-01-01T00:00:00.000Z",
            "9999-12-31T23:59:59.999Z",
        ] {
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
