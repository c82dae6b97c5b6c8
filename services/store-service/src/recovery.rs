//! Bringing a journal back without serving it.

use std::sync::Arc;

use inventory_core::StockItem;
use shared_events::{Sequence, Sku, StockEvent, StockReplaced, Text};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::now;
use crate::journal::{self, NewEvent};
use crate::opening::{Opened, Progress};
use crate::outbox::Committed;
use crate::shelf::Shelf;
use crate::writer::Writer;

/// A journal that was opened, and is not served.
#[derive(Debug)]
pub struct Recovery {
    writer: Writer,
    shelf: Arc<Shelf>,
    opened: Opened,
}

impl App {
    /// Opens the journal as a store does that starts, and fetches back what it has lost; `None` when it
    /// was cancelled. Blocks.
    ///
    /// # Errors
    /// A journal that failed.
    pub fn recover(
        self,
        told: &mut dyn FnMut(Progress),
        cancel: &CancellationToken,
    ) -> Result<Option<Recovery>, journal::Error> {
        let (mut writer, opening, shelf) = self.into_writer();
        let opened = writer.open(&opening, told, cancel)?;
        Ok(opened.map(|opened| Recovery { writer, shelf, opened }))
    }
}

impl Recovery {
    /// How the journal was opened.
    #[must_use]
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The journal's end and the digest of the items there.
    #[must_use]
    pub fn committed(&self) -> Committed {
        self.writer.committed()
    }

    /// Items that the store has had.
    #[must_use]
    pub fn items(&self) -> usize {
        self.shelf.len()
    }

    /// Says anew how items stand, where others know it and this journal has lost it: what a centre showed
    /// when it had everything through `seen`. Promises are not restated: who was promised something is
    /// told so by its centre. An empty journal goes on behind `seen`. Gives how many items were restated.
    ///
    /// # Errors
    /// A journal that failed.
    pub fn restate(
        &mut self,
        seen: Sequence,
        items: &[(Sku, StockItem)],
    ) -> Result<u64, journal::Error> {
        let shelf = Arc::clone(&self.shelf);
        let differs = |(sku, known): &&(Sku, StockItem)| {
            let own = shelf.get(sku);
            own.version < known.version || own.on_hand != known.on_hand
        };
        let restated: Vec<_> = items.iter().filter(differs).collect();
        let events = restated.iter().map(|(sku, known)| restated_event(sku, &shelf, known));
        // At once: who finds the journal half restated cannot tell.
        self.writer.record(events, seen)?;
        Ok(u64::try_from(restated.len()).unwrap_or(u64::MAX))
    }
}

fn restated_event(sku: &Sku, shelf: &Shelf, known: &StockItem) -> NewEvent {
    let own = shelf.get(sku);
    NewEvent {
        sku: sku.clone(),
        event: StockEvent::Replaced(StockReplaced {
            version: own.version.max(known.version).next(),
            delta: known.on_hand.saturating_sub(own.on_hand),
            on_hand: known.on_hand,
            reserved: own.reserved,
            reason: Text::parse("restated from what a centre knew").ok(),
            reference: None,
        }),
        occurred_at: now(),
        cause: None,
        principal: None,
        traceparent: None,
    }
}
