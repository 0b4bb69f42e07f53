//! A bundle: what an auditor needs to check one number's records, offline and by themselves.
//!
//! A text of JSON Lines, each in exactly the form that we write, so that no bit of it is free:
//!
//! ```text
//! {"bajavoz":"proof","version":1,"number":..,"node":..,"made_at":..,"key":..,
//!  "records":["w-1","w-2"],"elsewhere":["v-7"],"runs":[{"first":"w-1","last":"w-9"},..]}
//! {"record":{"version":1,"id":"w-1","prev_hash":..,"written_at":..,"kind":1,"plain":"..",
//!  "commitments":[{"field":"number","sha256":..},..]},"opened":[{"field":..,"salt":..,"value":".."}]}
//! ..                       one line for each record of each run, in order
//! {"lines":["..",".."],"signature":".."}
//! ```
//!
//! `records` are those that concern the number; they alone are `opened`. `elsewhere`, left out where
//! there are none, are further ones of other nodes on the same database, which alone can prove them:
//! each node makes a bundle of its own, and all of them together hold what is on record. The others of a run lead
//! from them to the next signed checkpoint, and say nothing of whom they are about: `plain` names
//! nobody, and of the rest there are only the commitments. A run of a stream that crashed ends
//! unsigned; another run then holds the checkpoint that a later stream has made of its end.
//!
//! An import puts a number on a list by a segment of many numbers, which the record names by its
//! SHA-256. Its line has `"places":[{"content":"listed","segment":..,"place":..}]` behind `record`:
//! where among the segment's numbers, counted from 0, the number of the bundle stands. Whoever has
//! the segment can look it up; nobody else's number is in the bundle. Of an import that has it in a
//! range, the range stands in the record.
//!
//! A record that names audio around a press has `"audio":".."` behind `record`, the WAV file in
//! hexadecimal digits, where the store still has it; its SHA-256 is in the record.
//!
//! A record's hash is SHA-256 of `bajavoz record`, a zero octet and its chained part, which the
//! fields of `record` give in the order of [`super`]'s drawing; a commitment is SHA-256 of salt,
//! field name, a zero octet and value. The last line has SHA-256 of each line before it, without
//! the line's end, and the signature over `bajavoz bundle`, a zero octet and those 32 octets each.

use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::suppression::import::Import;
use crate::suppression::segment::Content;
use crate::suppression::segment::SegmentName;

use super::Hash;
use super::Kind;
use super::Record;
use super::RecordError;
use super::VERSION;
use super::fields::Field;
use super::hex;
use super::seal::Opened;
use super::seal::SALT_LEN;
use super::signature::PublicKey;
use super::signature::Signature;
use super::signature::Signer;

mod exam;
mod fault;

pub use exam::{Verified, VerifiedRecord, verify};
pub use fault::{Fault, Found};

/// The form that we write and read.
const BUNDLE_VERSION: u32 = 1;
/// What the last line is signed as.
const PURPOSE: &str = "bajavoz bundle";
/// What the first line says that it is.
const MAGIC: &str = "proof";

/// Most records of a bundle, those of others among them: some 100 MB of text. A number with more
/// has some 400 opt-outs at least, each behind another checkpoint.
pub const RECORDS_MAX: usize = 100_000;

/// A record on its way into a bundle.
#[derive(Clone, Debug)]
pub struct Entry {
    record: Record,
    places: Vec<SegmentPlace>,
    audio: Vec<u8>,
    opened: Vec<Opened>,
}

/// Where a number stands in a segment that an import names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentPlace {
    /// What the segment's numbers are.
    pub content: Content,
    /// The segment.
    pub segment: SegmentName,
    /// The place among its numbers, counted from 0.
    pub place: u64,
}

impl SegmentPlace {
    /// Whether `import` names a segment with such a place.
    fn is_in(&self, import: &Import) -> bool {
        import.parts().any(|(part, content)| {
            (part.segment, content) == (self.segment, self.content) && self.place < part.count
        })
    }
}

impl Entry {
    /// A record that says nothing of whom it is about.
    pub const fn closed(record: Record) -> Self {
        Self { record, places: Vec::new(), audio: Vec::new(), opened: Vec::new() }
    }

    /// An import, with the places where the number of the bundle stands in its segments.
    pub fn imported(record: Record, places: Vec<SegmentPlace>) -> Self {
        Self { places, ..Self::closed(record) }
    }

    /// A record that names audio, with its file; empty where there is none any more.
    pub fn heard(record: Record, audio: Vec<u8>) -> Self {
        Self { audio, ..Self::closed(record) }
    }

    /// A record with its personal fields in the clear, as far as `key` is still there.
    ///
    /// # Errors
    ///
    /// As [`Record::open`], save that a destroyed key is none.
    pub fn opened(record: Record, key: Option<&[u8; 32]>) -> Result<Self, RecordError> {
        let opened = if key.is_some() { record.opened(key)? } else { Vec::new() };
        Ok(Self { opened, ..Self::closed(record) })
    }

    /// The number that it tells in the clear, where it does.
    pub fn number(&self) -> Option<Number> {
        let number = self.opened.iter().find(|opened| opened.field == Field::Number)?;
        serde_json::from_slice(&number.value).ok()
    }
}

