//! An item's history as both services tell it.

use inventory_core::AsOf;
use serde::Serialize;
use serde_json::value::RawValue;
use service_kit::{ErrorCode, Problem};
use shared_events::RecordedEvent;
use utoipa::ToSchema;

/// One event of an item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemEvent {
    /// `store/epoch/sequence`.
    pub event_id: String,
    /// Its place in the journal.
    pub sequence: u64,
    /// Its type and version.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The store's clock.
    pub occurred_at: String,
    /// The command it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// Who asked for it, for those who may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// W3C trace context of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What happened and what it led to.
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
}

impl ItemEvent {
    /// As the journal has it.
    ///
    /// # Panics
    /// Never: an event's data is JSON.
    #[must_use]
    pub fn new(recorded: &RecordedEvent) -> Self {
        Self {
            event_id: recorded.id.to_string(),
            sequence: recorded.id.sequence.get(),
            event_type: recorded.event.event_type().to_owned(),
            occurred_at: recorded.occurred_at.to_string(),
            command_id: recorded.cause.as_ref().map(ToString::to_string),
            principal: recorded.principal.as_ref().map(ToString::to_string),
            traceparent: recorded.traceparent.clone(),
            data: RawValue::from_string(recorded.event.to_data()).expect("event data is JSON"),
        }
    }
}

/// The point that a caller's `asOf` names.
///
/// # Errors
/// [`ErrorCode::InvalidField`] when it names none.
pub fn as_of(text: &str) -> Result<AsOf, Problem> {
    text.parse().map_err(|error: inventory_core::as_of::InvalidAsOf| {
        Problem::new(ErrorCode::InvalidField, error.to_string()).field("asOf")
    })
}
