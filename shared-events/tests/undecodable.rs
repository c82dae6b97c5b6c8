//! Broken, forged and foreign records: each is refused with its reason, and none panics.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use shared_events::wire::header::{CAUSE, ID, SOURCE, SUBJECT, TIME, TYPE};
use shared_events::wire::{Undecodable, decode_command, decode_event, decode_heartbeat};

#[cfg(test)]
mod support;

use support::{Record, golden};

/// Breaks a golden record in one way and compares what its reader says about it.
#[track_caller]
fn refused(name: &str, breakage: impl FnOnce(&mut Record), reason: &str) {
    let mut record = golden(name);
    breakage(&mut record);
    let error = match name {
        "heartbeat.v1" | "heartbeat.v1.reborn" => record.read(decode_heartbeat).err(),
        "replay-events.v1" | "journal-witnessed.v1.reborn" => record.read(decode_command).err(),
        _ => record.read(decode_event).err(),
    };
    let told = matches!(&error, Some(Undecodable::Broken(said)) if said.contains(reason));
    assert!(told, "expected Broken({reason:?}), got {error:?} for {record:?}");
}

const EVENT: &str = "stock-adjusted.v1";
const HEARTBEAT: &str = "heartbeat.v1";
const COMMAND: &str = "replay-events.v1";

fn key(bytes: impl AsRef<[u8]>) -> impl FnOnce(&mut Record) {
    let bytes = bytes.as_ref().to_vec();
    |record| record.key = Some(bytes)
}

fn data(bytes: impl AsRef<[u8]>) -> impl FnOnce(&mut Record) {
    let bytes = bytes.as_ref().to_vec();
    |record| record.value = Some(bytes)
}

fn with_header(name: &str, value: impl AsRef<[u8]>) -> impl FnOnce(&mut Record) {
    move |record| record.set(name, value)
}

fn without_header(name: &str) -> impl FnOnce(&mut Record) {
    move |record| record.headers.retain(|(key, _)| key != name)
}

/// Gives a field of the data, which must be there, another JSON value.
fn with_field(name: &str, json: &str) -> impl FnOnce(&mut Record) {
    change_fields(name, Some(json))
}

fn without_field(name: &str) -> impl FnOnce(&mut Record) {
    change_fields(name, None)
}

fn change_fields(name: &str, json: Option<&str>) -> impl FnOnce(&mut Record) {
    move |record| {
        let value = record.value.take().expect("a golden record has data");
        let mut fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(&value).expect("golden data is an object");
        fields.remove(name).expect("the field is in the golden data");
        if let Some(json) = json {
            let json = RawValue::from_string(json.to_owned()).expect("JSON");
            fields.insert(name.to_owned(), json);
        }
        record.value = Some(serde_json::to_vec(&fields).expect("JSON"));
    }
}

const NOT_THE_SOURCE: &str = "the source is not the store the record speaks for";

#[test]
fn an_event_must_have_its_own_key() {
    const REASON: &str = "the key is not the event's store|sku";
    refused(EVENT, |record| record.key = None, REASON);
    refused(EVENT, key(b"north.7|K\xe4se 5 kg"), REASON);
    for text in [
        "",
        "|",
        "north.7",
        "north.7|",
        "north.7|Käse 5 kg ",
        "north.8|Käse 5 kg",
        "north.7/Käse 5 kg",
        "NORTH.7|Käse 5 kg",
        "north.77|Käse 5 kg",
    ] {
        refused(EVENT, key(text), REASON);
    }
}

#[test]
fn an_event_must_come_from_the_store_it_is_about() {
    let forged = [
        "",
        "/central",
        "north.7",
        "/stores/",
        "/stores/north.8",
        "/stores/NORTH.7",
        "/stores/north.7/",
        "/stores//stores/north.7",
    ];
    for source in forged {
        refused(EVENT, with_header(SOURCE, source), NOT_THE_SOURCE);
        refused(HEARTBEAT, with_header(SOURCE, source), NOT_THE_SOURCE);
    }
    refused(EVENT, with_header(ID, "north.8/2/1041"), NOT_THE_SOURCE);
    let other = with_field("storeId", "\"north.8\"");
    refused(HEARTBEAT, other, NOT_THE_SOURCE);
}

