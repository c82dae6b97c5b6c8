//! What the ledger has decided and not yet written, and whom it then owes an answer.

use std::collections::{BTreeSet, HashMap};

use event_log::Publication;
use inventory_core::saga;
use service_kit::fingerprint::Fingerprint;
use shared_events::command::CommandEnvelope;
use shared_events::ledger::ReservationState;
use shared_events::policy::{Policy, SafetyStock, Selling};
use shared_events::wire::{encode_command, encode_policy, encode_reservation};
use shared_events::{CommandId, ReservationId, Sku, StoreId, Timestamp};
use tokio::sync::oneshot;
use tracing::debug;

use super::{Answer, CommandAnswer, Ledger, Refusal};
use crate::commitments::{AskKey, Change};
use crate::database::{Error, Lane, Write};
use crate::read_model::StoreIndex;

/// Old names that each transaction may forget, beside twice as many as it adds.
const FORGOTTEN_AT_LEAST: usize = 16;

/// Decided, not written.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    pub(super) commands: Vec<CommandEnvelope>,
    pub(super) reservations: BTreeSet<ReservationId>,
    pub(super) requests: HashMap<String, Fingerprint>,
    pub(super) stock_commands: BTreeSet<CommandId>,
    pub(super) policies: Vec<Policy>,
    /// Policies to be published: those that did not come from the topic.
    pub(super) policies_to_publish: Vec<Policy>,
    /// Holds that ended.
    pub(super) unholds: Vec<(StoreId, Sku, AskKey)>,
}

/// A caller who is answered after the commit.
#[derive(Debug)]
pub(super) enum Pending {
    /// About a reservation; the outcome says whether it was a repeat.
    Reservation {
        id: ReservationId,
        outcome: Result<bool, Refusal>,
        wait: bool,
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// About a stock command.
    StockCommand {
        outcome: Box<Result<CommandAnswer, Refusal>>,
        reply: oneshot::Sender<Result<CommandAnswer, Refusal>>,
    },
    /// About a safety stock.
    SafetyStock { policy: SafetyStock, reply: oneshot::Sender<Result<SafetyStock, Refusal>> },
    /// About a store's selling.
    Selling { selling: Selling, reply: oneshot::Sender<Result<Selling, Refusal>> },
}

impl Ledger {
    /// Whether there is something to be written.
    #[must_use]
    pub fn has_unwritten(&self) -> bool {
        let Unwritten {
            commands,
            reservations,
            requests,
            stock_commands,
            policies,
            policies_to_publish,
            unholds: _,
        } = &self.unwritten;
        !(commands.is_empty()
            && reservations.is_empty()
            && requests.is_empty()
            && stock_commands.is_empty()
            && policies.is_empty()
            && policies_to_publish.is_empty())
    }

    /// Writes everything decided, queues what is to be published, and forgets names that have run out.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub fn write(&self, write: &Write<'_>, now: Timestamp) -> Result<(), Error> {
        let added = self.unwritten.requests.len().max(self.unwritten.stock_commands.len());
        write.forget_names(now, FORGOTTEN_AT_LEAST.saturating_add(added.saturating_mul(2)))?;
        for command in &self.unwritten.commands {
            let topic = self.topics.commands(&command.store).name;
            let record = encode_command(command);
            write.publish(Lane::Commands, &Publication { topic, record })?;
        }
        for (key, fingerprint) in &self.unwritten.requests {
            write.request(key, fingerprint, now)?;
        }
        for id in &self.unwritten.reservations {
            if let Some(reservation) = self.running.get(id) {
                write.reservation(reservation, saga::is_final(reservation))?;
                let record = encode_reservation(reservation, now);
                let topic = self.topics.reservations().name;
                write.publish(Lane::Records, &Publication { topic, record })?;
            }
        }
        for id in &self.unwritten.stock_commands {
            if let Some(record) = self.stock_commands.find(id) {
                write.stock_command(record, now)?;
            }
        }
        for policy in &self.unwritten.policies {
            write.policy(policy)?;
        }
        for policy in &self.unwritten.policies_to_publish {
            let record = encode_policy(policy);
            let topic = self.topics.policies().name;
            write.publish(Lane::Records, &Publication { topic, record })?;
        }
        Ok(())
    }

    /// Holds that ended with what was just decided; to be shown together with what ended them.
    pub fn take_unholds(&mut self) -> Vec<(StoreIndex, Sku, AskKey)> {
        let ended = std::mem::take(&mut self.unwritten.unholds);
        ended
            .into_iter()
            .filter_map(|(store, sku, key)| Some((self.model.index(&store)?, sku, key)))
            .collect()
    }

    /// Everything decided is committed: it is shown, and who asked or waits is told.
    pub fn committed(&mut self) {
        for (store, sku, key) in self.take_unholds() {
            self.model.put(store, &sku, None, vec![(key, Change::Unhold)]);
        }
        for pending in std::mem::take(&mut self.pending) {
            self.tell(pending);
        }
        let changed = std::mem::take(&mut self.unwritten).reservations;
        for id in changed {
            let Some(reservation) = self.running.get(&id) else {
                continue;
            };
            let waits = reservation.state == ReservationState::Requested;
            let place = (reservation.created_at, id.clone());
            if waits {
                self.unanswered.insert(place)
            } else {
                self.unanswered.remove(&place)
            };
            if saga::is_settled(reservation) {
                for waiting in self.waiting.remove(&id).unwrap_or_default() {
                    send(waiting, reservation.clone());
                }
            }
            self.looked_at.insert(id);
        }
        for id in std::mem::take(&mut self.looked_at) {
            self.forget_if_final(&id);
        }
        let unanswered_since = self.unanswered.first().map(|(since, _)| *since);
        self.metrics.running(self.running.len(), unanswered_since);
        self.stock_commands.committed();
    }

    fn tell(&mut self, pending: Pending) {
        match pending {
            Pending::Reservation { id, outcome, wait, reply } => {
                let answer = outcome.and_then(|repeated| self.answer(&id, repeated, wait));
                send(reply, answer);
            }
            Pending::StockCommand { outcome, reply } => send(reply, *outcome),
            Pending::SafetyStock { policy, reply } => send(reply, Ok(policy)),
            Pending::Selling { selling, reply } => send(reply, Ok(selling)),
        }
    }

    fn answer(
        &mut self,
        id: &ReservationId,
        repeated: bool,
        wait: bool,
    ) -> Result<Answer, Refusal> {
        let Some(reservation) = self.running.get(id).cloned() else {
            return Err(Refusal::UnknownReservation(id.clone()));
        };
        let settled = (wait && !saga::is_settled(&reservation)).then(|| {
            let (sender, receiver) = oneshot::channel();
            let waiting = self.waiting.entry(id.clone()).or_default();
            waiting.retain(|one| !one.is_closed());
            waiting.push(sender);
            receiver
        });
        Ok(Answer { reservation, repeated, settled })
    }

    fn forget_if_final(&mut self, id: &ReservationId) {
        if self.running.get(id).is_some_and(saga::is_final) {
            self.running.remove(id);
            self.touched.remove(id);
            self.unschedule(id);
        }
    }
}

/// Tells somebody who may have left; what was decided stays decided.
pub(super) fn send<T>(to: oneshot::Sender<T>, answer: T) {
    if to.send(answer).is_err() {
        debug!("a caller left before its answer");
    }
}
