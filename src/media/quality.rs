//! How well a stream arrives: loss and jitter as RFC 3550 appendix A.3 and A.8 count them.

use std::time::Instant;

use super::replay::DROPOUT_MAX;
use super::rtp::RtpPacket;
use super::rtp::RtpTimestamp;
use super::rtp::SequenceNumber;

/// Ticks of the media clock in a second.
const CLOCK_HZ: u128 = 8000;

/// Lost packets are told in 24 bits with a sign (RFC 3550 section 6.4.1).
const LOST_MAX: i64 = 0x7F_FFFF;
const LOST_MIN: i64 = -0x80_0000;

/// What one report says about a received stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reception {
    /// The stream.
    pub ssrc: u32,
    /// Packets lost since the last report, in 1/256 of those expected.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, -8 388 608 to 8 388 607; doubled ones count negative.
    pub lost: i32,
    /// Highest sequence number, with the turns of its counter in the upper 16 bits.
    pub highest_sequence: u32,
    /// Mean deviation of the packets' spacing, in ticks of 1/8000 s.
    pub jitter_ticks: u32,
}

/// Counts one incoming stream. Feeding it allocates nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quality {
    stream: Option<Stream>,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    zero: Instant,
    base: u16,
    highest: SequenceNumber,
    turns: u32,
    received: u32,
    /// Expected and received when the last report was made.
    reported: (u32, u32),
    transit: Option<RtpTimestamp>,
    /// Sixteen times the jitter, as in appendix A.8.
    jitter_16: u32,
}

impl Quality {
    /// Nothing received yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a believed packet that arrived at `now`. `is_audio` is false for events, whose
    /// common timestamp says nothing about spacing. Another SSRC, or a jump beyond any dropout,
    /// begins the count anew.
    pub fn handle_packet(&mut self, now: Instant, packet: &RtpPacket<'_>, is_audio: bool) {
        let stream = match &mut self.stream {
            Some(stream) if stream.goes_on_with(packet) => stream,
            slot => slot.insert(Stream::new(now, packet)),
        };
        stream.count(packet.sequence());
        if is_audio {
            stream.measure(now, packet.timestamp());
        }
    }

    /// What the next report says; the fraction counts from the report before it (appendix A.3).
    pub fn report(&mut self) -> Option<Reception> {
        let stream = self.stream.as_mut()?;
        let reception = stream.reception();
        stream.reported = (stream.expected(), stream.received);
        Some(reception)
    }

    /// The same without beginning a new interval, for call records.
    pub fn reception(&self) -> Option<Reception> {
        self.stream.as_ref().map(Stream::reception)
    }
}

impl Stream {
    fn new(now: Instant, packet: &RtpPacket<'_>) -> Self {
        Self {
            ssrc: packet.ssrc(),
            zero: now,
            base: packet.sequence().0,
            highest: packet.sequence(),
            turns: 0,
            received: 0,
            reported: (0, 0),
            transit: None,
            jitter_16: 0,
        }
    }

    fn goes_on_with(&self, packet: &RtpPacket<'_>) -> bool {
        let ahead = packet.sequence().since(self.highest);
        packet.ssrc() == self.ssrc && (-DROPOUT_MAX..=DROPOUT_MAX).contains(&ahead)
    }

    fn count(&mut self, sequence: SequenceNumber) {
        self.received = self.received.wrapping_add(1);
        if sequence.since(self.highest) > 0 {
            self.turns += u32::from(sequence.0 < self.highest.0);
            self.highest = sequence;
        }
    }

    fn measure(&mut self, now: Instant, timestamp: RtpTimestamp) {
        let ticks = now.saturating_duration_since(self.zero).as_micros() * CLOCK_HZ / 1_000_000;
        // The media clock wraps, and so does the arrival counted in it.
        let transit = RtpTimestamp((ticks as u32).wrapping_sub(timestamp.0));
        if let Some(last) = self.transit.replace(transit) {
            let deviation = transit.since(last).unsigned_abs();
            self.jitter_16 = self
                .jitter_16
                .saturating_add(deviation)
                .saturating_sub(self.jitter_16.saturating_add(8) >> 4);
        }
    }

    const fn extended(&self) -> u32 {
        (self.turns << 16) | self.highest.0 as u32
    }

    const fn expected(&self) -> u32 {
        self.extended().wrapping_sub(self.base as u32).wrapping_add(1)
    }

