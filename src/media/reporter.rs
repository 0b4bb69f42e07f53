//! When a leg reports by RTCP, and what: one machine for each leg.
//!
//! A report is due every five seconds on average, at a random distance of half to one and a half
//! times that, so that many legs do not report in step (RFC 3550 section 6.2).

use std::time::Duration;
use std::time::Instant;

use super::quality::Quality;
use super::quality::Reception;
use super::rtcp;
use super::rtcp::CNAME_LEN;
use super::rtcp::RTCP_LEN_MAX;
use super::rtcp::Report;
use super::rtcp::ReportBlock;
use super::rtcp::ReportBlocks;
use super::rtcp::RtcpError;
use super::rtcp::RtcpPacket;
use super::rtcp::SenderInfo;
use super::rtp::RtpPacket;
use super::sender::RtpSender;
use crate::model::UnixMicros;
use crate::model::token::TokenSource;

/// Mean distance of two reports (RFC 3550 section 6.2: the least that it recommends).
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Seconds from 1900, where NTP counts from, to 1970.
const NTP_OFFSET_SECONDS: u64 = 2_208_988_800;

/// Letters of a CNAME: six bits each.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What the peer says about the stream that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// Loss and jitter at the peer.
    pub reception: Reception,
    /// The time to the peer and back; `None` when the peer has seen no report of ours.
    pub round_trip: Option<Duration>,
}

/// What came by RTCP, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReporterCounters {
    /// Reports read.
    pub reports: u64,
    /// BYE packets; they end nothing, since anybody can send one.
    pub goodbyes: u64,
    /// Datagrams that were no RTCP.
    pub malformed: u64,
    /// Compounds sent.
    pub sent: u64,
}

/// Counts a leg's incoming stream and reports on both.
#[derive(Clone, Debug)]
pub struct Reporter {
    cname: [u8; CNAME_LEN],
    tokens: TokenSource,
    due_at: Instant,
    quality: Quality,
    /// The middle of the last sender report's NTP time, and when it came.
    heard: Option<(u32, Instant)>,
    /// Packets sent when the last report was made: an SR tells of news only.
    packets_reported: u64,
    feedback: Option<Feedback>,
    counters: ReporterCounters,
}

impl Reporter {
    /// A reporter for a leg that begins at `now`.
    pub fn new(now: Instant, mut tokens: TokenSource) -> Self {
        let mut cname = [0; CNAME_LEN];
        for letter in &mut cname {
            // The upper six bits of a drawn word; the mask names every letter.
            *letter = LETTERS[(tokens.next_u32() >> 26) as usize];
        }
        let mut reporter = Self {
            cname,
            tokens,
            due_at: now,
            quality: Quality::new(),
            heard: None,
            packets_reported: 0,
            feedback: None,
            counters: ReporterCounters::default(),
        };
        reporter.schedule(now);
        reporter
    }

    /// Counts a packet that the leg's source policy has believed.
    pub fn handle_rtp(&mut self, now: Instant, packet: &RtpPacket<'_>, is_audio: bool) {
        self.quality.handle_packet(now, packet, is_audio);
    }

    /// Reads a compound of the peer. `wall` is the wall time of `now`, `ours` the SSRC that we
    /// send.
    ///
    /// # Errors
    ///
    /// [`RtcpError`] when it is none; it is counted.
    pub fn handle_rtcp(
        &mut self,
        now: Instant,
        wall: UnixMicros,
        ours: u32,
        datagram: &[u8],
    ) -> Result<(), RtcpError> {
        let packets = rtcp::parse(datagram).inspect_err(|_| self.counters.malformed += 1)?;
        for packet in packets {
            match packet {
                RtcpPacket::SenderReport { info, blocks, .. } => {
                    self.heard = Some((middle(info.ntp), now));
                    self.handle_blocks(wall, ours, blocks);
                }
                RtcpPacket::ReceiverReport { blocks, .. } => self.handle_blocks(wall, ours, blocks),
                RtcpPacket::Goodbye { .. } => self.counters.goodbyes += 1,
                RtcpPacket::Other { .. } => {}
            }
        }
        Ok(())
    }

