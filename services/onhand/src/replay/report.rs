//! What became of the lines, per store and in all.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::HumanCount;

use super::progress::per_second;

/// Final answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    /// Those of the accepted that had been executed before.
    pub(super) repeated: u64,
    /// By the store's code.
    pub(super) refused: BTreeMap<String, u64>,
}

impl Counts {
    fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.repeated += other.repeated;
        for (code, lines) in &other.refused {
            *self.refused.entry(code.clone()).or_default() += lines;
        }
    }
}

/// What became of a store's lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) sales: Counts,
    /// Levels to begin with; these are no lines of the file.
    pub(super) openings: Counts,
    pub(super) no_ops: u64,
    pub(super) bad: u64,
    pub(super) failed: u64,
}

impl Tally {
    fn lines(&self) -> u64 {
        let Self { sales, no_ops, bad, failed, openings: _ } = self;
        sales.accepted + sales.refused() + no_ops + bad + failed
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sales.add(&other.sales);
        self.openings.add(&other.openings);
        self.no_ops += other.no_ops;
        self.bad += other.bad;
        self.failed += other.failed;
    }

    fn row(&self, name: &str) -> Vec<String> {
        let Self { sales, no_ops, bad, failed, openings: _ } = self;
        let counts =
            [self.lines(), sales.accepted, sales.repeated, sales.refused(), *no_ops, *bad, *failed];
        let counts = counts.into_iter().map(|count| HumanCount(count).to_string());
        std::iter::once(name.to_owned()).chain(counts).collect()
    }
}

const COLUMNS: [&str; 8] =
    ["store", "lines", "accepted", "repeated", "refused", "no-ops", "bad", "failed"];

/// The report as lines of text: a table, then what the table cannot say.
pub(super) fn report(stores: &[(&str, &Tally)], elapsed: Duration) -> Vec<String> {
    let mut total = Tally::default();
    let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
    for (name, tally) in stores {
        total.add(tally);
        rows.push(tally.row(name));
    }
    rows.push(total.row("total"));
    let mut lines = table(&rows);
    lines.extend(refused("refused", &total.sales));
    let openings = &total.openings;
    if openings.accepted > 0 {
        lines.push(format!(
            "openings: {} accepted, {} of them repeated",
            HumanCount(openings.accepted),
            HumanCount(openings.repeated)
        ));
    }
    lines.extend(refused("openings refused", openings));
    let rate = HumanCount(per_second(total.lines(), elapsed));
    lines.push(format!("took {elapsed:.1?}, {rate} lines/s"));
    lines
}

fn refused(title: &str, counts: &Counts) -> Option<String> {
    if counts.refused.is_empty() {
        return None;
    }
    let codes: Vec<_> = counts
        .refused
        .iter()
        .map(|(code, lines)| {
            let hint = match code.as_str() {
                // The id is there, the content is another one.
                "command_id_reused" => " (another file had this --run name: choose a new one)",
                "wrong_store" => " (the URL leads to another store)",
                _ => "",
            };
            format!("{code} {}{hint}", HumanCount(*lines))
        })
        .collect();
    Some(format!("{title}: {}", codes.join(", ")))
}

fn table(rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<_> = (0..COLUMNS.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).zip(0..).map(|((cell, width), column)| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_accounted_for() {
        let counts = |accepted, repeated, refused: &[(&str, u64)]| Counts {
            accepted,
            repeated,
            refused: refused.iter().map(|(code, lines)| ((*code).to_owned(), *lines)).collect(),
        };
        let north = Tally {
            sales: counts(1_234, 34, &[("insufficient_stock", 5), ("wrong_store", 1)]),
            openings: counts(7, 0, &[]),
            no_ops: 2,
            bad: 1,
            failed: 0,
        };
        let other = Tally { bad: 3, failed: 1_000, ..Tally::default() };
        let lines = report(&[("north", &north), ("B", &other)], Duration::from_millis(2_500));
        let expected = [
            "store  lines  accepted  repeated  refused  no-ops  bad  failed",
            "north  1,243     1,234        34        6       2    1       0",
            "B      1,003         0         0        0       0    3   1,000",
            "total  2,246     1,234        34        6       2    4   1,000",
            "refused: insufficient_stock 5, wrong_store 1 (the URL leads to another store)",
            "openings: 7 accepted, 0 of them repeated",
            "took 2.5s, 898 lines/s",
        ];
        assert_eq!(lines, expected);
    }
}
