//! What the store keeps for customers: it decides, all or none, and remembers.

use event_log::MemoryLog;
use serde_json::json;
use shared_events::reservation::{BreakReason, RefusalReason, ReleaseReason};
use shared_events::{RecordedEvent, StockEvent, StoreCommand};

use crate::support::{ADJUST, REPLACE, Setup, TestStore, adjust, ask, in_seconds, replace, with};

impl TestStore {
    /// Units on hand and promised.
    async fn levels(&self, sku: &str) -> (i64, i64) {
        let item = self.get(&format!("/api/query/inventory/store/A/{sku}")).await.accepted();
        (item["onHand"].as_i64().unwrap(), item["reserved"].as_i64().unwrap())
    }
}

fn types(events: &[RecordedEvent]) -> Vec<&'static str> {
    let name = |event: &RecordedEvent| event.event.event_type();
    let short = |name: &'static str| name.trim_start_matches("inventory.").trim_end_matches(".v1");
    events.iter().map(name).map(short).collect()
}

#[tokio::test]
async fn an_ask_that_the_shelf_covers_is_kept_and_told() {
    let store = TestStore::start().await;
    store.replace("X", 5).await;
    store.centre().reserve("c.1", &[("X", 3)]);
    let told = store.centre().answer("c.1:1").await;

    assert_eq!(types(&told), ["stock-reserved"]);
    let StockEvent::Reserved(reserved) = &told[0].event else { panic!("{told:?}") };
    let kept = ask("c.1", &[("X", 3)]);
    assert_eq!(reserved.allocation.reservation_id, kept.reservation_id);
    assert_eq!(reserved.allocation.order_id, kept.order_id);
    assert_eq!((reserved.allocation.line, reserved.allocation.quantity), (1, 3));
    assert_eq!((reserved.on_hand, reserved.reserved), (5, 3));
    assert_eq!(store.levels("X").await, (5, 3));
    store.post(ADJUST, &adjust("X", -3)).await.problem(409, "insufficient_stock");
}

