//! Decisions of one transaction: what each command does to the shelf, with this transaction's changes
//! laid over it.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use inventory_core::allocations::{Ending, end, reserve};
use inventory_core::{Digest, decide, evolve};
use serde::Serialize;
use shared_events::reservation::{
    BreakReason, FulfilReservation, ReleaseReason, ReleaseReservation, ReserveStock,
    StockCommandRefused,
};
use shared_events::{
    Allocation, CommandId, RecordedEvent, Rejection, ReservationId, Sku, StockCommand, StockEvent,
    Timestamp,
};

use crate::journal::{self, Append, NewEvent, RecordedCommand, Verdict};
use crate::shelf::{Item, Shelf};
use crate::writer::{Answer, Refusal, Request};

/// Allocations that one transaction lets go for their age: tills wait meanwhile.
pub const LET_GO_AT_ONCE: usize = 1_000;

/// What a store can be asked for. Its JSON is what a command id stands for: untagged, so that stock
/// commands keep the form under which older journals remember them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Command {
    /// Change one item.
    Stock(StockCommand),
    /// Keep units for a customer: all or none.
    Reserve {
        /// What is asked.
        ask: ReserveStock,
        /// A reservation that expired before this point is refused.
        deadline: Timestamp,
    },
    /// Let go what one ask kept.
    Release(ReleaseReservation),
    /// Hand over what one ask kept.
    Fulfil(FulfilReservation),
    /// Staff hand over items of a reservation, or cannot.
    Staff(StaffDecision),
    /// Let go of what expired before this point, should nobody else have done so.
    LetGo {
        /// By the centre's clock, as far as the store can tell.
        expired_before: Timestamp,
    },
}

/// What staff did with a reservation at the shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaffDecision {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The items; all that it has here when empty.
    pub skus: Vec<Sku>,
    /// Why they could not be handed over; they were, when absent.
    pub broken: Option<BreakReason>,
}

/// One transaction's decisions.
pub(crate) struct Batch<'w> {
    pub(crate) append: Append<'w>,
    /// Items with this transaction's changes.
    pub(crate) changed: HashMap<Sku, Item>,
    /// What happened, for the shelf.
    pub(crate) events: Vec<(Sku, StockEvent)>,
    pub(crate) hot: &'w mut HotItems,
    pub(crate) digest: Digest,
    shelf: &'w Shelf,
    now: Timestamp,
}

impl<'w> Batch<'w> {
    pub(crate) fn new(
        append: Append<'w>,
        shelf: &'w Shelf,
        digest: Digest,
        now: Timestamp,
        hot: &'w mut HotItems,
    ) -> Self {
        let (changed, events) = (HashMap::new(), Vec::new());
        Self { append, changed, events, hot, digest, shelf, now }
    }

    /// Executes a command, or finds the answer it got before.
    pub(crate) fn execute(
        &mut self,
        request: &Request,
    ) -> Result<Result<Answer, Refusal>, journal::Error> {
        let Some(id) = &request.id else {
            let verdict = self.decide(request)?;
            return Ok(Ok(Answer { verdict, repeated: false }));
        };
        let fingerprint = fingerprint(&request.command);
        let name = inbox_name(id, &request.command);
        if let Some(RecordedCommand { fingerprint: known, verdict }) =
            self.append.recorded(&name)?
        {
            if known.is_some_and(|known| known != fingerprint) {
                if let Command::Stock(command) = &request.command {
                    self.tell_refusal(request, command.sku(), &Rejection::CommandIdReused)?;
                }
                return Ok(Err(Refusal::CommandIdReused));
            }
            if let (Verdict::Rejected(rejection), Command::Stock(command)) =
                (&verdict, &request.command)
            {
                self.tell_refusal(request, command.sku(), rejection)?;
            }
            return Ok(Ok(Answer { verdict, repeated: true }));
        }
        let verdict = self.decide(request)?;
        self.append.command(&name, fingerprint, &verdict, self.forgettable(request))?;
        Ok(Ok(Answer { verdict, repeated: false }))
    }

    /// Since when the name of a command grows old. The topic keeps the centre's stock commands for ever and
    /// may tell them again, to a store behind another cluster: their names are kept. A reservation told
    /// again has run out by then, and its end finds nothing to end.
    fn forgettable(&self, request: &Request) -> Option<Timestamp> {
        let told_again = request.answer_by_event && matches!(request.command, Command::Stock(_));
        (!told_again).then_some(self.now)
    }

    fn decide(&mut self, request: &Request) -> Result<Verdict, journal::Error> {
        let events = match &request.command {
            Command::Stock(command) => return self.change(request, command),
            Command::Reserve { ask, deadline } => self.reserve(ask, *deadline),
            Command::Release(ReleaseReservation { reservation_id, attempt, skus, reason }) => {
                let ending = Ending::Released(*reason);
                self.end(skus, |kept| kept.is_of(reservation_id, *attempt), ending)
            }
            Command::Fulfil(FulfilReservation { reservation_id, attempt, skus }) => {
                self.end(skus, |kept| kept.is_of(reservation_id, *attempt), Ending::Fulfilled)
            }
            Command::Staff(decision) => self.staff(decision),
            Command::LetGo { expired_before } => {
                let skus = self.shelf.expired(*expired_before);
                let ending = Ending::Released(ReleaseReason::Expired);
                let mut left = LET_GO_AT_ONCE;
                let chosen = |kept: &Allocation| {
                    let chosen = left > 0 && kept.expires_at < *expired_before;
                    left -= usize::from(chosen);
                    chosen
                };
                self.end(&skus, chosen, ending)
            }
        };
        self.record(request, events).map(Verdict::Accepted)
    }

