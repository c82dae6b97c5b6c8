//! Which stores to ask for units: the least doubtful first, then near, then deep.
//!
//! One store for all lines comes before a split. Nothing here promises anything: it is the order of
//! asking, and the store decides.

use shared_events::{Location, StoreId};

use crate::freshness::Freshness;

/// A store that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The store.
    pub store: StoreId,
    /// How far its numbers can be believed.
    pub freshness: Freshness,
    /// Metres to the customer, where both places are known.
    pub distance: Option<u64>,
    /// Units of each wanted line that may be offered, in the order of the lines.
    pub units: Vec<i64>,
}

/// What to ask of one store: places of lines, and units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The store.
    pub store: StoreId,
    /// Places in the list of wanted lines, with units.
    pub lines: Vec<(usize, i64)>,
}

/// Chooses stores for all that is wanted: units of each line. `None` when that cannot be had.
#[must_use]
pub fn source(wanted: &[i64], offers: Vec<Offer>, allow_split: bool) -> Option<Vec<Part>> {
    let offers = ranked(wanted, offers);
    let covers = |offer: &&Offer| {
        wanted.iter().zip(0..).all(|(units, place)| offered(offer, place) >= *units)
    };
    if let Some(one) = offers.iter().find(covers) {
        let lines = wanted.iter().copied().enumerate().collect();
        return Some(vec![Part { store: one.store.clone(), lines }]);
    }
    if !allow_split {
        return None;
    }
    let mut left = wanted.to_vec();
    let mut parts = Vec::new();
    for offer in offers {
        let mut lines = Vec::new();
        for (place, left) in left.iter_mut().enumerate() {
            let units = offered(&offer, place).min(*left);
            if units > 0 {
                lines.push((place, units));
                *left = left.saturating_sub(units);
            }
        }
        if !lines.is_empty() {
            parts.push(Part { store: offer.store, lines });
        }
    }
    left.iter().all(|units| *units == 0).then_some(parts)
}

/// Most units of each line that could be had: in one store, or in all where a split is allowed.
#[must_use]
pub fn most(wanted: &[i64], offers: &[Offer], allow_split: bool) -> Vec<i64> {
    let most = |place| {
        let each = offers.iter().filter(|offer| sellable(offer)).map(|offer| offered(offer, place));
        if allow_split { each.fold(0, i64::saturating_add) } else { each.max().unwrap_or_default() }
    };
    (0..wanted.len()).map(most).collect()
}

fn sellable(offer: &Offer) -> bool {
    offer.freshness.sellable()
}

fn offered(offer: &Offer, place: usize) -> i64 {
    offer.units.get(place).copied().unwrap_or_default().max(0)
}

/// The order of asking. Stores that are dark or switched off are not asked.
fn ranked(wanted: &[i64], offers: Vec<Offer>) -> Vec<Offer> {
    let mut offers: Vec<Offer> = offers.into_iter().filter(sellable).collect();
    offers.sort_by_cached_key(|offer| {
        let depth = (0..wanted.len()).map(|place| offered(offer, place));
        let depth = depth.fold(0, i64::saturating_add);
        let distance = offer.distance.unwrap_or(u64::MAX);
        (offer.freshness.doubt(), distance, std::cmp::Reverse(depth), offer.store.clone())
    });
    offers
}