#[test]
fn a_record_must_have_all_its_headers() {
    let needed: [(&str, &[&str]); 3] = [
        (EVENT, &[TYPE, ID, SOURCE, SUBJECT, TIME]),
        (HEARTBEAT, &[TYPE, SOURCE]),
        (COMMAND, &[TYPE, ID, TIME]),
    ];
    for (name, headers) in needed {
        for header in headers {
            refused(name, without_header(header), &format!("no header {header}"));
            let reason = format!("header {header} is not UTF-8");
            refused(name, with_header(header, b"K\xe4se"), &reason);
        }
        refused(name, |record| record.headers.clear(), "no header ce_type");
    }
    refused(EVENT, with_header(CAUSE, [0xff]), "header ce_cause is not UTF-8");
}

#[test]
fn an_event_id_must_be_spelt_as_its_store_spells_it() {
    for id in [
        "",
        "north.7",
        "north.7/2",
        "north.7/2/",
        "north.7/2/1041/1",
        "north.7/2/+1",
        "north.7/+2/1",
        "north.7/2/01",
        "north.7/2/-1",
        "north.7/2/ 1",
        "north.7/2/1 ",
        "north.7/2/0",
        "north.7/0/1",
        "north.7/2/1e3",
        "north.7/2/\u{0661}",
        "../2/1041",
        "a|b/2/1041",
        "north.7/2/9007199254740992",
        "north.7/18446744073709551617/1",
    ] {
        refused(EVENT, with_header(ID, id), "header ce_id: an event id is");
    }
}

#[test]
fn headers_must_keep_the_rules_of_what_they_name() {
    for sku in ["", " ", "a|b", "a\n", " a", "a ", &"x".repeat(65)] {
        refused(EVENT, with_header(SUBJECT, sku), "_subject: a sku is");
    }
    for time in [
        "",
        "yesterday",
        "2026-11-21",
        "2026-11-21T09:30:00",
        "2026-02-30T09:30:00Z",
        "+10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ] {
        refused(EVENT, with_header(TIME, time), "_time: a time is");
        refused(COMMAND, with_header(TIME, time), "_time: a time is");
    }
    for id in ["", "a b", "é", "a\0", &"x".repeat(129)] {
        refused(EVENT, with_header(CAUSE, id), "_cause: a command id is");
        refused(COMMAND, with_header(ID, id), "_id: a command id is");
    }
}

#[test]
fn data_must_be_json() {
    for name in [EVENT, HEARTBEAT, COMMAND] {
        refused(name, |record| record.value = None, "no value");
        refused(name, data([0xff, 0xfe]), "expected value");
        refused(name, data("null"), "invalid type: null");
        refused(name, data("{}"), "missing field");
        refused(name, data("{}{}"), "missing field");
        let whole = golden(name).value.unwrap();
        for length in 0..whole.len() {
            refused(name, data(&whole[..length]), "data");
        }
        refused(name, data([&whole[..], b"}"].concat()), "trailing characters");
    }
}

#[test]
fn event_data_must_have_the_shape_of_its_type() {
    for (field, json, reason) in [
        ("onHand", "null", "invalid type: null"),
        ("onHand", "\"7\"", "invalid type: string"),
        ("onHand", "7.0", "invalid type: floating point"),
        ("onHand", "1e3", "invalid type: floating point"),
        ("onHand", "1e999", "number out of range"),
        ("onHand", "9223372036854775808", "invalid value"),
        ("onHand", "99999999999999999999", "invalid type"),
        ("delta", "-9223372036854775809", "invalid type"),
        ("version", "-9", "invalid value"),
        ("version", "18446744073709551616", "invalid type"),
        ("reason", "\"\"", "must be 1 to 200 characters"),
        ("reason", "\"a\\u0000\"", "must be 1 to 200 characters"),
        ("reason", "\"\\ud800\"", "unexpected end of hex escape"),
        ("reference", "[\"a\"]", "invalid type: sequence"),
    ] {
        refused(EVENT, with_field(field, json), reason);
    }
    for field in ["version", "delta", "onHand", "reserved"] {
        refused(EVENT, without_field(field), &format!("missing field `{field}`"));
    }
    let twice = r#"{"version":1,"delta":1,"onHand":1,"onHand":2,"reserved":0}"#;
    refused(EVENT, data(twice), "duplicate field `onHand`");
}

