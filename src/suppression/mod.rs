//! Opt-outs as append-only facts, the lists they stand on, and the index that refuses calls.
//!
//! A [`Fact`] is what happened; a store makes it durable as a [`proof::Record`] in its writer's
//! stream; the [`Index`] is what all facts together say about a number. Nothing here is ever
//! deleted or overwritten: a reversal is a further fact.

pub mod audio;
pub mod base;
pub mod erasure;
pub mod evidence;
pub mod export;
pub mod fact;
pub mod feed;
pub mod import;
pub mod index;
pub mod ledger;
pub mod list;
pub mod number_storage;
pub mod optout;
pub mod policy;
pub mod proof;
pub mod range;
pub mod registry;
pub mod retention;
pub mod reversal;
pub mod segment;

pub use audio::{Audio, AudioLoss, AudioResult};
pub use base::{Base, Layer};
pub use erasure::{Erasure, ErasureCause};
pub use evidence::{Evidence, EvidenceDeleted};
pub use fact::{Confirmation, Fact, Outcome};
pub use feed::{Feed, Freshness};
pub use index::{Hit, Index};
pub use ledger::{Ack, Durable, FactLedger, LedgerError};
pub use list::{List, ListMask, Scope};
pub use number_storage::{NumberSecret, NumberStorage, StorageMark};
pub use optout::{KeyEvidence, KeyMethod, Leg, OptOut, Origin};
pub use range::Range;
pub use retention::{Retention, Watchman};
pub use reversal::{Authority, Cancelled, Reversal, Undone};
