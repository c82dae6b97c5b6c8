//! Connections that are opened and then say nothing.

use std::time::Duration;

use reqwest::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Target, served_meanwhile};

/// As many as are asked for, or as this process may have files: each is one here and one at the service.
fn connections(wanted: usize) -> usize {
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit { current: files.maximum, maximum: files.maximum };
    setrlimit(Resource::Nofile, all).unwrap();
    let may = files.maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap());
    wanted.min(may.saturating_sub(500))
}

/// A connection on which one request was answered.
async fn used(target: &Target) -> TcpStream {
    let mut stream = target.connect().await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    stream
}

#[tokio::test]
async fn five_thousand_idle_connections_cost_little_memory_and_nobody_else_time() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), &[]).await;
    let (before, peak) = (target.wait().await, target.peak_mib());
    let wanted = connections(5_000);
    let mut open = Vec::new();
    for number in 0..wanted {
        // Half of them have been of use, so that buffers were made for them.
        open.push(if number % 2 == 0 { used(&target).await } else { target.connect().await });
    }
    served_meanwhile(before, target.wait().await);
    let grown = target.peak_mib() - peak;
    assert_eq!(open.len(), wanted);
    assert!(grown < 160, "{wanted} idle connections took {grown} MiB");
    assert!(target.count("onhand_http_connections").await >= u64::try_from(wanted).unwrap());
}

#[tokio::test]
async fn who_holds_all_connections_locks_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), &["--max-connections", "64"]).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(used(&target).await);
    }
    let item = format!("{}/api/query/inventory/store/A/X", target.service.url);
    for _ in 0..20 {
        // A connection of its own each time: a newcomer has to get in.
        let newcomer = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let answer = newcomer.get(&item).timeout(Duration::from_secs(5)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
    }
    assert!(target.count("onhand_http_connections ").await <= 64);
    drop(held);
    let gone = target.count("onhand_http_connections_closed_total{cause=\"place\"}").await;
    assert!(gone >= 136, "{gone} had to go");
}
