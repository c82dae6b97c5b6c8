//! Words about a store's selling that no operator could have said: each is refused with its reason.

use shared_events::policy::Policy;
use shared_events::wire::header::{SOURCE, TYPE};
use shared_events::wire::{Undecodable, decode_policy, decode_selling};

#[cfg(test)]
mod support;

use support::{Record, golden};

const OFF: &str = "selling.v1";
const ON: &str = "selling.v1.minimal";

#[track_caller]
fn refused(name: &str, breakage: impl FnOnce(&mut Record), reason: &str) {
    let mut record = golden(name);
    breakage(&mut record);
    let error = record.read(decode_selling).err();
    let told = matches!(&error, Some(Undecodable::Broken(said)) if said.contains(reason));
    assert!(told, "{name}: expected Broken({reason:?}), got {error:?}");
    assert_eq!(record.read(decode_policy).err(), error, "whoever reads any policy says the same");
}

/// The data says something else in one place, where it must have said `from`.
fn says(from: &str, to: &str) -> impl FnOnce(&mut Record) {
    move |record| {
        let data = String::from_utf8(record.value.take().expect("data")).expect("UTF-8");
        assert!(data.contains(from), "{from} is not in {data}");
        record.value = Some(data.replacen(from, to, 1).into_bytes());
    }
}

#[test]
fn the_switch_of_a_store_is_read_among_all_policies() {
    for (name, enabled) in [(OFF, false), (ON, true)] {
        let policy = golden(name).read(decode_policy);
        assert!(matches!(&policy, Ok(Policy::Selling(said)) if said.enabled == enabled), "{name}");
    }
    let policy = golden("safety-stock.v1").read(decode_policy);
    assert!(matches!(policy, Ok(Policy::SafetyStock(_))));
    let mut newer = golden(OFF);
    newer.set(TYPE, "inventory.selling.v2");
    let unknown = Undecodable::UnknownType("inventory.selling.v2".to_owned());
    assert_eq!(newer.read(decode_policy), Err(unknown.clone()));
    assert_eq!(newer.read(decode_selling), Err(unknown));
}

#[test]
fn a_store_is_switched_by_the_centre_the_record_comes_from_and_under_its_own_key() {
    for name in [OFF, ON] {
        let source = "the source is not the centre the record speaks for";
        refused(name, |record| record.set(SOURCE, "/centres/another"), source);
        refused(name, |record| record.set(SOURCE, "/stores/north.7"), source);
        let key = "the key is not the policy's store";
        refused(name, |record| record.key = None, key);
        for other in ["", "selling", "selling|", "selling|*", "selling|north.8", "north.7"] {
            refused(name, |record| record.key = Some(other.into()), key);
        }
        refused(name, says(r#""north.7""#, r#""north.8""#), key);
    }
}

#[test]
fn a_switch_is_on_or_off_and_keeps_the_rules_of_what_it_names() {
    for (from, to, reason) in [
        ("false", "0", "invalid type: integer"),
        ("false", "null", "invalid type: null"),
        ("false", r#""off""#, "invalid type: string"),
        (r#""enabled""#, r#""on""#, "missing field `enabled`"),
        (r#""enabled""#, r#""enabled":true,"enabled""#, "duplicate field `enabled`"),
        (r#""north.7""#, r#""../etc""#, "a store id is"),
        (r#""storeId""#, r#""store""#, "missing field `storeId`"),
        ("Wasserschaden", r"\u0007", "control characters"),
        ("Wasserschaden im Lager", "", "must be 1 to 200 characters"),
        (r#""c1""#, r#""c1.7""#, "a centre id is"),
        ("2026-11-21", "2026-02-30", "a time is"),
    ] {
        refused(OFF, says(from, to), reason);
    }
}

#[test]
fn the_data_of_a_switch_must_be_json() {
    for name in [OFF, ON] {
        refused(name, |record| record.value = None, "no value");
        let whole = golden(name).value.expect("data");
        for length in 0..whole.len() {
            refused(name, |record| record.value = Some(whole[..length].to_vec()), "data");
        }
    }
}
