//! Asks by the command topic while everything is killed: each is decided once, and no unit twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_log::{EventLog, KafkaConfig, KafkaLog, Publication, Publisher};
use fastrand::Rng;
use serde_json::{Value, json};
use service_kit::clock;
use shared_events::command::CommandEnvelope;
use shared_events::reservation::{
    Binding, FulfilReservation, ReleaseReason, ReleaseReservation, ReserveStock, WantedLine,
};
use shared_events::topic::Topics;
use shared_events::wire::encode_command;
use shared_events::{Sku, StoreCommand, StoreId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::chain::{Chain, open, verify};
use crate::process::eventually;

const STORES: [&str; 2] = ["north", "south"];
/// Few items and few units: most asks are for what somebody else wants too.
const ITEMS: usize = 10;
const UNITS: i64 = 50;
const ASKS: usize = 1_200;
const KILLS: usize = 14;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_ask_is_decided_once_and_no_unit_is_promised_twice_whatever_is_killed() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut chain = Chain::start(&STORES).await;
    stock(&chain).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let log = KafkaLog::new(KafkaConfig::new(&chain.broker.address));
    let asker = Asker {
        publisher: log.publisher().unwrap(),
        log,
        random: Rng::with_seed(seed),
        sent: Arc::clone(&sent),
    };
    let asking = tokio::task::spawn_blocking(move || asker.ask());

    let mut random = Rng::with_seed(seed.wrapping_add(1));
    for kill in 1..=KILLS {
        let until = ASKS * kill / (KILLS + 1);
        eventually("asks are sent", async || (sent.load(Ordering::Relaxed) >= until).then_some(()))
            .await;
        // A customer with the item in hand, whatever was promised.
        walk_in(&chain, &mut random, kill).await;
        match kill % 7 {
            0 => {
                chain.broker.kill();
                chain.broker.start_again();
            }
            1 => chain.centres[0].kill_and_restart().await,
            _ => {
                let place = random.usize(0..chain.stores.len());
                chain.stores[place].service.kill_and_restart().await;
            }
        }
    }
    let asked = asking.await.unwrap();

    let mut kept = 0;
    for store in &chain.stores {
        let journal = chain.journal(&store.id);
        let asked = &asked[store.id.as_str()];
        let story = eventually("every ask is decided", async || {
            let story = Story::read(&journal);
            asked.keys().all(|ask| story.answers.contains_key(ask)).then_some(story)
        })
        .await;
        for (ask, lines) in asked {
            story.stands_once(ask, *lines);
        }
        kept += story.kept;
        assert!(verify(&journal).status.success(), "the chain of {} is broken", store.id);
    }
    assert!(kept > 0, "nothing was kept: the test shows nothing");
    let digests = chain.converged().await;
    chain.lose_centre().await;
    assert_eq!(chain.converged().await, digests, "the rebuilt centre differs");
    println!("{KILLS} kills, {ASKS} asks, each decided once; {kept} lines kept, none twice");
}

fn sku(item: usize) -> Sku {
    format!("HOT-{item}").parse().unwrap()
}

async fn stock(chain: &Chain) {
    for store in &chain.stores {
        for item in 0..ITEMS {
            let body = json!({"storeId": store.id, "sku": sku(item), "quantity": UNITS});
            post(&format!("{}/api/commands/inventory/replace", store.service.url), &body).await;
        }
    }
}

async fn walk_in(chain: &Chain, random: &mut Rng, number: usize) {
    let store = &chain.stores[random.usize(0..chain.stores.len())];
    let body = json!({
        "storeId": store.id, "sku": sku(random.usize(0..ITEMS)), "delta": -random.i64(1..=5),
        "onShortfall": "breakReservations", "commandId": format!("walk-in-{number}")
    });
    post(&format!("{}/api/commands/inventory/adjust", store.service.url), &body).await;
}

async fn post(url: &str, body: &Value) {
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    let status = request.body(body.to_string()).send().await.unwrap().status();
    assert!([200, 409].contains(&status.as_u16()), "{status} to {body}");
}

/// A centre that asks without end, and does not remember whether it did.
struct Asker {
    log: KafkaLog,
    publisher: Box<dyn Publisher>,
    random: Rng,
    sent: Arc<AtomicUsize>,
}

/// For each store the asks it got, by command id, with their number of lines.
type Asked = HashMap<String, BTreeMap<String, usize>>;

