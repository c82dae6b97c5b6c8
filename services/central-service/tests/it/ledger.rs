//! The ledger between two moments: what it holds, asks, tells and forgets, step by step.

use std::path::Path;
use std::sync::Arc;

use central_service::database::{Filter, Lane};
use central_service::ledger::{Answer, Ask, Refusal, Request, StockCommandRecord, StockOutcome};
use event_log::{EventLog, MemoryLog};
use inventory_core::saga::Wish;
use shared_events::command::CommandEnvelope;
use shared_events::ledger::{AllocationState, Reservation, ReservationState};
use shared_events::reservation::{ReserveStock, StockReserved};
use shared_events::{
    AdjustStock, Delta, OnShortfall, RecordedEvent, Rejection, ReservationId, StockCommand,
    StockEvent, StoreCommand, Version,
};
use tokio::sync::oneshot::{self, Receiver};

use crate::support::{Centre, Shop, heartbeats, publish, sku};

const UNITS: i64 = 10;

type Answered = Receiver<Result<Answer, Refusal>>;

/// A centre that knows of ten mugs in one shop, which does what the test makes it do.
fn setting(folder: &Path) -> (Arc<dyn EventLog>, Shop, Centre) {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let mut shop = Shop::new("S1");
    shop.count("MUG", UNITS);
    publish(log.as_ref(), &shop.journal);
    let mut centre = Centre::open(folder, &log);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    (log, shop, centre)
}

fn id(name: &str) -> ReservationId {
    format!("c1.{name}").parse().expect("a reservation id")
}

fn wish(centre: &Centre, order: &str, units: i64) -> Wish {
    Wish {
        order_id: order.parse().expect("an order id"),
        lines: vec![(sku("MUG"), units)],
        store_id: None,
        near: None,
        allow_split: false,
        expires_at: centre.now.plus_millis(900_000),
        traceparent: None,
        owner: None,
    }
}

fn reserve(centre: &mut Centre, name: &str, request: Option<Request>, wish: Wish) -> Answered {
    let (reply, answer) = oneshot::channel();
    let ask = Ask::Reserve { id: id(name), request, wish, wait: false, reply };
    serve(centre, vec![ask]);
    answer
}

fn serve(centre: &mut Centre, asks: Vec<Ask>) {
    centre.projection.serve(asks, centre.now).expect("the database works");
}

fn known(centre: &Centre, name: &str) -> Reservation {
    let reader = centre.reader.lock().expect("no panic");
    reader.reservation(&id(name)).expect("it can be read").expect("it is there")
}

fn offered(centre: &Centre) -> (i64, i64) {
    let (index, seen) = centre.model.store(&"S1".parse().expect("an id")).expect("it is known");
    let shelf = centre.model.shelf(&seen, index, &sku("MUG"), centre.now.unix_millis());
    (shelf.terms.holds, shelf.terms.available())
}

fn commands(centre: &Centre) -> Vec<CommandEnvelope> {
    centre.commands().into_iter().map(|(_, command)| command).collect()
}

fn asked(command: &CommandEnvelope) -> &ReserveStock {
    match &command.command {
        StoreCommand::Reserve(ask) => ask,
        other => panic!("not an ask: {other:?}"),
    }
}

/// What the shop says when it keeps what it was asked for.
fn kept(shop: &mut Shop, command: &CommandEnvelope) -> RecordedEvent {
    let allocation = asked(command).allocation(&asked(command).wanted[0]);
    shop.say(
        "MUG",
        Some(&command.id),
        StockEvent::Reserved(StockReserved {
            version: Version::new(2),
            on_hand: UNITS,
            reserved: allocation.quantity,
            allocation,
        }),
    )
}

#[test]
fn a_request_that_was_not_answered_is_held_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, _, mut centre) = setting(folder.path());
    let wished = wish(&centre, "o", 3);
    let mut answer = reserve(&mut centre, "r", None, wished);
    let told = answer.try_recv().expect("it is answered").expect("it is taken").reservation;
    assert_eq!(told.state, ReservationState::Requested);
    assert_eq!(offered(&centre), (3, 7));
    drop(centre);

    let centre = Centre::open(folder.path(), &log);
    assert_eq!(offered(&centre), (3, 7));
    assert_eq!(known(&centre, "r"), told);
    assert_eq!(commands(&centre).len(), 1, "the command is still to be sent");
}

#[test]
fn a_hold_becomes_what_the_store_keeps_in_one_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut shop, mut centre) = setting(folder.path());
    let wished = wish(&centre, "o", 3);
    reserve(&mut centre, "r", None, wished);
    let event = kept(&mut shop, &commands(&centre)[0]);
    publish(log.as_ref(), [&event]);
    centre.catch_up();
    assert_eq!(offered(&centre), (0, 7));
    assert_eq!(known(&centre, "r").state, ReservationState::Confirmed);
}

