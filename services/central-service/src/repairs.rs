//! What the projection does when a store and the centre do not agree: asks again, compares, tells.

use std::collections::BTreeSet;

use event_log::Publication;
use inventory_core::SequenceTracker;
use shared_events::command::CommandEnvelope;
use shared_events::topic::Topics;
use shared_events::wire::encode_command;
use shared_events::{Epoch, Levels, Sku, StoreId, Timestamp, Version};

use crate::database::{Durability, Error, Lane, Write};
use crate::history::{NewChange, Recorder};
use crate::letters::{self, Letter};
use crate::projection::Projection;
use crate::read_model::{Level, ReadModel, StoreIndex};
use crate::resync::Gathered;
use crate::store::{Store, Witness};

/// Comparisons with whole journals that run at once: each costs its store's line.
const COMPARED_AT_ONCE: usize = 4;

/// What a batch leads to beside levels.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Records that are not let in.
    pub(crate) letters: Vec<Letter>,
    /// Commands that tell stores of their journals.
    pub(crate) told: Vec<CommandEnvelope>,
    /// Stores whose whole journal has come, and what it leads to.
    pub(crate) compared: Vec<(StoreIndex, Gathered)>,
    topics: Topics,
}

impl Aside {
    pub(crate) fn new(letters: Vec<Letter>, topics: Topics) -> Self {
        Self { letters, topics, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { letters, told, compared, topics: _ } = self;
        letters.is_empty() && told.is_empty() && compared.is_empty()
    }

    /// Writes it; gives how many items were not as their journals have them.
    pub(crate) fn write(
        &self,
        write: &Write<'_>,
        history: &mut Recorder,
        stores: &[Store],
        model: &ReadModel,
        now: Timestamp,
    ) -> Result<u64, Error> {
        letters::keep(write, &self.letters, &self.topics, now)?;
        publish(write, &self.topics, &self.told)?;
        let mut corrected = 0;
        for (index, gathered) in &self.compared {
            let Some(store) = stores.get(index.place()) else {
                continue;
            };
            corrected += correct(write, history, (*index, store), gathered, model)?;
            write.forget_progress(*index)?;
            for (epoch, mut tracker) in trackers(store, gathered) {
                write.tracker(*index, epoch, &tracker.take_changes())?;
            }
            for (sku, commitments) in &gathered.commitments {
                for (key, commitment) in commitments.iter() {
                    if let Some(change) = commitment.as_change() {
                        write.commitment(*index, sku, key, change)?;
                    }
                }
            }
        }
        Ok(corrected)
    }
}

/// Writes the items that the journal has otherwise, each as a change that its followers hear of.
fn correct(
    write: &Write<'_>,
    history: &mut Recorder,
    (index, store): (StoreIndex, &Store),
    gathered: &Gathered,
    model: &ReadModel,
) -> Result<u64, Error> {
    let mut changes = Vec::new();
    for (sku, level) in &gathered.levels {
        let shown = model.level(index, sku);
        if shown.as_ref() != Some(level) {
            write.levels([(sku, *level)])?;
            changes.push(correction(sku, shown.as_ref(), level));
        }
    }
    let known = model.skus_of(index);
    for sku in known.iter().filter(|sku| !gathered.levels.contains_key(sku)) {
        write.forget_level(index, sku)?;
        let Some(shown) = model.level(index, sku) else {
            continue;
        };
        let Witness { epoch, head: sequence, .. } = store.witness;
        let never =
            Level { epoch, sequence, version: Version::ZERO, on_hand: 0, reserved: 0, ..shown };
        changes.push(correction(sku, Some(&shown), &never));
    }
    history.record(write, &changes)?;
    Ok(u64::try_from(changes.len()).unwrap_or(u64::MAX))
}

/// What an item was not shown as, although its store's journal says so.
fn correction<'a>(sku: &'a Sku, shown: Option<&Level>, level: &Level) -> NewChange<'a> {
    let Level { store, epoch, sequence, version, on_hand, reserved, occurred_at_ms } = *level;
    let before = shown.map_or(0, |shown| shown.on_hand);
    NewChange {
        store,
        sku,
        epoch,
        sequence,
        kind: "resync",
        occurred_at: Timestamp::from_unix_millis(occurred_at_ms)
            .expect("a level keeps the time of its event"),
        levels: Some(Levels { version, delta: on_hand.saturating_sub(before), on_hand, reserved }),
        cause: None,
        principal: None,
        traceparent: None,
        late: false,
        data: "{}".to_owned(),
    }
}

