//! A lane against a store that misbehaves.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use csv::ByteRecord;
use serde_json::{Value, json};

use super::super::sale::{Layout, Reader};
use super::*;
use crate::web::{Token, base, client};

/// What the fake store does with one request.
#[derive(Debug, Clone, Copy)]
enum Step {
    Serve,
    /// Refuse the body before anything is done.
    Refuse(u16),
    /// Execute everything, then lose the answer.
    LoseAnswer,
    /// Execute everything, then answer only one line.
    CutAnswer,
    /// Execute all lines but this one, which is told to come again.
    Postpone(usize),
}

#[derive(Debug, Default)]
struct Fake {
    steps: VecDeque<Step>,
    /// Skus in the order their commands were executed.
    executed: Vec<String>,
    known: HashSet<String>,
    /// Lines of each request.
    requests: Vec<Vec<Value>>,
}

type Store = Arc<Mutex<Fake>>;

impl Fake {
    fn execute(&mut self, number: usize, command: &Value) -> Value {
        let sku = command["sku"].as_str().unwrap().to_owned();
        if sku == "short" {
            let problem =
                json!({"code": "insufficient_stock", "detail": "none", "retryable": false});
            return json!({"line": number, "status": 409, "problem": problem});
        }
        let repeated = !self.known.insert(command["commandId"].as_str().unwrap().to_owned());
        if !repeated {
            self.executed.push(sku);
        }
        let id = format!("A/1/{}", self.executed.len());
        json!({"line": number, "status": 200, "repeated": repeated, "eventId": id, "version": 1})
    }
}

