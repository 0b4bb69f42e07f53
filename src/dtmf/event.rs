//! Telephone-events: one press, one key, whatever the network did to its packets.
//!
//! RFC 4733 section 2.3, the payload; a press is a run of such packets under one RTP timestamp:
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+-+-+-----------+-------------------------------+
//! |     event     |E|R|  volume   |          duration             |
//! +---------------+-+-+-----------+-------------------------------+
//! ```
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
//!
//! A press becomes a key, once, on the first packet by which it has lasted long enough
//! ([`Settings`]), which is well before its end.

#![deny(clippy::indexing_slicing)]

use std::time::Duration;
use std::time::Instant;

use crate::dtmf::key::Evidence;
use crate::dtmf::key::HeardKey;
use crate::dtmf::key::Method;
use crate::model::Digit;

/// How long an event must last to be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A running event is a key from this duration on. 40 ms: what Q.24 wants recognised.
    pub duration_min: Duration,
    /// An event whose end was signalled is a key from this duration on. 20 ms: ETSI ES 201 235-3
    /// leaves 20 to 40 ms to the receiver, and the sender has already judged it to be a key.
    pub ended_duration_min: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            duration_min: Duration::from_millis(40),
            ended_duration_min: Duration::from_millis(20),
        }
    }
}

/// Why an event payload could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// Fewer bytes than one event has.
    #[error("expected an event of 4 bytes, found {found}")]
    Truncated {
        /// How many bytes there were.
        found: usize,
    },
}

/// What became of the packets, since the detector was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets handed in.
    pub packets: u64,
    /// Presses that became keys.
    pub keys: u64,
    /// Packets whose payload was too short to read.
    pub truncated: u64,
    /// Events from 16 on, which are no keys.
    pub not_keys: u64,
    /// Payloads with four zero bytes in front, which were skipped.
    pub padded: u64,
    /// Packets whose timestamp was changed on the way and that were taken for their press.
    pub restamped: u64,
    /// Presses that ended before they had lasted long enough.
    pub too_short: u64,
}

/// One event, as it stands in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event code; 0 to 15 are keys.
    pub code: u8,
    /// Whether the event is over.
    pub is_end: bool,
    /// The level without its sign, 0 to 63: 10 stands for -10 dBm0.
    pub volume: u8,
    /// How long it has lasted, in ticks of the payload type's clock.
    pub duration_ticks: u16,
}

impl Event {
    /// Length on the wire.
    pub const LEN: usize = 4;

    /// Reads the first event of a payload.
    ///
    /// # Errors
    ///
    /// [`EventError::Truncated`] under four bytes.
    pub fn read(payload: &[u8]) -> Result<Self, EventError> {
        let [code, flags, high, low, ..] = *payload else {
            return Err(EventError::Truncated { found: payload.len() });
        };
        Ok(Self {
            code,
            is_end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration_ticks: u16::from_be_bytes([high, low]),
        })
    }

    /// The payload of this event; a volume over 63 is sent as 63.
    pub fn write(self) -> [u8; Self::LEN] {
        let [high, low] = self.duration_ticks.to_be_bytes();
        [self.code, u8::from(self.is_end) << 7 | self.volume.min(63), high, low]
    }
}

/// Presses remembered, so that a late packet finds its own. Eight are more than a hand can press
/// within the second by which the network may delay a packet.
const PRESSES_MAX: usize = 8;

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

/// Hears the keys in one stream of telephone-event packets.
#[derive(Clone, Debug)]
pub struct EventDetector {
    settings: Settings,
    clock_hz: u32,
    /// Newest at `newest`, older ones before it, round.
    presses: [Option<Press>; PRESSES_MAX],
    newest: usize,
    counters: Counters,
}

/// One press, as far as its packets came.
#[derive(Clone, Copy, Debug)]
struct Press {
    digit: Digit,
    /// Of its first segment.
    timestamp: u32,
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
    is_ended: bool,
    is_key: bool,
}

/// How a packet relates to a press.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belonging {
    New,
    Same,
    Restamped,
    Segment,
}

/// One event with the RTP header fields that matter to it.
#[derive(Clone, Copy)]
struct Packet {
    now: Instant,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    digit: Digit,
    event: Event,
}

impl EventDetector {
    /// A detector for a payload type whose clock, as negotiated, runs at `clock_hz` (not zero).
    pub fn new(settings: Settings, clock_hz: u32) -> Self {
        Self {
            settings,
            clock_hz: clock_hz.max(1),
            presses: [None; PRESSES_MAX],
            newest: 0,
            counters: Counters::default(),
        }
    }

