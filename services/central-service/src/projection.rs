//! What a batch of records does to the centre's view, and to its ledger.
//!
//! **Invariant:** rows, trackers, history, the ledger's transitions and positions are committed in one
//! transaction, and memory shows only what is committed, but for what stores report of themselves (see
//! `unsaved.rs`). An error leaves memory and database apart, so it ends the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use event_log::Position;
use inventory_core::StockItem;
use shared_events::policy::Policy;
use shared_events::topic::Topics;
use shared_events::{EventId, Heartbeat, RecordedEvent, Sku, StockEvent, StoreId, Timestamp};

use crate::admission::Cause;
use crate::commitments::{AskKey, Change};
use crate::database::{Database, Durability, Error, Lane, Loaded};
use crate::effects::{Dirty, Effects};
use crate::history::{NewChange, Recorder};
use crate::ledger::{Ask, Ledger, LedgerMetrics, Settings};
use crate::letters::{Letter, NOT_IN_ITS_JOURNAL, TOO_FAR_AHEAD};
use crate::read_model::{Level, ReadModel, StoreIndex};
use crate::repairs::Aside;
use crate::store::Store;
use crate::unsaved::Unsaved;

/// Parts of the levels that are read while one is shown.
const PARTS_AHEAD: usize = 4;

/// Records as decoded by the intake, with the positions behind them.
#[derive(Debug, Default)]
pub struct Batch {
    /// Stock events, in the order they were read.
    pub events: Vec<RecordedEvent>,
    /// Events of types only a newer version knows. They count as seen, since asking for them again
    /// would not help; the store's digest then tells that its levels here are not its own.
    pub not_understood: Vec<EventId>,
    /// Heartbeats; with when they arrived at the earliest, for those written after the intake began to
    /// listen, which alone say anything about now.
    pub heartbeats: Vec<(Heartbeat, Option<Instant>)>,
    /// What the chain has decided about its stock.
    pub policies: Vec<Policy>,
    /// Everything that was there when the intake began to listen has been read, this batch included.
    pub caught_up: bool,
    /// Records that are not let in.
    pub dead_letters: Vec<Letter>,
    /// The broker these were read from, when it is another one than before.
    pub cluster_id: Option<String>,
    /// Next record of every partition that was read.
    pub positions: Vec<Position>,
}

/// What a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Events that were new.
    pub events: u64,
    /// Events that had been applied before.
    pub duplicates: u64,
    /// Rows written.
    pub rows: u64,
    /// Events written outside of the lives their store goes by.
    pub refused: u64,
    /// Events and heartbeats far beyond everything their store has reported.
    pub implausible: u64,
    /// Items that were corrected by their store's journal.
    pub corrected: u64,
    /// Events that stores once reported and do not have any more.
    pub lost: u64,
}

/// The centre's view and its ledger: database, its memory, and the rules between.
#[derive(Debug)]
pub struct Projection {
    pub(crate) database: Database,
    pub(crate) history: Recorder,
    pub(crate) ledger: Ledger,
    pub(crate) model: Arc<ReadModel>,
    pub(crate) stores: Vec<Store>,
    by_id: HashMap<StoreId, StoreIndex>,
    gap_grace_ms: u64,
    pub(crate) started: Instant,
    pub(crate) topics: Topics,
    unsaved: Unsaved,
}

