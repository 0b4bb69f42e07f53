//! Who may be believed: which of the packets that reach a leg's port belong to its call.
//!
//! Anybody can send to an open port. What is let through here is heard, relayed and may press
//! keys, so a packet counts only under a negotiated payload type, from the call's own source, in
//! the call's own stream, and once:
//!
//! ```text
//! source            no source yet             a source is believed
//! SDP address       believed at once          takes over at once (`contested` if it was a latch)
//! related address   latches, see below        refused, `contested`
//! any other         refused, `contested`      refused, `contested`
//! ```
//!
//! A *related* address has the IP of the SDP address or of the signalling peer: a translator
//! stands in between. Where symmetric RTP is allowed it latches after
//! [`Settings::latch_packets`] consecutive audio packets of one stream, and only once the SDP
//! address has been silent for [`Settings::latch_wait`] meanwhile, and only within
//! [`Settings::latch_window`] after the leg was opened. Events never help a latch to close.
//!
//! Within the believed source one stream (SSRC) counts. Another one, or a restarted counter, is
//! followed after as many consecutive packets while the old stream is silent, and only audio makes
//! a restarted counter be followed; the packets before that are not believed.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use super::replay::Place;
use super::replay::ReplayWindow;
use super::rtp::RtpPacket;
use super::rtp::SequenceNumber;
use crate::model::PayloadKind;
use crate::model::PayloadMap;

/// Shortest time that the packets of a stream to be followed may take, for each of them but the
/// first: half a frame of 20 ms. A burst proves nothing, since it fits between two packets of the
/// stream that it wants to replace.
const FOLLOW_PACE: Duration = Duration::from_millis(10);

/// How a leg comes to believe a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether another address than that of the SDP may be believed at all.
    pub symmetric: bool,
    /// Consecutive packets that make a latch close or a new stream be followed.
    pub latch_packets: u16,
    /// How long the SDP address may keep silent before another one latches, counted from that
    /// one's first packet.
    pub latch_wait: Duration,
    /// How long after the leg was opened a latch may close.
    pub latch_window: Duration,
}

impl Default for Settings {
    /// Five packets (a tenth of a second), 600 ms, and 5 s. Our choice: an attacker on a related
    /// address must come well before the call's own first packet, and after the greeting nobody
    /// can slip in; a translated caller loses the first 600 ms of what he says.
    fn default() -> Self {
        Self {
            symmetric: true,
            latch_packets: 5,
            latch_wait: Duration::from_millis(600),
            latch_window: Duration::from_secs(5),
        }
    }
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It belongs to the call.
    Believed,
    /// It belongs to the call, and with it a source was settled: send there, and start hearing
    /// anew.
    Latched,
    /// It belongs to the call, and with it another stream of the same source is followed: start
    /// hearing anew.
    Followed,
    /// It is to be dropped.
    Refused(Reason),
}

impl Verdict {
    /// Whether the packet may be heard and relayed.
    pub const fn is_believed(self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Why a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its payload type was not negotiated.
    PayloadType,
    /// Its source is not the call's.
    Stranger,
    /// Its source may yet latch.
    Unproven,
    /// Its source might have latched, had it come in time.
    LatchClosed,
    /// It was seen before.
    Duplicate,
    /// It is too old, or too far ahead, to be the stream going on.
    Stale,
    /// It is of another stream than the call's audio.
    ForeignSsrc,
}

/// Packets by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Believed, latched and followed.
    pub believed: u64,
    /// Refused for [`Reason::PayloadType`].
    pub payload_type: u64,
    /// Refused for [`Reason::Stranger`].
    pub stranger: u64,
    /// Refused for [`Reason::Unproven`].
    pub unproven: u64,
    /// Refused for [`Reason::LatchClosed`].
    pub latch_closed: u64,
    /// Refused for [`Reason::Duplicate`].
    pub duplicate: u64,
    /// Refused for [`Reason::Stale`].
    pub stale: u64,
    /// Refused for [`Reason::ForeignSsrc`].
    pub foreign_ssrc: u64,
}

