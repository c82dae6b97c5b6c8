//! From what was said to the record that carries it.

use serde::Serialize;

use super::{IncomingRecord, OutgoingRecord, header};
use crate::command::{CommandEnvelope, StockCommand, StoreCommand};
use crate::event::RecordedEvent;
use crate::heartbeat::{HEARTBEAT, Heartbeat};
use crate::ids::CentreId;
use crate::ledger::{RESERVATION_CHANGED, Reservation};
use crate::policy::{Policy, SAFETY_STOCK, SELLING, SafetyStock, Selling};
use crate::timestamp::Timestamp;
use crate::topic::event_key;

/// The record of a stock event.
#[must_use]
pub fn encode_event(recorded: &RecordedEvent) -> OutgoingRecord {
    let mut headers = Headers::new(
        recorded.id.to_string(),
        format!("/stores/{}", recorded.id.store),
        recorded.event.event_type(),
        recorded.occurred_at.to_string(),
    );
    headers.add(header::SUBJECT, recorded.sku.as_str());
    if let Some(cause) = &recorded.cause {
        headers.add(header::CAUSE, cause.as_str());
    }
    if let Some(principal) = &recorded.principal {
        headers.add(header::PRINCIPAL, principal.as_str());
    }
    if let Some(traceparent) = &recorded.traceparent {
        headers.add(header::TRACEPARENT, traceparent);
    }
    OutgoingRecord {
        key: event_key(&recorded.id.store, &recorded.sku).into_bytes(),
        headers: headers.0,
        value: Some(recorded.event.to_data().into_bytes()),
    }
}

/// The record of a heartbeat.
///
/// # Panics
/// Never: a heartbeat is plain data.
#[must_use]
pub fn encode_heartbeat(heartbeat: &Heartbeat) -> OutgoingRecord {
    let headers = Headers::new(
        format!("{}/{}/{}", heartbeat.store_id, heartbeat.epoch, heartbeat.sent_at),
        format!("/stores/{}", heartbeat.store_id),
        HEARTBEAT,
        heartbeat.sent_at.to_string(),
    );
    let value = serde_json::to_vec(heartbeat).expect("a heartbeat is plain data");
    OutgoingRecord {
        key: heartbeat.store_id.as_str().into(),
        headers: headers.0,
        value: Some(value),
    }
}

/// The record of a command to a store.
///
/// # Panics
/// Never: a command is plain data.
#[must_use]
pub fn encode_command(envelope: &CommandEnvelope) -> OutgoingRecord {
    let value = match &envelope.command {
        StoreCommand::ReplayEvents(replay) => serde_json::to_vec(replay),
        StoreCommand::JournalWitnessed(witnessed) => serde_json::to_vec(witnessed),
        StoreCommand::Stock(StockCommand::Replace(replace)) => serde_json::to_vec(replace),
        StoreCommand::Stock(StockCommand::Adjust(adjust)) => serde_json::to_vec(adjust),
        StoreCommand::Reserve(reserve) => serde_json::to_vec(reserve),
        StoreCommand::Release(release) => serde_json::to_vec(release),
        StoreCommand::Fulfil(fulfil) => serde_json::to_vec(fulfil),
    };
    let mut headers = Headers::new(
        envelope.id.to_string(),
        "/central".to_owned(),
        envelope.command.command_type(),
        envelope.issued_at.to_string(),
    );
    if let Some(principal) = &envelope.principal {
        headers.add(header::PRINCIPAL, principal.as_str());
    }
    if let Some(traceparent) = &envelope.traceparent {
        headers.add(header::TRACEPARENT, traceparent);
    }
    OutgoingRecord {
        key: envelope.store.as_str().into(),
        headers: headers.0,
        value: Some(value.expect("a command is plain data")),
    }
}

/// Most bytes of a reservation's record; beyond, it tells how things stand and leaves out how they came
/// about. The broker takes twice as much.
const MAX_RESERVATION_BYTES: usize = 4 * 1024 * 1024;

