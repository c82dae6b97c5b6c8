//! Lines of the file, good and bad, and the commands made of them.

use super::*;

fn record(line: &str) -> ByteRecord {
    line.split(',').collect::<Vec<_>>().into()
}

fn reader() -> Reader {
    let layout = Layout::of(&record("timestamp,storeId,sku,quantity,reference")).unwrap();
    let stores = ["A".parse().unwrap(), "B".parse().unwrap()];
    Reader::new(layout, stores.iter())
}

fn writer(run: &str) -> Writer {
    Writer { run: run.to_owned(), on_shortfall: None }
}

fn sale(writer: &Writer, number: u64, line: &str) -> serde_json::Value {
    let fields = record(line);
    let reading = reader().read(&fields).unwrap();
    let store = "B".parse().unwrap();
    let entry = writer.sale(&store, reading, number, &fields, line.as_bytes());
    assert_eq!(entry.json.last(), Some(&b'\n'));
    assert_eq!(entry.json.iter().filter(|byte| **byte == b'\n').count(), 1);
    serde_json::from_slice(&entry.json).unwrap()
}

const GOOD: &str = "2026-11-21T09:30:00Z,B,ABC-1,3,receipt 7";

#[test]
fn a_good_line_is_read() {
    let fields = record(GOOD);
    let expected = Reading {
        store: 1,
        sku: "ABC-1".parse().unwrap(),
        quantity: 3,
        reference: Some("receipt 7"),
    };
    assert_eq!(reader().read(&fields).unwrap(), expected);
    let fields = record("2026-11-21T10:30:00.25+01:00,A,Käse 5 kg,-1000000000,");
    let reading = reader().read(&fields).unwrap();
    assert_eq!((reading.quantity, reading.reference), (-1_000_000_000, None));
}

