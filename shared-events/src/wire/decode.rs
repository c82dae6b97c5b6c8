//! From a broker record to what was said, or to the reason why nobody can tell.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::{IncomingRecord, header};
use crate::command::{
    ADJUST_STOCK, CommandEnvelope, FULFIL_RESERVATION, JOURNAL_WITNESSED, JournalWitnessed,
    RELEASE_RESERVATION, REPLACE_STOCK, REPLAY_EVENTS, RESERVE_STOCK, ReplayEvents, StockCommand,
    StoreCommand,
};
use crate::event::{InvalidEventData, RecordedEvent, StockEvent};
use crate::heartbeat::{HEARTBEAT, Heartbeat};
use crate::ids::{CommandId, Sku, StoreId};
use crate::ledger::{RESERVATION_CHANGED, Reservation};
use crate::lineage::Lineage;
use crate::policy::{Policy, SAFETY_STOCK, SELLING, SafetyStock, Selling};
use crate::position::{Epoch, EventId, Sequence};
use crate::quantity::MAX_UNITS;
use crate::rejection::Rejection;
use crate::reservation::{FulfilReservation, MAX_LINES, ReleaseReservation, ReserveStock};
use crate::timestamp::Timestamp;

/// Why a record was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// A type this version does not know, from a newer producer: to be skipped and counted.
    #[error("unknown type {0:?}")]
    UnknownType(String),
    /// Broken or forged: to be dead-lettered with this reason.
    #[error("{0}")]
    Broken(String),
}

/// Most headers that a record may have; Onhand's own have eleven.
pub const MAX_HEADERS: usize = 64;
/// Most bytes of a value that is read as an event, heartbeat, policy or command.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// Most bytes of a reason: it may quote the record.
const MAX_REASON_BYTES: usize = 300;

/// Reads a stock event.
///
/// # Errors
/// [`Undecodable`]; key and source that contradict the event's identity are [`Undecodable::Broken`].
pub fn decode_event(record: &IncomingRecord<'_>) -> Result<RecordedEvent, Undecodable> {
    let event_type = record_type(record)?;
    // The type comes first: a newer producer may also have changed what the rest looks like.
    let event =
        StockEvent::from_data(event_type, record.value.unwrap_or_default()).map_err(|error| {
            match error {
                InvalidEventData::UnknownType(name) => unknown(&name),
                InvalidEventData::Malformed { .. } if record.value.is_none() => broken("no value"),
                malformed @ InvalidEventData::Malformed { .. } => broken(&malformed.to_string()),
            }
        })?;
    require_levels(&event)?;
    let id: EventId = parsed(record, header::ID)?;
    let sku: Sku = parsed(record, header::SUBJECT)?;
    require_source(record, &id.store)?;
    let key = record.key.unwrap_or_default();
    let (store, subject) = (id.store.as_str().as_bytes(), sku.as_str().as_bytes());
    let (left, right) = key.split_at_checked(store.len()).unwrap_or_default();
    if left != store || right.split_first() != Some((&b'|', subject)) {
        return Err(broken("the key is not the event's store|sku"));
    }
    Ok(RecordedEvent {
        id,
        sku,
        occurred_at: parsed(record, header::TIME)?,
        cause: optional(record, header::CAUSE)?,
        principal: optional(record, header::PRINCIPAL)?,
        traceparent: traceparent(record).map(str::to_owned),
        event,
    })
}

/// Reads a heartbeat.
///
/// # Errors
/// [`Undecodable`], as for events.
pub fn decode_heartbeat(record: &IncomingRecord<'_>) -> Result<Heartbeat, Undecodable> {
    match record_type(record)? {
        HEARTBEAT => {}
        other => return Err(unknown(other)),
    }
    let heartbeat: Heartbeat = data(record)?;
    require_source(record, &heartbeat.store_id)?;
    if record.key != Some(heartbeat.store_id.as_str().as_bytes()) {
        return Err(broken("the key is not the heartbeat's store"));
    }
    let bounded = heartbeat.published_through <= heartbeat.head;
    if !bounded || heartbeat.epoch.get() == 0 {
        return Err(broken("positions out of range"));
    }
    require_lineage(heartbeat.lineage.as_ref(), heartbeat.epoch, heartbeat.head)?;
    Ok(heartbeat)
}

/// Reads a reservation's change.
///
/// # Errors
/// [`Undecodable`], as for events.
pub fn decode_reservation(record: &IncomingRecord<'_>) -> Result<Reservation, Undecodable> {
    match text(record, header::TYPE)? {
        RESERVATION_CHANGED => {}
        other => return Err(unknown(other)),
    }
    let mut reservation: Reservation = data(record)?;
    let id = &reservation.reservation_id;
    if record.key != Some(id.as_str().as_bytes()) {
        return Err(broken("the key is not the reservation's id"));
    }
    require_centre(record, id.centre())?;
    let units = 1..=MAX_UNITS;
    let lines = reservation.lines.iter().all(|line| {
        (1..=reservation.line_count).contains(&line.line) && units.contains(&line.quantity)
    });
    let allocations =
        reservation.allocations.iter().all(|one| one.attempt > 0 && units.contains(&one.quantity));
    if !lines || !allocations || !(1..=MAX_LINES).contains(&reservation.line_count) {
        return Err(broken("lines, attempts or units out of range"));
    }
    // A broken trace context costs the trace, never the record.
    reservation.traceparent = reservation.traceparent.filter(|text| valid_traceparent(text));
    Ok(reservation)
}

