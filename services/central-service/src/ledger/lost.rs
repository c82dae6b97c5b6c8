//! Promises that a store's journal has lost.

use shared_events::ledger::{Answer, Transition};
use shared_events::reservation::BreakReason;
use shared_events::{EventId, Lineage, ReservationId, Sequence, StoreId, Timestamp};
use tracing::warn;

use super::Ledger;

impl Ledger {
    /// A store's journal goes by these lives: what it said in any other is no longer so. Units it kept
    /// then are not kept any more, and are looked for again.
    pub fn lost(&mut self, store: &StoreId, lives: &Lineage, now: Timestamp) {
        let life = lives.current();
        let before = life.from.get().saturating_sub(1).max(1);
        let event_id =
            EventId { store: store.clone(), epoch: life.epoch, sequence: Sequence::new(before) };
        let mut lost: Vec<(ReservationId, Transition)> = Vec::new();
        for (id, reservation) in &self.running {
            let void = reservation.allocations.iter().filter(|known| {
                let said = known.sequence > Sequence::ZERO && known.state.is_open();
                let lived = lives.epoch_of(known.sequence) == Some(known.epoch);
                known.store_id == *store && said && !lived && known.epoch < life.epoch
            });
            lost.extend(void.map(|known| {
                let line = reservation.lines.iter().find(|line| line.line == known.line);
                let answered = Transition::Answered {
                    event_id: event_id.clone(),
                    attempt: known.attempt,
                    line: known.line,
                    sku: known.sku.clone(),
                    quantity: known.quantity,
                    line_quantity: line.map_or(known.quantity, |line| line.quantity),
                    answer: Answer::Broken { reason: BreakReason::Lost },
                };
                (id.clone(), answered)
            }));
        }
        if !lost.is_empty() {
            warn!(%store, promises = lost.len(), "the store's journal has lost promises; the units are looked for again");
        }
        for (id, transition) in lost {
            self.apply(&id, transition, now);
        }
    }
}