/// The judge at one leg's port.
#[derive(Debug)]
pub struct SourcePolicy {
    settings: Settings,
    receive: PayloadMap,
    /// `None` until the peer has named a usable address.
    sdp: Option<SocketAddr>,
    signalling: IpAddr,
    opened_at: Instant,
    believed: Option<Believed>,
    /// Of the believed source's stream; means nothing before there is one.
    window: ReplayWindow,
    candidate: Option<Candidate>,
    /// The source that a renegotiation replaced: its last packets are late, not hostile.
    previous: Option<SocketAddr>,
    contested: bool,
    counters: SourceCounters,
}

/// The settled source and its stream.
#[derive(Debug)]
struct Believed {
    source: SocketAddr,
    /// False from a renegotiation that moved the SDP address until the new source has settled.
    is_held: bool,
    ssrc: u32,
}

/// A stream on its way to be believed.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    next: SequenceNumber,
    /// First packet of the run of consecutive packets.
    run_since: Instant,
    /// First packet of any run of this source.
    source_since: Instant,
    packets: u16,
}

impl SourcePolicy {
    /// A judge for a leg whose peer named `sdp` as its address, has its signalling at
    /// `signalling`, and may send what `receive` holds. An unspecified `sdp` (`0.0.0.0`) names no
    /// address.
    pub fn new(
        now: Instant,
        settings: Settings,
        sdp: SocketAddr,
        signalling: IpAddr,
        receive: PayloadMap,
    ) -> Self {
        Self {
            settings,
            receive,
            sdp: Some(sdp).filter(is_specified),
            signalling,
            opened_at: now,
            believed: None,
            window: ReplayWindow::new(SequenceNumber::default()),
            candidate: None,
            previous: None,
            contested: false,
            counters: SourceCounters::default(),
        }
    }

    /// Judges one packet that came from `source` at `now`. Does not allocate.
    pub fn judge(&mut self, now: Instant, source: SocketAddr, packet: &RtpPacket<'_>) -> Verdict {
        let verdict = self.verdict(now, source, packet);
        let counters = &mut self.counters;
        *match verdict {
            Verdict::Believed | Verdict::Latched | Verdict::Followed => &mut counters.believed,
            Verdict::Refused(Reason::PayloadType) => &mut counters.payload_type,
            Verdict::Refused(Reason::Stranger) => &mut counters.stranger,
            Verdict::Refused(Reason::Unproven) => &mut counters.unproven,
            Verdict::Refused(Reason::LatchClosed) => &mut counters.latch_closed,
            Verdict::Refused(Reason::Duplicate) => &mut counters.duplicate,
            Verdict::Refused(Reason::Stale) => &mut counters.stale,
            Verdict::Refused(Reason::ForeignSsrc) => &mut counters.foreign_ssrc,
        } += 1;
        verdict
    }

    /// Takes over what a re-INVITE, UPDATE or a later answer has settled.
    ///
    /// An unspecified `sdp` is hold and moves nothing. Another address opens the latch again; the
    /// source believed so far goes on until the new one speaks.
    pub fn renegotiate(&mut self, now: Instant, sdp: SocketAddr, receive: PayloadMap) {
        self.receive = receive;
        if !is_specified(&sdp) || self.sdp.is_some_and(|known| is_same(known, sdp)) {
            return;
        }
        self.sdp = Some(sdp);
        self.open(now);
        if let Some(believed) = &mut self.believed {
            believed.is_held = false;
        }
    }

    /// Lets [`Settings::latch_window`] begin at `now`: when the call is answered, since a source
    /// that is silent while it rings does nothing wrong.
    pub fn open(&mut self, now: Instant) {
        self.opened_at = now;
        self.candidate = None;
    }

