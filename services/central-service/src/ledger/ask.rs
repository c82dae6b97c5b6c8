//! What callers ask of the ledger, and what they get.

use inventory_core::saga::requests::{self, Illegal};
use inventory_core::saga::{self, Wish};
use service_kit::fingerprint::Fingerprint;
use shared_events::ledger::{Reservation, Transition};
use shared_events::policy::{SafetyStock, Scope, Selling};
use shared_events::{ReservationId, Sku, StoreId, Text, Timestamp};
use tokio::sync::oneshot;

use super::unwritten::Pending;
use super::{Ledger, StockCommandRecord};
use crate::database::{Database, Error};

/// What a caller named, so that a repeat is known: a key, and what was asked under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The kind of request and the caller's key.
    pub key: String,
    /// What is asked.
    pub fingerprint: Fingerprint,
}

/// A request of a caller. `wait`: until the stores have answered.
#[derive(Debug)]
pub enum Ask {
    /// Keep units for a customer.
    Reserve {
        /// Its name; the same for the same key.
        id: ReservationId,
        /// When the caller named the request.
        request: Option<Request>,
        /// What is wanted.
        wish: Wish,
        /// Whether to wait.
        wait: bool,
        /// Takes the answer.
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// Hand over items of a reservation, or all.
    Fulfil {
        /// The reservation.
        id: ReservationId,
        /// When the caller named the request.
        request: Option<Request>,
        /// The items; all when none is named.
        skus: Vec<Sku>,
        /// Whether to wait.
        wait: bool,
        /// Takes the answer.
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// Let a reservation go.
    Cancel {
        /// The reservation.
        id: ReservationId,
        /// When the caller named the request.
        request: Option<Request>,
        /// Takes the answer.
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// Carry a stock command to its store.
    StockCommand {
        /// The command.
        record: Box<StockCommandRecord>,
        /// Whether to wait.
        wait: bool,
        /// Takes the answer.
        reply: oneshot::Sender<Result<CommandAnswer, Refusal>>,
    },
    /// Set or remove a policy.
    SafetyStock {
        /// What it applies to.
        scope: Scope,
        /// Units; `None` removes it.
        units: Option<i64>,
        /// Takes the answer.
        reply: oneshot::Sender<Result<SafetyStock, Refusal>>,
    },
    /// Switch a store's selling online on or off.
    Selling {
        /// The store.
        store_id: StoreId,
        /// Whether it is to sell.
        enabled: bool,
        /// Why.
        reason: Option<Text>,
        /// Takes the answer.
        reply: oneshot::Sender<Result<Selling, Refusal>>,
    },
}

/// A reservation, durable as it is told.
#[derive(Debug)]
pub struct Answer {
    /// As it stands.
    pub reservation: Reservation,
    /// Whether the request had been made before.
    pub repeated: bool,
    /// Tells how it stands once the stores have answered, where that is still to come and was asked.
    pub settled: Option<oneshot::Receiver<Reservation>>,
}

/// A stock command, durable as it is told.
#[derive(Debug)]
pub struct CommandAnswer {
    /// As it stands.
    pub record: StockCommandRecord,
    /// Whether the request had been made before.
    pub repeated: bool,
    /// Tells the store's verdict, where that is still to come and was asked.
    pub settled: Option<oneshot::Receiver<StockCommandRecord>>,
}

/// Why a request was not served. Nothing was done, except where said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key was used before for something else.
    #[error("this idempotency key was used before with another body")]
    KeyReused,
    /// Its state does not allow it.
    #[error("{illegal}")]
    Illegal {
        /// What was wrong.
        illegal: Illegal,
        /// The reservation as it stands.
        reservation: Box<Reservation>,
    },
    /// The subject has as many open reservations as it may.
    #[error("{limit} reservations of this subject are open, which is its bound; nothing was done")]
    QuotaExceeded {
        /// The bound.
        limit: u32,
    },
    /// The ledger has no such reservation.
    #[error("there is no reservation {0}")]
    UnknownReservation(ReservationId),
    /// Too much is waiting.
    #[error("too many requests are waiting; try again in a moment")]
    Overloaded,
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopped,
    /// The service ended before it answered: it may or may not have been done.
    #[error(
        "the service ended before it could answer; ask for the same again with its idempotency key"
    )]
    Unknown,
}

