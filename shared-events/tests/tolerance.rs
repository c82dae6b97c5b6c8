//! What a broken, sparse or newer record still gives: an event or a command without its trace, a
//! command with its defaults, a reservation or a policy as far as it is known, or a letter with all
//! its bytes.

use shared_events::command::{OnShortfall, StockCommand, StoreCommand};
use shared_events::wire::header::TRACEPARENT;
use shared_events::wire::{
    dead_letter, decode_command, decode_event, decode_heartbeat, decode_reservation,
    decode_safety_stock, decode_selling,
};

#[cfg(test)]
mod support;

use support::golden;

const EVENT: &str = "stock-adjusted.v1";
const COMMAND: &str = "adjust-stock.v1";
const RESERVATION: &str = "reservation-changed.v1";

#[test]
fn a_broken_trace_context_costs_only_the_trace() {
    let mut untraced = golden(EVENT).read(decode_event).unwrap();
    assert!(untraced.traceparent.take().is_some());
    let mut command = golden(COMMAND).read(decode_command).unwrap();
    assert!(command.traceparent.take().is_some());
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let broken: [Vec<u8>; 12] = [
        vec![],
        vec![b'-'; 99],
        vec![0xff; 55],
        format!("00-{trace}-{span}").into(),
        format!("00-{trace}-{span}-1").into(),
        format!("00-{trace}-{span}-01-more").into(),
        format!("ff-{trace}-{span}-01").into(),
        format!("00-{}-{span}-01", trace.to_uppercase()).into(),
        format!("00-{}-{span}-01", "0".repeat(32)).into(),
        format!("00-{trace}-{}-01", "0".repeat(16)).into(),
        format!("00-{trace}-{span}-0g").into(),
        format!(" 00-{trace}-{span}-01").into(),
    ];
    for text in broken {
        let mut record = golden(EVENT);
        record.set(TRACEPARENT, &text);
        assert_eq!(record.read(decode_event).as_ref(), Ok(&untraced), "{}", text.escape_ascii());
        let mut record = golden(COMMAND);
        record.set(TRACEPARENT, &text);
        assert_eq!(record.read(decode_command).as_ref(), Ok(&command), "{}", text.escape_ascii());
    }
}

#[test]
fn a_command_may_leave_out_what_is_optional() {
    for (name, data) in [
        ("replace-stock.v1", r#"{"sku":"ABC-1","quantity":0}"#),
        (COMMAND, r#"{"sku":"ABC-1","delta":-1}"#),
    ] {
        let mut record = golden(name);
        record.value = Some(data.into());
        let read = record.read(decode_command).unwrap().command;
        let StoreCommand::Stock(command) = &read else { panic!("{read:?} is no stock command") };
        assert_eq!((command.sku().as_str(), command.expected_version()), ("ABC-1", None));
        if let StockCommand::Adjust(adjust) = command {
            assert_eq!(adjust.on_shortfall, OnShortfall::Reject);
        }
    }
}

#[test]
fn a_newer_centre_may_add_to_every_part_of_a_reservation() {
    const ADDED: &str = r#"{"onHandV2":[1,-2.5e300,null,"é"],"#;
    let (mut record, known) = (golden(RESERVATION), golden(RESERVATION).read(decode_reservation));
    let data = String::from_utf8(record.value.take().unwrap()).unwrap();
    assert!(data.matches('{').count() > 20, "{data}");
    let newer = data.replace('{', ADDED);
    record.value = Some(newer.into_bytes());
    assert_eq!(record.read(decode_reservation), known);
}

#[test]
fn the_fields_of_a_step_come_in_any_order() {
    let (mut record, known) = (golden(RESERVATION), golden(RESERVATION).read(decode_reservation));
    let data = String::from_utf8(record.value.take().unwrap()).unwrap();
    let step = r#""what":"answered","eventId":"north.7/2/1041""#;
    let turned = r#""eventId":"north.7/2/1041","what":"answered""#;
    assert!(data.contains(step), "{data}");
    record.value = Some(data.replace(step, turned).into_bytes());
    assert_eq!(record.read(decode_reservation), known);
}

#[test]
fn a_trace_in_the_headers_of_a_reservation_is_for_others() {
    let (mut record, known) = (golden(RESERVATION), golden(RESERVATION).read(decode_reservation));
    record.set(TRACEPARENT, [0xff; 55]);
    assert_eq!(record.read(decode_reservation), known);
}

#[test]
fn what_is_absent_may_also_be_null() {
    let with = |name: &str, fields: &str| {
        let mut record = golden(name);
        let data = String::from_utf8(record.value.take().unwrap()).unwrap();
        record.value = Some(data.replacen('{', &format!("{{{fields},"), 1).into_bytes());
        record
    };
    let heartbeat = with("heartbeat.v1", r#""location":null"#).read(decode_heartbeat);
    assert_eq!(heartbeat, golden("heartbeat.v1").read(decode_heartbeat));
    let policy = with("safety-stock.v1.minimal", r#""storeId":null,"sku":null"#);
    let known = golden("safety-stock.v1.minimal").read(decode_safety_stock);
    assert_eq!(policy.read(decode_safety_stock), known);
    let policy = with("safety-stock.v1.removed", r#""storeId":null,"units":null"#);
    let known = golden("safety-stock.v1.removed").read(decode_safety_stock);
    assert_eq!(policy.read(decode_safety_stock), known);
    let selling = with("selling.v1.minimal", r#""reason":null"#).read(decode_selling);
    assert_eq!(selling, golden("selling.v1.minimal").read(decode_selling));
    let nulls = r#""storeId":null,"near":null,"confirmedAt":null,"closed":null,"traceparent":null"#;
    let reservation = with("reservation-changed.v1.minimal", nulls).read(decode_reservation);
    let known = golden("reservation-changed.v1.minimal").read(decode_reservation);
    assert_eq!(reservation, known);
}

#[test]
fn a_dead_letter_keeps_the_bytes_and_says_why() {
    let mut record = golden(EVENT);
    record.value = Some(vec![0xff, 0x00]);
    record.headers = vec![("ce_type".to_owned(), vec![0xfe]), ("ce_type".to_owned(), vec![])];
    let letter = record.read(|incoming| dead_letter(incoming, "events/3/17", "no header ce_id"));
    assert_eq!((Some(letter.key), letter.value), (record.key, record.value));
    let added = [("x-origin", "events/3/17"), ("x-reason", "no header ce_id")];
    record.headers.extend(added.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
    assert_eq!(letter.headers, record.headers);
}
