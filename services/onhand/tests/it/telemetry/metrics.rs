//! `/metrics` as the tools of others read it.

use std::io::Write as _;
use std::process::Stdio;

use super::collector::Collector;
use super::{CANNOT_BE_HAD, script};
use crate::chain::Chain;
use crate::load::Load;
use crate::process::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_accepts_the_metrics_of_store_and_centre_under_load() {
    let chain = Chain::start(&["A", "B"]).await;
    let load = Load::start(&chain, fastrand::u64(..));
    load.more(200).await;
    for url in [&chain.stores[0].service.url, &chain.centres[0].url] {
        // By template, never by what was asked for: an item's name is in no label.
        let item = format!("{url}/api/query/inventory/store/A/MADE-UP-SKU");
        reqwest::get(item).await.unwrap();
        let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
        assert!(metrics.contains("onhand_http_request_duration_seconds_count{"), "{metrics}");
        assert!(!metrics.contains("MADE-UP-SKU"), "{metrics}");
        if !accepted(&metrics) {
            break;
        }
        let client = reqwest::Client::new().get(format!("{url}/metrics"));
        let open = client.header("accept", "application/openmetrics-text").send().await.unwrap();
        assert!(open.text().await.unwrap().ends_with("# EOF\n"));
    }
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_fetches_the_metrics_of_store_and_centre() {
    let chain = Chain::start(&["A"]).await;
    let services = [chain.stores[0].service.url.as_str(), chain.centres[0].url.as_str()];
    let folder = tempfile::tempdir().unwrap();
    let Some(collector) = Collector::fetching(folder.path(), &services) else {
        return;
    };
    // A counter that never counted, a gauge, and a histogram with its buckets.
    let wanted = [
        "Name: onhand_central_reservations_total",
        "Name: onhand_store_outbox_events",
        "Name: onhand_http_request_duration_seconds",
        "ExplicitBounds #0",
    ];
    eventually("the metrics are printed", async || {
        let log = collector.log();
        wanted.iter().all(|name| log.contains(name)).then_some(())
    })
    .await;
}

/// Whether `promtool check metrics` could be asked; it must then have nothing to say.
fn accepted(metrics: &str) -> bool {
    let mut check = script("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    // It reads nothing where it cannot be had.
    check.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap_or_default();
    let checked = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    if checked.status.code() == Some(CANNOT_BE_HAD) {
        eprintln!("not checked by promtool: {said}");
        return false;
    }
    assert!(checked.status.success(), "promtool check metrics: {said}\n{metrics}");
    true
}