/// Reads a policy of any type.
///
/// # Errors
/// [`Undecodable`], as for events.
pub fn decode_policy(record: &IncomingRecord<'_>) -> Result<Policy, Undecodable> {
    match record_type(record)? {
        SELLING => decode_selling(record).map(Policy::Selling),
        _ => decode_safety_stock(record).map(Policy::SafetyStock),
    }
}

/// Reads whether a store sells online.
///
/// # Errors
/// [`Undecodable`], as for events.
pub fn decode_selling(record: &IncomingRecord<'_>) -> Result<Selling, Undecodable> {
    match record_type(record)? {
        SELLING => {}
        other => return Err(unknown(other)),
    }
    let policy: Selling = data(record)?;
    if record.key != Some(policy.key().as_bytes()) {
        return Err(broken("the key is not the policy's store"));
    }
    require_centre(record, policy.changed_by.as_str())?;
    Ok(policy)
}

/// Reads a safety stock policy.
///
/// # Errors
/// [`Undecodable`], as for events.
pub fn decode_safety_stock(record: &IncomingRecord<'_>) -> Result<SafetyStock, Undecodable> {
    match record_type(record)? {
        SAFETY_STOCK => {}
        other => return Err(unknown(other)),
    }
    let policy: SafetyStock = data(record)?;
    if record.key != Some(policy.scope.key().as_bytes()) {
        return Err(broken("the key is not the policy's scope"));
    }
    require_centre(record, policy.changed_by.as_str())?;
    if policy.units.is_some_and(|units| !(0..=MAX_UNITS).contains(&units)) {
        return Err(broken("units out of range"));
    }
    Ok(policy)
}

/// Reads a command to a store.
///
/// # Errors
/// [`Undecodable`], as for events.
pub fn decode_command(record: &IncomingRecord<'_>) -> Result<CommandEnvelope, Undecodable> {
    let command = match record_type(record)? {
        REPLAY_EVENTS => {
            let replay: ReplayEvents = data(record)?;
            if replay.epoch.get() == 0 || replay.from.get() == 0 || replay.from > replay.through {
                return Err(broken("positions out of range"));
            }
            StoreCommand::ReplayEvents(replay)
        }
        JOURNAL_WITNESSED => {
            let seen: JournalWitnessed = data(record)?;
            require_lineage(seen.lineage.as_ref(), seen.epoch, seen.head)?;
            StoreCommand::JournalWitnessed(seen)
        }
        REPLACE_STOCK => StoreCommand::Stock(StockCommand::Replace(data(record)?)),
        ADJUST_STOCK => StoreCommand::Stock(StockCommand::Adjust(data(record)?)),
        RESERVE_STOCK => {
            let reserve: ReserveStock = data(record)?;
            require_items(reserve.wanted.iter().map(|wanted| &wanted.sku))?;
            let mut lines = BTreeSet::new();
            for wanted in &reserve.wanted {
                reserve.allocation(wanted).check().map_err(broken)?;
                if !lines.insert(wanted.line) {
                    return Err(broken("one line twice"));
                }
            }
            StoreCommand::Reserve(reserve)
        }
        RELEASE_RESERVATION => {
            let release: ReleaseReservation = data(record)?;
            require_items(&release.skus)?;
            require_attempt(release.attempt)?;
            StoreCommand::Release(release)
        }
        FULFIL_RESERVATION => {
            let fulfil: FulfilReservation = data(record)?;
            require_items(&fulfil.skus)?;
            require_attempt(fulfil.attempt)?;
            StoreCommand::Fulfil(fulfil)
        }
        other => return Err(unknown(other)),
    };
    let key = std::str::from_utf8(record.key.unwrap_or_default()).unwrap_or_default();
    Ok(CommandEnvelope {
        id: parsed::<CommandId>(record, header::ID)?,
        store: StoreId::parse(key).map_err(|error| broken(&format!("key: {error}")))?,
        issued_at: parsed::<Timestamp>(record, header::TIME)?,
        principal: optional(record, header::PRINCIPAL)?,
        traceparent: traceparent(record).map(str::to_owned),
        command,
    })
}

/// Whether a text is a W3C `traceparent` that may be passed on (version 00, ids not zero).
#[must_use]
pub fn valid_traceparent(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let id = |part: &str, length| hex(part, length) && part.bytes().any(|b| b != b'0');
    let parts: Vec<_> = text.splitn(5, '-').collect();
    matches!(parts.as_slice(), ["00", trace, span, flags]
        if id(trace, 32) && id(span, 16) && hex(flags, 2))
}

