//! A store as far as the centre can tell: rules, a journal without holes, heartbeats.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use inventory_core::witness::{Comparison, Own, compare};
use inventory_core::{Digest, StockItem, decide, evolve};
use shared_events::command::{JournalWitnessed, ReplayEvents};
use shared_events::reservation::{
    Binding, ReleaseReason, ReservationReleased, StockCommandRefused, StockReserved,
};
use shared_events::{
    AdjustStock, Allocation, CommandId, Delta, Epoch, EventId, Heartbeat, Lineage, OnShortfall,
    Quantity, RecordedEvent, Rejection, ReplaceStock, Sequence, Sku, StockCommand, StockEvent,
    StoreId, Timestamp,
};

use super::{sku, store};

/// A store and everything it ever wrote.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) id: StoreId,
    /// All events of all lives, in the order they were written.
    pub(crate) journal: Vec<RecordedEvent>,
    items: BTreeMap<Sku, StockItem>,
    lineage: Lineage,
    head: Sequence,
}

impl Shop {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            id: store(name),
            journal: Vec::new(),
            items: BTreeMap::new(),
            lineage: Lineage::new(Epoch::new(1), Sequence::new(1)),
            head: Sequence::ZERO,
        }
    }

    /// A shop in which each of `items` was counted once, 1 unit of the first, 2 of the second …
    pub(crate) fn stocked(name: &str, items: usize) -> Self {
        let mut shop = Self::new(name);
        for (item, units) in (0..items).zip(1..) {
            shop.count(&format!("ITEM-{item}"), units);
        }
        shop
    }

    /// "There are so many."
    pub(crate) fn count(&mut self, item: &str, units: i64) {
        let command = StockCommand::Replace(ReplaceStock {
            sku: sku(item),
            quantity: Quantity::new(units).expect("within the bounds"),
            expected_version: None,
            reason: None,
            reference: None,
        });
        assert!(self.handle(&command), "a count is never refused");
    }

    /// "So many came in", or went out. What the rules refuse writes nothing.
    pub(crate) fn change(&mut self, item: &str, units: i64) -> bool {
        self.handle(&StockCommand::Adjust(AdjustStock {
            sku: sku(item),
            delta: Delta::new(units).expect("within the bounds"),
            expected_version: None,
            on_shortfall: OnShortfall::Reject,
            reason: None,
            reference: None,
        }))
    }

    /// Writes whatever a test makes it say.
    pub(crate) fn say(
        &mut self,
        item: &str,
        cause: Option<&CommandId>,
        event: StockEvent,
    ) -> RecordedEvent {
        self.head = self.head.next();
        let recorded = RecordedEvent {
            id: EventId { store: self.id.clone(), epoch: self.epoch(), sequence: self.head },
            sku: sku(item),
            occurred_at: now(self.journal.len()),
            cause: cause.cloned(),
            principal: None,
            traceparent: None,
            event,
        };
        if recorded.event.levels().is_some() {
            evolve(self.items.entry(recorded.sku.clone()).or_default(), &recorded.event);
        }
        self.journal.push(recorded.clone());
        recorded
    }

    /// How an item stands.
    pub(crate) fn item(&self, item: &str) -> StockItem {
        self.items.get(&sku(item)).copied().unwrap_or_default()
    }

    fn handle(&mut self, command: &StockCommand) -> bool {
        let epoch = self.epoch();
        let item = self.items.entry(command.sku().clone()).or_default();
        let decided = decide(item, &[], command).unwrap_or_default();
        for event in &decided {
            evolve(item, event);
            self.head = self.head.next();
            self.journal.push(RecordedEvent {
                id: EventId { store: self.id.clone(), epoch, sequence: self.head },
                sku: command.sku().clone(),
                occurred_at: now(self.journal.len()),
                cause: None,
                principal: None,
                traceparent: None,
                event: event.clone(),
            });
        }
        !decided.is_empty()
    }

    /// Keeps units for an ask of a reservation.
    pub(crate) fn keep(&mut self, item: &str, attempt: u32, units: i64) -> Allocation {
        let allocation = Allocation {
            reservation_id: "c9.r".parse().expect("a reservation id"),
            order_id: "order".parse().expect("an order id"),
            attempt,
            line: 1,
            lines: 1,
            quantity: units,
            line_quantity: units,
            expires_at: now(1_000_000),
            binding: Binding::Any,
        };
        let stock = self.items.entry(sku(item)).or_default();
        let event = StockEvent::Reserved(StockReserved {
            version: stock.version.next(),
            on_hand: stock.on_hand,
            reserved: stock.reserved + units,
            allocation: allocation.clone(),
        });
        evolve(stock, &event);
        self.say(item, None, event);
        allocation
    }

    /// Does not keep them any more.
    pub(crate) fn let_go(&mut self, item: &str, allocation: Allocation) {
        let stock = self.items.entry(sku(item)).or_default();
        let event = StockEvent::Released(ReservationReleased {
            version: stock.version.next(),
            on_hand: stock.on_hand,
            reserved: stock.reserved - allocation.quantity,
            allocation,
            reason: ReleaseReason::Cancelled,
        });
        evolve(stock, &event);
        self.say(item, None, event);
    }

    /// Refuses a command that came by the topic.
    pub(crate) fn refuse(&mut self, item: &str) {
        let rejection = Rejection::CommandIdReused;
        let cause = "c9.command".parse().expect("a command id");
        let event = StockEvent::CommandRefused(StockCommandRefused { rejection });
        self.say(item, Some(&cause), event);
    }

    /// The journal was restored: a new life begins behind what it has, the shelf is what it is.
    pub(crate) fn begin_new_life(&mut self) {
        let epoch = self.epoch().next();
        self.lineage.begin(epoch, self.head).expect("a later life");
    }

    /// The same behind a life that others may have begun.
    pub(crate) fn begin_life(&mut self, epoch: u64) {
        self.lineage.begin(Epoch::new(epoch), self.head).expect("a later life");
    }

    /// A backup of an earlier moment: the journal as it was then, with the lives that wrote it.
    pub(crate) fn backup(&self, head: usize) -> Self {
        let journal = self.journal[..head].to_vec();
        let mut backup = Self { items: fold(&journal), ..Self::new(self.id.as_str()) };
        for event in &journal {
            if event.id.epoch != backup.epoch() {
                backup.lineage.begin(event.id.epoch, backup.head).expect("a later life");
            }
            backup.head = event.id.sequence;
        }
        backup.journal = journal;
        backup
    }

    /// How its journal compares with what a centre says it has seen of it.
    pub(crate) fn compare(&self, seen: &JournalWitnessed) -> Comparison {
        let hash = self.hash_at(seen.head);
        compare(
            Own {
                epoch: self.epoch(),
                lineage: &self.lineage,
                head: self.head,
                hash_there: hash.as_deref(),
            },
            seen,
        )
    }

    /// What it publishes when it is asked for a part of its journal.
    pub(crate) fn replay(&self, wanted: &ReplayEvents) -> &[RecordedEvent] {
        let place = |sequence: Sequence| usize::try_from(sequence.get()).expect("few events");
        let through = place(wanted.through.min(self.head));
        let known = wanted.epoch == self.epoch() && place(wanted.from) <= through;
        if known { self.events(place(wanted.from), through) } else { &[] }
    }

    /// What a store says that has just opened its journal.
    pub(crate) fn hello(&self) -> Heartbeat {
        Heartbeat { opening: true, ..self.heartbeat() }
    }

    /// Of everything up to a sequence; `None` where there is nothing.
    fn hash_at(&self, sequence: Sequence) -> Option<String> {
        let through = usize::try_from(sequence.get()).expect("few events");
        let mut hash = DefaultHasher::new();
        for event in self.journal.get(..through)? {
            format!("{event:?}").hash(&mut hash);
        }
        Some(format!("{:016x}", hash.finish()))
    }

    /// The life that is lived.
    pub(crate) fn epoch(&self) -> Epoch {
        self.lineage.current().epoch
    }

    /// Events of the first life by sequence, as they stand in the journal.
    pub(crate) fn events(&self, from: usize, through: usize) -> &[RecordedEvent] {
        &self.journal[from - 1..through]
    }

    pub(crate) fn head(&self) -> Sequence {
        self.head
    }

    pub(crate) fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            store_id: self.id.clone(),
            epoch: self.epoch(),
            head: self.head,
            head_hash: self.hash_at(self.head).expect("its own end"),
            published_through: self.head,
            digest: digest(&fold(&self.journal)).to_string(),
            sent_at: now(self.journal.len()),
            location: None,
            lineage: Some(self.lineage.clone()).filter(|lineage| !lineage.is_plain()),
            opening: false,
        }
    }
}

/// What a journal leads to, computed apart from everything the centre does.
pub(crate) fn fold(journal: &[RecordedEvent]) -> BTreeMap<Sku, StockItem> {
    let mut items: BTreeMap<Sku, StockItem> = BTreeMap::new();
    for event in journal {
        evolve(items.entry(event.sku.clone()).or_default(), &event.event);
    }
    items
}

pub(crate) fn digest(items: &BTreeMap<Sku, StockItem>) -> Digest {
    items.iter().fold(Digest::default(), |digest, (sku, item)| {
        digest.replace(sku, &StockItem::default(), item)
    })
}

/// The shop's clock ticks once an event.
fn now(events: usize) -> Timestamp {
    let ticks = i64::try_from(events).expect("few events");
    Timestamp::from_unix_millis(1_790_000_000_000 + ticks).expect("this century")
}
