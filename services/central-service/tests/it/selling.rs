//! The operator's switch of a store: durable, heard by every centre, and obeyed by what is new.

use std::sync::Arc;

use central_service::database::Lane;
use central_service::ledger::Ask;
use event_log::{EventLog, MemoryLog};
use serde_json::{Value, json};
use shared_events::policy::Selling;
use shared_events::{StoreId, Text};
use tokio::sync::oneshot;

use crate::support::{Centre, Shop, get, heartbeats, publish, send, settings, store};

/// Has the centre switch a store, as far as its disk.
pub(crate) fn switch(centre: &mut Centre, id: &str, enabled: bool, why: Option<&str>) -> Selling {
    let (reply, mut answer) = oneshot::channel();
    let reason = why.map(|why| Text::parse(why).expect("a text"));
    let ask = Ask::Selling { store_id: store(id), enabled, reason, reply };
    centre.projection.serve(vec![ask], centre.now).expect("the database works");
    answer.try_recv().expect("it is answered once it is on disk").expect("it is taken")
}

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>, Shop, Centre) {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let shop = Shop::stocked("S1", 3);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    (folder, log, shop, centre)
}

/// Publishes what waits.
fn publish_policies(centre: &Centre, log: &dyn EventLog) -> usize {
    let policies = centre.outbox().into_iter().filter(|row| row.lane == Lane::Records);
    let records: Vec<_> = policies.map(|row| row.publication).collect();
    send(log, &records);
    records.len()
}

async fn told(centre: &Centre) -> Value {
    get(&centre.router(), "/api/stores/S1").await.ok()
}

fn sells(centre: &Centre, id: &StoreId) -> bool {
    centre.model.store(id).expect("it is known").1.freshness.sellable()
}

#[tokio::test]
async fn a_store_that_is_switched_off_is_alive_and_offers_nothing() {
    let (_folder, _log, _shop, mut centre) = setting();
    let said = switch(&mut centre, "S1", false, Some("burst pipe"));
    let at = said.changed_at.to_string();
    let known = told(&centre).await;
    assert_eq!(
        known["selling"],
        json!({"enabled": false, "reason": "burst pipe", "changedAt": at, "changedBy": "c1"})
    );
    let freshness = &known["freshness"];
    assert_eq!((&freshness["state"], &freshness["since"]), (&"switchedOff".into(), &at.into()));
    assert_eq!(freshness["otherwise"], "fresh");
    let router = centre.router();
    let why = get(&router, "/api/query/inventory/S1/ITEM-2/explain").await.ok();
    assert_eq!((&why["available"], &why["sellable"]), (&0.into(), &false.into()));
    let because = format!("switched off by centre c1 at {}: burst pipe", said.changed_at);
    assert_eq!(why["because"], because);
    let ready = get(&router, "/readyz?verbose").await.text;
    assert!(ready.contains("S1 switchedOff"), "{ready}");
    let metrics = get(&router, "/metrics").await.text;
    let line = "onhand_central_store_freshness{store=\"S1\",state=\"switchedOff\"} 1";
    assert!(metrics.contains(line) && metrics.contains("store_age_seconds{"), "{metrics}");

    switch(&mut centre, "S1", true, None);
    assert_eq!(told(&centre).await["freshness"]["state"], "fresh");
    let item = get(&router, "/api/query/inventory/store/S1/ITEM-2").await.ok();
    assert_eq!(item["available"], 3);
}

#[tokio::test]
async fn to_say_again_what_is_so_changes_nothing() {
    let (_folder, log, _shop, mut centre) = setting();
    let said = switch(&mut centre, "S1", false, Some("burst pipe"));
    centre.now = centre.now.plus_millis(60_000);
    assert_eq!(switch(&mut centre, "S1", false, Some("burst pipe")), said);
    assert_eq!(publish_policies(&centre, log.as_ref()), 1);
    let dry = switch(&mut centre, "S1", false, Some("it dries"));
    assert!(dry.is_later_than(&said), "another reason is another word");
    // A clock that went back does not take the later word back.
    centre.now = centre.now.plus_millis(0).min(said.changed_at);
    let on = switch(&mut centre, "S1", true, None);
    assert!(on.is_later_than(&dry));
}

#[tokio::test]
async fn a_switch_outlives_a_restart_and_the_loss_of_the_database() {
    let (folder, log, shop, mut centre) = setting();
    let said = switch(&mut centre, "S1", false, Some("burst pipe"));
    assert_eq!(publish_policies(&centre, log.as_ref()), 1);
    drop(centre);
    let centre = Centre::open(folder.path(), &log);
    assert!(!sells(&centre, &shop.id), "before anything is read");
    drop(centre);

    for centre in [settings(), central_service::ledger::Settings::new(store_of("c2"), 1, 1)] {
        let empty = tempfile::tempdir().expect("a folder");
        let mut centre = Centre::of(empty.path(), &log, centre);
        centre.catch_up();
        let known = centre.model.selling(|all| all.get(&shop.id).cloned());
        assert_eq!(known.as_ref(), Some(&said));
        assert!(!sells(&centre, &shop.id));
    }
}

fn store_of(name: &str) -> shared_events::CentreId {
    name.parse().expect("a centre id")
}

#[tokio::test]
async fn the_later_word_of_two_centres_stands_at_both() {
    let (_folder, log, shop, mut east) = setting();
    let other = tempfile::tempdir().expect("a folder");
    let mut west = Centre::of(
        other.path(),
        &log,
        central_service::ledger::Settings::new(store_of("c2"), 1, 1),
    );
    west.catch_up();
    west.now = west.now.plus_millis(5);
    switch(&mut west, "S1", true, None);
    switch(&mut east, "S1", false, Some("an older word"));
    publish_policies(&west, log.as_ref());
    publish_policies(&east, log.as_ref());
    for centre in [&mut east, &mut west] {
        centre.catch_up();
        assert!(sells(centre, &shop.id));
    }
}

#[tokio::test]
async fn another_cluster_is_told_of_every_switch() {
    let (_folder, log, _shop, mut centre) = setting();
    switch(&mut centre, "S1", false, None);
    publish_policies(&centre, log.as_ref());
    let moved = central_service::projection::Batch {
        cluster_id: Some("another".to_owned()),
        ..central_service::projection::Batch::default()
    };
    let before = centre.outbox().len();
    centre.apply(&moved);
    assert_eq!(centre.outbox().len(), before + 1);
}
