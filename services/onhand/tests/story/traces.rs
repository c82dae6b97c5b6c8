//! One sale, one trace; one reservation, one trace: from the request to everything it leads to.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::json;
use service_kit::trace::export::{Exporting, Service, start};
use test_support::otlp::{Collector, Manner, Span, orphans, shape};

use crate::shop::Chain;

/// The collector of this process: like its log, it has one.
static COLLECTOR: LazyLock<(Collector, Exporting)> = LazyLock::new(|| {
    let collector = Collector::start(Manner::Takes);
    let service = Service { name: "chain", id: None, version: "1" };
    let endpoint = collector.endpoint.clone();
    let environment =
        |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone());
    let exporting = start(&service, environment).unwrap().unwrap();
    (collector, exporting)
});

/// The span that a caller says it is in.
const CALLER: &str = "b7ad6b7169203331";

/// A trace of the caller's own.
struct Trace {
    id: String,
    flags: &'static str,
}

impl Trace {
    fn begin(flags: &'static str) -> Self {
        LazyLock::force(&COLLECTOR);
        Self { id: format!("{:032x}", fastrand::u128(1..)), flags }
    }

    fn parent(&self) -> String {
        format!("00-{}-{CALLER}-{}", self.id, self.flags)
    }

    /// Its spans, once all of these were told.
    async fn told(&self, chain: &Chain, wanted: &BTreeSet<(String, String)>) -> Vec<Span> {
        chain
            .until("the trace was told", async || {
                let spans = COLLECTOR.0.trace(&self.id);
                wanted.is_subset(&shape(&spans)).then_some(spans)
            })
            .await
    }
}

/// Spans by name, each with its parent's.
fn wanted(spans: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    let title = |name: &str| match name {
        "outside" => name.to_owned(),
        name => format!("chain: {name}"),
    };
    spans.iter().map(|(name, parent)| (title(name), title(parent))).collect()
}

#[track_caller]
fn find<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    spans.iter().find(|span| span.name == name).unwrap()
}

