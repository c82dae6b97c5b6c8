//! Short words for what a store says, and for what is done about it.

use shared_events::ledger::{Answer, Reservation, Transition};
use shared_events::reservation::{
    Binding, BreakReason, FulfilReservation, RefusalReason, ReleaseReason, ReleaseReservation,
    ReservationBroken, ReservationFulfilled, ReservationRefused, ReservationReleased, ReserveStock,
    StockReserved,
};
use shared_events::{
    Allocation, Epoch, EventId, RecordedEvent, Sequence, StockEvent, StoreCommand, StoreId, Version,
};

use crate::support::{noon, sku, store};

/// What a store says about one line of an ask. Unless told otherwise it is about the units that were
/// asked, and newer than everything said before.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    store: String,
    attempt: u32,
    item: String,
    answer: Answer,
    units: Option<i64>,
    at: Option<(u64, u64)>,
}

/// "This became of it."
pub(crate) fn word(store: &str, attempt: u32, item: &str, answer: Answer) -> Word {
    let (store, item) = (store.to_owned(), item.to_owned());
    Word { store, attempt, item, answer, units: None, at: None }
}

/// "I keep them."
pub(crate) fn reserved(store: &str, attempt: u32, item: &str) -> Word {
    word(store, attempt, item, Answer::Reserved)
}

/// "I have too few."
pub(crate) fn refused(store: &str, attempt: u32, item: &str) -> Word {
    let answer = Answer::Refused { reason: RefusalReason::InsufficientStock, available: 0 };
    word(store, attempt, item, answer)
}

/// "I let them go."
pub(crate) fn released(store: &str, attempt: u32, item: &str, reason: ReleaseReason) -> Word {
    word(store, attempt, item, Answer::Released { reason })
}

/// "The customer has them."
pub(crate) fn handed_over(store: &str, attempt: u32, item: &str) -> Word {
    word(store, attempt, item, Answer::Fulfilled)
}

/// "I cannot keep my promise."
pub(crate) fn broken(store: &str, attempt: u32, item: &str, reason: BreakReason) -> Word {
    word(store, attempt, item, Answer::Broken { reason })
}

impl Word {
    /// About another number of units than was asked.
    pub(crate) fn of(self, units: i64) -> Self {
        Self { units: Some(units), ..self }
    }

    /// From this place in the store's journal.
    pub(crate) fn from(self, epoch: u64, sequence: u64) -> Self {
        Self { at: Some((epoch, sequence)), ..self }
    }

    /// The event as the store writes it about a reservation.
    pub(crate) fn recorded(&self, about: &Reservation, newest: u64) -> RecordedEvent {
        let line = about.lines.iter().find(|line| line.sku.as_str() == self.item);
        let line = line.expect("such a line");
        let asked = about.allocations.iter().find(|known| {
            known.attempt == self.attempt
                && known.store_id.as_str() == self.store
                && known.sku.as_str() == self.item
        });
        let asked = asked.map_or(line.quantity, |known| known.quantity);
        let allocation = Allocation {
            reservation_id: about.reservation_id.clone(),
            order_id: about.order_id.clone(),
            attempt: self.attempt,
            line: line.line,
            lines: about.line_count,
            quantity: self.units.unwrap_or(asked),
            line_quantity: line.quantity,
            expires_at: about.expires_at,
            binding: match (&about.store_id, about.allow_split) {
                (Some(_), _) => Binding::ThisStore,
                (None, true) => Binding::Any,
                (None, false) => Binding::OneStore,
            },
        };
        let (epoch, sequence) = self.at.unwrap_or((1, newest));
        RecordedEvent {
            id: EventId {
                store: store(&self.store),
                epoch: Epoch::new(epoch),
                sequence: Sequence::new(sequence),
            },
            sku: sku(&self.item),
            occurred_at: noon(),
            cause: None,
            principal: None,
            traceparent: None,
            event: event(allocation, self.answer),
        }
    }
}