impl Asker {
    fn ask(mut self) -> Asked {
        let mut asked = Asked::new();
        for number in 0..ASKS {
            let store = STORES[self.random.usize(0..STORES.len())];
            let reserve = self.reservation(number);
            let lines = reserve.wanted.len();
            let id = format!("{}:1", reserve.reservation_id);
            asked.entry(store.to_owned()).or_default().insert(id.clone(), lines);
            let skus: Vec<Sku> = reserve.wanted.iter().map(|line| line.sku.clone()).collect();
            let reservation_id = reserve.reservation_id.clone();
            let mut commands = vec![(id, StoreCommand::Reserve(reserve))];
            let attempt = 1;
            match self.random.u8(0..3) {
                0 => commands.push((
                    format!("{reservation_id}:1:release"),
                    StoreCommand::Release(ReleaseReservation {
                        reservation_id,
                        attempt,
                        skus,
                        reason: ReleaseReason::Cancelled,
                    }),
                )),
                1 => commands.push((
                    format!("{reservation_id}:1:fulfil"),
                    StoreCommand::Fulfil(FulfilReservation { reservation_id, attempt, skus }),
                )),
                _ => {}
            }
            // Now and then all of it once more, as after a crash in front of the cursor.
            let times = if self.random.u8(0..10) == 0 { 2 } else { 1 };
            for _ in 0..times {
                self.publish(store, &commands);
            }
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        asked
    }

    fn reservation(&mut self, number: usize) -> ReserveStock {
        let wanted: Vec<WantedLine> = {
            let first = self.random.usize(0..ITEMS);
            let lines = self.random.usize(1..=3);
            (1..)
                .zip(first..first + lines)
                .map(|(line, item)| {
                    let quantity = self.random.i64(1..=3);
                    let sku = sku(item % ITEMS);
                    WantedLine { line, sku, quantity, line_quantity: quantity }
                })
                .collect()
        };
        ReserveStock {
            reservation_id: format!("test.{number}").parse().unwrap(),
            order_id: format!("order-{number}").parse().unwrap(),
            attempt: 1,
            lines: u32::try_from(wanted.len()).unwrap(),
            expires_at: Timestamp::from_unix_millis(clock::unix_millis() + 3_600_000).unwrap(),
            binding: Binding::Any,
            wanted,
        }
    }

    /// Until it is acknowledged, from the start each time: some of it then comes twice.
    fn publish(&mut self, store: &str, commands: &[(String, StoreCommand)]) {
        let store: StoreId = store.parse().unwrap();
        let topic = Topics::default().commands(&store).name;
        let record = |(id, command): &(String, StoreCommand)| {
            let envelope = CommandEnvelope {
                id: id.parse().unwrap(),
                store: store.clone(),
                issued_at: Timestamp::from_unix_millis(clock::unix_millis()).unwrap(),
                principal: None,
                traceparent: None,
                command: command.clone(),
            };
            Publication { topic: topic.clone(), record: encode_command(&envelope) }
        };
        let batch: Vec<Publication> = commands.iter().map(record).collect();
        while let Some(error) = self.publisher.publish(&batch, &CancellationToken::new()).error {
            println!("sent again: {error}");
            self.publisher = self.log.publisher().unwrap();
        }
    }
}

/// What a journal tells of its asks. Reading it checks that at no event more is promised than there is.
struct Story {
    /// Types of the events that answer a command.
    answers: BTreeMap<String, Vec<String>>,
    kept: usize,
}

impl Story {
    fn read(journal: &std::path::Path) -> Self {
        let database = open(journal);
        let sql = "SELECT sequence, sku, type, data, cause FROM events ORDER BY sequence";
        let mut statement = database.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut open: HashMap<(String, String), i64> = HashMap::new();
        let mut kept = 0;
        while let Some(row) = rows.next().unwrap() {
            let (sequence, sku): (i64, String) = (row.get(0).unwrap(), row.get(1).unwrap());
            let (name, cause): (String, Option<String>) =
                (row.get(2).unwrap(), row.get(4).unwrap());
            let data: Value = serde_json::from_str(&row.get::<_, String>(3).unwrap()).unwrap();
            let allocation = &data["allocation"];
            let reservation = allocation["reservationId"].as_str().unwrap_or_default().to_owned();
            let quantity = allocation["quantity"].as_i64();
            match name.as_str() {
                "inventory.stock-reserved.v1" => {
                    kept += 1;
                    let twice = open.insert((sku.clone(), reservation), quantity.unwrap());
                    assert_eq!(twice, None, "kept twice at {sequence}");
                }
                "inventory.reservation-released.v1"
                | "inventory.reservation-fulfilled.v1"
                | "inventory.reservation-broken.v1" => {
                    let ended = open.remove(&(sku.clone(), reservation));
                    assert_eq!(ended, quantity, "ended at {sequence} without being kept");
                }
                _ => {}
            }
            if let Some(reserved) = data["reserved"].as_i64() {
                let promised = open.iter().filter(|((of, _), _)| *of == sku);
                assert_eq!(
                    promised.map(|(_, units)| units).sum::<i64>(),
                    reserved,
                    "at {sequence}"
                );
                assert!(reserved <= data["onHand"].as_i64().unwrap(), "oversold at {sequence}");
            }
            if let Some(cause) = cause {
                answers.entry(cause).or_default().push(name);
            }
        }
        Self { answers, kept }
    }

    /// All lines of an ask are kept, each once, or some are refused and none is kept.
    fn stands_once(&self, ask: &str, lines: usize) {
        let told = &self.answers[ask];
        let kept = told.iter().filter(|name| *name == "inventory.stock-reserved.v1").count();
        let refused =
            told.iter().filter(|name| *name == "inventory.reservation-refused.v1").count();
        assert_eq!(kept + refused, told.len(), "{ask}: {told:?}");
        let whole =
            (kept == lines && refused == 0) || (kept == 0 && (1..=lines).contains(&refused));
        assert!(whole, "{ask} of {lines} lines: {told:?}");
    }
}
