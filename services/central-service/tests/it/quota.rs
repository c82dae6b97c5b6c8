//! How many reservations one subject may have open.

use std::path::Path;
use std::sync::Arc;

use central_service::ledger::{Answer, Ask, Refusal, Request, Settings};
use event_log::{EventLog, MemoryLog};
use inventory_core::saga::Wish;
use shared_events::ReservationId;
use shared_events::ledger::ReservationState;
use tokio::sync::oneshot::{self, Receiver};

use crate::support::{Centre, Shop, heartbeats, publish, settings, sku};

/// A centre with ten mugs, where each subject may have two reservations open.
fn setting(folder: &Path) -> (Arc<dyn EventLog>, Centre) {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let mut shop = Shop::new("S1");
    shop.count("MUG", 10);
    publish(log.as_ref(), &shop.journal);
    let mut centre = open(folder, &log);
    centre.listen();
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    centre.catch_up();
    (log, centre)
}

fn open(folder: &Path, log: &Arc<dyn EventLog>) -> Centre {
    Centre::of(folder, log, Settings { max_open_reservations: 2, ..settings() })
}

fn id(name: &str) -> ReservationId {
    format!("c1.{name}").parse().expect("a reservation id")
}

type Answered = Receiver<Result<Answer, Refusal>>;

/// Wants units under a key that is the reservation's name.
fn ask(centre: &Centre, who: Option<&str>, name: &str, units: i64) -> (Ask, Answered) {
    let wish = Wish {
        order_id: "o".parse().expect("an order id"),
        lines: vec![(sku("MUG"), units)],
        store_id: None,
        near: None,
        allow_split: false,
        expires_at: centre.now.plus_millis(900_000),
        traceparent: None,
        owner: who.map(|who| who.parse().expect("a subject")),
    };
    let request = Some(Request { key: name.to_owned(), fingerprint: [1; 16] });
    let (reply, answer) = oneshot::channel();
    (Ask::Reserve { id: id(name), request, wish, wait: false, reply }, answer)
}

/// Whether what was asked is a repeat.
fn repeated(mut answer: Answered) -> Result<bool, Refusal> {
    answer.try_recv().expect("it is answered").map(|answer| answer.repeated)
}

fn reserve(
    centre: &mut Centre,
    who: Option<&str>,
    name: &str,
    units: i64,
) -> Result<bool, Refusal> {
    let (ask, answer) = ask(centre, who, name, units);
    centre.projection.serve(vec![ask], centre.now).expect("the database works");
    repeated(answer)
}

const FULL: Result<bool, Refusal> = Err(Refusal::QuotaExceeded { limit: 2 });

#[test]
fn a_hoarder_is_refused_and_others_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut centre) = setting(folder.path());
    let hoarder = Some("hoarder");
    assert_eq!(reserve(&mut centre, hoarder, "a", 1), Ok(false));
    assert_eq!(reserve(&mut centre, hoarder, "b", 1), Ok(false));
    let before = centre.outbox().len();
    assert_eq!(reserve(&mut centre, hoarder, "c", 1), FULL);
    assert_eq!(centre.outbox().len(), before, "nothing was done");
    assert_eq!(reserve(&mut centre, hoarder, "a", 1), Ok(true), "a repeat is answered");
    assert_eq!(reserve(&mut centre, Some("other"), "d", 1), Ok(false));
    for name in ["e", "f", "g"] {
        assert_eq!(reserve(&mut centre, None, name, 1), Ok(false), "nobody is asked who they are");
    }
}

#[test]
fn requests_that_come_at_once_are_counted_one_by_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut centre) = setting(folder.path());
    let names = ["a", "b", "c", "a"];
    let (asks, answers): (Vec<_>, Vec<_>) =
        names.into_iter().map(|name| ask(&centre, Some("hoarder"), name, 1)).unzip();
    centre.projection.serve(asks, centre.now).expect("the database works");
    let answers: Vec<_> = answers.into_iter().map(repeated).collect();
    assert_eq!(answers, [Ok(false), Ok(false), FULL, Ok(true)]);
}

#[test]
fn a_reservation_that_ends_makes_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut centre) = setting(folder.path());
    let hoarder = Some("hoarder");
    for name in ["a", "b", "c"] {
        assert_eq!(reserve(&mut centre, hoarder, name, 11), Ok(false), "rejected, and so ended");
    }
    assert_eq!(reserve(&mut centre, hoarder, "d", 1), Ok(false));
    assert_eq!(reserve(&mut centre, hoarder, "e", 1), Ok(false));
    assert_eq!(reserve(&mut centre, hoarder, "f", 1), FULL);
    // No store answers, and long after their time all have let go.
    centre.now = centre.now.plus_millis(1_800_000);
    assert_eq!(reserve(&mut centre, hoarder, "f", 1), Ok(false), "its key is still free");
    let reader = centre.reader.lock().expect("no panic");
    let ended = reader.reservation(&id("d")).expect("it can be read").expect("it is there");
    assert_ne!(ended.state, ReservationState::Requested);
}

#[test]
fn what_is_open_still_counts_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut centre) = setting(folder.path());
    let hoarder = Some("hoarder");
    assert_eq!(reserve(&mut centre, hoarder, "a", 1), Ok(false));
    assert_eq!(reserve(&mut centre, hoarder, "b", 1), Ok(false));
    drop(centre);
    let mut centre = open(folder.path(), &log);
    centre.catch_up();
    assert_eq!(reserve(&mut centre, hoarder, "c", 1), FULL);
    assert_eq!(reserve(&mut centre, hoarder, "b", 1), Ok(true));
    assert_eq!(reserve(&mut centre, Some("other"), "d", 1), Ok(false));
}
