//! One RTP stream of a capture, or the INFO requests of one call, with an ear of its own.

use std::time::Instant;

use super::report;
use super::report::Report;
use crate::call::Ear;
use crate::dtmf::InfoKey;
use crate::dtmf::KeyPress;
use crate::dtmf::event::Event;
use crate::dtmf::tone;
use crate::media::rtp::RtpPacket;
use crate::model::Codec;
use crate::model::Digit;
use crate::model::PayloadKind;
use crate::sdp::Negotiated;

/// Dynamic payload types, RFC 3551 section 3.
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

/// What listens to one stream.
#[derive(Debug)]
pub(super) struct Listener {
    ear: Ear,
    /// The keys of which the ear may still hear that they go on, with their places in the report;
    /// at most those that its detectors remember.
    open: Vec<(usize, KeyPress)>,
}

impl Listener {
    /// A listener for a stream that `described` describes.
    pub(super) fn new(tone: tone::Settings, described: Option<&Negotiated>) -> Self {
        let events = described.and_then(|described| described.events);
        Self { ear: Ear::new(tone, events), open: Vec::new() }
    }

    /// Hears one packet and counts it in `row`.
    pub(super) fn packet(
        &mut self,
        now: Instant,
        kind: Option<PayloadKind>,
        packet: &RtpPacket<'_>,
        row: &mut report::Stream,
    ) -> Option<KeyPress> {
        match kind {
            Some(PayloadKind::Audio(codec)) => {
                row.audio += 1;
                self.ear.handle_audio(now, codec, packet).press
            }
            Some(PayloadKind::Event) => {
                row.events += 1;
                self.ear.handle_event(now, packet).press
            }
            None => {
                row.other += 1;
                None
            }
        }
    }

    /// Hears one INFO.
    pub(super) fn info(
        &mut self,
        now: Instant,
        key: InfoKey,
        row: &mut report::Stream,
    ) -> Option<KeyPress> {
        row.events += 1;
        self.ear.handle_info(now, key)
    }
}

impl Listener {
    /// Follows a press, whose place in the report is `key`, to its end.
    pub(super) fn follow(&mut self, key: usize, press: KeyPress) {
        let identity = |press: &KeyPress| (press.method, press.evidence.rtp_timestamp);
        // A sender whose timestamp stands still has gone on to its next key.
        self.open.retain(|(_, open)| identity(open) != identity(&press));
        self.open.push((key, press));
    }

    /// Notes in `report` how long the keys have lasted by now.
    pub(super) fn settle(&mut self, report: &mut Report) {
        self.open.retain(|(key, press)| {
            let lasted = self.ear.lasted_ms(press);
            if let Some(ms) = lasted {
                report.lasted(*key, ms);
            }
            lasted.is_some()
        });
    }
}

/// What a packet carries: by `event_pt` if that was given, by the description if there is one,
/// else by what its payload type and payload look like.
pub(super) fn kind(
    packet: &RtpPacket<'_>,
    event_pt: Option<u8>,
    described: Option<&Negotiated>,
) -> Option<PayloadKind> {
    let payload_type = packet.payload_type();
    if event_pt == Some(payload_type) {
        return Some(PayloadKind::Event);
    }
    match described {
        Some(described) => described.receive.kind(payload_type),
        None => guess(packet),
    }
}

fn guess(packet: &RtpPacket<'_>) -> Option<PayloadKind> {
    if let Some(codec) = Codec::from_payload_type(packet.payload_type()) {
        return Some(PayloadKind::Audio(codec));
    }
    let is_event = DYNAMIC.contains(&packet.payload_type())
        && packet.payload().len() == Event::LEN
        && Event::read(packet.payload())
            .is_ok_and(|event| Digit::from_event_code(event.code).is_some());
    is_event.then_some(PayloadKind::Event)
}
