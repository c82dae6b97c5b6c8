//! An item's events in a journal of many: found wherever they are, and sorted anew where that was lost.

use std::collections::BTreeMap;
use std::path::Path;

use inventory_core::{AsOf, StockItem, evolve};
use shared_events::event::StockAdjusted;
use shared_events::reservation::StockCommandRefused;
use shared_events::{RecordedEvent, Rejection, Sequence, Sku, StockEvent, Timestamp, Version};
use store_service::journal::{self, Error, Journal, NewEvent};

use crate::journal::{database, open};
use crate::support::store_id;

/// Events of a segment.
const SEGMENT: u64 = 1_024;
const START: i64 = 1_790_000_000_000;

/// Appends events until the journal has so many, in transactions of different sizes: of A often, of B
/// sometimes, of C in the beginning only, and refusals among them. The clock goes on each third event.
fn grow(folder: &Path, events: u64) {
    let mut journal = Journal::open(folder, &store_id(), |_| {}).unwrap();
    let mut versions = BTreeMap::<&str, u64>::new();
    while journal.head().sequence.get() < events {
        let from = journal.head().sequence.get();
        let mut append = journal.append().unwrap();
        for number in from..events.min(from + from * 37 % 700 + 1) {
            let name = match number {
                0..20 => "C",
                _ if number % 97 == 0 => "B",
                _ => "A",
            };
            let version = versions.entry(name).or_default();
            let event = if number % 10 == 3 {
                StockEvent::CommandRefused(StockCommandRefused {
                    rejection: Rejection::CommandIdReused,
                })
            } else {
                *version += 1;
                StockEvent::Adjusted(StockAdjusted {
                    version: Version::new(*version),
                    delta: 1,
                    on_hand: i64::try_from(*version).unwrap(),
                    reserved: 0,
                    discrepancy: 0,
                    reason: None,
                    reference: None,
                })
            };
            let occurred_at = START + i64::try_from(number / 3).unwrap();
            append
                .event(NewEvent {
                    sku: Sku::parse(name).unwrap(),
                    event,
                    occurred_at: Timestamp::from_unix_millis(occurred_at).unwrap(),
                    cause: None,
                    principal: None,
                    traceparent: None,
                })
                .unwrap();
        }
        append.commit().unwrap();
    }
}

fn sorted_events(folder: &Path) -> u64 {
    let sql = "SELECT count(*) FROM events_by_item";
    database(folder).query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
}

/// Asks for items at many points and holds the answers against a look through all events.
fn answers_are_what_the_events_say(folder: &Path) {
    let mut all: Vec<RecordedEvent> = Vec::new();
    journal::replay(folder, |event| all.push(event.clone())).unwrap();
    let newest = all.len() as u64;
    let reader = journal::reader(folder).unwrap();
    let edges = [0, 1, 19, 20, 1_023, 1_024, 1_025, 2_048, 2_500, newest, newest + 9];
    let time = |at: u64| START + i64::try_from(at / 3).unwrap();
    let points = edges.iter().flat_map(|at| {
        let time = Timestamp::from_unix_millis(time(*at)).unwrap();
        [AsOf::Sequence(Sequence::new(*at)), AsOf::Time(time)]
    });
    for point in points.map(Some).chain([None]) {
        let within = |event: &&RecordedEvent| match point {
            None => true,
            Some(AsOf::Sequence(sequence)) => event.id.sequence <= sequence,
            Some(AsOf::Time(time)) => event.occurred_at <= time,
        };
        for name in ["A", "B", "C", "never"] {
            let sku = Sku::parse(name).unwrap();
            let of_item: Vec<_> =
                all.iter().filter(|event| event.sku == sku).filter(within).collect();
            let mut item = StockItem::default();
            of_item.iter().for_each(|event| evolve(&mut item, &event.event));
            assert_eq!(reader.item(&sku, point).unwrap(), item, "{name} at {point:?}");
            for (after, limit) in edges.iter().flat_map(|at| [(*at, 1), (*at, 3), (*at, 9_999)]) {
                let after = Sequence::new(after);
                let wanted = of_item.iter().filter(|event| event.id.sequence > after).take(limit);
                let wanted: Vec<_> = wanted.map(|event| (*event).clone()).collect();
                let found = reader.history(&sku, after, point, limit).unwrap();
                assert!(found == wanted, "{name} at {point:?}, {limit} behind {after}");
            }
        }
    }
}

#[test]
fn an_items_history_is_what_the_events_say_however_long_the_journal_is() {
    for events in [30, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT + 500] {
        let folder = test_support::folder();
        grow(folder.path(), events);
        assert_eq!(sorted_events(folder.path()), events / SEGMENT * SEGMENT);
        answers_are_what_the_events_say(folder.path());
    }
}

#[test]
fn a_journal_of_the_fourth_layout_is_sorted_at_its_first_start() {
    let folder = test_support::folder();
    grow(folder.path(), 3 * SEGMENT + 7);
    // As the program before this one left it.
    database(folder.path())
        .execute_batch(
            "DROP TABLE events_by_item; PRAGMA user_version = 4;
             CREATE INDEX events_by_sku ON events (sku, sequence, occurred_at);",
        )
        .unwrap();
    open(folder.path()).unwrap();
    assert_eq!(sorted_events(folder.path()), 3 * SEGMENT);
    answers_are_what_the_events_say(folder.path());
    grow(folder.path(), 4 * SEGMENT + 7);
    answers_are_what_the_events_say(folder.path());
}

#[test]
fn a_segment_that_names_other_events_is_refused_until_it_is_sorted_anew() {
    let folder = test_support::folder();
    grow(folder.path(), 3 * SEGMENT + 7);
    for (segment, damage) in [
        (1, "DELETE FROM events_by_item WHERE sequence = 1500"),
        (1, "DELETE FROM events_by_item WHERE segment = 1"),
        (0, "DELETE FROM events_by_item WHERE segment = 0"),
        (2, "UPDATE events_by_item SET sku = 'B' WHERE sequence = 2100"),
        (2, "UPDATE events_by_item SET occurred_at = occurred_at + 1 WHERE sequence = 2100"),
        (0, "UPDATE events_by_item SET sequence = 9999 WHERE sequence = 12"),
        (0, "UPDATE events_by_item SET segment = 1 WHERE sequence = 12"),
        (
            1,
            "INSERT INTO events_by_item SELECT 1, sku, sequence, occurred_at FROM events_by_item
             WHERE sequence = 7",
        ),
        (
            3,
            "INSERT INTO events_by_item SELECT 3, sku, sequence, occurred_at FROM events
             WHERE sequence > 3072",
        ),
    ] {
        let damaged = database(folder.path());
        assert!(damaged.execute(damage, []).unwrap() > 0, "{damage}");
        for refused in [
            open(folder.path()).unwrap_err(),
            journal::verify(folder.path()).map(drop).unwrap_err(),
        ] {
            assert!(matches!(refused, Error::Damaged { .. }), "{damage}: {refused}");
            let refused = refused.to_string();
            let named = format!("other events in segment {segment}");
            // A segment that is missing moves the ones behind it up.
            assert!(refused.contains(&named) || damage.contains("WHERE segment"), "{refused}");
            assert!(refused.ends_with("'DELETE FROM events_by_item'"), "{refused}");
        }
        damaged.execute("DELETE FROM events_by_item", []).unwrap();
        drop(damaged);
        open(folder.path()).unwrap();
        assert_eq!(sorted_events(folder.path()), 3 * SEGMENT, "{damage}");
        answers_are_what_the_events_say(folder.path());
    }
}
