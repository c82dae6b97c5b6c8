//! Whatever stores and the centre may say.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use shared_events::command::{CommandEnvelope, JournalWitnessed, ReplayEvents};
use shared_events::reservation::{
    Binding, BreakReason, FulfilReservation, MAX_LINES, RefusalReason, ReleaseReason,
    ReleaseReservation, ReservationBroken, ReservationFulfilled, ReservationRefused,
    ReservationReleased, ReserveStock, StockCommandRefused, StockReserved, WantedLine,
};
use shared_events::wire::valid_traceparent;
use shared_events::{
    AdjustStock, Allocation, CommandId, Delta, Epoch, EventId, Location, MAX_UNITS, OnShortfall,
    OrderId, Quantity, RecordedEvent, Rejection, ReplaceStock, ReservationId, Sequence, Sku,
    StockAdjusted, StockCommand, StockEvent, StockReplaced, StoreCommand, StoreId, Subject, Text,
    Timestamp, Version,
};

mod ledger;
mod state;

pub(crate) use ledger::reservation;
pub(crate) use state::{heartbeat, safety_stock, selling};

fn position() -> impl Strategy<Value = u64> {
    prop_oneof![1..5_u64, 1..=Sequence::MAX.get(), Just(Sequence::MAX.get())]
}

fn level() -> impl Strategy<Value = i64> {
    prop_oneof![0..5_i64, 0..=MAX_UNITS, Just(MAX_UNITS)]
}

fn optional_text() -> impl Strategy<Value = Option<Text>> {
    option::of("\\PC{1,200}".prop_map(|text| Text::parse(&text).expect("no control characters")))
}

fn event_id() -> impl Strategy<Value = EventId> {
    (store(), position(), position()).prop_map(|(store, epoch, sequence)| EventId {
        store,
        epoch: Epoch::new(epoch),
        sequence: Sequence::new(sequence),
    })
}

fn version() -> impl Strategy<Value = Version> {
    position().prop_map(Version::new)
}

fn delta() -> impl Strategy<Value = i64> {
    -MAX_UNITS..=MAX_UNITS
}

fn store() -> impl Strategy<Value = StoreId> {
    "[A-Za-z0-9._-]{1,32}".prop_filter_map("only dots", |text: String| StoreId::parse(&text).ok())
}

fn sku() -> impl Strategy<Value = Sku> {
    "[^|\\pC]{1,64}".prop_filter_map("spaces around", |text: String| Sku::parse(&text).ok())
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000..=253_402_300_799_999_i64)
        .prop_map(|millis| Timestamp::from_unix_millis(millis).expect("in range"))
}

fn command_id() -> impl Strategy<Value = CommandId> {
    "[!-~]{1,128}".prop_map(|text| CommandId::parse(&text).expect("visible ASCII"))
}

fn order_id() -> impl Strategy<Value = OrderId> {
    "[!-~]{1,128}".prop_map(|text| OrderId::parse(&text).expect("visible ASCII"))
}

fn subject() -> impl Strategy<Value = Subject> {
    "[!-~]{1,128}".prop_map(|text| Subject::parse(&text).expect("visible ASCII"))
}

fn reservation_id() -> impl Strategy<Value = ReservationId> {
    "[A-Za-z0-9_-]{1,32}[.][A-Za-z0-9-]{1,40}"
        .prop_map(|text| ReservationId::parse(&text).expect("centre and name"))
}

fn traceparent() -> impl Strategy<Value = Option<String>> {
    let text = "00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}";
    option::of(text.prop_filter("ids are not zero", |text: &String| valid_traceparent(text)))
}

/// Anywhere, and often at the ends of the map.
fn location() -> impl Strategy<Value = Location> {
    let latitude = prop_oneof![-90.0..=90.0, select(&[-90.0, 0.0, 90.0][..])];
    let longitude = prop_oneof![-180.0..=180.0, select(&[-180.0, 0.0, 180.0][..])];
    (latitude, longitude).prop_map(|(latitude, longitude)| {
        Location::from_degrees(latitude, longitude).expect("on the earth")
    })
}

