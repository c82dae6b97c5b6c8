//! When a comparison begins, and how it asks.

use super::*;

fn now() -> Timestamp {
    Timestamp::from_unix_millis(0).unwrap()
}

fn reported(epoch: u64, head: u64) -> Witness {
    Witness { epoch: Epoch::new(epoch), head: Sequence::new(head), ..Witness::default() }
}

fn asked(resync: &mut Resync, now_ms: u64, witness: &Witness) -> Option<(u64, u64)> {
    let window = resync.next_ask(now_ms, witness)?;
    Some((window.0.get(), window.1.get()))
}

/// One that somebody wanted, begun at 0.
fn wanted(grace_ms: u64, witness: &Witness) -> Resync {
    let mut resync = Resync::new(grace_ms);
    resync.request();
    assert!(resync.begin(0, now(), witness, false));
    resync
}

fn arrive(resync: &mut Resync, sequences: impl IntoIterator<Item = u64>) {
    for sequence in sequences {
        let (store, epoch) = ("S1".parse().unwrap(), Epoch::new(1));
        resync.pass_over(&EventId { store, epoch, sequence: Sequence::new(sequence) });
    }
}

#[test]
fn a_journal_is_asked_for_window_by_window() {
    let witness = reported(1, 120_000);
    let mut resync = wanted(100, &witness);
    assert_eq!(asked(&mut resync, 0, &witness), Some((1, 50_000)));
    assert_eq!(asked(&mut resync, 1, &witness), None);
    arrive(&mut resync, 1..=50_000);
    assert_eq!(asked(&mut resync, 2, &witness), Some((50_001, 100_000)));
    arrive(&mut resync, 50_001..=100_000);
    let witness = reported(1, 120_007);
    assert_eq!(asked(&mut resync, 3, &witness), Some((100_001, 120_007)), "it went on selling");
    arrive(&mut resync, 100_001..=120_007);
    assert_eq!(asked(&mut resync, 900_000, &witness), None, "all of it is there");
}

#[test]
fn a_silent_store_is_asked_ever_more_slowly_and_takes_nobodys_place() {
    let witness = reported(1, 10);
    let mut resync = wanted(100, &witness);
    let asks = |resync: &mut Resync, from: u64, to: u64| -> Vec<u64> {
        let looks = (from..to).step_by(100);
        looks.filter(|now_ms| asked(resync, *now_ms, &witness).is_some()).collect()
    };
    assert_eq!(asks(&mut resync, 0, 5_000), [0]);
    assert!(resync.is_moving());
    assert_eq!(asks(&mut resync, 5_000, 40_000), [5_000, 15_000, 35_000]);
    assert!(!resync.is_moving() && resync.is_running());
    let slow = asks(&mut resync, 40_000, 40_000_000);
    assert!(slow.windows(2).all(|pair| pair[1] - pair[0] <= PAUSE_MS_MAX));
    assert!((60..90).contains(&slow.len()), "{}", slow.len());

    arrive(&mut resync, 1..=4);
    assert_eq!(asks(&mut resync, 40_000_000, 40_005_000), [0; 0]);
    assert!(resync.is_moving(), "it is back");
    assert_eq!(asks(&mut resync, 40_005_000, 40_006_000), [40_005_000]);
}

#[test]
fn a_new_life_is_gathered_from_its_first_event() {
    let witness = reported(1, 10);
    let mut resync = wanted(100, &witness);
    asked(&mut resync, 0, &witness);
    arrive(&mut resync, 1..=9);
    let reborn = reported(2, 5);
    assert_eq!(asked(&mut resync, 1, &reborn), Some((1, 5)));
    assert_eq!((resync.status().received, resync.status().through.get()), (0, 5));
    assert!(resync.conclude(&reborn, now()).is_none() && resync.is_running());
}

#[test]
fn a_difference_is_compared_once_it_has_lasted_and_then_ever_more_rarely() {
    let witness = reported(1, 0);
    let mut resync = Resync::new(100);
    let mut begun = Vec::new();
    for now_ms in 0..2_000 {
        // The journal does not explain the difference.
        if resync.begin(now_ms, now(), &witness, true) {
            begun.push(now_ms);
            assert!(resync.conclude(&witness, now()).is_none());
        }
    }
    assert_eq!(begun, [100, 301, 702, 1_503]);
    assert!(matches!(resync.status().last, Some((Outcome::Unexplained, _))));
}

#[test]
fn a_store_that_has_not_reported_is_waited_for() {
    let mut resync = Resync::new(100);
    resync.request();
    assert!(!resync.begin(0, now(), &reported(0, 0), false));
    assert!(resync.status().wanted);
    assert!(resync.begin(1, now(), &reported(1, 3), false));
}
