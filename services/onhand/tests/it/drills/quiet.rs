//! Nothing happens, and that is known.

use std::time::{Duration, Instant};

use super::drill::{Drill, HEARTBEAT, STORES, rounds};
use crate::process::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_sells_nothing_is_shown_as_fresh_all_the_time() {
    let seconds = rounds(6, 60);
    let mut drill = Drill::start("quiet-store", &[]).await;
    let from = Instant::now();
    let until = from + Duration::from_secs(u64::try_from(seconds).unwrap());
    eventually("the time of silence is over", async || (Instant::now() >= until).then_some(()))
        .await;
    for store in STORES {
        let shown = drill.watch.between(store, from, until);
        let oldest = shown.iter().filter_map(|sample| sample.age_ms).max().unwrap();
        drill.say(format!(
            "{store} sold nothing for {seconds} s: {}; the oldest knowledge was {oldest} ms old \
             (a heartbeat every {} ms)",
            drill.watch.states(store, from, until),
            HEARTBEAT.as_millis()
        ));
        assert!(shown.len() > seconds * 5, "only {} looks", shown.len());
        let other = shown.iter().find(|sample| !sample.is("fresh"));
        assert!(other.is_none(), "nothing happened, and it is {other:?}");
        assert!(shown.iter().all(|sample| (sample.head, sample.applied) == (0, 0)));
    }
    drill.sell();
    drill.sold(20).await;
    drill.end().await;
}
