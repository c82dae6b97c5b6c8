//! A stop: what was answered with yes is there, what was not done is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use event_log::MemoryLog;
use tokio::task::JoinSet;

use crate::support::{ADJUST, DEADLINE, Setup, TestStore, adjust};

#[tokio::test]
async fn a_caller_that_holds_on_neither_keeps_a_store_open_nor_is_left_without_an_answer() {
    let store = TestStore::start().await;
    store.adjust("X", 1).await;
    let caller = store.caller();
    let setup = tokio::time::timeout(DEADLINE, store.stop()).await.expect("it ends");
    let late = caller.post(ADJUST, &adjust("X", 1)).await;
    late.problem(503, "shutting_down");
    assert_eq!(late.header("retry-after"), Some("1"));
    // Nor does it keep the journal from its next owner.
    let store = setup.start().await;
    caller.post(ADJUST, &adjust("X", 1)).await.problem(503, "shutting_down");
    assert_eq!(store.item("X").await, (1, 1));
}

#[tokio::test]
async fn in_the_middle_of_a_stop_every_answer_is_true() {
    let store = Setup::with_log(MemoryLog::default()).start().await;
    let sold = Arc::new(AtomicI64::new(0));
    let mut tills = JoinSet::new();
    for _ in 0..20 {
        let (till, sold) = (store.caller(), Arc::clone(&sold));
        tills.spawn(async move {
            loop {
                let reply = till.post(ADJUST, &adjust("X", 1)).await;
                if reply.status != 200 {
                    reply.problem(503, "shutting_down");
                    return;
                }
                sold.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    test_support::eventually_async("business", DEADLINE, async || {
        (sold.load(Ordering::Relaxed) >= 200).then_some(())
    })
    .await;
    let setup = store.stop().await;
    tills.join_all().await;
    let sold = sold.load(Ordering::Relaxed);
    assert_eq!(setup.start().await.item("X").await, (sold, sold));
}
