//! Strict reading of requests: what is not understood completely is refused with the reason.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::problem::{ErrorCode, Problem};

/// Largest body any route reads, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Longest time a body may take to come: the largest one, on a line of 500 kbit/s.
const BODY_WITHIN: Duration = Duration::from_secs(20);

/// A JSON body of a known shape.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_media_type(request.headers(), &["application/json"])?;
        let Body(bytes) = Body::from_request(request, state).await?;
        parse_json(&bytes).map(Self)
    }
}

/// A JSON body of a known shape that may be left out.
#[derive(Debug, Clone)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let Body(bytes) = Body::from_request(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        require_media_type(&headers, &["application/json"])?;
        parse_json(&bytes).map(Self)
    }
}

/// The bytes of a body, up to [`MAX_BODY_BYTES`].
#[derive(Debug, Clone)]
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let whole = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state));
        let Ok(whole) = whole.await else {
            let detail = format!("a body is here within {BODY_WITHIN:?}; nothing was done");
            return Err(Problem::new(ErrorCode::BodyTooSlow, detail));
        };
        match whole {
            Ok(bytes) => Ok(Self(bytes)),
            Err(BytesRejection::FailedToBufferBody(failure))
                if failure.status() == ErrorCode::BodyTooLarge.status() =>
            {
                let detail = format!("a body has at most {MAX_BODY_BYTES} bytes");
                Err(Problem::new(ErrorCode::BodyTooLarge, detail))
            }
            Err(other) => Err(Problem::new(ErrorCode::MalformedBody, other.body_text())),
        }
    }
}

/// Path segments, decoded and checked.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection: PathRejection| {
                Problem::new(ErrorCode::InvalidField, rejection.body_text()).field("path")
            })
    }
}

/// Query parameters of a known shape.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| {
                Problem::new(ErrorCode::InvalidField, rejection.body_text()).field("query")
            })
    }
}

/// Entries of a page unless asked, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// How many entries a page has, by the caller's `limit`.
///
/// # Errors
/// [`ErrorCode::InvalidField`] outside 1 to 1,000.
pub fn page_limit(asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit is 1 to {MAX_LIMIT}");
    Err(Problem::new(ErrorCode::InvalidField, detail).field("limit"))
}

/// Parses a JSON object of a known shape; an error names the field.
///
/// # Errors
/// [`ErrorCode::MalformedBody`] for what is no JSON, [`ErrorCode::InvalidField`] for another shape.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde also fills a struct from an array, field by field: nobody who sends one means that.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::new(
            ErrorCode::InvalidField,
            "a JSON object is expected, not an array",
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            let problem = Problem::new(ErrorCode::InvalidField, inner.to_string());
            if path == "." { problem } else { problem.field(path) }
        } else {
            Problem::new(ErrorCode::MalformedBody, inner.to_string())
        }
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::new(ErrorCode::MalformedBody, error.to_string()))?;
    Ok(value)
}

/// Refuses a body whose declared media type is none of these.
///
/// # Errors
/// [`ErrorCode::UnsupportedMediaType`].
pub fn require_media_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = declared.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if accepted.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        return Ok(());
    }
    let detail = format!("content-type must be {}, got {essence:?}", accepted.join(" or "));
    Err(Problem::new(ErrorCode::UnsupportedMediaType, detail).field("content-type"))
}
