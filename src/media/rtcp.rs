//! RTCP (RFC 3550 section 6): reading what a peer reports, and writing our own reports.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|  count  |  packet type  |  length in words less one     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Nothing here ends a call: RTCP can be forged as easily as RTP, so a BYE is only told.
#![deny(clippy::indexing_slicing)]

use super::quality::Reception;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

/// The SDES item that names a source across its streams (RFC 3550 section 6.5.1).
const CNAME: u8 = 1;

/// Octets of a CNAME of ours: 96 bits in the alphabet of base64 (RFC 7022 section 4.2).
pub const CNAME_LEN: usize = 16;

/// Octets of the largest compound packet that we write: SR with one block, SDES, BYE.
pub const RTCP_LEN_MAX: usize = 128;

/// Octets of one report block.
const BLOCK_LEN: usize = 24;

/// Why a datagram is no RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtcpError {
    /// Fewer octets than a header has.
    #[error("expected at least 8 octets, found {found}")]
    Short {
        /// Octets in the datagram.
        found: usize,
    },
    /// Another version, or another protocol.
    #[error("expected RTCP of version 2, found the first octets {first:#04x} {second:#04x}")]
    Header {
        /// The first octet.
        first: u8,
        /// The second octet.
        second: u8,
    },
}

/// What a sender says about its own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall time, seconds since 1900 in the upper 32 bits and their fraction below.
    pub ntp: u64,
    /// The media clock at the same moment.
    pub rtp_timestamp: u32,
    /// Packets sent since the stream began.
    pub packets: u32,
    /// Octets of payload in them.
    pub octets: u32,
}

/// What a receiver says about a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// Loss and jitter.
    pub reception: Reception,
    /// The middle 32 bits of the NTP time of the last sender report; 0 when there was none.
    pub last_report: u32,
    /// How long ago that report came, in 1/65 536 s.
    pub delay_since: u32,
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpPacket<'a> {
    /// SR: a report of a source that sends.
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// About its own stream.
        info: SenderInfo,
        /// About the streams that it receives.
        blocks: ReportBlocks<'a>,
    },
    /// RR: a report of a source that only receives.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// About the streams that it receives.
        blocks: ReportBlocks<'a>,
    },
    /// BYE: a source leaves.
    Goodbye {
        /// Who leaves; 0 when nobody is named.
        ssrc: u32,
    },
    /// SDES, APP, feedback and whatever else there is.
    Other {
        /// The packet type.
        packet_type: u8,
    },
}

/// The packets of a compound, as far as they are whole.
#[derive(Clone, Debug)]
pub struct RtcpPackets<'a> {
    rest: &'a [u8],
}

/// The report blocks of one report, as far as they are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlocks<'a> {
    octets: &'a [u8],
}

/// Looks into a datagram. What is cut off or malformed after the first header ends the packets
/// early.
///
/// # Errors
///
/// [`RtcpError`] when the datagram is no RTCP at all. A reduced-size compound (RFC 5506) may begin
/// with any packet type from 192 to 223.
pub fn parse(datagram: &[u8]) -> Result<RtcpPackets<'_>, RtcpError> {
    match *datagram {
        [0x80..=0xBF, 192..=223, _, _, _, _, _, _, ..] => Ok(RtcpPackets { rest: datagram }),
        [first, second, _, _, _, _, _, _, ..] => Err(RtcpError::Header { first, second }),
        _ => Err(RtcpError::Short { found: datagram.len() }),
    }
}

impl<'a> Iterator for RtcpPackets<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<RtcpPacket<'a>> {
        let (&[first, packet_type, high, low], rest) = self.rest.split_first_chunk::<4>()?;
        if first & 0xC0 != 0x80 {
            self.rest = &[];
            return None;
        }
        let len = usize::from(u16::from_be_bytes([high, low])) * 4;
        let body = rest.get(..len)?;
        self.rest = rest.get(len..).unwrap_or_default();
        let count = usize::from(first & 0x1F);
        read(packet_type, count, body).or(Some(RtcpPacket::Other { packet_type }))
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.octets.split_first_chunk::<BLOCK_LEN>()?;
        self.octets = rest;
        let [ssrc, loss, highest_sequence, jitter_ticks, last_report, delay_since] = words(block);
        Some(ReportBlock {
            reception: Reception {
                ssrc,
                fraction_lost: (loss >> 24) as u8,
                lost: ((loss << 8) as i32) >> 8, // 24 bits with a sign.
                highest_sequence,
                jitter_ticks,
            },
            last_report,
            delay_since,
        })
    }
}

/// One packet by its type; `None` when its body is too short for it.
fn read(packet_type: u8, count: usize, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let (&ssrc, rest) = body.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    let ssrc = u32::from_be_bytes(ssrc);
    match packet_type {
        SENDER_REPORT => {
            let (info, rest) = rest.split_first_chunk::<20>()?;
            let [high, low, rtp_timestamp, packets, octets] = words(info);
            let ntp = (u64::from(high) << 32) | u64::from(low);
            let info = SenderInfo { ntp, rtp_timestamp, packets, octets };
            Some(RtcpPacket::SenderReport { ssrc, info, blocks: blocks(rest, count) })
        }
        RECEIVER_REPORT if body.len() >= 4 => {
            Some(RtcpPacket::ReceiverReport { ssrc, blocks: blocks(rest, count) })
        }
        GOODBYE => Some(RtcpPacket::Goodbye { ssrc: if count == 0 { 0 } else { ssrc } }),
        _ => None,
    }
}

