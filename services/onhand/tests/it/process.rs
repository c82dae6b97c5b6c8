//! Running `onhand` and a broker as processes that can be killed.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
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
    /// More of its environment.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) log: PathBuf,
    child: Child,
    pub(crate) url: String,
}

impl Service {
    /// Starts a command that listens; waits until it answers.
    pub(crate) async fn start(args: &[&str], port: u16, log: &Path) -> Self {
        Self::start_in(args, Vec::new(), port, log).await
    }

    /// The same, with more in its environment.
    pub(crate) async fn start_in(
        args: &[&str],
        env: Vec<(String, String)>,
        port: u16,
        log: &Path,
    ) -> Self {
        let mut service = Self::spawn(args, env, port, log);
        service.ready().await;
        service
    }

    /// The same behind TLS; this client waits until it answers.
    pub(crate) async fn start_behind(
        args: &[&str],
        client: &reqwest::Client,
        port: u16,
        log: &Path,
    ) -> Self {
        let mut service = Self::spawn(args, Vec::new(), port, log);
        let url = format!("https://127.0.0.1:{port}/livez");
        let child = std::cell::RefCell::new(&mut service.child);
        eventually("the service answers", async || {
            assert!(child.borrow_mut().try_wait().unwrap().is_none(), "see {}", log.display());
            client.get(&url).send().await.ok()
        })
        .await;
        service
    }

    fn spawn(args: &[&str], env: Vec<(String, String)>, port: u16, log: &Path) -> Self {
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
        let url = format!("http://127.0.0.1:{port}");
        let child = spawn(&args, &env, log);
        Self { args, env, log: log.to_owned(), child, url }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, then the same command again.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        self.start_again().await;
    }

    /// SIGKILL: no destructor runs, no buffer is flushed.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the same command again.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(&self.args, &self.env, &self.log);
        self.ready().await;
    }

    /// Starts the same command again; waits until it answers, or has refused to start and said why.
    pub(crate) async fn try_again(&mut self) -> Result<(), String> {
        let logged = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        self.child = spawn(&self.args, &self.env, &self.log);
        self.answers().await.map_err(|_status| {
            let log = std::fs::read(&self.log).unwrap();
            String::from_utf8_lossy(&log[usize::try_from(logged).unwrap()..]).into_owned()
        })
    }

    /// More flags from the next start on.
    pub(crate) fn also(&mut self, flags: &[&str]) {
        self.args.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// Waits until it ends by itself, which must be with an error; gives its last words.
    pub(crate) async fn ended(&mut self) -> String {
        let child = std::cell::RefCell::new(&mut self.child);
        let status = eventually("it ends", async || child.borrow_mut().try_wait().unwrap()).await;
        assert!(!status.success(), "it ended with {status}");
        let log = std::fs::read_to_string(&self.log).unwrap();
        log.lines().last().unwrap_or_default().to_owned()
    }

    /// SIGTERM, and waits until it has ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        signal("-TERM", self.child.id());
        let child = std::cell::RefCell::new(&mut self.child);
        eventually("it ends", async || child.borrow_mut().try_wait().unwrap()).await
    }

    /// SIGSTOP: it stands still, with its memory and its connections.
    pub(crate) fn freeze(&self) {
        freeze(self.child.id());
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        thaw(self.child.id());
    }

    /// Waits until it does its job: a store, until its journal is known to be whole.
    pub(crate) async fn opened(&self) {
        let url = format!("{}/readyz", self.url);
        eventually("the service is ready", async || {
            let answer = reqwest::get(&url).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    async fn ready(&mut self) {
        if let Err(status) = self.answers().await {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("the service ended with {status}:\n{log}");
        }
    }

    async fn answers(&mut self) -> Result<(), ExitStatus> {
        let url = format!("{}/livez", self.url);
        let child = std::cell::RefCell::new(&mut self.child);
        eventually("the service answers", async || {
            if let Some(status) = child.borrow_mut().try_wait().unwrap() {
                return Some(Err(status));
            }
            reqwest::get(&url).await.ok().map(|_| Ok(()))
        })
        .await
    }
}

/// SIGSTOP, and waits until it took.
pub(crate) fn freeze(process: u32) {
    signal("-STOP", process);
    let stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    };
    while !stopped() {
        std::thread::yield_now();
    }
}

/// SIGCONT.
pub(crate) fn thaw(process: u32) {
    signal("-CONT", process);
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").arg(name).arg(process.to_string()).status().unwrap();
    assert!(sent.success(), "kill {name} {process}");
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already gone when a test killed it.
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}

fn spawn(args: &[String], env: &[(String, String)], log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    onhand()
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)))
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
        if name.starts_with("ONHAND_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// A broker of this test's own, which it may kill.
pub(crate) struct Broker {
    port: u16,
    folder: PathBuf,
    /// More ports it serves on, each with the one it names to who comes that way.
    listeners: Vec<(u16, u16)>,
    pub(crate) address: String,
}

impl Broker {
    /// Starts one that serves on more ports than its own.
    pub(crate) fn start(folder: &Path, listeners: Vec<(u16, u16)>) -> Self {
        let (port, folder) = (free_port(), folder.to_owned());
        let mut broker = Self { port, folder, listeners, address: String::new() };
        broker.address = broker.script("start");
        broker
    }

    pub(crate) fn kill(&self) {
        self.script("kill");
    }

    pub(crate) fn start_again(&self) {
        self.script("start");
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        std::fs::read_to_string(self.folder.join("node1/pid")).unwrap().trim().parse().unwrap()
    }

    /// Ends it and destroys all it had; what starts anew is another cluster at the same address.
    pub(crate) fn lose_disk(&self) {
        self.kill();
        std::fs::remove_dir_all(&self.folder).unwrap();
        self.start_again();
    }

    fn script(&self, verb: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka");
        let output = Command::new(script)
            .arg(verb)
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(&self.folder)
            .args(self.listeners.iter().flat_map(|(port, advertised)| {
                ["--extra-listener".to_owned(), format!("{port}:{advertised}")]
            }))
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
