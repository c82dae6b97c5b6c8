//! Amounts a caller may name: integers, bounded, so that sums over a chain cannot overflow.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// No shelf and no single change holds more units than this.
pub const MAX_UNITS: i64 = 1_000_000_000;

/// A counted level: 0 to [`MAX_UNITS`] units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Quantity(i64);

/// A change of level: not 0, at most [`MAX_UNITS`] units either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Delta(i64);

/// An amount outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// Not a level.
    #[error("a quantity is an integer from 0 to {MAX_UNITS}, got {0}")]
    Quantity(i64),
    /// Not a change.
    #[error("a delta is an integer from -{MAX_UNITS} to {MAX_UNITS} and not 0, got {0}")]
    Delta(i64),
}

impl Quantity {
    /// Checks a level.
    ///
    /// # Errors
    /// [`InvalidAmount::Quantity`] outside the bounds.
    pub fn new(units: i64) -> Result<Self, InvalidAmount> {
        if (0..=MAX_UNITS).contains(&units) {
            Ok(Self(units))
        } else {
            Err(InvalidAmount::Quantity(units))
        }
    }

    /// Units.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl Delta {
    /// Checks a change.
    ///
    /// # Errors
    /// [`InvalidAmount::Delta`] outside the bounds, or for 0.
    pub fn new(units: i64) -> Result<Self, InvalidAmount> {
        if units != 0 && (-MAX_UNITS..=MAX_UNITS).contains(&units) {
            Ok(Self(units))
        } else {
            Err(InvalidAmount::Delta(units))
        }
    }

    /// Units; negative for units taken.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Delta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
