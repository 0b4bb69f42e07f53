//! A power cut at any moment: what the disk had not been told to keep is gone, and no promise with
//! it.
//!
//! As with `kill -9` ([`crate::kill`]), but the whole store lies on a disk of its own, and instead of
//! the engine the disk is cut off in mid-write: what the kernel had not written by then, and was not
//! asked to, never reaches it. The phones are outside and keep what they heard. Where the database
//! is PostgreSQL its data lie on the same disk, and one cut hits both.
//!
//! `BAJAVOZ_POWER_ROUNDS=20` plays more rounds than the gate, `BAJAVOZ_POWER_SEED=7` those of that
//! seed again.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::harness::disk::Disk;
use crate::harness::machine;
use crate::kill::Trial;

/// Rounds in the gate, on SQLite and on PostgreSQL.
const ROUNDS: u64 = 3;
const SERVER_ROUNDS: u64 = 2;

#[test]
fn a_power_cut_takes_no_promise_with_it() {
    let _machine = machine();
    let mut trial = Trial::new("POWER", ROUNDS);
    let store = trial.site.store();
    fs::create_dir(&store).expect("the folder of the store");
    let disk = Disk::mount(&store);
    trial.run(|_trial, engine| {
        disk.cut();
        engine.kill();
        disk.mount_again();
    });
}

#[test]
fn a_power_cut_of_node_and_server_takes_no_promise_with_it() {
    let _machine = machine();
    let folder = TempDir::new().expect("a temporary folder");
    // The server runs as another user, which has to pass here.
    fs::set_permissions(&folder, Permissions::from_mode(0o711)).expect("it is ours");
    let disk = Disk::mount(folder.path());
    let mut trial = Trial::on(Cluster::start_in(folder.path()), "POWER", SERVER_ROUNDS);
    let durable = "SELECT current_setting('fsync') || current_setting('synchronous_commit')";
    assert_eq!(trial.ask_server(durable), "onon", "the server keeps what it says");
    let node = folder.path().join("node");
    fs::create_dir(&node).expect("the folder of the store");
    symlink(&node, trial.site.store()).expect("the folder of the store");
    disk.settle();
    trial.run(|trial, engine| {
        disk.cut();
        engine.kill();
        let Some(server) = &mut trial.server else { return };
        server.cluster.crash();
        disk.mount_again();
        server.cluster.start_again();
    });
}