    /// Takes one packet that arrived at `now`; the key, on the packet that makes it certain.
    ///
    /// Of a payload with several events (RFC 4733 section 2.5.1.4) at most one becomes a key per
    /// packet; the next does with the next packet, as each is repeated.
    ///
    /// # Errors
    ///
    /// [`EventError::Truncated`] when the payload holds no whole event; nothing is changed.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        sequence: u16,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<Option<HeardKey>, EventError> {
        self.counters.packets += 1;
        let mut rest = self.skip_padding(payload);
        if rest.len() < Event::LEN {
            self.counters.truncated += 1;
        }
        let mut event = Event::read(rest)?;
        let mut timestamp = timestamp;
        loop {
            match Digit::from_event_code(event.code) {
                Some(digit) => {
                    let packet = Packet { now, sequence, timestamp, marker, digit, event };
                    if let Some(key) = self.handle_event(packet) {
                        return Ok(Some(key));
                    }
                }
                None => self.counters.not_keys += 1,
            }
            // A further event begins where the one before it, which must be over, ended.
            rest = rest.get(Event::LEN..).unwrap_or_default();
            if rest.len() < Event::LEN || !event.is_end {
                return Ok(None);
            }
            timestamp = timestamp.wrapping_add(u32::from(event.duration_ticks));
            event = Event::read(rest)?;
        }
    }

    /// The key that is down by the newest press's last packet: not ended, and it is a key.
    pub fn held(&self) -> Option<Digit> {
        let press = self.presses.get(self.newest).copied().flatten()?;
        (press.is_key && !press.is_ended).then_some(press.digit)
    }

    /// What became of the packets so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Four zero bytes before the event, as some senders have them: no event 0 without an end and
    /// without a duration is followed by another, so nothing real looks like it.
    fn skip_padding<'a>(&mut self, payload: &'a [u8]) -> &'a [u8] {
        match payload.strip_prefix(&[0; Event::LEN]) {
            Some(rest) if rest.len() >= Event::LEN => {
                self.counters.padded += 1;
                rest
            }
            _ => payload,
        }
    }

    fn handle_event(&mut self, packet: Packet) -> Option<HeardKey> {
        let (slot, belonging) = self.find(&packet);
        let slot = if belonging == Belonging::New { self.begin(&packet) } else { slot };
        self.counters.restamped += u64::from(belonging == Belonging::Restamped);
        let press = self.presses.get_mut(slot)?.as_mut()?;
        if belonging == Belonging::Segment {
            press.segment = packet.timestamp;
            press.duration_ticks = 0;
        }
        let was_ended = press.is_ended;
        press.update(&packet);
        if press.is_key {
            return None;
        }
        press.is_key = press.suffices(self.settings, self.clock_hz);
        if press.is_key {
            let key = press.heard(packet.sequence, self.clock_hz);
            self.counters.keys += 1;
            return Some(key);
        }
        if press.is_ended && !was_ended {
            self.counters.too_short += 1;
        }
        None
    }

    /// The press that `packet` belongs to, and how; newest first.
    fn find(&self, packet: &Packet) -> (usize, Belonging) {
        (0..PRESSES_MAX)
            .map(|age| (self.newest + PRESSES_MAX - age) % PRESSES_MAX)
            .find_map(|slot| {
                let press = self.presses.get(slot)?.as_ref()?;
                let belonging = press.belonging(packet, self.clock_hz);
                (belonging != Belonging::New).then_some((slot, belonging))
            })
            .unwrap_or((self.newest, Belonging::New))
    }

    /// Forgets the oldest press for one that begins with `packet`.
    fn begin(&mut self, packet: &Packet) -> usize {
        self.newest = (self.newest + 1) % PRESSES_MAX;
        if let Some(slot) = self.presses.get_mut(self.newest) {
            *slot = Some(Press::new(packet));
        }
        self.newest
    }
}

impl Press {
    const fn new(packet: &Packet) -> Self {
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
    fn belonging(&self, packet: &Packet, clock_hz: u32) -> Belonging {
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

    fn update(&mut self, packet: &Packet) {
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

    fn suffices(&self, settings: Settings, clock_hz: u32) -> bool {
        let stated = Duration::from_millis(self.duration_ms(clock_hz).into());
        let least = if self.is_ended { settings.ended_duration_min } else { settings.duration_min };
        let waited = self.last_at.saturating_duration_since(self.first_at);
        stated >= least
            || !self.is_ended
                && self.frozen >= FROZEN_PACKETS_MIN
                && waited >= settings.duration_min
    }

    fn heard(&self, sequence: u16, clock_hz: u32) -> HeardKey {
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
    fn duration_ms(&self, clock_hz: u32) -> u32 {
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
