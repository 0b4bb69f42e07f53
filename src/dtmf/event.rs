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
//! Which packets are one press, in the face of loss, re-stamping gateways and senders that do
//! not keep to the RFC, is told by the tables in `press`.
//!
//! A press becomes a key, once, on the first packet by which it has lasted long enough
//! ([`Settings`]), which is well before its end.

#![deny(clippy::indexing_slicing)]

use std::time::Duration;
use std::time::Instant;

use crate::dtmf::key::HeardKey;
use crate::dtmf::press::Belonging;
use crate::dtmf::press::Packet;
use crate::dtmf::press::Press;
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

    /// How long the newest key with this RTP timestamp has lasted by its packets, in milliseconds:
    /// so far while it is held, in all once it is over. `None` for a press that was no key, or is
    /// too old to be remembered.
    pub fn lasted_ms(&self, timestamp: u32) -> Option<u16> {
        let ages = (0..PRESSES_MAX).map(|age| (self.newest + PRESSES_MAX - age) % PRESSES_MAX);
        let mut presses = ages.filter_map(|slot| self.presses.get(slot)?.as_ref());
        let press = presses.find(|press| press.is_key && press.timestamp == timestamp)?;
        Some(u16::try_from(press.duration_ms(self.clock_hz)).unwrap_or(u16::MAX))
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
        let was_ended = press.is_ended;
        press.update(&packet, belonging);
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

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may stop at a miss")]
mod tests {
    use super::*;
    use crate::dtmf::key::Evidence;
    use crate::model::token::Seed;
    use crate::model::token::TokenSource;

    /// One packet as it arrives.
    #[derive(Clone, Copy, Debug)]
    struct Arrival {
        at_ms: u64,
        sequence: u16,
        timestamp: u32,
        marker: bool,
        event: Event,
    }

    fn hear(clock_hz: u32, arrivals: &[Arrival]) -> (Vec<(u64, HeardKey)>, Counters) {
        #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
        let zero = Instant::now();
        let mut detector = EventDetector::new(Settings::default(), clock_hz);
        let mut keys = Vec::new();
        for arrival in arrivals {
            let Arrival { at_ms, sequence, timestamp, marker, event } = *arrival;
            let now = zero + Duration::from_millis(at_ms);
            let payload = event.write();
            let key = detector.handle_packet(now, sequence, timestamp, marker, &payload);
            keys.extend(key.unwrap().map(|key| (at_ms, key)));
        }
        (keys, detector.counters)
    }

    /// Feeds `ms/sequence/timestamp/key+duration` words, `m` for the marker and `e` for the end
    /// behind them, timestamps and durations in milliseconds of an 8 kHz clock; the keys with
    /// their times.
    fn play(script: &str) -> String {
        let arrival = |word: &str| {
            let mut parts = word.split('/');
            let mut number = || parts.next().unwrap().parse::<i64>().unwrap();
            let (at_ms, sequence, timestamp) = (number(), number(), number());
            let event = parts.next().unwrap();
            let duration = event[1..].trim_end_matches(['m', 'e']).parse::<u16>().unwrap();
            Arrival {
                at_ms: at_ms as u64,
                sequence: sequence as u16,
                timestamp: (timestamp * 8) as u32,
                marker: event.contains('m'),
                event: Event {
                    code: Digit::from_char(event.chars().next().unwrap()).unwrap().event_code(),
                    is_end: event.contains('e'),
                    volume: 10,
                    duration_ticks: duration * 8,
                },
            }
        };
        let arrivals: Vec<Arrival> = script.split_whitespace().map(arrival).collect();
        let keys = hear(8000, &arrivals).0;
        let texts = keys.iter().map(|(at, key)| format!("{at}={}", key.digit));
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_press_is_one_key_however_its_packets_come() {
        #[rustfmt::skip]
        let cases = [
            ("as the RFC has it",
             "0/1/0/9.0m 20/2/0/9.20 40/3/0/9.40 60/4/0/9.60 80/5/0/9.80e 80/6/0/9.80e 80/7/0/9.80e", "40=9"),
            ("a first packet with a duration",
             "0/1/0/9.20m 20/2/0/9.40 40/3/0/9.60e 60/4/0/9.60e 80/5/0/9.60e", "20=9"),
            ("50 ms between packets",
             "0/1/0/9.50m 50/2/0/9.100 100/3/0/9.150e 150/4/0/9.150e", "0=9"),
            ("no marker anywhere",
             "0/1/0/9.20 20/2/0/9.40 40/3/0/9.60e 60/4/0/9.60e 80/5/0/9.60e", "20=9"),
            ("a marker on every packet",
             "0/1/0/9.20m 20/2/0/9.40m 40/3/0/9.60me 60/4/0/9.60me", "20=9"),
            ("all ends lost",            "0/1/0/9.20m 20/2/0/9.40 40/3/0/9.60", "20=9"),
            ("the start lost",           "20/2/0/9.40 40/3/0/9.60e 60/4/0/9.60e 80/5/0/9.60e", "20=9"),
            ("only one update",          "60/4/0/9.80", "60=9"),
            ("only one end",             "100/6/0/9.100e", "100=9"),
            ("only the ends",            "100/6/0/9.100e 120/7/0/9.100e 140/8/0/9.100e", "100=9"),
            ("only the first packet: it is not long enough to tell", "0/1/0/9.20m", ""),
            ("the end overtakes all",
             "0/5/0/9.80e 1/1/0/9.20m 2/2/0/9.40 3/3/0/9.60 4/4/0/9.80e", "0=9"),
            ("every packet twice",
             "0/1/0/9.20m 0/1/0/9.20m 20/2/0/9.40 20/2/0/9.40 40/3/0/9.60e 40/3/0/9.60e", "20=9"),
            ("a late duplicate of the start after the end",
             "0/1/0/9.20m 20/2/0/9.40 40/3/0/9.60e 900/1/0/9.20m", "20=9"),
            ("a late update after the next key began",
             "0/1/0/9.20m 20/2/0/9.40 60/4/0/9.60e 200/10/200/5.20m 210/3/0/9.60 220/11/200/5.40", "20=9 220=5"),
            ("the duration stands still at zero",
             "0/1/0/9.0m 20/2/0/9.0 40/3/0/9.0 60/4/0/9.0", "40=9"),
            ("held for two segments, another key after it",
             "40/1/0/9.40m 4000/200/0/9.4000 8180/480/0/9.8180 8200/500/8191/9.20 8220/501/8191/9.40 8240/502/8191/9.50e 9000/520/9000/1.40m", "40=9 9000=1"),
            ("segments whose boundary packets are lost",
             "40/1/0/9.40m 4000/200/0/9.4000 8000/400/0/9.8000 8400/505/8191/9.200 12000/700/8191/9.4000 16200/890/8191/9.8000 16500/900/16382/9.100e", "40=9"),
            ("its ends re-stamped, as rtpengine 1812 has it",
             "0/1/0/1.20m 20/2/0/1.40 160/9/0/1.160 180/10/0/1.180e 180/11/180/1.180e 180/12/200/1.180e", "20=1"),
            ("re-stamped far ahead, but at once",
             "0/1/0/1.20m 20/2/0/1.40 40/3/0/1.60e 41/4/5000/1.60e 42/5/9000/1.60e", "20=1"),
            ("re-stamped ends out of order",
             "0/1/0/1.20m 20/2/0/1.40 40/5/80/1.60e 41/4/60/1.60e 42/3/0/1.60e", "20=1"),
            ("every packet re-stamped, durations grow",
             "0/1/0/2.20m 20/2/20/2.40 40/3/40/2.60 60/4/60/2.80 80/5/80/2.100e 100/6/100/2.100e", "20=2"),
        ];
        for (name, script, want) in cases {
            assert_eq!(play(&script.replace('.', "")), want, "{name}: {script}");
        }
    }

    #[test]
    fn two_presses_are_two_keys() {
        #[rustfmt::skip]
        let cases = [
            ("the same key twice",
             "0/1/0/9.40m 60/4/0/9.60e 160/10/160/9.40m 220/13/160/9.60e", "0=9 160=9"),
            ("the first's ends lost, 40 ms apart",
             "0/1/0/9.20m 20/2/0/9.40 40/3/0/9.60 100/9/100/9.20m 120/10/100/9.40 140/11/100/9.60e", "20=9 120=9"),
            ("the first's ends and the second's marker lost",
             "0/1/0/9.20m 20/2/0/9.40 40/3/0/9.60 120/10/100/9.40 140/11/100/9.60e", "20=9 120=9"),
            ("of the second only an end",
             "0/1/0/9.40m 20/2/0/9.60e 260/15/160/9.100e", "0=9 260=9"),
            ("only ends come, no audio between",
             "0/1/0/9.60e 20/2/0/9.60e 40/3/0/9.60e 200/4/180/9.60e 220/5/180/9.60e", "0=9 200=9"),
            ("another key under the same timestamp",
             "0/1/0/9.40m 40/2/0/9.60e 100/8/0/1.40m 140/9/0/1.60e", "0=9 100=1"),
            ("the same key under a timestamp that stands still",
             "0/1/0/9.40m 40/2/0/9.60e 300/8/0/9.20m 320/9/0/9.40 340/10/0/9.60e", "0=9 320=9"),
            ("the same, seconds later and without marker",
             "0/1/0/9.40m 40/2/0/9.60e 6000/80/0/9.20 6020/81/0/9.40", "0=9 6020=9"),
            ("the timestamp jumps back",
             "0/1/90000/9.40m 40/2/90000/9.60e 300/20/500/9.40m 340/21/500/9.60e", "0=9 300=9"),
            ("the first wholly behind the second",
             "0/9/200/1.40m 20/10/200/1.60e 25/1/0/1.40m 30/2/0/1.60e", "0=1 25=1"),
            ("different keys without a pause",
             "0/1/0/1.40m 40/2/0/1.60e 60/3/60/2.40m 80/4/60/2.60e", "0=1 60=2"),
        ];
        for (name, script, want) in cases {
            assert_eq!(play(&script.replace('.', "")), want, "{name}: {script}");
        }
    }

    #[test]
    fn what_did_not_last_is_no_key() {
        #[rustfmt::skip]
        let cases = [
            ("1 ms and its three ends",        "0/1/0/9.1m 20/2/0/9.1e 40/3/0/9.1e 60/4/0/9.1e", ""),
            ("19 ms",                          "0/1/0/9.19e 20/2/0/9.19e 40/3/0/9.19e", ""),
            ("20 ms, and over",                "0/1/0/9.20e 20/2/0/9.20e 40/3/0/9.20e", "0=9"),
            ("39 ms, and running",             "0/1/0/9.39m", ""),
            ("40 ms, and running",             "0/1/0/9.40m", "0=9"),
            ("two packets that stand still",   "0/1/0/9.10m 50/2/0/9.10", ""),
            ("one packet, doubled and late",   "0/1/0/9.10m 30/1/0/9.10m 60/1/0/9.10m 90/1/0/9.10m", ""),
        ];
        for (name, script, want) in cases {
            assert_eq!(play(&script.replace('.', "")), want, "{name}: {script}");
        }
    }

    #[test]
    fn payloads_are_read_or_counted() {
        #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
        let now = Instant::now();
        type Heard = Result<Option<char>, EventError>;
        #[rustfmt::skip]
        let cases: &[(&str, &[u8], Heard)] = &[
            ("event 9 of 100 ms",                &[9, 0x0a, 3, 0x20],               Ok(Some('9'))),
            ("the reserved bit does not matter", &[9, 0x4a, 3, 0x20],               Ok(Some('9'))),
            ("event 15 is D",                    &[15, 0x0a, 3, 0x20],              Ok(Some('D'))),
            ("event 16 is flash",                &[16, 0x0a, 3, 0x20],              Ok(None)),
            ("event 255",                        &[255, 0x8a, 3, 0x20],             Ok(None)),
            ("four zero bytes in front",         &[0, 0, 0, 0, 9, 0x0a, 3, 0x20],   Ok(Some('9'))),
            ("only zero bytes",                  &[0, 0, 0, 0],                     Ok(None)),
            ("a real zero key",                  &[0, 0, 3, 0x20],                  Ok(Some('0'))),
            ("trailing bytes",                   &[9, 0x0a, 3, 0x20, 0, 0],         Ok(Some('9'))),
            ("a short event, then a second",     &[1, 0x8a, 0, 8, 9, 0x0a, 3, 0x20], Ok(Some('9'))),
            ("nothing",                          &[],                               Err(EventError::Truncated { found: 0 })),
            ("one byte",                         &[9],                              Err(EventError::Truncated { found: 1 })),
            ("three bytes",                      &[9, 0x0a, 3],                     Err(EventError::Truncated { found: 3 })),
        ];
        for (name, payload, want) in cases {
            let mut detector = EventDetector::new(Settings::default(), 8000);
            let got = detector.handle_packet(now, 1, 2, true, payload);
            assert_eq!(got.map(|key| key.map(|key| key.digit.as_char())), *want, "{name}");
            assert_eq!(detector.counters.packets, 1, "{name}");
            assert_eq!(detector.counters.truncated, u64::from(want.is_err()), "{name}");
            assert_eq!(
                detector.counters.not_keys,
                u64::from(payload.first() >= Some(&16)),
                "{name}"
            );
        }
    }

    #[test]
    fn evidence_is_that_of_the_deciding_packet() {
        for (clock_hz, ticks) in [(8000, 400), (16_000, 800), (48_000, 2400)] {
            let event = Event { code: 9, is_end: false, volume: 12, duration_ticks: ticks };
            let arrival = Arrival { at_ms: 0, sequence: 7, timestamp: 77, marker: true, event };
            let (keys, _) = hear(clock_hz, &[arrival]);
            let want = Evidence {
                rtp_timestamp: Some(77),
                rtp_sequence: Some(7),
                duration_ms: Some(50),
                volume_dbm0: Some(-12),
                low_dbm0: None,
                high_dbm0: None,
                confidence: 100,
            };
            assert_eq!(keys.first().unwrap().1.evidence, want, "{clock_hz} Hz");
        }
    }

    #[test]
    fn how_long_a_key_lasted_is_known_when_it_is_over() {
        let event = |duration_ticks, is_end| Event { code: 9, is_end, volume: 10, duration_ticks };
        // RFC 4733 section 2.5.1.3: an event beyond 2^16 - 1 ticks goes on in a next segment.
        type Packets = &'static [(u32, u16, bool)];
        #[rustfmt::skip]
        let cases: [(&str, Packets, Option<u16>); 5] = [
            ("too short for a key",  &[(0, 80, true)],                                     None),
            ("still held",           &[(0, 320, false), (0, 480, false)],                  Some(60)),
            ("three ends",           &[(0, 400, false), (0, 800, true), (0, 800, true)],   Some(100)),
            ("a late update",        &[(0, 400, false), (0, 800, true), (0, 640, false)],  Some(100)),
            ("two segments",         &[(0, 65_535, false), (65_535, 160, false), (65_535, 320, true)],
             Some(8231)),
        ];
        for (name, packets, want) in cases {
            #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
            let mut now = Instant::now();
            let mut detector = EventDetector::new(Settings::default(), 8000);
            for (sequence, &(timestamp, ticks, is_end)) in (0..).zip(packets) {
                let payload = event(ticks, is_end).write();
                now += Duration::from_millis(20);
                detector.handle_packet(now, sequence, timestamp, sequence == 0, &payload).unwrap();
            }
            assert_eq!(detector.lasted_ms(0), want, "{name}");
            assert_eq!(detector.lasted_ms(1), None, "{name}");
        }
    }

    #[test]
    fn an_event_reads_as_it_was_written() {
        for code in 0..=255 {
            for volume in [0, 10, 63] {
                for duration_ticks in [0, 1, 400, 65_535] {
                    let event = Event { code, is_end: code % 2 == 0, volume, duration_ticks };
                    assert_eq!(Event::read(&event.write()), Ok(event));
                }
            }
        }
        assert_eq!(Event { code: 1, is_end: false, volume: 200, duration_ticks: 0 }.write()[1], 63);
    }

    #[test]
    fn a_held_key_is_told_until_its_end() {
        #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
        let now = Instant::now();
        let mut detector = EventDetector::new(Settings::default(), 8000);
        let mut feed = |sequence, is_end, duration_ticks| {
            let event = Event { code: 9, is_end, volume: 0, duration_ticks };
            let _ = detector.handle_packet(now, sequence, 0, false, &event.write());
            detector.held().map(Digit::as_char)
        };
        let held =
            [feed(1, false, 160), feed(2, false, 320), feed(3, false, 480), feed(4, true, 480)];
        assert_eq!(held, [None, Some('9'), Some('9'), None]);
    }

    #[test]
    fn any_bytes_under_any_header_are_taken_without_a_panic() {
        #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
        let zero = Instant::now();
        let mut random = TokenSource::new(Seed(1, 2));
        let mut detector = EventDetector::new(Settings::default(), 0);
        for round in 0..100_000_u64 {
            let (header, bytes) = (random.next_u64(), random.next_u64().to_be_bytes());
            let payload = &bytes[..(header % 9) as usize];
            let now = zero + Duration::from_millis(round);
            let marker = header & 0x100 != 0;
            // Half of the timestamps lie close together, so that presses are met again.
            let timestamp = (header >> 32) as u32 & if marker { u32::MAX } else { 0xfff };
            let _ = detector.handle_packet(now, (header >> 16) as u16, timestamp, marker, payload);
        }
        let Counters { packets, keys, truncated, .. } = detector.counters;
        assert!(packets == 100_000 && keys <= packets - truncated && truncated > 30_000);
    }

    /// Random presses, sent as the RFC has it, over a network that loses, doubles and reorders.
    ///
    /// What must be heard is known from the packets that arrived: a press is one key when at
    /// least one of them says that it lasted long enough, else none.
    #[test]
    fn over_a_bad_network_each_press_is_one_key() {
        let (mut presses, mut heard, mut hidden) = (0, 0, 0);
        for seed in 0..4000 {
            let mut random = TokenSource::new(Seed(seed, 4733));
            let (arrivals, want, lost) = journey(&mut random);
            let clock_hz = 8000;
            let mut got: Vec<(u32, char)> = hear(clock_hz, &arrivals)
                .0
                .iter()
                .map(|(_, key)| (key.evidence.rtp_timestamp.unwrap(), key.digit.as_char()))
                .collect();
            let mut want = want;
            got.sort_unstable();
            want.sort_unstable();
            presses += want.len() + lost;
            heard += got.len();
            hidden += lost;
            assert_eq!(got, want, "seed {seed}: {arrivals:#?}");
        }
        assert!(presses > 15_000 && heard + hidden == presses && hidden < presses / 10);
    }

    /// What arrives of some presses; those that must be heard; how many cannot be.
    fn journey(random: &mut TokenSource) -> (Vec<Arrival>, Vec<(u32, char)>, usize) {
        let mut pick = |below: u64| random.next_u64() % below;
        let loss_percent = [0, 5, 20, 50][pick(4) as usize];
        let double_percent = [0, 10][pick(2) as usize];
        let delay_max_ms = [1, 20, 60][pick(3) as usize];
        let frame_ms = [10, 20, 30, 40][pick(4) as usize];
        let (marks, has_audio, ends_at_once) = (pick(4) > 0, pick(4) > 0, pick(2) > 0);
        let mut sequence = pick(65_536) as u16;
        let base = if pick(2) > 0 { u32::MAX - pick(16_000) as u32 } else { pick(1 << 32) as u32 };
        let (mut at_ms, mut sent, mut starts) = (0, Vec::new(), Vec::new());
        for _ in 0..2 + pick(6) {
            let length_ms = (2 + pick(20)) * frame_ms.max(20);
            let start = base.wrapping_add(at_ms as u32 * 8);
            let code = pick(2) as u8 * 9;
            starts.push((start, Digit::from_event_code(code).unwrap().as_char()));
            let frames = length_ms / frame_ms;
            for frame in 1..=frames + 2 {
                let is_end = frame >= frames;
                let now = at_ms + if is_end && ends_at_once { frames } else { frame } * frame_ms;
                let duration_ticks = (frame.min(frames) * frame_ms * 8) as u16;
                let event = Event { code, is_end, volume: 10, duration_ticks };
                let marker = marks && frame == 1;
                sent.push(Arrival { at_ms: now, sequence, timestamp: start, marker, event });
                sequence = sequence.wrapping_add(1);
            }
            // A sender without audio between must pause longer than a re-stamped end may come.
            let pause_ms = if has_audio { 40 + pick(400) } else { 150 + pick(400) };
            at_ms += length_ms + 2 * frame_ms + pause_ms;
            if has_audio {
                sequence = sequence.wrapping_add((pause_ms / 20).max(2) as u16);
            }
        }
        let mut arrivals = Vec::new();
        for packet in sent {
            for _ in 0..1 + u64::from(pick(100) < double_percent) {
                if pick(100) >= loss_percent {
                    arrivals.push(Arrival { at_ms: packet.at_ms + pick(delay_max_ms), ..packet });
                }
            }
        }
        arrivals.sort_by_key(|arrival| arrival.at_ms);
        let suffices = |start: u32| {
            arrivals.iter().any(|arrival| {
                let least = if arrival.event.is_end { 160 } else { 320 };
                arrival.timestamp == start && arrival.event.duration_ticks >= least
            })
        };
        let all = starts.len();
        starts.retain(|(start, _)| suffices(*start));
        let lost = all - starts.len();
        (arrivals, starts, lost)
    }
}
