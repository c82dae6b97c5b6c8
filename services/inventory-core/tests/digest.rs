//! The digest of a shelf: kept up step by step, it is that of the set of items, in whatever order.

use std::collections::BTreeMap;

use inventory_core::{Digest, StockItem};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use shared_events::{Sku, Version};

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() }
}

type Shelf = BTreeMap<Sku, StockItem>;

fn sku(number: u8) -> Sku {
    format!("SKU-{number}").parse().expect("valid")
}

fn stock_item(on_hand: i64, reserved: i64, version: u64) -> StockItem {
    StockItem { on_hand, reserved, version: Version::new(version) }
}

fn from_scratch<'a>(items: impl IntoIterator<Item = (&'a Sku, &'a StockItem)>) -> Digest {
    items.into_iter().fold(Digest::default(), |digest, (sku, item)| {
        digest.replace(sku, &StockItem::default(), item)
    })
}

fn any_item() -> impl Strategy<Value = StockItem> {
    (any::<i64>(), any::<i64>(), 1..=u64::MAX).prop_map(|(a, b, c)| stock_item(a, b, c))
}

/// Few enough values that two of them are often equal.
fn small_item() -> impl Strategy<Value = StockItem> {
    (0..2_i64, 0..2_i64, 1..3_u64).prop_map(|(a, b, c)| stock_item(a, b, c))
}

fn small_shelf() -> impl Strategy<Value = Shelf> {
    btree_map((0..2_u8).prop_map(sku), small_item(), 0..3)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_digest_kept_up_to_date_is_the_digest_from_scratch(
        changes in vec(((0..12_u8).prop_map(sku), any_item()), 0..60),
    ) {
        let (mut shelf, mut digest) = (Shelf::new(), Digest::default());
        for (sku, new) in changes {
            let old = shelf.insert(sku.clone(), new).unwrap_or_default();
            digest = digest.replace(&sku, &old, &new);
        }
        prop_assert_eq!(digest, from_scratch(&shelf));
    }

    #[test]
    fn the_order_of_items_does_not_matter(
        (items, shuffled) in btree_map((0..30_u8).prop_map(sku), any_item(), 0..20)
            .prop_map(Vec::from_iter)
            .prop_flat_map(|items| (Just(items.clone()), Just(items).prop_shuffle())),
    ) {
        let digest = |items: &[(Sku, StockItem)]| {
            from_scratch(items.iter().map(|(sku, item)| (sku, item)))
        };
        prop_assert_eq!(digest(&items), digest(&shuffled));
    }

    #[test]
    fn emptying_step_by_step_leads_back_to_the_empty_shelf(shelf in small_shelf()) {
        let emptied = shelf.iter().rev().fold(from_scratch(&shelf), |digest, (sku, item)| {
            digest.replace(sku, item, &StockItem::default())
        });
        prop_assert_eq!(emptied, Digest::default());
    }

    #[test]
    fn digests_are_equal_exactly_when_shelves_are(left in small_shelf(), right in small_shelf()) {
        prop_assert_eq!(from_scratch(&left) == from_scratch(&right), left == right);
    }
}

#[test]
fn no_two_small_shelves_share_a_digest() {
    let mut items = vec![None];
    for number in 0..27 {
        items.push(Some(stock_item(number % 3, number / 3 % 3, 1 + number.unsigned_abs() / 9)));
    }
    let mut seen = BTreeMap::new();
    for (left, right) in items.iter().flat_map(|left| items.iter().map(move |right| (left, right)))
    {
        let shelf: Shelf = [(sku(1), *left), (sku(2), *right)]
            .into_iter()
            .filter_map(|(sku, item)| Some((sku, item?)))
            .collect();
        let other = seen.insert(from_scratch(&shelf).to_string(), shelf.clone());
        assert_eq!(other, None, "same digest as {shelf:?}");
    }
    assert_eq!(seen.len(), 28 * 28);
}

#[test]
fn swapped_levels_are_another_shelf() {
    let digest = |sku_number, item| from_scratch([(&sku(sku_number), &item)]);
    let one = digest(1, stock_item(2, 3, 4));
    for other in [(1, (3, 2, 4)), (1, (4, 3, 2)), (1, (2, 4, 3)), (2, (2, 3, 4))] {
        let (number, (on_hand, reserved, version)) = other;
        assert_ne!(one, digest(number, stock_item(on_hand, reserved, version)), "{other:?}");
    }
}

#[test]
fn an_item_never_seen_is_as_good_as_absent() {
    let nothing = StockItem::default();
    assert_eq!(from_scratch([(&sku(1), &nothing)]), Digest::default());
}

/// Both sides compare texts, perhaps of different versions of the program: they must never change.
#[test]
fn digests_are_written_as_they_always_were() {
    assert_eq!(Digest::default().to_string(), "0".repeat(32));
    let shelf = Shelf::from([(sku(1), stock_item(40, 5, 12)), (sku(2), stock_item(0, 0, 1))]);
    assert_eq!(from_scratch(&shelf).to_string(), "612443e7d5dac35930c1491b7a2708d6");
}
