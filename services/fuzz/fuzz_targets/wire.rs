//! Any record on any topic: it is read or refused, and what is read says the same when written again.
//!
//! Input: the key's line, one `name: value` line a header, an empty line, the value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared_events::Timestamp;
use shared_events::wire::{
    IncomingRecord, OutgoingRecord, decode_command, decode_event, decode_heartbeat, decode_policy,
    decode_reservation, decode_safety_stock, decode_selling, encode_command, encode_event,
    encode_heartbeat, encode_policy, encode_reservation,
};

fuzz_target!(|input: &[u8]| {
    let record = parse(input);
    let headers: Vec<_> =
        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let incoming = IncomingRecord {
        key: Some(&record.key),
        headers: &headers,
        value: record.value.as_deref(),
    };
    says_the_same(&incoming, decode_event, encode_event);
    says_the_same(&incoming, decode_heartbeat, encode_heartbeat);
    says_the_same(&incoming, decode_reservation, |said| encode_reservation(said, moment()));
    says_the_same(&incoming, decode_command, encode_command);
    says_the_same(&incoming, decode_policy, encode_policy);
    let _refused = decode_safety_stock(&incoming);
    let _refused = decode_selling(&incoming);
});

/// Which moment a record was written at is no part of what it says.
fn moment() -> Timestamp {
    Timestamp::from_unix_millis(0).expect("a moment")
}

fn says_the_same<T: PartialEq + std::fmt::Debug, E: std::fmt::Debug>(
    record: &IncomingRecord<'_>,
    decode: fn(&IncomingRecord<'_>) -> Result<T, E>,
    encode: fn(&T) -> OutgoingRecord,
) {
    let Ok(said) = decode(record) else { return };
    let again = encode(&said);
    let headers: Vec<_> =
        again.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let incoming =
        IncomingRecord { key: Some(&again.key), headers: &headers, value: again.value.as_deref() };
    assert_eq!(decode(&incoming).expect("what was written can be read"), said);
}

fn parse(input: &[u8]) -> OutgoingRecord {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let key = lines.next().unwrap_or_default().to_vec();
    let mut rest = lines.next().unwrap_or_default();
    let mut headers = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        rest = behind.get(1..).unwrap_or_default();
        let colon = line.windows(2).position(|two| two == b": ");
        let Some((name, value)) = colon.map(|at| (&line[..at], &line[at + 2..])) else { break };
        headers.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    }
    OutgoingRecord { key, headers, value: (!rest.is_empty()).then(|| rest.to_vec()) }
}
