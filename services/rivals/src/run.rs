//! All measurements, in rounds, and what is said of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_postgres::{Client, NoTls};

use crate::figures::{Figure, Sample, of_load, table};
use crate::machine::Hardware;
use crate::pgbench::Load;
use crate::poll::{self, Staleness};
use crate::serve::database;

/// Items of the spread load.
const ITEMS: u32 = 10_000;
/// Between two polls of the copy that is measured, and of the one that is computed.
const POLL_EVERY: Duration = Duration::from_secs(1);
const SHOPS_POLL_EVERY: Duration = Duration::from_secs(900);
/// Settings that decide what is measured; they are reported as PostgreSQL has them.
const SETTINGS: &str = "
    SELECT name, current_setting(name) FROM pg_settings
    WHERE name IN ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes',
        'wal_sync_method', 'wal_level', 'commit_delay', 'shared_buffers', 'max_wal_size',
        'checkpoint_timeout', 'autovacuum', 'data_checksums', 'jit')";

/// Measure everything against a running PostgreSQL, and print a table.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of PostgreSQL's socket.
    #[arg(long)]
    postgres: PathBuf,
    /// Folder of the SQL files.
    #[arg(long)]
    sql: PathBuf,
    /// Folder for what is written meanwhile.
    #[arg(long)]
    scratch: PathBuf,
    /// How long each part is measured.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,
    /// Requests under way at the same time; one is measured, too.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    clients: u32,
    /// Connections of the pool behind the HTTP route.
    #[arg(long)]
    pool: usize,
    /// Where the figures go for machines.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What a load speaks to.
#[derive(Debug, Clone, Copy)]
enum Through {
    /// pgbench, with this script.
    Wire(&'static str),
    /// The HTTP route.
    Http(&'static str),
}

/// One load.
#[derive(Debug, Clone)]
struct Part {
    name: &'static str,
    through: Through,
    items: u32,
    clients: u32,
}

/// Everything that was measured, with what it was measured on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(with = "time::serde::rfc3339")]
    date: OffsetDateTime,
    hardware: Hardware,
    settings: BTreeMap<String, String>,
    seconds: u64,
    rounds: u64,
    figures: Vec<Figure>,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let client = prepare(&args).await?;
    let server = Server::start(&args).await?;
    let parts = parts(args.clients);
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); parts.len()];
    let mut copies = Vec::new();
    // In turn, so that a bad minute of the machine does not meet one of them alone.
    for round in 1..=args.rounds {
        for (part, samples) in parts.iter().zip(&mut samples) {
            eprintln!("round {round} of {}: {}, {} clients", args.rounds, part.name, part.clients);
            clear(&client).await?;
            let sample = measure(&args, part, server.address).await;
            samples.push(sample.with_context(|| part.name)?);
            check(&client).await?;
        }
        eprintln!("round {round} of {}: copy by polling", args.rounds);
        copies.push(poll::measure(&args.postgres, POLL_EVERY, args.seconds.max(5)).await?);
    }
    drop(server);
    let mut figures = Vec::new();
    for (part, samples) in parts.iter().zip(&samples) {
        figures.extend(of_load(part.name, part.clients, samples));
    }
    figures.extend(of_copies("copy.every1s", &copies));
    let computed = copies.iter().map(|copy| Staleness::computed(SHOPS_POLL_EVERY, copy.poll));
    figures.extend(of_copies("copy.every900s.computed", &computed.collect::<Vec<_>>()));
    report(&args, &client, figures).await
}

fn parts(clients: u32) -> Vec<Part> {
    let part = |name, through, items, clients| Part { name, through, items, clients };
    let mut parts = Vec::new();
    for clients in [1, clients] {
        let reserve = Through::Wire("reserve.sql");
        let locked = Through::Wire("reserve_locked.sql");
        parts.extend([
            part("reserve.raw.hot", reserve, 1, clients),
            part("reserve.raw.spread", reserve, ITEMS, clients),
            part("reserve.locked.hot", locked, 1, clients),
            part("reserve.locked.spread", locked, ITEMS, clients),
            part("reserve.http.hot", Through::Http("reserve"), 1, clients),
            part("reserve.http.spread", Through::Http("reserve"), ITEMS, clients),
            part("read.raw", Through::Wire("read.sql"), ITEMS, clients),
            part("read.http", Through::Http("read"), ITEMS, clients),
        ]);
    }
    parts
}

