//! Stock commands carried to their stores for callers who know the centre only.

use std::collections::{BTreeSet, HashMap};

use inventory_core::saga::resend_after;
use serde::{Deserialize, Serialize};
use service_kit::fingerprint::{Fingerprint, fingerprint};
use shared_events::command::CommandEnvelope;
use shared_events::{
    CommandId, RecordedEvent, Rejection, StockCommand, StockEvent, StoreCommand, StoreId, Subject,
    Timestamp,
};
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
    /// Names what was asked.
    pub fingerprint: Fingerprint,
    /// When it was taken.
    pub issued_at: Timestamp,
    /// What is asked.
    pub command: StockCommand,
    /// Who asked, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Subject>,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// How often it was sent.
    pub sent: u32,
    /// When it is sent again, unless the store has answered.
    pub answer_by: Timestamp,
    /// Promises the store broke for it, so far.
    pub broken: u64,
    /// The newest event that said so, by its place in the store's journal.
    pub broken_through: u64,
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

/// A store that has not answered for so long gets the command once more.
const SENT_AGAIN_AFTER_MS: u64 = 10_000;

impl StockCommandRecord {
    /// A command that was just taken.
    #[must_use]
    pub fn new(
        command_id: CommandId,
        store_id: StoreId,
        command: StockCommand,
        principal: Option<Subject>,
        traceparent: Option<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            fingerprint: fingerprint(&(&store_id, &command)),
            command_id,
            store_id,
            issued_at: now,
            command,
            principal,
            traceparent,
            sent: 1,
            answer_by: now.plus_millis(SENT_AGAIN_AFTER_MS),
            broken: 0,
            broken_through: 0,
            outcome: None,
        }
    }

    fn envelope(&self) -> CommandEnvelope {
        CommandEnvelope {
            id: self.command_id.clone(),
            store: self.store_id.clone(),
            issued_at: self.issued_at,
            principal: self.principal.clone(),
            traceparent: self.traceparent.clone(),
            command: StoreCommand::Stock(self.command.clone()),
        }
    }
}

/// Commands without an answer, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct StockCommands {
    pending: HashMap<CommandId, StockCommandRecord>,
    waiting: HashMap<CommandId, Vec<oneshot::Sender<StockCommandRecord>>>,
    answered: Vec<StockCommandRecord>,
    /// When each is sent again.
    due: BTreeSet<(Timestamp, CommandId)>,
}

impl StockCommands {
    pub(super) fn new(pending: Vec<StockCommandRecord>) -> Self {
        let mut commands = Self::default();
        for record in pending {
            commands.due.insert((record.answer_by, record.command_id.clone()));
            commands.pending.insert(record.command_id.clone(), record);
        }
        commands
    }

    /// Takes a store's event; names the command that it changes.
    pub(super) fn heard(&mut self, recorded: &RecordedEvent) -> Option<CommandId> {
        let cause = recorded.cause.as_ref()?;
        let record = self.pending.get_mut(cause)?;
        if record.store_id != recorded.id.store || *record.command.sku() != recorded.sku {
            return None;
        }
        match &recorded.event {
            StockEvent::Broken(_) => {
                // Events of one item come in order, and perhaps again.
                let place = recorded.id.sequence.get();
                if place > record.broken_through {
                    record.broken += 1;
                    record.broken_through = place;
                }
                return Some(cause.clone());
            }
            StockEvent::CommandRefused(refused) => {
                record.outcome = Some(StockOutcome::Refused(refused.rejection.clone()));
            }
            event => record.outcome = Some(accepted(&record.command, recorded, event)?),
        }
        self.answered(cause)
    }

    fn answered(&mut self, id: &CommandId) -> Option<CommandId> {
        let record = self.pending.remove(id)?;
        self.due.remove(&(record.answer_by, id.clone()));
        self.answered.push(record);
        Some(id.clone())
    }

    /// The answers are committed: who waits for one gets it.
    pub(super) fn committed(&mut self) {
        for record in std::mem::take(&mut self.answered) {
            for waiting in self.waiting.remove(&record.command_id).unwrap_or_default() {
                send(waiting, record.clone());
            }
        }
    }

    pub(super) fn find(&self, id: &CommandId) -> Option<&StockCommandRecord> {
        let answered = self.answered.iter().find(|record| record.command_id == *id);
        self.pending.get(id).or(answered)
    }
}

/// An event as the answer to a command; `None` when it answers another one of the same name.
fn accepted(
    command: &StockCommand,
    recorded: &RecordedEvent,
    event: &StockEvent,
) -> Option<StockOutcome> {
    let discrepancy = match (command, event) {
        (StockCommand::Replace(asked), StockEvent::Replaced(done)) => {
            (asked.quantity.get() == done.on_hand).then_some(0)
        }
        (StockCommand::Adjust(asked), StockEvent::Adjusted(done)) => {
            let asked_for = done.delta.saturating_sub(done.discrepancy);
            (asked.delta.get() == asked_for).then_some(done.discrepancy)
        }
        _ => None,
    }?;
    let levels = recorded.event.levels()?;
    Some(StockOutcome::Accepted {
        event_id: recorded.id.to_string(),
        sequence: recorded.id.sequence.get(),
        version: levels.version.get(),
        delta: levels.delta,
        on_hand: levels.on_hand,
        reserved: levels.reserved,
        discrepancy,
    })
}

impl Ledger {
    /// Sends again what no store has answered for too long: a topic may have been lost.
    pub(super) fn send_again(&mut self, now: Timestamp) {
        let first_ms = self.settings.timing.resend_ms;
        let commands = &mut self.stock_commands;
        while let Some((at, id)) = commands.due.first().cloned()
            && at <= now
        {
            commands.due.pop_first();
            let Some(record) = commands.pending.get_mut(&id) else {
                continue;
            };
            record.answer_by = now.plus_millis(resend_after(first_ms, record.sent));
            record.sent = record.sent.saturating_add(1);
            commands.due.insert((record.answer_by, id.clone()));
            self.unwritten.commands.push(record.envelope());
            self.unwritten.stock_commands.insert(id);
        }
    }

    /// Takes a command, or finds what became of it.
    pub(super) fn carry(
        &mut self,
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
                self.unwritten.commands.push(record.envelope());
                self.unwritten.stock_commands.insert(id.clone());
                self.stock_commands.due.insert((record.answer_by, id.clone()));
                self.stock_commands.pending.insert(id.clone(), record.clone());
                record
            }
        };
        let settled = (wait && record.outcome.is_none()).then(|| {
            let (sender, receiver) = oneshot::channel();
            let waiting = self.stock_commands.waiting.entry(id).or_default();
            waiting.retain(|one| !one.is_closed());
            waiting.push(sender);
            receiver
        });
        Ok(Ok(CommandAnswer { record, repeated, settled }))
    }
}
