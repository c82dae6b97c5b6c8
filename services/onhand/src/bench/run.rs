//! What all measurements of a run share: the broker, a folder on the disk to be measured, the bounds.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use event_log::KafkaLog;
use service_kit::clock;
use shared_events::topic::{TopicSpec, Topics};
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::limits::broker::Hop;
use super::load::{Load, Next, Pace};
use super::process::Process;
use super::{Args, QUICK_PART, QUICK_TIME};
use crate::cli::Broker;

/// How long the broker is kept busy before anything counts.
const WARM_UP: Duration = Duration::from_secs(15);

pub(super) struct Run {
    pub(super) log: Arc<KafkaLog>,
    pub(super) cores: usize,
    /// Of one figure in one round.
    pub(super) time: Duration,
    pub(super) rounds: u16,
    pub(super) clients: u16,
    pub(super) stop: CancellationToken,
    pub(super) rivals: Option<PathBuf>,
    /// Sales of a whole chain, to be replayed.
    pub(super) sales: Option<PathBuf>,
    quick: bool,
    broker: Broker,
    /// What all topics of this run begin with, behind the caller's prefix.
    name: String,
    folder: TempDir,
    parts: AtomicUsize,
}

/// One chain's topics and folder, nobody else's.
pub(super) struct Part {
    pub(super) topics: Topics,
    pub(super) folder: PathBuf,
    /// What a service of this program needs to be told about the broker.
    pub(super) flags: Vec<OsString>,
}

impl Run {
    pub(super) fn open(args: &Args, stop: CancellationToken) -> anyhow::Result<Self> {
        let log = args.broker.log().map_err(anyhow::Error::msg)?;
        let folder = match &args.data_dir {
            Some(parent) => tempfile::tempdir_in(parent),
            None => tempfile::tempdir(),
        };
        Ok(Self {
            log,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            time: if args.quick { QUICK_TIME } else { Duration::from_secs(args.seconds) },
            rounds: if args.quick { 1 } else { args.rounds },
            clients: args.clients,
            stop,
            rivals: args.rivals.clone(),
            sales: args.sales.clone(),
            quick: args.quick,
            broker: args.broker.clone(),
            name: format!("bench-{}-", clock::unix_millis()),
            folder: folder.context("make a folder for the run")?,
            parts: AtomicUsize::new(0),
        })
    }

    /// Sends records there and back for a while: a broker that has just been started compiles what it runs
    /// meanwhile, on the cores that are measured.
    pub(super) async fn warm_up(&self) -> anyhow::Result<()> {
        if self.quick {
            return Ok(());
        }
        let (log, topic) = (Arc::clone(&self.log), self.bare_topic());
        self.blocking(move || Hop::open(log.as_ref(), &topic)?.many(WARM_UP)).await
    }

    /// A size, or a twentieth of it in a quick run.
    pub(super) const fn sized(&self, full: u64) -> u64 {
        if self.quick { full / QUICK_PART } else { full }
    }

    /// Topics and a folder of their own.
    pub(super) fn part(&self) -> anyhow::Result<Part> {
        let name = format!("{}{}.", self.name, self.parts.fetch_add(1, Ordering::Relaxed));
        let folder = self.folder.path().join(&name);
        std::fs::create_dir(&folder).context("make a folder for a part")?;
        Ok(Part {
            topics: self.broker.topics_under(&name),
            folder,
            flags: self.broker.flags(&name),
        })
    }

    /// A topic of one partition for bare records.
    pub(super) fn bare_topic(&self) -> TopicSpec {
        let name = format!("{}bare-{}", self.name, self.parts.fetch_add(1, Ordering::Relaxed));
        let policies = self.broker.topics_under("").policies();
        TopicSpec { name: name + ".records", settings: &[("cleanup.policy", "delete")], ..policies }
    }

    /// Clients that send as soon as they are answered.
    pub(super) fn load(&self, service: &Process, clients: u16, next: Next) -> Load {
        let (address, time, stop) = (service.address, self.time, self.stop.clone());
        Load { address, next, heard: None, clients, pace: Pace::Closed, time, stop }
    }

    /// Ends work between two steps.
    pub(super) fn go_on(&self) -> anyhow::Result<()> {
        ensure!(!self.stop.is_cancelled(), "interrupted");
        Ok(())
    }

    /// Runs work that blocks.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        spawn_blocking(work).await.context("join work that blocks")?
    }

    /// Removes what was made on the broker; the folder goes by itself.
    pub(super) async fn close(&self) -> anyhow::Result<()> {
        let log = Arc::clone(&self.log);
        let prefix = self.broker.naming.under(&self.name);
        let removed = spawn_blocking(move || log.delete_topics(&prefix)).await;
        removed.context("join")?.context("remove this run's topics")
    }
}
