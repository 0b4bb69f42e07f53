//! Whole calls on virtual time, over a network that loses, doubles and reorders.
//!
//! A campaign is one seed: an engine (the real [`bajavoz::call::Calls`] and
//! [`bajavoz::call::Voice`]) under rules of its own, one to four calls and as many again to the
//! same numbers, phones with a will of their own, a ledger with a temper, perhaps a crash. The
//! phones are written with `rsip` and `rtp-rs` and share no code with the engine.
//!
//! ```text
//! plan ---> world: events by time --- arrives --> node (calls, voices) --- witness --> invariants
//!             ^                                     |
//!             +------- network, ledger, phones <----+
//! ```
//!
//! `BAJAVOZ_CAMPAIGNS=100000` runs more of them than the gate does; `BAJAVOZ_SEED=7` runs the
//! campaign of that seed alone, and tells what was said in it.

mod case;
mod dice;
mod invariants;
mod ledger;
mod network;
mod node;
mod plan;
mod rules;
mod story;
mod traffic;
mod witness;
mod world;

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use story::Tally;
use world::World;

/// Campaigns in the gate.
const CAMPAIGNS: u64 = 2_000;

/// Failed campaigns that are told of before the rest is left alone.
const TOLD_MAX: usize = 10;

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays the campaign of `seed`; what it broke.
fn play(seed: u64) -> (World, Vec<String>) {
    let mut world = World::new(seed);
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let mut broken = invariants::broken(&world);
    if ran.is_err() {
        broken.push("it panicked".to_owned());
    }
    (world, broken)
}

#[test]
fn promises_hold_whatever_the_network_does() {
    let only = number_from("BAJAVOZ_SEED");
    let count = number_from("BAJAVOZ_CAMPAIGNS").unwrap_or(CAMPAIGNS);
    let seeds = only.map_or(1..=count, |seed| seed..=seed);
    let mut failed = Vec::new();
    let mut tally = Tally::default();
    for seed in seeds {
        let (world, broken) = play(seed);
        tally.add(&world);
        if !broken.is_empty() {
            let told = if only.is_some() { story::of(&world) } else { String::new() };
            failed.push(format!(
                "{told}seed {seed}: {}\n  again: BAJAVOZ_SEED={seed} cargo test --test it sim",
                broken.join("\n  ")
            ));
        }
        if failed.len() >= TOLD_MAX {
            break;
        }
    }
    assert!(failed.is_empty(), "{}\n{tally:?}", failed.join("\n"));
    // A simulation in which nothing happens keeps every promise.
    assert!(only.is_some() || tally.has_all(count), "too little happened: {tally:?}");
}
