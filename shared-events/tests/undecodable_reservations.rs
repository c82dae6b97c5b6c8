//! Promises that no shop could have made and asks that none can answer: each is refused with its
//! reason.

use std::fmt::Write as _;

use shared_events::wire::header::{ID, SOURCE, SUBJECT};
use shared_events::wire::{Undecodable, decode_command, decode_event};

#[cfg(test)]
mod support;

use support::{Record, golden};

/// What one of the two readers says against a record of its golden file, broken in one way.
fn objection(name: &str, breakage: impl FnOnce(&mut Record)) -> Option<Undecodable> {
    let mut record = golden(name);
    breakage(&mut record);
    if COMMANDS.contains(&name) {
        record.read(decode_command).err()
    } else {
        record.read(decode_event).err()
    }
}

#[track_caller]
fn refused(name: &str, breakage: impl FnOnce(&mut Record), reason: &str) {
    let error = objection(name, breakage);
    let told = matches!(&error, Some(Undecodable::Broken(said)) if said.contains(reason));
    assert!(told, "{name}: expected Broken({reason:?}), got {error:?}");
}

#[track_caller]
fn accepted(name: &str, breakage: impl FnOnce(&mut Record)) {
    assert_eq!(objection(name, breakage), None, "{name}");
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

const PROMISES: [&str; 4] = [
    "stock-reserved.v1",
    "reservation-released.v1",
    "reservation-fulfilled.v1",
    "reservation-broken.v1",
];
const REFUSED: &str = "reservation-refused.v1";
const RESERVE: &str = "reserve-stock.v1";
const ENDINGS: [&str; 2] = ["release-reservation.v1", "fulfil-reservation.v1"];
const COMMANDS: [&str; 5] =
    ["replace-stock.v1", "adjust-stock.v1", RESERVE, ENDINGS[0], ENDINGS[1]];

/// Everything that says what is or would be kept.
fn with_allocation() -> impl Iterator<Item = &'static str> {
    PROMISES.into_iter().chain([REFUSED, RESERVE])
}

