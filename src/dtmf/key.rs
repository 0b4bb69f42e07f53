//! What a detector says it heard, and what the fusion makes of it.

use std::time::Instant;

use crate::model::Digit;

/// How a key reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Telephone-event packets, RFC 4733.
    Event,
    /// Tones in the audio, ITU-T Q.23.
    Tone,
    /// A SIP INFO body.
    Info,
}

impl Method {
    /// The name in records and metrics: `event`, `tone` or `info`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Tone => "tone",
            Self::Info => "info",
        }
    }
}

/// One key as one detector heard it, at the moment in which the detector became certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardKey {
    /// Which key.
    pub digit: Digit,
    /// Who heard it.
    pub method: Method,
    /// What it was heard by.
    pub evidence: Evidence,
}

/// What a key was heard by; a field that the method cannot know is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// RTP timestamp of the key's beginning: the event's own, or where the tone was found to start.
    pub rtp_timestamp: Option<u32>,
    /// RTP sequence number of the packet that decided; a tone begins some packets before it.
    pub rtp_sequence: Option<u16>,
    /// How long the key had lasted when it was decided; of an INFO, the duration it states.
    pub duration_ms: Option<u16>,
    /// Level of the event as its sender states it, 0 to -63 dBm0.
    pub volume_dbm0: Option<i8>,
    /// Measured level of the low tone.
    pub low_dbm0: Option<i8>,
    /// Measured level of the high tone.
    pub high_dbm0: Option<i8>,
    /// How sure the detector is, 0 to 100; an event or an INFO is a statement and has 100.
    pub confidence: u8,
}

/// One press of one key, by whatever methods it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// Which key.
    pub digit: Digit,
    /// The method that was heard first.
    pub method: Method,
    /// When the key went down, as far as the first evidence tells.
    pub pressed_at: Instant,
    /// When we became certain of it.
    pub heard_at: Instant,
    /// The first method's evidence.
    pub evidence: Evidence,
}
