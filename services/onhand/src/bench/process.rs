//! Services as processes of their own, and what they use.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::load::{Asked, connect, send};

/// How long a service may take to be ready; a long journal is read first.
const READY_WITHIN: Duration = Duration::from_secs(300);
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A running service of this program.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) address: SocketAddr,
    name: String,
    child: Child,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    /// Time on all cores.
    pub(super) cpu: Duration,
    /// Memory that is there now, in bytes.
    pub(super) resident: u64,
}

impl Process {
    /// Starts this program with a command line, and waits until it is ready. Variables of the caller's
    /// own service do not reach it, but for those of the broker.
    pub(super) async fn start(name: &str, arguments: &[OsString]) -> anyhow::Result<Self> {
        let process = Self::spawn(name, arguments)?;
        process.ready().await
    }

    fn spawn(name: &str, arguments: &[OsString]) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = this_program(arguments)?;
        command.arg("--listen").arg(address.to_string()).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { address, name: name.to_owned(), child })
    }

    async fn ready(mut self) -> anyhow::Result<Self> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(ended) = self.child.try_wait()? {
                bail!("{} ended before it was ready: {ended}", self.name);
            }
            if self.ask("/readyz").await.is_ok() {
                return Ok(self);
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {READY_WITHIN:?}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks once, on a connection of its own.
    pub(super) async fn ask(&self, path: &str) -> anyhow::Result<String> {
        let mut connection = connect(self.address).await?;
        let answer = send(&mut connection, self.address, Asked::get(path)).await?;
        String::from_utf8(answer.to_vec()).context("an answer is text")
    }

    /// Waits until an answer is what is waited for.
    pub(super) async fn wait_for(
        &self,
        path: &str,
        within: Duration,
        enough: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let answer = self.ask(path).await;
            if answer.as_deref().is_ok_and(&enough) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} did not come that far within {within:?}; {path}: {answer:?}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it has used, where the system tells.
    pub(super) fn used(&self) -> Option<Used> {
        used(self.child.id()?)
    }

    /// The most memory it has had, in MiB, where the system tells.
    pub(super) fn peak_mib(&self) -> Option<f64> {
        peak_mib(&self.child.id()?.to_string())
    }

    /// Ends it as an operator would, and waits for it.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let id = rustix::process::Pid::from_raw(id).context("a process has a number")?;
            rustix::process::kill_process(id, rustix::process::Signal::TERM)
                .with_context(|| format!("stop {}", self.name))?;
        }
        let ended = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        ended.with_context(|| format!("{} does not stop", self.name))??;
        Ok(())
    }
}

/// This program with a command line, not started yet.
fn this_program(arguments: &[OsString]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("find this program")?);
    let own = |name: &str| name.starts_with("ONHAND_") && !name.starts_with("ONHAND_KAFKA");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(own) {
            command.env_remove(name);
        }
    }
    command.args(["--log", "error"]).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// Runs a command of this program until it ends by itself, which has to be a success. Gives the most
/// memory it had, in MiB, where the system tells.
pub(super) async fn run_to_end(
    name: &str,
    arguments: &[OsString],
    within: Duration,
    stop: &CancellationToken,
) -> anyhow::Result<Option<f64>> {
    let mut command = this_program(arguments)?;
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = output.spawn().with_context(|| format!("start {name}"))?;
    let id = child.id().map(|id| id.to_string()).unwrap_or_default();
    let mut ended = std::pin::pin!(child.wait_with_output());
    let (deadline, mut peak) = (Instant::now() + within, None);
    let output = loop {
        tokio::select! {
            output = &mut ended => break output.with_context(|| format!("wait for {name}"))?,
            () = stop.cancelled() => bail!("interrupted"),
            // What it had at its end is not told any more: looked at meanwhile.
            () = tokio::time::sleep(Duration::from_millis(100)) => peak = peak_mib(&id).or(peak),
        }
        ensure!(Instant::now() < deadline, "{name} has not ended within {within:?}");
    };
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = told.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{name} failed with {}: {}", output.status, last.join("\n"));
    }
    Ok(peak)
}

fn peak_mib(process: &str) -> Option<f64> {
    Some(kib(&Path::new("/proc").join(process), "VmHWM:")? as f64 / 1_024.0)
}

/// A line of a process's status.
fn kib(folder: &Path, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Cores' seconds for a million operations between two looks; `None` where the system does not tell.
pub(super) fn cpu_per_million(
    before: Option<Used>,
    after: Option<Used>,
    count: f64,
) -> Option<f64> {
    let used = after?.cpu.saturating_sub(before?.cpu);
    (count > 0.0).then(|| used.as_secs_f64() * 1e6 / count)
}

impl Used {
    /// Resident memory in MiB.
    pub(super) fn resident_mib(self) -> f64 {
        self.resident as f64 / f64::from(1 << 20)
    }
}

/// What a process has used, from /proc; `None` elsewhere.
fn used(id: u32) -> Option<Used> {
    let folder = Path::new("/proc").join(id.to_string());
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // The name, in parentheses, may have spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let second = rustix::param::clock_ticks_per_second().max(1);
    let cpu = Duration::from_millis((user + system) * 1_000 / second);
    Some(Used { cpu, resident: kib(&folder, "VmRSS:")? * 1_024 })
}

/// Time that all cores of the machine have worked, for whomever; `None` where the system does not tell.
pub(super) fn machine() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .map_while(|field| field.parse().ok())
        .collect();
    // Fields: user, nice, system, idle, waiting for the disk, interrupts, soft ones, stolen.
    let [user, nice, system, _idle, _waiting, interrupts, soft, ..] = *ticks.as_slice() else {
        return None;
    };
    let second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis((user + nice + system + interrupts + soft) * 1_000 / second))
}

/// An address nobody listens on, for a service that is started at once.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?)
}

/// Bytes on disk in a folder and below it.
pub(super) fn bytes_in(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
