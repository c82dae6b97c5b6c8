//! The ledger: this centre's own reservations, and what it asks of stores.
//!
//! The rules are the core's ([`inventory_core::saga`]); here they meet stores' answers, callers and the
//! clock. The projector's thread owns the ledger, so nothing in it is locked. It works in two steps:
//! [`Ledger::heard`] takes answers while their batch is applied; [`Ledger::advance`] then does what
//! has become due, whoever caused it. What both decide is collected and written in the transaction
//! that follows, then shown and told by [`Ledger::committed`].
//!
//! Nothing is timed out before the intake has caught up with what was written while this centre was
//! away: the answers may all be there.

mod ask;
mod command_name;
mod lost;
mod metrics;
mod policies;
mod quota;
mod sourcing;
mod stock_command;
mod unwritten;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use inventory_core::saga::{self, Timing};
use service_kit::circuit_breaker::{self, CircuitBreaker, State};
use service_kit::trace;
use shared_events::command::CommandEnvelope;
use shared_events::ledger::{LedgerAllocation, Reservation, ReservationState, Transition};
use shared_events::reservation::ReleaseReason;
use shared_events::topic::Topics;
use shared_events::{
    CentreId, RecordedEvent, ReservationId, StoreCommand, StoreId, Subject, Timestamp,
};
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::commitments::{AskKey, Change};
use crate::database::{Database, Error, Running};
use crate::read_model::ReadModel;

pub use ask::{Answer, Ask, CommandAnswer, Refusal, Request};
use command_name::{command_id, command_number};
pub use metrics::LedgerMetrics;
pub use quota::DEFAULT_MAX_OPEN_RESERVATIONS;
use quota::Quota;
use stock_command::StockCommands;
pub use stock_command::{StockCommandRecord, StockOutcome};
use unwritten::{Pending, Unwritten};

/// How a ledger works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This centre: its reservations' names begin with it.
    pub centre: CentreId,
    /// How long things may take.
    pub timing: Timing,
    /// When a store that does not answer is left out.
    pub breaker: circuit_breaker::Settings,
    /// How often a reservation that is short of units is looked at again, in milliseconds.
    pub source_again_ms: u64,
    /// Most open reservations of one subject; 0 is no bound.
    pub max_open_reservations: u32,
}

/// Milliseconds a store has to answer an ask unless configured otherwise.
pub const DEFAULT_STEP_TIMEOUT_MS: u64 = 3_000;

impl Settings {
    /// A centre with a step timeout, over stores that let go so long after a reservation's time.
    #[must_use]
    pub fn new(centre: CentreId, step_timeout_ms: u64, release_grace_ms: u64) -> Self {
        Self {
            centre,
            timing: Timing {
                step_ms: step_timeout_ms,
                resend_ms: step_timeout_ms.saturating_mul(2),
                // Once for the store's grace, once more for its clock.
                lapse_ms: release_grace_ms.saturating_mul(2),
            },
            breaker: circuit_breaker::Settings::default(),
            source_again_ms: step_timeout_ms,
            max_open_reservations: DEFAULT_MAX_OPEN_RESERVATIONS,
        }
    }
}

/// The ledger's state.
#[derive(Debug)]
pub struct Ledger {
    settings: Settings,
    topics: Topics,
    model: Arc<ReadModel>,
    metrics: LedgerMetrics,
    /// Reservations something can still happen to, and those of the running transaction.
    running: HashMap<ReservationId, Reservation>,
    due: BTreeSet<(Timestamp, ReservationId)>,
    due_at: HashMap<ReservationId, Timestamp>,
    /// Those that no store has answered yet, by when they were asked for.
    unanswered: BTreeSet<(Timestamp, ReservationId)>,
    /// Changed since they were last advanced.
    touched: BTreeSet<ReservationId>,
    breakers: HashMap<StoreId, CircuitBreaker>,
    quota: Quota,
    stock_commands: StockCommands,
    unwritten: Unwritten,
    pending: Vec<Pending>,
    waiting: HashMap<ReservationId, Vec<oneshot::Sender<Reservation>>>,
    /// Brought into memory by the running transaction.
    looked_at: BTreeSet<ReservationId>,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn open(
        settings: Settings,
        topics: Topics,
        model: Arc<ReadModel>,
        metrics: LedgerMetrics,
    ) -> Self {
        Self {
            settings,
            topics,
            model,
            metrics,
            running: HashMap::new(),
            due: BTreeSet::new(),
            due_at: HashMap::new(),
            unanswered: BTreeSet::new(),
            touched: BTreeSet::new(),
            breakers: HashMap::new(),
            quota: Quota::default(),
            stock_commands: StockCommands::default(),
            unwritten: Unwritten::default(),
            pending: Vec::new(),
            waiting: HashMap::new(),
            looked_at: BTreeSet::new(),
        }
    }