fn blocks(octets: &[u8], count: usize) -> ReportBlocks<'_> {
    ReportBlocks { octets: octets.get(..count * BLOCK_LEN).unwrap_or(octets) }
}

/// The big-endian words of a block of a fixed length.
fn words<const OCTETS: usize, const WORDS: usize>(octets: &[u8; OCTETS]) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    for (word, octets) in words.iter_mut().zip(octets.chunks_exact(4)) {
        *word = octets.iter().fold(0, |word, &octet| (word << 8) | u32::from(octet));
    }
    words
}

/// What one compound packet of ours holds.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The SSRC of the stream that we send.
    pub ssrc: u32,
    /// About that stream; `None`, and the report is an RR, when nothing was sent lately.
    pub sender: Option<SenderInfo>,
    /// About the stream that we receive.
    pub block: Option<ReportBlock>,
    /// Our canonical name.
    pub cname: &'a [u8; CNAME_LEN],
    /// Whether we leave: a BYE at the end.
    pub is_last: bool,
}

/// Writes a compound packet into `buf` and returns its length.
pub fn write(report: &Report<'_>, buf: &mut [u8; RTCP_LEN_MAX]) -> usize {
    let mut writer = Writer { buf, len: 0 };
    let count = u8::from(report.block.is_some());
    let packet_type = if report.sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
    let start = writer.begin(count, packet_type);
    writer.word(report.ssrc);
    if let Some(info) = report.sender {
        writer.octets(&info.ntp.to_be_bytes());
        writer.word(info.rtp_timestamp);
        writer.word(info.packets);
        writer.word(info.octets);
    }
    if let Some(block) = &report.block {
        let reception = block.reception;
        writer.word(reception.ssrc);
        let lost = reception.lost as u32 & 0x00FF_FFFF; // 24 bits with a sign.
        writer.word((u32::from(reception.fraction_lost) << 24) | lost);
        writer.word(reception.highest_sequence);
        writer.word(reception.jitter_ticks);
        writer.word(block.last_report);
        writer.word(block.delay_since);
    }
    writer.end(start);
    let start = writer.begin(1, SOURCE_DESCRIPTION);
    writer.word(report.ssrc);
    writer.octets(&[CNAME, CNAME_LEN as u8]);
    writer.octets(report.cname);
    writer.octets(&[0; 2]); // The list ends with a null octet, the chunk on a word.
    writer.end(start);
    if report.is_last {
        let start = writer.begin(1, GOODBYE);
        writer.word(report.ssrc);
        writer.end(start);
    }
    writer.len
}

/// Appends to a buffer that has room for the largest compound.
struct Writer<'a> {
    buf: &'a mut [u8; RTCP_LEN_MAX],
    len: usize,
}

