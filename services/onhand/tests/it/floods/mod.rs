//! What strangers can throw at a service: it closes or refuses them, its memory stays bounded, and its
//! other callers hardly notice.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod slow;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Client;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::process::{Service, free_port};

/// Longest time a closed connection may take to be seen closed.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);

/// A store that sells without a broker.
struct Target {
    service: Service,
    client: Client,
}

impl Target {
    async fn start(folder: &Path, flags: &[&str]) -> Self {
        let kafka = format!("127.0.0.1:{}", free_port());
        let data = folder.join("A");
        let mut args = vec!["store", "--store-id", "A", "--kafka", &kafka];
        args.extend(["--witness-wait-ms", "0", "--data-dir", data.to_str().unwrap()]);
        args.extend(flags);
        let service = Service::start(&args, free_port(), &folder.join("log")).await;
        service.opened().await;
        let target = Self { service, client: Client::new() };
        target.sell().await;
        target
    }

    fn address(&self) -> SocketAddr {
        self.service.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// One command, which must be executed.
    async fn sell(&self) {
        let url = format!("{}/api/commands/inventory/adjust", self.service.url);
        let body = r#"{"storeId":"A","sku":"X","delta":1}"#;
        let request = self.client.post(url).header("content-type", "application/json").body(body);
        assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    }

    /// The median of what another caller waits for, who asks and sells all the time.
    async fn wait(&self) -> Duration {
        let item = format!("{}/api/query/inventory/store/A/X", self.service.url);
        let mut waits = Vec::new();
        for _ in 0..60 {
            let started = Instant::now();
            let answer = self.client.get(&item).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            answer.bytes().await.unwrap();
            self.sell().await;
            waits.push(started.elapsed());
        }
        waits.sort();
        waits[waits.len() / 2]
    }

    /// Most memory it ever had, in MiB.
    fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.service.pid()));
        let status = status.unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// A count that it tells.
    async fn count(&self, name: &str) -> u64 {
        let url = format!("{}/metrics", self.service.url);
        let text = self.client.get(url).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |count| count.trim().parse().unwrap())
    }
}

/// What others wait during a flood, beside what they waited before it. Below some milliseconds it is the
/// machine that is measured.
#[track_caller]
fn served_meanwhile(before: Duration, during: Duration) {
    let most = (before * 2).max(before + Duration::from_millis(20));
    assert!(during <= most, "others waited {during:?} instead of {before:?}");
}

/// Reads until the other side closes; gives what came.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut told = Vec::new();
    let read = tokio::time::timeout(CLOSED_WITHIN, stream.read_to_end(&mut told)).await;
    // A reset is a close, too.
    drop(read.expect("the service closes the connection"));
    told
}
