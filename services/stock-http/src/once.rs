//! What operators ask of either service, done once for each `Idempotency-Key`.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use service_kit::answers::{Answers, Named, Recorded};
use service_kit::fingerprint::fingerprint;
use service_kit::{ErrorCode, Problem};
use shared_events::Subject;

use crate::headers::{IDEMPOTENCY_KEY, idempotency_key, mark_repeated};

/// Who asks, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a, B> {
    /// Who; keys are its own.
    pub subject: Option<&'a Subject>,
    /// Where its key is.
    pub headers: &'a HeaderMap,
    /// Method and path.
    pub operation: &'a str,
    /// What it sent.
    pub body: &'a B,
}

/// An answer on its way: its status, its `Location`, and what it says.
pub type Answer<T> = (StatusCode, Option<String>, T);

/// Does what is asked, unless it was done under this key before: then the recorded answer is given again.
///
/// # Errors
/// The problem of `act`, or one with the key.
pub async fn once<T: Serialize>(
    answers: &Answers,
    asked: Asked<'_, impl Serialize>,
    act: impl Future<Output = Result<Answer<T>, Problem>>,
) -> Result<Response, Problem> {
    let act = async { act.await.and_then(recorded) };
    let Some(key) = idempotency_key(asked.headers)? else {
        return act.await.map(given);
    };
    // Neither a subject nor a key has a space in it.
    let name = asked.subject.map_or_else(|| key.to_string(), |subject| format!("{subject} {key}"));
    let fingerprint = fingerprint(&(asked.operation, asked.body));
    let done = answers.once(Named { name, fingerprint }, act).await;
    let (answer, repeated) = done.map_err(|problem| match problem.code() {
        ErrorCode::CommandIdReused => problem.field(IDEMPOTENCY_KEY),
        _ => problem,
    })?;
    let mut response = given(answer);
    if repeated {
        mark_repeated(&mut response);
    }
    Ok(response)
}

fn recorded((status, location, body): Answer<impl Serialize>) -> Result<Recorded, Problem> {
    let body = serde_json::to_string(&body);
    let body = body.map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
    Ok(Recorded { status: status.as_u16(), location, body })
}

fn given(Recorded { status, location, body }: Recorded) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = (status, body).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if let Some(location) = location.and_then(|location| location.parse().ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