impl Writer<'_> {
    fn begin(&mut self, count: u8, packet_type: u8) -> usize {
        let start = self.len;
        self.octets(&[0x80 | count, packet_type, 0, 0]);
        start
    }

    /// Fills in the length of the packet that began at `start`.
    fn end(&mut self, start: usize) {
        let words = ((self.len - start) / 4).saturating_sub(1) as u16;
        if let Some(length) = self.buf.get_mut(start + 2..start + 4) {
            length.copy_from_slice(&words.to_be_bytes());
        }
    }

    fn word(&mut self, word: u32) {
        self.octets(&word.to_be_bytes());
    }

    fn octets(&mut self, octets: &[u8]) {
        let room = self.buf.get_mut(self.len..self.len + octets.len());
        room.expect("RTCP_LEN_MAX holds the largest compound").copy_from_slice(octets);
        self.len += octets.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &[u8; CNAME_LEN] = b"0123456789abcdef";

    fn block() -> ReportBlock {
        let reception = Reception {
            ssrc: 0xAABB_CCDD,
            fraction_lost: 64,
            lost: -2,
            highest_sequence: 0x0001_0005,
            jitter_ticks: 9,
        };
        ReportBlock { reception, last_report: 0x1122_3344, delay_since: 0x0001_0000 }
    }

    const INFO: SenderInfo =
        SenderInfo { ntp: 0x0102_0304_0506_0708, rtp_timestamp: 0x90, packets: 5, octets: 800 };

    fn written(report: &Report<'_>) -> Vec<u8> {
        let mut buf = [0xEE; RTCP_LEN_MAX];
        let len = write(report, &mut buf);
        buf.get(..len).expect("within the buffer").to_vec()
    }

    #[test]
    fn a_compound_is_written_as_section_6_draws_it() {
        let (ssrc, cname) = (0x0A0B_0C0D, NAME);
        let report =
            Report { ssrc, sender: Some(INFO), block: Some(block()), cname, is_last: true };
        let sender_report: [&[u8]; 11] = [
            &[0x81, 200, 0, 12],
            &[0x0A, 0x0B, 0x0C, 0x0D],
            &[1, 2, 3, 4, 5, 6, 7, 8],
            &[0, 0, 0, 0x90, 0, 0, 0, 5, 0, 0, 3, 0x20],
            &[0xAA, 0xBB, 0xCC, 0xDD],
            &[64, 0xFF, 0xFF, 0xFE],
            &[0, 1, 0, 5],
            &[0, 0, 0, 9],
            &[0x11, 0x22, 0x33, 0x44],
            &[0, 1, 0, 0],
            &[],
        ];
        let description: [&[u8]; 4] =
            [&[0x81, 202, 0, 6, 0x0A, 0x0B, 0x0C, 0x0D], &[1, 16], NAME, &[0, 0]];
        let goodbye: [&[u8]; 1] = [&[0x81, 203, 0, 1, 0x0A, 0x0B, 0x0C, 0x0D]];
        let want = [sender_report.concat(), description.concat(), goodbye.concat()].concat();
        assert_eq!(written(&report), want);
        let report = Report { ssrc, sender: None, block: None, cname, is_last: false };
        let want = [vec![0x80, 201, 0, 1, 0x0A, 0x0B, 0x0C, 0x0D], description.concat()].concat();
        assert_eq!(written(&report), want, "nothing sent and nothing heard");
    }

    #[test]
    fn what_is_written_can_be_read() {
        for (sender, with_block) in [(Some(INFO), true), (Some(INFO), false), (None, true)] {
            let block = with_block.then(block);
            let report = Report { ssrc: 5, sender, block, cname: NAME, is_last: true };
            let octets = written(&report);
            let packets: Vec<_> = parse(&octets).unwrap().collect();
            let [first, RtcpPacket::Other { packet_type: 202 }, RtcpPacket::Goodbye { ssrc: 5 }] =
                packets.as_slice()
            else {
                panic!("{packets:?}");
            };
            let (ssrc, info, blocks) = match *first {
                RtcpPacket::SenderReport { ssrc, info, blocks } => (ssrc, Some(info), blocks),
                RtcpPacket::ReceiverReport { ssrc, blocks } => (ssrc, None, blocks),
                _ => panic!("{first:?}"),
            };
            assert_eq!((ssrc, info), (5, sender));
            assert_eq!(blocks.collect::<Vec<_>>(), block.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn foreign_octets_are_no_rtcp() {
        let cases: [(&str, &[u8], RtcpError); 4] = [
            ("nothing", &[], RtcpError::Short { found: 0 }),
            ("a header alone", &[0x80, 201, 0, 0], RtcpError::Short { found: 4 }),
            ("RTP", &[0x80, 0, 0, 1, 0, 0, 0, 0], RtcpError::Header { first: 0x80, second: 0 }),
            (
                "version 1",
                &[0x40, 200, 0, 1, 0, 0, 0, 0],
                RtcpError::Header { first: 0x40, second: 200 },
            ),
        ];
        for (name, octets, want) in cases {
            assert_eq!(parse(octets).map(|_| ()), Err(want), "{name}");
        }
    }

    #[test]
    fn lengths_and_counts_that_lie_end_the_packets_early() {
        let cases: [(&str, &[u8], usize); 5] = [
            ("a length beyond the datagram", &[0x80, 201, 0xFF, 0xFF, 0, 0, 0, 1], 0),
            ("a length of nothing", &[0x80, 201, 0, 0, 0x80, 203, 0, 0], 2),
            ("a sender report without its facts", &[0x80, 200, 0, 1, 0, 0, 0, 1], 1),
            ("31 blocks that are not there", &[0x9F, 201, 0, 1, 0, 0, 0, 1], 1),
            ("garbage behind the first", &[0x80, 203, 0, 0, 1, 2, 3, 4, 5], 1),
        ];
        for (name, octets, want) in cases {
            let packets: Vec<_> = parse(octets).unwrap().collect();
            assert_eq!(packets.len(), want, "{name}: {packets:?}");
        }
    }

    #[test]
    fn a_compound_cut_or_changed_at_any_octet_never_panics() {
        let report = Report {
            ssrc: 5,
            sender: Some(INFO),
            block: Some(block()),
            cname: NAME,
            is_last: true,
        };
        let whole = written(&report);
        let read = |octets: &[u8]| {
            parse(octets).map_or(0, |packets| {
                packets
                    .map(|packet| match packet {
                        RtcpPacket::SenderReport { blocks, .. }
                        | RtcpPacket::ReceiverReport { blocks, .. } => 1 + blocks.count(),
                        RtcpPacket::Goodbye { .. } | RtcpPacket::Other { .. } => 1,
                    })
                    .sum()
            })
        };
        assert_eq!(read(&whole), 4);
        for len in 0..whole.len() {
            assert!(read(whole.get(..len).unwrap()) < 4, "{len}");
        }
        for at in 0..whole.len() {
            for octet in 0..=255 {
                let mut changed = whole.clone();
                *changed.get_mut(at).unwrap() = octet;
                read(&changed);
            }
        }
    }
}
