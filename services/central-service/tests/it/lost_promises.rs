//! A store's journal has lost what it promised: the units are looked for again, once, and no other
//! promise is touched.

use std::path::Path;
use std::sync::Arc;

use central_service::database::Database;
use central_service::ledger::Ask;
use event_log::{EventLog, MemoryLog};
use inventory_core::saga::Wish;
use shared_events::ledger::{
    AllocationState, Answer, Reason, Reservation, ReservationState, Transition,
};
use shared_events::reservation::{BreakReason, ReserveStock, StockReserved};
use shared_events::{
    Heartbeat, Lineage, RecordedEvent, ReservationId, StockEvent, StoreCommand, Version,
};
use tokio::sync::oneshot;

use crate::support::{Centre, Shop, heartbeats, publish, sku};

const UNITS: i64 = 10;
const WANTED: i64 = 2;

/// A shop that has promised two reservations their mugs, one after the other, and the ledger that knows.
struct Setting {
    folder: tempfile::TempDir,
    log: Arc<dyn EventLog>,
    shop: Shop,
    centre: Centre,
}

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
        let mut shop = Shop::new("S1");
        shop.count("MUG", UNITS);
        publish(log.as_ref(), &shop.journal);
        let mut centre = Centre::open(folder.path(), &log);
        centre.listen();
        heartbeats(log.as_ref(), [shop.heartbeat()]);
        centre.catch_up();
        let mut setting = Self { folder, log, shop, centre };
        setting.promise("first");
        setting.promise("second");
        setting.hear();
        assert_eq!(setting.state("first"), ReservationState::Confirmed);
        assert_eq!(setting.state("second"), ReservationState::Confirmed);
        setting
    }

    /// A customer asks, and the shop keeps the units.
    fn promise(&mut self, name: &str) {
        let ask = self.ask(name);
        let event = keep(&mut self.shop, &ask);
        publish(self.log.as_ref(), [&event]);
        self.hear();
    }

    fn ask(&mut self, name: &str) -> ReserveStock {
        let wish = Wish {
            order_id: name.parse().expect("an order id"),
            lines: vec![(sku("MUG"), WANTED)],
            store_id: None,
            near: None,
            allow_split: false,
            expires_at: self.centre.now.plus_millis(900_000),
            traceparent: None,
            owner: None,
        };
        let (reply, _answer) = oneshot::channel();
        let ask = Ask::Reserve { id: id(name), request: None, wish, wait: false, reply };
        self.centre.projection.serve(vec![ask], self.centre.now).expect("the database works");
        self.asked(name).pop().expect("the shop is asked")
    }

    /// What the shop is asked to keep for a reservation, since this was last looked at.
    fn asked(&mut self, name: &str) -> Vec<ReserveStock> {
        let asks = self.centre.take_commands().into_iter().filter_map(|sent| match sent.command {
            StoreCommand::Reserve(ask) if ask.reservation_id == id(name) => Some(ask),
            _ => None,
        });
        asks.collect()
    }

    fn hear(&mut self) {
        self.centre.catch_up();
        self.centre.projection.serve(Vec::new(), self.centre.now).expect("the database works");
    }

    fn restart(&mut self) {
        let (elsewhere, log) = (tempfile::tempdir().expect("a folder"), Arc::clone(&self.log));
        self.centre = Centre::open(elsewhere.path(), &log);
        self.centre = Centre::open(self.folder.path(), &log);
        self.centre.listen();
    }

    /// The shop lost what it promised last, and begins a new life.
    fn restore(&mut self) {
        self.shop = self.shop.backup(2);
        self.shop.begin_new_life();
    }

    fn report(&mut self) {
        heartbeats(self.log.as_ref(), [self.shop.heartbeat()]);
        self.hear();
    }

    fn known(&self, name: &str) -> Reservation {
        let reader = self.centre.reader.lock().expect("no panic");
        reader.reservation(&id(name)).expect("it can be read").expect("it is there")
    }

    fn state(&self, name: &str) -> ReservationState {
        self.known(name).state
    }

    /// How often promises of a reservation were found to be lost.
    fn losses(&self, name: &str) -> usize {
        let lost = Answer::Broken { reason: BreakReason::Lost };
        let is_loss = |transition: &Transition| matches!(transition, Transition::Answered { answer, .. } if *answer == lost);
        let known = self.known(name);
        known.history.iter().filter(|step| is_loss(&step.transition)).count()
    }
}

fn id(name: &str) -> ReservationId {
    format!("c1.{name}").parse().expect("a reservation id")
}

