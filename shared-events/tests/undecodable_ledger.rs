//! Reservations no centre could have told of: each is refused with its reason.

use shared_events::wire::header::{SOURCE, TYPE};
use shared_events::wire::{Undecodable, decode_reservation};

#[cfg(test)]
mod support;

use support::{Record, golden};

const FULL: &str = "reservation-changed.v1";
const MINIMAL: &str = "reservation-changed.v1.minimal";
const NOT_THE_KEY: &str = "the key is not the reservation's id";
const NOT_THE_SOURCE: &str = "the source is not the centre the record speaks for";

/// What the reader says against a golden record that is broken in one way.
fn objection(name: &str, breakage: impl FnOnce(&mut Record)) -> Option<Undecodable> {
    let mut record = golden(name);
    breakage(&mut record);
    record.read(decode_reservation).err()
}

#[track_caller]
fn refused(name: &str, breakage: impl FnOnce(&mut Record), reason: &str) {
    let error = objection(name, breakage);
    let told = matches!(&error, Some(Undecodable::Broken(said)) if said.contains(reason));
    assert!(told, "{name}: expected Broken({reason:?}), got {error:?}");
}

/// The data says something else in one place, where it must have said `from`.
fn says(from: &str, to: impl Into<String>) -> impl FnOnce(&mut Record) {
    let to = to.into();
    move |record| {
        let data = String::from_utf8(record.value.take().expect("data")).expect("UTF-8");
        assert!(data.contains(from), "{from} is not in {data}");
        record.value = Some(data.replacen(from, &to, 1).into_bytes());
    }
}

/// Likewise, in the first place after a mark.
fn says_after(mark: &str, from: &str, to: impl Into<String>) -> impl FnOnce(&mut Record) {
    let to = to.into();
    move |record| {
        let data = String::from_utf8(record.value.take().expect("data")).expect("UTF-8");
        let (before, after) = data.split_once(mark).expect("the mark is in the data");
        assert!(after.contains(from), "{from} is not in {after}");
        let after = after.replacen(from, &to, 1);
        record.value = Some([before, mark, &after].concat().into_bytes());
    }
}

