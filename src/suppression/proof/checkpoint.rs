//! Signed checkpoints: this is how a stream stood, says whoever holds the store's key.
//!
//! A checkpoint is a fact in a stream like others. Mostly it is about the records before it; the
//! first records of a stream may be about the ends of streams before this one, so that a stream
//! whose process crashed is signed too, and no whole stream can go without a trace.

use serde::{Deserialize, Serialize};

use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;

use super::Hash;
use super::signature::PublicKey;
use super::signature::Signature;
use super::signature::Signer;

const PURPOSE: &str = "bajavoz checkpoint";

/// What is signed about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Whose stream.
    pub writer: WriterId,
    /// The last record that is covered. Records are counted from 1 without a hole, so that this
    /// is their count too.
    pub seq: u64,
    /// The hash of that record, and so of all before it.
    pub hash: Hash,
    /// When it was signed.
    pub at: UnixMicros,
    /// The key it was signed with.
    pub key: PublicKey,
    /// The signature over `bajavoz checkpoint`, a zero octet, and writer, seq, hash and time, the
    /// numbers of 64 bits big-endian.
    pub signature: Signature,
}

impl Checkpoint {
    /// Signs that `record` ended its stream at the time `at` and had `hash`.
    pub fn sign(signer: &Signer, record: RecordId, hash: Hash, at: UnixMicros) -> Self {
        let RecordId { writer, seq } = record;
        let (key, signature) = (signer.public(), Signature([0; 64]));
        let mut checkpoint = Self { writer, seq, hash, at, key, signature };
        checkpoint.signature = signer.sign(PURPOSE, &checkpoint.message());
        checkpoint
    }

    /// The last record that is covered.
    pub const fn record(&self) -> RecordId {
        RecordId { writer: self.writer, seq: self.seq }
    }

    /// Whether the secret half of `key` has signed it, and it says so.
    pub fn is_signed_by(&self, key: PublicKey) -> bool {
        self.key == key && key.has_signed(PURPOSE, &self.message(), &self.signature)
    }

    /// Writer, seq, hash and time, big-endian.
    fn message(&self) -> Vec<u8> {
        [
            &self.writer.0.to_be_bytes()[..],
            &self.seq.to_be_bytes(),
            &self.hash.0,
            &self.at.0.to_be_bytes(),
        ]
        .concat()
    }
}