async fn batch(State(store): State<Store>, body: String) -> Response {
    let mut fake = store.lock().unwrap_or_else(PoisonError::into_inner);
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    fake.requests.push(lines.clone());
    let step = fake.steps.pop_front().unwrap_or(Step::Serve);
    if let Step::Refuse(status) = step {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let mut answers = Vec::new();
    for (command, number) in lines.iter().zip(1..) {
        answers.push(match step {
            Step::Postpone(line) if line == number => {
                let problem = json!({"code": "storage_full", "retryable": true});
                json!({"line": number, "status": 507, "problem": problem}).to_string()
            }
            _ => fake.execute(number, command).to_string(),
        });
    }
    match step {
        Step::LoseAnswer => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Step::CutAnswer => answers.remove(0).into_response(),
        _ => answers.join("\n").into_response(),
    }
}

/// A lane to a fake store, and what it is made of.
struct Bench {
    store: Store,
    stop: CancellationToken,
    folder: tempfile::TempDir,
    give_up_after: Duration,
}

impl Bench {
    fn new(steps: &[Step]) -> Self {
        let fake = Fake { steps: steps.iter().copied().collect(), ..Fake::default() };
        Self {
            store: Arc::new(Mutex::new(fake)),
            stop: CancellationToken::new(),
            folder: tempfile::tempdir().unwrap(),
            give_up_after: Duration::from_secs(30),
        }
    }

    fn shared(&self, batch_lines: usize) -> Arc<Shared> {
        Arc::new(Shared {
            writer: Writer { run: String::new(), on_shortfall: None },
            batch_lines,
            give_up_after: self.give_up_after,
            rejects: Rejects::new(self.folder.path().join("r.csv"), ByteRecord::new()).unwrap(),
            progress: Arc::new(Progress::new(0)),
            stop: self.stop.clone(),
        })
    }

    /// Runs a lane over batches of SKUs, after opening the items of `pairs`.
    async fn run(&self, pairs: Pairs, batches: &[&[&str]]) -> Outcome {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new()
            .route("/api/commands/inventory/batch", post(batch))
            .with_state(Arc::clone(&self.store));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let shared = self.shared(2);
        let (sender, receiver) = mpsc::channel(batches.len().max(1));
        for batch in entries(&shared.writer, batches) {
            sender.send(batch).await.unwrap();
        }
        drop(sender);
        // Not the lane's own limit: a busy machine must not turn a served request into a late one.
        let client = client(Duration::from_secs(30), &Token::default()).unwrap();
        let endpoint = Endpoint::new(client, &base(&url).unwrap());
        let lane = Lane::new(shared, "A".parse().unwrap(), endpoint, pairs);
        let outcome = lane.run(receiver).await;
        server.abort();
        outcome
    }

    fn executed(&self) -> Vec<String> {
        self.store.lock().unwrap().executed.clone()
    }

    fn requests(&self) -> Vec<Vec<String>> {
        let fake = self.store.lock().unwrap();
        let skus = |lines: &Vec<Value>| {
            lines.iter().map(|line| line["sku"].as_str().unwrap().to_owned()).collect()
        };
        fake.requests.iter().map(skus).collect()
    }
}

fn entries(writer: &Writer, batches: &[&[&str]]) -> Vec<Batch> {
    let header = ByteRecord::from(vec!["timestamp", "storeId", "sku", "quantity"]);
    let store = "A".parse().unwrap();
    let reader = Reader::new(Layout::of(&header).unwrap(), std::iter::once(&store));
    let mut line = 1;
    let mut entry = |sku: &&str| {
        line += 1;
        let fields = ByteRecord::from(vec!["2026-11-21T09:30:00Z", "A", sku, "1"]);
        writer.sale(&store, reader.read(&fields).unwrap(), line, &fields, b"raw")
    };
    let mut built = Vec::new();
    for skus in batches {
        let mut batch = Batch::default();
        skus.iter().map(&mut entry).for_each(|entry| batch.push(entry));
        built.push(batch);
    }
    built
}

const TWO_BATCHES: &[&[&str]] = &[&["a", "b"], &["c", "d"]];

#[tokio::test]
async fn a_store_that_is_away_gets_everything_once_and_in_order() {
    let bench = Bench::new(&[Step::Refuse(503), Step::Refuse(429), Step::Serve, Step::Refuse(503)]);
    let outcome = bench.run(Pairs::new(), TWO_BATCHES).await;
    assert_eq!(bench.executed(), ["a", "b", "c", "d"]);
    let (ab, cd) = (["a", "b"], ["c", "d"]);
    assert_eq!(bench.requests(), [ab, ab, ab, cd, cd]);
    assert_eq!((outcome.tally.sales.accepted, outcome.tally.sales.repeated), (4, 0));
    assert_eq!(outcome.newest, Some((1, 4)));
    assert_eq!(outcome.failed, None);
}

#[tokio::test]
async fn what_is_sent_again_carries_its_id_and_is_not_executed_again() {
    let bench = Bench::new(&[Step::LoseAnswer, Step::CutAnswer, Step::Serve]);
    let outcome = bench.run(Pairs::new(), TWO_BATCHES).await;
    assert_eq!(bench.executed(), ["a", "b", "c", "d"]);
    let fake = bench.store.lock().unwrap();
    assert_eq!(fake.requests[0], fake.requests[1], "ids and all");
    assert_eq!(fake.requests[0], fake.requests[2]);
    let ids: Vec<_> =
        fake.requests.iter().flatten().map(|line| line["commandId"].as_str()).collect();
    assert!(ids.iter().all(Option::is_some));
    assert_eq!((outcome.tally.sales.accepted, outcome.tally.sales.repeated), (4, 2));
}

#[tokio::test]
async fn a_line_that_is_postponed_goes_before_the_next_batch() {
    let bench = Bench::new(&[Step::Postpone(1)]);
    let outcome = bench.run(Pairs::new(), TWO_BATCHES).await;
    let requests = bench.requests();
    assert_eq!(requests, [vec!["a", "b"], vec!["a"], vec!["c", "d"]]);
    assert_eq!(outcome.tally.sales.accepted, 4);
}

#[tokio::test]
async fn refused_lines_are_counted_by_code_and_kept() {
    let bench = Bench::new(&[]);
    let outcome = bench.run(Pairs::new(), &[&["a", "short"], &["short", "b"]]).await;
    assert_eq!(bench.executed(), ["a", "b"]);
    let refused = [("insufficient_stock".to_owned(), 2)].into();
    assert_eq!(outcome.tally.sales.refused, refused);
    assert_eq!(outcome.failed, None);
}

#[tokio::test]
async fn items_are_opened_before_anything_is_sold() {
    let bench = Bench::new(&[Step::Refuse(503)]);
    let pair = |opening| super::super::pairs::Pair { opening, ..Default::default() };
    let skus = ["a", "b", "short"];
    let pairs: Pairs = skus.iter().map(|sku| (sku.parse().unwrap(), pair(1))).collect();
    let outcome = bench.run(pairs, &[&["a"], &["b", "a"]]).await;
    assert_eq!(bench.executed(), ["a", "b", "a", "b", "a"]);
    assert_eq!((outcome.tally.openings.accepted, outcome.tally.sales.accepted), (2, 3));
    assert_eq!(outcome.tally.openings.refused.values().sum::<u64>(), 1);
    let nets: Vec<_> =
        outcome.pairs.values().map(|pair| (pair.opened.is_some(), pair.net, pair.sales)).collect();
    assert_eq!(nets, [(true, -2, 2), (true, -1, 1), (false, 0, 0)]);
}

#[tokio::test]
async fn a_store_that_stays_away_fails_its_lane_only_after_a_while() {
    let mut bench = Bench::new(&[Step::Serve]);
    bench.store.lock().unwrap().steps.extend([Step::Refuse(503); 100]);
    bench.give_up_after = Duration::from_millis(300);
    let started = std::time::Instant::now();
    let outcome = bench.run(Pairs::new(), TWO_BATCHES).await;
    assert!(started.elapsed() >= bench.give_up_after);
    assert_eq!((outcome.tally.sales.accepted, outcome.tally.failed), (2, 2));
    assert!(outcome.failed.unwrap().contains("503"));
}

#[tokio::test]
async fn a_wrong_address_fails_at_once() {
    let bench = Bench::new(&[Step::Refuse(404)]);
    let outcome = bench.run(Pairs::new(), TWO_BATCHES).await;
    assert_eq!(outcome.tally.failed, 4);
    assert_eq!(bench.requests().len(), 1);
    assert!(outcome.failed.unwrap().contains("404"));
}

#[tokio::test]
async fn a_stop_leaves_the_rest_for_the_next_run() {
    let bench = Bench::new(&[]);
    bench.store.lock().unwrap().steps.extend([Step::Refuse(503); 100]);
    let stop = bench.stop.clone();
    let store = Arc::clone(&bench.store);
    let stopper = tokio::spawn(async move {
        while store.lock().unwrap().requests.is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    let outcome = bench.run(Pairs::new(), TWO_BATCHES).await;
    stopper.await.unwrap();
    assert_eq!(outcome.tally, Tally::default());
    assert_eq!(outcome.failed, None);
}

#[test]
fn a_batch_is_full_by_lines_or_by_bytes() {
    let entry = |bytes| Entry {
        origin: Origin::Opening,
        sku: "x".parse().unwrap(),
        json: vec![b' '; bytes].into(),
    };
    let mut batch = Batch::default();
    batch.push(entry(10));
    assert!(batch.is_full(1) && !batch.is_full(2));
    batch.push(entry(BODY_BYTES_MAX));
    assert!(batch.is_full(10_000));
}