#[tokio::test]
async fn all_lines_of_an_ask_are_kept_or_none() {
    let store = TestStore::start().await;
    store.replace("X", 5).await;
    store.replace("Y", 1).await;
    store.centre().reserve("c.1", &[("X", 3), ("Y", 2), ("never", 1)]);
    let told = store.centre().answer("c.1:1").await;

    assert_eq!(types(&told), ["reservation-refused", "reservation-refused"]);
    let refusals: Vec<_> = told
        .iter()
        .map(|told| match &told.event {
            StockEvent::ReservationRefused(refused) => {
                (told.sku.as_str(), refused.reason, refused.available)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let short = RefusalReason::InsufficientStock;
    assert_eq!(refusals, [("Y", short, 1), ("never", short, 0)]);
    assert_eq!((store.levels("X").await, store.levels("Y").await), ((5, 0), (1, 0)));
    assert_eq!(store.item("Y").await, (1, 1), "a refusal is no change of the item");
    let items = store.get("/api/query/inventory/store/A").await.accepted();
    assert_eq!(items["items"].as_array().unwrap().len(), 2, "nor does it make one: {items}");
}

#[tokio::test]
async fn two_customers_and_one_unit_the_first_has_it() {
    let store = TestStore::start().await;
    store.replace("X", 1).await;
    store.centre().reserve("c.1", &[("X", 1)]);
    store.centre().reserve("c.2", &[("X", 1)]);
    assert_eq!(types(&store.centre().answer("c.2:1").await), ["reservation-refused"]);
    assert_eq!(types(&store.centre().answer("c.1:1").await), ["stock-reserved"]);
    assert_eq!(store.levels("X").await, (1, 1));
}

#[tokio::test]
async fn an_ask_that_comes_after_its_time_is_refused() {
    let store = TestStore::start().await;
    store.replace("X", 5).await;
    let mut late = ask("c.1", &[("X", 1)]);
    late.expires_at = in_seconds(-200);
    store.centre().send("late", StoreCommand::Reserve(late));
    let told = store.centre().answer("late").await;
    let StockEvent::ReservationRefused(refused) = &told[0].event else { panic!("{told:?}") };
    assert_eq!((refused.reason, refused.available), (RefusalReason::Expired, 5));
}

#[tokio::test]
async fn clocks_that_differ_by_a_minute_do_not_refuse_an_ask() {
    let store = TestStore::start().await;
    store.replace("X", 5).await;
    let mut ask = ask("c.1", &[("X", 1)]);
    ask.expires_at = in_seconds(-60);
    store.centre().send("c.1:1", StoreCommand::Reserve(ask));
    assert_eq!(types(&store.centre().answer("c.1:1").await), ["stock-reserved"]);
}

#[tokio::test]
async fn what_is_released_can_be_sold_and_what_is_fulfilled_has_left() {
    let store = TestStore::start().await;
    store.replace("X", 5).await;
    store.centre().reserve("c.1", &[("X", 3)]);
    store.centre().reserve("c.2", &[("X", 2)]);
    store.centre().release("c.1", &["X"]);
    store.centre().fulfil("c.2", &["X"]);
    let told = store.centre().answer("c.2:1:fulfil").await;
    assert_eq!(types(&told), ["reservation-fulfilled"]);
    assert_eq!(store.levels("X").await, (3, 0));
    store.adjust("X", -3).await;
}

#[tokio::test]
async fn a_late_ask_is_undone_by_the_release_behind_it() {
    let store = TestStore::start().await;
    store.replace("X", 1).await;
    let setup = store.stop().await;
    setup.centre().reserve("c.1", &[("X", 1)]);
    setup.centre().release("c.1", &["X"]);
    let store = setup.start().await;
    let told = store.centre().answer("c.1:1:release").await;
    assert_eq!(types(&told), ["reservation-released"]);
    assert_eq!(store.levels("X").await, (1, 0));
}

#[tokio::test]
async fn a_command_delivered_again_is_not_executed_again() {
    let store = TestStore::start().await;
    store.replace("X", 5).await;
    store.centre().reserve("c.1", &[("X", 3)]);
    store.centre().release("c.1", &["X"]);
    // The centre lost its place, and sends both again: also to a store that was restarted.
    let store = store.restart().await;
    store.centre().reserve("c.1", &[("X", 3)]);
    store.centre().reserve("c.9", &[("X", 1)]);
    store.centre().answer("c.9:1").await;
    assert_eq!(store.levels("X").await, (5, 1));
    assert_eq!(store.centre().answer("c.1:1").await.len(), 1);
}

#[tokio::test]
async fn commands_wait_for_a_store_that_is_closed_and_each_is_executed_once() {
    let store = TestStore::start().await;
    store.replace("X", 10).await;
    store.centre().reserve("c.1", &[("X", 1)]);
    store.centre().answer("c.1:1").await;
    let setup = store.stop().await;
    setup.centre().reserve("c.2", &[("X", 2)]);
    let store = setup.start().await;
    store.centre().answer("c.2:1").await;
    let store = store.restart().await;
    store.centre().reserve("c.3", &[("X", 4)]);
    store.centre().answer("c.3:1").await;
    assert_eq!(store.levels("X").await, (10, 7));
}

#[tokio::test]
async fn a_customer_with_the_item_in_hand_breaks_the_newest_promise() {
    let store = TestStore::start().await;
    store.replace("X", 5).await;
    for reservation in ["c.1", "c.2"] {
        store.centre().reserve(reservation, &[("X", 2)]);
        store.centre().answer(&format!("{reservation}:1")).await;
    }
    let sale = with(adjust("X", -2), json!({"onShortfall": "breakReservations", "commandId": "t"}));
    let sold = store.post(ADJUST, &sale).await.accepted();
    assert_eq!(
        (&sold["onHand"], &sold["reserved"], &sold["delta"]),
        (&json!(3), &json!(2), &json!(-2))
    );
    assert_eq!(sold["brokenReservations"], 1);

    let told = store.centre().answer("t").await;
    assert_eq!(types(&told), ["reservation-broken", "stock-adjusted"]);
    let StockEvent::Broken(broken) = &told[0].event else { panic!("{told:?}") };
    assert_eq!(broken.allocation.reservation_id.as_str(), "c.2");
    assert_eq!(broken.reason, BreakReason::Sold);
    let again = store.post(ADJUST, &sale).await;
    assert!(again.is_replayed());
    assert_eq!(again.accepted(), sold, "the repeat tells of the broken promise too");
}

#[tokio::test]
async fn a_count_below_what_is_promised_breaks_what_cannot_be_kept() {
    let store = TestStore::start().await;
    store.replace("X", 5).await;
    store.centre().reserve("c.1", &[("X", 2)]);
    store.centre().reserve("c.2", &[("X", 2)]);
    store.centre().answer("c.2:1").await;
    let counted = store.post(REPLACE, &replace("X", 3)).await.accepted();
    assert_eq!((&counted["reserved"], &counted["brokenReservations"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn the_store_lets_go_on_its_own_when_the_time_is_over() {
    let store = Setup::with_log(MemoryLog::default()).without_grace().start().await;
    store.replace("X", 5).await;
    let mut short = ask("c.1", &[("X", 3)]);
    short.expires_at = in_seconds(1);
    store.centre().send("c.1:1", StoreCommand::Reserve(short));
    assert_eq!(types(&store.centre().answer("c.1:1").await), ["stock-reserved"]);
    let centre = store.centre();
    let released = tokio::task::spawn_blocking(move || {
        test_support::eventually("it is let go", crate::support::DEADLINE, || {
            centre.events().into_iter().find_map(|event| match event.event {
                StockEvent::Released(released) => Some(released),
                _ => None,
            })
        })
    });
    assert_eq!(released.await.unwrap().reason, ReleaseReason::Expired);
    assert_eq!(store.levels("X").await, (5, 0));
}