#[test]
fn every_kind_of_bad_line_has_its_code() {
    let long = format!("2026-11-21T09:30:00Z,A,x,1,{}", "r".repeat(201));
    for (line, code) in [
        ("2026-11-21T09:30:00Z,A,x,1", "wrong_field_count"),
        ("2026-11-21T09:30:00Z,A,x,1,r,more", "wrong_field_count"),
        ("", "wrong_field_count"),
        ("yesterday,A,x,1,r", "invalid_timestamp"),
        ("2026-11-21 09:30,A,x,1,r", "invalid_timestamp"),
        ("2026-11-21T09:30:00Z,A/B,x,1,r", "invalid_store"),
        ("2026-11-21T09:30:00Z,,x,1,r", "invalid_store"),
        ("2026-11-21T09:30:00Z,C,x,1,r", "unknown_store"),
        ("2026-11-21T09:30:00Z,A,,1,r", "invalid_sku"),
        ("2026-11-21T09:30:00Z,A,a|b,1,r", "invalid_sku"),
        ("2026-11-21T09:30:00Z,A,x,1.0,r", "invalid_quantity"),
        ("2026-11-21T09:30:00Z,A,x,,r", "invalid_quantity"),
        ("2026-11-21T09:30:00Z,A,x,1000000001,r", "invalid_quantity"),
        ("2026-11-21T09:30:00Z,A,x,-1000000001,r", "invalid_quantity"),
        ("2026-11-21T09:30:00Z,A,x,99999999999999999999,r", "invalid_quantity"),
        ("2026-11-21T09:30:00Z,A,x,1,a\u{7}b", "invalid_reference"),
        (&long, "invalid_reference"),
    ] {
        assert_eq!(reader().read(&record(line)).unwrap_err().code, code, "{line:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_found_in_any_field() {
    let mut fields = record("2026-11-21T09:30:00Z,A,x,1");
    fields.push_field(b"\xff");
    let fault = reader().read(&fields).unwrap_err();
    assert_eq!((fault.code, fault.reason.as_str()), ("not_utf8", "field 5 is not UTF-8"));
}

#[test]
fn the_store_of_a_bad_line_is_told_when_it_can_be() {
    assert_eq!(reader().store(&record("x,B")), Some(1));
    assert_eq!(reader().store(&record("x,C")), None);
    assert_eq!(reader().store(&record("x")), None);
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    let layout = Layout::of(&record("till,quantity, sku ,storeId,timestamp")).unwrap();
    let store = "A".parse().unwrap();
    let reader = Reader::new(layout, std::iter::once(&store));
    let fields = record("7,2,x,A,2026-11-21T09:30:00Z");
    let reading = reader.read(&fields).unwrap();
    assert_eq!((reading.quantity, reading.reference), (2, None));
}

#[test]
fn a_missing_or_doubled_column_is_named() {
    for name in ["timestamp", "storeId", "sku", "quantity"] {
        let header = "timestamp,storeId,sku,quantity".replace(name, "other");
        let error = Layout::of(&record(&header)).unwrap_err();
        assert!(error.contains(&format!("no column {name};")), "{error}");
    }
    let error = Layout::of(&record("timestamp,storeId,sku,quantity,sku")).unwrap_err();
    assert!(error.contains("sku twice"), "{error}");
}

#[test]
fn a_sale_takes_units_and_a_return_brings_them_back() {
    let taken = sale(&writer(""), 2, GOOD);
    let id = taken["commandId"].as_str().unwrap();
    assert!(shared_events::CommandId::parse(id).is_ok());
    assert_eq!(id.len(), "replay:".len() + 32);
    let expected = serde_json::json!({
        "storeId": "B", "sku": "ABC-1", "delta": -3, "reason": "sale",
        "reference": "receipt 7", "commandId": id,
    });
    assert_eq!(taken, expected);
    let brought = sale(&writer(""), 3, "2026-11-21T09:30:00Z,B,ABC-1,-3,");
    assert_eq!((&brought["delta"], &brought["reason"]), (&3.into(), &"return".into()));
    assert!(brought.get("reference").is_none());
}

#[test]
fn what_to_do_on_a_shortfall_is_said_only_when_asked_for() {
    assert!(sale(&writer(""), 2, GOOD).get("onShortfall").is_none());
    let on_shortfall = Some(OnShortfall::RecordDiscrepancy);
    let asked = sale(&Writer { run: String::new(), on_shortfall }, 2, GOOD);
    assert_eq!(asked["onShortfall"], "recordDiscrepancy");
}

#[test]
fn a_command_id_names_run_line_and_content() {
    let id = |run, number, line| sale(&writer(run), number, line)["commandId"].clone();
    assert_eq!(id("", 2, GOOD), id("", 2, GOOD));
    // A changed formula would double every sale of a run that is continued with a newer program.
    assert_eq!(id("", 2, GOOD), "replay:c79b0bc7733038be21b2cc191498559c");
    assert_ne!(id("", 2, GOOD), id("", 3, GOOD), "the same line twice is two sales");
    assert_ne!(id("", 2, GOOD), id("again", 2, GOOD));
    assert_ne!(id("", 2, GOOD), id("", 2, &GOOD.replace(",3,", ",4,")));
}

#[test]
fn an_opening_is_an_absolute_level_with_an_id_of_its_own() {
    let (a, b) = ("A".parse().unwrap(), "B".parse().unwrap());
    let sku = "ABC-1".parse().unwrap();
    let entry = writer("x").opening(&a, &sku, 12);
    let json: serde_json::Value = serde_json::from_slice(&entry.json).unwrap();
    let id = json["commandId"].as_str().unwrap();
    assert!(id.starts_with("opening:"), "{id}");
    let expected = serde_json::json!({
        "storeId": "A", "sku": "ABC-1", "quantity": 12, "reason": "opening", "commandId": id,
    });
    assert_eq!(json, expected);
    assert_eq!(entry, writer("x").opening(&a, &sku, 12));
    assert_ne!(entry.json, writer("x").opening(&b, &sku, 12).json);
    assert_ne!(entry.json, writer("y").opening(&a, &sku, 12).json);
}