#[test]
fn an_answer_that_came_while_the_centre_was_away_is_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut shop, mut centre) = setting(folder.path());
    let wished = wish(&centre, "o", 3);
    reserve(&mut centre, "r", None, wished);
    let event = kept(&mut shop, &commands(&centre)[0]);
    drop(centre);
    publish(log.as_ref(), [&event]);

    let mut centre = Centre::open(folder.path(), &log);
    centre.now = centre.now.plus_millis(60_000);
    // Long overdue, but nothing has been read yet.
    serve(&mut centre, Vec::new());
    assert_eq!(known(&centre, "r").allocations[0].state, AllocationState::Asked);
    centre.catch_up();
    serve(&mut centre, Vec::new());
    assert_eq!(known(&centre, "r").state, ReservationState::Confirmed);
}

#[test]
fn a_store_that_may_not_have_been_asked_gets_its_time_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, _, mut centre) = setting(folder.path());
    let wished = wish(&centre, "o", 3);
    reserve(&mut centre, "r", None, wished);
    drop(centre);
    let mut centre = Centre::open(folder.path(), &log);
    centre.now = centre.now.plus_millis(60_000);
    centre.catch_up();
    serve(&mut centre, Vec::new());
    assert_eq!(known(&centre, "r").allocations[0].state, AllocationState::Asked);
    centre.now = centre.now.plus_millis(2_000);
    serve(&mut centre, Vec::new());
    let withdrawn = known(&centre, "r");
    assert_eq!(withdrawn.allocations[0].state, AllocationState::Withdrawn);
    assert_eq!(withdrawn.state, ReservationState::Rejected);
    assert_eq!(offered(&centre), (3, 7), "the store may still say yes");
}

#[test]
fn two_who_ask_about_an_ended_reservation_at_once_are_both_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, _, mut centre) = setting(folder.path());
    let too_many = wish(&centre, "o", UNITS + 1);
    reserve(&mut centre, "r", None, too_many);
    assert_eq!(known(&centre, "r").state, ReservationState::Rejected);
    let mut answers: Vec<Answered> = Vec::new();
    let mut asks = Vec::new();
    for _ in 0..2 {
        let (reply, answer) = oneshot::channel();
        asks.push(Ask::Cancel { id: id("r"), request: None, reply });
        answers.push(answer);
    }
    serve(&mut centre, asks);
    for mut answer in answers {
        let refused = answer.try_recv().expect("it is answered").expect_err("it has ended");
        assert!(matches!(refused, Refusal::Illegal { .. }), "{refused:?}");
    }
}

#[test]
fn a_key_stays_free_when_its_request_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, _, mut centre) = setting(folder.path());
    let named =
        |fingerprint: u8| Some(Request { key: "reserve:k".into(), fingerprint: [fingerprint; 16] });
    let first = wish(&centre, "first", 1);
    reserve(&mut centre, "r", None, first.clone());
    // As after the loss of a database: the reservation is known, its key is not.
    let other = wish(&centre, "other", 1);
    let mut refused = reserve(&mut centre, "r", named(1), other);
    assert_eq!(refused.try_recv().expect("it is answered").err(), Some(Refusal::KeyReused));
    let mut repeated = reserve(&mut centre, "r", named(2), first);
    assert!(repeated.try_recv().expect("it is answered").expect("it is the same").repeated);
}

#[test]
fn only_what_can_still_change_is_kept_in_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, _, mut centre) = setting(folder.path());
    for number in 0..5 {
        let too_many = wish(&centre, "o", UNITS + 1);
        reserve(&mut centre, &number.to_string(), None, too_many);
    }
    let one = wish(&centre, "o", 1);
    reserve(&mut centre, "r", None, one);
    let reader = centre.reader.lock().expect("no panic");
    let (all, more) = reader.reservations(&Filter::default(), 4).expect("it can be read");
    assert_eq!((all.len(), more), (4, true));
    let mut rendered = String::new();
    prometheus_client::encoding::text::encode(&mut rendered, centre.metrics.registry())
        .expect("it can be rendered");
    assert!(rendered.contains("onhand_central_running_reservations 1\n"), "{rendered}");
}

fn sale(centre: &Centre, name: &str) -> StockCommandRecord {
    let command = StockCommand::Adjust(AdjustStock {
        sku: sku("MUG"),
        delta: Delta::new(-1).expect("within the bounds"),
        expected_version: None,
        on_shortfall: OnShortfall::Reject,
        reason: None,
        reference: None,
    });
    StockCommandRecord {
        command_id: name.parse().expect("a command id"),
        store_id: "S1".parse().expect("an id"),
        fingerprint: [7; 16],
        issued_at: centre.now,
        command,
        principal: None,
        traceparent: None,
        sent: 1,
        answer_by: centre.now.plus_millis(10_000),
        broken: 0,
        broken_through: 0,
        outcome: None,
    }
}

