//! Journals that are copied, lost and restored: only one is written, and what is lost is counted.

use std::fs;
use std::path::Path;
use std::time::Instant;

use reqwest::Client;
use serde_json::json;

use super::central::post;
use super::drill::{Drill, s};
use super::topics::{cut, written};
use crate::chain::{recover, verify, verify_at};
use crate::process::{Service, eventually, free_port, onhand};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_copies_of_a_journal_the_one_with_the_later_life_goes_on() {
    let mut drill = Drill::start("two-copies", &[]).await;
    drill.sell();
    drill.sold(200).await;
    drill.close_tills().await;
    drill.chain.converged().await;
    let journal = drill.chain.journal("north");
    let copied = journal.with_file_name("north-copy");
    copy(&journal, &copied);
    let log = journal.with_file_name("north-copy.log");
    let started = Instant::now();
    let args = ["store", "--store-id", "north", "--heartbeat-ms", "200", "--kafka"];
    let place = [&drill.chain.broker.address[..], "--data-dir", copied.to_str().unwrap()];
    let mut second = Service::start(&[&args[..], &place[..]].concat(), free_port(), &log).await;
    second.opened().await;
    drill.say(format!("a copy of north's running journal is open after {}", s(started)));
    let told = drill.chain.store("north").ended().await;
    drill.say(format!("the first one ended {} after the copy started: {told}", s(started)));
    assert!(told.contains("another copy of this journal is written"), "{told}");
    let sold = json!({"storeId": "north", "sku": "AFTER", "delta": 7});
    let url = format!("{}/api/commands/inventory/adjust", second.url);
    let (status, answer) = post(&url, &sold).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    // The copy is the journal now.
    second.kill();
    fs::remove_dir_all(&journal).unwrap();
    fs::rename(&copied, &journal).unwrap();
    drill.chain.store("north").start_again().await;
    drill.chain.store("north").opened().await;
    drill.fresh_again("north", Instant::now(), "the copy took its place").await;
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_starts_on_an_empty_disk_gets_everything_back_before_it_sells() {
    let mut drill = Drill::start("empty-disk", &[]).await;
    drill.sell();
    drill.sold(400).await;
    drill.close_tills().await;
    drill.chain.converged().await;
    drill.chain.store("north").kill();
    fs::remove_dir_all(drill.chain.journal("north")).unwrap();
    let started = Instant::now();
    drill.chain.store("north").start_again().await;
    drill.chain.store("north").opened().await;
    let url = drill.chain.store("north").url.clone();
    let came_back = drill.chain.metric(&url, "onhand_store_refilled_events_total").await;
    assert!(came_back > 0);
    drill.say(format!("{came_back} events came back, {} after it started", s(started)));
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_under_load_is_whole_and_loses_nothing_when_it_is_restored() {
    let mut drill = Drill::start("backup", &[]).await;
    drill.sell();
    drill.sold(200).await;
    let (journal, file) = (drill.chain.journal("north"), drill.chain.journal("north.backup"));
    let backup = |file: &Path| {
        let mut command = onhand();
        command.args(["store", "backup", "--data-dir"]).arg(&journal).arg(file);
        command.output().unwrap()
    };
    let taken = backup(&file);
    assert!(taken.status.success(), "{taken:?}");
    drill.say(String::from_utf8(taken.stdout).unwrap().trim());
    let again = backup(&file);
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && said.contains("never overwrites"), "{said}");
    drill.sold(400).await;
    drill.close_tills().await;
    drill.chain.converged().await;
    drill.chain.store("north").kill();
    fs::remove_dir_all(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    fs::rename(&file, journal.join("journal.db")).unwrap();
    assert!(verify(&journal).status.success());
    let started = Instant::now();
    drill.chain.store("north").start_again().await;
    drill.chain.store("north").opened().await;
    drill.say(format!("restored and open after {}", s(started)));
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_neither_disk_nor_broker_has_is_counted_and_its_effect_taken_from_a_centre() {
    let mut drill = Drill::start("all-forgotten", &[]).await;
    drill.sell();
    drill.sold(300).await;
    drill.close_tills().await;
    let before = drill.chain.converged().await;
    let centre = drill.chain.centres[0].url.clone();
    let stood = drill.chain.on_hand(&centre, "north").await;
    let broker = drill.chain.broker.address.clone();
    drill.chain.store("north").kill();
    fs::remove_dir_all(drill.chain.journal("north")).unwrap();
    let records = written(&broker).await;
    cut(&broker).await;
    drill.say(format!("north's disk is lost, and the broker has forgotten its {records} records"));

    let without = recover(&drill.chain, "north", &[]);
    let said = String::from_utf8(without.stderr).unwrap();
    assert_eq!(without.status.code(), Some(1), "{said}");
    assert!(said.contains("events that a centre has seen are on no broker any more"), "{said}");
    drill.say(said.trim());
    let with = recover(&drill.chain, "north", &["--central", &centre]);
    let said = String::from_utf8(with.stdout).unwrap();
    assert!(with.status.success(), "{said}{}", String::from_utf8_lossy(&with.stderr));
    drill.say(said.lines().collect::<Vec<_>>().join("; "));

    drill.chain.store("north").start_again().await;
    drill.chain.store("north").opened().await;
    let after = drill.chain.converged().await;
    assert_eq!(after["south"], before["south"]);
    assert_eq!(drill.chain.on_hand(&centre, "north").await, stood, "another level than before");
    let compared = verify_at(&drill.chain, "north", &centre);
    assert!(compared.status.success(), "{compared:?}");
    drill.chain.lose_centre().await;
    assert_eq!(drill.chain.converged().await, after, "the rebuilt centre differs");
    drill.say("north goes on where it stood; a centre that is rebuilt shows the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_centre_that_is_rebuilt_shows_what_it_showed_before() {
    let mut drill = Drill::start("rebuild", &[]).await;
    drill.sell();
    drill.sold(400).await;
    drill.close_tills().await;
    let before = drill.chain.converged().await;
    drill.chain.centres[0].kill();
    let mut command = onhand();
    command.args(["--log", "warn", "central", "rebuild", "--kafka", &drill.chain.broker.address]);
    let rebuilt = command.arg("--data-dir").arg(drill.chain.journal("central")).output().unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    drill.say(String::from_utf8(rebuilt.stdout).unwrap().trim());
    drill.chain.centres[0].start_again().await;
    assert_eq!(drill.chain.converged().await, before);
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_to_wait_for_a_centre_sells_once_one_answers() {
    let mut drill = Drill::start("hold", &[]).await;
    drill.sell();
    drill.sold(100).await;
    drill.close_tills().await;
    drill.chain.converged().await;
    drill.chain.store("north").kill();
    drill.chain.centres[0].kill();
    let wait = ["--unwitnessed", "hold", "--witness-wait-ms", "500"];
    drill.chain.store("north").also(&wait);
    drill.chain.store("north").start_again().await;
    let url = format!("{}/api/commands/inventory/adjust", drill.chain.store("north").url);
    let sale = json!({"storeId": "north", "sku": "HELD", "delta": 1});
    let refused = eventually("it says that it waits", async || {
        let (status, answer) = post(&url, &sale).await?;
        (status == 503).then_some(answer)
    })
    .await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&"not_ready".into(), &true.into()));
    let ready = format!("{}/readyz?verbose", drill.chain.store("north").url);
    let told = Client::new().get(&ready).send().await.unwrap().text().await.unwrap();
    assert!(told.contains("waits for one (--unwitnessed hold)"), "{told}");
    drill.say(format!("no centre: {}", refused["detail"].as_str().unwrap()));
    let started = Instant::now();
    drill.chain.centres[0].start_again().await;
    drill.chain.store("north").opened().await;
    drill.say(format!("it sells {} after a centre was started", s(started)));
    let (status, answer) = post(&url, &sale).await.unwrap();
    assert_eq!((status, &answer["quantity"]), (200, &1.into()), "nothing was sold while it waited");
    drill.end().await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
