//! Stock commands carried to their stores for callers who know the centre only.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use service_kit::fingerprint::Fingerprint;
use shared_events::command::CommandEnvelope;
use shared_events::{CommandId, RecordedEvent, Rejection, Sku, StockEvent, StoreId, Timestamp};
use tokio::sync::oneshot;

use super::unwritten::send;
use super::{CommandAnswer, Ledger, Refusal};
use crate::database::{Database, Error};

/// A stock command as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockCommandRecord {
    /// Its name.
    pub command_id: CommandId,
    /// The store.
    pub store_id: StoreId,
    /// The item.
    pub sku: Sku,
    /// Names what was asked.
    pub fingerprint: Fingerprint,
    /// When it was taken.
    pub issued_at: Timestamp,
    /// Events by which the store broke promises for it, by their place in its journal.
    pub broken: Vec<u64>,
    /// What the store decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<StockOutcome>,
}

/// What a store decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum StockOutcome {
    /// It was done.
    Accepted {
        /// `store/epoch/sequence` of the event.
        event_id: String,
        /// Its place in the store's journal.
        sequence: u64,
        /// The item's version after it.
        version: u64,
        /// Change of units on hand.
        delta: i64,
        /// Units on hand after it.
        on_hand: i64,
        /// Units promised to reservations after it.
        reserved: i64,
        /// Units sold that the books did not have.
        discrepancy: i64,
    },
    /// It was refused.
    Refused(Rejection),
}

/// Commands without an answer, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct StockCommands {
    pending: HashMap<CommandId, StockCommandRecord>,
    waiting: HashMap<CommandId, Vec<oneshot::Sender<StockCommandRecord>>>,
    answered: Vec<StockCommandRecord>,
}

impl StockCommands {
    pub(super) fn new(pending: Vec<StockCommandRecord>) -> Self {
        let pending =
            pending.into_iter().map(|record| (record.command_id.clone(), record)).collect();
        Self { pending, ..Self::default() }
    }

    /// Takes a store's event; gives the command it answers, as it then stands.
    pub(super) fn heard(&mut self, recorded: &RecordedEvent) -> Option<StockCommandRecord> {
        let cause = recorded.cause.as_ref()?;
        let record = self.pending.get_mut(cause)?;
        if record.store_id != recorded.id.store || record.sku != recorded.sku {
            return None;
        }
        let discrepancy = match &recorded.event {
            StockEvent::Broken(_) => {
                let place = recorded.id.sequence.get();
                if !record.broken.contains(&place) {
                    record.broken.push(place);
                }
                return Some(record.clone());
            }
            StockEvent::CommandRefused(refused) => {
                record.outcome = Some(StockOutcome::Refused(refused.rejection.clone()));
                return self.answered(cause);
            }
            StockEvent::Adjusted(adjusted) => adjusted.discrepancy,
            StockEvent::Replaced(_) => 0,
            StockEvent::Reserved(_)
            | StockEvent::ReservationRefused(_)
            | StockEvent::Released(_)
            | StockEvent::Fulfilled(_) => return None,
        };
        let levels = recorded.event.levels()?;
        record.outcome = Some(StockOutcome::Accepted {
            event_id: recorded.id.to_string(),
            sequence: recorded.id.sequence.get(),
            version: levels.version.get(),
            delta: levels.delta,
            on_hand: levels.on_hand,
            reserved: levels.reserved,
            discrepancy,
        });
        self.answered(cause)
    }

    fn answered(&mut self, id: &CommandId) -> Option<StockCommandRecord> {
        let record = self.pending.remove(id)?;
        self.answered.push(record.clone());
        Some(record)
    }

    /// The answers are committed: who waits for one gets it.
    pub(super) fn committed(&mut self) {
        for record in std::mem::take(&mut self.answered) {
            for waiting in self.waiting.remove(&record.command_id).unwrap_or_default() {
                send(waiting, record.clone());
            }
        }
    }

    fn find(&self, id: &CommandId) -> Option<&StockCommandRecord> {
        let answered = self.answered.iter().find(|record| record.command_id == *id);
        self.pending.get(id).or(answered)
    }
}

impl Ledger {
    /// Takes a command, or finds what became of it.
    pub(super) fn carry(
        &mut self,
        envelope: CommandEnvelope,
        record: StockCommandRecord,
        wait: bool,
        database: &Database,
    ) -> Result<Result<CommandAnswer, Refusal>, Error> {
        let id = record.command_id.clone();
        let known = match self.stock_commands.find(&id) {
            Some(known) => Some(known.clone()),
            None => database.stock_command(&id)?,
        };
        let repeated = known.is_some();
        let record = match known {
            Some(known) if known.fingerprint != record.fingerprint => {
                return Ok(Err(Refusal::KeyReused));
            }
            Some(known) => known,
            None => {
                self.unwritten.commands.push(envelope);
                self.unwritten.stock_commands.push(record.clone());
                self.stock_commands.pending.insert(id.clone(), record.clone());
                record
            }
        };
        let settled = (wait && record.outcome.is_none()).then(|| {
            let (sender, receiver) = oneshot::channel();
            self.stock_commands.waiting.entry(id).or_default().push(sender);
            receiver
        });
        Ok(Ok(CommandAnswer { record, repeated, settled }))
    }
}
