//! What became of the audio around the press that made an opt-out.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::RecordId;
use crate::model::UnixMicros;

use super::proof::Hash;

/// A further fact about an opt-out that is on record already: nobody has waited for the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audio {
    /// The opt-out.
    pub record: RecordId,
    /// When it was kept, or given up.
    pub at: UnixMicros,
    /// Which of the two.
    pub result: AudioResult,
}

/// Whether there is audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioResult {
    /// It was durable before this was written.
    Kept {
        /// SHA-256 of the WAV file, which is its name too.
        sha256: Hash,
        /// Length of the file.
        octets: u64,
        /// How long it is, in milliseconds.
        duration_ms: u32,
        /// How much of it is before the press was acted on.
        before_ms: u32,
    },
    /// It was wanted, and there is none.
    Lost {
        /// Why.
        why: AudioLoss,
    },
}

/// Why there is no audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioLoss {
    /// Too many others were on their way to the disk.
    Busy,
    /// The disk did not take it.
    Disk,
    /// The media could not say what it heard.
    Unheard,
}

/// The name of the WAV file `wav`: its SHA-256.
pub fn name_of(wav: &[u8]) -> Hash {
    Hash(Sha256::digest(wav).into())
}

impl AudioLoss {
    /// The name in records and columns.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Disk => "disk",
            Self::Unheard => "unheard",
        }
    }
}