    /// Where to send: the settled source, else the SDP address.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.settled().or(self.sdp)
    }

    /// The source, once it is settled: a driver may connect its socket to it.
    pub fn settled(&self) -> Option<SocketAddr> {
        self.believed.as_ref().filter(|believed| believed.is_held).map(|believed| believed.source)
    }

    /// The SSRC of the call's stream, once there is one.
    pub fn ssrc(&self) -> Option<u32> {
        self.believed.as_ref().map(|believed| believed.ssrc)
    }

    /// Whether somebody else has sent what could pass for the call's packets.
    pub const fn is_contested(&self) -> bool {
        self.contested
    }

    /// Packets by verdict.
    pub const fn counters(&self) -> SourceCounters {
        self.counters
    }

    fn verdict(&mut self, now: Instant, source: SocketAddr, packet: &RtpPacket<'_>) -> Verdict {
        let Some(kind) = self.receive.kind(packet.payload_type()) else {
            return Verdict::Refused(Reason::PayloadType);
        };
        let is_believed = self.believed.as_ref().is_some_and(|known| is_same(known.source, source));
        if is_believed {
            return self.judge_stream(now, source, packet, kind);
        }
        if self.sdp.is_some_and(|sdp| is_same(sdp, source)) {
            let is_move = self.believed.as_ref().is_some_and(|believed| !believed.is_held);
            self.contested |= self.believed.is_some() && !is_move;
            return self.settle(source, packet);
        }
        if self.believed.as_ref().is_some_and(|believed| believed.is_held)
            || !self.is_related(source)
        {
            self.contested |= !self.previous.is_some_and(|previous| is_same(previous, source));
            return Verdict::Refused(Reason::Stranger);
        }
        self.judge_candidate(now, source, packet, kind)
    }

    /// Judges a packet from the believed source.
    fn judge_stream(
        &mut self,
        now: Instant,
        source: SocketAddr,
        packet: &RtpPacket<'_>,
        kind: PayloadKind,
    ) -> Verdict {
        let Some(believed) = &mut self.believed else {
            return Verdict::Refused(Reason::Stranger);
        };
        let is_foreign = packet.ssrc() != believed.ssrc;
        if !is_foreign {
            match self.window.place(packet.sequence()) {
                Place::Fresh => {
                    // The stream lives: whoever wanted to replace it is a rival.
                    if let Some(rival) = self.candidate.take() {
                        self.contested |=
                            rival.ssrc != packet.ssrc() && is_same(rival.source, source);
                    }
                    return Verdict::Believed;
                }
                Place::Duplicate => return Verdict::Refused(Reason::Duplicate),
                // A press that is played back from a recording looks like this.
                Place::Elsewhere if kind == PayloadKind::Event => {
                    return Verdict::Refused(Reason::Stale);
                }
                Place::Elsewhere => {}
            }
        }
        let candidate = count(self.candidate, now, source, packet);
        self.candidate = Some(candidate);
        let packets_min = self.settings.latch_packets;
        let pace = FOLLOW_PACE * u32::from(packets_min.saturating_sub(1));
        let run = now.saturating_duration_since(candidate.run_since);
        if candidate.packets >= packets_min && run >= pace {
            believed.ssrc = packet.ssrc();
            self.window.restart(packet.sequence());
            self.candidate = None;
            return Verdict::Followed;
        }
        Verdict::Refused(if is_foreign { Reason::ForeignSsrc } else { Reason::Stale })
    }

    /// Judges a packet from a related address while no source is held.
    fn judge_candidate(
        &mut self,
        now: Instant,
        source: SocketAddr,
        packet: &RtpPacket<'_>,
        kind: PayloadKind,
    ) -> Verdict {
        if now.saturating_duration_since(self.opened_at) > self.settings.latch_window {
            return Verdict::Refused(Reason::LatchClosed);
        }
        if kind == PayloadKind::Event {
            return Verdict::Refused(Reason::Unproven);
        }
        self.contested |= self.candidate.is_some_and(|rival| !is_same(rival.source, source));
        let candidate = count(self.candidate, now, source, packet);
        self.candidate = Some(candidate);
        let waited = now.saturating_duration_since(candidate.source_since);
        if candidate.packets >= self.settings.latch_packets && waited >= self.settings.latch_wait {
            return self.settle(source, packet);
        }
        Verdict::Refused(Reason::Unproven)
    }

    fn settle(&mut self, source: SocketAddr, packet: &RtpPacket<'_>) -> Verdict {
        self.previous = self.believed.as_ref().map(|believed| believed.source);
        self.candidate = None;
        self.window.restart(packet.sequence());
        self.believed = Some(Believed { source, is_held: true, ssrc: packet.ssrc() });
        Verdict::Latched
    }

    fn is_related(&self, source: SocketAddr) -> bool {
        let ip = source.ip().to_canonical();
        self.settings.symmetric
            && (self.sdp.is_some_and(|sdp| sdp.ip().to_canonical() == ip)
                || self.signalling.to_canonical() == ip)
    }
}

