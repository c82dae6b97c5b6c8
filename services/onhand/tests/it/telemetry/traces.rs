//! One sale and one reservation, each one trace over all processes, in a real collector.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Client, RequestBuilder};
use serde_json::json;
use test_support::otlp::{Span, orphans, shape};

use super::collector::Collector;
use crate::chain::{Chain, Setup};
use crate::process::eventually;

/// The span that callers say they are in.
const CALLER: &str = "b7ad6b7169203331";

const SELL: &str = "onhand-store: POST /api/commands/inventory/adjust";
const RESERVE: &str = "onhand-central: POST /api/reservations";
const ASKED: &str = "onhand-store: process inventory.commands.v1.A";
const JOURNAL: &str = "onhand-store: commit journal";
const PUBLISHED: &str = "onhand-store: send inventory.stock-events.v1";
const APPLIED: &str = "onhand-central: process inventory.stock-events.v1";
const VIEW: &str = "onhand-central: commit view";

/// The spans of a sale, each with its parent.
const SALE: [(&str, &str); 5] =
    [(SELL, "outside"), (JOURNAL, SELL), (PUBLISHED, SELL), (APPLIED, SELL), (VIEW, APPLIED)];
/// The spans of a reservation.
const RESERVATION: [(&str, &str); 9] = [
    (RESERVE, "outside"),
    ("onhand-central: commit ledger", RESERVE),
    ("onhand-central: send inventory.commands.v1.A", RESERVE),
    ("onhand-central: send inventory.reservations.v1", RESERVE),
    (ASKED, RESERVE),
    (JOURNAL, ASKED),
    (PUBLISHED, ASKED),
    (APPLIED, ASKED),
    (VIEW, APPLIED),
];

#[tokio::test]
async fn a_sale_and_a_reservation_are_each_one_trace_also_when_the_broker_was_away_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let Some(collector) = Collector::start(folder.path()) else {
        return;
    };
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let env = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let env: BTreeMap<_, _> = ["A", "central"].map(|id| (id.to_owned(), env.clone())).into();
    let chain = Chain::with(&["A"], &["central"], &Setup { env, ..Setup::default() }).await;
    stock(&chain).await;

    let sold = begin();
    assert_eq!(sell(&chain, &sold).await, 200);
    is_whole(&collector, &sold, &SALE).await;
    let reserved = begin();
    assert_eq!(reserve(&chain, &reserved, "5").await, 201);
    is_whole(&collector, &reserved, &RESERVATION).await;

    chain.broker.kill();
    let (sold_meanwhile, reserved_meanwhile) = (begin(), begin());
    assert_eq!(sell(&chain, &sold_meanwhile).await, 200);
    assert_eq!(reserve(&chain, &reserved_meanwhile, "0").await, 202);
    chain.broker.start_again();
    // What waited goes on together: work that is done for both is in one trace, and linked to the other.
    is_connected(&collector, &sold_meanwhile, &SALE).await;
    is_connected(&collector, &reserved_meanwhile, &RESERVATION).await;

    // A span is told of when it ends, so a parent after its children.
    eventually("every span's parent is told of", async || {
        orphans(&collector.spans(), CALLER).is_empty().then_some(())
    })
    .await;
    let log = collector.log();
    for said in [
        "onhand.store.id: Str(A)",
        "onhand.centre.id: Str(central)",
        "Kind           : Producer",
        // A log line of the centre.
        "Body: Str(the ledger has heard all answers and goes on)",
    ] {
        assert!(log.contains(said), "{said}");
    }
}

/// A trace of the caller's own.
fn begin() -> String {
    format!("{:032x}", fastrand::u128(1..))
}

fn within(request: RequestBuilder, trace: &str) -> RequestBuilder {
    request.header("traceparent", format!("00-{trace}-{CALLER}-01"))
}

async fn stock(chain: &Chain) {
    let store = &chain.stores[0].service;
    store.opened().await;
    let url = format!("{}/api/commands/inventory/replace", store.url);
    let body = json!({"storeId": "A", "sku": "X", "quantity": 100});
    let answer = Client::new().post(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    chain.converged().await;
}

async fn sell(chain: &Chain, trace: &str) -> u16 {
    let url = format!("{}/api/commands/inventory/adjust", chain.stores[0].service.url);
    let body = json!({"storeId": "A", "sku": "X", "delta": -1});
    let request = within(Client::new().post(url).json(&body), trace);
    request.send().await.unwrap().status().as_u16()
}

async fn reserve(chain: &Chain, trace: &str, wait: &str) -> u16 {
    let url = format!("{}/api/reservations", chain.centres[0].url);
    let body = json!({"orderId": trace, "lines": [{"sku": "X", "quantity": 1}], "storeId": "A"});
    let request = within(Client::new().post(url).json(&body), trace);
    let request = request.header("prefer", format!("wait={wait}"));
    request.send().await.unwrap().status().as_u16()
}

/// Waits until a trace has all of these; it must then have no others, and none without its parent.
async fn is_whole(collector: &Collector, trace: &str, wanted: &[(&str, &str)]) {
    let spans = told(collector, trace, &pairs(wanted.iter())).await;
    assert_eq!(shape(&spans), pairs(wanted.iter()));
}

/// The same, but for commits and publications, which may be in another trace.
async fn is_connected(collector: &Collector, trace: &str, wanted: &[(&str, &str)]) {
    let shared = |span: &str| span.contains(": commit ") || span.contains(": send ");
    let own = wanted.iter().filter(|(span, _)| !shared(span));
    let spans = told(collector, trace, &pairs(own)).await;
    assert!(shape(&spans).is_subset(&pairs(wanted.iter())), "{spans:?}");
}

/// A trace's spans, once it has all of these and each has its parent.
async fn told(
    collector: &Collector,
    trace: &str,
    wanted: &BTreeSet<(String, String)>,
) -> Vec<Span> {
    eventually("the trace is whole", async || {
        let mut spans = collector.spans();
        spans.retain(|span| span.trace_id == trace);
        let whole = wanted.is_subset(&shape(&spans)) && orphans(&spans, CALLER).is_empty();
        whole.then_some(spans)
    })
    .await
}

fn pairs<'s>(spans: impl Iterator<Item = &'s (&'s str, &'s str)>) -> BTreeSet<(String, String)> {
    spans.map(|(span, parent)| ((*span).to_owned(), (*parent).to_owned())).collect()
}
