//! Where every stream of a store ended at one moment, signed: to be kept elsewhere.
//!
//! Inside a store nothing tells that the end of its newest stream was cut off, checkpoint and all,
//! or that this stream was taken away whole: what would tell has gone with it. Whoever has kept the
//! heads of a day can tell for everything up to that day. One line of JSON, in exactly the form
//! that we write:
//!
//! ```text
//! {"bajavoz":"heads","version":1,"node":..,"made_at":..,"key":..,
//!  "heads":[{"record":"w-9","hash":..},..],"signature":..}
//! ```
//!
//! The signature is over `bajavoz heads`, a zero octet, and the line up to `,"signature"`, closed by
//! a brace.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::NodeName;
use crate::model::RecordId;
use crate::model::UnixMicros;

use super::Hash;
use super::signature::PublicKey;
use super::signature::Signature;
use super::signature::Signer;

const HEADS_VERSION: u32 = 1;
const PURPOSE: &str = "bajavoz heads";
const MAGIC: &str = "heads";

/// Most streams whose ends are read: one for each start of the engine, 20 years of a restart every
/// two hours. One takes 130 octets.
pub const HEADS_MAX: usize = 100_000;

/// The ends of a store's streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Where it was made.
    pub node: NodeName,
    /// When it was made.
    pub made_at: UnixMicros,
    /// The key that signed it.
    pub key: PublicKey,
    /// The last record of each stream, and its hash.
    pub heads: Vec<(RecordId, Hash)>,
}

/// Why a text is not what [`Heads::write`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadsError {
    /// It is no such line, or of a later version.
    #[error("expected a line of `bajavoz proof --heads`, version {HEADS_VERSION}")]
    Unreadable,
    /// It is not written as we write it.
    #[error("it is not written as bajavoz writes it")]
    Form,
    /// It was touched, or signed by somebody else.
    #[error("its signature does not hold under the key {key}")]
    Signature {
        /// The key it was checked under.
        key: PublicKey,
    },
    /// Too many streams.
    #[error("expected at most {HEADS_MAX} streams, found more")]
    Long,
}

impl Heads {
    /// The line, signed, with its end.
    pub fn write(&self, signer: &Signer) -> String {
        let signed = Line::of(self);
        let signature = signer.sign(PURPOSE, text(&signed).as_bytes());
        text(&Line { signature: Some(signature), ..signed }) + "\n"
    }

    /// Reads a line, which must be signed by `key`, or else by the key that it names.
    ///
    /// # Errors
    ///
    /// [`HeadsError`].
    pub fn read(line: &str, key: Option<PublicKey>) -> Result<Self, HeadsError> {
        let read: Line = serde_json::from_str(line).map_err(|_error| HeadsError::Unreadable)?;
        if read.bajavoz != MAGIC || read.version != HEADS_VERSION {
            return Err(HeadsError::Unreadable);
        }
        if text(&read) + "\n" != line {
            return Err(HeadsError::Form);
        }
        let signature = read.signature.ok_or(HeadsError::Unreadable)?;
        let read = Line { signature: None, ..read };
        let key = key.unwrap_or(read.key);
        if read.key != key || !key.has_signed(PURPOSE, text(&read).as_bytes(), &signature) {
            return Err(HeadsError::Signature { key });
        }
        if read.heads.len() > HEADS_MAX {
            return Err(HeadsError::Long);
        }
        let heads = read.heads.iter().map(|head| {
            let record = RecordId::from_str(&head.record).map_err(|_error| HeadsError::Unreadable);
            record.map(|record| (record, head.hash))
        });
        let heads = heads.collect::<Result<_, _>>()?;
        Ok(Self { node: read.node, made_at: read.made_at, key, heads })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    bajavoz: String,
    version: u32,
    node: NodeName,
    made_at: UnixMicros,
    key: PublicKey,
    heads: Vec<Head>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    record: String,
    hash: Hash,
}

impl Line {
    fn of(heads: &Heads) -> Self {
        let head = |(record, hash): &(RecordId, Hash)| {
            let (record, hash) = (record.to_string(), *hash);
            Head { record, hash }
        };
        Self {
            bajavoz: MAGIC.to_owned(),
            version: HEADS_VERSION,
            node: heads.node.clone(),
            made_at: heads.made_at,
            key: heads.key,
            heads: heads.heads.iter().map(head).collect(),
            signature: None,
        }
    }
}

fn text(line: &Line) -> String {
    serde_json::to_string(line).expect("names, numbers and digits are JSON")
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the tests index a line that they made themselves")]
mod tests {
    use super::*;
    use crate::model::WriterId;

    fn heads() -> (Heads, Signer) {
        let signer = Signer::new(&[3; 32]);
        let head =
            |writer, seq| (RecordId { writer: WriterId(writer), seq }, Hash([seq as u8; 32]));
        let heads = Heads {
            node: "madrid-1".into(),
            made_at: UnixMicros(1_795_293_999_000_000),
            key: signer.public(),
            heads: vec![head(1, 9), head(2, 4)],
        };
        (heads, signer)
    }

    #[test]
    fn no_bit_of_the_heads_is_free() {
        let (heads, signer) = heads();
        let line = heads.write(&signer);
        assert_eq!(Heads::read(&line, None), Ok(heads.clone()));
        assert_eq!(Heads::read(&line, Some(signer.public())), Ok(heads));
        for bit in 0..8 * line.len() {
            let mut touched = line.clone().into_bytes();
            touched[bit / 8] ^= 1 << (bit % 8);
            let read = String::from_utf8(touched).ok().map(|touched| Heads::read(&touched, None));
            assert!(!matches!(read, Some(Ok(_))), "bit {bit}");
        }
        for len in 0..line.len() {
            assert!(Heads::read(&line[..len], None).is_err(), "cut to {len} octets");
        }
    }

    #[test]
    fn the_heads_of_somebody_else_are_told_by_the_key() {
        let (heads, signer) = heads();
        let other = Signer::new(&[4; 32]);
        let forged = Heads { key: other.public(), ..heads }.write(&other);
        assert!(Heads::read(&forged, None).is_ok(), "whole, of whoever made it");
        let key = signer.public();
        assert_eq!(Heads::read(&forged, Some(key)), Err(HeadsError::Signature { key }));
    }
}