#[tokio::test]
async fn a_sale_is_one_trace_from_the_till_to_the_centres_view() {
    const SELL: &str = "POST /api/commands/inventory/adjust";
    const SEND: &str = "send inventory.stock-events.v1";
    const PROCESS: &str = "process inventory.stock-events.v1";
    let trace = Trace::begin("01");
    let chain = Chain::open().await;
    chain.stock("A", "TRACED", 5).await;
    let body = json!({"storeId": "A", "sku": "TRACED", "delta": -1}).to_string();
    let headers = [("traceparent", trace.parent())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let path = "/commands/inventory/adjust";
    let answer = chain.send(&chain.store("A"), path, &body, &headers).await;
    let response = answer.traceresponse.clone().unwrap();
    let event = answer.is(200)["eventId"].as_str().unwrap().to_owned();

    let expected = wanted(&[
        (SELL, "outside"),
        ("commit journal", SELL),
        (SEND, SELL),
        (PROCESS, SELL),
        ("commit view", PROCESS),
    ]);
    let spans = trace.told(&chain, &expected).await;
    assert_eq!(shape(&spans), expected);
    assert_eq!(orphans(&spans, CALLER), Vec::<&Span>::new());

    let sold = find(&spans, SELL);
    assert_eq!((sold.kind.as_str(), sold.parent_id.as_str()), ("Server", CALLER));
    assert_eq!(response, format!("00-{}-{}-01", trace.id, sold.span_id));
    assert_eq!(sold.attributes["http.route"], "/api/commands/inventory/adjust");
    assert_eq!(sold.attributes["http.response.status_code"], "200");
    assert_eq!(find(&spans, "commit journal").attributes["db.operation.batch.size"], "1");
    assert_eq!(find(&spans, SEND).kind, "Producer");
    let processed = find(&spans, PROCESS);
    assert_eq!(processed.kind, "Consumer");
    assert_eq!(processed.attributes["messaging.message.id"], event);

    let history = chain.get_from(&chain.store("A"), "/query/inventory/store/A/TRACED/events").await;
    let events = history.is(200)["events"].clone();
    assert_eq!(events[1]["traceparent"], response, "the row keeps the request's own span");
}

#[tokio::test]
async fn a_reservation_is_one_trace_through_the_store_and_back() {
    const RESERVE: &str = "POST /api/reservations";
    const ASK: &str = "process inventory.commands.v1.B";
    const ANSWER: &str = "process inventory.stock-events.v1";
    let trace = Trace::begin("01");
    let chain = Chain::open().await;
    chain.stock("B", "TRACED", 5).await;
    let lines = json!([{"sku": "TRACED", "quantity": 2}]);
    let body = json!({"orderId": "order-traced", "lines": lines}).to_string();
    let parent = trace.parent();
    let headers = [("traceparent", parent.as_str()), ("prefer", "wait=20")];
    chain.send(&chain.centre, "/reservations", &body, &headers).await.is(201);

    let expected = wanted(&[
        (RESERVE, "outside"),
        ("commit ledger", RESERVE),
        ("send inventory.commands.v1.B", RESERVE),
        ("send inventory.reservations.v1", RESERVE),
        (ASK, RESERVE),
        ("commit journal", ASK),
        ("send inventory.stock-events.v1", ASK),
        (ANSWER, ASK),
        ("commit view", ANSWER),
    ]);
    let spans = trace.told(&chain, &expected).await;
    assert_eq!(shape(&spans), expected);
    assert_eq!(orphans(&spans, CALLER), Vec::<&Span>::new());
}

#[tokio::test]
async fn many_sales_of_one_commit_each_have_it_in_their_trace_or_linked() {
    let chain = Chain::open().await;
    chain.stock("C", "TRACED", 1_000).await;
    let sales: Vec<Trace> = (0..40).map(|_| Trace::begin("01")).collect();
    let mut sold = tokio::task::JoinSet::new();
    for sale in &sales {
        let request = chain
            .client
            .post(format!("{}/commands/inventory/adjust", chain.store("C")))
            .header("traceparent", sale.parent())
            .json(&json!({"storeId": "C", "sku": "TRACED", "delta": -1}));
        sold.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    assert!(sold.join_all().await.iter().all(|status| *status == 200));

    chain
        .until("each sale is in a commit at both ends", async || {
            let spans: Vec<Span> =
                sales.iter().flat_map(|sale| COLLECTOR.0.trace(&sale.id)).collect();
            let served = |commit: &str, sale: &Trace| {
                spans.iter().filter(|span| span.name == commit).any(|span| {
                    span.trace_id == sale.id || span.links.iter().any(|link| link.0 == sale.id)
                })
            };
            let both = |sale: &Trace| served("commit journal", sale) && served("commit view", sale);
            sales.iter().all(both).then_some(())
        })
        .await;
}

#[tokio::test]
async fn an_unsampled_request_has_a_trace_and_leaves_no_span() {
    let (unsampled, sampled) = (Trace::begin("00"), Trace::begin("01"));
    let chain = Chain::open().await;
    let mut responses = Vec::new();
    for trace in [&unsampled, &sampled] {
        let body = json!({"storeId": "A", "sku": "S", "quantity": 1}).to_string();
        let parent = trace.parent();
        let headers = [("traceparent", parent.as_str())];
        let path = "/commands/inventory/replace";
        let answer = chain.send(&chain.store("A"), path, &body, &headers).await;
        responses.push(answer.traceresponse.unwrap());
    }
    assert!(responses[0].starts_with(&format!("00-{}-", unsampled.id)));
    assert!(responses[0].ends_with("-00"));
    // What came later was told: so was, or was not, what came before.
    trace_is_told(&chain, &sampled).await;
    assert_eq!(COLLECTOR.0.trace(&unsampled.id), Vec::new());
}

async fn trace_is_told(chain: &Chain, trace: &Trace) {
    let viewed = ("commit view", "process inventory.stock-events.v1");
    trace.told(chain, &wanted(&[viewed])).await;
}

#[tokio::test]
async fn a_broken_trace_context_costs_the_trace_and_not_the_request() {
    LazyLock::force(&COLLECTOR);
    let chain = Chain::open().await;
    let broken = ["", "nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01"];
    for context in broken {
        let body = json!({"storeId": "A", "sku": "S", "quantity": 1}).to_string();
        let headers = [("traceparent", context)];
        let path = "/commands/inventory/replace";
        let answer = chain.send(&chain.store("A"), path, &body, &headers).await;
        assert!(answer.traceresponse.is_some(), "a trace of its own");
        answer.is(200);
    }
}

#[tokio::test]
async fn a_refusal_names_its_trace() {
    let trace = Trace::begin("01");
    let chain = Chain::open().await;
    let parent = trace.parent();
    let headers = [("traceparent", parent.as_str())];
    let body = json!({"orderId": "o", "lines": [{"sku": "NEVER-SEEN", "quantity": 1}]});
    let answer = chain.send(&chain.centre, "/reservations", &body.to_string(), &headers).await;
    assert_eq!(answer.problem(404, "unknown_item")["traceId"], trace.id);
}
