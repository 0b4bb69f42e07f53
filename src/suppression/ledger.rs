//! What a store promises to the rooms that hand it facts.

use std::io;

use crate::model::RecordId;
use crate::model::UnixMicros;

use super::fact::Fact;

/// Takes facts and answers each exactly once, after it is durable or known not to be.
///
/// The promise: an [`Ack`] with `Ok` comes only after the fact would survive a power cut, and
/// after a restart each such fact is there exactly once. A fact that was refused or answered
/// with an error may still be found after a restart when it had reached the disk; nothing that
/// was never submitted is ever found. An opt-out that the disk refused may become durable
/// later, without a second answer, and may stand twice when the disk had kept it after all.
pub trait FactLedger {
    /// Queues `fact` and returns at once; the answer comes as an [`Ack`] with `token`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Full`] when the queue is full, [`LedgerError::Failed`] while the disk does
    /// not take anything and [`LedgerError::Closed`] at the end; no answer follows then.
    fn submit(&self, token: u64, fact: Fact) -> Result<(), LedgerError>;
}

/// The answer to one submitted fact.
#[derive(Clone, Debug)]
pub struct Ack {
    /// The token it was submitted with.
    pub token: u64,
    /// Where it is, once it is durable.
    pub result: Result<Durable, LedgerError>,
}

/// Proof to the process that a fact is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// The fact's name for ever.
    pub record: RecordId,
    /// When the disk had said so.
    pub durable_at: UnixMicros,
    /// Whether the database did not have it yet though it was to: other nodes know of it later.
    pub is_pending: bool,
}

/// Why a fact was not made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The ledger was closed, or its thread is gone.
    #[error("the ledger is closed")]
    Closed,
    /// A write or a sync failed. What the disk holds is unknown, so nothing is written behind it;
    /// facts are taken again once the disk takes a new file.
    #[error("the journal failed ({kind}, os error {code:?}) and takes no facts until it is back")]
    Failed {
        /// The kind of error.
        kind: io::ErrorKind,
        /// The system's error number, where there is one.
        code: Option<i32>,
    },
    /// The journal has it, but the database, which was to have it too, did not take it in time.
    /// It is handed over later all the same.
    #[error("the database did not take the fact in time")]
    Unstored {
        /// What the journal has it as.
        record: RecordId,
    },
    /// The fact could not be put into its stored form.
    #[error("the fact cannot be sealed")]
    Unsealed,
    /// More facts wait than the queue holds.
    #[error("the ledger's queue is full ({len_max} facts wait)")]
    Full {
        /// How many it holds.
        len_max: usize,
    },
    /// A fact larger than a record may be.
    #[error("expected a record of at most {max} bytes, found {found}")]
    Large {
        /// Its size.
        found: usize,
        /// The limit.
        max: usize,
    },
}
