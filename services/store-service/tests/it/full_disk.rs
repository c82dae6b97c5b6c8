//! A disk that is full: no sale is acknowledged that is not on it, reads go on, and none is lost.
//!
//! A disk that can be filled is a small tmpfs. The test runs itself again in a mount namespace of its
//! own, where it may mount one: as root, or where unprivileged user namespaces are allowed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use event_log::MemoryLog;
use serde_json::json;
use store_service::journal;
use test_support::eventually_async;

use crate::support::{
    ADJUST, DEADLINE, Setup, TestStore, Topic, adjust, check_problem, replace, topics, with,
};

/// A folder on a file system of a few megabytes, for machines that let no test mount one.
const SMALL_DISK: &str = "ONHAND_TEST_SMALL_DISK";
const MOUNT: &str = "mount -t tmpfs -o size=6m tmpfs \"$1\" && shift && exec \"$@\"";

#[test]
fn a_full_disk_refuses_sales_and_loses_none() {
    if let Some(folder) = std::env::var_os(SMALL_DISK) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::TempDir::new_in(folder).unwrap();
        runtime.block_on(fill(folder.path()));
    } else {
        on_a_small_disk("full_disk::a_full_disk_refuses_sales_and_loses_none");
    }
}

/// Runs one test of this binary again, on a small disk of its own.
fn on_a_small_disk(test: &str) {
    let folder = tempfile::TempDir::new().unwrap();
    let in_namespace = |options: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(options).args(["sh", "-c", MOUNT, "sh"]).arg(folder.path());
        command
    };
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let works = |options: &&&[&str]| {
        let tried = in_namespace(options).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let options = ways.iter().find(works).unwrap_or_else(|| {
        panic!(
            "no small disk to fill: run as root, allow user namespaces, or mount one and name it: \
             mount -t tmpfs -o size=6m tmpfs FOLDER; {SMALL_DISK}=FOLDER"
        )
    });
    let ran = in_namespace(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(SMALL_DISK, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    println!("{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "on the small disk: see above");
}

/// Takes all the room there is but this much.
fn take_room(folder: &Path, leave: usize) -> PathBuf {
    let path = folder.join("ballast");
    let mut ballast = Vec::new();
    while fs::write(&path, &ballast).is_ok() {
        ballast.resize(ballast.len() + 64 * 1024, 0);
    }
    ballast.truncate(ballast.len().saturating_sub(leave + 64 * 1024));
    fs::write(&path, ballast).unwrap();
    path
}

fn sale(n: u64) -> serde_json::Value {
    with(adjust("X", -1), json!({"commandId": format!("sale-{n}")}))
}

/// Sells until the disk is full, and gives the number of the sale that was refused.
async fn sell_out_of_room(store: &TestStore, first: u64) -> u64 {
    for n in first.. {
        let reply = store.post(ADJUST, &sale(n)).await;
        if reply.status != 200 {
            let problem = reply.problem(507, "storage_full");
            assert!(problem["detail"].as_str().unwrap().contains("nothing was written"));
            return n;
        }
    }
    unreachable!("the disk is small");
}

async fn fill(folder: &Path) {
    let log = MemoryLog::default();
    let setup = Setup::with_log(log.clone()).in_folder(folder.join("A"));
    let store = setup.start().await;
    store.replace("X", 1_000_000).await;

    let mut next = 1;
    for round in 1..=3 {
        let ballast = take_room(folder, 200 * 1024);
        next = sell_out_of_room(&store, next).await;
        println!("round {round}: sale {next} was refused");
        refused_and_readable(&store, next).await;
        next = not_ready(&store, &log, next).await;
        fs::remove_file(ballast).unwrap();
        // There is room again, which is noticed without a sale. The refused one is made, as no repeat.
        eventually_async("it is ready", DEADLINE, async || {
            (store.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        let made = store.post(ADJUST, &sale(next)).await;
        assert_eq!(made.accepted()["onHand"], 1_000_000 - next);
        assert!(!made.is_replayed());
        next += 1;
    }
    let sold = next - 1;
    complete(&store, sold).await;

    // A restart on a full disk either works or says what is wrong; afterwards all is there.
    let setup = store.stop().await;
    let ballast = take_room(folder, 0);
    let on_full = journal::Journal::open(&folder.join("A"), &crate::support::store_id(), |_| {});
    match on_full {
        Ok(journal) => assert_eq!(journal.head().sequence.get(), sold + 1),
        Err(error) => assert!(error.to_string().contains("full"), "{error}"),
    }
    fs::remove_file(ballast).unwrap();
    let store = setup.start().await;
    complete(&store, sold).await;
    for n in 1..=sold {
        assert!(store.post(ADJUST, &sale(n)).await.is_replayed(), "sale {n} is not forgotten");
    }
    eventually_async("everything is published", DEADLINE, async || {
        let published = Topic::read(&log, &topics().stock_events());
        (published.len() >= usize::try_from(sold + 1).unwrap()).then_some(())
    })
    .await;
    let folder = store.folder().to_owned();
    store.stop().await;
    assert_eq!(journal::verify(&folder).unwrap().1.sequence.get(), sold + 1);
}

/// Nothing of what is refused is done, and everything can be read.
async fn refused_and_readable(store: &TestStore, refused: u64) {
    let head = store.head().await;
    assert_eq!(head, refused, "the count, and the sales before the refused one");
    // More than a log that starts over could hold. A smaller one may find a place, and is then made.
    let lines = format!("{}\n", replace("Y", 1)).repeat(8_000);
    for result in store.batch(&lines, &[]).await {
        check_problem(&result["problem"], 507, "storage_full");
    }
    let on_hand = 1_000_000 - i64::try_from(refused).unwrap() + 1;
    assert_eq!(store.item("X").await, (on_hand, i64::try_from(refused).unwrap()));
    assert_eq!(store.item("Y").await, (0, 0));
    let history = store.get("/api/query/inventory/store/A/X/events?limit=1000").await.accepted();
    assert_eq!(
        history["events"].as_array().unwrap().len(),
        usize::try_from(refused.min(1_000)).unwrap()
    );
    assert_eq!(store.head().await, head);
    assert_eq!(store.get("/livez").await.status, 200);
}

/// Whoever sends it customers is told, for as long as it lasts. A sale may find a last place, so sell
/// until none is left.
async fn not_ready(store: &TestStore, log: &MemoryLog, first: u64) -> u64 {
    let heartbeats = || Topic::read(log, &topics().heartbeats()).len();
    let mut next = first;
    let ready = eventually_async("it says that it cannot sell", DEADLINE, async || {
        next = sell_out_of_room(store, next).await;
        let before = heartbeats();
        eventually_async("some heartbeats", DEADLINE, async || {
            (heartbeats() >= before + 3).then_some(())
        })
        .await;
        let ready = store.get("/readyz?verbose").await;
        (ready.status == 503).then_some(ready)
    })
    .await;
    assert!(ready.text().contains("[-] journal failed: the disk is full"), "{}", ready.text());
    next
}

async fn complete(store: &TestStore, sold: u64) {
    let sold = i64::try_from(sold).unwrap();
    assert_eq!(store.item("X").await, (1_000_000 - sold, sold + 1));
}
