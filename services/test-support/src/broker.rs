//! One real Apache Kafka for all tests of a machine, and topic names that keep them apart.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Names a broker that is already there, `host:port[,host:port…]`.
const VARIABLE: &str = "ONHAND_TEST_KAFKA";
/// As in `scripts/test`, which stops the broker afterwards.
const PORT: &str = "19092";
const FOLDER: &str = "target/kafka/tests";

/// An address at which no broker answers: connections are refused.
pub const AWAY: &str = "127.0.0.1:1";

/// Address of a real Apache Kafka: that in `ONHAND_TEST_KAFKA`, else one that `scripts/kafka` starts
/// unless it runs already. It goes on running for the next test; `scripts/kafka stop` ends it.
///
/// # Panics
/// When there is none and none can be started, with what the script said.
#[must_use]
#[expect(clippy::panic, reason = "there is nobody to hand the reason to")]
pub fn kafka() -> String {
    // A failure too: one start that cannot work is enough.
    static ADDRESS: OnceLock<Result<String, String>> = OnceLock::new();
    match ADDRESS.get_or_init(|| std::env::var(VARIABLE).or_else(|_unset| start())) {
        Ok(address) => address.clone(),
        Err(reason) => panic!("{reason}"),
    }
}

fn start() -> Result<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let started = Command::new(root.join("scripts/kafka"))
        .args(["start", "--port", PORT, "--dir"])
        .arg(root.join(FOLDER))
        .output()
        .expect("scripts/kafka can be run");
    if !started.status.success() {
        let said = String::from_utf8_lossy(&started.stderr);
        return Err(format!("no Apache Kafka to test with; {VARIABLE} can name one. {said}"));
    }
    Ok(String::from_utf8_lossy(&started.stdout).trim().to_owned())
}

/// A topic prefix that no other test has, of this run or an earlier one on the same broker.
#[must_use]
pub fn unique_prefix(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("t{}-{}-{count}-{name}.", std::process::id(), since.as_millis())
}
