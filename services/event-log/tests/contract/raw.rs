//! A producer that writes what no client library lets it write. Just enough of Kafka's protocol.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// A header as bytes: its name need not be text.
type Header<'a> = (&'a [u8], &'a [u8]);

/// Writes one record to partition 0 of a topic.
pub(crate) fn produce(broker: &str, topic: &str, key: &[u8], headers: &[Header<'_>], value: &[u8]) {
    send(broker, topic, &batch(Some(key), headers, value));
}

/// Writes one record without a key to partition 0 of a topic.
pub(crate) fn produce_without_key(broker: &str, topic: &str, value: &[u8]) {
    send(broker, topic, &batch(None, &[], value));
}

/// One `Produce` request, version 3, and a look at the error code of its answer.
fn send(broker: &str, topic: &str, batch: &[u8]) {
    let mut request = Vec::new();
    request.extend([0, 0, 0, 3, 0, 0, 0, 7]); // produce, version, correlation id
    request.extend((-1_i16).to_be_bytes()); // no client id
    request.extend((-1_i16).to_be_bytes()); // no transaction
    request.extend((-1_i16).to_be_bytes()); // acknowledged by all
    request.extend(10_000_i32.to_be_bytes()); // milliseconds
    request.extend(1_i32.to_be_bytes()); // topics
    request.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend(1_i32.to_be_bytes()); // partitions
    request.extend(0_i32.to_be_bytes());
    request.extend(sized(batch));

    let mut stream = TcpStream::connect(broker).unwrap();
    stream.write_all(&sized(&request)).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut response = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut response).unwrap();
    // Correlation id, topic count, topic, partition count, partition; then the code.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(response[at..at + 2], [0, 0], "the broker refused the record");
}

/// A record batch, format 2, of one record.
fn batch(key: Option<&[u8]>, headers: &[Header<'_>], value: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 0]; // attributes, time and offset since the batch's
    match key {
        Some(key) => put(&mut record, key),
        None => varint(&mut record, -1),
    }
    put(&mut record, value);
    varint(&mut record, i64::try_from(headers.len()).unwrap());
    for (name, value) in headers {
        put(&mut record, name);
        put(&mut record, value);
    }

    let mut covered = vec![0; 2 + 4 + 8 + 8]; // attributes, last offset, first and last time
    covered.extend([0xff; 8 + 2 + 4]); // neither idempotent nor transactional
    covered.extend(1_i32.to_be_bytes()); // records
    put(&mut covered, &record);

    let mut rest = vec![0xff; 4]; // no leader epoch
    rest.push(2); // format
    rest.extend(crc32c(&covered).to_be_bytes());
    rest.extend(covered);
    let mut batch = vec![0; 8]; // base offset
    batch.extend(sized(&rest));
    batch
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

/// Bytes behind their length.
fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    varint(into, i64::try_from(bytes.len()).unwrap());
    into.extend(bytes);
}

fn varint(into: &mut Vec<u8>, number: i64) {
    let mut zigzag = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        into.push(zigzag.to_le_bytes()[0] | 0x80);
        zigzag >>= 7;
    }
    into.push(zigzag.to_le_bytes()[0]);
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    let byte = |crc, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _bit| step(crc));
    !bytes.iter().fold(u32::MAX, byte)
}
