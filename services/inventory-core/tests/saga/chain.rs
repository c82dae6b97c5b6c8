//! A chain: its shops, the centre's saga, and what lies between them. Commands come to a shop in order,
//! whenever it gets to them; events are heard in order of each item, sooner or later, and perhaps twice.

use std::collections::BTreeMap;

use inventory_core::Freshness;
use inventory_core::saga::{self, requests};
use inventory_core::sourcing::{Offer, source};
use shared_events::ledger::Transition;
use shared_events::reservation::{BreakReason, WantedLine};
use shared_events::{RecordedEvent, Sku};

use crate::shops::Shop;
use crate::support::{Saga, TIMING};

/// The shops, the centre's saga, and what it has heard of each item in each shop.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) saga: Saga,
    pub(crate) shops: Vec<Shop>,
    /// Units that a shop has at first, and how many more the centre believes it has, for ever.
    stock: Vec<BTreeMap<Sku, (i64, i64)>>,
    heard: BTreeMap<(usize, Sku), usize>,
    /// The last command that was sent.
    sent: u32,
}

impl Chain {
    pub(crate) fn new(saga: Saga, stock: Vec<BTreeMap<Sku, (i64, i64)>>) -> Self {
        let shops = ["A", "B", "C"].iter().zip(&stock).map(|(name, stock)| Shop::new(name, stock));
        let mut chain =
            Self { saga, shops: shops.collect(), stock, heard: BTreeMap::new(), sent: 0 };
        chain.advance();
        chain
    }

    /// A shop gets to its next command.
    pub(crate) fn executes(&mut self, shop: usize) {
        self.shops[shop].execute(self.saga.now);
    }

    /// The centre hears the next event about an item in a shop; `false` when it has heard all.
    pub(crate) fn hears(&mut self, shop: usize, sku: &Sku) -> bool {
        let about: Vec<_> =
            self.shops[shop].journal.iter().filter(|event| event.sku == *sku).collect();
        let heard = self.heard.entry((shop, sku.clone())).or_default();
        let Some(event) = about.get(*heard) else { return false };
        *heard += 1;
        let event = (*event).clone();
        self.heard_of(&event);
        true
    }

    /// The centre hears again what it has heard.
    pub(crate) fn hears_again(&mut self, shop: usize, place: usize) {
        let Some(event) = self.shops[shop].journal.get(place).cloned() else { return };
        let before = &self.shops[shop].journal[..=place];
        let nth = before.iter().filter(|other| other.sku == event.sku).count();
        let heard = self.heard.get(&(shop, event.sku.clone())).copied().unwrap_or_default();
        if nth <= heard {
            let before = self.saga.it.clone();
            self.heard_of(&event);
            assert_eq!(self.saga.it, before, "nothing counts twice");
        }
    }

    fn heard_of(&mut self, event: &RecordedEvent) {
        if let Some(answer) = saga::answer(&self.saga.it, event) {
            self.saga.apply(answer);
        }
        self.advance();
    }

    pub(crate) fn passes(&mut self, millis: u64) {
        self.saga.now = self.saga.now.plus_millis(millis);
        for shop in &mut self.shops {
            shop.lets_go(self.saga.now);
        }
        self.advance();
    }

    /// Time passes until it is over, if it is not yet.
    pub(crate) fn passes_to_its_end(&mut self) {
        let left = self.saga.it.expires_at.unix_millis() - self.saga.now.unix_millis();
        self.passes(left.max(0).unsigned_abs());
    }

    pub(crate) fn breaks(&mut self, shop: usize, sku: &Sku, reason: BreakReason) {
        self.shops[shop].breaks(sku, reason);
    }

    pub(crate) fn cancels(&mut self) {
        let cancel = requests::cancel(&self.saga.it, self.saga.now);
        self.all(cancel.ok().flatten());
    }

    pub(crate) fn fulfils(&mut self, skus: &[Sku]) {
        let told = requests::fulfil(&self.saga.it, skus, self.saga.now, &TIMING);
        self.all(told.unwrap_or_default());
    }

    fn all(&mut self, transitions: impl IntoIterator<Item = Transition>) {
        for transition in transitions {
            self.saga.apply(transition);
        }
        self.advance();
    }

