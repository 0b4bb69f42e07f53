//! The erasure: evidence of a number is gone, by a further record that says so.
//!
//! Nothing is taken out of the ledger. What was sealed under the key of the number cannot be opened
//! any more once that is destroyed, and the audio beside it is removed; the chain holds, and the
//! number is refused as before. Each node destroys its own keys; the record of whoever was asked is
//! what the others do it by. Where evidence has only grown old, each does so by its own policy.
//!
//! Where numbers are kept as they are, only retention erases, and the erasure itself has the number
//! among its personal fields, under a key of its own: it says of whom the others were.

use serde::{Deserialize, Serialize};

use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;

use super::evidence::EvidenceDeleted;
use super::proof::Hash;
use super::reversal::Authority;

/// Keys that one erasure destroys at most, files of audio, and records that it names. Our choice: far
/// more than one number gathers between two erasures, and some 70 octets each of a record whose size
/// the journal bounds.
pub const DESTROYED_MAX: usize = 1024;

/// One act that destroys what can be read of a number. None of it is personal but a number that is
/// kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Whose, as the store keeps it.
    pub number: Number,
    /// Which keys of the node's own are destroyed, by their slots.
    pub slots: Vec<u32>,
    /// Which files of audio of the node's own are removed.
    pub audio: Vec<Hash>,
    /// Whose evidence is gone by that: records of the node's own. Of erasures from before they were
    /// named, none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordId>,
    /// What it was done for.
    pub cause: ErasureCause,
    /// By what right.
    pub authority: Authority,
    /// Who did it.
    pub actor: Option<String>,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// The engine that did it.
    pub node: NodeName,
    /// When.
    pub erased_at: UnixMicros,
}

impl Erasure {
    /// That the evidence of `of` is gone by this erasure, whose own record is `record`.
    pub fn deleted(&self, record: RecordId, of: RecordId) -> Option<EvidenceDeleted> {
        let deleted = EvidenceDeleted { at: self.erased_at, cause: self.cause, record };
        self.records.contains(&of).then_some(deleted)
    }
}

/// What an erasure is done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasureCause {
    /// Somebody asked for it.
    Request,
    /// The evidence was kept for as long as it is to be kept.
    Retention,
}

impl ErasureCause {
    /// The name in columns and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Retention => "retention",
        }
    }

    /// The cause of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Request, Self::Retention].into_iter().find(|cause| cause.as_str() == name)
    }
}
