//! What the golden files say.

use shared_events::command::{CommandEnvelope, JournalWitnessed, ReplayEvents};
use shared_events::ledger::Reservation;
use shared_events::policy::{SafetyStock, Selling};
use shared_events::wire::{
    OutgoingRecord, Undecodable, decode_command, decode_event, decode_heartbeat,
    decode_reservation, decode_safety_stock, decode_selling, encode_command, encode_event,
    encode_heartbeat, encode_reservation, encode_safety_stock, encode_selling, header,
};
use shared_events::{
    Epoch, Heartbeat, Life, Lineage, Location, RecordedEvent, Sequence, StockAdjusted, StockEvent,
    StockReplaced, StoreCommand, Text, Timestamp, Version,
};

use crate::support::Record;

mod ledger;
mod policies;
mod reservations;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Anything that goes over the broker.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Event(RecordedEvent),
    Heartbeat(Heartbeat),
    Command(CommandEnvelope),
    Reservation(Reservation),
    SafetyStock(SafetyStock),
    Selling(Selling),
}

impl Said {
    pub(crate) fn encode(&self) -> OutgoingRecord {
        match self {
            Self::Event(event) => encode_event(event),
            Self::Heartbeat(heartbeat) => encode_heartbeat(heartbeat),
            Self::Command(command) => encode_command(command),
            Self::Reservation(reservation) => encode_reservation(reservation, ledger::written_at()),
            Self::SafetyStock(policy) => encode_safety_stock(policy),
            Self::Selling(policy) => encode_selling(policy),
        }
    }

    /// Reads a record of the same kind.
    pub(crate) fn decode_like(&self, record: &Record) -> Result<Self, Undecodable> {
        match self {
            Self::Event(_) => record.read(decode_event).map(Self::Event),
            Self::Heartbeat(_) => record.read(decode_heartbeat).map(Self::Heartbeat),
            Self::Command(_) => record.read(decode_command).map(Self::Command),
            Self::Reservation(_) => record.read(decode_reservation).map(Self::Reservation),
            Self::SafetyStock(_) => record.read(decode_safety_stock).map(Self::SafetyStock),
            Self::Selling(_) => record.read(decode_selling).map(Self::Selling),
        }
    }

    /// Headers that say what the record is, beside its key and value; the others are for routers.
    pub(crate) fn meaningful_headers(&self) -> &'static [&'static str] {
        use header::{CAUSE, ID, SOURCE, SUBJECT, TIME, TRACEPARENT, TYPE};
        match self {
            Self::Event(_) => &[ID, SOURCE, TYPE, SUBJECT, TIME, CAUSE, TRACEPARENT],
            Self::Heartbeat(_) | Self::Reservation(_) => &[SOURCE, TYPE],
            Self::Command(_) => &[ID, TYPE, TIME, TRACEPARENT],
            Self::SafetyStock(_) | Self::Selling(_) => &[SOURCE, TYPE],
        }
    }
}

/// Every golden file, and what it says.
pub(crate) fn cases() -> Vec<(&'static str, Said)> {
    let plain = |said| Said::Event(event(said));
    let full = |said| Said::Event(traced(event(said)));
    let asked = |id, command| Said::Command(envelope(id, command));
    vec![
        ("heartbeat.v1", Said::Heartbeat(heartbeat())),
        ("heartbeat.v1.located", Said::Heartbeat(located())),
        ("heartbeat.v1.reborn", Said::Heartbeat(reborn())),
        ("heartbeat.v1.opening", Said::Heartbeat(Heartbeat { opening: true, ..heartbeat() })),
        ("replay-events.v1", Said::Command(replay_events())),
        ("journal-witnessed.v1", witnessed(seen())),
        (
            "journal-witnessed.v1.reborn",
            witnessed(JournalWitnessed { lineage: reborn().lineage, ..seen() }),
        ),
        (
            "journal-witnessed.v1.unknown",
            witnessed(JournalWitnessed {
                epoch: Epoch::ZERO,
                head: Sequence::ZERO,
                head_hash: String::new(),
                lineage: None,
            }),
        ),
        ("stock-adjusted.v1", full(adjusted())),
        ("stock-adjusted.v1.minimal", plain(adjusted_minimal())),
        ("stock-adjusted.v1.principal", Said::Event(asked_by("till-3@north.7"))),
        ("stock-replaced.v1", full(replaced())),
        ("stock-replaced.v1.minimal", plain(replaced_minimal())),
        ("stock-reserved.v1", full(reservations::reserved())),
        ("stock-reserved.v1.together", full(reservations::reserved_together())),
        ("reservation-refused.v1", full(reservations::refused())),
        ("reservation-released.v1", full(reservations::released())),
        ("reservation-fulfilled.v1", full(reservations::fulfilled())),
        ("reservation-broken.v1", full(reservations::broken())),
        ("stock-command-refused.v1.shortfall", full(reservations::shortfall())),
        ("stock-command-refused.v1.conflict", full(reservations::conflict())),
        ("stock-command-refused.v1.range", full(reservations::out_of_range())),
        ("stock-command-refused.v1.reused", full(reservations::reused())),
        ("replace-stock.v1", asked("web:replace-1", reservations::replace())),
        ("adjust-stock.v1.principal", Said::Command(asked_for("erp", reservations::adjust()))),
        ("adjust-stock.v1", asked("web:adjust-1", reservations::adjust())),
        ("reserve-stock.v1", asked("reserve:c1.0193ab-7/2/north.7", reservations::reserve())),
        (
            "reserve-stock.v1.here",
            asked("reserve:c1.0193ab-7/2/north.7", reservations::reserve_here()),
        ),
        ("release-reservation.v1", asked("release:c1.0193ab-7/2", reservations::release())),
        ("fulfil-reservation.v1", asked("fulfil:c1.0193ab-7/2", reservations::fulfil())),
        ("reservation-changed.v1", Said::Reservation(ledger::reservation())),
        ("reservation-changed.v1.minimal", Said::Reservation(ledger::minimal())),
        ("safety-stock.v1", Said::SafetyStock(policies::full())),
        ("safety-stock.v1.minimal", Said::SafetyStock(policies::minimal())),
        ("safety-stock.v1.store", Said::SafetyStock(policies::of_a_store())),
        ("safety-stock.v1.removed", Said::SafetyStock(policies::removed())),
        ("selling.v1", Said::Selling(policies::switched_off())),
        ("selling.v1.minimal", Said::Selling(policies::switched_on())),
    ]
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        store_id: "north.7".parse().expect("valid"),
        epoch: Epoch::new(2),
        head: Sequence::new(1_042),
        head_hash: "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea".to_owned(),
        published_through: Sequence::new(1_040),
        digest: "0123456789abcdef0123456789abcdef".to_owned(),
        sent_at: time("2026-11-21T09:30:01.250Z"),
        location: None,
        lineage: None,
        opening: false,
    }
}