    /// When the next report is due.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        Some(self.due_at)
    }

    /// Writes the report that is due and returns its length in `buf`; `None` before its time.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        wall: UnixMicros,
        sender: &RtpSender,
        buf: &mut [u8; RTCP_LEN_MAX],
    ) -> Option<usize> {
        if now < self.due_at {
            return None;
        }
        self.schedule(now);
        Some(self.write(now, wall, sender, false, buf))
    }

    /// Writes the last report, with a BYE, and returns its length in `buf`.
    pub fn handle_end(
        &mut self,
        now: Instant,
        wall: UnixMicros,
        sender: &RtpSender,
        buf: &mut [u8; RTCP_LEN_MAX],
    ) -> usize {
        self.write(now, wall, sender, true, buf)
    }

    /// How the stream that we receive arrives, for call records.
    pub fn reception(&self) -> Option<Reception> {
        self.quality.reception()
    }

    /// What the peer last said about the stream that we send.
    pub const fn feedback(&self) -> Option<Feedback> {
        self.feedback
    }

    /// What came and went.
    pub const fn counters(&self) -> ReporterCounters {
        self.counters
    }

    fn schedule(&mut self, now: Instant) {
        let random = self.tokens.next_u32();
        self.due_at = now + INTERVAL / 2 + INTERVAL.mul_f64(f64::from(random) / 4_294_967_296.0);
    }

    fn handle_blocks(&mut self, wall: UnixMicros, ours: u32, mut blocks: ReportBlocks<'_>) {
        self.counters.reports += 1;
        let Some(block) = blocks.find(|block| block.reception.ssrc == ours) else { return };
        // RFC 3550 section 6.4.1: arrival less the last report's time less the peer's delay.
        let elapsed = middle(ntp(wall)).wrapping_sub(block.last_report);
        let round_trip = elapsed.wrapping_sub(block.delay_since) as i32;
        let round_trip = (block.last_report != 0 && round_trip >= 0)
            .then(|| Duration::from_secs_f64(f64::from(round_trip) / 65_536.0));
        self.feedback = Some(Feedback { reception: block.reception, round_trip });
    }

    fn write(
        &mut self,
        now: Instant,
        wall: UnixMicros,
        sender: &RtpSender,
        is_last: bool,
        buf: &mut [u8; RTCP_LEN_MAX],
    ) -> usize {
        let sent = sender.counters();
        let info = (sent.packets > self.packets_reported).then(|| SenderInfo {
            ntp: ntp(wall),
            rtp_timestamp: sender.timestamp_at(now).0,
            packets: sent.packets as u32, // Both counters wrap (section 6.4.1).
            octets: sent.octets as u32,
        });
        self.packets_reported = sent.packets;
        let heard = self.heard;
        let block = self.quality.report().map(|reception| {
            let (last_report, delay_since) = heard.map_or((0, 0), |(last_report, at)| {
                let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
                (last_report, u32::try_from(delay).unwrap_or(u32::MAX))
            });
            ReportBlock { reception, last_report, delay_since }
        });
        self.counters.sent += 1;
        let (ssrc, cname) = (sender.ssrc(), &self.cname);
        rtcp::write(&Report { ssrc, sender: info, block, cname, is_last }, buf)
    }
}

/// Wall time as NTP writes it: seconds since 1900 and their fraction in 32 bits each.
const fn ntp(wall: UnixMicros) -> u64 {
    let micros = if wall.0 < 0 { 0 } else { wall.0 as u64 };
    let seconds = micros / 1_000_000 + NTP_OFFSET_SECONDS;
    (seconds << 32) | (((micros % 1_000_000) << 32) / 1_000_000)
}

