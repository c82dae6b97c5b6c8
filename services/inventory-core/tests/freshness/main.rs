//! `fresh` implies equal levels, whatever happens between a store and who watches it; and `diverged` is
//! said only where somebody laid hands on a row, or a journal went back.
//!
//! The line between them loses, repeats, reorders and delays; the observer is restarted, and rows of
//! either side are changed behind its back. Every seed gives the same histories each time.

use inventory_core::{StalenessBuffer, Terms};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

#[cfg(test)]
mod world;

use world::{Seen, World, step};

const SEEDS: [u64; 8] = [1, 2, 3, 5, 8, 13, 21, 34];

#[test]
fn fresh_implies_equal_levels() {
    let mut sum = Seen::default();
    for seed in SEEDS {
        println!("seed {seed}");
        let config = ProptestConfig {
            cases: 400,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(seed),
            ..ProptestConfig::default()
        };
        let seen = std::cell::RefCell::new(Seen::default());
        let lived = TestRunner::new(config).run(&vec(step(), 1..120), |steps| {
            let mut world = World::default();
            for step in steps {
                world.take(step);
                world.check()?;
            }
            world.heal()?;
            seen.borrow_mut().add(world.seen);
            Ok(())
        });
        lived.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        sum.add(seen.into_inner());
    }
    println!("{sum:?}");
    let Seen { fresh, fresh_and_ahead, diverged, lagging, unknown, silent } = sum;
    let each = [fresh, fresh_and_ahead, diverged, lagging, unknown, silent];
    assert!(
        each.iter().all(|count| *count > 1_000),
        "a test that never met it shows nothing: {sum:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stale_number_is_cut_and_never_raised(
        (on_hand, reserved, expired) in (-9..2_000_000_000_i64, 0..2_000_000_000_i64, 0..99_i64),
        (holds, safety_stock) in (0..2_000_000_000_i64, 0..2_000_000_000_i64),
        (units, units_per_minute) in (any::<u32>(), any::<u32>()),
        (age_ms, more_ms) in (any::<u64>(), any::<u64>()),
    ) {
        let buffer = StalenessBuffer { units, units_per_minute };
        let terms = |staleness| Terms {
            on_hand, reserved, expired, holds, safety_stock, staleness, sellable: true,
        };
        let then = terms(buffer.units(age_ms)).available();
        let later = terms(buffer.units(age_ms.saturating_add(more_ms))).available();
        prop_assert!(0 <= later && later <= then && then <= terms(0).available());
    }
}