/// The candidate after one more packet: itself with a higher count when the packet is its next,
/// else a new one.
fn count(
    candidate: Option<Candidate>,
    now: Instant,
    source: SocketAddr,
    packet: &RtpPacket<'_>,
) -> Candidate {
    let (ssrc, next) = (packet.ssrc(), packet.sequence().plus(1));
    match candidate.filter(|known| is_same(known.source, source)) {
        Some(known) if known.ssrc == ssrc && known.next == packet.sequence() => {
            Candidate { next, packets: known.packets.saturating_add(1), ..known }
        }
        Some(known) => Candidate { ssrc, next, run_since: now, packets: 1, ..known },
        None => Candidate { source, ssrc, next, run_since: now, source_since: now, packets: 1 },
    }
}

fn is_specified(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

/// Whether two addresses are one, be it written as IPv4 or as IPv4 mapped into IPv6.
fn is_same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

/// The attacks are those of a test campaign against two well-known peers, which believed 9 and 10
/// of 23 of them. The victim has sent 0.2 s of audio, or 7 s, and then a digit of nine event
/// packets is forged. On a loopback bed carrier and attacker share an IP and differ by their port.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rtp::HEADER_LEN;
    use crate::model::Codec;

    const FRAME: Duration = Duration::from_millis(20);
    const DIGIT_PACKETS: u16 = 9;
    const CARRIER: &str = "127.0.0.1:4000";
    /// Right IP, other port.
    const NEIGHBOUR: &str = "127.0.0.1:6666";
    const STRANGER: &str = "203.0.113.66:4000";
    const AUDIO: u8 = 0;
    const EVENT: u8 = 101;
    const UNKNOWN: u8 = 96;

    /// A leg's judge on virtual time: every packet that is sent takes one 20 ms slot.
    struct Bed {
        now: Instant,
        pace: Duration,
        policy: SourcePolicy,
    }

    impl Bed {
        #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
        fn new(settings: Settings, sdp: &str, signalling: &str) -> Self {
            let mut receive = PayloadMap::default();
            receive.insert(AUDIO, PayloadKind::Audio(Codec::Pcmu));
            receive.insert(EVENT, PayloadKind::Event);
            let (now, signalling) = (Instant::now(), signalling.parse().expect("an IP"));
            let policy = SourcePolicy::new(now, settings, address(sdp), signalling, receive);
            Self { now, pace: FRAME, policy }
        }

        fn loopback() -> Self {
            Self::new(Settings::default(), CARRIER, "127.0.0.1")
        }

        /// Sends packets with consecutive numbers and returns how many were believed.
        fn send(&mut self, from: &str, ssrc: u32, payload_type: u8, first: u16, count: u16) -> u16 {
            let mut believed = 0;
            for step in 0..count {
                let verdict = self.one(from, ssrc, payload_type, first.wrapping_add(step));
                believed += u16::from(verdict.is_believed());
            }
            believed
        }

        fn one(&mut self, from: &str, ssrc: u32, payload_type: u8, sequence: u16) -> Verdict {
            let mut datagram = [0; HEADER_LEN];
            (datagram[0], datagram[1]) = (0x80, payload_type);
            datagram[2..4].copy_from_slice(&sequence.to_be_bytes());
            datagram[8..12].copy_from_slice(&ssrc.to_be_bytes());
            let packet = RtpPacket::parse(&datagram).expect("a header is a packet");
            let verdict = self.policy.judge(self.now, address(from), &packet);
            self.now += self.pace;
            verdict
        }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_forged_digit_is_not_believed() {
        // Source, SSRC, and first sequence number counted from the victim's next.
        let cases = [
            ("wrong source, random SSRC", STRANGER, 0xBAD, 500),
            ("wrong source, known SSRC and sequence", STRANGER, 1, 0),
            ("right IP, other port, random SSRC", NEIGHBOUR, 0xBAD, 500),
            ("right IP, other port, known SSRC and sequence", NEIGHBOUR, 1, 0),
        ];
        for warm_up in [10, 350] {
            for (name, source, ssrc, ahead) in cases {
                for (flood_name, flood) in [("at once", 0), ("after a flood of 300", 300)] {
                    let name = format!("{name}, {flood_name}, {warm_up} packets of warm-up");
                    let mut bed = Bed::loopback();
                    assert_eq!(bed.send(CARRIER, 1, AUDIO, 0, warm_up), warm_up, "{name}");
                    // The victim is silent from here on, so nothing interrupts the attacker.
                    let first = warm_up + ahead;
                    assert_eq!(bed.send(source, ssrc, AUDIO, first, flood), 0, "{name}: flood");
                    assert_eq!(bed.send(source, ssrc, EVENT, first + flood, 9), 0, "{name}");
                    assert!(bed.policy.is_contested(), "{name}");
                    assert_eq!(bed.policy.destination(), Some(address(CARRIER)), "{name}: bleed");
                    let own = bed.send(CARRIER, 1, EVENT, warm_up, DIGIT_PACKETS);
                    assert_eq!(own, DIGIT_PACKETS, "{name}: the victim is still heard");
                }
            }
        }
    }

    #[test]
    fn an_attacker_who_comes_first_gains_nothing() {
        let deaf = Settings { symmetric: false, ..Settings::default() };
        let cases = [
            ("with a digit alone", Settings::default(), NEIGHBOUR, 0),
            ("with 0.2 s of audio", Settings::default(), NEIGHBOUR, 10),
            ("with 0.5 s of audio", Settings::default(), NEIGHBOUR, 25),
            ("from elsewhere with 7 s of audio", Settings::default(), STRANGER, 350),
            ("with 7 s of audio where no latch is allowed", deaf, NEIGHBOUR, 350),
        ];
        for (name, settings, source, audio) in cases {
            let mut bed = Bed::new(settings, CARRIER, "127.0.0.1");
            assert_eq!(bed.send(source, 0xBAD, AUDIO, 0, audio), 0, "{name}");
            assert_eq!(bed.send(source, 0xBAD, EVENT, audio, DIGIT_PACKETS), 0, "{name}");
            assert_eq!(bed.policy.destination(), Some(address(CARRIER)), "{name}: bleed");
            assert_eq!(bed.send(CARRIER, 1, AUDIO, 0, 10), 10, "{name}: the victim is heard");
            assert_eq!(bed.send(source, 0xBAD, EVENT, audio + 9, DIGIT_PACKETS), 0, "{name}");
            assert!(bed.policy.is_contested(), "{name}");
        }
    }

    #[test]
    fn the_price_of_symmetric_rtp_ends_with_the_first_packet_of_the_sdp_address() {
        // A neighbour who speaks alone for longer than `latch_wait` is what a translated caller
        // looks like, so he is believed; the address that was signalled has the last word.
        let mut bed = Bed::loopback();
        assert_eq!(bed.send(NEIGHBOUR, 0xBAD, AUDIO, 0, 50), 20, "from 600 ms on");
        assert_eq!(bed.policy.destination(), Some(address(NEIGHBOUR)));
        assert_eq!(bed.one(CARRIER, 1, AUDIO, 0), Verdict::Latched);
        assert_eq!(bed.send(NEIGHBOUR, 0xBAD, EVENT, 50, DIGIT_PACKETS), 0);
        assert_eq!(bed.policy.destination(), Some(address(CARRIER)));
        assert!(bed.policy.is_contested());
    }

    #[test]
    fn ten_thousand_presses_from_elsewhere_are_all_refused() {
        let mut bed = Bed::loopback();
        bed.pace = Duration::from_micros(100);
        assert_eq!(bed.send(CARRIER, 1, AUDIO, 0, 10), 10);
        for press in 0..10_000_u32 {
            let source = format!("127.0.{}.{}:{}", press % 200, 1 + press % 250, 5000 + press % 9);
            assert_eq!(bed.send(&source, press, EVENT, press as u16, DIGIT_PACKETS), 0, "{press}");
        }
        assert_eq!(bed.policy.counters().stranger, 90_000);
        assert_eq!(bed.policy.counters().believed, 10);
    }

    #[test]
    fn a_replay_with_a_forged_source_is_refused() {
        let mut bed = Bed::loopback();
        assert_eq!(bed.send(CARRIER, 1, AUDIO, 0, 200), 200);
        assert_eq!(bed.send(CARRIER, 1, EVENT, 200, DIGIT_PACKETS), DIGIT_PACKETS);
        assert_eq!(bed.send(CARRIER, 1, EVENT, 200, DIGIT_PACKETS), 0, "at once");
        assert_eq!(bed.send(CARRIER, 1, AUDIO, 209, 200), 200);
        // Each replayed packet falls between two of the live stream, or all between the same two.
        for step in 0..DIGIT_PACKETS {
            assert_eq!(bed.send(CARRIER, 1, EVENT, 200 + step, 1), 0, "4 s later");
            assert_eq!(bed.send(CARRIER, 1, AUDIO, 409 + step, 1), 1, "the live stream goes on");
        }
        bed.pace = Duration::from_micros(100);
        assert_eq!(bed.send(CARRIER, 1, EVENT, 200, DIGIT_PACKETS), 0, "as a burst");
        bed.now += Duration::from_secs(5);
        bed.pace = FRAME;
        assert_eq!(
            bed.send(CARRIER, 1, EVENT, 200, DIGIT_PACKETS),
            0,
            "while the victim is silent"
        );
        let counters = bed.policy.counters();
        assert_eq!((counters.duplicate, counters.stale), (9, 27));
    }

    #[test]
    fn a_forged_stream_beside_a_live_one_is_refused() {
        for (name, pace_us) in [("in step with the live one", 20_000), ("as a burst", 100)] {
            let mut bed = Bed::loopback();
            assert_eq!(bed.send(CARRIER, 1, AUDIO, 0, 10), 10, "{name}");
            let mut believed = 0;
            for round in 0..100_u16 {
                bed.pace = Duration::from_micros(pace_us);
                let packets = if pace_us == 20_000 { 1 } else { DIGIT_PACKETS };
                believed += bed.send(CARRIER, 0xBAD, EVENT, round * packets, packets);
                bed.pace = FRAME;
                assert_eq!(bed.send(CARRIER, 1, AUDIO, 10 + round, 1), 1, "{name}");
            }
            assert_eq!(believed, 0, "{name}");
            assert!(bed.policy.is_contested(), "{name}");
        }
    }

    #[test]
    fn a_new_stream_of_the_same_source_is_followed() {
        // (SSRC, payload type, first sequence number, packets sent, packets believed)
        type Run = (u32, u8, u16, u16, u16);
        let cases: [(&str, [Run; 2]); 7] = [
            ("another SSRC", [(2, AUDIO, 9, 20, 16), (2, EVENT, 29, 9, 9)]),
            ("a digit in a stream of its own", [(2, EVENT, 9, 9, 5), (2, AUDIO, 18, 9, 9)]),
            ("four packets are not enough", [(2, AUDIO, 9, 4, 0), (1, AUDIO, 10, 5, 5)]),
            ("a restarted counter", [(1, AUDIO, 40_000, 20, 16), (1, EVENT, 40_020, 9, 9)]),
            ("a counter set back", [(1, AUDIO, 65_000, 20, 16), (1, EVENT, 65_020, 9, 9)]),
            ("a silence of 3000 packets", [(1, AUDIO, 3009, 5, 5), (1, EVENT, 3014, 9, 9)]),
            ("one packet more", [(1, AUDIO, 3010, 5, 1), (1, EVENT, 3015, 9, 9)]),
        ];
        for (name, runs) in cases {
            let mut bed = Bed::loopback();
            assert_eq!(bed.send(CARRIER, 1, AUDIO, 0, 10), 10, "{name}");
            for (ssrc, payload_type, first, count, want) in runs {
                let got = bed.send(CARRIER, ssrc, payload_type, first, count);
                assert_eq!(got, want, "{name}: {ssrc} {first}");
            }
        }
        let mut bed = Bed::loopback();
        assert_eq!(bed.one(CARRIER, 1, AUDIO, 0), Verdict::Latched);
        assert_eq!(bed.one(CARRIER, 1, AUDIO, 1), Verdict::Believed);
        assert_eq!(bed.send(CARRIER, 2, AUDIO, 7, 4), 0);
        assert_eq!(bed.one(CARRIER, 2, AUDIO, 11), Verdict::Followed);
        assert_eq!(bed.policy.ssrc(), Some(2));
        assert!(!bed.policy.is_contested(), "the old stream was silent: nobody competed");
    }

    #[test]
    fn a_translated_caller_latches() {
        // SDP address, signalling IP, source, packets believed of 100 audio packets.
        let cases = [
            ("another port", "192.0.2.7:4000", "192.0.2.7", "192.0.2.7:1111", 70),
            ("a private address", "10.0.0.7:4000", "192.0.2.7", "192.0.2.7:1111", 70),
            ("another family", "10.0.0.7:4000", "2001:db8::7", "[2001:db8::7]:1111", 70),
            ("mapped into IPv6", "192.0.2.7:4000", "192.0.2.9", "[::ffff:192.0.2.7]:4000", 100),
            ("no address yet", "0.0.0.0:4000", "192.0.2.7", "192.0.2.7:1111", 70),
            ("nobody we know", "10.0.0.7:4000", "192.0.2.7", "192.0.2.8:1111", 0),
        ];
        for (name, sdp, signalling, source, want) in cases {
            let mut bed = Bed::new(Settings::default(), sdp, signalling);
            assert_eq!(bed.send(source, 1, EVENT, 0, 0), 0, "{name}");
            assert_eq!(bed.send(source, 1, AUDIO, 0, 100), want, "{name}");
            assert_eq!(bed.policy.settled().is_some(), want > 0, "{name}");
            assert_eq!(bed.policy.is_contested(), want == 0, "{name}");
            assert_eq!(bed.send(source, 1, EVENT, 100, 9), if want > 0 { 9 } else { 0 }, "{name}");
        }
    }

    #[test]
    fn a_latch_waits_counts_and_closes() {
        let sdp = "10.0.0.7:4000";
        let open = || Bed::new(Settings::default(), sdp, "127.0.0.1");
        let mut bed = open();
        for sequence in 0..40 {
            // Every fifth packet is lost: there are never five in sequence.
            let lost = u16::from(sequence % 5 == 4);
            assert_eq!(bed.send(NEIGHBOUR, 1, AUDIO, sequence * 2 + lost, 1), 0, "gaps");
        }
        assert_eq!(bed.send(NEIGHBOUR, 1, AUDIO, 100, 5), 1, "the fifth in sequence closes it");

        let mut bed = open();
        assert_eq!(bed.send(NEIGHBOUR, 1, EVENT, 0, 100), 0, "events close no latch");
        assert_eq!(bed.policy.counters().unproven, 100);

        let mut bed = open();
        bed.now += Settings::default().latch_window + FRAME;
        assert_eq!(bed.send(NEIGHBOUR, 1, AUDIO, 0, 100), 0, "too late");
        assert_eq!(bed.policy.counters().latch_closed, 100);
        bed.policy.open(bed.now);
        assert_eq!(bed.send(NEIGHBOUR, 1, AUDIO, 100, 100), 70, "the answer opens it again");

        let other = "127.0.0.1:7777";
        assert_eq!(bed.send(other, 2, AUDIO, 0, 100), 0, "and then it holds");
        assert!(bed.policy.is_contested());
        assert_eq!(bed.send(NEIGHBOUR, 1, AUDIO, 200, 5), 5);
    }

    #[test]
    fn a_renegotiation_moves_the_source() {
        let receive = Bed::loopback().policy.receive;
        let mut bed = Bed::loopback();
        assert_eq!(bed.send(CARRIER, 1, AUDIO, 0, 10), 10);
        bed.policy.renegotiate(bed.now, address("0.0.0.0:4000"), receive);
        assert_eq!(bed.send(CARRIER, 1, AUDIO, 10, 10), 10, "hold moves nothing");
        bed.policy.renegotiate(bed.now, address("127.0.0.1:4002"), receive);
        assert_eq!(bed.policy.destination(), Some(address("127.0.0.1:4002")));
        assert_eq!(
            bed.send(CARRIER, 1, AUDIO, 20, 3),
            3,
            "the old source until the new one speaks"
        );
        assert_eq!(bed.one("127.0.0.1:4002", 5, AUDIO, 0), Verdict::Latched);
        assert_eq!(bed.send(CARRIER, 1, AUDIO, 23, 3), 0, "late packets of the old one");
        assert!(!bed.policy.is_contested(), "nobody did anything wrong");
        assert_eq!(bed.send(STRANGER, 1, AUDIO, 26, 1), 0);
        assert!(bed.policy.is_contested());

        let mut without_events = PayloadMap::default();
        without_events.insert(8, PayloadKind::Audio(Codec::Pcma));
        bed.policy.renegotiate(bed.now, address("127.0.0.1:4002"), without_events);
        assert_eq!(bed.send("127.0.0.1:4002", 5, AUDIO, 1, 3), 0, "types are those of today");
        assert_eq!(bed.send("127.0.0.1:4002", 5, 8, 4, 3), 3);
    }

    #[test]
    fn while_the_old_source_speaks_a_move_is_only_for_the_new_address() {
        let mut bed = Bed::loopback();
        assert_eq!(bed.send(CARRIER, 1, AUDIO, 0, 10), 10);
        let receive = bed.policy.receive;
        bed.policy.renegotiate(bed.now, address("127.0.0.1:4002"), receive);
        for round in 0..100 {
            assert_eq!(bed.send(NEIGHBOUR, 0xBAD, AUDIO, round, 1), 0, "{round}");
            assert_eq!(bed.send(CARRIER, 1, AUDIO, 10 + round, 1), 1, "{round}");
        }
    }

    #[test]
    fn a_payload_type_that_was_not_negotiated_is_refused() {
        let mut bed = Bed::loopback();
        assert_eq!(bed.send(CARRIER, 1, UNKNOWN, 0, 5), 0);
        assert_eq!(bed.send(STRANGER, 1, UNKNOWN, 0, 5), 0);
        assert_eq!(bed.policy.counters().payload_type, 10);
        assert!(bed.policy.ssrc().is_none() && !bed.policy.is_contested());
    }

    #[test]
    fn loss_doubling_and_overtaking_are_no_attack() {
        let mut bed = Bed::loopback();
        assert_eq!(bed.send(CARRIER, 1, AUDIO, 65_500, 1), 1);
        for sequence in [65_503, 65_502, 65_501, 65_510, 65_504, 5, 0, 1, 4] {
            assert_eq!(bed.send(CARRIER, 1, AUDIO, sequence, 1), 1, "{sequence}");
            assert_eq!(bed.send(CARRIER, 1, AUDIO, sequence, 1), 0, "{sequence} again");
        }
        assert_eq!(bed.policy.counters().duplicate, 9);
        assert!(!bed.policy.is_contested());
    }
}
