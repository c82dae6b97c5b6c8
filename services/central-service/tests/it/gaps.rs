//! Events that a store reported and that do not come are asked for: in time, in measure, once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use central_service::Config;
use event_log::{EventLog, MemoryLog};
use shared_events::command::ReplayEvents;
use shared_events::{Epoch, Heartbeat, Sequence, StoreCommand};

use crate::support::{
    Centre, PATIENT, Running, SOON, Shop, command, config, get, heartbeats, publish, store, topics,
    wait_for,
};

const GRACE: Duration = Duration::from_millis(300);
/// The gap rule counts whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>) {
    (tempfile::tempdir().expect("a folder"), Arc::new(MemoryLog::default()))
}

fn asks(epoch: u64, from: u64, through: u64) -> StoreCommand {
    StoreCommand::ReplayEvents(ReplayEvents {
        epoch: Epoch::new(epoch),
        from: Sequence::new(from),
        through: Sequence::new(through),
    })
}

/// Looks until a store is asked. Gives moments before and after that look, for a rule that waits for
/// real time.
fn look_until_asked(centre: &mut Centre) -> (Instant, Instant) {
    test_support::eventually("a store is asked", SOON, || {
        let before = Instant::now();
        (centre.look() > 0).then(|| (before, Instant::now()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_events_are_asked_for_and_heal() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 10);
    let centre = Running::start(Config { gap_grace: GRACE, ..config(folder.path()) }, &log).await;
    test_support::eventually_async("the centre listens", SOON, async || {
        log.extents(&topics().dead_letters()).ok()
    })
    .await;
    publish(log.as_ref(), shop.events(1, 3));
    publish(log.as_ref(), shop.events(7, 10));

    // Heartbeats as a relay sends them, until one finds the centre listening.
    let reported = Instant::now();
    test_support::eventually_async("a live heartbeat", SOON, async || {
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        centre.model.store(&shop.id)?.1.view.heard_at
    })
    .await;
    test_support::eventually_async("what is there is applied", SOON, async || {
        (centre.model.store(&shop.id)?.1.view.missing == 3).then_some(())
    })
    .await;
    let stores = get(&centre.router, "/api/stores").await.ok();
    assert_eq!(stores["stores"][0]["freshness"]["state"], "lagging");
    assert_eq!(stores["stores"][0]["freshness"]["lagEvents"], 3);

    let asked = wait_for(log.as_ref(), &topics().commands(&shop.id), 1);
    assert!(reported.elapsed() + ROUNDING >= GRACE, "asked after {:?}", reported.elapsed());
    let envelope = command(&asked[0]);
    assert_eq!((envelope.store, envelope.command), (shop.id.clone(), asks(1, 4, 10)));

    publish(log.as_ref(), shop.events(4, 10));
    test_support::eventually_async("the store is fresh", SOON, async || {
        let seen = centre.model.store(&shop.id)?.1;
        (seen.freshness.name() == "fresh").then_some(())
    })
    .await;
    let view = centre.model.store(&shop.id).expect("it is known").1.view;
    assert_eq!(view.digest.to_string(), view.witness.digest);
    centre.stop().await;
}

#[test]
fn nothing_is_asked_before_the_grace_is_over() {
    let (folder, log) = setting();
    let mut centre = Centre::with(folder.path(), &log, PATIENT, Duration::from_secs(3_600));
    heartbeats(log.as_ref(), [Shop::stocked("S1", 5).heartbeat()]);
    centre.catch_up();
    for _look in 0..1_000 {
        assert_eq!(centre.look(), 0);
    }
    assert_eq!(centre.outbox(), []);
}

#[test]
fn the_grace_counts_from_the_first_look_at_the_gap() {
    let (folder, log) = setting();
    let mut centre = Centre::with(folder.path(), &log, PATIENT, GRACE);
    heartbeats(log.as_ref(), [Shop::stocked("S1", 5).heartbeat()]);
    centre.catch_up();
    let first_look = Instant::now();
    let (asked, after) = look_until_asked(&mut centre);
    assert!(after - first_look + ROUNDING >= GRACE, "asked after {:?}", after - first_look);
    // What was asked for may be on its way: the next request waits twice as long.
    let (_, again) = look_until_asked(&mut centre);
    assert!(again - asked + ROUNDING >= 2 * GRACE, "asked again after {:?}", again - asked);
    assert_eq!(centre.outbox().len(), 2);
}

#[test]
fn a_request_names_what_is_missing_first() {
    let (folder, log) = setting();
    let mut shop = Shop::stocked("S1", 4);
    shop.begin_new_life();
    for units in 1..=9 {
        shop.count("A", units);
    }
    publish(log.as_ref(), &shop.journal[..4]);
    // Of the second life 5, 6, 9 and 13.
    for place in [4, 5, 8, 12] {
        publish(log.as_ref(), [&shop.journal[place]]);
    }
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    assert_eq!((centre.look(), centre.look()), (0, 1), "the first look only notes the gap");
    let (topic, envelope) = centre.commands().pop().expect("one command");
    assert_eq!(topic, "inventory.commands.v1.S1");
    assert_eq!((envelope.store, envelope.command), (shop.id.clone(), asks(2, 7, 13)));

    // Half of it comes: the next request begins behind that.
    publish(log.as_ref(), &shop.journal[6..8]);
    centre.catch_up();
    assert_eq!((centre.look(), centre.look()), (0, 1), "progress starts the grace anew");
    assert_eq!(centre.commands().pop().expect("a second command").1.command, asks(2, 10, 13));

    publish(log.as_ref(), &shop.journal[4..]);
    centre.catch_up();
    assert_eq!((centre.look(), centre.look()), (0, 0), "nothing is missing");
    let view = centre.view(&shop.id);
    assert_eq!((view.missing, view.digest.to_string()), (0, shop.heartbeat().digest));
}

#[test]
fn one_request_asks_for_at_most_50_000_events() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 3);
    let far = |head| Heartbeat { head: Sequence::new(head), ..shop.heartbeat() };
    let small = Heartbeat { store_id: store("S2"), ..far(50_000) };
    let large = Heartbeat { store_id: store("S3"), ..far(Sequence::MAX.get()) };
    publish(log.as_ref(), &shop.journal);
    heartbeats(log.as_ref(), [far(200_000), small, large]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    assert_eq!((centre.look(), centre.look()), (0, 3));
    let asked: Vec<_> = centre.commands().into_iter().map(|(_, asked)| asked.command).collect();
    assert_eq!(asked, [asks(1, 4, 50_003), asks(1, 1, 50_000), asks(1, 1, 50_000)]);
}

#[test]
fn nothing_is_asked_while_events_arrive() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 40);
    let mut centre = Centre::open(folder.path(), &log);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    // The first event is the last to come: nothing is contiguous, and yet a backlog is draining.
    for sequence in (2..=40).rev() {
        publish(log.as_ref(), shop.events(sequence, sequence));
        centre.catch_up();
        assert_eq!(centre.look(), 0, "at {sequence}");
    }
    assert_eq!(centre.look(), 1, "nothing came since");
    assert_eq!(centre.commands()[0].1.command, asks(1, 1, 40));
}

