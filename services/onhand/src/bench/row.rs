//! One line of the table: a figure, the limit beside it, and what it cost.

use serde::{Deserialize, Serialize};

/// A figure measured several times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    /// The one in the middle.
    pub(super) median: f64,
    /// The lowest.
    pub(super) low: f64,
    /// The highest.
    pub(super) high: f64,
}

impl Spread {
    /// The spread of what was measured; all zero when nothing was.
    pub(super) fn of(measured: &[f64]) -> Self {
        let mut sorted = measured.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
        let last = sorted.len().saturating_sub(1);
        Self { median: at(last / 2), low: at(0), high: at(last) }
    }
}

/// What a row should reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Aim {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Aim {
    /// Whether a value is what was aimed at.
    pub(super) fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {}", rounded(least)),
            Self::AtMost(most) => format!("<= {}", rounded(most)),
        }
    }
}

/// The limit of a row, or a rival.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Beside {
    /// What it is.
    pub(super) what: String,
    /// The same unit as the row's.
    pub(super) measured: Spread,
    /// The row's figure by this one, round by round.
    pub(super) ratio: Spread,
}

/// What the services used while they were measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost {
    /// Seconds of a core for a million operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_seconds_per_million: Option<f64>,
    /// Resident memory at the end, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resident_mib: Option<f64>,
    /// Disk for each event, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes_per_event: Option<f64>,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    /// Its name in baselines: `work.what`.
    pub(super) name: String,
    /// What was measured, for people.
    pub(super) what: String,
    /// Of the figure and its limit.
    pub(super) unit: String,
    /// The figure.
    pub(super) measured: Spread,
    /// Its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<Beside>,
    /// For the ratio, or for the figure where nothing stands beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aim: Option<Aim>,
    /// What it cost.
    #[serde(default)]
    pub(super) cost: Cost,
}

impl Row {
    /// A figure of several rounds.
    pub(super) fn new(name: &str, what: impl Into<String>, unit: &str, rounds: &[f64]) -> Self {
        Self {
            name: name.to_owned(),
            what: what.into(),
            unit: unit.to_owned(),
            measured: Spread::of(rounds),
            limit: None,
            aim: None,
            cost: Cost::default(),
        }
    }

    /// The one in the middle.
    pub(super) fn median(rounds: &[f64]) -> f64 {
        Spread::of(rounds).median
    }

    /// Puts a limit beside it, measured in the same rounds as `rounds`.
    pub(super) fn beside(mut self, what: &str, rounds: &[f64], limits: &[f64]) -> Self {
        let ratios: Vec<f64> = rounds.iter().zip(limits).map(|(of, to)| ratio(*of, *to)).collect();
        self.limit = Some(Beside {
            what: what.to_owned(),
            measured: Spread::of(limits),
            ratio: Spread::of(&ratios),
        });
        self
    }

    /// Puts a figure of another run beside it.
    pub(super) fn beside_fixed(mut self, what: &str, figure: f64) -> Self {
        let Spread { median, low, high } = self.measured;
        let [median, low, high] = [median, low, high].map(|of| ratio(of, figure));
        self.limit = Some(Beside {
            what: what.to_owned(),
            measured: Spread { median: figure, low: figure, high: figure },
            ratio: Spread { median, low, high },
        });
        self
    }

    pub(super) const fn aim(mut self, aim: Aim) -> Self {
        self.aim = Some(aim);
        self
    }

    pub(super) const fn cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// What the aim is about.
    pub(super) fn judged(&self) -> Spread {
        self.limit.as_ref().map_or(self.measured, |limit| limit.ratio)
    }

    /// Its lines of the table.
    pub(super) fn lines(&self) -> Vec<String> {
        let figure = |value: f64| format!("{} {}", rounded(value), self.unit);
        let mut line = format!("  {:<46} {:>14}", self.what, figure(self.measured.median));
        if let Some(Beside { what, measured, ratio }) = &self.limit {
            let beside = format!("{} {what}", figure(measured.median));
            let ratios = format!(
                "{} x ({} to {})",
                rounded(ratio.median),
                rounded(ratio.low),
                rounded(ratio.high)
            );
            line.push_str(&format!("  {beside:<44} {ratios}"));
        } else {
            let Spread { low, high, .. } = self.measured;
            line.push_str(&format!("  ({} to {})", rounded(low), rounded(high)));
        }
        if let Some(aim) = self.aim {
            let met = if aim.met(self.judged().median) { "met" } else { "missed" };
            line.push_str(&format!("  aim {}: {met}", aim.text()));
        }
        let cost = [
            ("CPU s per million", self.cost.cpu_seconds_per_million),
            ("MiB resident", self.cost.resident_mib),
            ("B on disk for each event", self.cost.bytes_per_event),
        ];
        let cost: Vec<_> = cost
            .into_iter()
            .filter_map(|(what, value)| value.map(|value| format!("{} {what}", rounded(value))))
            .collect();
        let cost = (!cost.is_empty()).then(|| format!("      {}", cost.join(", ")));
        std::iter::once(line).chain(cost).collect()
    }
}

/// One number by another; 0 where there is nothing to divide by.
pub(super) fn ratio(of: f64, to: f64) -> f64 {
    if to > 0.0 { of / to } else { 0.0 }
}

/// Three digits that matter, in groups of thousands.
fn rounded(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) && !text.ends_with('-') {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
        hundreds if hundreds >= 100.0 => format!("{value:.0}"),
        tens if tens >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_one_in_the_middle_and_both_ends() {
        let spread = Spread::of(&[5.0, 1.0, 3.0, 9.0, 4.0]);
        assert_eq!(spread, Spread { median: 4.0, low: 1.0, high: 9.0 });
        assert_eq!(Spread::of(&[]), Spread { median: 0.0, low: 0.0, high: 0.0 });
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let row = Row::new("w.x", "x", "/s", &[10.0, 90.0, 40.0]);
        let row = row.beside("limit", &[10.0, 90.0, 40.0], &[20.0, 100.0, 50.0]);
        assert_eq!(row.judged(), Spread { median: 0.8, low: 0.5, high: 0.9 });
    }

    #[test]
    fn an_aim_is_held_against_the_ratio_where_there_is_one() {
        let row = Row::new("w.x", "x", "/s", &[10.0]).aim(Aim::AtLeast(0.7));
        assert!(row.aim.unwrap().met(row.judged().median));
        let row = row.beside("limit", &[10.0], &[20.0]);
        assert!(!row.aim.unwrap().met(row.judged().median));
        assert!(row.lines().first().unwrap().ends_with("aim >= 0.70: missed"));
    }

    #[test]
    fn numbers_keep_three_digits() {
        let texts = [0.704, 12.34, 123.4, 1_234.5, 1_234_567.0].map(rounded);
        assert_eq!(texts, ["0.70", "12.3", "123", "1,234", "1,234,567"]);
    }
}
