//! The stored form of a fact: chained, committed to, and sealed.
//!
//! ```text
//! covered by the chain                                       beside it
//! +-------+--------+-----+-----------+------------+------+-------+-------------+------------+
//! |version| writer | seq | prev_hash | written_at | kind | plain | commitments | sealed     |
//! +-------+--------+-----+-----------+------------+------+-------+-------------+------------+
//! ```
//!
//! `plain` is the JSON of the fields that name nobody. Each personal field (number, SIP Call-ID,
//! key evidence, actor, reason) stands in the chain only as SHA-256 of a random salt, the
//! field's name and its value; salts and values are in `sealed`, under a key per number. Who
//! holds the key can show that the values are those that were chained; once the key is
//! destroyed nobody can read or guess them, and the chain still verifies. Numbers are
//! big-endian, the version is the first octet, and this module reads every version ever written.
//! Where a store keeps numbers as keyed hashes, `plain` has the hash of the number: it is what is
//! left of it, and what refuses it, once the key is gone ([`Record::outline`]). A
//! new kind of fact needs no new version: a program that does not know it refuses the record by its
//! kind, and does not start on a journal that it cannot read whole.

#![deny(clippy::indexing_slicing)]

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;

use super::fact::Fact;

pub mod bundle;
mod chain;
mod checkpoint;
mod fields;
mod heads;
mod hex;
mod seal;
mod signature;

pub use chain::{ChainError, ChainHead, Finding, verify_chain};
pub use checkpoint::Checkpoint;
pub use heads::{HEADS_MAX, Heads, HeadsError};
pub use seal::{Entropy, KeyTag, NumberKey, SealError, TagKey};
pub use signature::{PublicKey, PublicKeyError, Signature, Signer};

use fields::Field;
use seal::Sealed;

/// The version that is written.
const VERSION: u8 = 1;

/// SHA-256 of a record's chained part; as text, 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hash(#[serde(with = "hex")] pub [u8; 32]);

impl Hash {
    /// What the first record of a stream names as its predecessor.
    pub const NONE: Self = Self([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a record is of; the number is in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// [`Fact::OptOut`].
    OptOut = 1,
    /// [`Fact::Confirmed`].
    Confirmed = 2,
    /// [`Fact::Import`].
    Import = 3,
    /// [`Fact::Reversal`].
    Reversal = 4,
    /// [`Fact::Erasure`].
    Erasure = 5,
    /// [`Fact::Audio`].
    Audio = 6,
    /// [`Fact::Checkpoint`]; what is said of streams themselves is counted from 16.
    Checkpoint = 16,
}

impl Kind {
    fn from_code(code: u16) -> Option<Self> {
        const ALL: [Kind; 7] = [
            Kind::OptOut,
            Kind::Confirmed,
            Kind::Import,
            Kind::Reversal,
            Kind::Erasure,
            Kind::Audio,
            Kind::Checkpoint,
        ];
        ALL.into_iter().find(|kind| *kind as u16 == code)
    }
}

/// Why bytes are not a record, or a record not a fact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A version of a later program.
    #[error("expected record version {VERSION}, found {found}")]
    Version {
        /// The version octet.
        found: u8,
    },
    /// A kind of a later program.
    #[error("expected a known kind of record, found {found}")]
    Kind {
        /// The kind's number.
        found: u16,
    },
    /// The bytes end early, go on too long, or a part is not what it must be.
    #[error("the record is malformed at its {part}")]
    Malformed {
        /// The part that could not be read.
        part: &'static str,
    },
    /// The personal fields cannot be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Where a new record stands in its stream.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its name.
    pub id: RecordId,
    /// The hash of the record before it; [`Hash::NONE`] for the first.
    pub prev_hash: Hash,
    /// When it is handed to the disk: by the clock, or by the time that was believed last, where the
    /// clock stands before it.
    pub written_at: UnixMicros,
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub id: RecordId,
    /// The hash of the record before it in its stream.
    pub prev_hash: Hash,
    /// When it was handed to the disk.
    pub written_at: UnixMicros,
    /// What it is of.
    pub kind: Kind,
    plain: Box<[u8]>,
    commitments: Box<[(Field, Hash)]>,
    sealed: Option<Sealed>,
}

impl Record {
    /// The record of `fact` at `place`, its personal fields sealed under `key`.
    ///
    /// `entropy` must be fresh random bytes for each record: the nonce and the salts are cut
    /// from it. `key` is ignored for facts without personal fields.
    ///
    /// # Errors
    ///
    /// [`RecordError::Malformed`] when the fact cannot be written as JSON, and
    /// [`SealError::KeyMissing`] for a personal fact without a key.
    pub fn seal(
        fact: &Fact,
        place: Place,
        key: Option<&NumberKey>,
        entropy: &Entropy,
    ) -> Result<Self, RecordError> {
        let keyed = key.and_then(|key| key.keyed);
        let (kind, plain, personal) = fields::split(fact, keyed)?;
        let opened: Vec<_> = personal
            .into_iter()
            .map(|(field, value)| seal::Opened { field, salt: entropy.salt(field), value })
            .collect();
        let mut record = Self {
            id: place.id,
            prev_hash: place.prev_hash,
            written_at: place.written_at,
            kind,
            plain: plain.into(),
            commitments: opened.iter().map(|field| (field.field, field.commitment())).collect(),
            sealed: None,
        };
        if !opened.is_empty() {
            let key = key.ok_or(SealError::KeyMissing)?;
            record.sealed = Some(Sealed::seal(&opened, key, entropy, record.hash())?);
        }
        Ok(record)
    }

