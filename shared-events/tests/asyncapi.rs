//! `docs/asyncapi.yaml` against the types: the same topics, types, fields and words, in both directions.

use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shared_events::OnShortfall;
use shared_events::ledger::{AllocationState, CloseReason, Reason, ReservationState};
use shared_events::reservation::{Binding, BreakReason, RefusalReason, ReleaseReason};
use shared_events::topic::{TopicSpec, Topics};
use shared_events::wire::{
    IncomingRecord, OutgoingRecord, Undecodable, dead_letter, encode_command, encode_event,
    encode_heartbeat, encode_reservation, encode_safety_stock, encode_selling, header,
};

#[cfg(test)]
mod cases;
#[cfg(test)]
mod description;
#[cfg(test)]
mod strategies;
#[cfg(test)]
mod support;

use cases::{Said, cases};
use description::Description;
use strategies::{
    command, heartbeat, recorded_event, reservation, safety_stock, selling, stock_event,
};
use support::{Record, golden};

/// Stands for a store's id in the name of its topic.
const STORE: &str = "STORE";

fn topics() -> Vec<TopicSpec> {
    let topics = Topics::default();
    let store = STORE.parse().expect("a store id");
    topics.shared().into_iter().chain([topics.commands(&store)]).collect()
}

#[test]
fn every_topic_is_described_with_its_partitions_and_settings() {
    let document = Description::read().document;
    let channels = document["channels"].as_object().expect("channels");
    let described = channels.values().map(|channel| {
        let kafka = &channel["bindings"]["kafka"];
        let settings = kafka["topicConfiguration"].as_object().expect("settings");
        let setting = |(name, value): (&String, &Value)| {
            let value = value.as_array().and_then(|values| values.first()).unwrap_or(value);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), text)
        };
        let settings: BTreeSet<_> = settings.iter().map(setting).collect();
        let address = channel["address"].as_str().expect("an address").replace("{storeId}", STORE);
        (address, kafka["partitions"].as_i64(), settings)
    });
    let described: BTreeSet<_> = described.collect();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let meant = topics().into_iter().map(|topic| {
        let settings: BTreeSet<_> = topic.settings.iter().map(owned).collect();
        (topic.name, Some(i64::from(topic.partitions)), settings)
    });
    assert_eq!(described, meant.collect());
}

/// The channel a record is written to.
fn channel(said: &Said) -> &'static str {
    match said {
        Said::Event(_) => "stockEvents",
        Said::Heartbeat(_) => "heartbeats",
        Said::Command(_) => "commands",
        Said::Reservation(_) => "reservations",
        Said::SafetyStock(_) | Said::Selling(_) => "policies",
    }
}

#[test]
fn every_type_is_described_on_its_topic_and_no_other() {
    let description = Description::read();
    let document = &description.document;
    let spoken: BTreeSet<_> = cases()
        .iter()
        .map(|(name, said)| {
            let text = golden(name).headers.into_iter().find(|(name, _)| name == header::TYPE);
            let (_, text) = text.expect("a type");
            (channel(said).to_owned(), String::from_utf8(text).expect("text"))
        })
        .collect();
    let channels = document["channels"].as_object().expect("channels").iter();
    let described: BTreeSet<_> = channels
        .flat_map(|(channel, content)| {
            let messages = content["messages"].as_object().expect("messages").keys();
            messages.map(|message| {
                let name = document["components"]["messages"][message]["name"].as_str();
                (channel.clone(), name.expect("a name").to_owned())
            })
        })
        .filter(|(channel, _)| channel != "deadLetters")
        .collect();
    assert_eq!(described, spoken);
    let types: BTreeSet<_> = described.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(types, description.types().collect());
}

#[test]
fn every_type_of_the_sources_is_described() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let described = Description::read();
    let described: BTreeSet<_> = described.types().collect();
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(sources).expect("sources") {
        let path = entry.expect("an entry").path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let constants = text.lines().filter_map(|line| {
            let (_, value) =
                line.strip_prefix("pub const ")?.split_once(": &str = \"inventory.")?;
            Some(format!("inventory.{}", value.strip_suffix("\";")?))
        });
        found.extend(constants);
    }
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), described);
}

#[test]
fn every_golden_record_and_what_is_written_for_it_is_as_described() {
    let description = Description::read();
    for (name, said) in cases() {
        assert_eq!(description.fits(&golden(name)), Ok(()), "{name}");
        assert_eq!(description.fits(&Record::from(said.encode())), Ok(()), "{name}");
    }
}

