//! What is heard on one leg: events, tones and INFO, joined so that one press is one key.
//!
//! Each leg has an ear of its own, which hears whatever the other leg does or does not send.

use std::time::Duration;
use std::time::Instant;

use crate::dtmf::EventDetector;
use crate::dtmf::Fusion;
use crate::dtmf::HeardKey;
use crate::dtmf::InfoKey;
use crate::dtmf::KeyPress;
use crate::dtmf::Method;
use crate::dtmf::ToneDetector;
use crate::dtmf::event;
use crate::dtmf::fusion;
use crate::dtmf::tone;
use crate::media::g711;
use crate::media::rtp::RtpPacket;
use crate::media::rtp::RtpTimestamp;
use crate::media::rtp::SequenceNumber;
use crate::model::Codec;
use crate::model::Digit;
use crate::sdp::EventFormat;
use crate::sdp::Negotiated;

/// Longest packet that is decoded, 60 ms at 8000 Hz; what is longer is heard up to there.
const SAMPLES_MAX: usize = 480;

/// Most frames taken as lost and fed as silence; a longer gap is a pause, and the detector begins
/// anew behind it.
const LOST_FRAMES_MAX: i16 = 5;

/// Silence fed where the sender said nothing, 40 ms: enough for a key to be let go, however long
/// the pause was.
const PAUSE_SAMPLES: usize = 320;

/// Least pause, 10 ms; less is a sender that counts badly.
const PAUSE_SAMPLES_MIN: usize = 80;

/// How long an event packet keeps its digit among those we are sending.
const EVENT_HOLD: Duration = Duration::from_millis(60);

/// How long a tone that we pass on is taken to last once it was recognised.
const TONE_HOLD: Duration = Duration::from_millis(200);

/// The ear of one leg; `decode` lends it to the streams of a capture.
#[derive(Debug)]
pub struct Ear {
    events: EventDetector,
    tones: ToneDetector,
    tone_settings: tone::Settings,
    fusion: Fusion,
    last: Option<SequenceNumber>,
    /// The timestamp behind the last audio that was heard.
    heard_to: Option<RtpTimestamp>,
}

/// What an ear heard in one packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hearing {
    /// A press, the first time it is heard of.
    pub press: Option<KeyPress>,
    /// A digit that the packet carries, pressed anew or still held; what is passed on to the
    /// other leg may come back from there as echo.
    pub carries: Option<(Digit, Duration)>,
}

impl Ear {
    /// An ear that has heard nothing yet: for tones by `tone`, and events where they were
    /// negotiated.
    pub fn new(tone: tone::Settings, events: Option<EventFormat>) -> Self {
        let clock_hz = events.map_or(8_000, |events| events.clock_hz);
        Self {
            events: EventDetector::new(event::Settings::default(), clock_hz),
            tones: ToneDetector::new(tone),
            tone_settings: tone,
            fusion: Fusion::new(fusion::Settings::default(), events.is_some()),
            last: None,
            heard_to: None,
        }
    }

    /// Follows a new negotiation; what is known of keys being pressed stays.
    pub(super) fn renegotiate(&mut self, media: &Negotiated) {
        self.fusion.set_events(media.events.is_some());
    }

    /// Another source or stream is heard from now on: samples do not follow on the old ones.
    pub(super) fn restart(&mut self) {
        self.tones = ToneDetector::new(self.tone_settings);
        self.last = None;
        self.heard_to = None;
    }

    /// A believed packet of telephone-events.
    pub fn handle_event(&mut self, now: Instant, packet: &RtpPacket<'_>) -> Hearing {
        let (sequence, timestamp) = (packet.sequence(), packet.timestamp());
        self.last = Some(sequence);
        let heard = self.events.handle_packet(
            now,
            sequence.0,
            timestamp.0,
            packet.marker(),
            packet.payload(),
        );
        // A truncated event is counted by the detector; it carries nothing to hear.
        let heard = heard.ok().flatten();
        let press = heard.and_then(|key| self.fusion.handle_heard(now, key));
        let held = self.events.held();
        if let Some(digit) = held {
            self.fusion.handle_held(now, Method::Event, digit);
        }
        let carries = heard.map(|key| key.digit).or(held).map(|digit| (digit, EVENT_HOLD));
        Hearing { press, carries }
    }

