//! Clients that begin and never finish.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Target, closed, served_meanwhile};

const CLIENTS: usize = 200;
const TRICKLE: Duration = Duration::from_millis(300);

/// Sends a beginning, then a byte now and then, until it is told something or cut off.
async fn trickle(mut stream: TcpStream, beginning: String, byte: &'static [u8]) -> Vec<u8> {
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut told = vec![0; 4_096];
    loop {
        tokio::select! {
            read = reader.read(&mut told) => {
                told.truncate(read.unwrap_or(0));
                return told;
            }
            () = tokio::time::sleep(TRICKLE) => {
                // Closed meanwhile: the read tells.
                writer.write_all(byte).await.unwrap_or_default();
            }
        }
    }
}

#[tokio::test]
async fn who_never_finishes_a_head_or_a_body_is_cut_off_while_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), &[]).await;
    let before = target.wait().await;
    let (mut heads, mut bodies) = (JoinSet::new(), JoinSet::new());
    let started = Instant::now();
    for _ in 0..CLIENTS {
        let head = "GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: ".to_owned();
        heads.spawn(trickle(target.connect().await, head, b"a"));
        let body = "POST /api/commands/inventory/adjust HTTP/1.1\r\nhost: x\r\n\
                    content-type: application/json\r\ncontent-length: 100000\r\n\r\n{";
        bodies.spawn(trickle(target.connect().await, body.to_owned(), b" "));
    }
    served_meanwhile(before, target.wait().await);
    for told in heads.join_all().await {
        assert!(told.is_empty(), "{}", String::from_utf8_lossy(&told));
    }
    assert!(started.elapsed() > Duration::from_secs(5), "a slow line is no attack");
    for told in bodies.join_all().await {
        let told = String::from_utf8(told).unwrap();
        assert!(told.starts_with("HTTP/1.1 408") && told.contains("body_too_slow"), "{told}");
    }
    assert!(started.elapsed() < Duration::from_secs(50), "{:?}", started.elapsed());
    let closed = target.count("onhand_http_connections_closed_total{cause=\"slow_head\"}").await;
    assert_eq!(closed, u64::try_from(CLIENTS).unwrap());
    target.sell().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_its_own_problem_and_one_that_has_no_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), &[]).await;
    for (request, status, code) in [
        (
            format!("GET /livez?{} HTTP/1.1\r\nhost: x\r\n", "a".repeat(9_000)),
            "414",
            "url_too_long",
        ),
        (
            format!("GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\n", "a".repeat(17_000)),
            "431",
            "headers_too_large",
        ),
    ] {
        let mut stream = target.connect().await;
        let request = format!("{request}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let told = String::from_utf8(closed(&mut stream).await).unwrap();
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{told}");
        assert!(told.contains(&format!("urn:onhand:problem:{code}")), "{told}");
    }
    for (beginning, endless) in
        [("GET /", "a".repeat(8_192)), ("GET /livez HTTP/1.1\r\n", "x: y\r\n".repeat(1_000))]
    {
        let mut stream = target.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut sent = 0;
        // The kernel takes some before a close is seen.
        while sent < 64 * 1024 * 1024 && stream.write_all(endless.as_bytes()).await.is_ok() {
            sent += endless.len();
        }
        assert!(sent < 64 * 1024 * 1024, "it reads heads without end");
    }
    target.sell().await;
}
