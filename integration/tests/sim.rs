//! The simulation: many seeds, each a storm of faults that must leave every promise kept.
//!
//! `MOGUL_SEED=n` runs that seed alone, `MOGUL_SEEDS=n` another number of them than the default.

use std::sync::atomic::{AtomicU64, Ordering};

use mogul_integration::sim::world::World;

/// Seeds of one run of the test.
const SEEDS: u64 = 200;

/// Seeds that are run a second time, to see that a run repeats itself.
const REPEATED: u64 = 5;

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("the variable holds a number"))
}

fn storm(seed: u64) -> World {
    let mut world = World::new(seed).expect("a scratch database and folder");
    world.run();
    world
}

#[test]
fn every_storm_leaves_every_promise_kept() {
    let (first, last) = match number_from("MOGUL_SEED") {
        Some(seed) => (seed, seed),
        None => (1, number_from("MOGUL_SEEDS").unwrap_or(SEEDS)),
    };
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);

    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last {
                        return;
                    }
                    println!("MOGUL_SEED={seed}");
                    assert_eq!(storm(seed).wrong(), Vec::<String>::new(), "MOGUL_SEED={seed}");
                }
            });
        }
    });
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 1..=REPEATED {
        let (first, second) = (storm(seed), storm(seed));

        assert!(first.trace().len() > 100, "nothing happened");
        assert!(first.trace() == second.trace(), "seed {seed} ran in two ways");
    }
}
