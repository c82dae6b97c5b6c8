//! Durations, and what is said of many of them.

use std::time::Duration;

/// Measured durations, in order.
#[derive(Debug, Clone)]
pub(super) struct Durations(Vec<Duration>);

impl Durations {
    pub(super) fn new(mut measured: Vec<Duration>) -> Self {
        measured.sort_unstable();
        Self(measured)
    }

    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    /// The duration that so many of a hundred do not exceed; zero when there are none.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }
}

/// Milliseconds with two places.
pub(super) fn millis(duration: Duration) -> String {
    let hundredths = duration.as_micros() / 10;
    format!("{}.{:02} ms", hundredths / 100, hundredths % 100)
}

/// One number in relation to another, with two places; `-` when there is nothing to relate to.
pub(super) fn ratio(of: u128, to: u128) -> String {
    match (of * 100).checked_div(to) {
        Some(hundredths) => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let durations = Durations::new((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(durations.percentile(50), Duration::from_millis(100));
        assert_eq!(durations.percentile(99), Duration::from_millis(198));
        assert_eq!(Durations::new(Vec::new()).percentile(99), Duration::ZERO);
    }

    #[test]
    fn figures_are_rounded_down_to_two_places() {
        assert_eq!(millis(Duration::from_micros(12_349)), "12.34 ms");
        assert_eq!((ratio(3, 2), ratio(1, 0)), ("1.50".to_owned(), "-".to_owned()));
    }
}
