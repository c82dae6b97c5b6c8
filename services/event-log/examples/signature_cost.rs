//! What a record's signature costs: `cargo run --release -p event-log --example signature_cost`.
#![expect(clippy::print_stdout, reason = "it tells its figures")]

use std::hint::black_box;
use std::time::Instant;

use event_log::RecordKey;
use event_log::signature::{Parts, sign, verify};

/// Records of one measurement.
const RECORDS: u32 = 200_000;

fn main() {
    let key = RecordKey::new("a1", &[7; 32]);
    let headers: [(&str, &[u8]); 8] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"A/1790000000000000/1234567"),
        ("ce_source", b"/stores/A"),
        ("ce_type", b"inventory.stock-adjusted.v1"),
        ("ce_time", b"2026-11-21T18:00:00.000Z"),
        ("content-type", b"application/json"),
        ("ce_subject", b"SKU-0001234"),
        ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let value: &[u8] = br#"{"version":17,"delta":-1,"onHand":41,"reserved":3,"discrepancy":0}"#;
    let (topic, record_key) = ("inventory.stock-events.v1", b"A|SKU-0001234");
    let parts = Parts { topic, key: record_key, headers: &headers, value: Some(value) };
    let signature = sign(&key, parts);
    for _round in 0..5 {
        let signing = nanoseconds(|| drop(black_box(sign(&key, black_box(parts)))));
        let verifying =
            nanoseconds(|| assert!(verify(&key, parts, black_box(signature.as_bytes()))));
        println!("sign {signing} ns, verify {verifying} ns");
    }
}

fn nanoseconds(work: impl Fn()) -> u128 {
    let began = Instant::now();
    (0..RECORDS).for_each(|_record| work());
    began.elapsed().as_nanos() / u128::from(RECORDS)
}
