//! Whom to ask: gathers what each store may offer, and lets the core choose.

use std::collections::BTreeMap;

use inventory_core::saga;
use inventory_core::sourcing::{Offer, Part, distance, most, source};
use service_kit::circuit_breaker::State;
use shared_events::ledger::{Reservation, Shortfall};
use shared_events::reservation::WantedLine;
use shared_events::{StoreId, Timestamp};

use super::Ledger;
use crate::read_model::{Seen, StoreIndex};

type Parts = Vec<(StoreId, Vec<WantedLine>)>;

impl Ledger {
    /// Stores to ask for what is missing. A reservation that was confirmed once takes what it can get:
    /// its customer has the rest already.
    pub(super) fn source(
        &self,
        reservation: &Reservation,
        missing: &[WantedLine],
        now: Timestamp,
    ) -> Result<Parts, Vec<Shortfall>> {
        let mut offers = self.offers(reservation, missing, now);
        let wanted: Vec<i64> = missing.iter().map(|line| line.quantity).collect();
        if let Some(parts) = source(&wanted, offers.clone(), reservation.allow_split) {
            return Ok(named(parts, missing));
        }
        let most = most(&wanted, &offers, reservation.allow_split);
        let mut some = Parts::new();
        if reservation.confirmed_at.is_some() {
            for (place, line) in missing.iter().enumerate() {
                let of_line = |offer: &Offer| Offer {
                    units: offer.units.get(place).copied().into_iter().collect(),
                    ..offer.clone()
                };
                let of_line = offers.iter().map(of_line).collect();
                let parts = source(&[line.quantity], of_line, reservation.allow_split);
                some.extend(named(parts.unwrap_or_default(), std::slice::from_ref(line)));
                // Without a split, what follows has to come from where the first part does.
                if let Some((store, _)) = some.first().filter(|_| !reservation.allow_split) {
                    offers.retain(|offer| offer.store == *store);
                }
            }
        }
        if !some.is_empty() {
            return Ok(some);
        }
        let short = missing.iter().zip(most).map(|(line, available)| Shortfall {
            line: line.line,
            sku: line.sku.clone(),
            requested: line.quantity,
            available,
        });
        Err(short.collect())
    }

    fn offers(
        &self,
        reservation: &Reservation,
        missing: &[WantedLine],
        now: Timestamp,
    ) -> Vec<Offer> {
        let stores = self.model.stores();
        let now_ms = now.unix_millis();
        let mut units: BTreeMap<StoreIndex, Vec<i64>> = BTreeMap::new();
        for (place, line) in missing.iter().enumerate() {
            for shelf in self.model.shelves(&stores, &line.sku, now_ms) {
                let offered = units.entry(shelf.store).or_insert_with(|| vec![0; missing.len()]);
                if let Some(offered) = offered.get_mut(place) {
                    *offered = shelf.terms.available();
                }
            }
        }
        let bound = saga::bound_to(reservation);
        let offer = |(store, mut units): (StoreIndex, Vec<i64>)| {
            let Seen { view, freshness, .. } = stores.get(store.place())?;
            let together = bound.is_empty() || bound.contains(&view.id);
            if !together || !self.may_be_asked(reservation, &view.id, now) {
                return None;
            }
            for (units, line) in units.iter_mut().zip(missing) {
                if saga::has_failed(reservation, &view.id, line.line) {
                    *units = 0;
                }
            }
            let distance = reservation.near.zip(view.location).map(|(a, b)| distance(a, b));
            Some(Offer { store: view.id.clone(), freshness: *freshness, distance, units })
        };
        units.into_iter().filter_map(offer).collect()
    }

    fn may_be_asked(&self, reservation: &Reservation, store: &StoreId, now: Timestamp) -> bool {
        let chosen = reservation.store_id.as_ref().is_none_or(|chosen| chosen == store);
        let now_ms = now.unix_millis().unsigned_abs();
        let answers =
            self.breakers.get(store).is_none_or(|breaker| breaker.state(now_ms) != State::Open);
        chosen && answers
    }
}

fn named(parts: Vec<Part>, missing: &[WantedLine]) -> Parts {
    let line = |(place, quantity): (usize, i64)| {
        let line = missing.get(place)?;
        Some(WantedLine { quantity, ..line.clone() })
    };
    parts
        .into_iter()
        .map(|part| (part.store, part.lines.into_iter().filter_map(line).collect()))
        .collect()
}
