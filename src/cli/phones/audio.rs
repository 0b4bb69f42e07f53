//! A phone's voice and ear: 20 ms frames of quiet noise, tones or events out; what was heard in.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use rtp_rs::RtpPacketBuilder;
use rtp_rs::RtpReader;
use rtp_rs::Seq;

use super::script::Press;
use super::script::PressMethod;
use crate::model::Digit;

/// Duration of one frame.
pub(super) const FRAME: Duration = Duration::from_millis(20);

/// Samples of one frame at 8000 Hz.
const FRAME_SAMPLES: u32 = 160;

/// Payload type of our telephone-events; deliberately not the 101 that everybody assumes.
pub(super) const EVENT_PAYLOAD_TYPE: u8 = 99;

/// Payload type of PCMU (RFC 3551).
const PCMU_PAYLOAD_TYPE: u8 = 0;

/// Amplitude of each of a key's two tones: -10 dBm0 of full scale 32,124 at +3.17 dBm0.
const TONE_AMPLITUDE: f64 = 7_050.0;

/// Mean magnitude above which a frame counts as speech or tone, not as the line's noise.
const LOUD_MEAN: i64 = 300;

/// What a phone heard and sent.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP packets received.
    pub packets_received: u64,
    /// Frames of them that were louder than a quiet line.
    pub loud_frames: u64,
    /// The first and the last loud frame.
    pub loud: Option<(Instant, Instant)>,
    /// Keys that came as telephone-events, one for each RTP timestamp.
    pub digits: Vec<Digit>,
}

/// The RTP side of one phone.
#[derive(Debug)]
pub(super) struct Audio {
    pub(super) remote: Option<SocketAddr>,
    /// The payload type under which the other side expects events.
    pub(super) event_payload_type: u8,
    pub(super) heard: Heard,
    talks: bool,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    noise: u32,
    next_frame_at: Instant,
    pressing: Option<Pressing>,
    queue: VecDeque<Press>,
    last_event_timestamp: Option<u32>,
}

/// A key that is being held.
#[derive(Debug)]
struct Pressing {
    press: Press,
    elapsed: Duration,
    ends_sent: u8,
    started_at_timestamp: u32,
}

impl Audio {
    pub(super) fn new(now: Instant, talks: bool, seed: u32) -> Self {
        Self {
            remote: None,
            event_payload_type: EVENT_PAYLOAD_TYPE,
            heard: Heard::default(),
            talks,
            ssrc: seed ^ 0x5eed_0001,
            sequence: seed as u16,
            timestamp: seed.wrapping_mul(2_654_435_761),
            noise: seed | 1,
            next_frame_at: now,
            pressing: None,
            queue: VecDeque::new(),
            last_event_timestamp: None,
        }
    }

    /// The call is answered: the first frame is due.
    pub(super) fn begin(&mut self, now: Instant) {
        self.next_frame_at = now;
    }

    /// Presses a key in the audio, by event or tone; it waits for the key before it.
    pub(super) fn press(&mut self, press: Press) {
        self.queue.push_back(press);
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.next_frame_at
    }

