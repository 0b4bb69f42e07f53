//! The streams of our last description, which our next offer keeps.
//!
//! RFC 3264 section 8: a later offer has no fewer `m=` lines than the description before it, each
//! stream stays in its place, and (section 8.3.2) a payload type keeps its meaning.

use super::description::Description;
use super::description::MediaLine;
use super::negotiate::LocalMedia;
use crate::model::Codec;

/// Where the dynamic payload types begin (RFC 3551 section 3).
const DYNAMIC_FIRST: u8 = 96;

/// Where they end.
const DYNAMIC_LAST: u8 = 127;

/// The `m=` lines of a description of ours, one of which is the audio that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    pub(super) media: Vec<MediaLine>,
    /// Which of them is ours.
    pub(super) audio: usize,
}

impl Lines {
    /// Nothing where no stream is on.
    fn of(description: &str) -> Option<Self> {
        let media = Description::parse(description.as_bytes()).ok()?.media;
        let audio = media.iter().position(|line| line.port != 0)?;
        Some(Self { media, audio })
    }

    /// The line of the audio that is on.
    pub(super) fn audio_line(&self) -> Option<&MediaLine> {
        self.media.get(self.audio)
    }

    fn payload_type_of(&self, wanted: Codec) -> Option<u8> {
        let mut codecs = self.audio_line()?.codecs();
        codecs.find_map(|(payload_type, codec)| (codec == wanted).then_some(payload_type))
    }

    /// The payload type of telephone-events: the one they have, else `usual`, else one that means
    /// nothing yet.
    fn events_under(&self, usual: u8) -> u8 {
        let Some(line) = self.audio_line() else { return usual };
        let is_free = |number: &u8| line.codecs().all(|(taken, _)| taken != *number);
        let known = line.events(Codec::Pcmu.clock_hz());
        let free = || [usual].into_iter().chain(DYNAMIC_FIRST..=DYNAMIC_LAST).find(is_free);
        known.or_else(free).unwrap_or(usual)
    }
}

impl LocalMedia {
    /// After `description` was sent as our answer: a later offer keeps its lines and its payload
    /// types.
    #[must_use]
    pub fn keeping(self, description: &str) -> Self {
        let Some(lines) = Lines::of(description) else { return self };
        let event_payload_type = lines.events_under(self.event_payload_type);
        Self { lines: Some(lines), event_payload_type, ..self }
    }

    /// The payload type under which we offer `codec`.
    pub(super) fn payload_type_of(&self, codec: Codec) -> u8 {
        let kept = self.lines.as_ref().and_then(|lines| lines.payload_type_of(codec));
        kept.unwrap_or_else(|| codec.payload_type())
    }
}