/// What is known of a number, with the way to the next signature for each record.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Whose records.
    pub number: Number,
    /// Where it was made.
    pub node: NodeName,
    /// When it was made.
    pub made_at: UnixMicros,
    /// The records that concern the number.
    pub records: Vec<RecordId>,
    /// Further ones, which other nodes prove.
    pub elsewhere: Vec<RecordId>,
    /// Records that follow one another, the last of each run a checkpoint, or named by a
    /// checkpoint in another run.
    pub runs: Vec<Vec<Entry>>,
}

impl Bundle {
    /// Writes it, signed.
    ///
    /// # Errors
    ///
    /// Those of `out`, and [`io::ErrorKind::InvalidData`] for a record whose plain fields are no
    /// text.
    pub fn write(&self, signer: &Signer, out: &mut dyn io::Write) -> io::Result<()> {
        let ends = |run: &Vec<Entry>| {
            Some(Run { first: Id(run.first()?.record.id), last: Id(run.last()?.record.id) })
        };
        let header = Header {
            bajavoz: MAGIC.to_owned(),
            version: BUNDLE_VERSION,
            number: self.number,
            node: self.node.clone(),
            made_at: self.made_at,
            key: signer.public(),
            records: self.records.iter().copied().map(Id).collect(),
            elsewhere: self.elsewhere.iter().copied().map(Id).collect(),
            runs: self.runs.iter().filter_map(ends).collect(),
        };
        let mut lines = vec![write_line(&header, out)?];
        for entry in self.runs.iter().flatten() {
            lines.push(write_line(&Line::of(entry)?, out)?);
        }
        let signature = signer.sign(PURPOSE, &digests(&lines));
        write_line(&Seal { lines, signature }, out)?;
        out.flush()
    }
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    bajavoz: String,
    version: u32,
    number: Number,
    node: NodeName,
    made_at: UnixMicros,
    key: PublicKey,
    records: Vec<Id>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    elsewhere: Vec<Id>,
    runs: Vec<Run>,
}

/// Records of one stream that follow one another.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    first: Id,
    last: Id,
}

/// A record's name in its text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Id(RecordId);

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0.to_string()
    }
}

impl TryFrom<String> for Id {
    type Error = <RecordId as std::str::FromStr>::Err;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// A line between the first and the last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    record: Chained,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<SegmentPlace>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "hex::octets")]
    audio: Vec<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    opened: Vec<Clear>,
}

/// What the chain covers of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chained {
    version: u8,
    id: Id,
    prev_hash: Hash,
    written_at: UnixMicros,
    kind: u16,
    plain: String,
    commitments: Vec<Commitment>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Commitment {
    field: String,
    sha256: Hash,
}

/// A personal field with its salt.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clear {
    field: String,
    salt: Salt,
    value: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Salt(#[serde(with = "hex")] [u8; SALT_LEN]);

/// The last line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    lines: Vec<Hash>,
    signature: Signature,
}

impl Line {
    fn of(entry: &Entry) -> io::Result<Self> {
        let record = &entry.record;
        let commitment = |(field, sha256): &(Field, Hash)| Commitment {
            field: field.name().to_owned(),
            sha256: *sha256,
        };
        let clear = |opened: &Opened| {
            let (field, salt) = (opened.field.name().to_owned(), Salt(opened.salt));
            Ok(Clear { field, salt, value: text(&opened.value)? })
        };
        Ok(Self {
            record: Chained {
                version: VERSION,
                id: Id(record.id),
                prev_hash: record.prev_hash,
                written_at: record.written_at,
                kind: record.kind as u16,
                plain: text(&record.plain)?,
                commitments: record.commitments.iter().map(commitment).collect(),
            },
            places: entry.places.clone(),
            audio: entry.audio.clone(),
            opened: entry.opened.iter().map(clear).collect::<io::Result<_>>()?,
        })
    }

    /// The record again, without what is sealed, or the part that is none of ours.
    fn record(&self) -> Result<Record, &'static str> {
        let chained = &self.record;
        if chained.version != VERSION {
            return Err("version");
        }
        let field = |text: &Commitment| Some((Field::from_name(&text.field)?, text.sha256));
        let commitments: Option<Box<[_]>> = chained.commitments.iter().map(field).collect();
        Ok(Record {
            id: chained.id.0,
            prev_hash: chained.prev_hash,
            written_at: chained.written_at,
            kind: Kind::from_code(chained.kind).ok_or("kind")?,
            plain: chained.plain.as_bytes().into(),
            commitments: commitments.ok_or("commitments")?,
            sealed: None,
        })
    }

    /// The personal fields; nothing when one of them is unknown.
    fn opened(&self) -> Option<Vec<Opened>> {
        let opened = |clear: &Clear| {
            let (field, salt) = (Field::from_name(&clear.field)?, clear.salt.0);
            Some(Opened { field, salt, value: clear.value.clone().into_bytes() })
        };
        self.opened.iter().map(opened).collect()
    }
}

fn text(octets: &[u8]) -> io::Result<String> {
    String::from_utf8(octets.to_vec())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes one line and returns its hash.
fn write_line(value: &impl Serialize, out: &mut dyn io::Write) -> io::Result<Hash> {
    let mut line = serde_json::to_vec(value)?;
    let hash = digest(&line);
    line.push(b'\n');
    out.write_all(&line)?;
    Ok(hash)
}

/// SHA-256 of a line without its end.
fn digest(line: &[u8]) -> Hash {
    Hash(Sha256::digest(line).into())
}

fn digests(lines: &[Hash]) -> Vec<u8> {
    lines.iter().flat_map(|hash| hash.0).collect()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the tests index bundles that they made themselves")]
mod tests;
