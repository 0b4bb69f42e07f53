//! Threads, shards, reload and drain: the wiring of a running engine.
//!
//! ```text
//! control thread: signals, admin socket, HTTP      media thread(s): 1 ms tick, RTP
//!        |  commands                                   ^ commands   | keys, ends of prompts
//!        v                                             |            v
//!        +-------------> signalling shard: SIP sockets, Calls, clock
//!                                 |  facts, call records      ^ acknowledgements
//!                                 v                           |
//!                        store: commit thread, database thread
//! ```

pub mod admin;
mod control;
pub mod desk;
#[expect(clippy::module_inception, reason = "the engine is the noun of its room")]
mod engine;
mod error;
mod evidence;
mod figures;
mod finding;
mod inbox;
mod keeper;
mod live;
mod media;
mod outbox;
mod page;
mod reach;
pub mod registries;
mod rooms;
mod rules;
mod service;
mod shard;
mod start;
mod vital;

pub use admin::Status;
pub use desk::{Desk, DeskError, Receipts};
pub use engine::Engine;
pub use error::EngineError;
pub use finding::Finding;
pub use reach::Reach;
pub use rooms::{Rooms, target};
pub use rules::{lists, read_prompt, tone_settings};
pub use service::{run, serve};