    fn change(
        &mut self,
        request: &Request,
        command: &StockCommand,
    ) -> Result<Verdict, journal::Error> {
        let sku = command.sku();
        let item = self.item(sku);
        let rejection = match decide(&item.stock, &item.kept, command) {
            Ok(events) => {
                let events = events.into_iter().map(|event| (sku.clone(), event)).collect();
                return self.record(request, events).map(Verdict::Accepted);
            }
            Err(rejection) => rejection,
        };
        self.tell_refusal(request, sku, &rejection)?;
        Ok(Verdict::Rejected(rejection))
    }

    /// Tells a caller who is not there to be told.
    fn tell_refusal(
        &mut self,
        request: &Request,
        sku: &Sku,
        rejection: &Rejection,
    ) -> Result<(), journal::Error> {
        if request.answer_by_event {
            let refused = StockCommandRefused { rejection: rejection.clone() };
            self.record(request, vec![(sku.clone(), StockEvent::CommandRefused(refused))])?;
        }
        Ok(())
    }

    fn reserve(&mut self, ask: &ReserveStock, deadline: Timestamp) -> Vec<(Sku, StockEvent)> {
        let items =
            ask.wanted.iter().map(|line| (self.item(&line.sku).stock, ask.allocation(line)));
        let decided = reserve(&items.collect::<Vec<_>>(), deadline);
        let sku = |place: usize| ask.wanted.get(place).map(|line| line.sku.clone());
        decided.into_iter().filter_map(|(place, event)| Some((sku(place)?, event))).collect()
    }

    /// All that was named or nothing: who names what is not kept has another reservation in mind.
    fn staff(&mut self, decision: &StaffDecision) -> Vec<(Sku, StockEvent)> {
        let here = self.shelf.reservation(&decision.reservation_id);
        let here: BTreeSet<Sku> = here.into_iter().map(|(sku, _)| sku).collect();
        let named: BTreeSet<Sku> = decision.skus.iter().cloned().collect();
        if !named.is_subset(&here) {
            return Vec::new();
        }
        let skus = if named.is_empty() { here } else { named };
        let ending = decision.broken.map_or(Ending::Fulfilled, Ending::Broken);
        self.end(&skus, |kept| kept.reservation_id == decision.reservation_id, ending)
    }

    /// Ends the chosen allocations of some items.
    fn end<'a>(
        &mut self,
        skus: impl IntoIterator<Item = &'a Sku>,
        mut chosen: impl FnMut(&Allocation) -> bool,
        ending: Ending,
    ) -> Vec<(Sku, StockEvent)> {
        let mut events = Vec::new();
        for sku in skus {
            let item = self.item(sku);
            let mut stock = item.stock;
            for allocation in item.kept.iter().filter(|one| chosen(one)) {
                let event = end(&stock, allocation, ending);
                evolve(&mut stock, &event);
                events.push((sku.clone(), event));
            }
        }
        events
    }

    /// An item as this transaction has it so far.
    fn item(&mut self, sku: &Sku) -> &mut Item {
        self.changed
            .entry(sku.clone())
            .or_insert_with(|| self.hot.0.remove(sku).unwrap_or_else(|| self.shelf.item(sku)))
    }

    fn record(
        &mut self,
        request: &Request,
        events: Vec<(Sku, StockEvent)>,
    ) -> Result<Vec<RecordedEvent>, journal::Error> {
        let mut recorded = Vec::with_capacity(events.len());
        for (sku, event) in events {
            // A refusal changes nothing, and must not make an item of one that was never there.
            if event.levels().is_some() {
                let item = self.item(&sku);
                let before = item.stock;
                item.evolve(&event);
                let after = item.stock;
                self.digest = self.digest.replace(&sku, &before, &after);
                self.events.push((sku.clone(), event.clone()));
            }
            recorded.push(self.append.event(NewEvent {
                sku,
                event,
                occurred_at: self.now,
                cause: request.id.clone(),
                principal: request.principal.clone(),
                traceparent: request.traceparent.clone(),
            })?);
        }
        Ok(recorded)
    }
}

/// The name under which a command is remembered. Reservations' commands are named by centres, all others
/// by callers, who must not be able to take a centre's name first: theirs have no space.
fn inbox_name<'a>(id: &'a CommandId, command: &Command) -> Cow<'a, str> {
    match command {
        Command::Reserve { .. } | Command::Release(_) | Command::Fulfil(_) => {
            Cow::Owned(saga_name(id))
        }
        Command::Stock(_) | Command::Staff(_) | Command::LetGo { .. } => Cow::Borrowed(id.as_str()),
    }
}

/// The name of a centre's command about a reservation.
pub(crate) fn saga_name(id: &CommandId) -> String {
    format!("saga {id}")
}

/// Items of which much is kept, as the last commit left them: copying them from the shelf for every
/// transaction would make the most wanted item the slowest.
#[derive(Debug, Default)]
pub(crate) struct HotItems(HashMap<Sku, Item>);

/// Allocations that make an item worth remembering beside the shelf.
const HOT: usize = 32;

impl HotItems {
    /// Remembers what a commit left.
    pub(crate) fn keep(&mut self, changed: HashMap<Sku, Item>) {
        self.0.extend(changed.into_iter().filter(|(_, item)| item.kept.len() >= HOT));
    }
}

/// Names a command's content: what it asks, not how it was spelled.
fn fingerprint(command: &Command) -> [u8; 16] {
    match command {
        // The deadline is the store's, and later each time the command is delivered.
        Command::Reserve { ask, .. } => service_kit::fingerprint::fingerprint(ask),
        other => service_kit::fingerprint::fingerprint(other),
    }
}