#[test]
fn attempts_and_lines_are_counted_from_one() {
    for name in with_allocation() {
        refused(name, says(r#""attempt":2"#, r#""attempt":0"#), "attempt 0");
        accepted(name, says(r#""attempt":2"#, r#""attempt":4294967295"#));
        refused(name, says(r#""attempt":2"#, r#""attempt":4294967296"#), "invalid value");
        refused(name, says(r#""attempt":2"#, r#""attempt":-1"#), "invalid value");
        for line in [0, 5, u32::MAX] {
            refused(name, says(r#""line":3"#, format!(r#""line":{line}"#)), "line out of range");
        }
        for lines in [0, 2, 1_001, u32::MAX] {
            let lines = format!(r#""lines":{lines}"#);
            refused(name, says(r#""lines":4"#, lines), "line out of range");
        }
        accepted(name, says(r#""lines":4"#, r#""lines":1000"#));
        refused(name, says(r#""line":3"#, r#""line":-3"#), "invalid value");
    }
}

#[test]
fn a_store_keeps_some_units_of_a_line_and_not_more_than_all() {
    const REASON: &str = "quantity out of range";
    for name in with_allocation() {
        for quantity in [0, -1, 6, i64::MIN, i64::MAX] {
            let quantity = format!(r#""quantity":{quantity}"#);
            refused(name, says(r#""quantity":3"#, quantity), REASON);
        }
        for whole in [0, 2, -5, 1_000_000_001, i64::MAX] {
            let whole = format!(r#""lineQuantity":{whole}"#);
            refused(name, says(r#""lineQuantity":5"#, whole), REASON);
        }
        accepted(name, says(r#""quantity":3"#, r#""quantity":5"#));
        accepted(name, says(r#""lineQuantity":5"#, r#""lineQuantity":1000000000"#));
        refused(name, says(r#""quantity":3"#, r#""quantity":3.0"#), "invalid type: floating");
    }
}

#[test]
fn every_line_of_an_ask_is_checked() {
    refused(RESERVE, says(r#""line":4"#, r#""line":5"#), "line out of range");
    refused(RESERVE, says(r#""quantity":1"#, r#""quantity":0"#), "quantity out of range");
    refused(RESERVE, says("1000000000", "1000000001"), "quantity out of range");
}

#[test]
fn a_reservation_names_its_centre_an_order_and_a_time() {
    for name in with_allocation().chain(ENDINGS) {
        for id in ["", "c1", "c1.", ".7", "c1.a.b", "c 1.7", "c1.7_8", "c1.7/8"] {
            refused(name, says(r#""c1.0193ab-7""#, format!("{id:?}")), "a reservation id is");
        }
        refused(name, says(r#""c1.0193ab-7""#, "7"), "invalid type: integer");
        refused(name, says(r#""reservationId""#, r#""reservation""#), "missing field");
        refused(name, says(r#""attempt""#, r#""ask""#), "missing field `attempt`");
    }
    for name in with_allocation() {
        for id in ["", "a b", "é"] {
            refused(name, says(r#""web/2026#000451""#, format!("{id:?}")), "an order id is");
        }
        refused(name, says("2026-11-21T11:30", "2026-11-31T11:30"), "a time is");
        refused(name, says(r#""expiresAt""#, r#""until""#), "missing field `expiresAt`");
    }
}

#[test]
fn a_reason_nobody_knows_is_not_guessed() {
    for (name, reason) in [
        (REFUSED, "insufficientStock"),
        (PROMISES[1], "timedOut"),
        (PROMISES[3], "notFound"),
        (ENDINGS[0], "cancelled"),
        ("adjust-stock.v1", "breakReservations"),
        ("stock-command-refused.v1.shortfall", "insufficientStock"),
    ] {
        refused(name, says(reason, "mislaid"), "unknown variant `mislaid`");
    }
}

#[test]
fn a_promise_has_levels_that_a_shelf_can_have() {
    const REASON: &str = "levels out of range";
    for name in PROMISES {
        refused(name, says(r#""version":13"#, r#""version":0"#), "version 0");
        for level in [-1, 1_000_000_001, i64::MIN, i64::MAX] {
            refused(name, says(r#""onHand":40"#, format!(r#""onHand":{level}"#)), REASON);
            refused(name, says(r#""reserved":8"#, format!(r#""reserved":{level}"#)), REASON);
        }
    }
    for name in [PROMISES[2], PROMISES[3]] {
        for delta in [-1_000_000_001, 1_000_000_001, i64::MIN] {
            refused(name, says(r#""delta":-3"#, format!(r#""delta":{delta}"#)), REASON);
        }
    }
    for units in [-1, 1_000_000_001] {
        refused(REFUSED, says(r#""available":2"#, format!(r#""available":{units}"#)), REASON);
    }
}

#[test]
fn a_store_speaks_of_its_own_items_only() {
    let events = PROMISES.into_iter().chain([REFUSED, "stock-command-refused.v1.range"]);
    for name in events {
        for key in ["north.8|Käse 5 kg", "north.7|ABC-1", "north.7", ""] {
            let breakage = |record: &mut Record| record.key = Some(key.into());
            refused(name, breakage, "the key is not the event's store|sku");
        }
        refused(name, |record| record.set(SUBJECT, "ABC-1"), "the key is not the event's");
        refused(name, |record| record.set(SOURCE, "/stores/north.8"), "the source is not");
        refused(name, |record| record.set(ID, "north.8/2/1041"), "the source is not");
    }
}

const NOT_SO: &str = "no items, too many, or one of them twice";

#[test]
fn an_ask_is_about_some_items_none_of_them_twice() {
    refused(RESERVE, says(r#""ABC-1""#, r#""Käse 5 kg""#), NOT_SO);
    for name in ENDINGS {
        refused(name, says(r#""ABC-1""#, r#""Käse 5 kg""#), NOT_SO);
        refused(name, says(r#"["Käse 5 kg","ABC-1"]"#, "[]"), NOT_SO);
        refused(name, says(r#"["Käse 5 kg","ABC-1"]"#, "null"), "invalid type: null");
        refused(name, says(r#""ABC-1""#, r#""A|1""#), "a sku is");
    }
    refused(RESERVE, |record| record.value = Some(reserve_of(0).into()), NOT_SO);
    refused(RESERVE, says(r#""ABC-1""#, r#""A|1""#), "a sku is");
}

#[test]
fn an_ask_is_about_a_thousand_items_at_most() {
    for (items, fits) in [(1_000, true), (1_001, false), (1_500, false)] {
        let list: Vec<_> = (1..=items).map(|number| format!("\"SKU-{number}\"")).collect();
        let list = format!("[{}]", list.join(","));
        for name in ENDINGS {
            let said = says(r#"["Käse 5 kg","ABC-1"]"#, list.clone());
            if fits { accepted(name, said) } else { refused(name, said, NOT_SO) }
        }
        let said = |record: &mut Record| record.value = Some(reserve_of(items).into());
        if fits { accepted(RESERVE, said) } else { refused(RESERVE, said, NOT_SO) }
    }
}

/// An ask for one unit each of so many items.
fn reserve_of(items: u32) -> String {
    let mut data =
        r#"{"reservationId":"c1.7","orderId":"web/1","attempt":1,"lines":1000,"#.to_owned();
    data.push_str(r#""expiresAt":"2026-11-21T11:30:00.250Z","wanted":["#);
    for line in 1..=items {
        let comma = if line == 1 { "" } else { "," };
        let sku = format!("SKU-{line}");
        let rest = r#""quantity":1,"lineQuantity":1"#;
        write!(data, r#"{comma}{{"line":{line},"sku":"{sku}",{rest}}}"#).expect("text");
    }
    data + "]}"
}

#[test]
fn a_stock_command_keeps_the_bounds_of_amounts() {
    for (name, from, to, reason) in [
        ("replace-stock.v1", r#""quantity":40"#, r#""quantity":-1"#, "a quantity is"),
        ("replace-stock.v1", r#""quantity":40"#, r#""quantity":1000000001"#, "a quantity is"),
        ("replace-stock.v1", r#""expectedVersion":12"#, r#""expectedVersion":-1"#, "invalid value"),
        ("adjust-stock.v1", r#""delta":-2"#, r#""delta":0"#, "a delta is"),
        ("adjust-stock.v1", r#""delta":-2"#, r#""delta":-1000000001"#, "a delta is"),
        ("adjust-stock.v1", "9007199254740991", "9007199254740992", "is more than"),
        ("adjust-stock.v1", r#""sku":"Käse 5 kg""#, r#""sku":"Käse|5 kg""#, "a sku is"),
        ("adjust-stock.v1", r#""reason":"sale""#, r#""reason":"""#, "must be 1 to 200 characters"),
    ] {
        refused(name, says(from, to), reason);
    }
}

#[test]
fn a_command_about_units_is_for_one_store_and_whole() {
    for name in COMMANDS {
        refused(name, |record| record.key = None, "key: a store id is");
        refused(name, |record| record.key = Some(b"north.7|ABC-1".to_vec()), "key: a store id is");
        refused(name, |record| record.set(ID, ""), "header ce_id: a command id is");
        refused(name, |record| record.value = None, "no value");
        refused(name, |record| record.value = Some(b"{}".to_vec()), "missing field");
        let whole = golden(name).value.unwrap();
        for length in 0..whole.len() {
            refused(name, |record| record.value = Some(whole[..length].to_vec()), "data");
        }
    }
}

#[test]
fn an_ending_is_of_an_attempt_and_an_ask_has_each_line_once() {
    for name in ENDINGS {
        refused(name, says(r#""attempt":2"#, r#""attempt":0"#), "attempt 0");
    }
    refused(RESERVE, says(r#""line":4"#, r#""line":3"#), "one line twice");
}

#[test]
fn the_numbers_of_a_refusal_are_amounts() {
    let shortfall = golden("stock-command-refused.v1.shortfall");
    let data = String::from_utf8(shortfall.value.expect("data")).expect("UTF-8");
    let number = data.split(r#""requested":"#).nth(1).expect("the field");
    let number: String = number.chars().take_while(char::is_ascii_digit).collect();
    let field = |number: &str| format!(r#""requested":{number}"#);
    for wrong in ["-1", "1000000001"] {
        let (name, reason) = ("stock-command-refused.v1.shortfall", "levels out of range");
        refused(name, says(&field(&number), field(wrong)), reason);
    }
}