impl Projection {
    /// Opens a view over a database and fills the model from it. Also gives what the intake needs to
    /// go on: positions and the cluster they belong to.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(
        database: Database,
        history: Recorder,
        model: Arc<ReadModel>,
        gap_grace: Duration,
        settings: Settings,
        topics: Topics,
        metrics: LedgerMetrics,
    ) -> Result<(Self, Vec<Position>, Option<String>), Error> {
        let Loaded { cluster_id, stores, trackers, commitments, positions } = database.load()?;
        let running = database.running()?;
        let ledger = Ledger::open(settings, topics.clone(), Arc::clone(&model), metrics);
        let gap_grace_ms = u64::try_from(gap_grace.as_millis()).unwrap_or(u64::MAX);
        let mut view = Self {
            database,
            history,
            ledger,
            topics,
            model,
            stores: Vec::new(),
            by_id: HashMap::new(),
            gap_grace_ms,
            started: Instant::now(),
            unsaved: Unsaved::default(),
        };
        for (id, witness) in stores {
            let index = view.add_store(id);
            view.store_mut(index).witness = witness;
        }
        for (index, epoch, tracker) in trackers {
            view.store_mut(index).trackers.insert(epoch, tracker);
        }
        view.load_levels()?;
        for (store, sku, key, change) in commitments {
            view.model.put(store, &sku, None, vec![(key, change)]);
        }
        view.show_stores(0..view.stores.len());
        // Behind the stores: a hold is shown by its store's place.
        view.ledger.resume(running);
        Ok((view, positions, cluster_id))
    }

    /// Reads all levels on this thread and shows them on another: half the time, of millions.
    fn load_levels(&mut self) -> Result<(), Error> {
        let Self { database, stores, model, .. } = self;
        std::thread::scope(|threads| {
            let (sender, parts) = sync_channel::<Vec<(Sku, Level)>>(PARTS_AHEAD);
            threads.spawn(move || {
                for (sku, level) in parts.into_iter().flatten() {
                    let store = stores.get_mut(level.store.place());
                    let store = store.expect("a level's store is read in front of it");
                    store.digest = store.digest.replace(&sku, &StockItem::default(), &level.item());
                    store.trail.begin(level.place());
                    model.put(level.store, &sku, Some(level), Vec::new());
                }
            });
            database.levels(&mut |part| sender.send(part).is_ok())
        })
    }

    /// Applies a batch in one transaction and shows it.
    ///
    /// # Errors
    /// [`Error`]; the view must not be used any more.
    pub fn apply(&mut self, batch: &Batch, now: Timestamp) -> Result<Applied, Error> {
        let mut applied = Applied::default();
        let aside = Aside::new(batch.dead_letters.clone(), self.topics.clone());
        let mut effects = Effects { aside, ..Effects::default() };
        for event in &batch.events {
            self.apply_event(event, &mut effects, &mut applied, now)?;
        }
        self.pass_over(&batch.not_understood, &mut effects);
        self.hear(&batch.heartbeats, &mut effects, &mut applied, now);
        for policy in &batch.policies {
            self.ledger.heard_policy(policy);
        }
        if batch.cluster_id.is_some() {
            self.ledger.moved_cluster();
        }
        let rows = effects.items.values().filter(|item| item.level.is_some()).count();
        applied.rows = u64::try_from(rows).unwrap_or_default();
        effects.aside.compared = self.conclude(&effects.touched, now);
        if self.model.has_caught_up() {
            effects.aside.told = self.tell(now);
        }
        applied.lost = effects.lost;
        self.unsaved.heard(&effects.touched, &batch.positions);
        let reported_only = !effects.change_something()
            && batch.cluster_id.is_none()
            && !self.ledger.has_unwritten()
            && !self.history.keeps_too_much();
        if !reported_only {
            applied.corrected = self.commit(batch, &effects, now)?;
        }
        self.show(effects, applied.corrected, now);
        self.history.committed();
        self.ledger.committed();
        if batch.caught_up {
            self.ledger.caught_up(now);
        }
        Ok(applied)
    }

    fn apply_event<'b>(
        &mut self,
        event: &'b RecordedEvent,
        effects: &mut Effects<'b>,
        applied: &mut Applied,
        now: Timestamp,
    ) -> Result<(), Error> {
        let index = self.index_of(&event.id.store);
        effects.touched.insert(index.place());
        let store = self.store_mut(index);
        if store.refuses(&event.id) {
            applied.refused += 1;
            effects.aside.letters.push(Letter::of_event(event, Cause::Refused, NOT_IN_ITS_JOURNAL));
            return Ok(());
        }
        if store.is_implausible(event.id.sequence) {
            applied.implausible += 1;
            effects.aside.letters.push(Letter::of_event(event, Cause::Implausible, TOO_FAR_AHEAD));
            return Ok(());
        }
        store.resync.take(index, event);
        let new = store.trackers.entry(event.id.epoch).or_default().record(event.id.sequence);
        self.ledger.heard(event, new, now, &self.database)?;
        if !new {
            applied.duplicates += 1;
            return Ok(());
        }
        applied.events += 1;
        effects.trackers.insert((index, event.id.epoch));
        let item = effects.items.entry((index, &event.sku)).or_default();
        let late = Self::take(&mut self.stores, &self.model, item, index, event);
        effects.changes.push(NewChange::event(index, event, late));
        Ok(())
    }

    /// Takes note of events that nobody here understands.
    fn pass_over(&mut self, ids: &[EventId], effects: &mut Effects<'_>) {
        for id in ids {
            let index = self.index_of(&id.store);
            effects.touched.insert(index.place());
            let store = self.store_mut(index);
            if store.refuses(id) || store.is_implausible(id.sequence) {
                continue;
            }
            store.resync.pass_over(id);
            if store.trackers.entry(id.epoch).or_default().record(id.sequence) {
                effects.trackers.insert((index, id.epoch));
            }
        }
    }

    fn hear(
        &mut self,
        heartbeats: &[(Heartbeat, Option<Instant>)],
        effects: &mut Effects<'_>,
        applied: &mut Applied,
        now: Timestamp,
    ) {
        for (heartbeat, arrived) in heartbeats {
            let index = self.index_of(&heartbeat.store_id);
            effects.touched.insert(index.place());
            let store = self.store_mut(index);
            if store.is_implausible(heartbeat.head) {
                applied.implausible += 1;
                let letter = Letter::of_heartbeat(heartbeat, Cause::Implausible, TOO_FAR_AHEAD);
                effects.aside.letters.push(letter);
                continue;
            }
            let heard = store.hear(heartbeat, *arrived);
            effects.lost += heard.lost;
            if heard.reborn {
                let lives = store.witness.lives();
                effects.trackers.extend(store.trackers.keys().map(|epoch| (index, *epoch)));
                self.ledger.lost(&heartbeat.store_id, &lives, now);
            }
        }
    }

    /// What an event makes of its item. Gives whether a newer one of it is known.
    fn take(
        stores: &mut [Store],
        model: &ReadModel,
        item: &mut Dirty,
        index: StoreIndex,
        event: &RecordedEvent,
    ) -> bool {
        let known = item.level.or_else(|| model.level(index, &event.sku));
        let at = (event.id.epoch, event.id.sequence);
        if let Some(store) = stores.get_mut(index.place())
            && let Some(level) = level(index, event)
        {
            // The newest sequence wins.
            if known.is_some_and(|known| known.place() >= at) {
                store.trail.passed_over(at, &event.sku, &level.item());
            } else {
                let before = known.map(|known| (known.place(), known.item()));
                let (_, was) = before.unwrap_or_default();
                store.digest = store.digest.replace(&event.sku, &was, &level.item());
                store.trail.changed(at, &event.sku, before, &level.item());
                item.level = Some(level);
            }
        }
        item.changes.extend(commitment(event));
        let at = (event.id.epoch, event.id.sequence);
        known.is_some_and(|known| (known.epoch, known.sequence) > at)
    }

    /// Answers callers and does what has become due, in one transaction that is on disk before anyone
    /// is told. Gives whether there was anything to publish.
    ///
    /// # Errors
    /// [`Error`]; the view must not be used any more.
    pub fn serve(&mut self, asks: Vec<Ask>, now: Timestamp) -> Result<bool, Error> {
        // Callers are judged by how things stand once everything due is done.
        self.ledger.advance(now);
        for ask in asks {
            self.ledger.serve(ask, now, &self.database)?;
        }
        self.ledger.advance(now);
        let unwritten = self.ledger.has_unwritten();
        if unwritten {
            let write = self.database.write(Durability::EveryCommit)?;
            self.unsaved.write(&write, &self.stores)?;
            self.ledger.write(&write, now)?;
            write.commit()?;
            self.unsaved = Unsaved::default();
        }
        self.ledger.committed();
        Ok(unwritten)
    }

    /// Whether something waits for a transaction.
    #[must_use]
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Saves what has waited for a transaction.
    ///
    /// # Errors
    /// [`Error`]; the view must not be used any more.
    pub fn save(&mut self) -> Result<(), Error> {
        if self.has_unsaved() {
            let write = self.database.write(Durability::Checkpoint)?;
            self.unsaved.write(&write, &self.stores)?;
            write.commit()?;
            self.unsaved = Unsaved::default();
        }
        Ok(())
    }

    /// When [`Self::serve`] has something to do again, unless something happens before.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.ledger.next_due()
    }

    /// Notes what has been published of a lane; it is forgotten with the next transaction.
    pub fn published(&mut self, lane: Lane, through: i64) {
        self.unsaved.published(lane, through);
    }

    fn commit(
        &mut self,
        batch: &Batch,
        effects: &Effects<'_>,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let write = self.database.write(Durability::Checkpoint)?;
        self.unsaved.write(&write, &self.stores)?;
        for (index, epoch) in &effects.trackers {
            let store = self.stores.get_mut(index.place());
            if let Some(tracker) = store.and_then(|store| store.trackers.get_mut(epoch)) {
                write.tracker(*index, *epoch, &tracker.take_changes())?;
            }
        }
        write.levels(effects.levels())?;
        for ((index, sku), Dirty { changes, .. }) in &effects.items {
            for (key, change) in changes {
                write.commitment(*index, sku, key, *change)?;
            }
        }
        self.history.record(&write, &effects.changes)?;
        let corrected =
            effects.aside.write(&write, &mut self.history, &self.stores, &self.model, now)?;
        self.ledger.write(&write, now)?;
        if let Some(cluster_id) = &batch.cluster_id {
            write.cluster_id(cluster_id)?;
        }
        write.commit()?;
        self.unsaved = Unsaved::default();
        Ok(corrected)
    }

    /// Shows what was committed. A level names its store by its place, and what is said of a store is never
    /// newer than its levels.
    fn show(&mut self, effects: Effects<'_>, corrected: u64, now: Timestamp) {
        let Effects { touched, items, aside, .. } = effects;
        let new: Vec<_> =
            touched.iter().copied().filter(|place| !self.model.has_place(*place)).collect();
        self.show_stores(new);
        self.show_items(items);
        self.show_compared(aside.compared, corrected, now);
        self.show_stores(touched);
    }

    /// Shows items, each with the holds that its events ended.
    fn show_items(&mut self, items: HashMap<(StoreIndex, &Sku), Dirty>) {
        let mut unholds: HashMap<(StoreIndex, Sku), Vec<(AskKey, Change)>> = HashMap::new();
        for (index, sku, key) in self.ledger.take_unholds() {
            unholds.entry((index, sku)).or_default().push((key, Change::Unhold));
        }
        for ((index, sku), Dirty { level, mut changes }) in items {
            changes.extend(unholds.remove(&(index, sku.clone())).unwrap_or_default());
            self.model.put(index, sku, level, changes);
        }
        for ((index, sku), changes) in unholds {
            self.model.put(index, &sku, None, changes);
        }
    }

    fn index_of(&mut self, id: &StoreId) -> StoreIndex {
        match self.by_id.get(id) {
            Some(index) => *index,
            None => self.add_store(id.clone()),
        }
    }

    fn add_store(&mut self, id: StoreId) -> StoreIndex {
        let index = StoreIndex(u32::try_from(self.stores.len()).unwrap_or(u32::MAX));
        self.by_id.insert(id.clone(), index);
        self.stores.push(Store::new(id, self.gap_grace_ms));
        index
    }

    pub(crate) fn store_mut(&mut self, index: StoreIndex) -> &mut Store {
        self.stores.get_mut(index.place()).expect("an index is given out with its store")
    }

    pub(crate) fn show_stores(&mut self, places: impl IntoIterator<Item = usize>) {
        for place in places {
            if let Some(store) = self.stores.get_mut(place) {
                let index = StoreIndex(u32::try_from(place).unwrap_or(u32::MAX));
                self.model.put_store(index, store.view());
            }
        }
    }
}

/// What an event makes of units kept for a reservation.
pub(crate) fn commitment(event: &RecordedEvent) -> Option<(AskKey, Change)> {
    let allocation = event.event.allocation()?;
    let change = match &event.event {
        StockEvent::Reserved(_) => Change::Kept(allocation.quantity),
        StockEvent::Released(_) | StockEvent::Fulfilled(_) | StockEvent::Broken(_) => Change::Ended,
        StockEvent::ReservationRefused(_)
        | StockEvent::Replaced(_)
        | StockEvent::Adjusted(_)
        | StockEvent::CommandRefused(_) => return None,
    };
    let key = AskKey {
        expires_at_ms: allocation.expires_at.unix_millis(),
        reservation_id: allocation.reservation_id.clone(),
        attempt: allocation.attempt,
    };
    Some((key, change))
}

/// The level an event leads to, unless it leads to none.
pub(crate) fn level(store: StoreIndex, event: &RecordedEvent) -> Option<Level> {
    let levels = event.event.levels()?;
    Some(Level {
        store,
        epoch: event.id.epoch,
        sequence: event.id.sequence,
        version: levels.version,
        on_hand: levels.on_hand,
        reserved: levels.reserved,
        occurred_at_ms: event.occurred_at.unix_millis(),
    })
}