/// The middle 32 bits of an NTP time: 1/65 536 s, wrapping after 18 hours.
const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rtp::HEADER_LEN;
    use crate::model::token::Seed;

    #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
    fn zero() -> Instant {
        Instant::now()
    }

    /// Two legs that report to each other, with a quarter of a second between them.
    struct Pair {
        now: Instant,
        wall: UnixMicros,
        near: (Reporter, RtpSender),
        far: (Reporter, RtpSender),
    }

    impl Pair {
        fn new() -> Self {
            let now = zero();
            let end = |seed| {
                let mut tokens = TokenSource::new(Seed(seed, 9));
                let sender = RtpSender::new(now, &mut tokens);
                (Reporter::new(now, tokens), sender)
            };
            Self { now, wall: UnixMicros(1_700_000_000_000_000), near: end(1), far: end(2) }
        }

        fn pass(&mut self, millisecond: u64) {
            self.now += Duration::from_millis(millisecond);
            self.wall.0 += millisecond as i64 * 1000;
        }

        /// One packet each way.
        fn talk(&mut self) {
            let mut buf = [0; HEADER_LEN + 160];
            let len = self.near.1.write_frame(self.now, &mut buf, 0, false, &[0; 160]);
            let packet = RtpPacket::parse(&buf[..len.expect("it fits")]).expect("readable");
            self.far.0.handle_rtp(self.now, &packet, true);
        }
    }

    #[test]
    fn reports_come_about_every_five_seconds() {
        let mut pair = Pair::new();
        let (mut buf, mut last) = ([0; RTCP_LEN_MAX], pair.now);
        let mut total = Duration::ZERO;
        for _ in 0..200 {
            let (reporter, sender) = &mut pair.near;
            let due = reporter.poll_timeout().unwrap();
            let distance = due - last;
            assert!(distance >= INTERVAL / 2 && distance <= INTERVAL * 3 / 2, "{distance:?}");
            let early = due - Duration::from_millis(1);
            assert_eq!(reporter.handle_timeout(early, pair.wall, sender, &mut buf), None);
            assert!(reporter.handle_timeout(due, pair.wall, sender, &mut buf).is_some());
            (total, last) = (total + distance, due);
        }
        let mean = total / 200;
        assert!(mean > INTERVAL * 9 / 10 && mean < INTERVAL * 11 / 10, "{mean:?}");
    }

    #[test]
    fn two_ends_tell_each_other_loss_and_round_trip() {
        let mut pair = Pair::new();
        pair.talk();
        pair.pass(6000);
        let mut buf = [0; RTCP_LEN_MAX];
        // near sends a report that takes 125 ms; far answers 1 s later, 125 ms on the way.
        let len = pair.near.0.handle_end(pair.now, pair.wall, &pair.near.1, &mut buf);
        pair.pass(125);
        let far_ssrc = pair.far.1.ssrc();
        pair.far.0.handle_rtcp(pair.now, pair.wall, far_ssrc, &buf[..len]).unwrap();
        pair.pass(1000);
        let len = pair.far.0.handle_end(pair.now, pair.wall, &pair.far.1, &mut buf);
        pair.pass(125);
        let near_ssrc = pair.near.1.ssrc();
        pair.near.0.handle_rtcp(pair.now, pair.wall, near_ssrc, &buf[..len]).unwrap();
        let feedback = pair.near.0.feedback().unwrap();
        assert_eq!((feedback.reception.ssrc, feedback.reception.lost), (near_ssrc, 0));
        let round_trip = feedback.round_trip.unwrap();
        assert!(round_trip.abs_diff(Duration::from_millis(250)) < Duration::from_millis(1));
        assert_eq!((pair.near.0.counters().reports, pair.near.0.counters().goodbyes), (1, 1));
    }

    #[test]
    fn a_sender_report_is_only_for_who_has_sent() {
        let mut pair = Pair::new();
        let mut buf = [0; RTCP_LEN_MAX];
        let mut kind = |pair: &mut Pair| {
            let len = pair.near.0.handle_end(pair.now, pair.wall, &pair.near.1, &mut buf);
            let first = rtcp::parse(&buf[..len]).unwrap().next().unwrap();
            matches!(first, RtcpPacket::SenderReport { .. })
        };
        assert!(!kind(&mut pair), "nothing was sent yet");
        pair.talk();
        assert!(kind(&mut pair), "one packet was sent");
        assert!(!kind(&mut pair), "and none since");
    }

    #[test]
    fn wall_time_becomes_ntp_time() {
        // RFC 5905 figure 4: 1970-01-01 is 2 208 988 800 s, and half a second is 0x8000 0000.
        assert_eq!(ntp(UnixMicros(500_000)), (2_208_988_800 << 32) | 0x8000_0000);
        assert_eq!(middle(0x1122_3344_5566_7788), 0x3344_5566);
    }

    #[test]
    fn foreign_octets_are_counted_and_change_nothing() {
        let mut pair = Pair::new();
        let refused = pair.near.0.handle_rtcp(pair.now, pair.wall, 1, &[0; 40]);
        assert_eq!(refused, Err(RtcpError::Header { first: 0, second: 0 }));
        assert_eq!(pair.near.0.counters().malformed, 1);
        // A round trip that would be negative: the peer's figures are nonsense.
        let block = [[0x81, 201, 0, 7, 0, 0, 0, 9].as_slice(), &[0, 0, 0, 1], &[0xFF; 20]].concat();
        pair.near.0.handle_rtcp(pair.now, pair.wall, 1, &block).unwrap();
        let feedback = pair.near.0.feedback().unwrap();
        assert_eq!((feedback.reception.lost, feedback.reception.fraction_lost), (-1, 255));
    }

    #[test]
    fn a_name_is_of_the_letters_that_names_are_made_of() {
        let pair = Pair::new();
        assert!(pair.near.0.cname.iter().all(|letter| LETTERS.contains(letter)));
        assert_ne!(pair.near.0.cname, pair.far.0.cname);
    }
}
