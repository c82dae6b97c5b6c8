//! Plans of whom to ask, over any offers.

use inventory_core::Freshness;
use inventory_core::sourcing::{Offer, Part, most, source};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use shared_events::MAX_UNITS;

use crate::properties::config;
use crate::support::store;

fn freshness() -> impl Strategy<Value = Freshness> {
    use Freshness::{Dark, Diverged, Fresh, Lagging, Stale, Unknown};
    select(&[Fresh, Fresh, Lagging { events: 3 }, Stale, Unknown, Diverged, Dark][..])
}

fn units() -> impl Strategy<Value = i64> {
    prop_oneof![9 => 0..8_i64, 1 => 0..=MAX_UNITS, 1 => -3..0_i64, 1 => Just(i64::MAX)]
}

/// What is wanted of each line, and what stores offer; one may not have heard of the last line.
fn market() -> impl Strategy<Value = (Vec<i64>, Vec<Offer>)> {
    (1..4_usize).prop_flat_map(|lines| {
        let wanted = vec(prop_oneof![9 => 1..9_i64, 1 => 1..=MAX_UNITS], lines);
        let told = prop_oneof![9 => vec(units(), lines), 1 => vec(units(), lines - 1)];
        let offer = (freshness(), option::of(0..50_u64), told);
        (wanted, vec(offer, 0..6)).prop_map(|(wanted, offers)| {
            let named = |(number, (freshness, distance, units))| {
                let store = store(&format!("S{number}"));
                Offer { store, freshness, distance, units }
            };
            (wanted, (0..).zip(offers).map(named).collect())
        })
    })
}

fn offer<'o>(offers: &'o [Offer], part: &Part) -> &'o Offer {
    offers.iter().find(|offer| offer.store == part.store).expect("one of those that offered")
}

/// Units that may be had of a line, by the plainest of sums.
fn in_all(offers: &[Offer], place: usize) -> i128 {
    let lit = offers.iter().filter(|offer| offer.freshness != Freshness::Dark);
    lit.map(|offer| i128::from(offer.units.get(place).copied().unwrap_or(0).max(0))).sum()
}

/// A store that could keep everything.
fn has_all(offer: &Offer, wanted: &[i64]) -> bool {
    let of = |place: usize| offer.units.get(place).copied().unwrap_or(0);
    offer.freshness != Freshness::Dark
        && wanted.iter().enumerate().all(|(place, units)| of(place) >= *units)
}

proptest! {
    #![proptest_config(config(1_024))]

    #[test]
    fn a_plan_covers_exactly_what_is_wanted((wanted, offers) in market(), split: bool) {
        for parts in source(&wanted, offers, split).into_iter() {
            let mut planned = vec![0_i128; wanted.len()];
            for (place, units) in parts.iter().flat_map(|part| &part.lines) {
                prop_assert!(*units > 0);
                planned[*place] += i128::from(*units);
            }
            prop_assert_eq!(planned, wanted.iter().copied().map(i128::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_store_is_asked_for_more_than_it_offers((wanted, offers) in market(), split: bool) {
        for part in source(&wanted, offers.clone(), split).iter().flatten() {
            for (place, units) in &part.lines {
                prop_assert!(*units <= offer(&offers, part).units[*place]);
            }
        }
    }

    #[test]
    fn no_store_is_asked_twice_and_none_for_a_line_twice((wanted, offers) in market(), split: bool) {
        let parts = source(&wanted, offers, split).unwrap_or_default();
        for (number, part) in parts.iter().enumerate() {
            prop_assert!(parts[..number].iter().all(|other| other.store != part.store));
            prop_assert!(part.lines.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(!part.lines.is_empty());
        }
    }

    #[test]
    fn a_dark_store_is_never_asked((wanted, offers) in market(), split: bool) {
        for part in source(&wanted, offers.clone(), split).iter().flatten() {
            prop_assert!(offer(&offers, part).freshness.sellable());
        }
    }

    #[test]
    fn it_is_split_only_where_it_may_and_must_be((wanted, offers) in market(), split: bool) {
        let parts = source(&wanted, offers.clone(), split).unwrap_or_default();
        let one_has_all = offers.iter().any(|offer| has_all(offer, &wanted));
        prop_assert!(parts.len() <= 1 || (split && !one_has_all));
        prop_assert!(parts.len() == 1 || !one_has_all);
    }

    #[test]
    fn what_can_be_had_is_found((wanted, offers) in market(), split: bool) {
        let one_has_all = offers.iter().any(|offer| has_all(offer, &wanted));
        let all_have_all = wanted.iter().enumerate()
            .all(|(place, units)| in_all(&offers, place) >= i128::from(*units));
        let found = source(&wanted, offers, split).is_some();
        prop_assert_eq!(found, one_has_all || (split && all_have_all));
    }

    #[test]
    fn the_order_of_the_offers_does_not_matter(
        ((wanted, offers), shuffled) in market().prop_flat_map(|(wanted, offers)| {
            (Just((wanted, offers.clone())), Just(offers).prop_shuffle())
        }),
        split: bool,
    ) {
        let (one, other) = (source(&wanted, offers, split), source(&wanted, shuffled, split));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn the_most_that_could_be_had_agrees_with_the_plan((wanted, offers) in market(), split: bool) {
        let most = most(&wanted, &offers, split);
        prop_assert_eq!(most.len(), wanted.len());
        for (place, units) in most.iter().enumerate() {
            prop_assert!(*units >= 0);
            if split {
                prop_assert_eq!(i128::from(*units), in_all(&offers, place).min(i64::MAX.into()));
            }
        }
        if source(&wanted, offers, split).is_some() {
            prop_assert!(most.iter().zip(&wanted).all(|(most, wanted)| most >= wanted));
        }
    }
}