/// Units here, of the units of a whole line.
fn part() -> impl Strategy<Value = (i64, i64)> {
    prop_oneof![1..5_i64, 1..=MAX_UNITS, Just(MAX_UNITS)]
        .prop_flat_map(|whole| (prop_oneof![1..=whole, Just(whole)], Just(whole)))
}

/// Some of a reservation's lines, in a row from any of them.
fn reserve() -> impl Strategy<Value = ReserveStock> {
    let lines = prop_oneof![3..6_u32, 3..=MAX_LINES].prop_flat_map(|lines| (0..lines, Just(lines)));
    let wanted = btree_map(sku(), part(), 1..4);
    let binding = select(&[Binding::Any, Binding::OneStore, Binding::ThisStore][..]);
    (reservation_id(), order_id(), 1..=u32::MAX, (time(), binding), lines, wanted).prop_map(
        |(reservation_id, order_id, attempt, (expires_at, binding), (first, lines), wanted)| {
            let wanted = (first..).zip(wanted).map(|(place, (sku, (quantity, line_quantity)))| {
                WantedLine { line: place % lines + 1, sku, quantity, line_quantity }
            });
            let wanted = wanted.collect();
            ReserveStock { reservation_id, order_id, attempt, lines, expires_at, binding, wanted }
        },
    )
}

fn allocation() -> impl Strategy<Value = Allocation> {
    reserve().prop_map(|reserve| reserve.allocation(&reserve.wanted[0]))
}

fn release_reason() -> impl Strategy<Value = ReleaseReason> {
    use ReleaseReason::{Cancelled, Expired, Incomplete, Moved, TimedOut};
    select(&[Cancelled, Expired, TimedOut, Incomplete, Moved][..])
}

fn refusal_reason() -> impl Strategy<Value = RefusalReason> {
    select(&[RefusalReason::InsufficientStock, RefusalReason::Expired][..])
}

fn break_reason() -> impl Strategy<Value = BreakReason> {
    use BreakReason::{Damaged, NotFound, Recounted, Sold};
    select(&[Sold, Recounted, NotFound, Damaged][..])
}

fn rejection() -> impl Strategy<Value = Rejection> {
    prop_oneof![
        Just(Rejection::CommandIdReused),
        (level(), level(), level()).prop_map(|(requested, available, on_hand)| {
            Rejection::InsufficientStock { requested, available, on_hand }
        }),
        (version(), version())
            .prop_map(|(expected, current)| Rejection::VersionConflict { expected, current }),
        (level(), level())
            .prop_map(|(on_hand, delta)| Rejection::LevelOutOfRange { on_hand, delta }),
    ]
}

/// Something that happened to one item.
pub(crate) fn stock_event() -> impl Strategy<Value = StockEvent> {
    prop_oneof![2 => level_event(), 5 => reservation_event(), 1 => rejection().prop_map(|rejection| {
        StockEvent::CommandRefused(StockCommandRefused { rejection })
    })]
}

fn level_event() -> impl Strategy<Value = StockEvent> {
    let levels = (version(), delta(), level(), level(), option::of(level()));
    (levels, optional_text(), optional_text()).prop_map(|(levels, reason, reference)| {
        let (version, delta, on_hand, reserved, discrepancy) = levels;
        match discrepancy {
            Some(discrepancy) => StockEvent::Adjusted(StockAdjusted {
                version,
                delta,
                on_hand,
                reserved,
                discrepancy,
                reason,
                reference,
            }),
            None => StockEvent::Replaced(StockReplaced {
                version,
                delta,
                on_hand,
                reserved,
                reason,
                reference,
            }),
        }
    })
}

fn reservation_event() -> impl Strategy<Value = StockEvent> {
    let levels = || (version(), delta(), level(), level(), allocation());
    prop_oneof![
        levels().prop_map(|(version, _, on_hand, reserved, allocation)| {
            StockEvent::Reserved(StockReserved { version, on_hand, reserved, allocation })
        }),
        (allocation(), refusal_reason(), level()).prop_map(|(allocation, reason, available)| {
            StockEvent::ReservationRefused(ReservationRefused { allocation, reason, available })
        }),
        (levels(), release_reason()).prop_map(|(levels, reason)| {
            let (version, _, on_hand, reserved, allocation) = levels;
            let released = ReservationReleased { version, on_hand, reserved, allocation, reason };
            StockEvent::Released(released)
        }),
        levels().prop_map(|(version, delta, on_hand, reserved, allocation)| {
            let fulfilled = ReservationFulfilled { version, delta, on_hand, reserved, allocation };
            StockEvent::Fulfilled(fulfilled)
        }),
        (levels(), break_reason()).prop_map(|(levels, reason)| {
            let (version, delta, on_hand, reserved, allocation) = levels;
            let broken =
                ReservationBroken { version, delta, on_hand, reserved, allocation, reason };
            StockEvent::Broken(broken)
        }),
    ]
}

