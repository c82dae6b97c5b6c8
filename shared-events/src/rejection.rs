//! How the business says no: with the numbers that led to it.

use serde::{Deserialize, Serialize};

use crate::position::Version;
use crate::quantity::MAX_UNITS;

/// A command that was understood and refused. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Rejection {
    /// The shelf cannot cover it.
    #[error("{requested} asked for, {available} available")]
    InsufficientStock {
        /// Units asked for.
        requested: i64,
        /// Units that may be taken.
        available: i64,
        /// Units physically present.
        on_hand: i64,
    },
    /// Somebody else changed the item since the caller looked.
    #[error("the item has version {current}, not {expected}")]
    VersionConflict {
        /// The version the caller saw.
        expected: Version,
        /// The version it has.
        current: Version,
    },
    /// The store knows another command by this name.
    #[error("the command id was used before for another command")]
    CommandIdReused,
    /// The level would leave its bounds.
    #[error("{on_hand} plus {delta} is more than the {MAX_UNITS} units an item can hold")]
    LevelOutOfRange {
        /// Units present.
        on_hand: i64,
        /// Units that were to be added.
        delta: i64,
    },
}
