//! Errors as callers see them: RFC 9457 problem documents with a stable code.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::trace;

/// Why a request was not served. The name, in snake case, is the `code` callers may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The body is larger than the service reads.
    BodyTooLarge,
    /// The body came too slowly; nothing was done.
    BodyTooSlow,
    /// The service asks its clients for a certificate, and there is none.
    CertificateRequired,
    /// The command id was used before with another body.
    CommandIdReused,
    /// The token does not allow it.
    Forbidden,
    /// The headers are larger than the service reads.
    HeadersTooLarge,
    /// What was asked about is not kept any more.
    HistoryGone,
    /// The shelf cannot cover it.
    InsufficientStock,
    /// A defect on this side; the log has the cause.
    Internal,
    /// A field is unknown, missing, of the wrong type or out of bounds.
    InvalidField,
    /// The level would leave its bounds.
    LevelOutOfRange,
    /// The body is not JSON, or not UTF-8.
    MalformedBody,
    /// The path has the resource, but not this method.
    MethodNotAllowed,
    /// No such resource.
    NotFound,
    /// The service has just started and does not know enough yet; nothing was done.
    NotReady,
    /// The service ended before it could answer; what was asked may or may not have been done.
    OutcomeUnknown,
    /// Too much is waiting; nothing was done.
    Overloaded,
    /// `If-Match` does not hold.
    PreconditionFailed,
    /// The caller has as many open reservations as it may; nothing was done.
    QuotaExceeded,
    /// The caller asks too often; nothing was done.
    RateLimited,
    /// No store can keep what is wanted.
    ReservationRejected,
    /// The reservation's state does not allow it.
    ReservationState,
    /// The service is stopping; nothing was done.
    ShuttingDown,
    /// The disk is full; nothing was written, reads go on.
    StorageFull,
    /// The request took too long.
    Timeout,
    /// Who asks is not known: the token is missing, or not valid here.
    Unauthenticated,
    /// No store ever had this item, or the reservation has no line of it.
    UnknownItem,
    /// Nothing is known here of this reservation, or nothing is kept for it any more.
    UnknownReservation,
    /// No store of this id is known here.
    UnknownStore,
    /// The body's media type is not one this route reads.
    UnsupportedMediaType,
    /// The URL is longer than the service reads.
    UrlTooLong,
    /// `expectedVersion` does not hold.
    VersionConflict,
    /// The reservation is another centre's.
    WrongCentre,
    /// The command names another store than the one asked.
    WrongStore,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MalformedBody => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnknownItem | Self::UnknownReservation | Self::UnknownStore => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::InsufficientStock
            | Self::ReservationRejected
            | Self::ReservationState
            | Self::VersionConflict => StatusCode::CONFLICT,
            Self::HistoryGone => StatusCode::GONE,
            Self::WrongCentre => StatusCode::MISDIRECTED_REQUEST,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::CertificateRequired => StatusCode::FORBIDDEN,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::QuotaExceeded | Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::UrlTooLong => StatusCode::URI_TOO_LONG,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::CommandIdReused
            | Self::InvalidField
            | Self::LevelOutOfRange
            | Self::WrongStore => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal | Self::OutcomeUnknown => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady | Self::Overloaded | Self::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// Whether the same request may be sent again as it is: nothing was done, and it may succeed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::BodyTooSlow
            | Self::NotReady
            | Self::Overloaded
            | Self::QuotaExceeded
            | Self::RateLimited
            | Self::ShuttingDown
            | Self::StorageFull => true,
            Self::BodyTooLarge
            | Self::CertificateRequired
            | Self::CommandIdReused
            | Self::Forbidden
            | Self::HeadersTooLarge
            | Self::HistoryGone
            | Self::InsufficientStock
            | Self::Internal
            | Self::InvalidField
            | Self::LevelOutOfRange
            | Self::MalformedBody
            | Self::MethodNotAllowed
            | Self::NotFound
            | Self::OutcomeUnknown
            | Self::PreconditionFailed
            | Self::ReservationRejected
            | Self::ReservationState
            | Self::Timeout
            | Self::Unauthenticated
            | Self::UnknownItem
            | Self::UnknownReservation
            | Self::UnknownStore
            | Self::UnsupportedMediaType
            | Self::UrlTooLong
            | Self::VersionConflict
            | Self::WrongCentre
            | Self::WrongStore => false,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::BodyTooLarge => "The body is too large",
            Self::BodyTooSlow => "The body came too slowly",
            Self::CertificateRequired => "A certificate is required",
            Self::CommandIdReused => "The command id was used with another body",
            Self::Forbidden => "The token does not allow it",
            Self::HeadersTooLarge => "The headers are too large",
            Self::HistoryGone => "It is not kept any more",
            Self::InsufficientStock => "Not enough stock",
            Self::Internal => "Something broke on this side",
            Self::InvalidField => "A field is not valid",
            Self::LevelOutOfRange => "The level would leave its bounds",
            Self::MalformedBody => "The body is not JSON",
            Self::MethodNotAllowed => "This method is not offered here",
            Self::NotFound => "There is no such resource",
            Self::OutcomeUnknown => "The outcome is not known",
            Self::NotReady => "The service has just started",
            Self::Overloaded => "Too much is waiting",
            Self::PreconditionFailed => "The item has changed",
            Self::QuotaExceeded => "Too many open reservations",
            Self::RateLimited => "Too many requests",
            Self::ReservationRejected => "No store can keep it",
            Self::ReservationState => "The reservation's state does not allow it",
            Self::ShuttingDown => "The service is stopping",
            Self::StorageFull => "The disk is full",
            Self::Timeout => "It took too long",
            Self::Unauthenticated => "Who asks is not known",
            Self::UnknownItem => "No such item",
            Self::UnknownReservation => "Nothing is kept for this reservation",
            Self::UnknownStore => "No such store",
            Self::UnsupportedMediaType => "Not a media type this route reads",
            Self::UrlTooLong => "The URL is too long",
            Self::VersionConflict => "The item has changed",
            Self::WrongCentre => "The reservation is another centre's",
            Self::WrongStore => "The command is for another store",
        }
    }
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Identifies the kind of problem; `urn:onhand:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: Box<str>,
    /// The kind, for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened this time.
    detail: String,
    /// Stable name to act on.
    code: ErrorCode,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// The offending field, as a path into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    field: Option<Box<str>>,
    /// The request's trace, when it is part of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    trace_id: Option<Box<str>>,
    /// Numbers and names of the domain that belong to it.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    facts: Map<String, Value>,
}

impl Problem {
    /// A problem of a kind, with what happened this time.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let name = serde_json::to_value(code).ok();
        let name = name.as_ref().and_then(Value::as_str).unwrap_or("internal");
        Self {
            kind: format!("urn:onhand:problem:{name}").into(),
            title: code.title(),
            status: code.status().as_u16(),
            detail: clipped(detail.into()),
            code,
            retryable: code.is_retryable(),
            field: None,
            trace_id: None,
            facts: Map::new(),
        }
    }

    /// Names the offending field.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.field = Some(clipped(path.into()).into());
        self
    }

    /// Adds a number or name of the domain.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// As it is told to the caller whose request is being served: with the id of its trace.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.trace_id = trace::current().map(|context| context.trace_id().to_string().into());
        self
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }
}

/// Most bytes of a text: it may quote what the caller sent, and that has no bound of its own.
const MAX_TEXT_BYTES: usize = 500;

fn clipped(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text.push('…');
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = self.code;
        let json = serde_json::to_vec(&self.traced()).expect("a problem is plain data");
        let mut response = (code.status(), json).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(code.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
        {
            // Reservations do not end within a second.
            let seconds = if code == ErrorCode::QuotaExceeded { "30" } else { "1" };
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }
}
