//! Headers both services read and write alike.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use service_kit::{ErrorCode, Problem};
use shared_events::{CommandId, Version};

pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest wait a caller may prefer: shorter than a request may take.
const WAIT_MAX: Duration = Duration::from_secs(25);

/// The `Idempotency-Key`: a quoted string by the draft, bare by habit.
///
/// # Errors
/// [`ErrorCode::InvalidField`] when it is not a command id.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<CommandId>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    CommandId::parse(bare).map(Some).map_err(|error| {
        Problem::new(ErrorCode::InvalidField, error.to_string()).field(IDEMPOTENCY_KEY)
    })
}

/// The version of an `If-Match`.
///
/// # Errors
/// [`ErrorCode::InvalidField`] when it is not one version in quotes.
pub fn if_match(headers: &HeaderMap) -> Result<Option<Version>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    value.to_str().ok().and_then(version_of).map(Some).ok_or_else(|| {
        let detail = "If-Match is one version in quotes, as an ETag of this service";
        Problem::new(ErrorCode::InvalidField, detail).field("if-match")
    })
}

/// How long a caller prefers to wait for the outcome (RFC 7240 `Prefer: wait=SECONDS`, at most 25);
/// `None` when it does not. A preference that is not understood is no preference.
#[must_use]
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let wait = values.flat_map(|value| value.split(',')).find_map(|preference| {
        let (name, seconds) = preference.split(';').next()?.split_once('=')?;
        let seconds = seconds.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then(|| Duration::from_secs(seconds))
    });
    wait.map(|wait| wait.min(WAIT_MAX)).filter(|wait| !wait.is_zero())
}

/// A version as a strong entity tag.
///
/// # Panics
/// Never: digits make a header value.
#[must_use]
pub fn entity_tag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits make a header value")
}

/// Says that the answer had been given before.
pub fn mark_repeated(response: &mut Response) {
    let name = HeaderName::from_static("idempotent-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
}

/// A version from its wire form.
fn version_of(tag: &str) -> Option<Version> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let version = Version::new(digits.parse().ok()?);
    // One spelling, and nothing the journal could not hold.
    (version <= Version::MAX && version.to_string() == digits).then_some(version)
}
