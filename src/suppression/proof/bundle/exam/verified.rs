//! What a bundle proves.

use serde::Serialize;

use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::suppression::Fact;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::bundle::SegmentPlace;

/// What a bundle proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Whose records.
    pub number: Number,
    /// Where it was made.
    pub node: NodeName,
    /// When it was made.
    pub made_at: UnixMicros,
    /// The key that signed it. Whether that is the store's, the verifier must know from elsewhere.
    pub key: PublicKey,
    /// The records of the number.
    #[serde(skip)]
    pub records: Vec<VerifiedRecord>,
    /// Further records of the number, which are in no bundle of this node's.
    #[serde(skip)]
    pub elsewhere: Vec<RecordId>,
    /// Records of others that lead to the checkpoints, which are among them.
    pub others: usize,
    /// Signed checkpoints.
    pub checkpoints: usize,
}

/// A record that is what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRecord {
    /// Its name.
    pub id: RecordId,
    /// When it was handed to the disk.
    pub written_at: UnixMicros,
    /// What it says; nothing once its key is destroyed.
    pub fact: Option<Fact>,
    /// What is left of it then: all that names nobody, under the number of the bundle or that as the
    /// store keeps it.
    pub outline: Option<Fact>,
    /// Where the number stands in the segments of an import: what the store has signed, and what
    /// only who has the segment can look up.
    pub places: Vec<SegmentPlace>,
    /// The audio that it names, as a WAV file, where it is in the bundle.
    pub audio: Vec<u8>,
}

impl VerifiedRecord {
    /// What it says, or what is left of that.
    pub fn said(&self) -> Option<&Fact> {
        self.fact.as_ref().or(self.outline.as_ref())
    }
}
