//! One outgoing RTP stream: what we ourselves say and what we relay share its counters.
//!
//! A leg has one sender for its whole life. Prompts and relayed audio take turns on it, and the
//! receiver sees one SSRC whose sequence numbers and timestamps never jump back.

use std::time::Duration;
use std::time::Instant;

use rtp_rs::RtpPacketBuilder;

use super::rtp::HEADER_LEN;
use super::rtp::RtpTimestamp;
use super::rtp::SequenceNumber;
use crate::model::token::TokenSource;

/// Ticks of the media clock in a second: G.711 and its events.
const CLOCK_HZ: u32 = 8000;

/// A pause longer than this begins a new talkspurt, whose timestamp follows the clock. Our choice:
/// five frames, so that a late slot of the driver does not look like a pause.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// What a header says besides what the stream itself knows.
#[derive(Clone, Copy, Debug)]
pub struct Heading {
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// First packet of a talkspurt or of an event.
    pub marker: bool,
    /// The packet's number in the stream.
    pub sequence: SequenceNumber,
    /// The sampling instant.
    pub timestamp: RtpTimestamp,
}

/// An outgoing stream: SSRC, counters and media clock.
#[derive(Clone, Debug)]
pub struct RtpSender {
    ssrc: u32,
    next_sequence: SequenceNumber,
    /// First timestamp that nothing sent so far has covered.
    next_timestamp: RtpTimestamp,
    clock: (Instant, RtpTimestamp),
    sent_at: Option<Instant>,
    counters: SenderCounters,
}

/// What a stream has sent, as a sender report tells it (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderCounters {
    /// Packets written.
    pub packets: u64,
    /// Octets of payload in them.
    pub octets: u64,
    /// Packets that did not fit the caller's buffer or had no valid payload type.
    pub refused: u64,
}

impl RtpSender {
    /// A stream that begins at `now` with unguessable SSRC, sequence number and timestamp, as
    /// RFC 3550 section 5.1 asks.
    pub fn new(now: Instant, tokens: &mut TokenSource) -> Self {
        let timestamp = RtpTimestamp(tokens.next_u32());
        Self {
            ssrc: tokens.next_u32(),
            // The upper half of a drawn word; the lower half is drawn away.
            next_sequence: SequenceNumber((tokens.next_u32() >> 16) as u16),
            next_timestamp: timestamp,
            clock: (now, timestamp),
            sent_at: None,
            counters: SenderCounters::default(),
        }
    }

    /// Writes one packet of audio of our own at the place where the stream stands, and moves the
    /// stream on by as many ticks as `payload` has octets (G.711: one sample each).
    ///
    /// After a pause the timestamp is that of the clock and the marker is set; a slot that is only
    /// late goes on where the last one ended. `begins` sets the marker too.
    ///
    /// Returns the packet's length in `buf`; `None`, and nothing changes, when it does not fit.
    pub fn write_frame(
        &mut self,
        now: Instant,
        buf: &mut [u8],
        payload_type: u8,
        begins: bool,
        payload: &[u8],
    ) -> Option<usize> {
        let paused = self.sent_at.is_none_or(|at| now.saturating_duration_since(at) > PAUSE_MIN);
        let timestamp = if paused { self.earliest_timestamp(now) } else { self.next_timestamp };
        let heading = Heading {
            payload_type,
            marker: begins || paused,
            sequence: self.next_sequence,
            timestamp,
        };
        self.write(now, buf, heading, payload)
    }

    /// Writes one packet with counters of the caller's choice, and moves the stream on behind it
    /// if it is the furthest so far.
    ///
    /// Returns the packet's length in `buf`; `None`, and nothing changes, when it does not fit.
    pub fn write(
        &mut self,
        now: Instant,
        buf: &mut [u8],
        heading: Heading,
        payload: &[u8],
    ) -> Option<usize> {
        let builder = RtpPacketBuilder::new()
            .payload_type(heading.payload_type)
            .marked(heading.marker)
            .sequence(heading.sequence.0.into())
            .timestamp(heading.timestamp.0)
            .ssrc(self.ssrc)
            .payload(payload);
        let Ok(len) = builder.build_into(buf) else {
            self.counters.refused += 1;
            return None;
        };
        self.advance(now, heading, payload.len());
        Some(len)
    }

    /// The stream's SSRC.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The number that the next packet of the stream gets.
    pub const fn next_sequence(&self) -> SequenceNumber {
        self.next_sequence
    }

