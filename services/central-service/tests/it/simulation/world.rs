//! Everything there is, and what can happen to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use central_service::commitments::Commitment;
use central_service::database::{Filter, Lane};
use central_service::ledger::{Ask, Settings};
use event_log::{Chaos, EventLog, MemoryLog, Offset, Position, Publication};
use fastrand::Rng;
use inventory_core::saga::{Wish, is_final};
use shared_events::ledger::{AllocationState, Reservation, ReservationState};
use shared_events::wire::{decode_command, encode_event, encode_heartbeat};
use shared_events::{RecordedEvent, ReservationId, Sku, Timestamp};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::store::Store;
use crate::support::{Centre, send, sku, topics};

const CENTRES: [&str; 2] = ["east", "west"];
/// Clocks differ by a minute either way.
const STORES: [(&str, i64); 3] = [("A", -60_000), ("B", 0), ("C", 60_000)];
const ITEMS: [&str; 3] = ["X", "Y", "Z"];
/// How long after its time a store lets go of a reservation: more than clocks differ.
const GRACE_MS: i64 = 120_000;

/// What a history contained.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    asked: usize,
    confirmed: usize,
    fulfilled: usize,
    rejected: usize,
    released: usize,
    resourced: usize,
    withdrawn: usize,
    lost: usize,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.confirmed += other.confirmed;
        self.fulfilled += other.fulfilled;
        self.rejected += other.rejected;
        self.released += other.released;
        self.resourced += other.resourced;
        self.withdrawn += other.withdrawn;
        self.lost += other.lost;
    }

    /// A test that never met what it is about shows nothing.
    pub(super) const fn shows_something(&self) -> bool {
        self.confirmed > 0
            && self.fulfilled > 0
            && self.rejected > 0
            && self.released > 0
            && self.resourced > 0
            && self.withdrawn > 0
            && self.lost > 0
    }
}