/// The trace context that a record came with. A broken one costs the trace, never the event.
#[must_use]
pub fn traceparent<'a>(record: &IncomingRecord<'a>) -> Option<&'a str> {
    let text = std::str::from_utf8(record.header(header::TRACEPARENT)?).ok()?;
    valid_traceparent(text).then_some(text)
}

fn require_levels(event: &StockEvent) -> Result<(), Undecodable> {
    if let Some(allocation) = event.allocation() {
        allocation.check().map_err(broken)?;
    }
    let units = 0..=MAX_UNITS;
    let others_fit = match event {
        StockEvent::Adjusted(event) => units.contains(&event.discrepancy),
        StockEvent::ReservationRefused(event) => units.contains(&event.available),
        StockEvent::CommandRefused(event) => match event.rejection {
            Rejection::InsufficientStock { requested, available, on_hand } => {
                [requested, available, on_hand].iter().all(|number| units.contains(number))
            }
            Rejection::LevelOutOfRange { on_hand, delta } => {
                units.contains(&on_hand) && units.contains(&delta)
            }
            Rejection::VersionConflict { .. } | Rejection::CommandIdReused => true,
        },
        _ => true,
    };
    let levels_fit = event.levels().is_none_or(|levels| {
        units.contains(&levels.on_hand)
            && units.contains(&levels.reserved)
            && (-MAX_UNITS..=MAX_UNITS).contains(&levels.delta)
    });
    if !(others_fit && levels_fit) {
        return Err(broken("levels out of range"));
    }
    if event.levels().is_some_and(|levels| levels.version.get() == 0) {
        return Err(broken("version 0"));
    }
    Ok(())
}

/// The newest life is the one that is spoken of, and nothing is told from beyond the journal's end.
fn require_lineage(
    lineage: Option<&Lineage>,
    epoch: Epoch,
    head: Sequence,
) -> Result<(), Undecodable> {
    let fits = lineage.is_none_or(|lineage| {
        let current = lineage.current();
        current.epoch == epoch && current.from <= head.next()
    });
    if fits { Ok(()) } else { Err(broken("the lineage is not that of this journal")) }
}

fn require_attempt(attempt: u32) -> Result<(), Undecodable> {
    if attempt > 0 { Ok(()) } else { Err(broken("attempt 0")) }
}

/// Some items, none of them twice, and not more than a reservation can have.
fn require_items<'a>(skus: impl IntoIterator<Item = &'a Sku>) -> Result<(), Undecodable> {
    let mut seen = BTreeSet::new();
    let most = usize::try_from(MAX_LINES).unwrap_or(usize::MAX);
    if skus.into_iter().all(|sku| seen.insert(sku)) && (1..=most).contains(&seen.len()) {
        Ok(())
    } else {
        Err(broken("no items, too many, or one of them twice"))
    }
}

fn require_centre(record: &IncomingRecord<'_>, centre: &str) -> Result<(), Undecodable> {
    if text(record, header::SOURCE)?.strip_prefix("/centres/") == Some(centre) {
        Ok(())
    } else {
        Err(broken("the source is not the centre the record speaks for"))
    }
}

fn require_source(record: &IncomingRecord<'_>, store: &StoreId) -> Result<(), Undecodable> {
    if text(record, header::SOURCE)?.strip_prefix("/stores/") == Some(store.as_str()) {
        Ok(())
    } else {
        Err(broken("the source is not the store the record speaks for"))
    }
}

/// What a record says it is; the first look at it, so one out of bounds is not looked at any further.
fn record_type<'a>(record: &IncomingRecord<'a>) -> Result<&'a str, Undecodable> {
    if record.headers.len() > MAX_HEADERS {
        return Err(broken(&format!("more than {MAX_HEADERS} headers")));
    }
    if record.value.is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
        return Err(broken(&format!("a value of more than {MAX_VALUE_BYTES} bytes")));
    }
    text(record, header::TYPE)
}

fn data<T: DeserializeOwned>(record: &IncomingRecord<'_>) -> Result<T, Undecodable> {
    let value = record.value.ok_or_else(|| broken("no value"))?;
    serde_json::from_slice(value).map_err(|error| broken(&format!("data: {error}")))
}

fn text<'a>(record: &IncomingRecord<'a>, name: &str) -> Result<&'a str, Undecodable> {
    let bytes = record.header(name).ok_or_else(|| broken(&format!("no header {name}")))?;
    std::str::from_utf8(bytes).map_err(|_| broken(&format!("header {name} is not UTF-8")))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(
    record: &IncomingRecord<'_>,
    name: &str,
) -> Result<T, Undecodable> {
    text(record, name)?.parse().map_err(|error| broken(&format!("header {name}: {error}")))
}

fn optional<T: FromStr<Err: std::fmt::Display>>(
    record: &IncomingRecord<'_>,
    name: &str,
) -> Result<Option<T>, Undecodable> {
    record.header(name).map(|_| parsed(record, name)).transpose()
}

fn broken(reason: &str) -> Undecodable {
    Undecodable::Broken(clipped(reason))
}

fn unknown(name: &str) -> Undecodable {
    Undecodable::UnknownType(clipped(name))
}

fn clipped(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_REASON_BYTES)).unwrap_or(text).to_owned()
}