/// Trackers of a store of which everything was heard, and something beyond what it reported.
fn trackers(store: &Store, gathered: &Gathered) -> Vec<(Epoch, SequenceTracker)> {
    let lives = store.witness.lives();
    let whole = lives.lives(store.witness.head).map(|(life, end)| {
        if life.epoch == store.witness.epoch {
            return (life.epoch, gathered.tracker.clone());
        }
        let mut tracker = SequenceTracker::default();
        tracker.begin_behind(end);
        (life.epoch, tracker)
    });
    whole.collect()
}

impl Projection {
    /// What stores are to be told of their journals.
    pub(crate) fn tell(&mut self, now: Timestamp) -> Vec<CommandEnvelope> {
        let elapsed_ms = self.elapsed_ms();
        self.stores.iter_mut().filter_map(|store| store.tell(elapsed_ms, now)).collect()
    }

    /// Asks stores for events that are missing and do not come, or that are to be compared; queued for
    /// publication. Gives how many were asked.
    ///
    /// # Errors
    /// [`Error`]; the view must not be used any more.
    pub fn ask_for_missing(&mut self, now: Timestamp) -> Result<u64, Error> {
        let elapsed_ms = self.elapsed_ms();
        let running = self.stores.iter().filter(|store| store.resync.is_moving()).count();
        let mut free = COMPARED_AT_ONCE.saturating_sub(running);
        let mut asks = Vec::new();
        let mut begun = Vec::new();
        for (store, place) in self.stores.iter_mut().zip(0..) {
            let differs = store.doubtful;
            if free > 0 && store.resync.begin(elapsed_ms, now, &store.witness, differs) {
                free -= 1;
                begun.push(place);
                tracing::warn!(store = %store.id, differs, "comparing the levels with the store's whole journal");
            }
            asks.extend(store.ask(elapsed_ms, now));
            asks.extend(store.ask_to_compare(elapsed_ms, now));
        }
        let asked = u64::try_from(asks.len()).unwrap_or_default();
        if self.model.has_caught_up() {
            asks.extend(self.tell(now));
        }
        if !asks.is_empty() {
            let write = self.database.write(Durability::Checkpoint)?;
            publish(&write, &self.topics, &asks)?;
            write.commit()?;
        }
        self.show_stores(begun);
        Ok(asked)
    }

    /// Wants a store's levels compared with its whole journal.
    pub(crate) fn compare(&mut self, store: &StoreId) {
        if let Some(index) = self.model.index(store) {
            self.store_mut(index).resync.request();
        }
    }

    /// Stores whose whole journal has come, and what it leads to.
    pub(crate) fn conclude(
        &mut self,
        touched: &BTreeSet<usize>,
        now: Timestamp,
    ) -> Vec<(StoreIndex, Gathered)> {
        let mut compared = Vec::new();
        for place in touched {
            if let Some(store) = self.stores.get_mut(*place).filter(|one| one.resync.is_running()) {
                let index = StoreIndex(u32::try_from(*place).unwrap_or(u32::MAX));
                let gathered = store.resync.conclude(&store.witness, now);
                compared.extend(gathered.map(|gathered| (index, gathered)));
            }
        }
        compared
    }

    /// Shows what whole journals lead to.
    pub(crate) fn show_compared(
        &mut self,
        compared: Vec<(StoreIndex, Gathered)>,
        corrected: u64,
        now: Timestamp,
    ) {
        for (index, gathered) in compared {
            let store = self.store_mut(index);
            store.trackers = trackers(store, &gathered).into_iter().collect();
            store.digest = gathered.digest;
            store.trail = gathered.trail;
            store.resync.shown(corrected, now);
            self.model.replace(index, gathered.levels, gathered.commitments);
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn publish(write: &Write<'_>, topics: &Topics, asks: &[CommandEnvelope]) -> Result<(), Error> {
    asks.iter().try_for_each(|ask| {
        let topic = topics.commands(&ask.store).name;
        write.publish(Lane::Commands, &Publication { topic, record: encode_command(ask) })
    })
}