/// Whatever a store may say.
pub(crate) fn recorded_event() -> impl Strategy<Value = RecordedEvent> {
    (event_id(), sku(), time(), option::of(command_id()), traceparent(), stock_event()).prop_map(
        |(id, sku, occurred_at, cause, traceparent, event)| RecordedEvent {
            id,
            sku,
            occurred_at,
            cause,
            traceparent,
            event,
        },
    )
}

fn stock_command() -> impl Strategy<Value = StockCommand> {
    use OnShortfall::{BreakReservations, RecordDiscrepancy, Reject};
    let expected = || option::of(prop_oneof![Just(Version::ZERO), version()]);
    let choice = select(&[Reject, BreakReservations, RecordDiscrepancy][..]);
    let delta = delta().prop_filter_map("a delta is not 0", |units| Delta::new(units).ok());
    let texts = || (optional_text(), optional_text());
    prop_oneof![
        (sku(), level(), expected(), texts()).prop_map(|(sku, units, expected_version, texts)| {
            let quantity = Quantity::new(units).expect("in bounds");
            let (reason, reference) = texts;
            StockCommand::Replace(ReplaceStock {
                sku,
                quantity,
                expected_version,
                reason,
                reference,
            })
        }),
        (sku(), delta, expected(), choice, texts()).prop_map(
            |(sku, delta, expected_version, on_shortfall, (reason, reference))| {
                StockCommand::Adjust(AdjustStock {
                    sku,
                    delta,
                    expected_version,
                    on_shortfall,
                    reason,
                    reference,
                })
            }
        ),
    ]
}

fn store_command() -> impl Strategy<Value = StoreCommand> {
    let replay = (position(), position(), position()).prop_map(|(epoch, one, other)| {
        let (from, through) = (one.min(other), one.max(other));
        let (from, through) = (Sequence::new(from), Sequence::new(through));
        StoreCommand::ReplayEvents(ReplayEvents { epoch: Epoch::new(epoch), from, through })
    });
    let witnessed = (position(), position(), "[0-9a-f]{64}", vec((1..9_u64, 1..999_u64), 0..4))
        .prop_map(|(epoch, head, head_hash, lives)| {
            let lineage = state::lineage(epoch, head, lives);
            let (epoch, head) = (Epoch::new(epoch), Sequence::new(head));
            StoreCommand::JournalWitnessed(JournalWitnessed { epoch, head, head_hash, lineage })
        });
    let kept = || {
        let skus = btree_set(sku(), 1..4).prop_map(Vec::from_iter);
        (reservation_id(), 1..=u32::MAX, skus)
    };
    prop_oneof![
        1 => replay,
        1 => witnessed,
        2 => stock_command().prop_map(StoreCommand::Stock),
        2 => reserve().prop_map(StoreCommand::Reserve),
        1 => (kept(), release_reason()).prop_map(|((reservation_id, attempt, skus), reason)| {
            let release = ReleaseReservation { reservation_id, attempt, skus, reason };
            StoreCommand::Release(release)
        }),
        1 => kept().prop_map(|(reservation_id, attempt, skus)| {
            StoreCommand::Fulfil(FulfilReservation { reservation_id, attempt, skus })
        }),
    ]
}

/// Whatever the centre may ask of a store.
pub(crate) fn command() -> impl Strategy<Value = CommandEnvelope> {
    (command_id(), store(), time(), traceparent(), store_command()).prop_map(
        |(id, store, issued_at, traceparent, command)| CommandEnvelope {
            id,
            store,
            issued_at,
            traceparent,
            command,
        },
    )
}
