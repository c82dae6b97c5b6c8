//! Whatever is asked, repeated or restarted: the store, its replay and a naive book agree.

use std::collections::BTreeMap;

use inventory_core::{StockItem, evolve};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use store_service::journal::{self, Journal};

use crate::support::{ADJUST, REPLACE, TestStore, store_id};

const MOST: i64 = 1_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    Ask(Asked),
    /// What was asked before is asked again, word for word.
    Repeat(Index),
    Restart,
}

#[derive(Debug, Clone, PartialEq)]
struct Asked {
    path: &'static str,
    sku: &'static str,
    units: i64,
    expected: Option<i64>,
    on_shortfall: &'static str,
    id: Option<u8>,
}

impl Asked {
    fn body(&self) -> Value {
        let mut body = json!({"storeId": "A", "sku": self.sku});
        if self.path == REPLACE {
            body["quantity"] = json!(self.units);
        } else {
            body["delta"] = json!(self.units);
            body["onShortfall"] = json!(self.on_shortfall);
        }
        if let Some(expected) = self.expected {
            body["expectedVersion"] = json!(expected);
        }
        if let Some(id) = self.id {
            body["commandId"] = json!(format!("id-{id}"));
        }
        body
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let units = prop_oneof![8 => 0..9_i64, 1 => MOST - 2..=MOST];
    let path = select(&[ADJUST, ADJUST, ADJUST, REPLACE][..]);
    let sku = select(&["X", "Y", "Käse"][..]);
    let choice = select(&["reject", "breakReservations", "recordDiscrepancy"][..]);
    let expected = option::weighted(0.2, 0..6_i64);
    (path, sku, units, any::<bool>(), expected, choice, option::of(0..8_u8)).prop_map(
        |(path, sku, units, taken, expected, on_shortfall, id)| {
            // A delta is not 0.
            let units = if path == REPLACE { units } else { units.max(1) };
            let units = if path == ADJUST && taken { -units } else { units };
            Asked { path, sku, units, expected, on_shortfall, id }
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => asked().prop_map(Step::Ask),
        4 => any::<Index>().prop_map(Step::Repeat),
        1 => Just(Step::Restart),
    ];
    vec(step, 1..40)
}

/// Shares no code with the store.
#[derive(Debug, Default)]
struct Book {
    /// Units on hand and version.
    items: BTreeMap<&'static str, (i64, i64)>,
    answered: BTreeMap<u8, (Asked, u16, Value)>,
    events: u64,
}

impl Book {
    /// The status a command gets that is no repeat, and what it leads to.
    fn judge(&mut self, asked: &Asked) -> u16 {
        let (on_hand, version) = self.items.get(asked.sku).copied().unwrap_or_default();
        if asked.expected.is_some_and(|expected| expected != version) {
            return 409;
        }
        let after = on_hand + asked.units;
        let level = match (asked.path, asked.on_shortfall) {
            (REPLACE, _) => asked.units,
            _ if after > MOST => return 422,
            _ if after >= 0 => after,
            (_, "recordDiscrepancy") => 0,
            _ => return 409,
        };
        self.items.insert(asked.sku, (level, version + 1));
        self.events += 1;
        200
    }

    async fn ask(&mut self, store: &TestStore, asked: &Asked) {
        let reply = store.post(asked.path, &asked.body()).await;
        let before = asked.id.and_then(|id| self.answered.get(&id));
        if let Some((first, status, answer)) = before {
            if first.path == asked.path && first.body() == asked.body() {
                assert_eq!((reply.status, &reply.json()), (*status, answer), "{asked:?}");
                assert!(reply.is_replayed(), "{asked:?}");
            } else {
                reply.problem(422, "command_id_reused");
            }
            return;
        }
        let status = self.judge(asked);
        let answer = reply.json();
        assert_eq!(reply.status, status, "{asked:?}: {answer}");
        assert!(!reply.is_replayed(), "{asked:?}");
        if status == 200 {
            let (on_hand, version) = self.items[asked.sku];
            let said = (&answer["onHand"], &answer["version"], &answer["sequence"]);
            assert_eq!(said, (&json!(on_hand), &json!(version), &json!(self.events)), "{asked:?}");
        }
        if let Some(id) = asked.id {
            self.answered.insert(id, (asked.clone(), status, answer));
        }
    }

    async fn agrees_with(&self, store: &TestStore) {
        let page = store.get("/api/query/inventory/store/A").await.accepted();
        let items: BTreeMap<_, _> = (page["items"].as_array().unwrap().iter())
            .map(|item| (item["sku"].as_str().unwrap(), (&item["onHand"], &item["version"])))
            .map(|(sku, (on_hand, version))| {
                (sku, (on_hand.as_i64().unwrap(), version.as_i64().unwrap()))
            })
            .collect();
        assert_eq!(items, self.items);
        assert_eq!(store.head().await, self.events);
    }
}

async fn run(steps: Vec<Step>) {
    let mut store = TestStore::start().await;
    let (mut book, mut history) = (Book::default(), Vec::new());
    for step in steps {
        match step {
            Step::Ask(asked) => {
                book.ask(&store, &asked).await;
                history.push(asked);
            }
            Step::Repeat(which) if !history.is_empty() => {
                book.ask(&store, which.get(&history)).await;
            }
            Step::Repeat(_) => {}
            Step::Restart => {
                store = store.restart().await;
                book.agrees_with(&store).await;
            }
        }
    }
    book.agrees_with(&store).await;

    let folder = store.folder().to_owned();
    let _setup = store.stop().await;
    let (_, head) = journal::verify(&folder).unwrap();
    assert_eq!(head.sequence.get(), book.events, "the chain verifies to its end");
    let mut replayed: BTreeMap<String, StockItem> = BTreeMap::new();
    Journal::open(&folder, &store_id(), |recorded| {
        evolve(replayed.entry(recorded.sku.to_string()).or_default(), &recorded.event);
    })
    .unwrap();
    assert_eq!(replayed.len(), book.items.len());
    for (sku, (on_hand, version)) in book.items {
        let item = &replayed[sku];
        assert_eq!((item.on_hand, item.version.get()), (on_hand, version.cast_unsigned()), "{sku}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_replay_a_live_store_and_a_naive_book_agree(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