pub(super) struct World {
    random: Rng,
    now: Timestamp,
    log: Arc<dyn EventLog>,
    stores: Vec<Store>,
    centres: Vec<Option<Centre>>,
    folder: TempDir,
    reservations: Vec<(usize, ReservationId)>,
    counts: Counts,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let chaos = Chaos { seed, duplicate: 5, lose_ack: 5, redeliver: 10, delay: 20 };
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::with_chaos(chaos));
        let stores = STORES.map(|(name, skew_ms)| Store::new(name, skew_ms, GRACE_MS));
        let mut specs: Vec<_> = stores.iter().map(|store| topics().commands(&store.id)).collect();
        specs.extend(topics().shared());
        log.ensure_topics(&specs).expect("the broker works");
        let mut world = Self {
            random: Rng::with_seed(seed),
            now: Timestamp::from_unix_millis(1_790_000_000_000).expect("this century"),
            log,
            stores: stores.into(),
            centres: vec![None, None],
            folder: tempfile::tempdir().expect("a folder"),
            reservations: Vec::new(),
            counts: Counts::default(),
        };
        for place in 0..world.stores.len() {
            for item in ITEMS {
                let units = world.random.i64(2..=12);
                world.stores[place].count(&sku(item), units, world.now);
            }
        }
        world.start(0);
        world.start(1);
        world.settle();
        world
    }

    /// One thing happens.
    pub(super) fn step(&mut self) {
        let centre = self.random.usize(0..CENTRES.len());
        let store = self.random.usize(0..self.stores.len());
        match self.random.u8(0..100) {
            0..20 => self.reserve(centre),
            20..28 => self.change_mind(),
            28..32 => self.sell(store),
            32..48 => self.obey(store),
            48..64 => self.relay(store),
            64..78 => self.hear(centre),
            78..90 => self.send_out(centre),
            90..96 => {
                let millis = if self.random.u8(0..5) == 0 { 90_000 } else { 2_000 };
                self.now = self.now.plus_millis(self.random.u64(0..millis));
                self.stores[store].let_go(self.now);
                self.tick(centre);
            }
            96..99 => self.start(centre),
            _ => self.lose(centre),
        }
    }

    fn reserve(&mut self, place: usize) {
        let first = self.random.usize(0..ITEMS.len());
        let lines = (0..self.random.usize(1..=2))
            .map(|line| (sku(ITEMS[(first + line) % ITEMS.len()]), self.random.clone().i64(1..=4)));
        let lines: Vec<(Sku, i64)> = lines.collect();
        let id = format!("{}.{}", CENTRES[place], self.counts.asked);
        let id: ReservationId = id.parse().expect("a reservation id");
        let chosen = self.random.usize(0..STORES.len() * 3);
        let wish = Wish {
            order_id: format!("order-{}", self.counts.asked).parse().expect("an order id"),
            lines,
            store_id: self.stores.get(chosen).map(|store| store.id.clone()),
            near: None,
            allow_split: self.random.bool(),
            expires_at: self.now.plus_millis(self.random.u64(5_000..900_000)),
            traceparent: None,
            owner: None,
        };
        self.counts.asked += 1;
        self.reservations.push((place, id.clone()));
        let (reply, _answer) = oneshot::channel();
        self.ask(place, Ask::Reserve { id, request: None, wish, wait: false, reply });
    }

    /// A customer cancels any reservation, or fetches one that is kept.
    fn change_mind(&mut self) {
        let (reply, _answer) = oneshot::channel();
        if self.random.bool() {
            let Some((place, id)) = self.random.choice(&self.reservations).cloned() else {
                return;
            };
            self.ask(place, Ask::Cancel { id, request: None, reply });
        } else {
            let kept =
                self.ledgers().into_iter().filter(|one| one.state == ReservationState::Confirmed);
            let kept: Vec<_> = kept.map(|one| one.reservation_id).collect();
            let Some(id) = self.random.choice(&kept).cloned() else {
                return;
            };
            let place = usize::from(id.centre() == CENTRES[1]);
            let fulfil = Ask::Fulfil { id, request: None, skus: Vec::new(), wait: false, reply };
            self.ask(place, fulfil);
        }
    }

    fn ask(&mut self, place: usize, ask: Ask) {
        let now = self.now;
        // A centre that has not caught up takes no requests.
        let centre = self.centre(place);
        if centre.model.has_caught_up() {
            centre.projection.serve(vec![ask], now).expect("the database works");
        }
    }

    fn tick(&mut self, place: usize) {
        let now = self.now;
        self.centre(place).projection.serve(Vec::new(), now).expect("the database works");
    }

    fn sell(&mut self, place: usize) {
        let item = sku(ITEMS[self.random.usize(0..ITEMS.len())]);
        let units = self.random.i64(1..=4);
        if self.random.u8(0..4) == 0 {
            self.stores[place].count(&item, self.random.i64(0..=12), self.now);
        } else {
            self.stores[place].walk_in(&item, units, self.now);
        }
    }

    /// A store executes some of its commands. Now and then it reads some again.
    fn obey(&mut self, place: usize) {
        let store = &mut self.stores[place];
        if self.random.u8(0..10) == 0 {
            store.read = (store.read - self.random.i64(0..4)).max(0);
        }
        let topic = topics().commands(&store.id).name;
        let start = Position { topic, partition: 0, next: Offset(store.read) };
        let mut subscriber = self.log.subscriber(&[start]).expect("a subscriber");
        let (some, now) = (self.random.usize(1..=4), self.now);
        let polled = subscriber.poll(some, Duration::ZERO, &mut |received| {
            let command = decode_command(&received.record).expect("a command");
            let again = store.execute(&command, now);
            store.published = store.published.min(again.start);
            store.read = received.offset.0 + 1;
        });
        polled.expect("the broker works");
    }

    /// A store publishes some of its journal, perhaps some of it again, and a heartbeat.
    fn relay(&mut self, place: usize) {
        let some = self.random.usize(1..=8);
        self.relay_some(place, some);
    }

    fn relay_some(&mut self, place: usize, some: usize) {
        let store = &mut self.stores[place];
        let through = store.journal.len().min(store.published + some);
        let topic = topics().stock_events().name;
        let mut batch: Vec<Publication> = store.journal[store.published..through]
            .iter()
            .map(|event| Publication { topic: topic.clone(), record: encode_event(event) })
            .collect();
        store.published = through;
        batch.push(Publication {
            topic: topics().heartbeats().name,
            record: encode_heartbeat(&store.heartbeat(self.now)),
        });
        send(self.log.as_ref(), &batch);
    }

    /// A centre reads what has arrived.
    fn hear(&mut self, place: usize) {
        let now = self.now;
        let centre = self.centre(place);
        centre.now = now;
        if let Ok(Some(batch)) = centre.poll() {
            centre.apply(&batch);
        }
        if self.random.bool() {
            self.tick(place);
        }
    }

    /// A centre publishes some of its outbox; now and then it dies before it has noted that.
    fn send_out(&mut self, place: usize) {
        let some = self.random.usize(1..=6);
        let (dies, records) = (self.random.u8(0..20) == 0, self.random.bool());
        let log = Arc::clone(&self.log);
        let centre = self.centre(place);
        let lane = if records { Lane::Records } else { Lane::Commands };
        let waiting = centre.outbox().into_iter().filter(|row| row.lane == lane);
        let some: Vec<_> = waiting.take(some).collect();
        let Some(last) = some.last().map(|row| row.id) else {
            return;
        };
        let batch: Vec<_> = some.into_iter().map(|row| row.publication).collect();
        send(log.as_ref(), &batch);
        if dies {
            self.start(place);
        } else {
            centre.forget(lane, last);
        }
    }

    /// A centre is killed, and starts again.
    fn start(&mut self, place: usize) {
        self.centres[place] = None;
        let folder = self.folder.path().join(CENTRES[place]);
        let id = CENTRES[place].parse().expect("a centre id");
        let grace = u64::try_from(GRACE_MS).expect("positive");
        let settings = Settings::new(id, 3_000, grace);
        self.centres[place] = Some(Centre::of(&folder, &self.log, settings));
    }

    fn lose(&mut self, place: usize) {
        self.counts.lost += 1;
        self.centres[place] = None;
        std::fs::remove_dir_all(self.folder.path().join(CENTRES[place])).expect("it is there");
        self.start(place);
    }

    fn centre(&mut self, place: usize) -> &mut Centre {
        self.centres[place].as_mut().expect("it runs")
    }

    /// Everything on its way arrives.
    fn settle(&mut self) {
        for _ in 0..8 {
            for place in 0..self.stores.len() {
                for _ in 0..40 {
                    self.obey(place);
                }
                self.relay_some(place, usize::MAX / 2);
            }
            for place in 0..CENTRES.len() {
                for _ in 0..30 {
                    self.send_out(place);
                }
                let now = self.now;
                self.centre(place).now = now;
                self.centre(place).catch_up();
                self.tick(place);
            }
        }
    }

    /// No faults any more: every saga comes to rest within a few steps' time.
    pub(super) fn calm(&mut self) {
        for _ in 0..40 {
            self.settle();
            let moving = self.ledgers().into_iter().filter(moves).count();
            if moving == 0 {
                return;
            }
            self.now = self.now.plus_millis(1_000);
        }
        let moving: Vec<_> = self.ledgers().into_iter().filter(moves).collect();
        panic!("{} sagas do not end, as {}", moving.len(), self.told_of(&moving[0]));
    }

    /// The ledgers say what the stores say, and every number is what the stores' journals make it.
    pub(super) fn everyone_agrees(&mut self) {
        let ledgers = self.ledgers();
        let told: BTreeSet<_> = ledgers
            .iter()
            .flat_map(|known| known.allocations.iter().map(move |one| (known, one)))
            .filter(|(_, one)| one.state == AllocationState::Reserved)
            .map(|(known, one)| {
                (known.reservation_id.clone(), one.attempt, one.store_id.clone(), one.sku.clone())
            })
            .collect();
        let mut kept = BTreeSet::new();
        for store in &self.stores {
            for (item, state) in &store.items {
                kept.extend(state.kept.iter().map(|one| {
                    (one.reservation_id.clone(), one.attempt, store.id.clone(), item.clone())
                }));
            }
        }
        assert_eq!(told, kept, "the ledgers differ from the stores");
        for known in &ledgers {
            match known.state {
                ReservationState::Confirmed => self.counts.confirmed += 1,
                ReservationState::Fulfilled => self.counts.fulfilled += 1,
                ReservationState::Rejected => self.counts.rejected += 1,
                ReservationState::Released => self.counts.released += 1,
                ReservationState::Requested
                | ReservationState::Resourcing
                | ReservationState::Short => {}
            }
            let asked = known.allocations.iter().map(|one| one.attempt).collect::<BTreeSet<_>>();
            self.counts.resourced += usize::from(asked.len() > 1 && known.confirmed_at.is_some());
            let timed_out = |step: &shared_events::ledger::Step| {
                matches!(step.transition, shared_events::ledger::Transition::Withdrawn { .. })
            };
            self.counts.withdrawn += usize::from(known.history.iter().any(timed_out));
        }
        self.numbers_agree();
    }

    fn numbers_agree(&self) {
        let now_ms = self.now.unix_millis();
        for centre in self.centres.iter().flatten() {
            let stores = centre.model.stores();
            for item in ITEMS.map(sku) {
                for shelf in centre.model.shelves(&stores, &item, now_ms) {
                    let seen = &stores[shelf.store.place()];
                    let store = self.stores.iter().find(|store| store.id == seen.view.id);
                    let state = &store.expect("it is one of ours").items[&item];
                    let live = |one: &&shared_events::Allocation| one.expires_at > self.now;
                    let kept: i64 = state.kept.iter().filter(live).map(|one| one.quantity).sum();
                    let expected = state.stock.on_hand - kept;
                    assert_eq!(shelf.terms.available(), expected, "{item} {shelf:?}");
                    assert_eq!(shelf.terms.holds, 0, "{item} {shelf:?}");
                    let kept = |commitment: &Commitment| match commitment {
                        Commitment::Kept(units) => Some(*units),
                        Commitment::Hold(_) | Commitment::Ended => None,
                    };
                    centre.model.explained(seen, shelf.store, &item, now_ms, |one, why| {
                        assert_eq!(one.terms, shelf.terms, "list and item differ");
                        let told: i64 = why.iter().filter_map(|(_, all)| kept(all)).sum();
                        assert_eq!(told, shelf.terms.reserved, "the explanation differs");
                    });
                }
            }
        }
    }

    /// Until no reservation can matter any more.
    pub(super) fn let_time_pass(&mut self) {
        for _ in 0..10 {
            self.now = self.now.plus_millis(300_000);
            for store in &mut self.stores {
                store.let_go(self.now);
            }
            self.settle();
        }
    }

    pub(super) fn nothing_is_left(&mut self) {
        let open: Vec<_> = self.ledgers().into_iter().filter(|known| !is_final(known)).collect();
        let first = open.first().map(|known| self.told_of(known)).unwrap_or_default();
        assert!(open.is_empty(), "{} sagas never ended, as {first}", open.len());
        for store in &self.stores {
            for (item, state) in &store.items {
                assert_eq!(state.stock.reserved, 0, "{item} at {}", store.id);
            }
        }
        for centre in self.centres.iter().flatten() {
            for seen in centre.model.stores() {
                let index = centre.model.index(&seen.view.id).expect("it is known");
                for item in ITEMS.map(sku) {
                    let now_ms = self.now.unix_millis();
                    centre.model.explained(&seen, index, &item, now_ms, |shelf, why| {
                        assert!(why.is_empty(), "{why:?}");
                        assert_eq!(shelf.terms.available(), shelf.terms.on_hand);
                    });
                }
            }
        }
    }

    /// A reservation as its ledger has it, and what the stores' journals say of it.
    fn told_of(&self, known: &Reservation) -> String {
        let about = |event: &&RecordedEvent| {
            let allocation = event.event.allocation();
            allocation.is_some_and(|one| one.reservation_id == known.reservation_id)
        };
        let journals = self.stores.iter().flat_map(|store| store.journal.iter().filter(about));
        let said: Vec<_> = journals
            .map(|event| {
                format!("{} {} {}", event.id, event.event.event_type(), event.event.to_data())
            })
            .collect();
        let ledger = serde_json::to_string(known).expect("plain data");
        format!("{ledger}\nthe stores say:\n{}", said.join("\n"))
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Every reservation of every centre.
    fn ledgers(&self) -> Vec<Reservation> {
        let list = |centre: &Centre| {
            let reader = centre.reader.lock().expect("no panic");
            reader.reservations(&Filter::default(), 100_000).expect("it can be read").0
        };
        self.centres.iter().flatten().flat_map(list).collect()
    }
}

fn moves(known: &Reservation) -> bool {
    let moving = [
        AllocationState::Asked,
        AllocationState::Withdrawn,
        AllocationState::Stray,
        AllocationState::Fulfilling,
        AllocationState::Releasing,
    ];
    let asked = [ReservationState::Requested, ReservationState::Resourcing];
    asked.contains(&known.state) || known.allocations.iter().any(|one| moving.contains(&one.state))
}
