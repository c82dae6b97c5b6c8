//! What a disk can do to a journal: a flipped bit in each region, a lost tail, a copy of yesterday.
//!
//! What must not happen: a store that starts with less than the centre was told, and looks fresh.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::drill::{Drill, HEARTBEAT, STORES, rounds};
use super::frozen::window;
use super::pages::{Pages, Region};
use super::watch::{Sample, head};
use crate::chain::{open, verify};

/// Events that the copy is older than the journal.
const OLDER_BY: usize = 500;

/// What became of a store with a damaged journal.
enum Outcome {
    /// It did not start, and said this.
    Refused(String),
    /// It started; its journal ends here.
    Started(u64),
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
async fn one_flipped_bit_anywhere_in_a_journal_is_refused_or_changes_nothing_or_is_noticed() {
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
async fn a_journal_that_lost_its_end_is_not_shown_as_fresh() {
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
async fn a_journal_restored_from_a_copy_is_not_shown_as_fresh() {
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
        Ok(()) => Outcome::Started(head(&killed.folder).unwrap()),
        Err(said) => Outcome::Refused(said),
    };
    // By a heartbeat of this life, not of one before.
    let shown = async |state: &str| {
        let wanted = |one: &Sample| {
            let age = one.age_ms.map(Duration::from_millis);
            one.is(state) && age.is_some_and(|age| age < one.answered - started)
        };
        drill.watch.sees("north", started, wanted).await
    };
    match outcome {
        Outcome::Refused(said) => {
            let last = said.lines().last().unwrap_or_default();
            drill.say(format!("{damage}: refused: {last}"));
            assert!(last.contains("journal") && !last.contains("panicked"), "not clear: {said}");
            if last.ends_with(" REINDEX") {
                open(&killed.folder).execute_batch("REINDEX").unwrap();
                drill.chain.store("north").start_again().await;
                assert_eq!(head(&killed.folder).unwrap(), killed.head, "{damage}: not what it had");
                drill.chain.store("north").kill();
                drill.say(format!("{damage}: that was done, and it starts with all its events"));
            }
            return;
        }
        Outcome::Started(head) if head < killed.head => {
            let noticed = shown("diverged").await;
            window(noticed.answered, HEARTBEAT * 3).await;
            drill.never_fresh("north", noticed.asked, Instant::now());
            drill.say(format!(
                "{damage}: starts {} events short; the centre says diverged after {:.2} s",
                killed.head - head,
                (noticed.answered - started).as_secs_f64()
            ));
        }
        Outcome::Started(head) => {
            assert_eq!(head, killed.head, "{damage}: more than there was");
            shown("fresh").await;
            drill.say(format!("{damage}: starts with all {head} events, and is fresh"));
        }
    }
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
