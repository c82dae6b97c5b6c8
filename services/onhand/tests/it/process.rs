//! Running `onhand` and a broker as processes that can be killed.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none within [`PATIENCE`].
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A port nobody uses.
pub(crate) fn free_port() -> u16 {
    free_ports(1)
}

/// The first of so many ports in a row that nobody uses. None is given out twice, and all lie below
/// those the system gives to outgoing connections: a killed service must find its port again.
pub(crate) fn free_ports(count: u16) -> u16 {
    static NEXT: LazyLock<Mutex<u16>> = LazyLock::new(|| Mutex::new(fastrand::u16(20_000..30_000)));
    let mut next = NEXT.lock().unwrap();
    loop {
        let first = *next;
        *next = first + count;
        if (first..*next).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

/// A running `onhand`, killed when dropped.
pub(crate) struct Service {
    args: Vec<String>,
    log: PathBuf,
    child: Child,
    pub(crate) url: String,
}

impl Service {
    /// Starts a command that listens; waits until it answers.
    pub(crate) async fn start(args: &[&str], port: u16, log: &Path) -> Self {
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
        let url = format!("http://127.0.0.1:{port}");
        let child = spawn(&args, log);
        let mut service = Self { args, log: log.to_owned(), child, url };
        service.ready().await;
        service
    }

    /// SIGKILL, then the same command again.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        self.child = spawn(&self.args, &self.log);
        self.ready().await;
    }

    /// SIGKILL: no destructor runs, no buffer is flushed.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the same command again.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(&self.args, &self.log);
        self.ready().await;
    }

    async fn ready(&mut self) {
        let url = format!("{}/livez", self.url);
        let log = self.log.clone();
        let child = std::cell::RefCell::new(&mut self.child);
        eventually("the service answers", async || {
            if let Some(status) = child.borrow_mut().try_wait().unwrap() {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("the service ended with {status}:\n{log}");
            }
            reqwest::get(&url).await.ok()
        })
        .await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already gone when a test killed it.
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}

fn spawn(args: &[String], log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    onhand()
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A process that does not outlive its test, however that ends.
pub(crate) struct Guarded(pub(crate) Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // Already gone when the test ended it.
        self.0.kill().unwrap_or_default();
        self.0.wait().unwrap();
    }
}

/// The program, without whatever the environment says about it.
pub(crate) fn onhand() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onhand"));
    for (name, _) in std::env::vars() {
        if name.starts_with("ONHAND_") {
            command.env_remove(name);
        }
    }
    command
}

/// A broker of this test's own, which it may kill.
pub(crate) struct Broker {
    port: u16,
    folder: PathBuf,
    pub(crate) address: String,
}

impl Broker {
    pub(crate) fn start(folder: &Path) -> Self {
        let mut broker =
            Self { port: free_port(), folder: folder.to_owned(), address: String::new() };
        broker.address = broker.script("start");
        broker
    }

    pub(crate) fn kill(&self) {
        self.script("kill");
    }

    pub(crate) fn start_again(&self) {
        self.script("start");
    }

    fn script(&self, verb: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka");
        let output = Command::new(script)
            .arg(verb)
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(&self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/kafka {verb}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.script("kill");
    }
}