    /// The fact again.
    ///
    /// - `key`: that of [`Self::key_slot`]; `None` once it is destroyed.
    ///
    /// # Errors
    ///
    /// [`SealError`] when the personal fields cannot be opened or are not those that the chain
    /// committed to, [`RecordError::Malformed`] when they are not a fact.
    pub fn open(&self, key: Option<&[u8; 32]>) -> Result<Fact, RecordError> {
        let opened = self.opened(key)?;
        let personal = opened.into_iter().map(|opened| (opened.field, opened.value)).collect();
        fields::join(self.kind, &self.plain, personal)
    }

    /// The personal fields with their salts, once they are those that were committed to.
    fn opened(&self, key: Option<&[u8; 32]>) -> Result<Vec<seal::Opened>, RecordError> {
        let Some(sealed) = &self.sealed else { return Ok(Vec::new()) };
        let opened = sealed.open(key.ok_or(SealError::KeyMissing)?, self.hash())?;
        let committed = opened.iter().map(|field| (field.field, field.commitment()));
        if !committed.eq(self.commitments.iter().copied()) {
            return Err(SealError::Commitment.into());
        }
        Ok(opened)
    }

    /// Whether the plain fields are written as we write them: what stands in no chain yet, as a
    /// stream's last checkpoint, must not be said in another way either.
    fn is_canonical(&self) -> bool {
        let fact = fields::join(self.kind, &self.plain, Vec::new());
        let written = fact.ok().and_then(|fact| fields::split(&fact, None).ok());
        written.is_some_and(|(_kind, plain, _personal)| *plain == *self.plain)
    }

