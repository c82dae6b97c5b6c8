//! Where a store or a customer is.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place on the earth, kept in millionths of a degree (about 11 cm) so that it can be compared.
/// On the wire: `{"latitude": 52.52, "longitude": 13.405}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    latitude: i32,
    longitude: i32,
}

/// A place that is not on the earth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place is LATITUDE,LONGITUDE in degrees, -90 to 90 and -180 to 180, as in 52.52,13.405")]
pub struct InvalidLocation;

const MICRODEGREES: f64 = 1_000_000.0;

impl Location {
    /// From degrees.
    ///
    /// # Errors
    /// [`InvalidLocation`] outside -90 to 90 and -180 to 180.
    pub fn from_degrees(latitude: f64, longitude: f64) -> Result<Self, InvalidLocation> {
        let micro = |degrees: f64, limit: f64| {
            // Also what is not a number.
            if degrees.is_nan() || degrees.abs() > limit {
                return Err(InvalidLocation);
            }
            #[expect(clippy::float_arithmetic, reason = "callers speak in degrees")]
            let micro = (degrees * MICRODEGREES).round();
            #[expect(clippy::cast_possible_truncation, reason = "at most 180 million")]
            Ok(micro as i32)
        };
        Ok(Self { latitude: micro(latitude, 90.0)?, longitude: micro(longitude, 180.0)? })
    }

    /// North of the equator, in degrees.
    #[must_use]
    #[expect(clippy::float_arithmetic, reason = "callers speak in degrees")]
    pub fn latitude(self) -> f64 {
        f64::from(self.latitude) / MICRODEGREES
    }

    /// East of Greenwich, in degrees.
    #[must_use]
    #[expect(clippy::float_arithmetic, reason = "callers speak in degrees")]
    pub fn longitude(self) -> f64 {
        f64::from(self.longitude) / MICRODEGREES
    }
}

impl FromStr for Location {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        let (latitude, longitude) = text.split_once(',').ok_or(InvalidLocation)?;
        let degrees = |text: &str| text.trim().parse().map_err(|_no_number| InvalidLocation);
        Self::from_degrees(degrees(latitude)?, degrees(longitude)?)
    }
}

#[derive(Serialize, Deserialize)]
struct Degrees {
    latitude: f64,
    longitude: f64,
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Degrees { latitude: self.latitude(), longitude: self.longitude() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Degrees { latitude, longitude } = Degrees::deserialize(deserializer)?;
        Self::from_degrees(latitude, longitude).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_text_and_its_json() {
        let berlin: Location = "52.520008, 13.404954".parse().unwrap();
        let json = serde_json::to_string(&berlin).unwrap();
        assert_eq!(json, r#"{"latitude":52.520008,"longitude":13.404954}"#);
        assert_eq!(serde_json::from_str::<Location>(&json).unwrap(), berlin);
    }

    #[test]
    fn what_is_not_on_the_earth_is_refused() {
        for text in ["", "1", "91,0", "0,181", "-90.1,0", "a,b", "NaN,0", "inf,0", "1,2,3"] {
            assert!(text.parse::<Location>().is_err(), "{text:?}");
        }
    }
}
