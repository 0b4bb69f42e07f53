//! The relay of one direction: a packet of one leg becomes a packet of the other leg's stream.
//!
//! Relayed packets and our own prompts share the leg's [`RtpSender`], so the listener sees one
//! stream. Each *episode* of relaying adds fixed offsets to sequence numbers and timestamps:
//!
//! ```text
//! incoming   100 101 102 103 104 105 106 107 ..        offset of the episode: +900, then +905
//! relayed   1000 1001 --- stopped, prompt --- 1011 1012
//!                     1002 .. 1010 are the prompt's
//! ```
//!
//! So loss, order and spacing stay visible to the listener's jitter buffer, all packets of an
//! event keep their common timestamp (RFC 4733 section 2.5.1.2), and nothing ever jumps back. An
//! episode begins after [`Relay::resume`], and whenever the incoming stream is another one.

use std::time::Instant;

use super::replay::DROPOUT_MAX;
use super::replay::WINDOW_PACKETS;
use super::rtp::RtpPacket;
use super::rtp::RtpTimestamp;
use super::rtp::SequenceNumber;
use super::sender::Heading;
use super::sender::RtpSender;
use crate::model::PayloadKind;

/// What to make of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Mapped {
    /// What the packet carries, by the incoming leg's negotiation.
    pub kind: PayloadKind,
    /// The payload type under which the outgoing leg takes that.
    pub payload_type: u8,
}

/// Packets by fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayCounters {
    /// Handed on.
    pub relayed: u64,
    /// Dropped because the relay was stopped.
    pub stopped: u64,
    /// Dropped because they belong before the episode, or to an event that began before it.
    pub early: u64,
    /// Dropped because they did not fit the buffer.
    pub oversize: u64,
}

/// One direction of a bridged call.
#[derive(Clone, Debug, Default)]
pub struct Relay {
    is_stopped: bool,
    episode: Option<Episode>,
    /// SSRC and timestamp of the last event seen, relayed or not.
    event: Option<(u32, RtpTimestamp)>,
    /// The event that an interruption cut in two: its rest is not handed on.
    cut_event: Option<(u32, RtpTimestamp)>,
    counters: RelayCounters,
}

/// A stretch of relaying with fixed offsets.
#[derive(Clone, Copy, Debug)]
struct Episode {
    ssrc: u32,
    /// What lies before it must not be sent: the episode's first packet, and in a long episode
    /// whatever is a window behind, so that the counter may wrap.
    floor: SequenceNumber,
    highest: SequenceNumber,
    sequence_offset: u16,
    timestamp_offset: u32,
}

impl Relay {
    /// A relay that hands on from the first packet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands nothing on any more; the outgoing stream is free for prompts.
    pub fn stop(&mut self) {
        self.is_stopped = true;
        self.episode = None;
    }

    /// Hands on again, in a new episode. What is left of an event that began before is dropped.
    pub fn resume(&mut self) {
        if self.is_stopped {
            self.is_stopped = false;
            self.cut_event = self.event;
        }
    }

    /// Whether packets are handed on.
    pub const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Writes `packet` as the next of `sender`'s stream into `buf` and returns its length; `None`
    /// when it is not to be sent. Does not allocate.
    ///
    /// Packets must have passed the leg's source policy: duplicates are not looked for here.
    pub fn forward(
        &mut self,
        now: Instant,
        sender: &mut RtpSender,
        packet: &RtpPacket<'_>,
        mapped: Mapped,
        buf: &mut [u8],
    ) -> Option<usize> {
        let event = (packet.ssrc(), packet.timestamp());
        if mapped.kind == PayloadKind::Event {
            self.event = Some(event);
        }
        if self.is_stopped {
            self.counters.stopped += 1;
            return None;
        }
        if mapped.kind == PayloadKind::Event && self.cut_event == Some(event) {
            self.counters.early += 1;
            return None;
        }
        let (episode, begins) = self.episode_of(now, sender, packet);
        if packet.sequence().since(episode.floor) < 0 {
            self.counters.early += 1;
            return None;
        }
        let heading = Heading {
            payload_type: mapped.payload_type,
            // An event's marker is its beginning and nothing else (RFC 4733 section 2.3).
            marker: packet.marker() || (begins && mapped.kind != PayloadKind::Event),
            sequence: SequenceNumber(packet.sequence().0.wrapping_add(episode.sequence_offset)),
            timestamp: RtpTimestamp(packet.timestamp().0.wrapping_add(episode.timestamp_offset)),
        };
        let len = sender.write(now, buf, heading, packet.payload());
        match len {
            Some(_) => self.counters.relayed += 1,
            None => self.counters.oversize += 1,
        }
        len
    }

    /// Packets by fate.
    pub const fn counters(&self) -> RelayCounters {
        self.counters
    }

