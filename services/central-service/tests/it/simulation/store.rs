//! A store by the core's rules: it executes commands once, answers by events, and keeps a journal.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use inventory_core::allocations::{Ending, end, evolve_allocations, reserve};
use inventory_core::{StockItem, decide, evolve};
use shared_events::command::CommandEnvelope;
use shared_events::reservation::ReleaseReason;
use shared_events::{
    AdjustStock, Allocation, CommandId, Delta, Epoch, EventId, Heartbeat, OnShortfall, Quantity,
    RecordedEvent, ReplaceStock, Sequence, Sku, StockCommand, StockEvent, StoreCommand, StoreId,
    Timestamp,
};

use crate::support::digest;

/// An item and what is kept of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Item {
    pub(super) stock: StockItem,
    pub(super) kept: Vec<Allocation>,
}

/// A store.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) id: StoreId,
    pub(super) items: BTreeMap<Sku, Item>,
    pub(super) journal: Vec<RecordedEvent>,
    /// What each command led to, by places in the journal.
    executed: HashMap<CommandId, Range<usize>>,
    /// Where reading its topic goes on.
    pub(super) read: i64,
    /// Events published.
    pub(super) published: usize,
    /// How far its clock is from the centres', in milliseconds.
    pub(super) skew_ms: i64,
    /// How long after a reservation's time it lets go.
    grace_ms: i64,
}

impl Store {
    pub(super) fn new(name: &str, skew_ms: i64, grace_ms: i64) -> Self {
        Self {
            id: name.parse().expect("a store id"),
            items: BTreeMap::new(),
            journal: Vec::new(),
            executed: HashMap::new(),
            read: 0,
            published: 0,
            skew_ms,
            grace_ms,
        }
    }

    /// Executes a command once; a second time gives the events it led to, to be published again.
    pub(super) fn execute(&mut self, command: &CommandEnvelope, now: Timestamp) -> Range<usize> {
        if let Some(known) = self.executed.get(&command.id) {
            return known.clone();
        }
        let from = self.journal.len();
        let cause = Some(command.id.clone());
        match &command.command {
            StoreCommand::Reserve(ask) => {
                let wanted: Vec<_> = (ask.wanted.iter())
                    .map(|line| (self.item(&line.sku).stock, ask.allocation(line)))
                    .collect();
                for (place, event) in reserve(&wanted, self.deadline(now)) {
                    self.record(ask.wanted[place].sku.clone(), event, cause.clone(), now);
                }
            }
            StoreCommand::Release(release) => {
                let ending = Ending::Released(release.reason);
                let (id, attempt) = (&release.reservation_id, release.attempt);
                self.end(&release.skus, |kept| kept.is_of(id, attempt), ending, &cause, now);
            }
            StoreCommand::Fulfil(fulfil) => {
                let (id, attempt) = (&fulfil.reservation_id, fulfil.attempt);
                let chosen = |kept: &Allocation| kept.is_of(id, attempt);
                self.end(&fulfil.skus, chosen, Ending::Fulfilled, &cause, now);
            }
            StoreCommand::ReplayEvents(_) => self.published = 0,
            StoreCommand::JournalWitnessed(_) => {}
            StoreCommand::Stock(command) => self.change(command, cause, now),
        }
        let led_to = from..self.journal.len();
        self.executed.insert(command.id.clone(), led_to.clone());
        led_to
    }

    /// "There are so many."
    pub(super) fn count(&mut self, sku: &Sku, units: i64, now: Timestamp) {
        let command = ReplaceStock {
            sku: sku.clone(),
            quantity: Quantity::new(units).expect("within the bounds"),
            expected_version: None,
            reason: None,
            reference: None,
        };
        self.change(&StockCommand::Replace(command), None, now);
    }

    /// A customer has units in hand, whatever was promised.
    pub(super) fn walk_in(&mut self, sku: &Sku, units: i64, now: Timestamp) {
        let command = AdjustStock {
            sku: sku.clone(),
            delta: Delta::new(-units).expect("within the bounds"),
            expected_version: None,
            on_shortfall: OnShortfall::BreakReservations,
            reason: None,
            reference: None,
        };
        self.change(&StockCommand::Adjust(command), None, now);
    }

    /// Lets go of what is over for certain.
    pub(super) fn let_go(&mut self, now: Timestamp) {
        let (deadline, skus) = (self.deadline(now), self.items.keys().cloned().collect::<Vec<_>>());
        let ending = Ending::Released(ReleaseReason::Expired);
        self.end(&skus, |kept| kept.expires_at < deadline, ending, &None, now);
    }

    pub(super) fn heartbeat(&self, now: Timestamp) -> Heartbeat {
        let items = self.items.iter().map(|(sku, item)| (sku.clone(), item.stock)).collect();
        let head = Sequence::new(u64::try_from(self.journal.len()).expect("few events"));
        Heartbeat {
            store_id: self.id.clone(),
            epoch: Epoch::new(1),
            head,
            head_hash: head.to_string(),
            published_through: head,
            digest: digest(&items).to_string(),
            sent_at: self.clock(now),
            location: None,
            lineage: None,
            opening: false,
        }
    }

    fn change(&mut self, command: &StockCommand, cause: Option<CommandId>, now: Timestamp) {
        let item = self.item(command.sku()).clone();
        for event in decide(&item.stock, &item.kept, command).unwrap_or_default() {
            self.record(command.sku().clone(), event, cause.clone(), now);
        }
    }

    fn end(
        &mut self,
        skus: &[Sku],
        chosen: impl Fn(&Allocation) -> bool,
        ending: Ending,
        cause: &Option<CommandId>,
        now: Timestamp,
    ) {
        for sku in skus {
            let kept = self.item(sku).kept.clone();
            for allocation in kept.iter().filter(|kept| chosen(kept)) {
                let event = end(&self.item(sku).stock, allocation, ending);
                self.record(sku.clone(), event, cause.clone(), now);
            }
        }
    }

    fn record(&mut self, sku: Sku, event: StockEvent, cause: Option<CommandId>, now: Timestamp) {
        if event.levels().is_some() {
            let item = self.item(&sku);
            evolve(&mut item.stock, &event);
            evolve_allocations(&mut item.kept, &event);
            let kept: i64 = item.kept.iter().map(|kept| kept.quantity).sum();
            assert_eq!(item.stock.reserved, kept, "{sku}: {event:?}");
            assert!(kept <= item.stock.on_hand, "{sku} is promised twice: {event:?}");
        }
        let place = u64::try_from(self.journal.len()).expect("few events") + 1;
        let id = EventId {
            store: self.id.clone(),
            epoch: Epoch::new(1),
            sequence: Sequence::new(place),
        };
        let occurred_at = self.clock(now);
        let recorded = RecordedEvent {
            id,
            sku,
            occurred_at,
            cause,
            principal: None,
            traceparent: None,
            event,
        };
        self.journal.push(recorded);
    }

    fn item(&mut self, sku: &Sku) -> &mut Item {
        self.items.entry(sku.clone()).or_default()
    }

    fn clock(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_unix_millis(now.unix_millis() + self.skew_ms).expect("this century")
    }

    fn deadline(&self, now: Timestamp) -> Timestamp {
        let millis = self.clock(now).unix_millis() - self.grace_ms;
        Timestamp::from_unix_millis(millis).expect("this century")
    }
}
