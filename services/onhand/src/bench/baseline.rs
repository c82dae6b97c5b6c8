//! Figures of an earlier run, to be compared with.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::row::{Aim, Row};

/// What `--json` wrote once.
#[derive(Debug, Deserialize)]
pub(super) struct Baseline {
    rows: Vec<Row>,
}

impl Baseline {
    /// Reads a file of figures.
    ///
    /// # Errors
    /// A file that cannot be read, or is none of figures.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("read the baseline {}", file.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no file of `onhand bench --json`", file.display()))
    }

    /// A line for each row whose ratio is worse by more than the tolerance. Figures without a limit
    /// beside them say more about the machine than about Onhand and are not compared.
    pub(super) fn worse(&self, rows: &[Row], tolerance: f64) -> Vec<String> {
        rows.iter()
            .filter_map(|row| {
                let before = self.rows.iter().find(|before| before.name == row.name)?;
                let (before, now) = (before.limit.as_ref()?.ratio.median, row.limit.as_ref()?);
                let now = now.ratio.median;
                let worse = match row.aim {
                    Some(Aim::AtMost(_)) => now > before * (1.0 + tolerance),
                    Some(Aim::AtLeast(_)) | None => now < before * (1.0 - tolerance),
                };
                worse.then(|| format!("worse: {} was {before:.2} x, is {now:.2} x", row.name))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, figure: f64, aim: Aim) -> Row {
        Row::new(name, name, "/s", &[figure]).beside("limit", &[figure], &[100.0]).aim(aim)
    }

    #[test]
    fn only_a_ratio_that_is_worse_beyond_the_tolerance_is_told() {
        let rate = |figure| row("rate", figure, Aim::AtLeast(0.7));
        let wait = |figure| row("wait", figure, Aim::AtMost(2.0));
        let baseline = Baseline { rows: vec![rate(80.0), wait(150.0)] };
        assert!(baseline.worse(&[rate(61.0), wait(186.0)], 0.25).is_empty());
        let worse =
            baseline.worse(&[rate(59.0), wait(190.0), row("new", 1.0, Aim::AtLeast(0.7))], 0.25);
        assert_eq!(
            worse,
            ["worse: rate was 0.80 x, is 0.59 x", "worse: wait was 1.50 x, is 1.90 x"]
        );
    }

    #[test]
    fn a_file_that_is_no_baseline_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Baseline::read(file.path()).unwrap_err();
        assert!(error.to_string().contains("onhand bench --json"), "{error}");
    }
}
