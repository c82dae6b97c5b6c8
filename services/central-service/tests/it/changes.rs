//! Changes by paging: the same as the stream tells, for those who come and go.

use std::sync::Arc;

use axum::Router;
use central_service::api::stream::Limits;
use event_log::{EventLog, MemoryLog};
use serde_json::Value;

use crate::support::{Centre, Shop, documented, follow, get, heartbeats, publish};

const EVERYTHING: u64 = 1_000_000;

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>) {
    (tempfile::tempdir().expect("a folder"), Arc::new(MemoryLog::default()))
}

/// Three shops that work side by side.
fn three_shops() -> Vec<Shop> {
    let mut shops: Vec<Shop> = ["S1", "S2", "north.3"].into_iter().map(Shop::new).collect();
    for step in 0_usize..400 {
        let shop = &mut shops[step * 7 % 3];
        match step % 5 {
            0 => shop.count(["A", "B", "Ä/ö 3"][step % 3], 50),
            1 => shop.refuse("A"),
            _ => drop(shop.change(["A", "B", "Ä/ö 3"][step % 3], -1)),
        }
    }
    shops
}

/// All pages behind an id.
async fn pages(router: &Router, query: &str, after: Option<String>) -> (Vec<Value>, String) {
    let (mut changes, mut after) = (Vec::new(), after);
    loop {
        let from = after.map_or_else(String::new, |id| format!("&after={id}"));
        let page = get(router, &format!("/api/events?{query}{from}")).await.ok();
        changes.extend(page["changes"].as_array().expect("a list").iter().cloned());
        let next = page["next"].as_str().expect("an id").to_owned();
        if page["more"] == false {
            return (changes, next);
        }
        after = Some(next);
    }
}

#[tokio::test]
async fn paging_tells_the_same_as_the_stream() {
    let (folder, log) = setting();
    let mut centre = Centre::open(folder.path(), &log);
    let router = centre.router();
    for shop in three_shops() {
        publish(log.as_ref(), &shop.journal);
        centre.catch_up();
    }
    let first = pages(&router, "limit=1000", None).await.0[0]["id"].clone();
    let before = first.as_str().expect("an id").replace("-1", "-0");
    for filter in ["", "&storeId=S2", "&sku=B,%C3%84%2F%C3%B6%203", "&storeId=S1,north.3&sku=A"] {
        let (expected, end) = pages(&router, &format!("limit=1000{filter}"), None).await;
        assert!(!expected.is_empty(), "{filter}");
        for limit in [1, 7, 100] {
            let query = format!("limit={limit}{filter}");
            assert_eq!(pages(&router, &query, None).await, (expected.clone(), end.clone()));
        }
        let query = filter.replacen('&', "?", 1);
        let mut client = follow(&router, &query, Some(&before)).await;
        assert_eq!(client.changes(expected.len()).await, expected, "{filter}");
    }
    let openapi = get(&router, "/api/openapi.json").await.ok();
    documented(&openapi, "Changes", &get(&router, "/api/events?limit=3").await.ok());
}

#[tokio::test]
async fn the_next_id_of_the_last_page_leads_to_what_came_since() {
    let (folder, log) = setting();
    let mut shop = Shop::stocked("S1", 5);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder.path(), &log);
    let (nothing, start) = pages(&centre.router(), "limit=10", None).await;
    assert!(nothing.is_empty(), "nothing was read yet");
    centre.catch_up();
    let (five, next) = pages(&centre.router(), "limit=10", Some(start)).await;
    assert_eq!(five.len(), 5);
    shop.count("NEW", 1);
    publish(log.as_ref(), shop.events(6, 6));
    centre.catch_up();
    let (one, last) = pages(&centre.router(), "limit=10", Some(next)).await;
    assert_eq!((one.len(), &one[0]["sku"]), (1, &"NEW".into()));
    drop(centre);
    let centre = Centre::open(folder.path(), &log);
    assert_eq!(pages(&centre.router(), "limit=10", Some(last.clone())).await, (vec![], last));
}

#[tokio::test]
async fn an_id_that_is_gone_is_told_from_where_to_go_on() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 30);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::keeping(folder.path(), &log, 10, Limits::default());
    let (_, start) = pages(&centre.router(), "limit=10", None).await;
    centre.catch_up();
    let router = centre.router();
    for id in [start, "00000000000000aa-25".to_owned()] {
        let gone = get(&router, &format!("/api/events?after={id}")).await;
        assert_eq!(gone.problem(410, "history_gone"), "after");
        let oldest = gone.json()["oldest"].as_str().expect("an id").to_owned();
        assert!(oldest.ends_with("-20"), "{oldest}");
        assert_eq!(pages(&router, "limit=10", Some(oldest)).await.0.len(), 10);
    }
}

/// Heartbeats are committed every second, and nobody who follows is to notice.
#[test]
fn a_batch_without_events_wakes_nobody() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 3);
    let mut centre = Centre::open(folder.path(), &log);
    let mut news = centre.streams.feed.news();
    news.mark_unchanged();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    assert!(!news.has_changed().expect("it records"), "nothing happened");
    publish(log.as_ref(), &shop.journal);
    centre.catch_up();
    assert!(news.has_changed().expect("it records"));
    publish(log.as_ref(), &shop.journal);
    news.mark_unchanged();
    assert_eq!(centre.catch_up().duplicates, 3);
    assert!(!news.has_changed().expect("it records"), "and not again");
}

/// A bound that was lowered is reached bit by bit.
#[test]
fn the_oldest_are_forgotten_a_bit_with_each_batch() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 3_000);
    publish(log.as_ref(), &shop.journal);
    Centre::keeping(folder.path(), &log, EVERYTHING, Limits::default()).catch_up();

    let mut centre = Centre::keeping(folder.path(), &log, 100, Limits::default());
    let kept = |centre: &Centre| {
        let kept = centre.streams.feed.kept();
        kept.newest - kept.before_oldest()
    };
    assert_eq!(kept(&centre), 3_000);
    for left in [2_000, 1_000, 100, 100] {
        centre.apply(&central_service::projection::Batch::default());
        assert_eq!(kept(&centre), left);
    }
    drop(centre);
    let centre = Centre::keeping(folder.path(), &log, 100, Limits::default());
    assert_eq!(kept(&centre), 100, "they are gone from the database, too");
    assert_eq!(centre.streams.feed.kept().newest, 3_000, "positions go on");
}
