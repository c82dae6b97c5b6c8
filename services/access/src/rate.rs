//! How often one subject may ask, so that none has the service for itself.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::http::{Extensions, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use service_kit::server::{Counts, Reason};
use service_kit::{ErrorCode, Problem, clock};
use shared_events::Subject;

/// Requests a second of one subject unless configured otherwise: far more than a shop's tills or a
/// storefront send, each request of which may carry a thousand commands.
pub const DEFAULT_MAX_RATE: u32 = 1_000;
/// What may come at once, in seconds of the rate.
const BURST: u32 = 2;
/// Subjects that are remembered before those are forgotten that have been quiet long enough.
const SUBJECTS: usize = 10_000;

/// The bound of each subject; clones share what was counted.
#[derive(Debug, Clone)]
pub struct Rate {
    limiter: Arc<DefaultKeyedRateLimiter<Subject>>,
    /// The second in which quiet subjects were last looked for.
    looked_at: Arc<AtomicI64>,
    clock: DefaultClock,
}

impl Rate {
    /// So many requests a second, twice as many at once; `None` for 0, which is no bound.
    #[must_use]
    pub fn per_second(requests: u32) -> Option<Self> {
        let burst = NonZeroU32::new(requests.saturating_mul(BURST))?;
        let quota = Quota::per_second(NonZeroU32::new(requests)?).allow_burst(burst);
        let limiter = Arc::new(DefaultKeyedRateLimiter::keyed(quota));
        Some(Self { limiter, looked_at: Arc::default(), clock: DefaultClock::default() })
    }

    /// Counts a request of a subject, or refuses it with the time to come back.
    pub(crate) fn admit(
        &self,
        subject: &Subject,
        request: &Extensions,
    ) -> Result<(), Box<Response>> {
        self.forget_quiet(clock::unix_millis() / 1_000);
        let Err(until) = self.limiter.check_key(subject) else {
            return Ok(());
        };
        if let Some(counts) = request.get::<Counts>() {
            counts.refused(Reason::Rate);
        }
        let seconds = until.wait_time_from(self.clock.now()).as_secs().saturating_add(1);
        let detail = "this subject asks too often; nothing was done";
        let mut response = Problem::new(ErrorCode::RateLimited, detail).into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        Err(Box::new(response))
    }
}

impl Rate {
    /// Forgets subjects that have been quiet long enough, where there are many; gives whether it looked. It
    /// looks at all of them, so not more than once a second.
    fn forget_quiet(&self, second: i64) -> bool {
        let looks = self.limiter.len() > SUBJECTS
            && self.looked_at.swap(second, Ordering::Relaxed) != second;
        if looks {
            self.limiter.retain_recent();
        }
        looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_that_asks_too_often_is_told_when_to_come_back_and_others_are_not() {
        let rate = Rate::per_second(5).unwrap();
        let (busy, other) = ("busy".parse().unwrap(), "other".parse().unwrap());
        let counts = Counts::default();
        let mut request = Extensions::new();
        request.insert(counts);
        let refused = (0..11).find_map(|_| rate.admit(&busy, &request).err()).unwrap();
        assert_eq!(refused.status().as_u16(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        rate.admit(&other, &request).unwrap();
        assert!(Rate::per_second(0).is_none());
    }

    #[test]
    fn many_subjects_are_looked_through_once_a_second_at_most() {
        // Nobody is quiet for long enough while this runs.
        let slow = Quota::per_hour(NonZeroU32::new(1).unwrap());
        let limiter = Arc::new(DefaultKeyedRateLimiter::keyed(slow));
        let rate = Rate { limiter, ..Rate::per_second(1).unwrap() };
        let request = Extensions::new();
        for number in 0..SUBJECTS {
            rate.admit(&format!("s{number}").parse().unwrap(), &request).unwrap();
        }
        assert!(!rate.forget_quiet(7), "they are not many yet");
        rate.admit(&"one-more".parse().unwrap(), &request).unwrap();
        assert_eq!(
            [7, 7, 8, 8].map(|second| rate.forget_quiet(second)),
            [true, false, true, false]
        );
    }
}
