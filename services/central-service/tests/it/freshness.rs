//! What the centre claims about a store rests on what it heard itself.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use event_log::{EventLog, MemoryLog};
use serde_json::Value;

use crate::support::{
    BLIND, Centre, DEAF, PATIENT, SOON, Shop, get, heartbeats, publish, raw, topics,
};
use shared_events::Heartbeat;
use shared_events::wire::encode_heartbeat;
use test_support::eventually;

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>, Shop) {
    let folder = tempfile::tempdir().expect("a folder");
    (folder, Arc::new(MemoryLog::default()), Shop::stocked("S1", 3))
}

async fn freshness(router: &Router) -> Value {
    get(router, "/api/stores").await.ok()["stores"][0]["freshness"].clone()
}

#[tokio::test]
async fn a_heartbeat_from_before_the_centre_listened_makes_nothing_fresh() {
    let (folder, log, shop) = setting();
    publish(log.as_ref(), &shop.journal);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let view = centre.view(&shop.id);
    assert_eq!((view.missing, view.witness.head), (0, shop.head()), "it is known, and complete");
    let mut freshness = freshness(&centre.router()).await;
    let since = freshness.as_object_mut().expect("an object").remove("since");
    assert!(since.is_some(), "since the centre began");
    assert_eq!(freshness, serde_json::json!({"state": "unknown", "lagEvents": 0}));
}

#[tokio::test]
async fn a_live_heartbeat_makes_a_complete_store_fresh() {
    let (folder, log, shop) = setting();
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    let freshness = freshness(&centre.router()).await;
    assert_eq!(freshness["state"], "fresh");
    assert!(freshness["ageMs"].as_u64().expect("an age") < PATIENT.stale_after_ms);
}

#[tokio::test]
async fn a_live_heartbeat_of_a_store_that_is_behind_says_by_how_much() {
    let (folder, log, mut shop) = setting();
    publish(log.as_ref(), shop.events(2, 2));
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    let router = centre.router();
    let lagging = freshness(&router).await;
    assert_eq!((&lagging["state"], &lagging["lagEvents"]), (&"lagging".into(), &2.into()));

    publish(log.as_ref(), &shop.journal);
    centre.catch_up();
    assert_eq!(freshness(&router).await["state"], "fresh");

    // An event that is here before the store reported it does not make the store less fresh.
    shop.count("A", 1);
    publish(log.as_ref(), shop.journal.last());
    centre.catch_up();
    assert_eq!(freshness(&router).await["state"], "fresh");
    assert_eq!(centre.view(&shop.id).applied_through.get(), 4);
}

/// Any store may have changed the item since, also one that never had it.
#[tokio::test]
async fn an_answer_about_all_stores_is_as_fresh_as_the_worst_of_them() {
    let path = "/api/query/inventory/global/ITEM-0";
    for silent in ["A-first-known", "Z-last-known"] {
        let (folder, log, shop) = setting();
        let mut silent = Shop::new(silent);
        silent.count("OTHER", 1);
        let mut centre = Centre::open(folder.path(), &log);
        centre.listen();
        let mut shops = [&shop, &silent];
        shops.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        for known in shops {
            publish(log.as_ref(), &known.journal);
            centre.catch_up();
        }
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        centre.catch_up();
        let router = centre.router();
        let global = get(&router, path).await.ok();
        assert_eq!(global["freshness"], "unknown");
        assert_eq!(global["stores"][0]["freshness"]["state"], "fresh");

        silent.count("OTHER", 2);
        heartbeats(log.as_ref(), [silent.heartbeat()]);
        centre.catch_up();
        assert_eq!(get(&router, path).await.ok()["freshness"], "lagging");
        publish(log.as_ref(), &silent.journal);
        centre.catch_up();
        assert_eq!(get(&router, path).await.ok()["freshness"], "fresh");
    }
}

#[tokio::test]
async fn after_a_restart_only_new_heartbeats_count() {
    let (folder, log, shop) = setting();
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    assert_eq!(freshness(&centre.router()).await["state"], "fresh");
    drop(centre);

    // Written while no centre was there: it lies behind the position, and says nothing about now.
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    let router = centre.router();
    assert_eq!(freshness(&router).await["state"], "unknown");
    centre.catch_up();
    assert_eq!(freshness(&router).await["state"], "unknown");
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    assert_eq!(freshness(&router).await["state"], "fresh");
}

#[tokio::test]
async fn a_complete_store_with_another_digest_has_diverged() {
    let (folder, log, mut shop) = setting();
    publish(log.as_ref(), shop.events(1, 2));
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    let wrong = Heartbeat { digest: "0".repeat(32), ..shop.heartbeat() };
    heartbeats(log.as_ref(), [wrong]);
    centre.catch_up();
    let router = centre.router();
    assert_eq!(freshness(&router).await["state"], "lagging", "what is missing may explain it");
    publish(log.as_ref(), shop.events(3, 3));
    centre.catch_up();
    assert_eq!(freshness(&router).await["state"], "diverged");
    let global = get(&router, "/api/query/inventory/global/ITEM-0").await.ok();
    assert_eq!(global["freshness"], "diverged");

    shop.count("ITEM-0", 7);
    publish(log.as_ref(), shop.journal.last());
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    assert_eq!(freshness(&router).await["state"], "fresh", "the next report agrees");
}

