//! Stores, two centres and a broker that misbehaves, in one thread and in made-up time: every seed is
//! one history of sales, reservations, timeouts, duplicates, reorderings, restarts and lost databases.
//!
//! The stores decide by the core's rules, the centres are the real ones on real databases. Whatever
//! happens, no store promises more than it has, every saga ends, and in the end nothing is held.

mod store;
mod world;

use world::World;

/// Steps of one history, and histories.
const STEPS: usize = 350;
const SEEDS: u64 = 12;

#[test]
fn whatever_happens_no_unit_is_promised_twice_and_every_saga_ends() {
    let first = fastrand::u64(..1_000_000);
    let mut sum = world::Counts::default();
    for seed in first..first + SEEDS {
        // A failing seed is on the screen: run it alone.
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.calm();
        world.everyone_agrees();
        world.let_time_pass();
        world.nothing_is_left();
        sum.add(world.counts());
    }
    println!("{sum:?}");
    assert!(sum.shows_something(), "{sum:?}");
}
