//! One press of a telephone-event stream: which packets belong to it, and when it is a key.
//!
//! A packet belongs to the press with its timestamp and its event code (some senders reuse a
//! timestamp for the next key), or, by the exceptions below, to one with its code alone. Whatever
//! belongs to no press begins a new one. Time and order come from the packets, never from what
//! should have come: any packet of a press may be missing, late, doubled or first.
//!
//! | a packet with the code of an earlier press, but another timestamp | is |
//! |---|---|
//! | no marker, press not ended, 2^16 ticks on, press heard within 500 ms | its next segment (2.5.1.3) |
//! | no marker, within 3 sequence numbers, end bit or no less duration, and starting before the pause that two presses need, or within 30 ms of its last packet | re-stamped by a gateway on the way: the same press |
//! | anything else | a new press |
//!
//! | a packet with code and timestamp of an earlier press | is |
//! |---|---|
//! | marker, no end bit, press ended, newer sequence number, less duration | a new press by a sender whose timestamp stands still |
//! | anything else | an update, an end, a duplicate or a late one |

#![deny(clippy::indexing_slicing)]

use std::time::Duration;
use std::time::Instant;

use crate::dtmf::event::Event;
use crate::dtmf::event::Settings;
use crate::dtmf::key::Evidence;
use crate::dtmf::key::HeardKey;
use crate::dtmf::key::Method;
use crate::model::Digit;

/// Two presses of one key have a pause: 40 ms by Q.24, and a gateway's re-stamped third end, two
/// frames after the first, must not reach it.
const PAUSE_MIN: Duration = Duration::from_millis(60);

/// A re-stamped packet follows its press at once; the end of a further press cannot.
const RESTAMPED_AFTER_MAX: Duration = Duration::from_millis(30);

/// Sequence numbers between a press's packets: its three ends, any of them lost.
const RESTAMPED_SEQUENCE_MAX: i16 = 3;

/// The next segment of a long event follows its last within this.
const SEGMENT_AFTER_MAX: Duration = Duration::from_millis(500);

/// A segment ends at 2^16 - 1 ticks or up to this much before, since updates come in steps.
const SEGMENT_SLACK_TICKS: u32 = 0x1000;

/// Packets that must come over [`Settings::duration_min`] when the duration field stands still.
const FROZEN_PACKETS_MIN: u8 = 3;

/// A press that nothing was heard of for so long is over, whatever its packets say: by then the
/// same code and timestamp are a sender whose timestamp stands still.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);

/// One press, as far as its packets came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Press {
    pub(super) digit: Digit,
    /// Of its first segment.
    pub(super) timestamp: u32,
    /// Of its newest segment.
    segment: u32,
    /// Of its newest packet.
    sequence: u16,
    /// The longest duration heard within the newest segment.
    duration_ticks: u16,
    volume: u8,
    first_at: Instant,
    last_at: Instant,
    /// Packets without the end bit, each further on, whose duration is that of the first.
    frozen: u8,
    pub(super) is_ended: bool,
    pub(super) is_key: bool,
}

/// How a packet relates to a press.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Belonging {
    New,
    Same,
    Restamped,
    Segment,
}

/// One event with the RTP header fields that matter to it.
#[derive(Clone, Copy)]
pub(super) struct Packet {
    pub(super) now: Instant,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) digit: Digit,
    pub(super) event: Event,
}

impl Press {
    /// A press that begins with `packet`, which it has not yet taken in.
    pub(super) const fn new(packet: &Packet) -> Self {
        Self {
            digit: packet.digit,
            timestamp: packet.timestamp,
            segment: packet.timestamp,
            // One before, so that the first packet is newer than what was heard.
            sequence: packet.sequence.wrapping_sub(1),
            duration_ticks: packet.event.duration_ticks,
            volume: packet.event.volume,
            first_at: packet.now,
            last_at: packet.now,
            frozen: 0,
            is_ended: false,
            is_key: false,
        }
    }

    /// The tables of the module's documentation.
    pub(super) fn belonging(&self, packet: &Packet, clock_hz: u32) -> Belonging {
        let since = packet.now.saturating_duration_since(self.last_at);
        if packet.digit != self.digit || since > FORGOTTEN_AFTER {
            return Belonging::New;
        }
        let known = self.segment.wrapping_sub(self.timestamp);
        if packet.timestamp.wrapping_sub(self.timestamp) <= known {
            return if self.is_repeated_under_one_timestamp(packet) {
                Belonging::New
            } else {
                Belonging::Same
            };
        }
        if packet.marker {
            return Belonging::New;
        }
        let ahead_ticks = packet.timestamp.wrapping_sub(self.segment);
        let full = 0x1_0000 - SEGMENT_SLACK_TICKS..=0x1_0000;
        if full.contains(&ahead_ticks) && !self.is_ended && since <= SEGMENT_AFTER_MAX {
            return Belonging::Segment;
        }
        if self.is_restamped(packet, ahead_ticks, since, clock_hz) {
            return Belonging::Restamped;
        }
        Belonging::New
    }