    fn reception(&self) -> Reception {
        let (expected_before, received_before) = self.reported;
        let expected = self.expected().wrapping_sub(expected_before);
        let lost = i64::from(expected) - i64::from(self.received.wrapping_sub(received_before));
        let fraction = if expected == 0 { 0 } else { (lost.max(0) << 8) / i64::from(expected) };
        let total = i64::from(self.expected()) - i64::from(self.received);
        Reception {
            ssrc: self.ssrc,
            fraction_lost: fraction.min(255) as u8,
            lost: total.clamp(LOST_MIN, LOST_MAX) as i32,
            highest_sequence: self.extended(),
            jitter_ticks: self.jitter_16 >> 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::media::rtp::HEADER_LEN;

    #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
    fn zero() -> Instant {
        Instant::now()
    }

    fn feed(quality: &mut Quality, now: Instant, ssrc: u32, sequence: u16, timestamp: u32) {
        let mut datagram = [0; HEADER_LEN];
        datagram[0] = 0x80;
        datagram[2..4].copy_from_slice(&sequence.to_be_bytes());
        datagram[4..8].copy_from_slice(&timestamp.to_be_bytes());
        datagram[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let packet = RtpPacket::parse(&datagram).expect("a header is a packet");
        quality.handle_packet(now, &packet, true);
    }

    #[test]
    fn loss_is_counted_as_rfc_3550_does() {
        // Sequence numbers in order of arrival; then lost, fraction lost, extended highest.
        type Row = (&'static str, &'static [u16], (i32, u8, u32));
        let cases: [Row; 7] = [
            ("one packet", &[100], (0, 0, 100)),
            ("none lost", &[100, 101, 102, 103], (0, 0, 103)),
            ("one of four lost", &[100, 101, 103], (1, 64, 103)),
            ("overtaken is not lost", &[100, 102, 101, 103], (0, 0, 103)),
            ("one doubled", &[100, 101, 101, 102], (-1, 0, 102)),
            ("over the wrap", &[65_534, 65_535, 0, 2], (1, 51, 0x1_0002)),
            ("half of them", &[100, 102, 104, 106, 107], (3, 96, 107)),
        ];
        let zero = zero();
        for (name, sequences, want) in cases {
            let mut quality = Quality::new();
            for &sequence in sequences {
                feed(&mut quality, zero, 7, sequence, 0);
            }
            let got = quality.reception().unwrap();
            assert_eq!((got.lost, got.fraction_lost, got.highest_sequence), want, "{name}");
            assert_eq!(quality.report(), Some(got), "{name}");
            assert_eq!(quality.report().unwrap().fraction_lost, 0, "{name}: a new interval");
        }
        assert_eq!(Quality::new().report(), None);
    }

    #[test]
    fn jitter_follows_appendix_a_8() {
        let zero = zero();
        let mut quality = Quality::new();
        // Every second packet is 10 ms (80 ticks) late: |D| is 80 each time. The recurrence
        // J += (|D| - J) / 16 from 0, in units of 1/16 with its rounding, by hand:
        // 80, 155, 225, 291, 353 -> 5, 9, 14, 18, 22 ticks.
        let want = [0, 5, 9, 14, 18, 22];
        for (packet, want) in want.into_iter().enumerate() {
            let late = if packet % 2 == 1 { 10 } else { 0 };
            let now = zero + Duration::from_millis(packet as u64 * 20 + late);
            feed(&mut quality, now, 7, packet as u16, packet as u32 * 160);
            assert_eq!(quality.reception().unwrap().jitter_ticks, want, "packet {packet}");
        }
        for packet in 6..400_u32 {
            let now = zero + Duration::from_millis(u64::from(packet) * 20);
            feed(&mut quality, now, 7, packet as u16, packet * 160);
        }
        assert_eq!(quality.reception().unwrap().jitter_ticks, 0, "and fades away");
    }

    #[test]
    fn another_stream_is_counted_anew() {
        let zero = zero();
        let mut quality = Quality::new();
        feed(&mut quality, zero, 7, 10, 0);
        feed(&mut quality, zero, 7, 15, 0);
        feed(&mut quality, zero, 8, 100, 0);
        let got = quality.reception().unwrap();
        assert_eq!((got.ssrc, got.lost, got.highest_sequence), (8, 0, 100));
        feed(&mut quality, zero, 8, 40_000, 0);
        assert_eq!(quality.reception().unwrap().lost, 0, "a restarted counter loses nothing");
    }
}
