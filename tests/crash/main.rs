//! Every write path of the store, with every step of it failing once, and with a crash after every
//! step of it.
//!
//! This program stands between the library and the system: each call that changes a file below a
//! watched folder is counted, recorded, and made to fail where a test says so ([`syscalls`],
//! [`watch`]). That holds for the store's own files and for those that SQLite writes. From what was
//! recorded follows what a power cut may leave on a disk after any of the calls ([`image`]).
//! PostgreSQL stands behind a network that knows its protocol, and cuts or spoils any message
//! ([`wire`]).
//!
//! What must hold after each: what was promised is on record, nothing is that was not asked for,
//! nothing is twice, and the next try works.

#[expect(dead_code, reason = "the store's own tests use all of it")]
#[path = "../../src/store/tests/cluster.rs"]
mod cluster;
mod deletion;
#[expect(dead_code, reason = "the tests of whole engines use all of it")]
#[path = "../it/harness/dice.rs"]
mod dice;
mod facts;
mod files;
mod image;
mod images;
mod needed;
mod server;
mod statements;
mod steps;
mod story;
mod syscalls;
mod watch;
mod wire;
