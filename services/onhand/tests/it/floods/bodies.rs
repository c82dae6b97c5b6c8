//! Bodies that are too much.

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::{Target, closed, served_meanwhile};

const GIB: usize = 1024 * 1024 * 1024;

#[tokio::test]
async fn a_body_without_end_is_refused_at_its_bound_whoever_sends_it_and_however_many() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), &[]).await;
    let (before, peak) = (target.wait().await, target.peak_mib());
    let mut senders = JoinSet::new();
    for _ in 0..32 {
        let mut stream = target.connect().await;
        senders.spawn(async move {
            let head = "POST /api/commands/inventory/adjust HTTP/1.1\r\nhost: x\r\n\
                        content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
            let mut sent = 0;
            while sent < GIB && stream.write_all(&chunk).await.is_ok() {
                sent += 0x10000;
            }
            (sent, String::from_utf8(closed(&mut stream).await).unwrap())
        });
    }
    served_meanwhile(before, target.wait().await);
    for (sent, told) in senders.join_all().await {
        assert!(sent < 64 * 1024 * 1024, "{sent} bytes of a body were taken");
        // Who goes on sending may not see the answer for the reset behind it.
        assert!(told.is_empty() || told.contains("body_too_large"), "{told}");
    }
    let grown = target.peak_mib() - peak;
    assert!(grown < 96, "it took {grown} MiB");
}

#[tokio::test]
async fn arrays_in_arrays_are_refused_before_they_are_deep() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), &[]).await;
    let deep = format!(r#"{{"storeId":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    for route in ["adjust", "replace", "batch"] {
        for body in [&deep, &objects] {
            let url = format!("{}/api/commands/inventory/{route}", target.service.url);
            let kind = if route == "batch" { "application/x-ndjson" } else { "application/json" };
            let request = target.client.post(url).header("content-type", kind).body(body.clone());
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let told: Value = answer.json().await.unwrap();
            // A line of a batch has its own status.
            let line = told["status"].as_u64().unwrap();
            assert!(status == 200 || u64::from(status) == line, "{told}");
            assert!((400..500).contains(&line), "{told}");
        }
    }
    target.sell().await;
}
