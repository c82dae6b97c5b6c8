//! Asking for a comparison by hand, and watching it.

use std::sync::Arc;

use event_log::{EventLog, MemoryLog};
use shared_events::StoreCommand;

use crate::support::{
    Running, SOON, Shop, command, config, documented, get, heartbeats, post, publish, topics,
    wait_for,
};

const PATH: &str = "/api/sync/stores/S1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_that_somebody_wants_is_done_and_can_be_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let shop = Shop::stocked("S1", 5);
    publish(log.as_ref(), &shop.journal);
    let centre = Running::start(config(folder.path()), &log).await;
    test_support::eventually_async("the shop is fresh", SOON, async || {
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        let seen = centre.model.store(&shop.id)?.1;
        (seen.freshness.name() == "fresh").then_some(())
    })
    .await;
    post(&centre.router, "/api/sync/stores/NOWHERE").await.problem(404, "unknown_store");
    let before = get(&centre.router, PATH).await.ok();
    assert_eq!((&before["state"], &before["missing"]), (&"idle".into(), &0.into()));

    let answer = post(&centre.router, PATH).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (202, Some(PATH)));
    let openapi = get(&centre.router, "/api/openapi.json").await.ok();
    documented(&openapi, "Sync", &answer.json());
    test_support::eventually_async("it is running", SOON, async || {
        let now = get(&centre.router, PATH).await.ok();
        documented(&openapi, "Sync", &now);
        (now["state"] == "comparing").then_some(())
    })
    .await;
    let sent = command(&wait_for(log.as_ref(), &topics().commands(&shop.id), 1)[0]);
    let StoreCommand::ReplayEvents(wanted) = sent.command else {
        panic!("not asked for events: {sent:?}");
    };
    assert_eq!((wanted.from.get(), wanted.through.get()), (1, 5));
    // The first part of it comes, and is seen to have come.
    publish(log.as_ref(), shop.events(1, 2));
    test_support::eventually_async("some of it has come", SOON, async || {
        let now = get(&centre.router, PATH).await.ok();
        (now["comparing"]["received"] == 2).then_some(())
    })
    .await;
    publish(log.as_ref(), shop.replay(&wanted));
    let ended = test_support::eventually_async("it has ended", SOON, async || {
        let now = get(&centre.router, PATH).await.ok();
        (now["state"] == "idle").then_some(now)
    })
    .await;
    documented(&openapi, "Sync", &ended);
    assert_eq!(
        (&ended["last"]["outcome"], &ended["last"]["corrected"]),
        (&"equal".into(), &0.into())
    );
    assert_eq!(ended["freshness"]["state"], "fresh");
    centre.stop().await;
}
