//! Processes of the program, killed when their test ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn onhand() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onhand"));
    command.env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    onhand().args(args).output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Ports in the range of these tests, each given out once.
pub(crate) fn free_port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(20_400);
    loop {
        let port = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

pub(crate) fn start(args: &[&str], log: &Path) -> Running {
    start_with(args, &[], log)
}

/// With variables.
pub(crate) fn start_with(args: &[&str], variables: &[(&str, String)], log: &Path) -> Running {
    let file = std::fs::File::create(log).unwrap();
    let variables = variables.iter().map(|(name, value)| (name, value));
    let mut command = onhand();
    command.args(args).envs(variables).stdout(Stdio::null()).stderr(file);
    Running { child: command.spawn().unwrap(), log: log.to_owned() }
}

impl Running {
    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        self.child.wait().unwrap();
    }

    pub(crate) async fn answers(&mut self, address: &str) {
        let deadline = Instant::now() + PATIENCE;
        while reqwest::get(format!("http://{address}/livez")).await.is_err() {
            let ended = self.child.try_wait().unwrap();
            let log = std::fs::read_to_string(&self.log).unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
