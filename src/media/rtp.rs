//! RTP packets as they arrive (RFC 3550 section 5.1), and the arithmetic of their counters.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                           timestamp                           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           synchronization source (SSRC) identifier            |
//! +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//! ```
#![deny(clippy::indexing_slicing)]

use rtp_rs::RtpReader;
use rtp_rs::RtpReaderError;

/// Octets of an RTP header without CSRC list or extension.
pub const HEADER_LEN: usize = 12;

/// Second octets that mark a datagram as RTCP: SR, RR, SDES, BYE, APP (RFC 5761 section 4).
const RTCP_PACKET_TYPES: std::ops::RangeInclusive<u8> = 200..=204;

/// A 16-bit packet counter that wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// The number `steps` further on; negative steps go back.
    #[must_use]
    pub const fn plus(self, steps: i16) -> Self {
        Self(self.0.wrapping_add_signed(steps))
    }

    /// How far `self` is ahead of `earlier`, -32 768 to 32 767: serial arithmetic of RFC 1982.
    pub const fn since(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0) as i16
    }
}

/// A 32-bit media clock reading that wraps; ticks of 1/8000 s for G.711 and its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// The reading `ticks` further on; negative ticks go back.
    #[must_use]
    pub const fn plus(self, ticks: i32) -> Self {
        Self(self.0.wrapping_add_signed(ticks))
    }

    /// How many ticks `self` is ahead of `earlier`: serial arithmetic of RFC 1982.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

/// Why a datagram is no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtpError {
    /// Fewer octets than the fixed header has.
    #[error("expected at least {HEADER_LEN} octets, found {found}")]
    Short {
        /// Octets in the datagram.
        found: usize,
    },
    /// Another version of the protocol, or another protocol.
    #[error("expected RTP version 2, found {found}")]
    Version {
        /// The two version bits.
        found: u8,
    },
    /// The CSRC list, extension or padding count reaches beyond the datagram.
    #[error("expected {expected} octets of header, found {found}")]
    Truncated {
        /// Octets that the header claims.
        expected: usize,
        /// Octets in the datagram.
        found: usize,
    },
    /// The padding count is zero, or more than what follows the header.
    #[error("expected 1 octet of padding up to the payload's length, found {found}")]
    Padding {
        /// The last octet of the datagram.
        found: u8,
    },
    /// An RTCP packet on the RTP port, though multiplexing was not negotiated.
    #[error("expected RTP, found RTCP packet type {found}")]
    Rtcp {
        /// The RTCP packet type.
        found: u8,
    },
}

/// A received RTP packet: its header fields, and its payload without padding and extension.
///
/// Borrows the datagram; parsing allocates nothing. CSRC list and extension are checked and
/// skipped, since nothing here mixes or extends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    sequence: SequenceNumber,
    timestamp: RtpTimestamp,
    ssrc: u32,
    marker: bool,
    payload_type: u8,
    payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    ///
    /// [`RtpError`] when it is not one whole RTP packet of version 2.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtpError> {
        if let [0x80..=0xBF, packet_type, ..] = datagram
            && RTCP_PACKET_TYPES.contains(packet_type)
        {
            return Err(RtpError::Rtcp { found: *packet_type });
        }
        let reader = RtpReader::new(datagram).map_err(|error| refusal(&error))?;
        Ok(Self {
            sequence: SequenceNumber(reader.sequence_number().into()),
            timestamp: RtpTimestamp(reader.timestamp()),
            ssrc: reader.ssrc(),
            marker: reader.mark(),
            payload_type: reader.payload_type(),
            payload: reader.payload(),
        })
    }

    /// The packet's number in its stream.
    pub const fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    /// The sampling instant of the payload's first sample, or an event's beginning.
    pub const fn timestamp(&self) -> RtpTimestamp {
        self.timestamp
    }

    /// The stream that the packet belongs to.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// First packet of a talkspurt or of an event.
    pub const fn marker(&self) -> bool {
        self.marker
    }

    /// The payload type, 0 to 127.
    pub const fn payload_type(&self) -> u8 {
        self.payload_type
    }

    /// The payload, without padding.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

