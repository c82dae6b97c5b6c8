//! Whatever a store may say survives the wire, and whatever the wire may bring is survived.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use shared_events::policy::Policy;
use shared_events::wire::{
    decode_command, decode_event, decode_heartbeat, decode_policy, decode_reservation,
    encode_command, encode_event, encode_heartbeat, encode_policy, encode_reservation, header,
};
use shared_events::{StockEvent, Timestamp};

#[cfg(test)]
mod strategies;
#[cfg(test)]
mod support;

use strategies::{
    command, heartbeat, recorded_event, reservation, safety_stock, selling, stock_event,
};
use support::{Record, golden};

/// Some of each kind.
const GOLDEN: [&str; 16] = [
    "heartbeat.v1",
    "heartbeat.v1.reborn",
    "journal-witnessed.v1",
    "heartbeat.v1.located",
    "replay-events.v1",
    "stock-replaced.v1",
    "stock-command-refused.v1.shortfall",
    "reservation-broken.v1",
    "adjust-stock.v1",
    "reserve-stock.v1",
    "release-reservation.v1",
    "reservation-changed.v1",
    "reservation-changed.v1.minimal",
    "safety-stock.v1",
    "safety-stock.v1.removed",
    "selling.v1",
];

fn config() -> ProptestConfig {
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}

/// One thing that can go wrong with a record on its way.
#[derive(Debug, Clone)]
enum Damage {
    NoKey,
    NoValue,
    Key(Bytes),
    Value(Bytes),
    Header(Index, Bytes),
    LostHeader(Index),
    Overwritten(&'static str, Vec<u8>),
}

/// One thing that can go wrong with bytes.
#[derive(Debug, Clone)]
enum Bytes {
    Flipped(Index, u8),
    Truncated(Index),
    Inserted(Index, Vec<u8>),
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => (any::<Index>(), 1..=u8::MAX).prop_map(|(at, mask)| Bytes::Flipped(at, mask)),
        1 => any::<Index>().prop_map(Bytes::Truncated),
        2 => (any::<Index>(), hostile()).prop_map(|(at, some)| Bytes::Inserted(at, some)),
    ]
}

/// Bytes that look like something, or like nothing.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    const LOOKALIKES: [&str; 16] = [
        "",
        "|",
        "/",
        "-",
        "+1",
        "0",
        "null",
        "[1,2,3,4]",
        "9223372036854775808",
        "-9223372036854775808",
        "1e999",
        "\"\\ud800\"",
        "9999-12-31T23:59:59-23:59",
        "0000-01-01T00:00:00+23:59",
        "2026-12-31T23:59:60Z",
        "north.7/18446744073709551615/18446744073709551615",
    ];
    prop_oneof![
        select(&LOOKALIKES[..]).prop_map(|text| text.as_bytes().to_vec()),
        vec(any::<u8>(), 0..40),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    use header::{CAUSE, ID, SOURCE, SUBJECT, TIME, TRACEPARENT, TYPE};
    let name = select(&[ID, SOURCE, TYPE, SUBJECT, TIME, CAUSE, TRACEPARENT][..]);
    prop_oneof![
        1 => Just(Damage::NoKey),
        1 => Just(Damage::NoValue),
        4 => bytes().prop_map(Damage::Key),
        8 => bytes().prop_map(Damage::Value),
        8 => (any::<Index>(), bytes()).prop_map(|(which, bytes)| Damage::Header(which, bytes)),
        1 => any::<Index>().prop_map(Damage::LostHeader),
        4 => (name, hostile()).prop_map(|(name, value)| Damage::Overwritten(name, value)),
    ]
}

impl Bytes {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Flipped(at, mask) => {
                if !to.is_empty() {
                    *at.get_mut(to) ^= mask;
                }
            }
            Self::Truncated(at) => to.truncate(at.index(to.len() + 1)),
            Self::Inserted(at, some) => {
                let at = at.index(to.len() + 1);
                to.splice(at..at, some.iter().copied());
            }
        }
    }
}

impl Damage {
    fn apply(&self, to: &mut Record) {
        match self {
            Self::NoKey => to.key = None,
            Self::NoValue => to.value = None,
            Self::Key(bytes) => to.key.iter_mut().for_each(|key| bytes.apply(key)),
            Self::Value(bytes) => to.value.iter_mut().for_each(|value| bytes.apply(value)),
            Self::Header(which, bytes) if !to.headers.is_empty() => {
                bytes.apply(&mut which.get_mut(&mut to.headers).1);
            }
            Self::LostHeader(which) if !to.headers.is_empty() => {
                to.headers.remove(which.index(to.headers.len()));
            }
            Self::Header(..) | Self::LostHeader(_) => {}
            Self::Overwritten(name, value) => to.set(name, value),
        }
    }
}