/// Metres between two places, along the earth's surface.
#[must_use]
#[expect(clippy::float_arithmetic, reason = "the haversine formula; the result orders stores only")]
pub fn distance(from: Location, to: Location) -> u64 {
    const EARTH_RADIUS: f64 = 6_371_000.0;
    let (north, south) = (from.latitude().to_radians(), to.latitude().to_radians());
    let east = (to.longitude() - from.longitude()).to_radians();
    let half = ((south - north) / 2.0).sin().powi(2)
        + north.cos() * south.cos() * (east / 2.0).sin().powi(2);
    let metres = 2.0 * EARTH_RADIUS * half.sqrt().min(1.0).asin();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most half the way around the earth, and not negative"
    )]
    let metres = metres.round() as u64;
    metres
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(store: &str, freshness: Freshness, distance: Option<u64>, units: &[i64]) -> Offer {
        Offer { store: store.parse().unwrap(), freshness, distance, units: units.to_vec() }
    }

    #[track_caller]
    fn check(wanted: &[i64], offers: &[Offer], split: bool, expected: &[(&str, &[(usize, i64)])]) {
        let parts = source(wanted, offers.to_vec(), split).unwrap_or_default();
        let parts: Vec<_> =
            parts.iter().map(|part| (part.store.as_str(), part.lines.as_slice())).collect();
        assert_eq!(parts, expected);
    }

    #[test]
    fn fresh_comes_before_near_before_deep_before_the_name() {
        let lagging = Freshness::Lagging { events: 2 };
        let offers = [
            offer("E", Freshness::Fresh, Some(9), &[5]),
            offer("D", Freshness::Fresh, Some(9), &[5]),
            offer("C", Freshness::Fresh, Some(9), &[6]),
            offer("B", Freshness::Fresh, Some(8), &[1]),
            offer("A", lagging, Some(1), &[99]),
        ];
        check(&[1], &offers, false, &[("B", &[(0, 1)])]);
        check(&[2], &offers, false, &[("C", &[(0, 2)])]);
        check(&[5], &offers[..2], false, &[("D", &[(0, 5)])]);
        check(&[7], &offers, false, &[("A", &[(0, 7)])]);
    }

    #[test]
    fn a_store_of_unknown_place_comes_behind_those_that_are_far() {
        let offers =
            [offer("A", Freshness::Fresh, None, &[9]), offer("B", Freshness::Fresh, Some(1), &[1])];
        check(&[1], &offers, false, &[("B", &[(0, 1)])]);
    }

    #[test]
    fn one_store_for_all_lines_comes_before_a_split() {
        let offers = [
            offer("A", Freshness::Fresh, Some(1), &[5, 0]),
            offer("B", Freshness::Stale, Some(9), &[5, 5]),
        ];
        check(&[2, 2], &offers, true, &[("B", &[(0, 2), (1, 2)])]);
    }

    #[test]
    fn a_split_takes_from_the_best_first_and_may_divide_a_line() {
        let offers = [
            offer("A", Freshness::Fresh, Some(1), &[3, 0]),
            offer("B", Freshness::Fresh, Some(2), &[9, 1]),
        ];
        check(&[5, 1], &offers, true, &[("B", &[(0, 5), (1, 1)])]);
        let offers = [
            offer("A", Freshness::Fresh, Some(1), &[3, 0]),
            offer("B", Freshness::Fresh, Some(2), &[4, 1]),
        ];
        check(&[5, 1], &offers, true, &[("A", &[(0, 3)]), ("B", &[(0, 2), (1, 1)])]);
        check(&[5, 1], &offers, false, &[]);
    }

    #[test]
    fn what_cannot_be_had_is_not_asked_for_in_part() {
        let offers =
            [offer("A", Freshness::Fresh, None, &[3]), offer("B", Freshness::Fresh, None, &[4])];
        check(&[8], &offers, true, &[]);
        assert_eq!(most(&[8], &offers, true), [7]);
        assert_eq!(most(&[8], &offers, false), [4]);
    }

    #[test]
    fn a_store_that_is_dark_or_switched_off_is_never_asked() {
        for state in [Freshness::Dark, Freshness::SwitchedOff] {
            let offers = [offer("A", state, Some(0), &[9])];
            check(&[1], &offers, true, &[]);
            assert_eq!(most(&[1], &offers, true), [0]);
        }
    }

    #[test]
    fn the_least_doubtful_store_is_asked_first_however_far_it_is() {
        use Freshness::{Diverged, Fresh, Stale, Unknown};
        let lagging = Freshness::Lagging { events: 1 };
        let order = [(Fresh, "E"), (lagging, "D"), (Unknown, "C"), (Stale, "B"), (Diverged, "A")];
        let offers: Vec<Offer> = (order.iter().zip((0..5).rev()))
            .map(|((state, name), far)| offer(name, *state, Some(far), &[1]))
            .collect();
        for (first, (_, name)) in order.iter().enumerate() {
            check(&[1], &offers[first..], false, &[(name, &[(0, 1)])]);
        }
        let parts = source(&[5], offers, true).unwrap();
        let asked: Vec<_> = parts.iter().map(|part| part.store.as_str()).collect();
        assert_eq!(asked, ["E", "D", "C", "B", "A"]);
    }

    #[test]
    fn distances_are_those_of_the_map() {
        let berlin: Location = "52.5200,13.4050".parse().unwrap();
        let hamburg: Location = "53.5511,9.9937".parse().unwrap();
        let metres = distance(berlin, hamburg);
        assert!((255_000..256_000).contains(&metres), "{metres}");
        assert_eq!(distance(berlin, berlin), 0);
        let antipode: Location = "-52.5200,-166.5950".parse().unwrap();
        assert!((20_014_000..20_016_000).contains(&distance(berlin, antipode)));
    }
}