fn keep(shop: &mut Shop, ask: &ReserveStock) -> RecordedEvent {
    let kept = shop.journal.iter().filter(|event| event.event.allocation().is_some()).count();
    let kept = i64::try_from(kept).expect("few") + 1;
    let allocation = ask.allocation(&ask.wanted[0]);
    let version = Version::new(kept.unsigned_abs() + 1);
    let reserved = WANTED * kept;
    let kept = StockReserved { version, on_hand: UNITS, reserved, allocation };
    shop.say("MUG", None, StockEvent::Reserved(kept))
}

fn forget_view(folder: &Path) {
    Database::open(folder).expect("the folder is free").forget_view().expect("the database works");
}

#[test]
fn a_lost_promise_is_looked_for_again_once() {
    let mut setting = Setting::new();
    setting.asked("second");
    setting.restore();
    setting.report();
    assert_eq!((setting.losses("first"), setting.losses("second")), (0, 1));
    assert_eq!(setting.state("first"), ReservationState::Confirmed);
    assert_eq!(setting.state("second"), ReservationState::Resourcing);
    let known = setting.known("second");
    assert_eq!(known.allocations[0].state, AllocationState::Broken);
    assert_eq!(known.allocations[0].reason, Some(Reason::Lost));

    let again = setting.asked("second");
    assert_eq!(again.len(), 1, "the units are asked for anew");
    let event = keep(&mut setting.shop, &again[0]);
    publish(setting.log.as_ref(), [&event]);
    setting.report();
    assert_eq!(setting.state("second"), ReservationState::Confirmed);
    for _round in 0..2 {
        setting.report();
        setting.restart();
        setting.report();
    }
    assert_eq!((setting.losses("first"), setting.losses("second")), (0, 1));
    assert_eq!(setting.state("second"), ReservationState::Confirmed);
    assert!(setting.asked("second").is_empty());
}

#[test]
fn what_was_lost_while_the_centre_was_away_is_found_when_it_is_back() {
    let mut setting = Setting::new();
    setting.restore();
    heartbeats(setting.log.as_ref(), [setting.shop.heartbeat()]);
    setting.restart();
    setting.hear();
    assert_eq!((setting.losses("first"), setting.losses("second")), (0, 1));
}

/// A rebuilt view meets all lives and all events again; the ledger was kept.
#[test]
fn a_view_that_is_built_anew_breaks_no_promise() {
    for lost in [0, 1] {
        let mut setting = Setting::new();
        if lost == 1 {
            setting.restore();
            setting.report();
        }
        let log = Arc::clone(&setting.log);
        let elsewhere = tempfile::tempdir().expect("a folder");
        setting.centre = Centre::open(elsewhere.path(), &log);
        forget_view(setting.folder.path());
        setting.restart();
        setting.hear();
        setting.report();
        assert_eq!((setting.losses("first"), setting.losses("second")), (0, lost));
        assert_eq!(setting.state("first"), ReservationState::Confirmed);
    }
}

/// A restored shop reads its commands again, and keeps the units again.
#[test]
fn a_promise_that_was_made_again_in_the_new_life_is_not_lost() {
    let mut setting = Setting::new();
    let ask = setting.ask("third");
    let event = keep(&mut setting.shop, &ask);
    publish(setting.log.as_ref(), [&event]);
    setting.hear();
    setting.shop = setting.shop.backup(3);
    setting.shop.begin_new_life();
    let event = keep(&mut setting.shop, &ask);
    publish(setting.log.as_ref(), [&event]);
    setting.hear();
    setting.report();
    assert_eq!(setting.losses("third"), 0);
    assert_eq!(setting.state("third"), ReservationState::Confirmed);
}

/// The answer was lost before it was heard: there was no promise yet.
#[test]
fn an_answer_that_comes_when_its_life_is_over_makes_no_promise() {
    let mut setting = Setting::new();
    let ask = setting.ask("third");
    let mut old = setting.shop.clone();
    let void = keep(&mut old, &ask);
    setting.shop.begin_new_life();
    setting.report();
    publish(setting.log.as_ref(), [&void]);
    setting.hear();
    assert_eq!(setting.losses("third"), 0);
    let known = setting.known("third");
    assert_eq!(known.allocations[0].state, AllocationState::Asked);
    let heard = setting.centre.promised(&setting.shop.id, "MUG");
    assert_eq!(heard.len(), 3, "two are kept, one is held");
}

/// A journal that was refilled from a snapshot does not have the promises that lie in front of it.
#[test]
fn promises_in_front_of_a_journal_are_lost() {
    let mut setting = Setting::new();
    setting.shop.begin_new_life();
    let from = setting.shop.head().next();
    let lineage = Some(Lineage::new(setting.shop.epoch(), from));
    let heartbeat = Heartbeat { lineage, ..setting.shop.heartbeat() };
    heartbeats(setting.log.as_ref(), [heartbeat]);
    setting.hear();
    assert_eq!((setting.losses("first"), setting.losses("second")), (1, 1));
}