#[test]
fn a_stock_command_is_sent_again_until_its_store_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut shop, mut centre) = setting(folder.path());
    let (reply, mut answer) = oneshot::channel();
    let record = Box::new(sale(&centre, "sale-1"));
    serve(&mut centre, vec![Ask::StockCommand { record, wait: true, reply }]);
    let told = answer.try_recv().expect("it is answered").expect("it is taken");
    let mut settled = told.settled.expect("the store has still to answer");
    let sent = |centre: &Centre| {
        let ids = commands(centre).into_iter().map(|command| command.id.to_string());
        ids.filter(|id| id == "sale-1").count()
    };
    assert_eq!(sent(&centre), 1);
    // Its topic is lost, and the centre is restarted: it asks again.
    let waiting = centre.outbox();
    centre.forget(Lane::Commands, waiting[0].id);
    drop(centre);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    serve(&mut centre, Vec::new());
    assert_eq!(sent(&centre), 0, "it is not due yet");
    centre.now = centre.now.plus_millis(10_000);
    serve(&mut centre, Vec::new());
    assert_eq!(sent(&centre), 1);

    let name = "sale-1".parse().expect("a command id");
    let refused = StockEvent::CommandRefused(shared_events::reservation::StockCommandRefused {
        rejection: Rejection::CommandIdReused,
    });
    let event = shop.say("MUG", Some(&name), refused);
    publish(log.as_ref(), [&event]);
    centre.catch_up();
    let reader = centre.reader.lock().expect("no panic");
    let record = reader.stock_command(&name).expect("it can be read").expect("it is there");
    assert_eq!(record.outcome, Some(StockOutcome::Refused(Rejection::CommandIdReused)));
    assert!(settled.try_recv().is_err(), "who waited before the restart is gone");
}

/// 30 days, for which names are remembered.
const REMEMBERED_MS: u64 = 30 * 86_400_000;

#[test]
fn a_key_runs_out_after_thirty_days_and_its_reservation_is_found_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, _, mut centre) = setting(folder.path());
    let named =
        |fingerprint: u8| Some(Request { key: "reserve:k".into(), fingerprint: [fingerprint; 16] });
    let first = wish(&centre, "first", UNITS + 1);
    reserve(&mut centre, "r", named(1), first.clone());
    let again = |centre: &mut Centre, after_ms: u64, fingerprint: u8| {
        centre.now = centre.now.plus_millis(after_ms);
        // Any transaction forgets what has run out.
        let other = wish(centre, "other", UNITS + 1);
        reserve(centre, &format!("other-{fingerprint}"), None, other);
        let mut answer = reserve(centre, "r", named(fingerprint), first.clone());
        answer.try_recv().expect("it is answered").map(|answer| answer.repeated)
    };
    assert_eq!(again(&mut centre, REMEMBERED_MS, 2), Err(Refusal::KeyReused));
    assert_eq!(again(&mut centre, 1, 3), Ok(true), "it is found by its name");
    assert_eq!(again(&mut centre, 0, 4), Err(Refusal::KeyReused), "which is remembered anew");
}

#[test]
fn a_stock_command_is_forgotten_thirty_days_after_its_answer_and_never_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut shop, mut centre) = setting(folder.path());
    let named = |name: &str| name.parse().expect("a command id");
    for name in ["sale-1", "sale-2"] {
        let (reply, _) = oneshot::channel();
        let record = Box::new(sale(&centre, name));
        serve(&mut centre, vec![Ask::StockCommand { record, wait: false, reply }]);
    }
    let is_known = |centre: &Centre, name: &str| {
        let reader = centre.reader.lock().expect("no panic");
        reader.stock_command(&named(name)).expect("it can be read").is_some()
    };
    // The store has been away for long.
    centre.now = centre.now.plus_millis(2 * REMEMBERED_MS);
    serve(&mut centre, Vec::new());
    let refused = StockEvent::CommandRefused(shared_events::reservation::StockCommandRefused {
        rejection: Rejection::CommandIdReused,
    });
    let event = shop.say("MUG", Some(&named("sale-1")), refused);
    publish(log.as_ref(), [&event]);
    centre.catch_up();
    centre.now = centre.now.plus_millis(REMEMBERED_MS);
    serve(&mut centre, Vec::new());
    assert!(is_known(&centre, "sale-1") && is_known(&centre, "sale-2"));
    centre.now = centre.now.plus_millis(1);
    let other = wish(&centre, "other", UNITS + 1);
    reserve(&mut centre, "other", None, other);
    assert!(!is_known(&centre, "sale-1"), "its time is over");
    assert!(is_known(&centre, "sale-2"), "it has no answer yet");
}