impl Ledger {
    /// Takes a request; it is answered once what it led to is committed.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub fn serve(&mut self, ask: Ask, now: Timestamp, database: &Database) -> Result<(), Error> {
        match ask {
            Ask::Reserve { id, request, wish, wait, reply } => {
                let outcome = self.reserve(&id, request, wish, now, database)?;
                self.pending.push(Pending::Reservation { id, outcome, wait, reply });
            }
            Ask::Fulfil { id, request, skus, wait, reply } => {
                let timing = self.settings.timing;
                let fulfil = |known: &Reservation| requests::fulfil(known, &skus, now, &timing);
                let outcome = self.decide(&id, request, fulfil, now, database)?;
                self.pending.push(Pending::Reservation { id, outcome, wait, reply });
            }
            Ask::Cancel { id, request, reply } => {
                let cancel = |known: &Reservation| {
                    requests::cancel(known, now).map(|closed| closed.into_iter().collect())
                };
                let outcome = self.decide(&id, request, cancel, now, database)?;
                self.pending.push(Pending::Reservation { id, outcome, wait: false, reply });
            }
            Ask::StockCommand { record, wait, reply } => {
                let outcome = Box::new(self.carry(*record, wait, database)?);
                self.pending.push(Pending::StockCommand { outcome, reply });
            }
            Ask::SafetyStock { scope, units, reply } => {
                let policy = self.set_safety_stock(scope, units, now);
                self.pending.push(Pending::SafetyStock { policy, reply });
            }
            Ask::Selling { store_id, enabled, reason, reply } => {
                let selling = self.set_selling(store_id, enabled, reason, now);
                self.pending.push(Pending::Selling { selling, reply });
            }
        }
        Ok(())
    }

    fn reserve(
        &mut self,
        id: &ReservationId,
        request: Option<Request>,
        wish: Wish,
        now: Timestamp,
        database: &Database,
    ) -> Result<Result<bool, Refusal>, Error> {
        let known = self.find(id, database)?;
        if let Some(request) = &request {
            match self.is_repeated(request, database)? {
                Ok(false) => {}
                decided => return Ok(decided),
            }
        }
        if known {
            // The key's name is all that a ledger that was lost has left of the request.
            let Some(reservation) =
                self.running.get_mut(id).filter(|known| known.order_id == wish.order_id)
            else {
                return Ok(Err(Refusal::KeyReused));
            };
            // Stores do not tell for whom they keep what. Whose key leads to the name made it.
            if reservation.rebuilt && reservation.owner.is_none() && wish.owner.is_some() {
                reservation.owner = wish.owner;
                self.quota.note(reservation);
                reservation.revision = reservation.revision.saturating_add(1);
                self.unwritten.reservations.insert(id.clone());
            }
        } else {
            let limit = self.settings.max_open_reservations;
            if self.quota.is_used_up(wish.owner.as_ref(), limit) {
                return Ok(Err(Refusal::QuotaExceeded { limit }));
            }
            let reservation = saga::begin(id.clone(), wish, now);
            self.quota.note(&reservation);
            self.running.insert(id.clone(), reservation);
            self.unwritten.reservations.insert(id.clone());
            self.touched.insert(id.clone());
        }
        if let Some(request) = request {
            self.unwritten.requests.insert(request.key, request.fingerprint);
        }
        Ok(Ok(known))
    }

    /// Decides what a caller wants of a reservation, once for each key.
    fn decide(
        &mut self,
        id: &ReservationId,
        request: Option<Request>,
        decide: impl FnOnce(&Reservation) -> Result<Vec<Transition>, Illegal>,
        now: Timestamp,
        database: &Database,
    ) -> Result<Result<bool, Refusal>, Error> {
        if !self.find(id, database)? {
            return Ok(Err(Refusal::UnknownReservation(id.clone())));
        }
        if let Some(request) = &request {
            match self.is_repeated(request, database)? {
                Ok(false) => {}
                decided => return Ok(decided),
            }
        }
        let Some(known) = self.running.get(id) else {
            return Ok(Err(Refusal::UnknownReservation(id.clone())));
        };
        let transitions = match decide(known) {
            Ok(transitions) => transitions,
            Err(illegal) => {
                let reservation = Box::new(known.clone());
                return Ok(Err(Refusal::Illegal { illegal, reservation }));
            }
        };
        for transition in transitions {
            self.apply(id, transition, now);
        }
        if let Some(request) = request {
            self.unwritten.requests.insert(request.key, request.fingerprint);
        }
        Ok(Ok(false))
    }

    /// Whether the same was asked before under its key.
    fn is_repeated(
        &self,
        request: &Request,
        database: &Database,
    ) -> Result<Result<bool, Refusal>, Error> {
        let known = match self.unwritten.requests.get(&request.key) {
            Some(known) => Some(*known),
            None => database.request(&request.key)?,
        };
        Ok(match known {
            None => Ok(false),
            Some(known) if known == request.fingerprint => Ok(true),
            Some(_) => Err(Refusal::KeyReused),
        })
    }
}
