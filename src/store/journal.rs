//! The journal: a folder of preallocated segments that facts are appended to, a batch at a time.
//!
//! ```text
//! journal/0123456789abcdef-00000000000000000001.journal    one writer's records from seq 1 on
//! +--------------+---------+---------+-----+------------------------+
//! | header 4 KiB | batch 1 | batch 2 | ... | zeros to the full size |
//! +--------------+---------+---------+-----+------------------------+
//! batch: magic, length, CRC-32, first seq, count, then each record with its length; padded to 16
//! ```
//!
//! A batch is written with one write and one fdatasync over blocks that were written before
//! (zeros), so that no sync has to change the file's metadata. The next batch begins only once
//! the disk has answered for the one before. From this follows how a cut is told from decay: a
//! batch that does not check out at the end of the newest segment is a write that was cut short,
//! was never acknowledged, and is dropped; one with a whole batch behind it, or in a segment that
//! is not its writer's last, had been acknowledged once, and is an error that names the place.

use std::io;
use std::path::PathBuf;

mod batch;
mod disk;
mod read;
mod salvage;
mod write;

pub(super) use disk::sync_dir;
pub use disk::{JournalDisk, JournalFile, RealDisk};
pub use read::{JournalEnd, SegmentName, Stream, Torn, streams};
pub(super) use salvage::Piece;
pub use write::{Journal, SEGMENT_BYTES};

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system refused.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Records that were acknowledged once do not check out any more.
    #[error("segment `{segment}` is damaged at offset {offset}: {what}; restore it from a copy")]
    Damaged {
        /// The segment's file name.
        segment: String,
        /// Where in it.
        offset: u64,
        /// What does not check out.
        what: &'static str,
    },
    /// A segment is not there although later ones are.
    #[error("segment `{segment}` begins at record {found}, but record {expected} was due")]
    Gap {
        /// The segment behind the gap.
        segment: String,
        /// The record that should come first in it.
        expected: u64,
        /// The record that does.
        found: u64,
    },
}

#[cfg(test)]
mod tests;
