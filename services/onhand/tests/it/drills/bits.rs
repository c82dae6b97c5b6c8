//! What a disk can do to a journal: a flipped bit in each region, a lost tail, a copy of yesterday.
//!
//! What must not happen: a store that sells with less than the centre was told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::drill::{Drill, STORES, rounds};
use super::pages::{Pages, Region};
use super::watch::{Sample, head};
use crate::chain::{open, recover, verify};

/// Events that the copy is older than the journal.
const OLDER_BY: usize = 500;

/// Items of a delivery in front of everything: enough that where an item's events are is sorted, in a tree
/// of more than one page.
const DELIVERED: usize = 2_500;

/// What became of a store with a damaged journal.
enum Outcome {
    /// It did not start, and said this.
    Refused(String),
    /// It started.
    Started,
}

/// A journal that was killed with everything it had written, to damage again and again.
struct Killed {
    folder: PathBuf,
    kept: tempfile::TempDir,
    /// The same with its log moved into the database, so that no page of that is covered by a later one.
    merged: tempfile::TempDir,
    /// What the centre was told.
    head: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flipped_bit_anywhere_in_a_journal_costs_no_event() {
    let seed = if rounds(0, 1) == 0 { 7 } else { fastrand::u64(..) };
    let mut random = Rng::with_seed(seed);
    let (mut drill, killed, _) = killed("flipped-bit").await;
    drill.say(format!("seed {seed}; north's journal of {} events is killed", killed.head));
    for region in Region::ALL {
        for _ in 0..rounds(1, 20) {
            let from = if region.in_log() { &killed.kept } else { &killed.merged };
            killed.put_back(from.path());
            let place = Pages::of(&killed.folder).place(region, &mut random);
            flip(&killed.folder.join(place.file), place.byte, place.bit);
            let damage = format!("{region:?}, bit {} of byte {}", place.bit, place.byte);
            judged(&mut drill, &killed, &damage).await;
        }
    }
    repaired(drill, &killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_lost_its_end_gets_it_back_before_it_sells() {
    let (mut drill, killed, _) = killed("lost-tail").await;
    for frames in [1, 2, 20] {
        killed.put_back(killed.kept.path());
        let left = Pages::of(&killed.folder).cut_frames(frames);
        let damage = format!("the last {frames} WAL frames of {} cut off", left + frames);
        judged(&mut drill, &killed, &damage).await;
    }
    repaired(drill, &killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_restored_from_a_copy_gets_its_end_back_before_it_sells() {
    let (mut drill, killed, copy) = killed("restored-copy").await;
    killed.put_back(copy.path());
    let damage = format!("a copy more than {OLDER_BY} events old put in its place");
    judged(&mut drill, &killed, &damage).await;
    repaired(drill, &killed).await;
}

/// Sells, restarts north so that its log moves into the database, sells, and kills it with a new log.
/// Also gives a copy made before the last sales.
async fn killed(name: &'static str) -> (Drill, Killed, tempfile::TempDir) {
    let mut drill = Drill::start(name, &[]).await;
    let folder = drill.chain.journal("north");
    // Nobody else may have a hand in the files that are damaged.
    drill.watch.stop_reading();
    drill.deliver(DELIVERED).await;
    drill.sell();
    drill.sold(300).await;
    drill.close_tills().await;
    drill.chain.store("north").kill();
    let copy = tempfile::tempdir().unwrap();
    copy_files(&folder, copy.path());
    drill.chain.store("north").start_again().await;
    drill.sell();
    // North has half of the tills, and not every sale becomes an event.
    drill.sold(OLDER_BY * 3).await;
    drill.close_tills().await;
    drill.chain.converged().await;
    let head = head(&folder).unwrap();
    drill.chain.store("north").kill();
    let kept = tempfile::tempdir().unwrap();
    copy_files(&folder, kept.path());
    let merged = tempfile::tempdir().unwrap();
    copy_files(&folder, merged.path());
    open(merged.path()).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    (drill, Killed { folder, kept, merged, head }, copy)
}

/// Starts north on its damaged journal and holds it, and what the centre shows of it, to the promise.
async fn judged(drill: &mut Drill, killed: &Killed, damage: &str) {
    let started = Instant::now();
    let outcome = match drill.chain.store("north").try_again().await {
        Ok(()) => Outcome::Started,
        Err(said) => Outcome::Refused(said),
    };
    if let Outcome::Refused(said) = outcome {
        let last = said.lines().last().unwrap_or_default();
        drill.say(format!("{damage}: refused: {last}"));
        assert!(last.contains("journal") && !last.contains("panicked"), "not clear: {said}");
        let told = ["REINDEX", "DELETE FROM events_by_item"];
        if let Some(sql) = told.iter().find(|sql| last.trim_end_matches('\'').ends_with(*sql)) {
            open(&killed.folder).execute_batch(sql).unwrap();
        } else {
            fs::remove_dir_all(&killed.folder).unwrap();
            let recovered = recover(&drill.chain, "north", &[]);
            assert!(recovered.status.success(), "{damage}: {recovered:?}");
            let told = String::from_utf8(recovered.stdout).unwrap();
            drill.say(format!("{damage}: {}", told.lines().next().unwrap_or_default()));
        }
        drill.chain.store("north").start_again().await;
    }
    drill.chain.store("north").opened().await;
    let url = drill.chain.store("north").url.clone();
    let came_back = drill.chain.metric(&url, "onhand_store_refilled_events_total").await;
    let ready = started.elapsed();
    assert_eq!(head(&killed.folder).unwrap(), killed.head, "{damage}: not what it had");
    // By a heartbeat of this life, not of one before.
    let wanted = |one: &Sample| {
        let age = one.age_ms.map(Duration::from_millis);
        one.is("fresh") && age.is_some_and(|age| age < one.answered - started)
    };
    drill.watch.sees("north", started, wanted).await;
    drill.say(format!(
        "{damage}: it has all {} events, {came_back} of them from the broker, {:.2} s after it started",
        killed.head,
        ready.as_secs_f64()
    ));
    let verified = verify(&killed.folder);
    assert!(verified.status.success(), "{damage}: it runs on a journal that does not verify");
    drill.chain.store("north").kill();
}

/// Starts north on its journal as it was and holds the chain to every promise.
async fn repaired(mut drill: Drill, killed: &Killed) {
    killed.put_back(killed.kept.path());
    drill.chain.store("north").start_again().await;
    drill.fresh_again("north", Instant::now(), "its own journal was put back").await;
    assert_eq!(STORES[0], "north");
    drill.end().await;
}

impl Killed {
    fn put_back(&self, from: &Path) {
        fs::remove_dir_all(&self.folder).unwrap();
        fs::create_dir(&self.folder).unwrap();
        copy_files(from, &self.folder);
    }
}

/// Database and log. The index of the log is rebuilt from it by whoever opens them first.
fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_owned();
        if path.is_file() && !name.to_str().unwrap().ends_with("-shm") {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn flip(file: &Path, byte: usize, bit: u8) {
    let mut bytes = fs::read(file).unwrap();
    bytes[byte] ^= 1 << bit;
    fs::write(file, bytes).unwrap();
}