#[test]
fn what_the_page_requires_is_what_readers_require() {
    let description = Description::read();
    for (name, said) in cases() {
        let record = golden(name);
        let value = record.value.as_deref().expect("a value");
        let data: Value = serde_json::from_slice(value).expect("JSON");
        for path in paths(&data) {
            let mut less = data.clone();
            let (parent, field) = path.rsplit_once('/').expect("a path");
            let parent = less.pointer_mut(parent).and_then(Value::as_object_mut);
            parent.expect("an object").remove(&field.replace("~1", "/"));
            let less = Record { value: Some(less.to_string().into_bytes()), ..record.clone() };
            let read = said.decode_like(&less);
            let missing = matches!(&read, Err(Undecodable::Broken(reason)) if reason.contains("missing field"));
            match description.fits(&less) {
                Ok(()) => assert!(!missing, "{name}: readers require {path}"),
                Err(_) => assert!(read.is_err(), "{name}: readers do not require {path}"),
            }
        }
    }
}

#[test]
fn a_record_without_what_identifies_it_is_not_as_described() {
    let description = Description::read();
    for (name, said) in cases() {
        for header in said.meaningful_headers() {
            let mut record = golden(name);
            record.set(header, "not|\u{e9} that");
            if record.read(|record| record.header(header).is_some()) {
                assert!(description.fits(&record).is_err(), "{name}: {header}");
            }
        }
    }
}

#[test]
fn every_field_of_the_page_is_one_that_is_written() {
    let document = Description::read().document;
    let schemas = document["components"]["schemas"].as_object().expect("schemas").iter();
    let payloads = schemas.filter(|(name, _)| !name.ends_with("Headers"));
    let mut described = BTreeSet::new();
    payloads.for_each(|(_, schema)| properties(schema, &mut described));
    let mut written = BTreeSet::new();
    for (name, _) in cases() {
        let value = golden(name).value.expect("a value");
        let data: Value = serde_json::from_slice(&value).expect("JSON");
        let fields = paths(&data).into_iter();
        written.extend(fields.filter_map(|path| Some(path.rsplit_once('/')?.1.to_owned())));
    }
    assert_eq!(described, written);
}

fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let named = fields.get("properties").and_then(Value::as_object);
            found.extend(named.into_iter().flat_map(Map::keys).cloned());
            fields.values().for_each(|inner| properties(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| properties(inner, found)),
        _ => {}
    }
}

/// Pointers to all properties of a document.
fn paths(data: &Value) -> Vec<String> {
    let children: Vec<(String, &Value, bool)> = match data {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), value, true)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value, false)).collect()
        }
        _ => Vec::new(),
    };
    let mut found = Vec::new();
    for (name, value, is_property) in children {
        found.extend(paths(value).into_iter().map(|path| format!("/{name}{path}")));
        if is_property {
            found.push(format!("/{name}"));
        }
    }
    found
}

#[track_caller]
fn words<T: DeserializeOwned>(document: &Value, name: &str) {
    let words = document.pointer(&format!("/components/schemas/{name}/enum"));
    for word in words.and_then(Value::as_array).expect("words") {
        let known = serde_json::from_value::<T>(word.clone()).is_ok();
        assert!(known, "{name}: readers do not know {word}");
    }
}

#[test]
fn every_word_of_the_page_is_known() {
    let document = Description::read().document;
    words::<RefusalReason>(&document, "RefusalReason");
    words::<ReleaseReason>(&document, "ReleaseReason");
    words::<BreakReason>(&document, "BreakReason");
    words::<Reason>(&document, "Reason");
    words::<CloseReason>(&document, "CloseReason");
    words::<OnShortfall>(&document, "OnShortfall");
    words::<Binding>(&document, "Binding");
    words::<ReservationState>(&document, "ReservationState");
    words::<AllocationState>(&document, "AllocationState");
}

#[test]
fn a_dead_letter_has_the_headers_that_are_described() {
    let document = Description::read().document;
    let headers = document["components"]["schemas"]["DeadLetterHeaders"]["properties"].as_object();
    let described: BTreeSet<_> = headers.expect("properties").keys().cloned().collect();
    let nothing = IncomingRecord { key: None, headers: &[], value: None };
    let letter = dead_letter(&nothing, "inventory.stock-events.v1/3/7", "no header ce_type");
    assert_eq!(
        letter.headers.into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>(),
        described
    );
}

#[track_caller]
fn as_described<T: Debug>(kind: impl Strategy<Value = T>, encode: fn(&T) -> OutgoingRecord) {
    let description = Description::read();
    let config =
        ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&kind, |said| {
        prop_assert_eq!(description.fits(&Record::from(encode(&said))), Ok(()));
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn whatever_a_store_writes_is_as_described() {
    as_described(recorded_event(), encode_event);
    as_described(heartbeat(), encode_heartbeat);
    let described = Description::read();
    let described: BTreeSet<_> = described.types().collect();
    let any_event = stock_event().prop_map(|event| event.event_type());
    let result = TestRunner::default().run(&any_event, |name| {
        prop_assert!(described.contains(name));
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn whatever_a_centre_writes_is_as_described() {
    as_described(command(), encode_command);
    as_described(reservation(), |one| encode_reservation(one, one.created_at));
    as_described(safety_stock(), encode_safety_stock);
    as_described(selling(), encode_selling);
}