/// An answer about an allocation, with levels that mean nothing here.
pub(crate) fn event(allocation: Allocation, answer: Answer) -> StockEvent {
    let (version, on_hand, reserved, delta) = (Version::new(1), 0, 0, 0);
    match answer {
        Answer::Reserved => {
            StockEvent::Reserved(StockReserved { version, on_hand, reserved, allocation })
        }
        Answer::Refused { reason, available } => {
            StockEvent::ReservationRefused(ReservationRefused { allocation, reason, available })
        }
        Answer::Released { reason } => StockEvent::Released(ReservationReleased {
            version,
            on_hand,
            reserved,
            allocation,
            reason,
        }),
        Answer::Fulfilled => StockEvent::Fulfilled(ReservationFulfilled {
            version,
            delta,
            on_hand,
            reserved,
            allocation,
        }),
        Answer::Broken { reason } => StockEvent::Broken(ReservationBroken {
            version,
            delta,
            on_hand,
            reserved,
            allocation,
            reason,
        }),
    }
}

/// A transition in a line: what is done, the command's number, the store and ask, why.
pub(crate) fn describe(transition: &Transition) -> String {
    match transition {
        Transition::Requested => "requested".to_owned(),
        Transition::Rebuilt => "rebuilt".to_owned(),
        Transition::Asked { attempt, store_id, .. } => format!("ask {store_id}{attempt}"),
        Transition::Answered { event_id, answer, .. } => format!("{event_id} said {answer:?}"),
        Transition::Withdrawn { command, attempt, store_id, reason, .. } => {
            format!("{command}: withdraw {store_id}{attempt}, {reason:?}")
        }
        Transition::Releasing { command, attempt, store_id, skus, reason, .. } => {
            let skus: Vec<_> = skus.iter().map(ToString::to_string).collect();
            format!("{command}: release {store_id}{attempt} {}, {reason:?}", skus.join(" "))
        }
        Transition::Fulfilling { command, attempt, store_id, skus, .. } => {
            let skus: Vec<_> = skus.iter().map(ToString::to_string).collect();
            format!("{command}: hand over {store_id}{attempt} {}", skus.join(" "))
        }
        Transition::SentAgain { command, .. } => format!("{command} again"),
        Transition::Closed { reason, .. } => format!("close, {reason:?}"),
        Transition::Short { .. } => "short".to_owned(),
        Transition::Lapsed { attempt, store_id } => format!("lapse {store_id}{attempt}"),
    }
}

/// The command a transition puts on its way.
pub(crate) fn transition_number(transition: &Transition) -> Option<u32> {
    match transition {
        Transition::Asked { attempt: command, .. }
        | Transition::Withdrawn { command, .. }
        | Transition::Releasing { command, .. }
        | Transition::Fulfilling { command, .. }
        | Transition::SentAgain { command, .. } => Some(*command),
        Transition::Requested
        | Transition::Rebuilt
        | Transition::Answered { .. }
        | Transition::Closed { .. }
        | Transition::Short { .. }
        | Transition::Lapsed { .. } => None,
    }
}

/// Whether a command tells its store what the transition says.
pub(crate) fn says_so((to, command): &(StoreId, StoreCommand), transition: &Transition) -> bool {
    match (transition, command) {
        (
            Transition::Asked { attempt, store_id, wanted, .. },
            StoreCommand::Reserve(ReserveStock { attempt: of, wanted: named, .. }),
        ) => (attempt, store_id, wanted) == (of, to, named),
        (
            Transition::Withdrawn { attempt, store_id, reason, .. },
            StoreCommand::Release(ReleaseReservation { attempt: of, reason: why, skus, .. }),
        ) => (attempt, store_id, reason) == (of, to, why) && !skus.is_empty(),
        (
            Transition::Releasing { attempt, store_id, skus, reason, .. },
            StoreCommand::Release(ReleaseReservation {
                attempt: of, reason: why, skus: named, ..
            }),
        ) => (attempt, store_id, skus, reason) == (of, to, named, why),
        (
            Transition::Fulfilling { attempt, store_id, skus, .. },
            StoreCommand::Fulfil(FulfilReservation { attempt: of, skus: named, .. }),
        ) => (attempt, store_id, skus) == (of, to, named),
        _ => false,
    }
}