    /// Does what is due, looks for what is missing, and sends what came of it.
    fn advance(&mut self) {
        for _ in 0..100 {
            self.does_what_is_due();
            let missing = saga::missing(&self.saga.it);
            if missing.is_empty() {
                return;
            }
            let wanted: Vec<_> = missing.iter().map(|line| line.quantity).collect();
            let parts = source(&wanted, self.offers(&missing), self.saga.it.allow_split);
            let Some(parts) = parts else {
                let Some(told) = requests::unsourced(&self.saga.it, Vec::new()) else { return };
                self.saga.apply(told);
                continue;
            };
            for part in parts {
                let mut lines = Vec::new();
                for (place, quantity) in part.lines {
                    let mut line = missing[place].clone();
                    line.quantity = quantity;
                    lines.push(line);
                }
                let now = self.saga.now;
                let ask = requests::ask(&self.saga.it, part.store, lines, now, &TIMING);
                self.saga.apply(ask);
            }
            self.sends();
        }
        panic!("it looks for units for ever");
    }

    fn does_what_is_due(&mut self) {
        let mut most = self.saga.it.allocations.len() * 3 + 3;
        while let Some(transition) = saga::next(&self.saga.it, self.saga.now, &TIMING) {
            most = most.checked_sub(1).expect("it comes to rest");
            let again = match &transition {
                Transition::SentAgain { command, .. } => Some(*command),
                _ => None,
            };
            self.saga.apply(transition);
            again.into_iter().for_each(|number| self.send(number));
            self.sends();
        }
        self.sends();
    }

    /// Sends what was not sent yet.
    fn sends(&mut self) {
        let new: Vec<u32> =
            self.saga.told.range(self.sent + 1..).map(|(number, _)| *number).collect();
        new.into_iter().for_each(|number| self.send(number));
    }

    fn send(&mut self, number: u32) {
        let (store, command) = &self.saga.told[&number];
        let shop = self.shops.iter_mut().find(|shop| shop.id == *store).expect("a shop");
        shop.inbox.push_back((number, command.clone()));
        self.sent = self.sent.max(number);
    }

    /// Stores as the centre believes them to be.
    fn offers(&self, missing: &[WantedLine]) -> Vec<Offer> {
        let bound = saga::bound_to(&self.saga.it);
        let shops = self.shops.iter().zip(&self.stock);
        let may_be = shops.filter(|(shop, _)| bound.is_empty() || bound.contains(&shop.id));
        let offer = |(shop, stock): (&Shop, &BTreeMap<Sku, (i64, i64)>)| {
            let units = missing.iter().map(|line| {
                let failed = saga::has_failed(&self.saga.it, &shop.id, line.line);
                if failed { 0 } else { stock.get(&line.sku).map_or(0, |(has, more)| has + more) }
            });
            let (store, units) = (shop.id.clone(), units.collect());
            Offer { store, freshness: Freshness::Fresh, distance: None, units }
        };
        may_be.map(offer).collect()
    }

    /// All shops execute all they were told, and the centre hears of all of it; no time passes.
    pub(crate) fn comes_to_rest(&mut self) {
        for _ in 0..200 {
            let waiting = self.shops.iter().any(|shop| !shop.inbox.is_empty());
            let places = 0..self.shops.len();
            places.clone().for_each(|shop| self.executes(shop));
            let skus: Vec<Sku> = self.saga_items();
            let mut heard = false;
            for (shop, sku) in places.flat_map(|shop| skus.iter().map(move |sku| (shop, sku))) {
                heard |= self.hears(shop, sku);
            }
            if !waiting && !heard {
                return;
            }
        }
        panic!("there is no end to it");
    }

    fn saga_items(&self) -> Vec<Sku> {
        self.stock.iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// The centre loses its ledger, and hears all it has heard again: of each item in order, and the
    /// items in any order.
    pub(crate) fn loses_its_ledger(&mut self, mut order: impl FnMut(usize) -> usize) {
        let mut streams: Vec<Vec<RecordedEvent>> = Vec::new();
        for ((shop, sku), heard) in &self.heard {
            let about = self.shops[*shop].journal.iter().filter(|event| event.sku == *sku);
            let mut stream: Vec<_> = about.take(*heard).cloned().collect();
            stream.reverse();
            streams.extend((!stream.is_empty()).then_some(stream));
        }
        let mut events = Vec::new();
        while !streams.is_empty() {
            let stream = order(streams.len());
            events.extend(streams[stream].pop());
            streams.retain(|stream| !stream.is_empty());
        }
        if !events.is_empty() {
            self.saga = self.saga.lost(&events);
            self.advance();
        }
    }
}