/// Nearly RFC 3339, and often at the ends of the calendar.
fn time_text() -> impl Strategy<Value = String> {
    const DATE: &str = "(0000|0001|9999|[0-9]{4})-(01|12|[01][0-9])-(01|31|[0-3][0-9])";
    const TIME: &str = "(00|23|[0-2][0-9]):(00|59|[0-5][0-9]):[0-6][0-9](\\.[0-9]{1,12})?";
    (DATE, TIME, "(Z|z|[+-][0-2][0-9]:[0-6][0-9])")
        .prop_map(|(date, time, offset)| format!("{date}T{time}{offset}"))
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![safety_stock().prop_map(Policy::SafetyStock), selling().prop_map(Policy::Selling),]
}

/// Reads a record in all ways: no way panics, and what is understood can be said again.
fn survive(record: &Record) -> Result<(), TestCaseError> {
    if let Ok(event) = record.read(decode_event) {
        let again = Record::from(encode_event(&event)).read(decode_event);
        prop_assert_eq!(again, Ok(event));
    }
    if let Ok(heartbeat) = record.read(decode_heartbeat) {
        let again = Record::from(encode_heartbeat(&heartbeat)).read(decode_heartbeat);
        prop_assert_eq!(again, Ok(heartbeat));
    }
    if let Ok(command) = record.read(decode_command) {
        let again = Record::from(encode_command(&command)).read(decode_command);
        prop_assert_eq!(again, Ok(command));
    }
    if let Ok(reservation) = record.read(decode_reservation) {
        let again = Record::from(encode_reservation(&reservation, reservation.created_at));
        prop_assert_eq!(again.read(decode_reservation), Ok(reservation));
    }
    if let Ok(policy) = record.read(decode_policy) {
        let again = Record::from(encode_policy(&policy)).read(decode_policy);
        prop_assert_eq!(again, Ok(policy));
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_event_survives_the_wire(event in recorded_event()) {
        let read = Record::from(encode_event(&event)).read(decode_event);
        prop_assert_eq!(read, Ok(event));
    }

    #[test]
    fn a_command_survives_the_wire(command in command()) {
        let read = Record::from(encode_command(&command)).read(decode_command);
        prop_assert_eq!(read, Ok(command));
    }

    #[test]
    fn a_heartbeat_survives_the_wire(heartbeat in heartbeat()) {
        let read = Record::from(encode_heartbeat(&heartbeat)).read(decode_heartbeat);
        prop_assert_eq!(read, Ok(heartbeat));
    }

    #[test]
    fn a_reservation_survives_the_wire(reservation in reservation()) {
        let record = Record::from(encode_reservation(&reservation, reservation.created_at));
        prop_assert_eq!(record.read(decode_reservation), Ok(reservation));
    }

    #[test]
    fn a_policy_survives_the_wire(policy in policy()) {
        let read = Record::from(encode_policy(&policy)).read(decode_policy);
        prop_assert_eq!(read, Ok(policy));
    }

    #[test]
    fn an_event_survives_the_journal(event in stock_event()) {
        let read = StockEvent::from_data(event.event_type(), event.to_data().as_bytes()).unwrap();
        prop_assert_eq!(read, event);
    }

    #[test]
    fn a_damaged_event_never_panics(
        event in recorded_event(),
        damages in vec(damage(), 1..5),
    ) {
        let mut record = Record::from(encode_event(&event));
        damages.iter().for_each(|damage| damage.apply(&mut record));
        survive(&record)?;
    }

    #[test]
    fn a_damaged_command_never_panics(
        command in command(),
        damages in vec(damage(), 1..5),
    ) {
        let mut record = Record::from(encode_command(&command));
        damages.iter().for_each(|damage| damage.apply(&mut record));
        survive(&record)?;
    }

    #[test]
    fn a_damaged_reservation_never_panics(
        reservation in reservation(),
        damages in vec(damage(), 1..5),
    ) {
        let mut record = Record::from(encode_reservation(&reservation, reservation.created_at));
        damages.iter().for_each(|damage| damage.apply(&mut record));
        survive(&record)?;
    }

    #[test]
    fn a_damaged_policy_never_panics(
        policy in policy(),
        damages in vec(damage(), 1..5),
    ) {
        let mut record = Record::from(encode_policy(&policy));
        damages.iter().for_each(|damage| damage.apply(&mut record));
        survive(&record)?;
    }

    #[test]
    fn a_damaged_golden_record_never_panics(
        name in select(&GOLDEN[..]),
        damages in vec(damage(), 1..4),
    ) {
        let mut record = golden(name);
        damages.iter().for_each(|damage| damage.apply(&mut record));
        survive(&record)?;
    }

    #[test]
    fn a_text_is_a_time_that_can_be_written_or_it_is_refused(text in time_text()) {
        if let Ok(at) = text.parse::<Timestamp>() {
            prop_assert_eq!(at.to_string().parse(), Ok(at));
        }
    }
}
