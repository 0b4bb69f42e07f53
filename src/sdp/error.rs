//! Why a session description cannot be used.

use std::net::IpAddr;

use super::description::BODY_LEN_MAX;
use super::description::FORMATS_MAX;
use super::description::MEDIA_MAX;

/// Why an offer or an answer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// The body is longer than any description of a call.
    #[error("expected at most {BODY_LEN_MAX} octets of SDP, found {found}")]
    BodyLen {
        /// Octets in the body.
        found: usize,
    },
    /// More streams than a call has.
    #[error("expected at most {MEDIA_MAX} m= lines, found {found}")]
    MediaCount {
        /// `m=` lines in the body.
        found: usize,
    },
    /// More formats in one stream than there are codecs.
    #[error("expected at most {FORMATS_MAX} formats in an m= line, found {found}")]
    FormatCount {
        /// Formats in the line.
        found: usize,
    },
    /// A line that is not as RFC 8866 section 9 writes it.
    #[error("expected SDP, found a fault in line {line}: {fault}")]
    Syntax {
        /// The line, counted from 1; 0 when the fault is in no line.
        line: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Neither the session nor the stream says where to send.
    #[error("expected a c= line for the audio stream, found none")]
    NoConnection,
    /// A connection address that is neither IPv4 nor IPv6: names are not looked up for media.
    #[error("expected an IP address in the c= line, found a host name")]
    HostName,
    /// A multicast group.
    #[error("expected a unicast address in the c= line, found a multicast group")]
    Multicast,
    /// An IPv6 peer for our IPv4 address, or the other way round.
    #[error("expected an address of the family of {ours}, found {theirs}")]
    AddressFamily {
        /// Our address.
        ours: IpAddr,
        /// The peer's address.
        theirs: IpAddr,
    },
    /// No audio stream that is switched on.
    #[error("expected an audio stream with a port, found none")]
    NoAudio,
    /// The audio stream has a profile other than RTP/AVP and RTP/AVPF, such as SRTP's.
    #[error("expected the profile RTP/AVP or RTP/AVPF, found another")]
    Profile,
    /// No codec that both sides speak.
    #[error("expected PCMU or PCMA as allowed on this leg, found none among {offered} formats")]
    NoCommonCodec {
        /// Formats that the stream offers.
        offered: usize,
    },
    /// The answer turns our stream down with port 0.
    #[error("expected a port for our audio stream, found it declined")]
    Declined,
}

impl SdpError {
    /// Whether the description is well formed but of a kind that we do not take: 488 Not
    /// Acceptable Here (RFC 3261 section 21.4.26) rather than 400.
    pub const fn is_unsupported(&self) -> bool {
        match self {
            Self::BodyLen { .. }
            | Self::MediaCount { .. }
            | Self::FormatCount { .. }
            | Self::Syntax { .. }
            | Self::NoConnection => false,
            Self::HostName
            | Self::Multicast
            | Self::AddressFamily { .. }
            | Self::NoAudio
            | Self::Profile
            | Self::NoCommonCodec { .. }
            | Self::Declined => true,
        }
    }
}