    /// The packets that are due at `now`.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        mut send: impl FnMut(SocketAddr, Vec<u8>),
    ) {
        while self.next_frame_at <= now {
            self.next_frame_at += FRAME;
            if self.pressing.is_none() {
                self.pressing = self.queue.pop_front().map(|press| Pressing {
                    press,
                    elapsed: Duration::ZERO,
                    ends_sent: 0,
                    started_at_timestamp: self.timestamp,
                });
            }
            let Some(remote) = self.remote else { continue };
            for packet in self.frame() {
                self.heard.packets_sent += 1;
                send(remote, packet);
            }
        }
    }

    fn frame(&mut self) -> Vec<Vec<u8>> {
        let packets = match self.pressing.take() {
            Some(pressing) if pressing.press.method == PressMethod::Event => self.event(pressing),
            Some(pressing) => self.tone(pressing),
            None if self.talks => {
                let samples: Vec<i16> = (0..FRAME_SAMPLES).map(|_| self.noise()).collect();
                vec![self.audio(&samples)]
            }
            None => Vec::new(),
        };
        self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES);
        packets
    }

    /// RFC 4733 section 2.5.1: updates with a growing duration, the end three times.
    fn event(&mut self, mut pressing: Pressing) -> Vec<Vec<u8>> {
        let is_first = pressing.elapsed.is_zero();
        pressing.elapsed += FRAME;
        let is_end = pressing.elapsed >= pressing.press.hold;
        let ticks = (pressing.elapsed.as_millis() * 8) as u16;
        let volume_and_end = if is_end { 0x80 | 10 } else { 10 };
        let [high, low] = ticks.to_be_bytes();
        let payload = [pressing.press.digit.event_code(), volume_and_end, high, low];
        let copies = if is_end { 3 } else { 1 };
        let packets = (0..copies)
            .map(|_| {
                let timestamp = pressing.started_at_timestamp;
                self.packet(self.event_payload_type, is_first, timestamp, &payload)
            })
            .collect();
        pressing.ends_sent += u8::from(is_end);
        if pressing.ends_sent == 0 {
            self.pressing = Some(pressing);
        }
        packets
    }

    fn tone(&mut self, mut pressing: Pressing) -> Vec<Vec<u8>> {
        let (low_hz, high_hz) = frequencies(pressing.press.digit);
        let start = pressing.elapsed.as_secs_f64() * 8_000.0;
        let samples: Vec<i16> = (0..FRAME_SAMPLES)
            .map(|n| {
                let t = (start + f64::from(n)) / 8_000.0 * std::f64::consts::TAU;
                (TONE_AMPLITUDE * ((t * low_hz).sin() + (t * high_hz).sin())) as i16
            })
            .collect();
        pressing.elapsed += FRAME;
        if pressing.elapsed < pressing.press.hold {
            self.pressing = Some(pressing);
        }
        vec![self.audio(&samples)]
    }

    fn audio(&mut self, samples: &[i16]) -> Vec<u8> {
        let octets: Vec<u8> = samples.iter().map(|&sample| pcmu(sample)).collect();
        self.packet(PCMU_PAYLOAD_TYPE, false, self.timestamp, &octets)
    }

    fn packet(
        &mut self,
        payload_type: u8,
        marked: bool,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        RtpPacketBuilder::new()
            .payload_type(payload_type)
            .marked(marked)
            .ssrc(self.ssrc)
            .sequence(Seq::from(self.sequence))
            .timestamp(timestamp)
            .payload(payload)
            .build()
            .unwrap_or_default()
    }

    fn noise(&mut self) -> i16 {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.noise >> 27) as i16 - 16
    }

    /// A packet came in.
    pub(super) fn handle_rtp(&mut self, now: Instant, datagram: &[u8]) {
        let Ok(packet) = RtpReader::new(datagram) else { return };
        self.heard.packets_received += 1;
        if packet.payload_type() == EVENT_PAYLOAD_TYPE {
            return self.heard_event(packet.timestamp(), packet.payload());
        }
        let total: i64 = packet.payload().iter().map(|&octet| pcmu_magnitude(octet)).sum();
        let len = i64::try_from(packet.payload().len().max(1)).unwrap_or(i64::MAX);
        if packet.payload_type() == PCMU_PAYLOAD_TYPE && total / len > LOUD_MEAN {
            self.heard.loud_frames += 1;
            let first = self.heard.loud.map_or(now, |(first, _)| first);
            self.heard.loud = Some((first, now));
        }
    }

    fn heard_event(&mut self, timestamp: u32, payload: &[u8]) {
        let digit = payload.first().and_then(|&code| Digit::from_event_code(code));
        if self.last_event_timestamp.replace(timestamp) != Some(timestamp) {
            self.heard.digits.extend(digit);
        }
    }
}

/// The low and the high frequency of a key, in hertz (ITU-T Q.23).
fn frequencies(digit: Digit) -> (f64, f64) {
    const ROWS: [&str; 4] = ["123A", "456B", "789C", "*0#D"];
    const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const HIGH: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
    for (keys, low) in ROWS.into_iter().zip(LOW) {
        for (key, high) in keys.chars().zip(HIGH) {
            if key == digit.as_char() {
                return (low, high);
            }
        }
    }
    (0.0, 0.0)
}

/// One sample in PCMU, by the segment search of ITU-T G.711 rather than by a table.
fn pcmu(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    let exponent = (31 - (magnitude as u32).leading_zeros()).saturating_sub(7).min(7);
    let mantissa = (magnitude >> (exponent + 3)) & 0x0F;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | ((exponent as u8) << 4) | mantissa as u8)
}

fn pcmu_magnitude(octet: u8) -> i64 {
    let inverted = !octet;
    let exponent = (inverted >> 4) & 0x07;
    let mantissa = i64::from(inverted & 0x0F);
    (((mantissa << 3) + 0x84) << exponent) - 0x84
}
