//! One id, one command: a repeat gets its answer again, whatever happened in between.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{ADJUST, REPLACE, Reply, TestStore, adjust, replace, with};

const KEY: &str = "idempotency-key";

fn named(body: Value, id: &str) -> Value {
    with(body, json!({"commandId": id}))
}

#[track_caller]
fn same(first: &Reply, repeat: &Reply) {
    assert!(!first.is_replayed(), "the first is no repeat");
    assert!(repeat.is_replayed(), "a repeat says so: {repeat:?}");
    assert_eq!(repeat.status, first.status);
    assert_eq!(repeat.json(), first.json());
    assert_eq!(repeat.header("etag"), first.header("etag"));
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_changes_nothing() {
    let store = TestStore::start().await;
    let first = store.post(ADJUST, &named(adjust("X", 5), "one")).await;
    store.adjust("X", 1).await;
    let repeat = store.post(ADJUST, &named(adjust("X", 5), "one")).await;
    first.accepted();
    same(&first, &repeat);
    assert_eq!((store.item("X").await, store.head().await), ((6, 2), 2));
}

#[tokio::test]
async fn a_key_is_an_id_quoted_or_bare_or_in_the_body() {
    let store = TestStore::start().await;
    let first = store.post_with(ADJUST, &adjust("X", 5), &[(KEY, "\"one\"")]).await;
    first.accepted();
    same(&first, &store.post_with(ADJUST, &adjust("X", 5), &[(KEY, "one")]).await);
    same(&first, &store.post(ADJUST, &named(adjust("X", 5), "one")).await);
    let both = store.post_with(ADJUST, &named(adjust("X", 5), "one"), &[(KEY, "\"one\"")]).await;
    same(&first, &both);
    assert_eq!(store.head().await, 1);
}

#[tokio::test]
async fn a_key_and_an_id_that_differ_are_refused() {
    let store = TestStore::start().await;
    let torn = store.post_with(ADJUST, &named(adjust("X", 5), "one"), &[(KEY, "two")]).await;
    assert_eq!(torn.problem(422, "invalid_field")["field"], "commandId");
    assert_eq!(store.head().await, 0);
}

#[tokio::test]
async fn an_id_names_one_command_for_ever() {
    let store = TestStore::start().await;
    store.post(ADJUST, &named(adjust("X", 5), "one")).await.accepted();
    let others = [
        (ADJUST, adjust("X", 6)),
        (ADJUST, adjust("Y", 5)),
        (ADJUST, with(adjust("X", 5), json!({"reason": "delivery"}))),
        (ADJUST, with(adjust("X", 5), json!({"reference": "note 7"}))),
        (ADJUST, with(adjust("X", 5), json!({"expectedVersion": 0}))),
        (ADJUST, with(adjust("X", 5), json!({"onShortfall": "recordDiscrepancy"}))),
        (REPLACE, replace("X", 5)),
    ];
    for (path, other) in others {
        let reused = store.post(path, &named(other, "one")).await;
        reused.problem(422, "command_id_reused");
        assert!(!reused.is_replayed());
    }
    assert_eq!((store.item("X").await, store.head().await), ((5, 1), 1));
}

#[tokio::test]
async fn how_a_command_is_spelled_does_not_matter() {
    let store = TestStore::start().await;
    let first = store.post(ADJUST, &named(adjust("X", 5), "one")).await;
    let spelled = json!({
        "onShortfall": "reject", "commandId": "one", "delta": 5, "sku": "X",
        "storeId": "A", "reason": null, "expectedVersion": null
    });
    same(&first, &store.post(ADJUST, &spelled).await);
    // The trace belongs to the request, not to the command.
    let trace = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    same(&first, &store.post_with(ADJUST, &named(adjust("X", 5), "one"), &trace).await);
}

#[tokio::test]
async fn a_rejection_is_an_answer_too() {
    let store = TestStore::start().await;
    store.replace("X", 2).await;
    let sale = named(adjust("X", -3), "sale");
    let first = store.post(ADJUST, &sale).await;
    first.problem(409, "insufficient_stock");
    // Now the shelf could cover it: the caller was told no all the same.
    store.replace("X", 10).await;
    same(&first, &store.post(ADJUST, &sale).await);
    store.post(ADJUST, &named(adjust("X", -4), "sale")).await.problem(422, "command_id_reused");

    let full = named(adjust("Y", 1), "full");
    store.replace("Y", 1_000_000_000).await;
    let first = store.post(ADJUST, &full).await;
    first.problem(422, "level_out_of_range");
    same(&first, &store.post(ADJUST, &full).await);
    assert_eq!(store.head().await, 3, "a rejection is no event");
}

#[tokio::test]
async fn answers_outlive_a_restart() {
    let store = TestStore::start().await;
    let accepted = store.post(ADJUST, &named(adjust("X", 5), "accepted")).await;
    let rejected = store.post(ADJUST, &named(adjust("X", -9), "rejected")).await;
    let stale = with(named(adjust("X", 1), "stale"), json!({"expectedVersion": 9}));
    let conflict = store.post(ADJUST, &stale).await;
    conflict.problem(409, "version_conflict");

    let store = store.restart().await;
    same(&accepted, &store.post(ADJUST, &named(adjust("X", 5), "accepted")).await);
    same(&rejected, &store.post(ADJUST, &named(adjust("X", -9), "rejected")).await);
    same(&conflict, &store.post(ADJUST, &stale).await);
    store.post(ADJUST, &named(adjust("X", 6), "accepted")).await.problem(422, "command_id_reused");
    store.post(ADJUST, &named(adjust("X", 6), "rejected")).await.problem(422, "command_id_reused");
    assert_eq!((store.item("X").await, store.head().await), ((5, 1), 1));
}

#[tokio::test]
async fn of_fifty_at_once_one_is_executed() {
    let store = TestStore::start().await;
    let mut senders = JoinSet::new();
    let store = std::sync::Arc::new(store);
    for _ in 0..50 {
        let store = std::sync::Arc::clone(&store);
        senders.spawn(async move { store.post(ADJUST, &named(adjust("X", 5), "one")).await });
    }
    let replies = senders.join_all().await;
    let first = replies.iter().find(|reply| !reply.is_replayed()).expect("one is the first");
    assert_eq!(replies.iter().filter(|reply| reply.is_replayed()).count(), 49);
    for reply in &replies {
        assert_eq!(reply.accepted(), first.json());
    }
    assert_eq!((store.item("X").await, store.head().await), ((5, 1), 1));
}

/// The largest version that a header can spell must not be more than a journal can remember.
#[tokio::test]
async fn no_precondition_breaks_the_journal() {
    let store = TestStore::start().await;
    for version in [u64::MAX, 1 << 63, 1 << 53, (1 << 53) - 1, 1_000] {
        let tag = format!("\"{version}\"");
        let headers = [(KEY, tag.as_str()), ("if-match", tag.as_str())];
        let first = store.post_with(ADJUST, &adjust("X", 5), &headers).await;
        let repeat = store.post_with(ADJUST, &adjust("X", 5), &headers).await;
        assert!([412, 422].contains(&first.status), "{version}: {first:?}");
        assert_eq!((repeat.status, repeat.json()), (first.status, first.json()), "{version}");
    }
    store.adjust("X", 5).await;
}

#[tokio::test]
async fn a_name_is_forgotten_when_it_is_old_and_its_event_never() {
    let store = TestStore::start().await;
    for (name, delta) in [("old", 5), ("young", 6)] {
        store.post(ADJUST, &named(adjust("X", delta), name)).await.accepted();
    }
    store
        .post(ADJUST, &named(adjust("X", -99), "refused"))
        .await
        .problem(409, "insufficient_stock");
    let days = |days: u32| format!("(unixepoch() - {days} * 86400) * 1000");
    let setup = store.stop().await;
    let aged = format!(
        "UPDATE commands SET answered_at = {} WHERE command_id IN ('old', 'refused');
         UPDATE commands SET answered_at = {} WHERE command_id = 'young';",
        days(31),
        days(29)
    );
    let database = rusqlite::Connection::open(setup.folder().join("journal.db")).unwrap();
    database.execute_batch(&aged).unwrap();
    let store = setup.start().await;
    // Whatever is committed next takes the old names along.
    store.post(ADJUST, &adjust("Y", 1)).await.accepted();
    let again = store.post(ADJUST, &named(adjust("X", 6), "young")).await;
    assert!(again.is_replayed());
    for (name, delta) in [("old", 5), ("refused", 1)] {
        let anew = store.post(ADJUST, &named(adjust("X", delta), name)).await;
        anew.accepted();
        assert!(!anew.is_replayed(), "{name}");
    }
    assert_eq!((store.item("X").await, store.head().await), ((17, 4), 5));
}