    /// A believed packet of audio in `codec`.
    pub fn handle_audio(&mut self, now: Instant, codec: Codec, packet: &RtpPacket<'_>) -> Hearing {
        let mut samples = [0_i16; SAMPLES_MAX];
        let len = g711::decode(codec, packet.payload(), &mut samples);
        let Some(frame) = samples.get(..len) else { return Hearing::default() };
        let lost = self.lost_before(packet.sequence());
        let Some(lost) = lost else { return Hearing::default() };
        self.hear_pause(packet.timestamp(), i32::from(lost) * len as i32);
        self.heard_to = Some(packet.timestamp().plus(len as i32));
        let mut heard = None;
        for steps in (1..=lost).rev() {
            let back = i32::try_from(len).unwrap_or_default().saturating_mul(-i32::from(steps));
            let timestamp = packet.timestamp().plus(back);
            let lost_key = self.tones.push_lost(len, timestamp.0);
            heard = heard.or(lost_key);
        }
        let key = self.tones.push_frame(frame, packet.timestamp().0);
        heard = heard.or(key).map(|key| decided_by(key, packet));
        let press = heard.and_then(|key| self.fusion.handle_heard(now, key));
        if let Some(digit) = self.tones.held() {
            self.fusion.handle_held(now, Method::Tone, digit);
        }
        Hearing { press, carries: heard.map(|key| (key.digit, TONE_HOLD)) }
    }

    /// Where time went on and packets did not, the sender said nothing, as phones do that suppress
    /// silence: the key before the pause is let go, so that the same one may follow.
    fn hear_pause(&mut self, begins: RtpTimestamp, lost_samples: i32) {
        let Some(heard_to) = self.heard_to else { return };
        let pause = begins.since(heard_to).saturating_sub(lost_samples);
        let pause = usize::try_from(pause).unwrap_or_default().min(PAUSE_SAMPLES);
        let silence = [0_i16; PAUSE_SAMPLES];
        if let Some(silence) = silence.get(..pause).filter(|_| pause >= PAUSE_SAMPLES_MIN) {
            let from = begins.plus(-(pause as i32));
            // Silence is no key.
            let _ = self.tones.push_frame(silence, from.0);
        }
    }

    /// How many packets are missing before this one; nothing for one that comes too late to be
    /// heard in its place.
    fn lost_before(&mut self, sequence: SequenceNumber) -> Option<i16> {
        let steps = self.last.map_or(1, |last| sequence.since(last));
        if steps <= 0 && steps > -100 {
            return None;
        }
        self.last = Some(sequence);
        if (2..=LOST_FRAMES_MAX + 1).contains(&steps) { Some(steps - 1) } else { Some(0) }
    }

    /// A key that came by SIP INFO.
    pub fn handle_info(&mut self, now: Instant, key: InfoKey) -> Option<KeyPress> {
        self.fusion.handle_heard(now, key.heard())
    }

    /// How long `press`, which this ear reported, has lasted, in milliseconds: so far while the key
    /// is held, in all once it is over. `None` for an INFO, which says it itself, and for a press
    /// of long ago.
    pub fn lasted_ms(&self, press: &KeyPress) -> Option<u16> {
        let timestamp = press.evidence.rtp_timestamp?;
        match press.method {
            Method::Event => self.events.lasted_ms(timestamp),
            Method::Tone => self.tones.lasted_ms(timestamp),
            Method::Info => None,
        }
    }

    /// We send `digit` towards this leg for a while yet: its tones coming back are our own.
    pub(super) fn handle_sent(&mut self, until: Instant, digit: Digit) {
        self.fusion.handle_sent(until, digit);
    }
}

/// The key, with the packet that decided.
fn decided_by(mut key: HeardKey, packet: &RtpPacket<'_>) -> HeardKey {
    key.evidence.rtp_sequence = Some(packet.sequence().0);
    key
}
