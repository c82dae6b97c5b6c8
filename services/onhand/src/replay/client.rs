//! One store's batch route: what is asked, what is answered, and what is worth another try.

use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use shared_events::StoreId;

use crate::web::{base, below, causes};

const NDJSON: &str = "application/x-ndjson";
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A store and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) store: StoreId,
    pub(super) url: Url,
}

/// Parses `ID=URL`.
pub(super) fn target(text: &str) -> Result<Target, String> {
    let (store, url) = text
        .split_once('=')
        .ok_or_else(|| format!("expected ID=URL, as in A=http://127.0.0.1:8081, got {text:?}"))?;
    let store = StoreId::parse(store).map_err(|error| error.to_string())?;
    Ok(Target { store, url: base(url)? })
}

/// What the store says about one line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    line: usize,
    pub(super) status: u16,
    #[serde(default)]
    pub(super) repeated: bool,
    pub(super) event_id: Option<String>,
    pub(super) version: Option<u64>,
    pub(super) discrepancy: Option<i64>,
    pub(super) problem: Option<Problem>,
}

impl Answer {
    /// Whether the line was executed.
    pub(super) const fn accepted(&self) -> bool {
        self.status == 200
    }

    /// Whether the same line may succeed later.
    pub(super) fn retryable(&self) -> bool {
        self.problem.as_ref().map_or(self.status >= 500, |problem| problem.retryable)
    }
}

/// Why a line or a body was not served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) detail: String,
    retryable: bool,
}

/// How a request for a batch ended.
#[derive(Debug)]
pub(super) enum Attempt {
    /// An answer for each line, in order.
    Answered(Vec<Answer>),
    /// It may work later; what happened is unknown, the lines' ids make another try safe.
    Trouble(String),
    /// It will not work by trying again.
    Refused(String),
}

/// Sends batches to one store.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    client: Client,
    url: Url,
}

impl Endpoint {
    pub(super) fn new(client: Client, store: &Url) -> Self {
        Self { client, url: below(store, &["api", "commands", "inventory", "batch"]) }
    }

    /// Sends a body once.
    pub(super) async fn send(&self, body: Vec<u8>, lines: usize) -> Attempt {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, NDJSON).body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Attempt::Trouble(causes(&error)),
        };
        let status = response.status();
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return Attempt::Trouble(causes(&error)),
        };
        if status.is_success() {
            return match answers(&body, lines) {
                Some(answers) => Attempt::Answered(answers),
                None => Attempt::Trouble("the answer does not fit the request".to_owned()),
            };
        }
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        let reason = format!("{} says {status} {}", self.url, problem.detail).trim_end().to_owned();
        if problem.retryable || worth_retrying(status) {
            Attempt::Trouble(reason)
        } else {
            Attempt::Refused(reason)
        }
    }
}

fn worth_retrying(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// One answer for each line that was sent, in order; otherwise they could be taken for one another.
fn answers(body: &[u8], lines: usize) -> Option<Vec<Answer>> {
    let answers: Result<Vec<Answer>, _> = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .map(serde_json::from_slice)
        .collect();
    let answers = answers.ok()?;
    let in_order = answers.iter().zip(1..).all(|(answer, line)| answer.line == line);
    (in_order && answers.len() == lines).then_some(answers)
}

/// Growing pauses between attempts, and the end of hope.
#[derive(Debug)]
pub(super) struct Patience {
    give_up_after: Duration,
    since: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(give_up_after: Duration) -> Self {
        Self { give_up_after, since: Instant::now(), pause: PAUSE_MIN }
    }

    /// Something worked: the clock starts again.
    pub(super) fn succeeded(&mut self) {
        *self = Self::new(self.give_up_after);
    }

    /// How long to wait before the next attempt; `None` when it has been too long without success.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        self.pause_after(self.since.elapsed())
    }

    fn pause_after(&mut self, elapsed: Duration) -> Option<Duration> {
        if elapsed >= self.give_up_after {
            return None;
        }
        let pause = self.pause;
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_with_its_url() {
        let parsed = target("north.7=http://127.0.0.1:8081").unwrap();
        assert_eq!(parsed.store.as_str(), "north.7");
        let url = below(&parsed.url, &["api", "stores", "a b/c?d%"]);
        assert_eq!(url.as_str(), "http://127.0.0.1:8081/api/stores/a%20b%2Fc%3Fd%25");
        let behind_proxy = base("http://shops.example/north/").unwrap();
        assert_eq!(below(&behind_proxy, &["api"]).as_str(), "http://shops.example/north/api");
    }

    #[test]
    fn a_store_that_is_not_named_well_is_refused_with_the_reason() {
        for (text, reason) in [
            ("A", "expected ID=URL"),
            ("", "expected ID=URL"),
            ("=http://127.0.0.1:8081", "a store id is"),
            ("A/B=http://127.0.0.1:8081", "a store id is"),
            ("A=", "is no URL"),
            ("A=127.0.0.1:8081", "is no URL"),
            ("A=ftp://127.0.0.1:8081", "expected http://"),
            ("A=http://127.0.0.1:8081?x=1", "expected http://"),
        ] {
            let error = target(text).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn answers_must_fit_the_lines_that_were_sent() {
        let one = br#"{"line":1,"status":200,"repeated":true,"eventId":"A/1/7","version":2}"#;
        let parsed = answers(one, 1).unwrap();
        assert!(parsed.iter().all(|answer| answer.accepted() && answer.repeated));
        assert_eq!(answers(one, 2), None);
        assert_eq!(answers(br#"{"line":2,"status":200}"#, 1), None);
        assert_eq!(answers(b"oops", 1), None);
        assert_eq!(answers(b"\n", 0), Some(Vec::new()));
    }

    #[test]
    fn a_refused_line_is_tried_again_only_when_the_store_says_so() {
        let answer = |text: &str| serde_json::from_str::<Answer>(text).unwrap();
        let full = r#"{"line":1,"status":507,"problem":{"code":"storage_full","retryable":true}}"#;
        assert!(answer(full).retryable());
        let short = r#"{"line":1,"status":409,"problem":{"code":"x","retryable":false}}"#;
        assert!(!answer(short).retryable());
        assert!(answer(r#"{"line":1,"status":503}"#).retryable());
    }

    #[test]
    fn pauses_grow_to_a_bound_and_end() {
        let mut patience = Patience::new(Duration::from_secs(20));
        let (mut elapsed, mut pauses) = (Duration::ZERO, Vec::new());
        while let Some(pause) = patience.pause_after(elapsed) {
            pauses.push(pause.as_millis());
            elapsed += pause;
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
        patience.succeeded();
        assert_eq!(patience.pause(), Some(PAUSE_MIN));
    }
}
