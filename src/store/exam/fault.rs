//! What can be wrong with a store, and where.

use std::fmt;

use crate::model::RecordId;
use crate::suppression::proof::Hash;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::RecordError;
use crate::suppression::proof::SealError;
use crate::suppression::segment::SegmentName;

/// One thing that is wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{}: {found}", named(*.record))]
pub struct StoreFault {
    /// Where.
    pub place: Place,
    /// The record, or the one that comes next.
    pub record: Option<RecordId>,
    /// What was found.
    pub found: StoreFound,
}

fn named(record: Option<RecordId>) -> String {
    record.map(|record| format!(", record {record}")).unwrap_or_default()
}

/// A part of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The audio around a press.
    Audio(Hash),
    /// Journal and database alike.
    Both,
    /// The database as a whole.
    Database,
    /// The journal.
    Journal,
    /// The file of keys.
    Keys,
    /// The segment of an import's numbers.
    Numbers(SegmentName),
    /// Its pieces in a shared database, by its name as it stands there.
    Pieces(String),
    /// A place in a segment of the journal.
    Segment {
        /// The segment's file name.
        segment: String,
        /// Where in it.
        offset: u64,
    },
    /// A table of the database.
    Table(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audio(name) => write!(f, "audio `{name}.wav`"),
            Self::Both => f.write_str("journal and database"),
            Self::Database => f.write_str("database"),
            Self::Journal => f.write_str("journal"),
            Self::Keys => f.write_str("keys"),
            Self::Numbers(name) => write!(f, "segment of an import `{name}.seg`"),
            Self::Pieces(name) => write!(f, "table `segment_chunk`, segment `{name}`"),
            Self::Segment { segment, offset } => write!(f, "segment `{segment}`, offset {offset}"),
            Self::Table(table) => write!(f, "table `{table}`"),
        }
    }
}

/// What was found at a place, or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFound {
    /// It is not there.
    #[error("it is missing; found {} in its place", found.map_or_else(|| "the end".to_owned(), |found| format!("record {found}")))]
    Missing {
        /// What stands in its place.
        found: Option<RecordId>,
    },
    /// It stands there again, or behind its place.
    #[error("it is doubled or out of order; expected record {expected}")]
    Doubled {
        /// What should stand there.
        expected: RecordId,
    },
    /// The record's hash is not what its successor or a checkpoint names.
    #[error("its content is not what was chained: expected the hash {expected}, found {found}")]
    Content {
        /// As it was chained.
        expected: Hash,
        /// Of what is there.
        found: Hash,
    },
    /// The record does not name the one before it.
    #[error(
        "it does not continue the chain: expected the hash {expected} of the record before it, found {found}"
    )]
    Link {
        /// The hash of the record before.
        expected: Hash,
        /// What it names.
        found: Hash,
    },
    /// Another record stands in its place.
    #[error("found record {found} in its place")]
    Other {
        /// The record that stands there.
        found: RecordId,
    },
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(RecordError),
    /// The sealed fields are not those of the other copy, which is whole.
    #[error("its sealed fields are not those of the other copy")]
    Differs,
    /// The sealed fields do not open although the key is there.
    #[error("{0}")]
    Sealed(SealError),
    /// Something around records is not what was written.
    #[error("{what} is not what was written")]
    Frame {
        /// What it is.
        what: &'static str,
    },
    /// The row is not what the record says.
    #[error("its row is missing, or does not say what the record says")]
    Row,
    /// A row that no record stands for.
    #[error("no record says what its row says")]
    Stray,
    /// A key that no record has taken.
    #[error("no record has taken the key in slot {slot}, which its row says is taken")]
    StrayKey {
        /// The slot, as the row says it.
        slot: i64,
    },
    /// The checkpoint's signature does not hold.
    #[error("the signature of the checkpoint does not hold under the key {key}")]
    Signature {
        /// The key it was checked under.
        key: PublicKey,
    },
    /// A checkpoint names another hash.
    #[error("the checkpoint names the hash {expected}, found {found}")]
    Checkpoint {
        /// As it is signed.
        expected: Hash,
        /// As it is.
        found: Hash,
    },
    /// A key is gone, and no erasure on record destroys it.
    #[error("its key in slot {slot} is gone, and no erasure says so")]
    Unerased {
        /// Where it was.
        slot: u32,
    },
    /// Where numbers are kept as they are: neither a record's key nor its number is left.
    #[error("expected its key or its number in slot {slot}, found neither")]
    Unkept {
        /// Where it should be.
        slot: u32,
    },
    /// The file cannot be used at all.
    #[error("{0}")]
    Unusable(String),
}