    /// Goes on with what was going on when it was last written: shows its holds and policies.
    pub fn resume(&mut self, running: Running) {
        self.stock_commands = StockCommands::new(running.stock_commands);
        for policy in running.policies {
            self.model.put_policy(policy);
        }
        for reservation in running.reservations {
            for known in reservation.allocations.iter().filter(|known| known.state.is_hold()) {
                self.show(&reservation, known, Change::Hold(known.quantity));
            }
            self.quota.note(&reservation);
            if reservation.state == ReservationState::Requested {
                let place = (reservation.created_at, reservation.reservation_id.clone());
                self.unanswered.insert(place);
            }
            self.running.insert(reservation.reservation_id.clone(), reservation);
        }
    }

    /// Everything that was on its way when the intake began has been heard: what is still unanswered
    /// now is.
    pub fn caught_up(&mut self, now: Timestamp) {
        if self.model.has_caught_up() {
            return;
        }
        info!(running = self.running.len(), "the ledger has heard all answers and goes on");
        self.model.caught_up();
        for (id, reservation) in &mut self.running {
            saga::requests::forgive(reservation, now, &self.settings.timing);
            self.touched.insert(id.clone());
        }
    }

    /// Takes a store's event. `new`: it was not applied before.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub fn heard(
        &mut self,
        recorded: &RecordedEvent,
        new: bool,
        now: Timestamp,
        database: &Database,
    ) -> Result<(), Error> {
        // Also of an event known before: a store that has executed a command answers by it again.
        if let Some(answered) = self.stock_commands.heard(recorded) {
            self.unwritten.stock_commands.insert(answered);
        }
        let Some(said) = recorded.event.allocation().filter(|_| new) else {
            return Ok(());
        };
        let id = &said.reservation_id;
        if id.centre() != self.settings.centre.as_str() {
            return Ok(());
        }
        if !self.find(id, database)? {
            // While a lost ledger comes back there are as many as there ever were.
            if self.model.has_caught_up() {
                let trace_id = trace::id(recorded.traceparent.as_deref());
                warn!(reservation = %id, event = %recorded.id, trace_id, "a store tells of a reservation that is not in the ledger");
            }
            if let Some(rebuilt) = saga::rebuild(recorded, now) {
                self.running.insert(id.clone(), rebuilt);
            }
        }
        let answer = self.running.get(id).and_then(|known| saga::answer(known, recorded));
        if let Some(answer) = answer {
            if let Some(breaker) = self.breakers.get_mut(&recorded.id.store) {
                breaker.answered();
                self.metrics.breaker(&recorded.id.store, false);
            }
            self.apply(id, answer, now);
        }
        Ok(())
    }

    /// Does everything that is due by now.
    pub fn advance(&mut self, now: Timestamp) {
        if !self.model.has_caught_up() {
            return;
        }
        self.send_again(now);
        while let Some((at, id)) = self.due.first()
            && *at <= now
        {
            let id = id.clone();
            self.unschedule(&id);
            self.touched.insert(id);
        }
        while let Some(id) = self.touched.pop_first() {
            self.advance_one(&id, now);
            self.touched.remove(&id);
            self.schedule(&id, now);
        }
    }

    fn advance_one(&mut self, id: &ReservationId, now: Timestamp) {
        loop {
            let Some(reservation) = self.running.get(id) else {
                return;
            };
            if saga::is_doubtful(reservation)
                && now < reservation.expires_at
                && !self.model.is_complete()
            {
                // What a store has still to tell may be what is missing.
                return;
            }
            let timing = &self.settings.timing;
            if let Some(transition) = saga::next(reservation, now, timing) {
                self.apply(id, transition, now);
                continue;
            }
            let missing = saga::missing(reservation);
            if missing.is_empty() {
                return;
            }
            match self.source(reservation, &missing, now) {
                Ok(parts) => {
                    for (store, wanted) in parts {
                        let Some(reservation) = self.running.get(id) else {
                            return;
                        };
                        let timing = &self.settings.timing;
                        let asked = saga::requests::ask(reservation, store, wanted, now, timing);
                        self.apply(id, asked, now);
                    }
                }
                Err(shortfalls) => match saga::requests::unsourced(reservation, shortfalls) {
                    Some(told) => self.apply(id, told, now),
                    None => return,
                },
            }
        }
    }

    /// Applies a transition with all that follows from it: holds, the command, the record.
    fn apply(&mut self, id: &ReservationId, transition: Transition, now: Timestamp) {
        let Some(mut reservation) = self.running.remove(id) else {
            return;
        };
        let held: Vec<bool> =
            reservation.allocations.iter().map(|known| known.state.is_hold()).collect();
        self.watch_store(&transition, now);
        let number = command_number(&transition);
        let (before, confirmed) = (reservation.state, reservation.confirmed_at);
        saga::evolve(&mut reservation, transition, now);
        self.quota.note(&reservation);
        if reservation.state != before {
            self.metrics.came_to(reservation.state);
        }
        if confirmed != reservation.confirmed_at && !reservation.rebuilt {
            self.metrics.confirmed(&reservation, now);
        }
        let held = held.into_iter().chain(std::iter::repeat(false));
        for (known, held) in reservation.allocations.iter().zip(held) {
            match (held, known.state.is_hold()) {
                (false, true) => self.show(&reservation, known, Change::Hold(known.quantity)),
                (true, false) => self.unwritten.unholds.push((
                    known.store_id.clone(),
                    known.sku.clone(),
                    key(&reservation, known),
                )),
                _ => {}
            }
        }
        if let Some(number) = number
            && let Some((store, command)) = saga::command(&reservation, number)
        {
            let command_id = command_id(id, number, &command);
            self.unwritten.commands.push(CommandEnvelope {
                id: command_id,
                store,
                issued_at: now,
                principal: asked_by(&reservation, &command),
                traceparent: reservation.traceparent.clone(),
                command,
            });
        }
        self.unwritten.reservations.insert(id.clone());
        self.touched.insert(id.clone());
        self.running.insert(id.clone(), reservation);
    }

    /// Feeds the breaker of the store a transition is about.
    fn watch_store(&mut self, transition: &Transition, now: Timestamp) {
        let now_ms = now.unix_millis().unsigned_abs();
        match transition {
            Transition::Asked { store_id, .. } => self.breaker(store_id).asked(now_ms),
            Transition::Withdrawn { store_id, reason: ReleaseReason::TimedOut, .. } => {
                self.breaker(store_id).timed_out(now_ms);
                let open = self.breaker(store_id).state(now_ms) != State::Closed;
                self.metrics.timed_out(store_id);
                self.metrics.breaker(store_id, open);
            }
            _ => {}
        }
    }

    fn breaker(&mut self, store: &StoreId) -> &mut CircuitBreaker {
        let settings = self.settings.breaker;
        self.breakers.entry(store.clone()).or_insert_with(|| CircuitBreaker::new(settings))
    }

    fn show(&self, reservation: &Reservation, known: &LedgerAllocation, change: Change) {
        if let Some(store) = self.model.index(&known.store_id) {
            self.model.put(store, &known.sku, None, vec![(key(reservation, known), change)]);
        }
    }

    /// Brings a reservation into memory; `false` when the ledger has none of this id.
    fn find(&mut self, id: &ReservationId, database: &Database) -> Result<bool, Error> {
        if self.running.contains_key(id) {
            return Ok(true);
        }
        let Some(reservation) = database.reservation(id)? else {
            return Ok(false);
        };
        self.looked_at.insert(id.clone());
        self.running.insert(id.clone(), reservation);
        Ok(true)
    }

    fn schedule(&mut self, id: &ReservationId, now: Timestamp) {
        self.unschedule(id);
        let Some(reservation) = self.running.get(id) else {
            return;
        };
        let again = now.plus_millis(self.settings.source_again_ms);
        let due = match saga::due(reservation, &self.settings.timing) {
            // It waits for what stores have still to tell.
            Some(_) if saga::is_doubtful(reservation) => Some(again),
            due if reservation.state == ReservationState::Short => {
                due.into_iter().chain([again]).min()
            }
            due => due,
        };
        if let Some(at) = due {
            self.due.insert((at, id.clone()));
            self.due_at.insert(id.clone(), at);
        }
    }

    fn unschedule(&mut self, id: &ReservationId) {
        if let Some(at) = self.due_at.remove(id) {
            self.due.remove(&(at, id.clone()));
        }
    }

    /// When [`Self::advance`] has something to do again, unless something happens before.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at).filter(|_| self.model.has_caught_up())
    }
}

fn key(reservation: &Reservation, known: &LedgerAllocation) -> AskKey {
    AskKey {
        expires_at_ms: reservation.expires_at.unix_millis(),
        reservation_id: reservation.reservation_id.clone(),
        attempt: known.attempt,
    }
}

/// Whose request a command carries out. Who ended a reservation is not kept with it.
fn asked_by(reservation: &Reservation, command: &StoreCommand) -> Option<Subject> {
    match command {
        StoreCommand::Reserve(_) => reservation.owner.clone(),
        _ => None,
    }
}
