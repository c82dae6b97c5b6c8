//! Figures of other systems that do the same work, measured by scripts/bench-rivals.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::row::{Aim, Row};

/// What the script wrote.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Rivals {
    rows: Vec<Rival>,
}

#[derive(Debug, Deserialize)]
struct Rival {
    name: String,
    median: f64,
}

impl Rivals {
    /// Reads the script's file.
    ///
    /// # Errors
    /// A file that cannot be read, or is none of rivals.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("read the rivals' figures {}", file.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no file of scripts/bench-rivals", file.display()))
    }

    /// Puts a rival's figure beside a row; without one the row stands alone.
    pub(super) fn beside(&self, row: Row, name: &str, what: &str, aim: Aim) -> Row {
        match self.rows.iter().find(|rival| rival.name == name) {
            Some(rival) => row.beside_fixed(what, rival.median).aim(aim),
            None => row,
        }
    }
}
