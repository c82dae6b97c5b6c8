//! Stock commands that come by way of the centre, and records that are no commands at all.

use event_log::Publication;
use shared_events::command::JournalWitnessed;
use shared_events::wire::OutgoingRecord;
use shared_events::{
    AdjustStock, Epoch, OnShortfall, Rejection, Sequence, StockCommand, StockEvent, StoreCommand,
};

use crate::support::{ADJUST, TestStore, adjust, store_id, topics, with};

fn change(sku: &str, delta: i64) -> StoreCommand {
    let delta = serde_json::from_value(delta.into()).unwrap();
    StoreCommand::Stock(StockCommand::Adjust(AdjustStock {
        sku: sku.parse().unwrap(),
        delta,
        expected_version: None,
        on_shortfall: OnShortfall::Reject,
        reason: None,
        reference: None,
    }))
}

#[tokio::test]
async fn a_stock_command_by_the_topic_is_executed_once_and_answered_by_its_event() {
    let store = TestStore::start().await;
    store.centre().send("erp-1", change("X", 5));
    store.centre().send("erp-1", change("X", 5));
    store.centre().send("erp-2", change("X", 1));
    let told = store.centre().answer("erp-2").await;
    assert!(matches!(told[0].event, StockEvent::Adjusted(_)), "{told:?}");
    assert_eq!(store.item("X").await, (6, 2));
    assert_eq!(store.centre().answer("erp-1").await.len(), 1);
}

#[tokio::test]
async fn a_refusal_by_the_topic_is_told_by_an_event_and_changes_nothing() {
    let store = TestStore::start().await;
    store.replace("X", 2).await;
    store.centre().send("erp-1", change("X", -3));
    let told = store.centre().answer("erp-1").await;
    let StockEvent::CommandRefused(refused) = &told[0].event else { panic!("{told:?}") };
    let short = Rejection::InsufficientStock { requested: 3, available: 2, on_hand: 2 };
    assert_eq!(refused.rejection, short);
    assert_eq!(store.item("X").await, (2, 1), "the version stands, or nobody could try again");
    // The same request at the till gets the same answer.
    let body = with(adjust("X", -3), serde_json::json!({"commandId": "erp-1"}));
    let again = store.post(ADJUST, &body).await;
    assert!(again.is_replayed());
    again.problem(409, "insufficient_stock");
    // It stays so over a restart.
    let store = store.restart().await;
    assert_eq!(store.item("X").await, (2, 1));
    assert_eq!(store.item("never").await, (0, 0));
}

#[tokio::test]
async fn a_command_id_with_another_body_is_not_executed() {
    let store = TestStore::start().await;
    store.centre().send("erp-1", change("X", 5));
    store.centre().send("erp-1", change("X", 7));
    store.centre().send("erp-2", change("Y", 1));
    store.centre().answer("erp-2").await;
    assert_eq!(store.item("X").await, (5, 1));
    assert_eq!(store.metric("onhand_store_unreadable_commands_total").await, 1);
}

#[tokio::test]
async fn what_is_no_command_is_counted_and_holds_up_nothing() {
    let store = TestStore::start().await;
    let topic = topics().commands(&store_id()).name;
    let garbage =
        OutgoingRecord { key: b"A".to_vec(), headers: vec![], value: Some(b"?".to_vec()) };
    store.centre().publish(Publication { topic, record: garbage });
    store.centre().send("erp-1", change("X", 5));
    store.centre().answer("erp-1").await;
    assert_eq!(store.item("X").await, (5, 1));
    assert_eq!(store.metric("onhand_store_unreadable_commands_total").await, 1);
}

#[tokio::test]
async fn who_asks_again_is_told_again_what_became_of_it() {
    let store = TestStore::start().await;
    let command = |delta, id| with(adjust("X", delta), serde_json::json!({"commandId": id}));
    store.post(ADJUST, &command(4, "till-1")).await.accepted();
    store.post(ADJUST, &command(-9, "till-2")).await.problem(409, "insufficient_stock");
    let centre = store.centre();
    centre.answer("till-1").await;
    let before = centre.copies("A/1/1");
    centre.send("till-1", change("X", 4));
    centre.send("till-2", change("X", -9));
    let refused = centre.answer("till-2").await;
    assert!(matches!(refused[0].event, StockEvent::CommandRefused(_)), "{refused:?}");
    centre.more_copies("A/1/1", before).await;
    assert_eq!(store.item("X").await, (4, 1));
}

/// A centre that has heard events, and not yet the heartbeat behind them, knows no hash there.
#[tokio::test]
async fn a_store_goes_on_when_it_is_told_of_its_own_events_without_their_hash() {
    let store = TestStore::start().await;
    for units in 1..=3 {
        store.replace("X", units).await;
    }
    let seen = JournalWitnessed {
        epoch: Epoch::new(1),
        head: Sequence::new(2),
        head_hash: String::new(),
        lineage: None,
    };
    store.centre().send("witnessed", StoreCommand::JournalWitnessed(seen));
    store.centre().send("erp-1", change("X", 5));
    store.centre().answer("erp-1").await;
    assert_eq!(store.item("X").await, (8, 4));
}
