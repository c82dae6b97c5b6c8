//! Golden records: what each version of each record looks like on the broker, byte by byte.
//!
//! A file in `golden/` is a promise to every journal and topic that already holds such records. Add
//! a file for a new version, leave the old ones as they are. `UPDATE_GOLDEN=1` writes them anew.

use std::collections::BTreeSet;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared_events::OnShortfall;
use shared_events::ledger::{AllocationState, CloseReason, Reason, ReservationState};
use shared_events::reservation::{BreakReason, RefusalReason, ReleaseReason};
use shared_events::wire::{
    OutgoingRecord, Undecodable, decode_command, decode_event, decode_heartbeat,
    decode_reservation, decode_safety_stock, decode_selling, header,
};

#[cfg(test)]
mod cases;
#[cfg(test)]
mod support;

use cases::cases;
use support::{Record, golden, golden_path};

/// The golden file of a record. The data stands on one line, byte for byte as on the broker.
fn render(record: OutgoingRecord) -> String {
    let utf8 = |bytes: Vec<u8>| String::from_utf8(bytes).expect("encoders write UTF-8");
    let quoted = |text: &str| serde_json::to_string(text).expect("text always serialises");
    let headers: Vec<_> = record
        .headers
        .into_iter()
        .map(|(name, value)| format!("    {}: {}", quoted(&name), quoted(&utf8(value))))
        .collect();
    let key = quoted(&utf8(record.key));
    let data = utf8(record.value.expect("encoders write a value"));
    let headers = headers.join(",\n");
    format!("{{\n  \"key\": {key},\n  \"headers\": {{\n{headers}\n  }},\n  \"data\": {data}\n}}\n")
}

#[test]
fn every_record_is_written_exactly_like_its_golden_file() {
    for (name, said) in cases() {
        let written = render(said.encode());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden_path(name), &written).unwrap();
        }
        let golden = std::fs::read_to_string(golden_path(name)).unwrap_or_default();
        assert_eq!(written, golden, "{name}: see UPDATE_GOLDEN in {}", file!());
    }
}

#[test]
fn every_golden_file_is_tested() {
    let expected: BTreeSet<_> = cases().iter().map(|(name, _)| golden_path(name)).collect();
    let folder = golden_path("any").parent().unwrap().to_path_buf();
    let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(expected, found);
}

#[test]
fn every_golden_file_is_read_as_what_was_said() {
    for (name, said) in cases() {
        assert_eq!(said.decode_like(&golden(name)).as_ref(), Ok(&said), "{name}");
    }
}

#[test]
fn every_byte_of_a_golden_record_counts() {
    for (name, said) in cases() {
        let mut places = said.meaningful_headers().to_vec();
        places.extend(["key", "value"]);
        for place in places {
            for at in 0.. {
                let mut record = golden(name);
                let Some(byte) = bytes_of(&mut record, place).and_then(|bytes| bytes.get_mut(at))
                else {
                    break;
                };
                // The "T" between day and hour is excepted: RFC 3339 leaves it to the writer.
                if *byte != b'T' {
                    *byte ^= 1;
                    let read = said.decode_like(&record);
                    assert_ne!(read.as_ref(), Ok(&said), "{name}: {place}, byte {at}");
                }
            }
        }
    }
}

fn bytes_of<'a>(record: &'a mut Record, place: &str) -> Option<&'a mut Vec<u8>> {
    match place {
        "key" => record.key.as_mut(),
        "value" => record.value.as_mut(),
        header => record.headers.iter_mut().find(|(key, _)| key == header).map(|(_, value)| value),
    }
}