fn of_copies(name: &str, copies: &[Staleness]) -> [Figure; 4] {
    let figure = |what: &str, value: fn(&Staleness) -> f64| {
        Figure::new(format!("{name}.{what}"), 1, "ms", copies.iter().map(value).collect())
    };
    [
        figure("p50", |copy| copy.p50),
        figure("p99", |copy| copy.p99),
        figure("max", |copy| copy.max),
        figure("poll", |copy| copy.poll),
    ]
}

async fn prepare(args: &Args) -> anyhow::Result<Client> {
    let mut config = database(&args.postgres);
    let (client, connection) = config.dbname("postgres").connect(NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("CREATE DATABASE rivals").await?;
    let (client, connection) = database(&args.postgres).connect(NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(&fs::read_to_string(args.sql.join("schema.sql"))?).await?;
    client.batch_execute("VACUUM ANALYZE").await?;
    Ok(client)
}

/// Begins each part alike: no ledger, nothing reserved, nothing that a checkpoint has to write meanwhile.
async fn clear(client: &Client) -> anyhow::Result<()> {
    client
        .batch_execute("TRUNCATE reservation; UPDATE stock SET reserved = 0 WHERE reserved > 0")
        .await?;
    client.batch_execute("VACUUM ANALYZE stock").await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(())
}

/// What is compared has to be right: each unit that is reserved is in the ledger.
async fn check(client: &Client) -> anyhow::Result<()> {
    let sums = "SELECT (SELECT sum(reserved) FROM stock)::bigint,
        (SELECT coalesce(sum(quantity), 0) FROM reservation)::bigint";
    let row = client.query_one(sums, &[]).await?;
    let (reserved, ledger): (i64, i64) = (row.get(0), row.get(1));
    ensure!(reserved == ledger, "{reserved} units are reserved, and {ledger} are in the ledger");
    Ok(())
}

async fn measure(args: &Args, part: &Part, address: SocketAddr) -> anyhow::Result<Sample> {
    let (seconds, warm_up) = (args.seconds, 1);
    match part.through {
        Through::Wire(script) => {
            let (socket, scratch) = (args.postgres.as_path(), args.scratch.as_path());
            let (script, clients, items) = (&args.sql.join(script), part.clients, part.items);
            Load { socket, scratch, script, clients, items, seconds, warm_up }.measure().await
        }
        Through::Http(what) => {
            let mut load = Command::new(std::env::current_exe()?);
            load.args(["load", "--what", what]).arg(format!("--at={address}"));
            load.arg(format!("--clients={}", part.clients)).arg(format!("--items={}", part.items));
            load.arg(format!("--seconds={seconds}")).arg(format!("--warm-up={warm_up}"));
            let done = load.kill_on_drop(true).stderr(Stdio::inherit()).output().await?;
            ensure!(done.status.success(), "the clients failed");
            Ok(serde_json::from_slice(&done.stdout)?)
        }
    }
}

/// The bare HTTP route, in a process of its own, which ends with its input.
struct Server {
    address: SocketAddr,
    _process: Child,
}

impl Server {
    async fn start(args: &Args) -> anyhow::Result<Self> {
        let mut serve = Command::new(std::env::current_exe()?);
        serve.arg("serve").arg("--postgres").arg(&args.postgres);
        serve.arg(format!("--pool={}", args.pool)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = serve.spawn().context("start the HTTP route")?;
        let told = process.stdout.take().context("what it prints")?;
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line).await?;
        let address = line.trim().parse().context("where the HTTP route listens")?;
        Ok(Self { address, _process: process })
    }
}

async fn report(args: &Args, client: &Client, figures: Vec<Figure>) -> anyhow::Result<()> {
    let rows = client.query(SETTINGS, &[]).await?;
    let mut settings: BTreeMap<String, String> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    settings.insert("pool".to_owned(), args.pool.to_string());
    settings.insert("connections".to_owned(), "unix socket".to_owned());
    let date = OffsetDateTime::now_utc().replace_nanosecond(0)?;
    let hardware = Hardware::here(&args.scratch);
    print!("{}", table(&figures));
    println!("PostgreSQL {}", settings.get("server_version").map_or("", String::as_str));
    println!("{}, {} cores, {}", hardware.cpu, hardware.cores, hardware.file_system);
    if let Some(file) = &args.json {
        let (seconds, rounds) = (args.seconds, args.rounds);
        let report = Report { date, hardware, settings, seconds, rounds, figures };
        write(file, &report)?;
    }
    Ok(())
}

fn write(file: &Path, report: &Report) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}
