//! The numbers of an import as one immutable file, named by what is in it.
//!
//! ```text
//! header   "BJVSEG" version content | list | source | as_of | count | crc
//! block    numbers:u16 len:u16 first:u64 | gaps, a varint each | crc       (8192 numbers, or the rest)
//! block    ..
//! ```
//!
//! Numbers ascend and none comes twice, so that a gap is the distance to the next number less one:
//! a byte a number for a dense national registry, up to seven for numbers strewn over the world, and
//! for keyed numbers, which are hashes.
//! Measured: 1.003 bytes a number at the density of the United States' registry (one number in
//! ten), under 2 at one in a thousand, 4.05 for ten million strewn over 10^15.
//!
//! The name is SHA-256 of the whole file, so that the same numbers from the same source are the
//! same file on every node, and a fact that names it says which numbers it means for ever. The
//! checksum of each block says where a file is damaged, and lets a reader look into one block
//! without reading the others. Integers are big-endian, the version is the seventh octet.

#![deny(clippy::indexing_slicing)]

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::ListName;
use crate::model::UnixMicros;

mod find;
mod read;
mod write;

pub use find::find;
pub use read::SegmentReader;
pub use write::SegmentWriter;

/// What the file begins with.
const MAGIC: &[u8; 6] = b"BJVSEG";

/// The version that is written.
const VERSION: u8 = 1;

/// Numbers in a block that is not the last. Our choice: a block of a dense list is two pages of a
/// disk, and its head and checksum are 0.2 % of it.
const BLOCK_NUMBERS: usize = 8192;

/// Octets of a gap at most: the key of a number has 63 bits.
const GAP_LEN_MAX: usize = 9;

/// Octets of a block's gaps at most; they fit the head's two octets. Keyed numbers are within 2^62
/// of each other: a gap of nine octets, 2^56 or more, leaves room for 128 fewer of eight, so that
/// 8191 gaps have eight each at most, and one more where the keyed numbers begin.
const GAPS_LEN_MAX: usize = BLOCK_NUMBERS * 8 - 1;

/// Octets of a block's head: count, length of the gaps, first number.
const HEAD_LEN: usize = 12;

/// Longest list name and longest source in octets. Our choice: a line of text each.
pub const TEXT_LEN_MAX: usize = 1024;

/// SHA-256 of a segment; its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentName(pub [u8; 32]);

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SegmentName {
    type Err = &'static str;

    /// Reads the 64 hexadecimal digits that it prints.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected 64 hexadecimal digits";
        let mut octets = [0; 32];
        if text.len() != 2 * octets.len() {
            return Err(EXPECTED);
        }
        for (octet, digits) in octets.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_error| EXPECTED)?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            *octet = u8::from_str_radix(digits, 16).ok().filter(|_octet| is_hex).ok_or(EXPECTED)?;
        }
        Ok(Self(octets))
    }
}

impl Serialize for SegmentName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SegmentName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What the numbers of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// They stand on the list.
    Listed = 1,
    /// A registry took them off; read as if listed, they would block whom it released.
    TakenOff = 2,
}

/// What a segment says of its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// What they are.
    pub content: Content,
    /// The list that they were imported into.
    pub list: ListName,
    /// Where they come from, in the importer's words; empty where nothing was said.
    pub source: String,
    /// The day for which the source says so, where it says.
    pub as_of: Option<UnixMicros>,
    /// How many they are.
    pub count: u64,
}

/// Why a segment cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// A block is not what was written.
    #[error("the segment is damaged in block {block} at octet {offset}: {what}")]
    Block {
        /// Which block, from 0.
        block: u64,
        /// Where it begins in the file.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More or fewer numbers than the header says.
    #[error("expected {expected} numbers in the segment, found {found}")]
    Count {
        /// As the header says.
        expected: u64,
        /// As there are; one more than expected where there are more.
        found: u64,
    },
    /// The header is not what was written.
    #[error("the segment is damaged in its header: {what}")]
    Header {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The system refused.
    #[error("the segment cannot be read or written")]
    Io(#[from] io::Error),
    /// Every checksum is right, and the file is another one than asked for.
    #[error("expected segment {expected}, found {found}")]
    Name {
        /// The name that was asked for.
        expected: SegmentName,
        /// The name of what is there.
        found: SegmentName,
    },
    /// A number that does not come after the one before it.
    #[error("expected ascending numbers, found number {position} out of its place")]
    Order {
        /// Which number, from 0.
        position: u64,
    },
    /// The file ends early.
    #[error("the segment ends early: it is cut at octet {offset}, in block {block}")]
    Truncated {
        /// The block that is not whole, from 0.
        block: u64,
        /// How long the file is.
        offset: u64,
    },
    /// A text that does not fit the header.
    #[error("expected at most {TEXT_LEN_MAX} octets of text, found {found}")]
    Long {
        /// Its length.
        found: usize,
    },
    /// The file goes on behind its last number.
    #[error("the segment goes on behind its last number, at octet {offset}")]
    Trailing {
        /// Where it should end.
        offset: u64,
    },
    /// A version of a later program.
    #[error("expected segment version {VERSION}, found {found}")]
    Version {
        /// The version octet.
        found: u8,
    },
}

impl Content {
    fn from_code(code: u8) -> Option<Self> {
        [Self::Listed, Self::TakenOff].into_iter().find(|content| *content as u8 == code)
    }
}

/// The octets of a header, its checksum last.
fn header_bytes(header: &SegmentHeader) -> Result<Vec<u8>, SegmentError> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[VERSION, header.content as u8]);
    for text in [header.list.as_str(), &header.source] {
        let len = u16::try_from(text.len()).ok().filter(|&len| usize::from(len) <= TEXT_LEN_MAX);
        let len = len.ok_or(SegmentError::Long { found: text.len() })?;
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.push(header.as_of.is_some().into());
    bytes.extend_from_slice(&header.as_of.unwrap_or_default().0.to_be_bytes());
    bytes.extend_from_slice(&header.count.to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    Ok(bytes)
}

/// The checksum of a block: of its place among the blocks too, so that two that changed places
/// are noticed where they are.
fn block_crc(block: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block.to_be_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the tests index segments that they made themselves")]
mod tests;
