//! When a record was written at the earliest: a rule without clock or I/O.
//!
//! Whoever asks where a partition ends, and then reads a record at that place or beyond, knows that it was
//! written after the question. That holds however long the record then waited: in the broker, on a line
//! that was cut, in a process that stood still. No clock but the asker's is believed.

use std::collections::VecDeque;
use std::time::Instant;

use event_log::Offset;

/// The ends of one partition, each with when it was asked for.
#[derive(Debug)]
pub struct Arrivals {
    /// The first may be one that was told before anybody listened.
    ends: VecDeque<(Instant, Offset)>,
    last_told: Instant,
}

impl Arrivals {
    /// Begins with an end that was asked for at a moment: what lies before it is not live.
    #[must_use]
    pub fn new(asked: Instant, end: Offset) -> Self {
        Self { ends: VecDeque::from([(asked, end)]), last_told: asked }
    }

    /// The broker answered a question of that moment.
    pub fn told(&mut self, asked: Instant, end: Offset) {
        self.last_told = asked;
        match self.ends.back_mut() {
            Some(last) if last.1 == end => last.0 = asked,
            _ => self.ends.push_back((asked, end)),
        }
    }

    /// When the newest answer was asked for.
    #[must_use]
    pub const fn last_told(&self) -> Instant {
        self.last_told
    }

    /// When a record that is read now was written at the earliest; `None` for one that was there before
    /// anybody listened. Records are read in order: what only an earlier one needs is forgotten.
    pub fn at_the_earliest(&mut self, offset: Offset) -> Option<Instant> {
        while self.ends.get(1).is_some_and(|(_, end)| *end <= offset) {
            self.ends.pop_front();
        }
        self.ends.front().filter(|(_, end)| *end <= offset).map(|(asked, _)| *asked)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_is_as_old_as_the_last_question_that_did_not_find_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut arrivals = Arrivals::new(at(0), Offset(10));
        assert_eq!(arrivals.at_the_earliest(Offset(9)), None);
        arrivals.told(at(1), Offset(10));
        // The line is cut from here to 60; the records 10 and 11 wait.
        arrivals.told(at(60), Offset(12));
        arrivals.told(at(61), Offset(13));
        assert_eq!(arrivals.at_the_earliest(Offset(10)), Some(at(1)));
        assert_eq!(arrivals.at_the_earliest(Offset(11)), Some(at(1)));
        assert_eq!(arrivals.at_the_earliest(Offset(12)), Some(at(60)));
        assert_eq!(arrivals.at_the_earliest(Offset(13)), Some(at(61)));
        assert_eq!(arrivals.at_the_earliest(Offset(14)), Some(at(61)));
        assert_eq!(arrivals.last_told(), at(61));
    }
}