fn refusal(error: &RtpReaderError) -> RtpError {
    match *error {
        RtpReaderError::BufferTooShort(found) => RtpError::Short { found },
        RtpReaderError::UnsupportedVersion(found) => RtpError::Version { found },
        RtpReaderError::HeadersTruncated { header_len, buffer_len } => {
            RtpError::Truncated { expected: header_len, found: buffer_len }
        }
        RtpReaderError::PaddingLengthInvalid(found) => RtpError::Padding { found },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_arithmetic_wraps() {
        // RFC 1982 section 3.2: the difference is signed, whatever the raw values are.
        let cases = [
            ("one step", 1, 0, 1),
            ("no step", 7, 7, 0),
            ("over the wrap", 2, 0xFFFE, 4),
            ("back over the wrap", 0xFFFE, 2, -4),
            ("the furthest ahead", 0x7FFF, 0, 0x7FFF),
            ("half the circle counts as behind", 0x8000, 0, -0x8000),
        ];
        for (name, later, earlier, want) in cases {
            let got = SequenceNumber(later).since(SequenceNumber(earlier));
            assert_eq!(got, want, "{name}");
            assert_eq!(SequenceNumber(earlier).plus(got), SequenceNumber(later), "{name}");
        }
        let (before, after) = (RtpTimestamp(u32::MAX - 79), RtpTimestamp(80));
        assert_eq!((after.since(before), before.since(after)), (160, -160));
        assert_eq!(before.plus(160), after);
    }

    #[test]
    fn packets_are_read_as_rfc_3550_draws_them() {
        let head = |first: u8, second: u8| {
            vec![first, second, 0x12, 0x34, 0x01, 0x02, 0x03, 0x04, 0xCA, 0xFE, 0xBA, 0xBE]
        };
        let with = |first, second, rest: &[u8]| [head(first, second), rest.to_vec()].concat();
        fn fields(
            marker: bool,
            payload_type: u8,
            payload: &[u8],
        ) -> Result<RtpPacket<'_>, RtpError> {
            let (sequence, timestamp) = (SequenceNumber(0x1234), RtpTimestamp(0x0102_0304));
            Ok(RtpPacket { sequence, timestamp, ssrc: 0xCAFE_BABE, marker, payload_type, payload })
        }
        let cases = [
            ("a plain packet", with(0x80, 0, &[1, 2, 3]), fields(false, 0, &[1, 2, 3])),
            ("the marker is no part of the type", with(0x80, 0xE5, &[9]), fields(true, 101, &[9])),
            ("no payload at all", with(0x80, 8, &[]), fields(false, 8, &[])),
            ("padding is cut off", with(0xA0, 0, &[1, 0, 0, 3]), fields(false, 0, &[1])),
            ("padding only", with(0xA0, 0, &[0, 2]), fields(false, 0, &[])),
            (
                "two contributing sources",
                with(0x82, 0, &[0, 0, 0, 1, 0, 0, 0, 2, 7]),
                fields(false, 0, &[7]),
            ),
            (
                "an extension of one word",
                with(0x90, 0, &[0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 7]),
                fields(false, 0, &[7]),
            ),
            (
                "everything at once",
                with(0xB1, 0, &[0, 0, 0, 1, 0xBE, 0xDE, 0, 0, 7, 1]),
                fields(false, 0, &[7]),
            ),
            ("version 1", with(0x40, 0, &[]), Err(RtpError::Version { found: 1 })),
            ("padding of zero", with(0xA0, 0, &[1, 0]), Err(RtpError::Padding { found: 0 })),
            ("padding too long", with(0xA0, 0, &[1, 3]), Err(RtpError::Padding { found: 3 })),
            (
                "a sender report on the RTP port",
                with(0x80, 200, &[0; 16]),
                Err(RtpError::Rtcp { found: 200 }),
            ),
            (
                "contributing sources that are not there",
                with(0x8F, 0, &[0; 59]),
                Err(RtpError::Truncated { expected: 72, found: 71 }),
            ),
            (
                "an extension longer than the datagram",
                with(0x90, 0, &[0xBE, 0xDE, 0xFF, 0xFF]),
                Err(RtpError::Truncated { expected: 16 + 4 * 0xFFFF, found: 16 }),
            ),
        ];
        for (name, datagram, want) in cases {
            assert_eq!(RtpPacket::parse(&datagram), want, "{name}: {datagram:02x?}");
        }
    }

    #[test]
    fn a_packet_cut_at_any_octet_never_panics() {
        let whole = [
            0xB1, 0x80, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 5,
            6, 2, 2,
        ];
        for len in 0..whole.len() {
            for first in 0..=255 {
                let mut cut = whole.get(..len).unwrap().to_vec();
                if let Some(octet) = cut.first_mut() {
                    *octet = first;
                }
                let parsed = RtpPacket::parse(&cut).is_ok();
                assert!(!(parsed && len < HEADER_LEN), "{len} octets are no packet");
            }
        }
    }
}