/// A store that sells always has something on its way; that must not hide what never comes.
#[test]
fn a_gap_of_a_store_that_goes_on_selling_is_asked_for() {
    let (folder, log) = setting();
    let mut shop = Shop::stocked("S1", 9);
    publish(log.as_ref(), shop.events(1, 3));
    publish(log.as_ref(), shop.events(5, 9));
    let mut centre = Centre::open(folder.path(), &log);
    let mut asked = Vec::new();
    for sold in 10..20 {
        // The report is there before the event is.
        shop.count("A", 1);
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        centre.catch_up();
        asked.push(centre.look());
        publish(log.as_ref(), shop.events(sold, sold));
        centre.catch_up();
        asked.push(centre.look());
    }
    assert!(asked[..4].contains(&1), "{asked:?}");
    let first = &centre.commands()[0].1.command;
    assert!((10..=11).any(|through| *first == asks(1, 4, through)), "{first:?}");
}

/// What a journal has stays its own in every later life; it is asked for in the one that is lived.
#[test]
fn a_gap_of_an_earlier_life_is_asked_for_in_the_life_that_is_lived() {
    let (folder, log) = setting();
    let mut shop = Shop::stocked("S1", 9);
    publish(log.as_ref(), shop.events(1, 5));
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    assert_eq!((centre.look(), centre.look()), (0, 1));

    shop.begin_new_life();
    shop.count("A", 1);
    publish(log.as_ref(), shop.journal.last());
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    assert_eq!(centre.view(&shop.id).missing, 4);
    assert_eq!((centre.look(), centre.look()), (0, 1));
    assert_eq!(centre.commands().pop().expect("a command").1.command, asks(2, 6, 10));
    publish(log.as_ref(), shop.events(6, 9));
    centre.catch_up();
    assert_eq!((centre.look(), centre.look(), centre.look()), (0, 0, 0));
    assert_eq!(
        (centre.view(&shop.id).missing, centre.view(&shop.id).applied_through),
        (0, shop.head())
    );
}

#[test]
fn a_gap_is_still_known_after_a_restart() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 9);
    publish(log.as_ref(), shop.events(1, 5));
    publish(log.as_ref(), shop.events(8, 9));
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    Centre::open(folder.path(), &log).catch_up();

    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!((centre.look(), centre.look()), (0, 1));
    assert_eq!(centre.commands()[0].1.command, asks(1, 6, 9));
}
