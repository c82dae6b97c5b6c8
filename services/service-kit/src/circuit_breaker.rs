//! Leaves out somebody who keeps not answering: a rule without clock or I/O.

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Timeouts in a row that open it.
    pub timeouts: u32,
    /// Milliseconds until one probe is let through.
    pub open_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timeouts: 3, open_ms: 30_000 }
    }
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One probe, whose outcome decides.
    HalfOpen,
}

/// Watches one counterpart.
#[derive(Debug, Clone, Copy)]
pub struct CircuitBreaker {
    settings: Settings,
    timeouts: u32,
    /// Shut until then, once there were too many timeouts.
    open_until_ms: Option<u64>,
    /// When the probe was let through that has no outcome yet.
    probing_since_ms: Option<u64>,
}

impl CircuitBreaker {
    /// A closed breaker.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings, timeouts: 0, open_until_ms: None, probing_since_ms: None }
    }

    /// What it lets through at a moment. A probe that never had an outcome counts as none after the
    /// time that the breaker stays open.
    #[must_use]
    pub fn state(&self, now_ms: u64) -> State {
        let Some(open_until_ms) = self.open_until_ms else {
            return State::Closed;
        };
        let probing = self
            .probing_since_ms
            .is_some_and(|since| now_ms < since.saturating_add(self.settings.open_ms));
        if now_ms < open_until_ms || probing { State::Open } else { State::HalfOpen }
    }

    /// Something was let through.
    pub fn asked(&mut self, now_ms: u64) {
        if self.state(now_ms) == State::HalfOpen {
            self.probing_since_ms = Some(now_ms);
        }
    }

    /// There was an answer: everything is let through again.
    pub const fn answered(&mut self) {
        *self = Self::new(self.settings);
    }

    /// There was none in time.
    pub const fn timed_out(&mut self, now_ms: u64) {
        self.timeouts = self.timeouts.saturating_add(1);
        if self.timeouts >= self.settings.timeouts {
            self.open_until_ms = Some(now_ms.saturating_add(self.settings.open_ms));
            self.probing_since_ms = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> CircuitBreaker {
        let mut breaker = CircuitBreaker::new(Settings { timeouts: 3, open_ms: 100 });
        for now_ms in 0..3 {
            assert_eq!(breaker.state(now_ms), State::Closed);
            breaker.timed_out(now_ms);
        }
        breaker
    }

    #[test]
    fn it_opens_after_three_timeouts_in_a_row() {
        assert_eq!(opened().state(3), State::Open);
        let mut breaker = CircuitBreaker::new(Settings::default());
        for _ in 0..10 {
            breaker.timed_out(0);
            breaker.timed_out(0);
            breaker.answered();
        }
        assert_eq!(breaker.state(0), State::Closed);
    }

    #[test]
    fn after_a_while_it_lets_one_probe_through() {
        let mut breaker = opened();
        assert_eq!(breaker.state(101), State::Open);
        assert_eq!(breaker.state(102), State::HalfOpen);
        breaker.asked(102);
        assert_eq!(breaker.state(103), State::Open);
    }

    #[test]
    fn the_probe_decides() {
        let mut breaker = opened();
        breaker.asked(102);
        breaker.timed_out(150);
        assert_eq!(breaker.state(249), State::Open);
        assert_eq!(breaker.state(250), State::HalfOpen);
        breaker.asked(250);
        breaker.answered();
        assert_eq!(breaker.state(251), State::Closed);
    }

    #[test]
    fn a_probe_without_an_outcome_does_not_shut_it_for_ever() {
        let mut breaker = opened();
        breaker.asked(102);
        assert_eq!(breaker.state(201), State::Open);
        assert_eq!(breaker.state(202), State::HalfOpen);
    }
}
