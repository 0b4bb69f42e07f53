//! A power cut at any moment: what the disk had not been told to keep is gone, and no promise with
//! it.
//!
//! As with `kill -9` ([`crate::kill`]), but the whole store lies on a disk of its own, and instead of
//! the engine the disk is cut off in mid-write: what the kernel had not written by then, and was not
//! asked to, never reaches it. The phones are outside and keep what they heard.
//!
//! `BAJAVOZ_POWER_ROUNDS=20` plays more rounds than the gate, `BAJAVOZ_POWER_SEED=7` those of that
//! seed again.

use crate::harness::disk::Disk;
use crate::harness::machine;
use crate::kill::Trial;

/// Rounds in the gate.
const ROUNDS: u64 = 3;

#[test]
fn a_power_cut_takes_no_promise_with_it() {
    let _machine = machine();
    let mut trial = Trial::new("POWER", ROUNDS);
    let store = trial.site.store();
    std::fs::create_dir(&store).expect("the folder of the store");
    let disk = Disk::mount(&store);
    trial.run(|_site, engine| {
        disk.cut();
        engine.kill();
        disk.mount_again();
    });
}