#[test]
fn an_event_must_have_levels_that_a_shelf_can_have() {
    for field in ["onHand", "reserved"] {
        for level in [-1, 1_000_000_001, i64::MIN, i64::MAX] {
            refused(EVENT, with_field(field, &level.to_string()), "levels out of range");
        }
    }
    for delta in [-1_000_000_001, 1_000_000_001, i64::MIN] {
        refused(EVENT, with_field("delta", &delta.to_string()), "levels out of range");
    }
    refused(EVENT, with_field("version", "0"), "version 0");
    refused(EVENT, with_field("version", "9007199254740992"), "is more than 9007199254740991");
}

#[test]
fn a_heartbeat_must_speak_for_its_own_store() {
    const REASON: &str = "the key is not the heartbeat's store";
    refused(HEARTBEAT, |record| record.key = None, REASON);
    for text in ["", "north.8", "north.7|", "NORTH.7"] {
        refused(HEARTBEAT, key(text), REASON);
    }
}

#[test]
fn a_heartbeat_must_have_positions_that_fit_together() {
    const POSITIONS: &str = "positions out of range";
    for (field, json, reason) in [
        ("epoch", "0", POSITIONS),
        ("head", "9007199254740992", "data: 9007199254740992 is more than"),
        ("epoch", "18446744073709551615", "data: 18446744073709551615 is more than"),
        ("head", "1039", POSITIONS),
        ("publishedThrough", "1043", POSITIONS),
        ("head", "-1", "data: invalid value"),
        ("head", "18446744073709551616", "data: invalid type"),
        ("storeId", "\"../etc\"", "data: a store id is"),
        ("sentAt", "\"9999-12-31T23:59:59-23:59\"", "data: a time is"),
    ] {
        refused(HEARTBEAT, with_field(field, json), reason);
    }
}

#[test]
fn the_lives_of_a_journal_must_fit_it() {
    const REASON: &str = "the lineage is not that of this journal";
    for (lives, reason) in [
        (r#"[{"epoch":1,"from":1}]"#, REASON),
        (r#"[{"epoch":2,"from":1},{"epoch":3,"from":7}]"#, REASON),
        (r#"[{"epoch":1,"from":1},{"epoch":2,"from":1044}]"#, REASON),
        (r#"[]"#, "data: lives are 1 to 10000"),
        (r#"[{"epoch":0,"from":1},{"epoch":2,"from":7}]"#, "data: lives are 1 to 10000"),
        (r#"[{"epoch":1,"from":0},{"epoch":2,"from":7}]"#, "data: lives are 1 to 10000"),
        (r#"[{"epoch":2,"from":7},{"epoch":2,"from":8}]"#, "data: lives are 1 to 10000"),
        (r#"[{"epoch":1,"from":7},{"epoch":2,"from":7}]"#, "data: lives are 1 to 10000"),
        (r#"{"epoch":2}"#, "data: invalid type"),
    ] {
        refused("heartbeat.v1.reborn", with_field("lineage", lives), reason);
        refused("journal-witnessed.v1.reborn", with_field("lineage", lives), reason);
    }
}

#[test]
fn a_command_must_name_its_store_and_say_what_it_wants() {
    refused(COMMAND, |record| record.key = None, "key: a store id is");
    refused(COMMAND, key([0xff]), "key: a store id is");
    refused(COMMAND, key("a/b"), "key: a store id is");
    for field in ["epoch", "from", "through"] {
        refused(COMMAND, without_field(field), &format!("missing field `{field}`"));
        refused(COMMAND, with_field(field, "-7"), "data: invalid value");
        refused(COMMAND, with_field(field, "9007199254740992"), "is more than 9007199254740991");
    }
    for (field, json) in [("epoch", "0"), ("from", "0"), ("from", "77")] {
        refused(COMMAND, with_field(field, json), "positions out of range");
    }
}
