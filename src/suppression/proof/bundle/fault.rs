//! What can be wrong with a bundle, and where.

use crate::model::RecordId;

use super::Hash;
use super::PublicKey;

/// One thing that is wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {found}", named(*.record))]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// The record that stands there, or that should.
    pub record: Option<RecordId>,
    /// What was found.
    pub found: Found,
}

fn named(record: Option<RecordId>) -> String {
    record.map(|record| format!(", record {record}")).unwrap_or_default()
}

/// What was found in a line, or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Found {
    /// The line is no JSON, or not what such a line says.
    #[error("unreadable at column {column}: {what}")]
    Unreadable {
        /// Where in the line, counted from 1 in octets.
        column: usize,
        /// What was expected.
        what: String,
    },
    /// The line says something in another way than we write it.
    #[error("it is not written as bajavoz writes it, from column {column} on")]
    Form {
        /// Where in the line, counted from 1 in octets.
        column: usize,
    },
    /// A version of a later program.
    #[error("expected a bundle of version {expected}, found {found}")]
    Version {
        /// Ours.
        expected: u32,
        /// The bundle's.
        found: u32,
    },
    /// A part of a record that no program of ours has written.
    #[error("its {part} is unknown")]
    Unknown {
        /// The part.
        part: &'static str,
    },
    /// The runs of the first line make no sense.
    #[error("its runs of records are none")]
    Runs,
    /// The bundle is signed under another key than was asked for.
    #[error("expected it to be signed under the key {expected}, found {found}")]
    Key {
        /// The key that was given, or that the checkpoints have.
        expected: PublicKey,
        /// The bundle's.
        found: PublicKey,
    },
    /// The record is not there.
    #[error("it is missing; found {} in its place", place(*.found))]
    Missing {
        /// What stands in its place.
        found: Option<RecordId>,
    },
    /// The record is not in its place, but elsewhere in the bundle.
    #[error("it is out of order; found {} in its place", place(*.found))]
    Order {
        /// What stands in its place.
        found: Option<RecordId>,
    },
    /// The record is there a second time, or is none of the bundle's.
    #[error("it is doubled, or none of the bundle's; expected {}", place(*.expected))]
    Doubled {
        /// What should stand in its place.
        expected: Option<RecordId>,
    },
    /// The record's hash is not what the next record, or the checkpoint, names.
    #[error("its content is not what was chained: expected the hash {expected}, found {found}")]
    Content {
        /// The hash that was chained.
        expected: Hash,
        /// The hash of what is there.
        found: Hash,
    },
    /// The line was signed as another.
    #[error("it is not the line that was signed: expected SHA-256 {expected}, found {found}")]
    Line {
        /// As it was signed.
        expected: Hash,
        /// As it is.
        found: Hash,
    },
    /// A personal field is not the one that was committed to, or is not in the clear.
    #[error("its {field} is not what the record committed to")]
    Commitment {
        /// The field.
        field: &'static str,
    },
    /// A record that concerns the number says nothing, and nothing says why.
    #[error(
        "nothing of it is in the clear, and no erasure of the number in the bundle says that it is \
         gone"
    )]
    Closed,
    /// A record that concerns the number is about another, or about nobody.
    #[error("it is not about the number of the bundle")]
    OtherNumber,
    /// A record that does not concern the number has personal fields in the clear.
    #[error("it is none of the number's records, but says whom it is about")]
    Stranger,
    /// The audio is not what the record names.
    #[error("its audio is not what the record names by SHA-256")]
    Audio,
    /// It names a place of the number that the import has not.
    #[error("it names a place in a segment that the import does not name")]
    Place,
    /// Its fields make no fact.
    #[error("its fields make no fact")]
    NoFact,
    /// No checkpoint is behind the record.
    #[error("no signed checkpoint covers it")]
    Unsigned,
    /// The checkpoint's signature does not hold, or is not by the bundle's key.
    #[error("the signature of the checkpoint does not hold under the key {key}")]
    Checkpoint {
        /// The key it was checked under.
        key: PublicKey,
    },
    /// The last line is missing, or there is no line's end behind it.
    #[error("the last line, which is signed, is missing or cut short")]
    NoSeal,
    /// The last line does not say what is in the lines before it.
    #[error("its hashes are not those of the lines before it, which were signed")]
    Hashes,
    /// The signature of the whole does not hold.
    #[error("the signature of the bundle does not hold under the key {key}")]
    Signature {
        /// The key it was checked under.
        key: PublicKey,
    },
}

impl Found {
    /// Whether the file cannot be told to be a bundle at all, when this is found in its first line.
    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::Version { .. })
    }
}

fn place(record: Option<RecordId>) -> String {
    record.map_or_else(|| "the end".to_owned(), |record| format!("record {record}"))
}
