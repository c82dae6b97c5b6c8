//! Partitions that have records which do not come: a rule without clock or I/O.
//!
//! A client can lose one partition and go on with the others; seen after a broker had stood still. Health
//! is progress: who asks where a partition ends, and reads nothing of what is there, has to begin anew.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::port::Offset;

/// How long a partition may stand still although it has more.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far each partition was read, and since when it has had more.
#[derive(Debug)]
pub struct Stalls<P> {
    waiting: BTreeMap<P, (Offset, Instant)>,
}

impl<P> Default for Stalls<P> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

impl<P: Ord> Stalls<P> {
    /// A partition that was read up to here ends there. `true` when it has stood still for too long.
    pub fn told(&mut self, partition: P, reached: Offset, end: Offset, now: Instant) -> bool {
        if end <= reached {
            self.waiting.remove(&partition);
            return false;
        }
        let (known, since) = self.waiting.entry(partition).or_insert((reached, now));
        if *known != reached {
            (*known, *since) = (reached, now);
        }
        now.duration_since(*since) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stalls: &mut Stalls<u8>, reached: i64, end: i64, at: Instant) -> bool {
        stalls.told(1, Offset(reached), Offset(end), at)
    }

    #[test]
    fn a_partition_that_has_more_and_stands_still_is_found() {
        let start = Instant::now();
        let mut stalls = Stalls::default();
        assert!(!told(&mut stalls, 5, 9, start));
        assert!(!told(&mut stalls, 5, 90, start + PATIENCE / 2));
        assert!(told(&mut stalls, 5, 90, start + PATIENCE));
    }

    #[test]
    fn one_that_moves_or_has_nothing_is_left_alone() {
        let start = Instant::now();
        let mut stalls = Stalls::default();
        for step in 0..10 {
            assert!(!told(&mut stalls, step, 900, start + PATIENCE * u32::try_from(step).unwrap()));
        }
        let later = start + PATIENCE * 20;
        assert!(!told(&mut stalls, 900, 900, later));
        assert!(
            !told(&mut stalls, 900, 901, later + PATIENCE * 2),
            "it has had more since now only"
        );
    }
}