/// The record of a reservation's change: all there is to say of it. One that was asked of very many
/// stores (4 MiB of JSON) is told without its history and without allocations that ended.
///
/// # Panics
/// Never: a reservation is plain data.
#[must_use]
pub fn encode_reservation(reservation: &Reservation, at: Timestamp) -> OutgoingRecord {
    let id = &reservation.reservation_id;
    let mut headers = Headers::new(
        format!("{id}/{}", reservation.revision),
        format!("/centres/{}", id.centre()),
        RESERVATION_CHANGED,
        at.to_string(),
    );
    headers.add(header::SUBJECT, id.as_str());
    if let Some(traceparent) = &reservation.traceparent {
        headers.add(header::TRACEPARENT, traceparent);
    }
    let json = |reservation| serde_json::to_vec(reservation).expect("a reservation is plain data");
    let mut value = json(reservation);
    if value.len() > MAX_RESERVATION_BYTES {
        let mut short = reservation.clone();
        short.history.clear();
        short.allocations.retain(|one| one.state.is_open() || one.state.covers());
        value = json(&short);
    }
    OutgoingRecord { key: id.as_str().into(), headers: headers.0, value: Some(value) }
}

/// The record of a policy.
///
/// # Panics
/// Never: a policy is plain data.
#[must_use]
pub fn encode_policy(policy: &Policy) -> OutgoingRecord {
    match policy {
        Policy::SafetyStock(policy) => encode_safety_stock(policy),
        Policy::Selling(policy) => encode_selling(policy),
    }
}

/// The record of a safety stock policy.
///
/// # Panics
/// Never: a policy is plain data.
#[must_use]
pub fn encode_safety_stock(policy: &SafetyStock) -> OutgoingRecord {
    let SafetyStock { changed_at, changed_by, .. } = policy;
    policy_record(policy.scope.key(), SAFETY_STOCK, policy, *changed_at, changed_by)
}

/// The record of a store's selling online.
///
/// # Panics
/// Never: a policy is plain data.
#[must_use]
pub fn encode_selling(policy: &Selling) -> OutgoingRecord {
    let Selling { changed_at, changed_by, .. } = policy;
    policy_record(policy.key(), SELLING, policy, *changed_at, changed_by)
}

fn policy_record(
    key: String,
    policy_type: &str,
    policy: &impl Serialize,
    changed_at: Timestamp,
    changed_by: &CentreId,
) -> OutgoingRecord {
    let headers = Headers::new(
        format!("{key}/{changed_at}"),
        format!("/centres/{changed_by}"),
        policy_type,
        changed_at.to_string(),
    );
    let value = serde_json::to_vec(policy).expect("a policy is plain data");
    OutgoingRecord { key: key.into_bytes(), headers: headers.0, value: Some(value) }
}

/// Most bytes of a value that a dead letter keeps; a compressed record may unpack to any size.
const MAX_LETTER_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of headers, and of a key, that it keeps.
const MAX_LETTER_HEADER_BYTES: usize = 64 * 1024;

/// The record that keeps what nobody could read: the original bytes and headers, origin and reason.
/// A value over 4 MiB is cut there, and headers over 64 KiB are left out, which the reason says.
#[must_use]
pub fn dead_letter(record: &IncomingRecord<'_>, origin: &str, reason: &str) -> OutgoingRecord {
    let mut reason = reason.to_owned();
    let header_bytes: usize =
        record.headers.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum();
    let mut headers = Vec::new();
    if header_bytes <= MAX_LETTER_HEADER_BYTES {
        let kept = record.headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
        headers.extend(kept);
    } else {
        reason.push_str("; its headers were too large to keep");
    }
    let key = record.key.unwrap_or_default();
    let value = record.value.map(|value| value.get(..MAX_LETTER_BYTES).unwrap_or(value));
    if value.map(<[u8]>::len) < record.value.map(<[u8]>::len) {
        reason.push_str("; its value was cut");
    }
    headers.push((header::ORIGIN.to_owned(), origin.into()));
    headers.push((header::REASON.to_owned(), reason.into_bytes()));
    OutgoingRecord {
        key: key.get(..MAX_LETTER_HEADER_BYTES).unwrap_or(key).to_vec(),
        headers,
        value: value.map(<[u8]>::to_vec),
    }
}

struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    fn new(id: String, source: String, event_type: &str, time: String) -> Self {
        let mut headers = Self(Vec::with_capacity(9));
        headers.add(header::SPEC_VERSION, "1.0");
        headers.add(header::ID, id);
        headers.add(header::SOURCE, source);
        headers.add(header::TYPE, event_type);
        headers.add(header::TIME, time);
        headers.add(header::CONTENT_TYPE, "application/json");
        headers
    }

    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into().into_bytes()));
    }
}
