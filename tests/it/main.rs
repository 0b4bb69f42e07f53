//! What only shows when the rooms work together: one binary, so that it links once.

mod baresip;
mod cli;
#[expect(dead_code, reason = "the store's own tests use all of it")]
#[path = "../../src/store/tests/cluster.rs"]
mod cluster;
mod demo;
mod dissection;
mod evidence;
mod faults;
mod harness;
mod kill;
mod no_numbers_in_logs;
mod nodes;
mod power;
mod privacy;
#[expect(dead_code, reason = "the store's own tests use all of it")]
#[path = "../../src/store/tests/proxy.rs"]
mod proxy;
mod registry;
mod retention;
mod run_sh;
mod shared;
mod sim;
mod sipp;
mod sipp_moments;
