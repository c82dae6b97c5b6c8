//! The line between a service and its broker is slow, held, cut one way, reset.

use std::time::Instant;

use super::drill::{DARK_AFTER, Drill, MARGIN, STALE_AFTER, STORES, rounds};
use super::frozen::window;
use crate::line::{Flow, Way};

/// Events of one delivery: several publications of the relay.
const DELIVERY: usize = 8_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_held_up_is_lagging_where_it_reported_and_then_stale_while_its_store_sells()
{
    let mut drill = Drill::start("relay-held", &["north"]).await;
    for _ in 0..rounds(1, 5) {
        let slowed = Instant::now();
        drill.chain.lines["north"].set(Way::ToBroker, Flow::Slow(150_000));
        drill.deliver(DELIVERY).await;
        drill.say(format!(
            "north took a delivery of {DELIVERY} items behind a line of 150 kB/s, 2xx"
        ));
        let lagging = drill.watch.sees("north", slowed, |sample| sample.is("lagging")).await;
        // Behind a hole in one partition, events of others may be there already.
        assert!((1..=lagging.head - lagging.applied).contains(&lagging.lag), "{lagging:?}");
        drill.say(format!(
            "north is lagging by {} events {:.2} s later",
            lagging.lag,
            (lagging.answered - slowed).as_secs_f64()
        ));

        drill.chain.lines["north"].both(Flow::Hold);
        let held = Instant::now();
        drill.sell();
        let stale = drill.silence_is_seen("north", held).await;
        drill.darkness_is_seen("north", held).await;
        drill.sold(100).await;
        let sold = drill.answers();
        let released = Instant::now();
        drill.never_fresh("north", stale, released);
        drill.say(format!(
            "north and south answered {sold} sales while north's line was held; shown: {}",
            drill.watch.states("north", held, released)
        ));
        drill.chain.lines["north"].both(Flow::Pass);
        drill.fresh_again("north", released, "the line was let go").await;
        drill.close_tills().await;
    }
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_cut_both_ways_one_way_or_by_reset_is_seen_and_loses_nothing() {
    let mut drill = Drill::start("line-cut", &["north"]).await;
    drill.sell();
    let cuts: [(&str, &[Way], bool); 4] = [
        ("silently, both ways", &[Way::ToBroker, Way::FromBroker], false),
        ("silently, only towards the broker", &[Way::ToBroker], false),
        ("silently, only from the broker", &[Way::FromBroker], false),
        ("silently, then by reset", &[Way::ToBroker, Way::FromBroker], true),
    ];
    for round in 0..rounds(1, 5) {
        for (how, ways, reset) in cuts {
            drill.sold(50).await;
            for way in ways {
                drill.chain.lines["north"].set(*way, Flow::Hold);
            }
            let cut = Instant::now();
            drill.say(format!("round {round}: north's line is cut {how}"));
            let sold = drill.answers();
            let stale = drill.silence_is_seen("north", cut).await;
            drill.sold(50).await;
            let healed = Instant::now();
            drill.never_fresh("north", stale, healed);
            let other = drill.watch.between("south", cut, healed);
            assert!(other.iter().all(|sample| sample.is("fresh") || sample.is("lagging")));
            if reset {
                drill.chain.lines["north"].reset();
            }
            drill.chain.lines["north"].both(Flow::Pass);
            drill.fresh_again("north", healed, "the line was healed").await;
            drill.say(format!("{} sales were answered meanwhile", drill.answers() - sold));
        }
    }
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_centre_cut_off_from_the_broker_shows_no_store_as_fresh() {
    let mut drill = Drill::start("centre-cut", &["central"]).await;
    drill.sell();
    for (way, how) in [(Way::FromBroker, "from"), (Way::ToBroker, "towards")] {
        drill.sold(50).await;
        drill.chain.lines["central"].set(way, Flow::Hold);
        let cut = Instant::now();
        drill.say(format!("the centre's line is cut silently, only {how} the broker"));
        let mut stale = cut;
        for store in STORES {
            stale = stale.max(drill.silence_is_seen(store, cut).await);
        }
        drill.sold(50).await;
        let healed = Instant::now();
        for store in STORES {
            drill.never_fresh(store, stale, healed);
        }
        drill.chain.lines["central"].both(Flow::Pass);
        for store in STORES {
            drill.fresh_again(store, healed, "the line was healed").await;
        }
    }
    drill.end().await;
}

/// Heartbeats wait in the broker for a centre that is cut off; the store that sent them is cut off too
/// before the centre comes back. What the centre then reads arrives now and was sent long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_that_was_late_in_the_pipe_does_not_make_an_old_number_look_fresh() {
    let mut drill = Drill::start("late-heartbeat", &["central", "north"]).await;
    drill.sell();
    drill.sold(50).await;
    drill.chain.lines["central"].set(Way::FromBroker, Flow::Hold);
    let deaf = Instant::now();
    drill.say("nothing reaches the centre from the broker any more; the stores do not notice");
    for store in STORES {
        drill.silence_is_seen(store, deaf).await;
    }
    drill.sold(50).await;
    drill.chain.lines["north"].both(Flow::Hold);
    let cut = Instant::now();
    drill.say("north is cut off too: its last heartbeats wait in the broker");
    window(cut, (STALE_AFTER + MARGIN).max(DARK_AFTER)).await;
    drill.sold(50).await;
    let healed = Instant::now();
    drill.chain.lines["central"].both(Flow::Pass);
    drill.fresh_again("south", healed, "the centre's line was healed").await;
    // As long as a late heartbeat would count.
    window(healed, STALE_AFTER).await;
    let released = Instant::now();
    drill.say(format!(
        "north, silent for {:.2} s when the centre came back, was shown as: {}",
        (healed - cut).as_secs_f64(),
        drill.watch.states("north", healed, released)
    ));
    drill.never_fresh("north", healed, released);
    drill.chain.lines["north"].both(Flow::Pass);
    drill.fresh_again("north", released, "its own line was healed").await;
    drill.end().await;
}