/// A backup was restored over a journal: what it reports now is behind what it once reported.
#[tokio::test]
async fn a_live_store_whose_journal_went_back_has_diverged() {
    let (folder, log, mut shop) = setting();
    let restored = shop.clone();
    shop.count("A", 1);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    let router = centre.router();
    assert_eq!(freshness(&router).await["state"], "fresh");
    heartbeats(log.as_ref(), [restored.heartbeat()]);
    centre.catch_up();
    assert_eq!(freshness(&router).await["state"], "diverged");

    let mut reborn = restored;
    reborn.begin_new_life();
    reborn.count("B", 2);
    reborn.count("A", 1);
    reborn.count("A", 1);
    publish(log.as_ref(), &reborn.journal);
    heartbeats(log.as_ref(), [reborn.heartbeat()]);
    centre.catch_up();
    let view = centre.view(&reborn.id);
    assert_eq!((view.witness.epoch.get(), view.missing, view.applied_through.get()), (2, 0, 6));
}

/// A compacted or re-read topic shows old heartbeats again: what is known of a journal never goes
/// back, neither within a life nor to an earlier one.
#[test]
fn an_older_heartbeat_does_not_move_the_head_back() {
    let (folder, log, mut shop) = setting();
    let old = shop.heartbeat();
    shop.count("A", 1);
    let newer = shop.heartbeat();
    shop.begin_new_life();
    let newest = shop.heartbeat();
    let mut centre = Centre::open(folder.path(), &log);
    for (heard, known) in [(&newer, &newer), (&old, &newer), (&newest, &newest), (&newer, &newest)]
    {
        raw(log.as_ref(), &topics().heartbeats(), [encode_heartbeat(heard)]);
        centre.catch_up();
        let witness = centre.view(&shop.id).witness;
        assert_eq!((witness.epoch, witness.head), (known.epoch, known.head));
        assert_eq!(witness.digest, known.digest);
    }
}

#[tokio::test]
async fn silence_is_stale_and_then_dark() {
    let (folder, log, shop) = setting();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    publish(log.as_ref(), &shop.journal);
    Centre::open(folder.path(), &log).catch_up();
    for (bounds, state) in [(DEAF, "stale"), (BLIND, "dark")] {
        let centre =
            Centre::with(folder.path(), &log, bounds, std::time::Duration::from_secs(3_600));
        assert_eq!(freshness(&centre.router()).await["state"], state);
    }
}

#[tokio::test]
async fn a_dark_store_has_units_and_offers_none() {
    let (folder, log, shop) = setting();
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::with(folder.path(), &log, BLIND, std::time::Duration::ZERO);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    let router = centre.router();
    for path in ["store/S1/ITEM-2", "global/ITEM-2"] {
        let answer = get(&router, &format!("/api/query/inventory/{path}")).await.ok();
        assert_eq!((&answer["onHand"], &answer["quantity"]), (&3.into(), &3.into()), "{answer}");
        assert_eq!(answer["available"], 0, "{answer}");
    }
    let list = get(&router, "/api/query/inventory/store/S1").await.ok();
    for item in list["items"].as_array().expect("items") {
        assert_eq!((&item["available"], &item["freshness"]["state"]), (&0.into(), &"dark".into()));
    }
    let global = get(&router, "/api/query/inventory/global/ITEM-2").await.ok();
    assert_eq!(global["freshness"], "dark");
}

/// Since when a state holds is told by the centre's own watch: it changes with the state, and with
/// nothing else.
#[tokio::test]
async fn a_state_is_told_with_the_moment_it_began() {
    let (folder, log, mut shop) = setting();
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    let router = centre.router();
    let mut told = Vec::new();
    let mut look = async |centre: &mut Centre, state: &str| {
        // Moments are told in milliseconds.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        centre.catch_up();
        let now = freshness(&router).await;
        assert_eq!(now["state"], state);
        told.push(now["since"].as_str().expect("a time").to_owned());
    };
    look(&mut centre, "unknown").await;
    look(&mut centre, "unknown").await;
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    look(&mut centre, "fresh").await;
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    look(&mut centre, "fresh").await;
    shop.count("A", 1);
    shop.count("A", 2);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    look(&mut centre, "lagging").await;
    publish(log.as_ref(), shop.events(4, 4));
    look(&mut centre, "lagging").await;
    publish(log.as_ref(), shop.journal.last());
    look(&mut centre, "fresh").await;
    let began: Vec<bool> = told.windows(2).map(|pair| pair[0] < pair[1]).collect();
    assert_eq!(began, [false, true, false, true, false, true], "{told:?}");
}

/// A store that sells all day is ahead of its last heartbeat all day. Its digest is compared as it was
/// at the head it reported.
#[tokio::test]
async fn a_store_that_is_ahead_of_its_report_is_compared_where_it_reported() {
    let (folder, log, mut shop) = setting();
    let report = shop.heartbeat();
    let wrong = Heartbeat { digest: "0".repeat(32), ..report.clone() };
    shop.count("ITEM-0", 5);
    shop.count("ITEM-0", 6);
    shop.count("B", 1);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    centre.catch_up();
    let router = centre.router();
    for (report, state) in [(report, "fresh"), (wrong, "diverged"), (shop.heartbeat(), "fresh")] {
        heartbeats(log.as_ref(), [report]);
        centre.catch_up();
        assert_eq!(freshness(&router).await["state"], state);
    }
}

/// A centre that stood still finds heartbeats that waited for it: they are as old as they may be.
#[test]
fn a_heartbeat_that_may_have_waited_for_the_centre_is_not_taken_for_a_new_one() {
    let (folder, log, shop) = setting();
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    let stopped = Instant::now();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    let heard = |centre: &Centre| centre.view(&shop.id).heard_at.expect("it was heard");
    assert!(heard(&centre) <= stopped, "nobody can tell how long it waited");
    // Once the broker has said that it was not there yet.
    eventually("a heartbeat is known to be new", SOON, || {
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        centre.catch_up();
        (heard(&centre) > stopped).then_some(())
    });
}
