//! Shops that work by the store's own rules, whenever they get to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use inventory_core::allocations::{Ending, end, evolve_allocations, reserve};
use inventory_core::{StockItem, evolve};
use shared_events::reservation::{BreakReason, ReleaseReason};
use shared_events::{
    Allocation, Epoch, EventId, RecordedEvent, Sequence, Sku, StockEvent, StoreCommand, StoreId,
    Timestamp,
};

use crate::support::{TIMING, noon, store};

/// How long behind a reservation's time a shop lets go by itself.
const GRACE_MS: u64 = TIMING.lapse_ms / 2;

/// One shop.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) id: StoreId,
    pub(crate) shelf: BTreeMap<Sku, (StockItem, Vec<Allocation>)>,
    pub(crate) inbox: VecDeque<(u32, StoreCommand)>,
    pub(crate) journal: Vec<RecordedEvent>,
    done: BTreeSet<String>,
}

impl Shop {
    pub(crate) fn new(name: &str, stock: &BTreeMap<Sku, (i64, i64)>) -> Self {
        let item = |on_hand| (StockItem { on_hand, ..StockItem::default() }, Vec::new());
        let shelf = stock.iter().map(|(sku, (on_hand, _))| (sku.clone(), item(*on_hand))).collect();
        let (inbox, journal, done) = (VecDeque::new(), Vec::new(), BTreeSet::new());
        Self { id: store(name), shelf, inbox, journal, done }
    }

    /// Executes the next command, by a clock that is right.
    pub(crate) fn execute(&mut self, now: Timestamp) {
        let Some((number, command)) = self.inbox.pop_front() else { return };
        if !self.done.insert(format!("{number} {command:?}")) {
            return;
        }
        match command {
            StoreCommand::Reserve(ask) => {
                let item = |sku| self.shelf.get(sku).map_or_else(StockItem::default, |item| item.0);
                let wanted: Vec<_> =
                    ask.wanted.iter().map(|line| (item(&line.sku), ask.allocation(line))).collect();
                for (place, event) in reserve(&wanted, now) {
                    self.record(ask.wanted[place].sku.clone(), event);
                }
            }
            StoreCommand::Release(release) => {
                let ending = Ending::Released(release.reason);
                let of = |one: &Allocation| one.is_of(&release.reservation_id, release.attempt);
                self.end(&release.skus, of, ending);
            }
            StoreCommand::Fulfil(fulfil) => {
                let of = |one: &Allocation| one.is_of(&fulfil.reservation_id, fulfil.attempt);
                self.end(&fulfil.skus, of, Ending::Fulfilled);
            }
            other => unreachable!("a saga does not send {other:?}"),
        }
    }

    fn end(&mut self, skus: &[Sku], of: impl Fn(&Allocation) -> bool, ending: Ending) {
        for sku in skus {
            let kept = self.shelf.get(sku).map(|(_, kept)| kept.clone()).unwrap_or_default();
            for allocation in kept.iter().filter(|one| of(one)) {
                let event = end(&self.shelf[sku].0, allocation, ending);
                self.record(sku.clone(), event);
            }
        }
    }

    /// A customer in the shop, a count, or staff: the newest promise of an item is broken.
    pub(crate) fn breaks(&mut self, sku: &Sku, reason: BreakReason) {
        let newest = self.shelf.get(sku).and_then(|(_, kept)| kept.last().cloned());
        if let Some(newest) = newest {
            let of = |one: &Allocation| one.attempt == newest.attempt;
            self.end(std::slice::from_ref(sku), of, Ending::Broken(reason));
        }
    }

    /// Lets go what expired long ago.
    pub(crate) fn lets_go(&mut self, now: Timestamp) {
        let skus: Vec<Sku> = self.shelf.keys().cloned().collect();
        let over = |one: &Allocation| one.expires_at.plus_millis(GRACE_MS) < now;
        self.end(&skus, over, Ending::Released(ReleaseReason::Expired));
    }

    fn record(&mut self, sku: Sku, event: StockEvent) {
        let (item, kept) = self.shelf.entry(sku.clone()).or_default();
        evolve(item, &event);
        evolve_allocations(kept, &event);
        let place = u64::try_from(self.journal.len()).expect("small") + 1;
        self.journal.push(RecordedEvent {
            id: EventId {
                store: self.id.clone(),
                epoch: Epoch::new(1),
                sequence: Sequence::new(place),
            },
            sku,
            occurred_at: noon(),
            cause: None,
            principal: None,
            traceparent: None,
            event,
        });
    }
}
