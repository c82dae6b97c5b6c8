//! Each hop in turn stands still, with everything it had in its hands, and goes on.

use std::time::{Duration, Instant};

use super::drill::{DARK_AFTER, Drill, HEARTBEAT, MARGIN, STALE_AFTER, STORES, rounds};
use crate::process::{eventually, freeze, thaw};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_stands_still_is_stale_then_dark_and_fresh_when_it_goes_on() {
    let mut drill = Drill::start("store-frozen", &[]).await;
    drill.sell();
    for _ in 0..rounds(1, 5) {
        drill.sold(100).await;
        drill.chain.store("north").freeze();
        let frozen = Instant::now();
        drill.say("SIGSTOP to north, under load");
        let stale = drill.silence_is_seen("north", frozen).await;
        drill.darkness_is_seen("north", frozen).await;
        drill.sold(50).await;
        let thawed = Instant::now();
        drill.never_fresh("north", stale, thawed);
        let other = drill.watch.between("south", frozen, thawed);
        assert!(other.iter().all(|sample| sample.is("fresh") || sample.is("lagging")));
        drill.say(format!("meanwhile south: {}", drill.watch.states("south", frozen, thawed)));
        drill.chain.store("north").thaw();
        drill.fresh_again("north", thawed, "SIGCONT").await;
    }
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stands_still_leaves_no_store_fresh_and_the_stores_sell_on() {
    let mut drill = Drill::start("broker-frozen", &[]).await;
    drill.sell();
    for _ in 0..rounds(1, 5) {
        drill.sold(100).await;
        let broker = drill.chain.broker.pid();
        freeze(broker);
        let frozen = Instant::now();
        drill.say("SIGSTOP to the broker, under load");
        let sold = drill.answers();
        let mut stale = frozen;
        for store in STORES {
            stale = stale.max(drill.silence_is_seen(store, frozen).await);
        }
        // Long enough for heartbeats in the pipe to be older than they may be.
        window(frozen, STALE_AFTER + MARGIN + HEARTBEAT).await;
        drill.sold(50).await;
        drill.say(format!("the stores answered {} sales meanwhile", drill.answers() - sold));
        let thawed = Instant::now();
        thaw(broker);
        for store in STORES {
            drill.never_fresh(store, stale, thawed);
            drill.fresh_again(store, thawed, "SIGCONT").await;
        }
    }
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_centre_that_stood_still_does_not_answer_with_what_it_knew_then() {
    let mut drill = Drill::start("centre-frozen", &[]).await;
    drill.sell();
    for _ in 0..rounds(2, 20) {
        drill.sold(100).await;
        drill.chain.centres[0].freeze();
        let frozen = Instant::now();
        drill.say("SIGSTOP to the centre, under load");
        window(frozen, DARK_AFTER).await;
        let thawed = Instant::now();
        drill.watch.centre_stood_still(frozen, thawed);
        drill.chain.centres[0].thaw();
        for store in STORES {
            let first = drill.watch.sees(store, frozen, |_| true).await;
            drill.say(format!(
                "first answer {:.3} s after SIGCONT: {store} is {}, its last heartbeat {} ms old, \
                 {} events behind",
                (first.answered - thawed).as_secs_f64(),
                first.state,
                first.age_ms.unwrap(),
                first.lag
            ));
            drill.fresh_again(store, thawed, "SIGCONT").await;
        }
    }
    drill.end().await;
}

/// Lets a time pass in which something must not happen.
pub(super) async fn window(since: Instant, length: Duration) {
    eventually("time passes", async || (since.elapsed() >= length).then_some(())).await;
}
