//! Figures: what was measured, in each round, and what is said of all rounds together.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What one measurement of a load gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Answers per second.
    pub per_second: f64,
    /// Half of the answers came within so many microseconds.
    pub p50_us: f64,
    /// All but one of a hundred did.
    pub p99_us: f64,
}

/// Durations from a microsecond to an hour, with three digits.
pub fn durations() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are in order")
}

/// Notes a duration; one that is longer than an hour counts as an hour.
pub fn note(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1));
}

/// One figure of all rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What it is of, from the general to the special.
    pub name: String,
    /// Requests under way at the same time.
    pub clients: u32,
    /// `1/s`, `us` or `ms`.
    pub unit: &'static str,
    /// The median of the rounds.
    pub value: f64,
    /// The lowest of them.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Figure {
    pub fn new(name: String, clients: u32, unit: &'static str, mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |place: usize| rounds.get(place).copied().unwrap_or_default();
        let last = rounds.len().saturating_sub(1);
        let value = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
        Self { name, clients, unit, value, low: at(0), high: at(last) }
    }
}

/// Rate and latencies of a load that was measured in rounds.
pub fn of_load(name: &str, clients: u32, rounds: &[Sample]) -> [Figure; 3] {
    let figure = |what: &str, unit, value: fn(&Sample) -> f64| {
        let rounds = rounds.iter().map(value).collect();
        Figure::new(format!("{name}.{what}"), clients, unit, rounds)
    };
    [
        figure("rate", "1/s", |sample| sample.per_second),
        figure("p50", "us", |sample| sample.p50_us),
        figure("p99", "us", |sample| sample.p99_us),
    ]
}

/// The figures as a table for people.
pub fn table(figures: &[Figure]) -> String {
    let mut text = format!(
        "{:<36} {:>7} {:>12} {:>12} {:>12}  {}\n",
        "figure", "clients", "median", "low", "high", "unit"
    );
    for Figure { name, clients, unit, value, low, high } in figures {
        text +=
            &format!("{name:<36} {clients:>7} {value:>12.1} {low:>12.1} {high:>12.1}  {unit}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_rounds_with_their_ends() {
        let figure = |rounds: &[f64]| {
            let Figure { value, low, high, .. } =
                Figure::new("x".to_owned(), 1, "us", rounds.to_vec());
            (low, value, high)
        };
        assert_eq!(figure(&[3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
        assert_eq!(figure(&[4.0, 1.0, 2.0, 3.0]), (1.0, 2.5, 4.0));
        assert_eq!(figure(&[7.0]), (7.0, 7.0, 7.0));
        assert_eq!(figure(&[]), (0.0, 0.0, 0.0));
    }
}
