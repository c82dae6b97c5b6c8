//! Golden records: what each version of each record looks like on the broker, byte by byte.
//!
//! A file in `golden/` is a promise to every journal and topic that already holds such records. Add
//! a file for a new version, leave the old ones as they are. `UPDATE_GOLDEN=1` writes them anew.

use std::collections::BTreeSet;

use shared_events::command::{CommandEnvelope, ReplayEvents};
use shared_events::wire::{
    OutgoingRecord, Undecodable, decode_command, decode_event, decode_heartbeat, encode_command,
    encode_event, encode_heartbeat, header,
};
use shared_events::{
    Epoch, Heartbeat, RecordedEvent, Sequence, StockAdjusted, StockEvent, StockReplaced,
    StoreCommand, Text, Timestamp, Version,
};

#[cfg(test)]
mod support;

use support::{Record, golden, golden_path};

#[derive(Debug, PartialEq)]
enum Said {
    Event(RecordedEvent),
    Heartbeat(Heartbeat),
    Command(CommandEnvelope),
}

impl Said {
    fn encode(&self) -> OutgoingRecord {
        match self {
            Self::Event(event) => encode_event(event),
            Self::Heartbeat(heartbeat) => encode_heartbeat(heartbeat),
            Self::Command(command) => encode_command(command),
        }
    }

    /// Reads a record of the same kind.
    fn decode_like(&self, record: &Record) -> Result<Self, Undecodable> {
        match self {
            Self::Event(_) => record.read(decode_event).map(Self::Event),
            Self::Heartbeat(_) => record.read(decode_heartbeat).map(Self::Heartbeat),
            Self::Command(_) => record.read(decode_command).map(Self::Command),
        }
    }

    /// Headers that say what the record is, beside its key and value; the others are for routers.
    fn meaningful_headers(&self) -> &'static [&'static str] {
        use header::{CAUSE, ID, SOURCE, SUBJECT, TIME, TRACEPARENT, TYPE};
        match self {
            Self::Event(_) => &[ID, SOURCE, TYPE, SUBJECT, TIME, CAUSE, TRACEPARENT],
            Self::Heartbeat(_) => &[SOURCE, TYPE],
            Self::Command(_) => &[ID, TYPE, TIME],
        }
    }
}

fn cases() -> Vec<(&'static str, Said)> {
    vec![
        ("heartbeat.v1", Said::Heartbeat(heartbeat())),
        ("replay-events.v1", Said::Command(replay_events())),
        ("stock-adjusted.v1", Said::Event(traced(event(adjusted())))),
        ("stock-adjusted.v1.minimal", Said::Event(event(adjusted_minimal()))),
        ("stock-replaced.v1", Said::Event(traced(event(replaced())))),
        ("stock-replaced.v1.minimal", Said::Event(event(replaced_minimal()))),
    ]
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        store_id: "north.7".parse().expect("valid"),
        epoch: Epoch::new(2),
        head: Sequence::new(1_042),
        head_hash: "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea".to_owned(),
        published_through: Sequence::new(1_040),
        digest: "0123456789abcdef0123456789abcdef".to_owned(),
        sent_at: time("2026-11-21T09:30:01.250Z"),
    }
}

fn replay_events() -> CommandEnvelope {
    let replay =
        ReplayEvents { epoch: Epoch::new(2), from: Sequence::new(7), through: Sequence::new(19) };
    CommandEnvelope {
        id: "replay:north.7/2/7-19".parse().expect("valid"),
        store: "north.7".parse().expect("valid"),
        issued_at: time("2026-11-21T09:30:00.000Z"),
        command: StoreCommand::ReplayEvents(replay),
    }
}

fn event(event: StockEvent) -> RecordedEvent {
    RecordedEvent {
        id: "north.7/2/1041".parse().expect("valid"),
        sku: "Käse 5 kg".parse().expect("valid"),
        occurred_at: time("2026-11-21T09:30:00.007Z"),
        cause: None,
        traceparent: None,
        event,
    }
}

fn traced(event: RecordedEvent) -> RecordedEvent {
    RecordedEvent {
        cause: Some("till-3:000451".parse().expect("valid")),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ..event
    }
}

fn replaced() -> StockEvent {
    StockEvent::Replaced(StockReplaced {
        version: Version::new(12),
        delta: -3,
        on_hand: 40,
        reserved: 5,
        reason: Some(text("Inventur \"März\" / 棚卸し")),
        reference: Some(text("count-sheet 17")),
    })
}

fn replaced_minimal() -> StockEvent {
    StockEvent::Replaced(StockReplaced {
        version: Version::new(1),
        delta: 0,
        on_hand: 0,
        reserved: 0,
        reason: None,
        reference: None,
    })
}

fn adjusted() -> StockEvent {
    StockEvent::Adjusted(StockAdjusted {
        version: Version::new(9_007_199_254_740_991),
        delta: -2,
        on_hand: 0,
        reserved: 1,
        discrepancy: 4,
        reason: Some(text("sale")),
        reference: Some(text("receipt 000451")),
    })
}

fn adjusted_minimal() -> StockEvent {
    StockEvent::Adjusted(StockAdjusted {
        version: Version::new(2),
        delta: 1_000_000_000,
        on_hand: 1_000_000_000,
        reserved: 0,
        discrepancy: 0,
        reason: None,
        reference: None,
    })
}

fn text(text: &str) -> Text {
    Text::parse(text).expect("valid")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("valid")
}

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
}
