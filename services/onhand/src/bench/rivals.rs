//! Figures of other systems that do the same work, measured by scripts/bench-rivals.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::row::{Aim, Row};

/// What the script wrote.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Rivals {
    figures: Vec<Figure>,
}

#[derive(Debug, Deserialize)]
struct Figure {
    name: String,
    clients: u16,
    value: f64,
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

    /// Puts a rival's figure, at as many clients, beside a row; without one the row stands alone.
    pub(super) fn beside(
        &self,
        row: Row,
        (name, clients): (&str, u16),
        what: &str,
        aim: Aim,
    ) -> Row {
        let same = |figure: &&Figure| figure.name == name && figure.clients == clients;
        match self.figures.iter().find(same) {
            Some(figure) => row.beside_fixed(what, figure.value).aim(aim),
            None => row,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_rival_stands_beside_a_row_of_as_many_clients() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let figure = r#"{"name":"reserve.raw.hot.rate","clients":64,"unit":"1/s","value":500.0,"low":1,"high":2}"#;
        write!(file, r#"{{"date":"2026-11-22","figures":[{figure}]}}"#).unwrap();
        let rivals = Rivals::read(file.path()).unwrap();
        let row = || Row::new("reserve.hot", "hot", "/s", &[2_000.0]);
        let beside = |clients| {
            rivals.beside(row(), ("reserve.raw.hot.rate", clients), "rival", Aim::AtLeast(5.0))
        };
        assert_eq!(beside(64).judged().median, 4.0);
        assert!(beside(8).limit.is_none() && beside(8).aim.is_none());
    }

    #[test]
    fn a_file_that_has_no_rivals_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Rivals::read(file.path()).unwrap_err();
        assert!(error.to_string().contains("scripts/bench-rivals"), "{error}");
    }
}
