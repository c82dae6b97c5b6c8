//! What a chain may promise its customers: stores that sell, count and dawdle, answers that come late and
//! twice, a centre that loses its memory, and still no unit is promised twice or forgotten.

use std::collections::{BTreeMap, BTreeSet};

use inventory_core::saga;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use shared_events::ledger::{AllocationState, ReservationState};
use shared_events::reservation::BreakReason;
use shared_events::{Sku, StockEvent, StoreCommand};

use crate::chain::Chain;
use crate::properties::config;
use crate::support::{TIMING, given, given_together, sku};

const ITEMS: [&str; 3] = ["X", "Y", "Z"];

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// A shop gets to its next command.
    Executes(usize),
    /// The centre hears of an item from a shop.
    Hears(usize, usize),
    /// And again.
    HearsAgain(usize, Index),
    /// Milliseconds go by.
    Passes(u64),
    /// A shop breaks its newest promise.
    Breaks(usize, usize, BreakReason),
    /// The customer comes for these.
    Fulfils(Vec<&'static str>),
    /// The customer does not want it.
    Cancels,
}

/// What is wanted, what each shop has of each item, how much more the centre believes it has, and what
/// happens.
type Story = (Vec<i64>, Vec<Vec<(i64, i64)>>, Vec<Event>);

fn stories() -> impl Strategy<Value = Story> {
    let more = prop_oneof![4 => Just(0), 1 => 1..4_i64];
    let stock = vec(vec((0..7_i64, more), 3), 3);
    (vec(1..5_i64, 1..=3), stock, vec(happens(), 0..60))
}

fn happens() -> impl Strategy<Value = Event> {
    use BreakReason::{Damaged, NotFound, Recounted, Sold};
    let reasons = select(&[Damaged, NotFound, Recounted, Sold][..]);
    let times = prop_oneof![12 => 0..5_000_u64, 4 => 0..60_000_u64, 1 => 0..1_200_000_u64];
    prop_oneof![
        24 => (0..3_usize).prop_map(Event::Executes),
        40 => (0..3_usize, 0..3_usize).prop_map(|(shop, item)| Event::Hears(shop, item)),
        4 => (0..3_usize, any::<Index>()).prop_map(|(shop, which)| Event::HearsAgain(shop, which)),
        8 => times.prop_map(Event::Passes),
        6 => (0..3_usize, 0..3_usize, reasons)
            .prop_map(|(shop, item, reason)| Event::Breaks(shop, item, reason)),
        3 => subsequence(ITEMS.to_vec(), 0..3).prop_map(Event::Fulfils),
        1 => Just(Event::Cancels),
    ]
}

fn chain(wanted: &[i64], stock: &[Vec<(i64, i64)>], split: bool) -> Chain {
    let lines: Vec<_> = ITEMS.into_iter().zip(wanted.iter().copied()).collect();
    let shelf = |units: &Vec<(i64, i64)>| -> BTreeMap<Sku, (i64, i64)> {
        ITEMS.into_iter().map(sku).zip(units.iter().copied()).collect()
    };
    let saga = if split { given(&lines) } else { given_together(&lines) };
    Chain::new(saga, stock.iter().map(shelf).collect())
}

fn happens_to(chain: &mut Chain, event: &Event) {
    match event {
        Event::Executes(shop) => chain.executes(*shop),
        Event::Hears(shop, item) => {
            chain.hears(*shop, &sku(ITEMS[*item]));
        }
        Event::HearsAgain(shop, which) => {
            let all = chain.shops[*shop].journal.len();
            if all > 0 {
                chain.hears_again(*shop, which.index(all));
            }
        }
        Event::Passes(millis) => chain.passes(*millis),
        Event::Breaks(shop, item, reason) => chain.breaks(*shop, &sku(ITEMS[*item]), *reason),
        Event::Fulfils(names) => {
            let skus: Vec<Sku> = names.iter().map(|name| sku(name)).collect();
            chain.fulfils(&skus);
        }
        Event::Cancels => chain.cancels(),
    }
}

/// Tells a story, with a look at the chain after each event.
fn tell((wanted, stock, events): &Story, split: bool, look: impl Fn(&Chain)) -> Chain {
    let mut chain = chain(wanted, stock, split);
    for event in events {
        happens_to(&mut chain, event);
        look(&chain);
    }
    chain
}

/// Ask, item and units of what shops keep; with the shop's name.
type Kept = BTreeSet<(String, u32, Sku, i64)>;

fn kept_by_shops(chain: &Chain) -> Kept {
    let mut kept = Kept::new();
    for shop in &chain.shops {
        for (sku, (_, here)) in &shop.shelf {
            let named = |one: &shared_events::Allocation| {
                (shop.id.to_string(), one.attempt, sku.clone(), one.quantity)
            };
            kept.extend(here.iter().map(named));
        }
    }
    kept
}

fn in_state(chain: &Chain, chosen: impl Fn(AllocationState) -> bool) -> Kept {
    let known = chain.saga.it.allocations.iter().filter(|known| chosen(known.state));
    let named = known.map(|known| {
        (known.store_id.to_string(), known.attempt, known.sku.clone(), known.quantity)
    });
    named.collect()
}

/// Units of each item that were carried out of the shops for this reservation.
fn carried_out(chain: &Chain, sku: &Sku) -> i64 {
    let journals = chain.shops.iter().flat_map(|shop| &shop.journal);
    let units = journals.filter(|event| event.sku == *sku).map(|event| match &event.event {
        StockEvent::Fulfilled(fulfilled) => fulfilled.allocation.quantity,
        _ => 0,
    });
    units.sum()
}