    /// The earliest timestamp that a packet sent at `now` may carry: the media clock, or what has
    /// been sent already if that reaches further.
    pub fn earliest_timestamp(&self, now: Instant) -> RtpTimestamp {
        let clock = self.timestamp_at(now);
        if clock.since(self.next_timestamp) > 0 { clock } else { self.next_timestamp }
    }

    /// The media clock at `now`, for sender reports.
    pub fn timestamp_at(&self, now: Instant) -> RtpTimestamp {
        let (at, timestamp) = self.clock;
        let ticks =
            now.saturating_duration_since(at).as_micros() * u128::from(CLOCK_HZ) / 1_000_000;
        RtpTimestamp(timestamp.0.wrapping_add(ticks as u32)) // Wraps as the media clock does.
    }

    /// When the stream last sent something.
    pub const fn sent_at(&self) -> Option<Instant> {
        self.sent_at
    }

    /// What was sent so far.
    pub const fn counters(&self) -> SenderCounters {
        self.counters
    }

    fn advance(&mut self, now: Instant, heading: Heading, payload_len: usize) {
        let after = heading.sequence.plus(1);
        if after.since(self.next_sequence) > 0 {
            self.next_sequence = after;
        }
        let end = RtpTimestamp(heading.timestamp.0.wrapping_add(payload_len as u32));
        if end.since(self.next_timestamp) > 0 {
            self.next_timestamp = end;
        }
        self.sent_at = Some(now);
        self.counters.packets += 1;
        self.counters.octets += payload_len as u64;
    }
}

/// Octets that one packet of ours needs at most: a header and 60 ms of G.711.
pub const PACKET_LEN_MAX: usize = HEADER_LEN + 480;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rtp::RtpPacket;
    use crate::model::token::Seed;

    #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
    fn zero() -> Instant {
        Instant::now()
    }

    #[test]
    fn frames_follow_each_other_without_a_gap() {
        // (millisecond, marker expected, sequence step, timestamp step) of 20 ms frames.
        let cases = [
            ("the first frame begins a talkspurt", 0, true, 0, 0),
            ("the next follows it", 20, false, 1, 160),
            ("a slot that is late loses no time", 75, false, 1, 160),
            ("the one after it does not burst", 80, false, 1, 160),
            ("a pause is followed by the clock", 1080, true, 1, 8000 + 160),
        ];
        let zero = zero();
        let mut sender = RtpSender::new(zero, &mut TokenSource::new(Seed(1, 2)));
        let mut buf = [0; PACKET_LEN_MAX];
        let mut last = (sender.next_sequence(), sender.timestamp_at(zero));
        for (name, millisecond, marker, sequence_step, timestamp_step) in cases {
            let now = zero + Duration::from_millis(millisecond);
            let len = sender.write_frame(now, &mut buf, 0, false, &[0xFF; 160]).unwrap();
            let packet = RtpPacket::parse(&buf[..len]).unwrap();
            assert_eq!(packet.marker(), marker, "{name}");
            assert_eq!(packet.sequence().since(last.0), sequence_step, "{name}");
            assert_eq!(packet.timestamp().since(last.1), timestamp_step, "{name}");
            assert_eq!((packet.ssrc(), packet.payload().len()), (sender.ssrc(), 160), "{name}");
            last = (packet.sequence(), packet.timestamp());
        }
        assert_eq!(
            sender.counters(),
            SenderCounters { packets: 5, octets: 800, refused: 0 },
            "what a sender report will say"
        );
    }

    #[test]
    fn a_packet_that_does_not_fit_changes_nothing() {
        let zero = zero();
        let mut sender = RtpSender::new(zero, &mut TokenSource::new(Seed(1, 2)));
        let before = sender.next_sequence();
        assert_eq!(sender.write_frame(zero, &mut [0; 171], 0, false, &[0; 160]), None);
        assert_eq!(sender.write_frame(zero, &mut [0; 172], 128, false, &[0; 160]), None);
        assert_eq!((sender.next_sequence(), sender.counters().refused), (before, 2));
        assert_eq!(sender.write_frame(zero, &mut [0; 172], 0, false, &[0; 160]), Some(172));
    }

    #[test]
    fn two_seeds_make_two_streams() {
        let zero = zero();
        let stream = |seed| {
            let sender = RtpSender::new(zero, &mut TokenSource::new(Seed(seed, 0)));
            (sender.ssrc(), sender.next_sequence(), sender.timestamp_at(zero))
        };
        assert_eq!(stream(1), stream(1), "the same seed replays");
        let (a, b) = (stream(1), stream(2));
        assert!(a.0 != b.0 && a.1 != b.1 && a.2 != b.2);
    }
}