    fn is_repeated_under_one_timestamp(&self, packet: &Packet) -> bool {
        packet.marker
            && !packet.event.is_end
            && self.is_ended
            && sequence_distance(self.sequence, packet.sequence) > 0
            && packet.event.duration_ticks < self.duration_ticks
    }

    fn is_restamped(&self, packet: &Packet, ahead: u32, since: Duration, clock_hz: u32) -> bool {
        let near = sequence_distance(self.sequence, packet.sequence).unsigned_abs()
            <= RESTAMPED_SEQUENCE_MAX.unsigned_abs();
        let goes_on = packet.event.is_end || !self.is_ended;
        let no_shorter = packet.event.duration_ticks >= self.duration_ticks;
        let before_pause = ahead < u32::from(self.duration_ticks) + ticks(PAUSE_MIN, clock_hz);
        let at_once = packet.event.is_end && since <= RESTAMPED_AFTER_MAX;
        near && goes_on && no_shorter && (before_pause || at_once)
    }

    /// Takes in a packet that belongs to it.
    pub(super) fn update(&mut self, packet: &Packet, belonging: Belonging) {
        if belonging == Belonging::Segment {
            self.segment = packet.timestamp;
            self.duration_ticks = 0;
        }
        self.last_at = packet.now;
        let is_newer = sequence_distance(self.sequence, packet.sequence) > 0;
        if is_newer {
            self.sequence = packet.sequence;
            self.volume = packet.event.volume;
        }
        if packet.event.is_end {
            self.is_ended = true;
        } else if packet.event.duration_ticks != self.duration_ticks {
            self.frozen = 0;
        } else if is_newer {
            self.frozen = self.frozen.saturating_add(1);
        }
        let is_of_older_segment = packet.timestamp != self.segment
            && packet.timestamp.wrapping_sub(self.timestamp)
                < self.segment.wrapping_sub(self.timestamp);
        if !is_of_older_segment {
            self.duration_ticks = self.duration_ticks.max(packet.event.duration_ticks);
        }
    }

    /// Whether it has lasted long enough to be a key.
    pub(super) fn suffices(&self, settings: Settings, clock_hz: u32) -> bool {
        let stated = Duration::from_millis(self.duration_ms(clock_hz).into());
        let least = if self.is_ended { settings.ended_duration_min } else { settings.duration_min };
        let waited = self.last_at.saturating_duration_since(self.first_at);
        stated >= least
            || !self.is_ended
                && self.frozen >= FROZEN_PACKETS_MIN
                && waited >= settings.duration_min
    }

    /// The key it is, decided by the packet with this sequence number.
    pub(super) fn heard(&self, sequence: u16, clock_hz: u32) -> HeardKey {
        HeardKey {
            digit: self.digit,
            method: Method::Event,
            evidence: Evidence {
                rtp_timestamp: Some(self.timestamp),
                rtp_sequence: Some(sequence),
                duration_ms: Some(u16::try_from(self.duration_ms(clock_hz)).unwrap_or(u16::MAX)),
                volume_dbm0: i8::try_from(self.volume).ok().map(|volume| -volume),
                confidence: 100,
                ..Evidence::default()
            },
        }
    }

    /// All segments together, in milliseconds.
    pub(super) fn duration_ms(&self, clock_hz: u32) -> u32 {
        let earlier = u64::from(self.segment.wrapping_sub(self.timestamp));
        let all = (earlier + u64::from(self.duration_ticks)) * 1000 / u64::from(clock_hz);
        u32::try_from(all).unwrap_or(u32::MAX)
    }
}

/// How many packets `to` was sent after `from`; negative when before (RFC 1982).
const fn sequence_distance(from: u16, to: u16) -> i16 {
    to.wrapping_sub(from).cast_signed()
}

fn ticks(duration: Duration, clock_hz: u32) -> u32 {
    let ticks = duration.as_micros() * u128::from(clock_hz) / 1_000_000;
    u32::try_from(ticks).unwrap_or(u32::MAX)
}
