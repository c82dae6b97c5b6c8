//! Clients over HTTP/1.1 connections that stay open, each one request after the other.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::figures::{Sample, durations, note};

/// Load the bare HTTP route.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Args {
    /// Where it listens.
    #[arg(long)]
    at: SocketAddr,
    /// What is asked.
    #[arg(long)]
    what: What,
    /// Requests under way at the same time.
    #[arg(long)]
    clients: u32,
    /// Items that are asked for, by chance.
    #[arg(long)]
    items: u32,
    /// How long to measure.
    #[arg(long)]
    seconds: u64,
    /// How long to ask before, without measuring.
    #[arg(long)]
    warm_up: u64,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    Reserve,
    Read,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let from = Instant::now() + Duration::from_secs(args.warm_up);
    let until = from + Duration::from_secs(args.seconds);
    let mut clients = JoinSet::new();
    for number in 0..args.clients {
        clients.spawn(client(args, number, from, until));
    }
    let mut all = durations();
    while let Some(one) = clients.join_next().await {
        all.add(one.context("join a client")??)?;
    }
    let at = |quantile| all.value_at_quantile(quantile) as f64;
    let per_second = all.len() as f64 / args.seconds as f64;
    let sample = Sample { per_second, p50_us: at(0.5), p99_us: at(0.99) };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

/// One client; what is answered between `from` and `until` counts.
async fn client(
    args: Args,
    number: u32,
    from: Instant,
    until: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let stream = TcpStream::connect(args.at).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut measured = durations();
    for count in 0_u64.. {
        let request = request(args, number, count)?;
        let asked = Instant::now();
        ask(&mut sender, request).await?;
        let answered = Instant::now();
        if answered > until {
            break;
        }
        if answered > from {
            note(&mut measured, answered - asked);
        }
    }
    Ok(measured)
}

fn request(args: Args, number: u32, count: u64) -> anyhow::Result<Request<Full<Bytes>>> {
    let item = fastrand::u32(0..args.items);
    let request = match args.what {
        What::Read => {
            let request = Request::get(format!("/stock/ITEM-{item}"));
            request.header("host", "rivals").body(Full::default())
        }
        What::Reserve => {
            let order = format!("order-{number}-{count}");
            let body = format!(
                r#"{{"orderId":"{order}","lines":[{{"sku":"ITEM-{item}","quantity":1}}]}}"#
            );
            let request = Request::post("/reservations").header("host", "rivals");
            let request = request.header("content-type", "application/json");
            request.body(Full::new(Bytes::from(body)))
        }
    };
    request.context("make a request")
}

async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<()> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("answered {status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