#[test]
fn fields_and_headers_of_a_newer_producer_are_ignored() {
    for (name, said) in cases() {
        let mut record = golden(name);
        let data = String::from_utf8(record.value.take().unwrap()).unwrap();
        let newer = data.replacen('{', r#"{"onHandV2":{"units":[1,-2.5e300,null,"é"]},"#, 1);
        record.value = Some(newer.into_bytes());
        record.set("ce_partitionkey", [0xff, 0xfe]);
        assert_eq!(said.decode_like(&record).as_ref(), Ok(&said), "{name}");
    }
}

#[test]
fn a_type_of_a_newer_producer_is_unknown_whatever_else_changed() {
    for (name, said) in cases() {
        let mut record = golden(name);
        record.set(header::TYPE, "inventory.stock-counted.v2");
        record.set(header::ID, "0190-uuid");
        record.key = None;
        record.value = Some(b"\x00not json".to_vec());
        let unknown = Undecodable::UnknownType("inventory.stock-counted.v2".to_owned());
        assert_eq!(said.decode_like(&record), Err(unknown), "{name}");
    }
}

#[test]
fn a_record_of_another_kind_is_unknown() {
    let unknown = |name: &str| Undecodable::UnknownType(format!("inventory.{name}"));
    let (event, heartbeat) = (golden("stock-replaced.v1"), golden("heartbeat.v1"));
    assert_eq!(heartbeat.read(decode_event), Err(unknown("heartbeat.v1")));
    assert_eq!(event.read(decode_heartbeat), Err(unknown("stock-replaced.v1")));
    assert_eq!(event.read(decode_command), Err(unknown("stock-replaced.v1")));
    let command = golden("replace-stock.v1");
    assert_eq!(command.read(decode_event), Err(unknown("replace-stock.v1")));
    assert_eq!(command.read(decode_heartbeat), Err(unknown("replace-stock.v1")));
    assert_eq!(command.read(decode_reservation), Err(unknown("replace-stock.v1")));
    assert_eq!(command.read(decode_safety_stock), Err(unknown("replace-stock.v1")));
    let (reservation, policy) = (golden("reservation-changed.v1"), golden("safety-stock.v1"));
    assert_eq!(reservation.read(decode_event), Err(unknown("reservation-changed.v1")));
    assert_eq!(reservation.read(decode_safety_stock), Err(unknown("reservation-changed.v1")));
    assert_eq!(policy.read(decode_heartbeat), Err(unknown("safety-stock.v1")));
    assert_eq!(policy.read(decode_reservation), Err(unknown("safety-stock.v1")));
    assert_eq!(policy.read(decode_selling), Err(unknown("safety-stock.v1")));
    assert_eq!(golden("selling.v1").read(decode_safety_stock), Err(unknown("selling.v1")));
}

#[track_caller]
fn spelt<T: Serialize + DeserializeOwned + PartialEq + Debug>(choice: T, name: &str) {
    let json = format!("\"{name}\"");
    assert_eq!(serde_json::to_string(&choice).expect("a choice is a word"), json);
    assert_eq!(serde_json::from_str::<T>(&json).expect("a word that is known"), choice);
}

#[test]
fn every_choice_is_spelt_as_it_always_was() {
    spelt(RefusalReason::InsufficientStock, "insufficientStock");
    spelt(RefusalReason::Expired, "expired");
    spelt(ReleaseReason::Cancelled, "cancelled");
    spelt(ReleaseReason::Expired, "expired");
    spelt(ReleaseReason::TimedOut, "timedOut");
    spelt(ReleaseReason::Incomplete, "incomplete");
    spelt(ReleaseReason::Moved, "moved");
    spelt(BreakReason::Sold, "sold");
    spelt(BreakReason::Recounted, "recounted");
    spelt(BreakReason::NotFound, "notFound");
    spelt(BreakReason::Damaged, "damaged");
    spelt(BreakReason::Lost, "lost");
    spelt(OnShortfall::Reject, "reject");
    spelt(OnShortfall::BreakReservations, "breakReservations");
    spelt(OnShortfall::RecordDiscrepancy, "recordDiscrepancy");
}

#[test]
fn every_choice_of_the_ledger_is_spelt_as_it_always_was() {
    spelt(ReservationState::Requested, "requested");
    spelt(ReservationState::Confirmed, "confirmed");
    spelt(ReservationState::Resourcing, "resourcing");
    spelt(ReservationState::Short, "short");
    spelt(ReservationState::Fulfilled, "fulfilled");
    spelt(ReservationState::Released, "released");
    spelt(ReservationState::Rejected, "rejected");
    spelt(CloseReason::Cancelled, "cancelled");
    spelt(CloseReason::Expired, "expired");
    spelt(CloseReason::Rejected, "rejected");
    spelt(AllocationState::Asked, "asked");
    spelt(AllocationState::Withdrawn, "withdrawn");
    spelt(AllocationState::Reserved, "reserved");
    spelt(AllocationState::Stray, "stray");
    spelt(AllocationState::Fulfilling, "fulfilling");
    spelt(AllocationState::Releasing, "releasing");
    spelt(AllocationState::Refused, "refused");
    spelt(AllocationState::NotKept, "notKept");
    spelt(AllocationState::Released, "released");
    spelt(AllocationState::Fulfilled, "fulfilled");
    spelt(AllocationState::Broken, "broken");
    spelt(AllocationState::Lapsed, "lapsed");
}

#[test]
fn a_reason_is_spelt_in_the_ledger_as_the_store_spelt_it() {
    spelt(Reason::from(RefusalReason::InsufficientStock), "insufficientStock");
    spelt(Reason::from(RefusalReason::Expired), "expired");
    spelt(Reason::from(ReleaseReason::Cancelled), "cancelled");
    spelt(Reason::from(ReleaseReason::Expired), "expired");
    spelt(Reason::from(ReleaseReason::TimedOut), "timedOut");
    spelt(Reason::from(ReleaseReason::Incomplete), "incomplete");
    spelt(Reason::from(ReleaseReason::Moved), "moved");
    spelt(Reason::from(BreakReason::Sold), "sold");
    spelt(Reason::from(BreakReason::Recounted), "recounted");
    spelt(Reason::from(BreakReason::NotFound), "notFound");
    spelt(Reason::from(BreakReason::Damaged), "damaged");
    spelt(Reason::from(BreakReason::Lost), "lost");
}
