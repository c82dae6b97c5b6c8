//! Reservations through centres that are killed, and one that loses its database: whatever a customer
//! was told stands in the stores' journals, and nothing is promised twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::chain::{Chain, open, verify};
use crate::process::eventually;
use crate::storefront::{Storefront, Told, Wants};

const STORES: [&str; 3] = ["A", "B", "C"];
const ITEMS: usize = 20;
/// Units of each item in each store.
const UNITS: i64 = 50;
const CUSTOMERS: usize = 64;
/// How long after the last kill every saga must have come to rest: a step and what follows it, several
/// times over, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_centres_under_kills_promise_no_unit_twice_and_every_saga_ends() {
    let seed = fastrand::u64(..1_000_000);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let mut chain = Chain::with_centres(&STORES, &["east", "west"]).await;
    stock(&chain).await;
    let storefront = Storefront::open(&wants(&chain, false), CUSTOMERS, seed);

    // Each process in turn, twice over.
    let mut victims: Vec<usize> = (0..6).chain(0..6).collect();
    random.shuffle(&mut victims);
    for victim in &victims {
        storefront.more(random.usize(20..120)).await;
        match victim {
            0..3 => chain.stores[*victim].service.kill_and_restart().await,
            3..5 => chain.centres[victim - 3].kill_and_restart().await,
            _ => {
                chain.broker.kill();
                chain.broker.start_again();
            }
        }
    }
    storefront.more(100).await;
    let last_kill = Instant::now();
    let told = storefront.close().await;
    let ledger = at_rest(&chain).await;
    assert!(last_kill.elapsed() < DEADLINE, "the last saga took {:?}", last_kill.elapsed());

    let confirmed = told.iter().filter(|told| told.confirmed).count();
    assert!(confirmed > 0, "nothing was confirmed: the test shows nothing");
    for told in &told {
        stands(told, &ledger[&told.reservation]);
    }
    let promised = journals_agree(&chain, &ledger);
    let digests = chain.converged().await;
    nothing_is_held(&chain).await;
    println!(
        "{} kills, {} reservations, {confirmed} told confirmed, {promised} allocations made; at rest {:?} after the last kill; digests {digests:?}",
        victims.len(),
        told.len(),
        last_kill.elapsed(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_centre_that_loses_its_database_finds_what_was_confirmed_and_doubles_nothing() {
    let seed = fastrand::u64(..1_000_000);
    println!("seed {seed}");
    let mut chain = Chain::with_centres(&STORES, &["central"]).await;
    stock(&chain).await;
    let storefront = Storefront::open(&wants(&chain, true), 16, seed);
    for _ in 0..3 {
        storefront.more(150).await;
        chain.lose_centre().await;
    }
    storefront.more(100).await;
    let told = storefront.close().await;
    let ledger = at_rest(&chain).await;

    let confirmed: Vec<&Told> = told.iter().filter(|told| told.confirmed).collect();
    assert!(!confirmed.is_empty(), "nothing was confirmed: the test shows nothing");
    for told in &confirmed {
        let known = ledger.get(&told.reservation);
        // What a customer cancelled the centre alone knew, until the store had let go.
        if !told.cancelled {
            stands(told, known.expect("a confirmed reservation comes back"));
        }
    }
    journals_agree(&chain, &ledger);

    // Whoever repeats a request finds the reservation it led to, not another one.
    let repeated = confirmed.iter().rev().find(|told| !told.cancelled).expect("one was kept");
    let url = format!("{}/api/reservations", chain.centres[0].url);
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    let request = request.header("idempotency-key", &repeated.key);
    let answer = request.body(repeated.body.to_string()).send().await.unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(answer["reservationId"], repeated.reservation.as_str(), "{answer}");
    println!(
        "3 databases lost; {} reservations, {} told confirmed: all came back",
        told.len(),
        confirmed.len()
    );
}

fn sku(item: usize) -> String {
    format!("HOT-{item}")
}

fn wants(chain: &Chain, forgetful: bool) -> Wants {
    Wants {
        skus: (0..ITEMS).map(sku).collect(),
        centres: chain.centres.iter().map(|centre| centre.url.clone()).collect(),
        forgetful,
    }
}

/// Puts everything on the shelves and waits until every centre knows it.
async fn stock(chain: &Chain) {
    for store in &chain.stores {
        let lines = (0..ITEMS).map(|item| {
            let line = json!({"storeId": store.id, "sku": sku(item), "quantity": UNITS});
            format!("{line}\n")
        });
        let url = format!("{}/api/commands/inventory/batch", store.service.url);
        let request = reqwest::Client::new().post(url).body(lines.collect::<String>());
        let answer = request.header("content-type", "application/x-ndjson").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
    }
    chain.converged().await;
}

/// Waits until nothing is on its way any more; gives every reservation of every centre.
async fn at_rest(chain: &Chain) -> BTreeMap<String, Value> {
    let moving = ["asked", "withdrawn", "stray", "fulfilling", "releasing"];
    eventually("every saga comes to rest", async || {
        let mut ledger = BTreeMap::new();
        for centre in &chain.centres {
            let mut after = String::new();
            loop {
                let url = format!("{}/api/reservations?limit=1000{after}", centre.url);
                let page = chain.get(&url).await?;
                for known in page["reservations"].as_array()? {
                    let id = known["reservationId"].as_str()?.to_owned();
                    ledger.insert(id, known.clone());
                }
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
        }
        let rests = |known: &Value| {
            let state = known["state"].as_str().unwrap_or_default();
            let allocations = known["allocations"].as_array();
            !["requested", "resourcing"].contains(&state)
                && allocations.is_some_and(|all| {
                    all.iter().all(|one| !moving.contains(&one["state"].as_str().unwrap()))
                })
        };
        ledger.values().all(rests).then_some(ledger)
    })
    .await
}

/// What a customer was told is how it is.
fn stands(told: &Told, known: &Value) {
    let state = known["state"].as_str().unwrap();
    if told.fetched {
        assert_eq!(state, "fulfilled", "{known}");
    } else if told.cancelled {
        assert_eq!(state, "released", "{known}");
    } else if told.confirmed {
        assert!(["confirmed", "fulfilled"].contains(&state), "{known}");
    }
    let units = |lines: &Value| {
        let mut units: BTreeMap<String, i64> = BTreeMap::new();
        for line in lines.as_array().unwrap() {
            let sku = line["sku"].as_str().unwrap().to_owned();
            *units.entry(sku).or_default() += line["quantity"].as_i64().unwrap();
        }
        units
    };
    if told.confirmed {
        assert_eq!(units(&told.body["lines"]), units(&known["lines"]), "{known}");
    }
}

/// Reservation, attempt, store, item and units of an allocation.
type Part = (String, i64, String, String, i64);

/// What the ledgers tell is what the journals tell, and no journal ever promised more than it had.
/// Gives how many allocations were ever made.
fn journals_agree(chain: &Chain, ledger: &BTreeMap<String, Value>) -> usize {
    let mut told: BTreeMap<&str, BTreeSet<Part>> = BTreeMap::new();
    for (id, known) in ledger {
        for one in known["allocations"].as_array().unwrap() {
            let text = |name: &str| one[name].as_str().unwrap().to_owned();
            let units = |name: &str| one[name].as_i64().unwrap();
            let part =
                (id.clone(), units("attempt"), text("storeId"), text("sku"), units("quantity"));
            told.entry(one["state"].as_str().unwrap()).or_default().insert(part);
        }
    }
    let (mut kept, mut handed_over, mut made) = (BTreeSet::new(), BTreeSet::new(), 0);
    for store in &chain.stores {
        let journal = chain.journal(&store.id);
        assert!(verify(&journal).status.success(), "the chain of {} is broken", store.id);
        let (here, fetched, ever) = read(&journal, &store.id);
        for item in 0..ITEMS {
            let of_item = |parts: &BTreeSet<Part>| {
                parts.iter().filter(|part| part.3 == sku(item)).map(|part| part.4).sum::<i64>()
            };
            let promised = of_item(&here) + of_item(&fetched);
            assert!(promised <= UNITS, "{promised} of {} at {}", sku(item), store.id);
        }
        kept.extend(here);
        handed_over.extend(fetched);
        made += ever;
    }
    let of = |state: &str| told.get(state).cloned().unwrap_or_default();
    assert_eq!(of("reserved"), kept, "the ledgers and the journals differ on what is kept");
    assert_eq!(of("fulfilled"), handed_over, "they differ on what was handed over");
    made
}

/// What a journal says is kept now, and what was handed over; and how many allocations it ever made.
fn read(journal: &Path, store: &str) -> (BTreeSet<Part>, BTreeSet<Part>, usize) {
    let database = open(journal);
    let sql = "SELECT sequence, sku, type, data FROM events ORDER BY sequence";
    let mut statement = database.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let (mut kept, mut handed_over, mut made) = (BTreeSet::new(), BTreeSet::new(), 0);
    while let Some(row) = rows.next().unwrap() {
        let (sequence, sku): (i64, String) = (row.get(0).unwrap(), row.get(1).unwrap());
        let (name, data): (String, String) = (row.get(2).unwrap(), row.get(3).unwrap());
        let data: Value = serde_json::from_str(&data).unwrap();
        if let Some(reserved) = data["reserved"].as_i64() {
            assert!(reserved <= data["onHand"].as_i64().unwrap(), "oversold at {sequence}");
        }
        let allocation = &data["allocation"];
        let Some(reservation) = allocation["reservationId"].as_str() else {
            continue;
        };
        let part = (
            reservation.to_owned(),
            allocation["attempt"].as_i64().unwrap(),
            store.to_owned(),
            sku,
            allocation["quantity"].as_i64().unwrap(),
        );
        match name.as_str() {
            "inventory.stock-reserved.v1" => {
                made += 1;
                assert!(kept.insert(part), "kept twice at {sequence}");
            }
            "inventory.reservation-refused.v1" => {}
            ending => {
                assert!(kept.remove(&part), "{ending} at {sequence} of what was not kept");
                if ending == "inventory.reservation-fulfilled.v1" {
                    handed_over.insert(part);
                }
            }
        }
    }
    (kept, handed_over, made)
}

/// At rest no hold is left, and item, list and explanation say the same.
async fn nothing_is_held(chain: &Chain) {
    for centre in &chain.centres {
        for item in 0..ITEMS {
            let url = format!("{}/api/query", centre.url);
            let list = chain.get(&format!("{url}/availability?sku={}", sku(item))).await.unwrap();
            for store in list["items"][0]["stores"].as_array().unwrap() {
                let id = store["storeId"].as_str().unwrap();
                let why = format!("{url}/inventory/{id}/{}/explain", sku(item));
                let why = chain.get(&why).await.unwrap();
                let terms = why["terms"].as_array().unwrap();
                let holds = terms.iter().find(|term| term["term"] == "holds").unwrap();
                assert_eq!(holds["units"], 0, "{why}");
                assert_eq!(why["available"], store["available"], "{why}");
                let page = format!("{url}/inventory/store/{id}/{}", sku(item));
                let page = chain.get(&page).await.unwrap();
                assert_eq!(why["available"], page["available"], "{why}");
            }
        }
    }
}