/// Nothing is on its way any more: shops keep what the centre counts, and nothing else.
fn is_at_rest(chain: &Chain) {
    let it = &chain.saga.it;
    assert_eq!(kept_by_shops(chain), in_state(chain, |state| state == AllocationState::Reserved));
    let ended = |state| state == AllocationState::Reserved || !AllocationState::is_open(state);
    assert!(it.allocations.iter().all(|known| ended(known.state)), "{:?}", it.allocations);
    let waiting = [ReservationState::Requested, ReservationState::Resourcing];
    assert!(!waiting.contains(&it.state), "{:?}", it.state);
}

/// The customer has and is promised what was wanted, and no unit more.
fn is_exact(chain: &Chain) {
    let it = &chain.saga.it;
    let had = saga::units(it, |known| known.state.covers());
    for line in &it.lines {
        let had = had.get(&line.line).copied().unwrap_or_default();
        assert!(had <= line.quantity, "{had} units of {line:?}");
        let whole = it.state == ReservationState::Confirmed && it.closed.is_none();
        assert!(!whole || had == line.quantity, "{had} units of {line:?}");
    }
}

/// Numbers below what is given, told by a seed.
fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |most| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = usize::try_from(seed >> 33).expect("31 bits");
        number % most
    }
}

proptest! {
    #![proptest_config(config(1_024))]

    #[test]
    fn at_rest_shops_keep_what_the_centre_counts(story in stories(), split: bool) {
        let mut chain = tell(&story, split, |_| {});
        chain.comes_to_rest();
        is_at_rest(&chain);
        is_exact(&chain);
    }

    #[test]
    fn when_its_time_is_over_no_shop_keeps_anything(story in stories(), split: bool) {
        let mut chain = tell(&story, split, |_| {});
        chain.passes_to_its_end();
        chain.comes_to_rest();
        is_at_rest(&chain);
        prop_assert!(saga::is_final(&chain.saga.it));
        prop_assert_eq!(kept_by_shops(&chain), Kept::new());
    }

    #[test]
    fn what_a_shop_has_not_decided_yet_is_a_hold(story in stories(), split: bool) {
        tell(&story, split, |chain| {
            let known = |attempt: u32| {
                let all = chain.saga.it.allocations.iter();
                all.filter(move |known| known.attempt == attempt)
            };
            for (_, command) in chain.shops.iter().flat_map(|shop| &shop.inbox) {
                if let StoreCommand::Reserve(ask) = command {
                    let lapsed = |state| state == AllocationState::Lapsed;
                    let held = |state| AllocationState::is_hold(state) || lapsed(state);
                    assert!(known(ask.attempt).all(|known| held(known.state)));
                }
            }
        });
    }

    #[test]
    fn no_customer_gets_or_is_promised_more_than_was_wanted(story in stories(), split: bool) {
        let mut chain = tell(&story, split, is_exact);
        chain.fulfils(&[]);
        chain.comes_to_rest();
        for line in &chain.saga.it.lines {
            prop_assert!(carried_out(&chain, &line.sku) <= line.quantity);
            let whole = chain.saga.it.state == ReservationState::Fulfilled;
            prop_assert!(!whole || carried_out(&chain, &line.sku) == line.quantity);
        }
    }

    #[test]
    fn without_a_split_all_that_counts_is_in_one_shop(story in stories()) {
        let in_one_shop = |chain: &Chain| {
            let had = |state| AllocationState::covers(state) || state == AllocationState::Asked;
            let shops: BTreeSet<_> = in_state(chain, had).into_iter().map(|had| had.0).collect();
            assert!(shops.len() <= 1, "{shops:?}");
        };
        let mut chain = tell(&story, false, in_one_shop);
        chain.comes_to_rest();
        in_one_shop(&chain);
    }

    #[test]
    fn what_was_confirmed_comes_back_when_the_ledger_is_lost(
        story in stories(),
        split: bool,
        seed: u64,
    ) {
        let mut chain = tell(&story, split, |_| {});
        chain.comes_to_rest();
        let (before, kept) = (chain.saga.it.clone(), kept_by_shops(&chain));
        chain.loses_its_ledger(dice(seed));
        let expected = [ReservationState::Confirmed, ReservationState::Fulfilled];
        if expected.contains(&before.state) && chain.saga.now < before.expires_at {
            prop_assert_eq!(chain.saga.it.state, before.state);
            chain.comes_to_rest();
            prop_assert_eq!(kept_by_shops(&chain), kept);
            is_exact(&chain);
        } else {
            chain.passes(TIMING.step_ms);
            chain.comes_to_rest();
            is_at_rest(&chain);
        }
    }

    #[test]
    fn a_ledger_lost_in_the_middle_of_it_leaves_nothing_behind(
        story in stories(),
        split: bool,
        rest in vec(happens(), 0..30),
        seed: u64,
    ) {
        let mut chain = tell(&story, split, |_| {});
        chain.loses_its_ledger(dice(seed));
        for event in &rest {
            happens_to(&mut chain, event);
        }
        chain.comes_to_rest();
        chain.passes(TIMING.step_ms);
        chain.comes_to_rest();
        is_at_rest(&chain);
        is_exact(&chain);
        chain.passes_to_its_end();
        chain.comes_to_rest();
        prop_assert!(saga::is_final(&chain.saga.it));
        prop_assert_eq!(kept_by_shops(&chain), Kept::new());
    }
}