/// Some of the fields after a mark, each of them left out once.
#[track_caller]
fn needed(mark: &str, fields: &[&str]) {
    for field in fields {
        let known = format!("\"{field}\":");
        let lost = says_after(mark, &known, r#""other":"#);
        refused(FULL, lost, &format!("missing field `{field}`"));
    }
}

fn data(bytes: impl AsRef<[u8]>) -> impl FnOnce(&mut Record) {
    let bytes = bytes.as_ref().to_vec();
    |record| record.value = Some(bytes)
}

#[test]
fn a_reservation_must_have_its_own_key() {
    for name in [FULL, MINIMAL] {
        refused(name, |record| record.key = None, NOT_THE_KEY);
        for key in ["", "c1", "c1.", "c1.9", "C1.0193ab-7", "c1.0193ab-7 ", "c1.0193ab-7|1"] {
            refused(name, |record| record.key = Some(key.into()), NOT_THE_KEY);
        }
        refused(name, |record| record.key = Some(vec![0xff]), NOT_THE_KEY);
    }
    refused(FULL, says(r#""c1.0193ab-7""#, r#""c1.0193ab-8""#), NOT_THE_KEY);
}

#[test]
fn a_reservation_must_come_from_its_centre() {
    let forged = [
        "",
        "c1",
        "/central",
        "/centres/",
        "/centres/c",
        "/centres/c2",
        "/centres/C1",
        "/centres/c1/",
        "/centres/c1.0193ab-7",
        "/centres//centres/c1",
        "/stores/c1",
    ];
    for source in forged {
        refused(FULL, |record| record.set(SOURCE, source), NOT_THE_SOURCE);
        refused(MINIMAL, |record| record.set(SOURCE, source), NOT_THE_SOURCE);
    }
    let other_centre = |record: &mut Record| {
        record.key = Some(b"c2.0193ab-7".to_vec());
        says(r#""c1.0193ab-7""#, r#""c2.0193ab-7""#)(record);
    };
    refused(FULL, other_centre, NOT_THE_SOURCE);
}

#[test]
fn a_reservation_must_have_its_headers() {
    for header in [TYPE, SOURCE] {
        let lost = |record: &mut Record| record.headers.retain(|(name, _)| name != header);
        refused(FULL, lost, &format!("no header {header}"));
        let reason = format!("header {header} is not UTF-8");
        refused(FULL, |record| record.set(header, b"c\xe9"), &reason);
    }
    refused(FULL, |record| record.headers.clear(), "no header ce_type");
}

#[test]
fn a_type_that_is_spelt_otherwise_is_unknown() {
    for name in [
        "",
        "inventory.reservation-changed",
        "inventory.reservation-changed.v2",
        "inventory.reservation-changed.v10",
        "INVENTORY.RESERVATION-CHANGED.V1",
    ] {
        let error = objection(FULL, |record| record.set(TYPE, name));
        assert_eq!(error, Some(Undecodable::UnknownType(name.to_owned())));
    }
}

#[test]
fn the_data_of_a_reservation_must_be_json() {
    for name in [FULL, MINIMAL] {
        refused(name, |record| record.value = None, "no value");
        refused(name, data([0xff, 0xfe]), "expected value");
        refused(name, data("null"), "invalid type: null");
        refused(name, data("{}"), "missing field");
        let whole = golden(name).value.unwrap();
        for length in 0..whole.len() {
            refused(name, data(&whole[..length]), "data");
        }
        refused(name, data([&whole[..], b"}"].concat()), "trailing characters");
    }
}

#[test]
fn a_reservation_is_told_whole() {
    needed("", &["reservationId", "orderId", "state", "createdAt", "expiresAt", "allowSplit"]);
    needed("", &["lineCount", "lines", "allocations"]);
    needed(r#""epoch":2"#, &["commands", "history"]);
    needed(r#""lines":["#, &["line", "sku", "quantity"]);
    needed(r#""allocations":["#, &["attempt", "storeId", "line", "sku", "quantity", "state"]);
    needed(r#""allocations":["#, &["command", "sent", "epoch", "sequence"]);
    let twice = says(r#""closed":"#, r#""closed":"expired","closed":"#);
    refused(FULL, twice, "duplicate field `closed`");
}

#[test]
fn what_happened_is_told_whole() {
    needed(r#""history":["#, &["at", "what", "state"]);
    let what = |what: &str, fields| needed(&format!(r#""what":"{what}""#), fields);
    what("rebuilt", &["state"]);
    what("asked", &["attempt", "storeId", "wanted", "answerBy", "state"]);
    what("asked", &["line", "sku", "quantity", "lineQuantity"]);
    what("sentAgain", &["command", "answerBy", "state"]);
    what("withdrawn", &["command", "attempt", "storeId", "reason", "answerBy", "state"]);
    what("answered", &["eventId", "attempt", "line", "sku", "quantity", "lineQuantity"]);
    what("answered", &["answer", "state"]);
    what("fulfilling", &["command", "attempt", "storeId", "skus", "answerBy", "state"]);
    what("releasing", &["command", "attempt", "storeId", "skus", "reason", "answerBy", "state"]);
    what("closed", &["reason", "state", "line", "sku", "requested", "available"]);
    what("lapsed", &["attempt", "storeId", "state"]);
    let answer = |answer: &str, fields| needed(&format!(r#""answer":"{answer}""#), fields);
    answer("reserved", &["state"]);
    answer("refused", &["reason", "available", "state"]);
    answer("released", &["reason", "state"]);
    answer("broken", &["reason", "state"]);
}

#[test]
fn a_step_says_one_thing() {
    let first = r#""what":"requested""#;
    let (what, state) = (r#""what":"lapsed","what":"requested""#, r#","state":"short""#);
    refused(MINIMAL, says(first, what), "duplicate field `what`");
    refused(MINIMAL, says(first, format!("{first}{state}")), "duplicate field `state`");
    let answer = r#""answer":"broken","answer":"reserved""#;
    refused(FULL, says(r#""answer":"reserved""#, answer), "duplicate field `answer`");
    refused(MINIMAL, says(first, r#""what":{"requested":{}}"#), "invalid type: map");
    refused(MINIMAL, says(first, r#""what":null"#), "invalid type: ");
}

#[test]
fn a_choice_nobody_knows_is_not_guessed() {
    for (field, known) in [
        ("state", "released"),
        ("state", "asked"),
        ("reason", "insufficientStock"),
        ("closed", "expired"),
        ("what", "requested"),
        ("what", "answered"),
        ("what", "lapsed"),
        ("state", "requested"),
        ("reason", "timedOut"),
        ("answer", "reserved"),
        ("answer", "broken"),
        ("reason", "notFound"),
        ("reason", "incomplete"),
        ("reason", "rejected"),
    ] {
        let known = format!(r#""{field}":"{known}""#);
        let unknown = format!(r#""{field}":"mislaid""#);
        refused(FULL, says(&known, unknown), "unknown variant `mislaid`");
    }
    let refusal = says_after(r#""answer":"refused""#, "insufficientStock", "cancelled");
    refused(FULL, refusal, "unknown variant `cancelled`");
}

#[test]
fn every_name_and_time_keeps_its_rules() {
    for (from, to, reason) in [
        (r#""c1.0193ab-7""#, r#""c1""#, "a reservation id is"),
        (r#""c1.0193ab-7""#, "7", "invalid type: integer"),
        (r#""web/2026#000451""#, r#""a b""#, "an order id is"),
        ("2026-11-21T11:30", "2026-11-31T11:30", "a time is"),
        ("2026-11-21T09:30:01", "yesterday", "a time is"),
        (r#""storeId":"north.7","near""#, r#""storeId":"../etc","near""#, "a store id is"),
        (r#""storeId":"south_2""#, r#""storeId":"""#, "a store id is"),
        (r#""sku":"Käse 5 kg""#, r#""sku":"Käse|5 kg""#, "a sku is"),
        (r#"["Käse 5 kg","ABC-1"]"#, r#"["Käse 5 kg"," "]"#, "a sku is"),
        (r#"["Käse 5 kg","ABC-1"]"#, "null", "invalid type: "),
        ("north.7/2/1041", "north.7/2/0", "an event id is"),
        ("north.7/2/1041", "north.7/2/01041", "an event id is"),
        (r#""north.7/2/1041""#, "1041", "invalid type: integer"),
        (r#""latitude":52"#, r#""latitude":92"#, "a place is"),
        (r#""longitude":-13.4"#, r#""longitude":-180.1"#, "a place is"),
    ] {
        refused(FULL, says(from, to), reason);
    }
    let late = says_after(r#""what":"lapsed""#, "north.7", "north|7");
    refused(FULL, late, "a store id is");
}

#[test]
fn every_number_is_a_whole_one_of_its_size() {
    for (field, known) in [("lineCount", 4), ("line", 1), ("attempt", 1), ("commands", 5)] {
        let known = format!(r#""{field}":{known}"#);
        let other = |number: &str| format!(r#""{field}":{number}"#);
        refused(FULL, says(&known, other("-1")), "invalid value");
        refused(FULL, says(&known, other("4294967296")), "invalid value");
        refused(FULL, says(&known, other("1.0")), "invalid type: floating");
        refused(FULL, says(&known, other("\"1\"")), "invalid type: string");
    }
    for mark in ["", r#""allocations":["#, r#""wanted":["#, r#""what":"answered""#] {
        for number in ["9223372036854775808", "3.0", "1e999", "null", "\"3\""] {
            let quantity = if mark.is_empty() { 5 } else { 3 };
            let known = format!(r#""quantity":{quantity}"#);
            let unfit = says_after(mark, &known, format!(r#""quantity":{number}"#));
            refused(FULL, unfit, "data: ");
        }
    }
    for (known, field) in [(r#""epoch":2"#, "epoch"), (r#""sequence":1041"#, "sequence")] {
        let over = format!(r#""{field}":9007199254740992"#);
        refused(FULL, says(known, over), "is more than 9007199254740991");
    }
    refused(FULL, says(r#""allowSplit":true"#, r#""allowSplit":1"#), "invalid type: integer");
    refused(FULL, says(r#""rebuilt":true"#, r#""rebuilt":null"#), "invalid type: null");
    refused(FULL, says(r#""owner":"web-shop""#, r#""owner":"web shop""#), "a subject is 1 to 128");
}