    /// The checkpoint that this is, where it is one: in the one form that we write.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        if self.kind != Kind::Checkpoint || !self.commitments.is_empty() || self.sealed.is_some() {
            return None;
        }
        match fields::join(self.kind, &self.plain, Vec::new()) {
            Ok(Fact::Checkpoint(checkpoint)) if self.is_canonical() => Some(checkpoint),
            _ => None,
        }
    }

    /// What is known of the fact without its personal fields, under the number as the store keeps
    /// it: where that is hashed, for facts of a number. It is the same before the key is destroyed
    /// and after.
    ///
    /// # Errors
    ///
    /// [`RecordError::Malformed`] for plain fields that are not those of a fact.
    pub fn outline(&self) -> Result<Option<Fact>, RecordError> {
        fields::outline(self.kind, &self.plain, None)
    }

    /// The same under `number`, which is all that was kept of the personal fields: where numbers are
    /// not hashed.
    ///
    /// # Errors
    ///
    /// As [`Self::outline`].
    pub fn outline_of(&self, number: Number) -> Result<Option<Fact>, RecordError> {
        fields::outline(self.kind, &self.plain, Some(number))
    }

    /// Which key slot the personal fields need; `None` for facts without any.
    pub fn key_slot(&self) -> Option<(KeyTag, u32)> {
        self.sealed.as_ref().map(|sealed| (sealed.tag, sealed.slot))
    }

    /// Whether there is more to the personal fields than the number, so that there is evidence of
    /// what it says; nothing where that cannot be told without the key, as of a reversal whose reason
    /// may be empty.
    pub fn has_evidence(&self) -> Option<bool> {
        let has =
            |is_it: fn(Field) -> bool| self.commitments.iter().any(|(field, _)| is_it(*field));
        match self.kind {
            Kind::Reversal if has(|field| field == Field::Actor) => Some(true),
            Kind::Reversal => None,
            _ => Some(has(|field| field != Field::Number)),
        }
    }

    /// The hash that the next record of the stream names.
    pub fn hash(&self) -> Hash {
        let mut chained = Vec::with_capacity(512);
        self.write_chained(&mut chained);
        let mut hasher = Sha256::new();
        hasher.update(b"bajavoz record\0");
        hasher.update(&chained);
        Hash(hasher.finalize().into())
    }

    /// Appends the stored form to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_chained(out);
        match &self.sealed {
            None => out.push(0),
            Some(sealed) => {
                out.push(1);
                sealed.write(out);
            }
        }
    }

    /// Reads the stored form, all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`RecordError`], save its sealing kinds: nothing is opened here.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader(bytes);
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(RecordError::Version { found: version });
        }
        let id = RecordId { writer: WriterId(reader.u64("writer")?), seq: reader.u64("seq")? };
        let prev_hash = Hash(reader.array("previous hash")?);
        let written_at = UnixMicros(i64::from_be_bytes(reader.array("time")?));
        let code = reader.u16("kind")?;
        let kind = Kind::from_code(code).ok_or(RecordError::Kind { found: code })?;
        let plain = reader.bytes("plain fields")?.into();
        let mut commitments = Vec::new();
        for _ in 0..reader.u8("commitments")? {
            let field = Field::from_code(reader.u8("commitments")?)
                .ok_or(RecordError::Malformed { part: "commitments" })?;
            commitments.push((field, Hash(reader.array("commitments")?)));
        }
        let sealed = match reader.u8("sealed fields")? {
            0 => None,
            1 => Some(Sealed::read(&mut reader)?),
            _ => return Err(RecordError::Malformed { part: "sealed fields" }),
        };
        if !reader.0.is_empty() {
            return Err(RecordError::Malformed { part: "end" });
        }
        let commitments = commitments.into();
        Ok(Self { id, prev_hash, written_at, kind, plain, commitments, sealed })
    }

    fn write_chained(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&self.id.writer.0.to_be_bytes());
        out.extend_from_slice(&self.id.seq.to_be_bytes());
        out.extend_from_slice(&self.prev_hash.0);
        out.extend_from_slice(&self.written_at.0.to_be_bytes());
        out.extend_from_slice(&(self.kind as u16).to_be_bytes());
        write_bytes(&self.plain, out);
        // At most one per personal field, of which there are five.
        out.push(self.commitments.len() as u8);
        for (field, commitment) in &self.commitments {
            out.push(*field as u8);
            out.extend_from_slice(&commitment.0);
        }
    }
}

/// A length in four octets and the bytes; what is written is far below 4 GiB.
fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// What is left to read of a record.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], RecordError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(RecordError::Malformed { part })?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self, part: &'static str) -> Result<u8, RecordError> {
        self.array(part).map(u8::from_be_bytes)
    }

    fn u16(&mut self, part: &'static str) -> Result<u16, RecordError> {
        self.array(part).map(u16::from_be_bytes)
    }

    fn u32(&mut self, part: &'static str) -> Result<u32, RecordError> {
        self.array(part).map(u32::from_be_bytes)
    }

    fn u64(&mut self, part: &'static str) -> Result<u64, RecordError> {
        self.array(part).map(u64::from_be_bytes)
    }

    fn bytes(&mut self, part: &'static str) -> Result<&'a [u8], RecordError> {
        let len =
            usize::try_from(self.u32(part)?).map_err(|_error| RecordError::Malformed { part })?;
        let (head, rest) = self.0.split_at_checked(len).ok_or(RecordError::Malformed { part })?;
        self.0 = rest;
        Ok(head)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the tests index records that they made themselves")]
mod tests;
