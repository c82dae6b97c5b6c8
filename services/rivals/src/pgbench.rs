//! PostgreSQL's own load generator, over its own wire.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::figures::{Sample, durations, note};

/// A script of pgbench under load.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// Folder of the server's socket.
    pub socket: &'a Path,
    /// Folder for its logs.
    pub scratch: &'a Path,
    /// What each transaction does.
    pub script: &'a Path,
    pub clients: u32,
    /// Items that are asked for, by chance.
    pub items: u32,
    pub seconds: u64,
    pub warm_up: u64,
}

impl Load<'_> {
    /// Warms up, then measures.
    pub async fn measure(&self) -> anyhow::Result<Sample> {
        if self.warm_up > 0 {
            self.pgbench(self.warm_up, None).await?;
        }
        let logs = self.scratch.join("pgbench");
        fs::create_dir_all(&logs)?;
        let told = self.pgbench(self.seconds, Some(&logs.join("log"))).await?;
        let rate = told.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate =
            rate.and_then(|rest| rest.split(' ').next()).context("pgbench tells its rate")?;
        let mut all = durations();
        for log in fs::read_dir(&logs)? {
            for line in fs::read_to_string(log?.path())?.lines() {
                // client, number, microseconds, script, time, its microseconds
                let micros = line.split(' ').nth(2).context("a line of pgbench's log")?;
                note(&mut all, Duration::from_micros(micros.parse().context(line.to_owned())?));
            }
        }
        fs::remove_dir_all(&logs)?;
        let at = |quantile| all.value_at_quantile(quantile) as f64;
        Ok(Sample { per_second: rate.parse()?, p50_us: at(0.5), p99_us: at(0.99) })
    }

    async fn pgbench(&self, seconds: u64, log: Option<&Path>) -> anyhow::Result<String> {
        let mut pgbench = Command::new("pgbench");
        pgbench.args(["--no-vacuum", "--protocol=prepared", "--username=postgres"]);
        pgbench.arg("--host").arg(self.socket).arg("--file").arg(self.script);
        pgbench.arg(format!("--time={seconds}")).arg(format!("--client={}", self.clients));
        // More threads than the machine has cores would only take turns.
        pgbench.arg(format!("--jobs={}", self.clients.min(2)));
        pgbench.arg(format!("--define=items={}", self.items));
        if let Some(log) = log {
            pgbench.arg("--log").arg("--log-prefix").arg(log);
        }
        let done = pgbench.arg("rivals").stdin(Stdio::null()).kill_on_drop(true).output().await;
        let done = done.context("start pgbench")?;
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "pgbench failed: {complaint}");
        Ok(told)
    }
}
