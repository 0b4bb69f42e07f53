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

mod control;
#[expect(clippy::module_inception, reason = "the engine is the noun of its room")]
mod engine;
mod error;
mod figures;
mod inbox;
mod media;
mod rooms;
mod rules;
mod shard;

pub use control::Status;
pub use engine::Engine;
pub use error::EngineError;
pub use rooms::Rooms;
pub use rules::{lists, read_prompt};