fn located() -> Heartbeat {
    let location = Location::from_degrees(52.520_008, -13.4).expect("on the earth");
    Heartbeat { location: Some(location), ..heartbeat() }
}

/// A journal with lives before this one.
fn reborn() -> Heartbeat {
    let life = |epoch, from| Life { epoch: Epoch::new(epoch), from: Sequence::new(from) };
    let lives = Lineage::try_from(vec![life(1, 1), life(2, 977)]).expect("ascending");
    Heartbeat { lineage: Some(lives), ..heartbeat() }
}

fn seen() -> JournalWitnessed {
    let Heartbeat { epoch, head, head_hash, .. } = heartbeat();
    JournalWitnessed { epoch, head, head_hash, lineage: None }
}

fn witnessed(seen: JournalWitnessed) -> Said {
    Said::Command(CommandEnvelope {
        id: "witnessed:c1:1795253400000".parse().expect("valid"),
        command: StoreCommand::JournalWitnessed(seen),
        ..replay_events()
    })
}

fn replay_events() -> CommandEnvelope {
    let replay =
        ReplayEvents { epoch: Epoch::new(2), from: Sequence::new(7), through: Sequence::new(19) };
    CommandEnvelope {
        id: "replay:north.7/2/7-19".parse().expect("valid"),
        store: "north.7".parse().expect("valid"),
        issued_at: time("2026-11-21T09:30:00.000Z"),
        principal: None,
        traceparent: None,
        command: StoreCommand::ReplayEvents(replay),
    }
}

fn envelope(id: &str, command: StoreCommand) -> CommandEnvelope {
    CommandEnvelope {
        id: id.parse().expect("valid"),
        store: "north.7".parse().expect("valid"),
        issued_at: time("2026-11-21T09:30:00.000Z"),
        principal: None,
        traceparent: Some(TRACE.to_owned()),
        command,
    }
}

fn event(event: StockEvent) -> RecordedEvent {
    RecordedEvent {
        id: "north.7/2/1041".parse().expect("valid"),
        sku: "Käse 5 kg".parse().expect("valid"),
        occurred_at: time("2026-11-21T09:30:00.007Z"),
        cause: None,
        principal: None,
        traceparent: None,
        event,
    }
}

fn traced(event: RecordedEvent) -> RecordedEvent {
    RecordedEvent {
        cause: Some("till-3:000451".parse().expect("valid")),
        traceparent: Some(TRACE.to_owned()),
        ..event
    }
}

fn asked_by(principal: &str) -> RecordedEvent {
    let principal = Some(principal.parse().expect("valid"));
    RecordedEvent { principal, ..traced(event(adjusted())) }
}

fn asked_for(principal: &str, command: StoreCommand) -> CommandEnvelope {
    let principal = Some(principal.parse().expect("valid"));
    CommandEnvelope { principal, ..envelope("web:adjust-1", command) }
}

fn replaced() -> StockEvent {
    StockEvent::Replaced(StockReplaced {
        version: Version::new(12),
        delta: -3,
        on_hand: 40,
        reserved: 5,
        reason: Some(text("Inventur \"März\" / 棚卸し")),
        reference: Some(text("count-sheet 17")),
    })
}

fn replaced_minimal() -> StockEvent {
    StockEvent::Replaced(StockReplaced {
        version: Version::new(1),
        delta: 0,
        on_hand: 0,
        reserved: 0,
        reason: None,
        reference: None,
    })
}

fn adjusted() -> StockEvent {
    StockEvent::Adjusted(StockAdjusted {
        version: Version::new(9_007_199_254_740_991),
        delta: -2,
        on_hand: 0,
        reserved: 1,
        discrepancy: 4,
        reason: Some(text("sale")),
        reference: Some(text("receipt 000451")),
    })
}

fn adjusted_minimal() -> StockEvent {
    StockEvent::Adjusted(StockAdjusted {
        version: Version::new(2),
        delta: 1_000_000_000,
        on_hand: 1_000_000_000,
        reserved: 0,
        discrepancy: 0,
        reason: None,
        reference: None,
    })
}

fn text(text: &str) -> Text {
    Text::parse(text).expect("valid")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("valid")
}