    /// The episode that `packet` belongs to, and whether it begins with it.
    fn episode_of(
        &mut self,
        now: Instant,
        sender: &RtpSender,
        packet: &RtpPacket<'_>,
    ) -> (Episode, bool) {
        let sequence = packet.sequence();
        if let Some(episode) = &mut self.episode {
            let ahead = sequence.since(episode.highest);
            if episode.ssrc == packet.ssrc() && (-WINDOW_PACKETS..=DROPOUT_MAX).contains(&ahead) {
                if ahead > 0 {
                    episode.highest = sequence;
                }
                if episode.highest.since(episode.floor) > WINDOW_PACKETS {
                    episode.floor = episode.highest.plus(-WINDOW_PACKETS);
                }
                return (*episode, false);
            }
        }
        let timestamp = sender.earliest_timestamp(now);
        let episode = Episode {
            ssrc: packet.ssrc(),
            floor: sequence,
            highest: sequence,
            sequence_offset: sender.next_sequence().0.wrapping_sub(sequence.0),
            timestamp_offset: timestamp.0.wrapping_sub(packet.timestamp().0),
        };
        self.episode = Some(episode);
        (episode, true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::media::rtp::HEADER_LEN;
    use crate::media::sender::PACKET_LEN_MAX;
    use crate::model::Codec;
    use crate::model::token::Seed;
    use crate::model::token::TokenSource;

    const AUDIO: Mapped = Mapped { kind: PayloadKind::Audio(Codec::Pcmu), payload_type: 0 };
    const EVENT: Mapped = Mapped { kind: PayloadKind::Event, payload_type: 96 };

    /// One leg's outgoing stream, fed by a relay and by prompts.
    struct Leg {
        zero: Instant,
        now: Instant,
        relay: Relay,
        sender: RtpSender,
        origin: (SequenceNumber, RtpTimestamp),
    }

    impl Leg {
        #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
        fn new() -> Self {
            let now = Instant::now();
            let sender = RtpSender::new(now, &mut TokenSource::new(Seed(3, 4)));
            let origin = (sender.next_sequence(), sender.timestamp_at(now));
            Self { zero: now, now, relay: Relay::new(), sender, origin }
        }

        fn at(&mut self, millisecond: u64) {
            self.now = self.zero + Duration::from_millis(millisecond);
        }

        /// `sequence timestamp type marker` of a written packet, counted from the stream's origin.
        fn line(&self, packet: &[u8]) -> String {
            let packet = RtpPacket::parse(packet).expect("what was written can be read");
            assert_eq!(packet.ssrc(), self.sender.ssrc(), "one stream for the leg's whole life");
            format!(
                "{} {} {}{}",
                packet.sequence().since(self.origin.0),
                packet.timestamp().since(self.origin.1),
                packet.payload_type(),
                if packet.marker() { " M" } else { "" }
            )
        }

        fn relayed(&mut self, mapped: Mapped, packet: (u32, u16, u32, bool)) -> Option<String> {
            let (ssrc, sequence, timestamp, marker) = packet;
            let len = if mapped.kind == PayloadKind::Event { 4 } else { 160 };
            let mut datagram = vec![0; HEADER_LEN + len];
            (datagram[0], datagram[1]) = (0x80, if marker { 0x80 } else { 0 });
            datagram[2..4].copy_from_slice(&sequence.to_be_bytes());
            datagram[4..8].copy_from_slice(&timestamp.to_be_bytes());
            datagram[8..12].copy_from_slice(&ssrc.to_be_bytes());
            let packet = RtpPacket::parse(&datagram).expect("a whole packet");
            let mut buf = [0; PACKET_LEN_MAX];
            let len = self.relay.forward(self.now, &mut self.sender, &packet, mapped, &mut buf)?;
            assert_eq!(
                RtpPacket::parse(&buf[..len]).expect("readable").payload(),
                packet.payload()
            );
            Some(self.line(&buf[..len]))
        }

        fn prompt(&mut self, begins: bool) -> String {
            let mut buf = [0; PACKET_LEN_MAX];
            let len = self.sender.write_frame(self.now, &mut buf, 0, begins, &[0xFF; 160]);
            self.line(&buf[..len.expect("a frame fits")])
        }
    }

    fn some(line: &str) -> Option<String> {
        Some(line.to_owned())
    }

    #[test]
    fn loss_order_and_spacing_stay_as_they_are() {
        let mut leg = Leg::new();
        // Both counters of the incoming stream wrap on the way.
        let base = u32::MAX - 159;
        assert_eq!(leg.relayed(AUDIO, (7, 65_535, base, false)), some("0 0 0 M"));
        assert_eq!(leg.relayed(AUDIO, (7, 0, base.wrapping_add(160), false)), some("1 160 0"));
        assert_eq!(leg.relayed(AUDIO, (7, 3, base.wrapping_add(640), false)), some("4 640 0"));
        assert_eq!(leg.relayed(AUDIO, (7, 1, base.wrapping_add(320), false)), some("2 320 0"));
        assert_eq!(leg.relayed(AUDIO, (7, 4, base.wrapping_add(9000), true)), some("5 9000 0 M"));
        assert_eq!(leg.relayed(AUDIO, (7, 65_534, base, false)), None, "older than the first");
        assert_eq!(
            leg.relay.counters(),
            RelayCounters { relayed: 5, early: 1, ..Default::default() }
        );
    }

    #[test]
    fn an_event_keeps_its_timestamp_and_its_marker() {
        let mut leg = Leg::new();
        assert_eq!(leg.relayed(AUDIO, (7, 10, 1000, false)), some("0 0 0 M"));
        assert_eq!(leg.relayed(EVENT, (7, 11, 1160, true)), some("1 160 96 M"));
        assert_eq!(leg.relayed(EVENT, (7, 12, 1160, false)), some("2 160 96"));
        assert_eq!(leg.relayed(EVENT, (7, 13, 1160, false)), some("3 160 96"));
        assert_eq!(leg.relayed(AUDIO, (7, 14, 1640, false)), some("4 640 0"));
        let mut leg = Leg::new();
        assert_eq!(leg.relayed(EVENT, (7, 11, 1160, false)), some("0 0 96"), "no marker invented");
    }

    #[test]
    fn a_prompt_in_between_leaves_one_continuous_stream() {
        let mut leg = Leg::new();
        assert_eq!(leg.relayed(AUDIO, (7, 10, 1000, false)), some("0 0 0 M"));
        leg.at(20);
        assert_eq!(leg.relayed(EVENT, (7, 11, 1160, true)), some("1 160 96 M"));
        leg.relay.stop();
        leg.at(40);
        assert_eq!(leg.relayed(EVENT, (7, 12, 1160, false)), None);
        assert_eq!(leg.prompt(true), "2 164 0 M", "right behind the event");
        leg.at(60);
        assert_eq!(leg.prompt(false), "3 324 0");
        leg.relay.resume();
        leg.at(80);
        assert_eq!(leg.relayed(EVENT, (7, 14, 1160, false)), None, "the rest of the matched key");
        assert_eq!(leg.relayed(AUDIO, (7, 15, 1640, false)), some("4 640 0 M"));
        assert_eq!(leg.relayed(AUDIO, (7, 13, 1320, false)), None, "from before the prompt");
        assert_eq!(leg.relayed(EVENT, (7, 16, 1800, true)), some("5 800 96 M"), "the next key");
        leg.at(2000);
        leg.relay.stop();
        assert_eq!(leg.prompt(false), "6 16000 0 M", "after a pause, by the clock");
        let want = RelayCounters { relayed: 4, stopped: 1, early: 2, oversize: 0 };
        assert_eq!(leg.relay.counters(), want);
    }

    #[test]
    fn another_stream_goes_on_where_the_old_one_ended() {
        let cases = [
            ("another SSRC", (8, 40_000, 5, false)),
            ("a counter that starts again", (7, 40_000, 5, false)),
            ("a counter that is set back", (7, 65_000, 5, false)),
        ];
        for (name, packet) in cases {
            let mut leg = Leg::new();
            assert_eq!(leg.relayed(AUDIO, (7, 10, 1000, false)), some("0 0 0 M"), "{name}");
            leg.at(20);
            assert_eq!(leg.relayed(AUDIO, packet), some("1 160 0 M"), "{name}");
            let (ssrc, sequence, timestamp, marker) = packet;
            let next = (ssrc, sequence.wrapping_add(1), timestamp + 160, marker);
            assert_eq!(leg.relayed(AUDIO, next), some("2 320 0"), "{name}");
        }
    }

    #[test]
    fn an_hour_is_one_episode() {
        let mut leg = Leg::new();
        let mut sequence = 0_u16;
        for packet in 0..180_000_u32 {
            let line = leg.relayed(AUDIO, (7, sequence, packet * 160, false));
            assert!(line.is_some(), "{packet}");
            sequence = sequence.wrapping_add(1);
        }
        assert_eq!(leg.sender.counters().packets, 180_000);
    }

    #[test]
    fn a_packet_that_does_not_fit_is_counted() {
        let mut leg = Leg::new();
        let datagram = [[0x80; 12].as_slice(), &[0; 160]].concat();
        let packet = RtpPacket::parse(&datagram).unwrap();
        let len = leg.relay.forward(leg.now, &mut leg.sender, &packet, AUDIO, &mut [0; 171]);
        assert_eq!((len, leg.relay.counters().oversize), (None, 1));
    }
}
