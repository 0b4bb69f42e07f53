//! What a ledger keeps: facts that are never changed, only followed by others.

use serde::{Deserialize, Serialize};

use crate::model::RecordId;
use crate::model::UnixMicros;

use super::audio::Audio;
use super::erasure::Erasure;
use super::import::Import;
use super::optout::OptOut;
use super::proof::Checkpoint;
use super::reversal::Reversal;

/// One thing that happened. The stored form is versioned, see [`super::proof`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// Somebody opted out.
    OptOut(Box<OptOut>),
    /// How the telling ended of an opt-out that had been made durable.
    Confirmed(Confirmation),
    /// A file of numbers was put on a list.
    Import(Box<Import>),
    /// Opt-outs, or a number's entries by imports, no longer refuse.
    Reversal(Box<Reversal>),
    /// Nothing of a number is left to be read.
    Erasure(Box<Erasure>),
    /// What became of the audio around the press of an opt-out.
    Audio(Audio),
    /// How a stream stood, signed; the ledger writes these by itself.
    Checkpoint(Checkpoint),
}

/// What became of the confirmation that an opt-out's person was owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The opt-out.
    pub record: RecordId,
    /// When that opt-out was known to be on disk, from its [`super::Durable`].
    pub durable_at: UnixMicros,
    /// When the confirmation began, or was given up; never before `durable_at`.
    pub at: UnixMicros,
    /// How it ended.
    pub outcome: Outcome,
}

/// The end of a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The prompt began and the person hung up before its end.
    CutShort,
    /// There was nobody left to hear it, or the campaign has no prompt for it.
    NotPlayed,
    /// The whole prompt was played.
    Played,
}

impl Outcome {
    /// The name in columns and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CutShort => "cut_short",
            Self::NotPlayed => "not_played",
            Self::Played => "played",
        }
    }

    /// The outcome of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::CutShort, Self::NotPlayed, Self::Played]
            .into_iter()
            .find(|outcome| outcome.as_str() == name)
    }
}
