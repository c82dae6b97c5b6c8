//! Policies no chain could have decided and places no store can be at: each is refused with its
//! reason.

use shared_events::wire::header::{SOURCE, TYPE};
use shared_events::wire::{Undecodable, decode_heartbeat, decode_safety_stock};

#[cfg(test)]
mod support;

use support::{Record, golden};

const HEARTBEAT: &str = "heartbeat.v1.located";
const FULL: &str = "safety-stock.v1";
const CHAIN: &str = "safety-stock.v1.minimal";
const STORE: &str = "safety-stock.v1.store";
const REMOVED: &str = "safety-stock.v1.removed";
const POLICIES: [&str; 4] = [FULL, CHAIN, STORE, REMOVED];
const NOT_THE_KEY: &str = "the key is not the policy's scope";

/// What one of the two readers says against a record of its golden file, broken in one way.
fn objection(name: &str, breakage: impl FnOnce(&mut Record)) -> Option<Undecodable> {
    let mut record = golden(name);
    breakage(&mut record);
    if name == HEARTBEAT {
        record.read(decode_heartbeat).err()
    } else {
        record.read(decode_safety_stock).err()
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

fn data(bytes: impl AsRef<[u8]>) -> impl FnOnce(&mut Record) {
    let bytes = bytes.as_ref().to_vec();
    |record| record.value = Some(bytes)
}

#[test]
fn a_policy_is_told_by_the_centre_that_changed_it() {
    const NOT_THE_SOURCE: &str = "the source is not the centre the record speaks for";
    for name in POLICIES {
        refused(name, |record| record.set(SOURCE, "/centres/another"), NOT_THE_SOURCE);
        refused(name, |record| record.set(SOURCE, "/stores/north.7"), NOT_THE_SOURCE);
    }
}

#[test]
fn a_policy_must_have_the_key_of_its_scope() {
    let keys: Vec<_> = POLICIES.iter().map(|name| golden(name).key).collect();
    for (at, name) in POLICIES.into_iter().enumerate() {
        for (place, key) in keys.iter().enumerate() {
            let exchanged = |record: &mut Record| record.key.clone_from(key);
            if place == at {
                accepted(name, exchanged);
            } else {
                refused(name, exchanged, NOT_THE_KEY);
            }
        }
        refused(name, |record| record.key = None, NOT_THE_KEY);
        refused(name, |record| record.key = Some(vec![0xff]), NOT_THE_KEY);
        for key in ["", "|", "*|*", "safety-stock", "safety-stock||", "safety-stock|north.7"] {
            refused(name, |record| record.key = Some(key.into()), NOT_THE_KEY);
        }
    }
}

#[test]
fn a_scope_must_be_that_of_the_key() {
    refused(FULL, says(r#""storeId":"north.7""#, r#""storeId":"north.8""#), NOT_THE_KEY);
    refused(FULL, says(r#""storeId":"north.7""#, r#""storeId":null"#), NOT_THE_KEY);
    refused(FULL, says(r#""storeId""#, r#""store""#), NOT_THE_KEY);
    refused(FULL, says(r#""sku":"Käse 5 kg""#, r#""sku":"ABC-1""#), NOT_THE_KEY);
    refused(FULL, says(r#""sku""#, r#""item""#), NOT_THE_KEY);
    refused(STORE, says(r#""storeId":"north.7""#, r#""sku":"north.7""#), NOT_THE_KEY);
    refused(STORE, says("{", r#"{"sku":"*","#), NOT_THE_KEY);
    refused(CHAIN, says("{", r#"{"sku":"*","#), NOT_THE_KEY);
    refused(REMOVED, says(r#""sku":"*","#, ""), NOT_THE_KEY);
}

#[test]
fn units_of_a_policy_are_an_amount_a_shelf_can_hold() {
    let units = |number: &str| says(r#""units":4"#, format!(r#""units":{number}"#));
    for number in ["0", "1", "1000000000"] {
        accepted(FULL, units(number));
    }
    for number in ["-1", "1000000001", "-9223372036854775808", "9223372036854775807"] {
        refused(FULL, units(number), "units out of range");
    }
    refused(CHAIN, says("1000000000", "1000000001"), "units out of range");
    refused(REMOVED, says("{", r#"{"units":-1,"#), "units out of range");
    for (number, reason) in [
        ("9223372036854775808", "invalid value"),
        ("4.0", "invalid type: floating point"),
        ("1e999", "number out of range"),
        ("\"4\"", "invalid type: string"),
        ("[4]", "invalid type: sequence"),
    ] {
        refused(FULL, units(number), reason);
    }
}

#[test]
fn a_policy_keeps_the_rules_of_what_it_names() {
    for (from, to, reason) in [
        (r#""north.7""#, r#""../etc""#, "a store id is"),
        (r#""Käse 5 kg""#, r#""Käse|5 kg""#, "a sku is"),
        (r#""c1""#, r#""""#, "a centre id is"),
        (r#""c1""#, r#""c1.7""#, "a centre id is"),
        (r#""c1""#, "null", "invalid type: null"),
        ("2026-11-21", "2026-02-30", "a time is"),
        (r#""changedBy""#, r#""by""#, "missing field `changedBy`"),
        (r#""changedAt""#, r#""at""#, "missing field `changedAt`"),
        (r#""units":4"#, r#""units":4,"units":5"#, "duplicate field `units`"),
        (r#""storeId""#, r#""storeId":"A","storeId""#, "duplicate field `storeId`"),
    ] {
        refused(FULL, says(from, to), reason);
    }
}

#[test]
fn a_policy_must_have_a_type_that_is_known() {
    refused(FULL, |record| record.headers.retain(|(name, _)| name != TYPE), "no header ce_type");
    refused(FULL, |record| record.headers.clear(), "no header ce_type");
    refused(FULL, |record| record.set(TYPE, [0xff]), "header ce_type is not UTF-8");
    for name in [
        "",
        "inventory.safety-stock",
        "inventory.safety-stock.v2",
        "inventory.safety-stock.v10",
        "INVENTORY.SAFETY-STOCK.V1",
    ] {
        let error = objection(FULL, |record| record.set(TYPE, name));
        assert_eq!(error, Some(Undecodable::UnknownType(name.to_owned())));
    }
}

#[test]
fn the_data_of_a_policy_must_be_json() {
    for name in POLICIES {
        refused(name, |record| record.value = None, "no value");
        refused(name, data([0xff, 0xfe]), "expected value");
        refused(name, data("null"), "invalid type: null");
        refused(name, data("{}"), "missing field");
        refused(name, data("[]"), "invalid type: sequence");
        let whole = golden(name).value.unwrap();
        for length in 0..whole.len() {
            refused(name, data(&whole[..length]), "data");
        }
        refused(name, data([&whole[..], b"}"].concat()), "trailing characters");
    }
}

#[test]
fn a_store_is_somewhere_on_the_earth() {
    const LATITUDE: &str = r#""latitude":52.520008"#;
    const LONGITUDE: &str = r#""longitude":-13.4"#;
    for degrees in ["0", "-0.0", "90", "-90", "90.0", "-9e1", "1e-9"] {
        accepted(HEARTBEAT, says(LATITUDE, format!(r#""latitude":{degrees}"#)));
    }
    for degrees in ["180", "-180", "179.9999999"] {
        accepted(HEARTBEAT, says(LONGITUDE, format!(r#""longitude":{degrees}"#)));
    }
    for degrees in ["90.000001", "-91", "1e308", "-9223372036854775808"] {
        let beyond = format!(r#""latitude":{degrees}"#);
        refused(HEARTBEAT, says(LATITUDE, beyond), "data: a place is");
    }
    for degrees in ["180.000001", "-181", "18446744073709551616"] {
        let beyond = format!(r#""longitude":{degrees}"#);
        refused(HEARTBEAT, says(LONGITUDE, beyond), "data: a place is");
    }
}

#[test]
fn a_place_is_two_numbers() {
    const PLACE: &str = r#"{"latitude":52.520008,"longitude":-13.4}"#;
    for (place, reason) in [
        ("{}", "missing field `latitude`"),
        (r#"{"latitude":1}"#, "missing field `longitude`"),
        (r#"{"latitude":1,"longitude":null}"#, "invalid type: null"),
        (r#"{"latitude":"1","longitude":2}"#, "invalid type: string"),
        (r#"{"latitude":1,"longitude":1e999}"#, "number out of range"),
        (r#"{"latitude":NaN,"longitude":2}"#, "expected value"),
        (r#"{"latitude":1,"latitude":1,"longitude":2}"#, "duplicate field `latitude`"),
        (r#""52.52,13.405""#, "invalid type: string"),
        ("[1]", "invalid length 1"),
    ] {
        refused(HEARTBEAT, says(PLACE, place), reason);
    }
}

#[test]
fn a_heartbeat_with_a_place_must_speak_for_its_own_store() {
    for (key, source, reason) in [
        ("north.8", "/stores/north.7", "the key is not the heartbeat's store"),
        ("north.7", "/stores/north.8", "the source is not the store the record speaks for"),
    ] {
        let forged = |record: &mut Record| {
            record.key = Some(key.into());
            record.set(SOURCE, source);
        };
        refused(HEARTBEAT, forged, reason);
    }
    let whole = golden(HEARTBEAT).value.unwrap();
    for length in 0..whole.len() {
        refused(HEARTBEAT, data(&whole[..length]), "data");
    }
}
