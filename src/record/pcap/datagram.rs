//! The UDP datagram in a captured frame, under the link layers on which telephony is captured.
//!
//! Ethernet with VLAN tags, Linux cooked captures of both kinds, loopback and raw IP; IPv4 and
//! IPv6 with extension headers. What is not UDP is passed over; a fragment is told apart, since a
//! large INVITE is often sent as two.

#![deny(clippy::indexing_slicing)]

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use super::Frame;
use super::octets::Endian;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A whole datagram, or as much of it as was captured.
    Udp(Datagram<'a>),
    /// A part of a datagram.
    Fragment,
    /// Something else, or a header that ends too early.
    Other,
}

/// A captured UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// Its payload.
    pub payload: &'a [u8],
    /// Whether less was captured than was sent.
    pub is_cut: bool,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;
/// IEEE 802.1Q, 802.1ad, and the older double tag.
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88A8, 0x9100];
/// Most VLAN tags on one frame.
const TAGS_MAX: usize = 4;

const UDP: u8 = 17;
/// Hop-by-hop, routing and destination options: `next header, length in 8 octets beyond 8`.
const EXTENSIONS: [u8; 3] = [0, 43, 60];
const FRAGMENT: u8 = 44;
/// Most extension headers of one packet.
const EXTENSIONS_MAX: usize = 8;

impl<'a> Frame<'a> {
    /// What the frame holds.
    pub fn content(&self) -> Content<'a> {
        network(self.link, self.bytes).and_then(ip).unwrap_or(Content::Other)
    }
}

/// The IP packet in a frame, by link type (<https://www.tcpdump.org/linktypes.html>).
fn network(link: u32, frame: &[u8]) -> Option<&[u8]> {
    match link {
        // BSD loopback: 4 octets of an address family whose numbers differ by system.
        0 | 108 => frame.get(4..),
        1 => ethernet(frame),
        12 | 14 | 101 | 228 | 229 => Some(frame),
        113 => by_ethertype(Endian::Big.u16_at(frame, 14)?, frame.get(16..)?),
        276 => by_ethertype(Endian::Big.u16_at(frame, 0)?, frame.get(20..)?),
        _ => None,
    }
}

fn ethernet(frame: &[u8]) -> Option<&[u8]> {
    by_ethertype(Endian::Big.u16_at(frame, 12)?, frame.get(14..)?)
}

fn by_ethertype(ethertype: u16, payload: &[u8]) -> Option<&[u8]> {
    let (mut ethertype, mut payload) = (ethertype, payload);
    for _tag in 0..TAGS_MAX {
        if !ETHERTYPES_VLAN.contains(&ethertype) {
            break;
        }
        ethertype = Endian::Big.u16_at(payload, 2)?;
        payload = payload.get(4..)?;
    }
    matches!(ethertype, ETHERTYPE_IPV4 | ETHERTYPE_IPV6).then_some(payload)
}

fn ip(packet: &[u8]) -> Option<Content<'_>> {
    match packet.first()? >> 4 {
        4 => ipv4(packet),
        6 => ipv6(packet),
        _ => None,
    }
}

/// RFC 791 section 3.1.
fn ipv4(packet: &[u8]) -> Option<Content<'_>> {
    let header_len = usize::from(packet.first()? & 0x0F) * 4;
    let total_len = usize::from(Endian::Big.u16_at(packet, 2)?);
    let fragment = Endian::Big.u16_at(packet, 6)?;
    let protocol = *packet.get(9)?;
    let source: [u8; 4] = *packet.get(12..)?.first_chunk()?;
    let destination: [u8; 4] = *packet.get(16..)?.first_chunk()?;
    if header_len < 20 || protocol != UDP {
        return None;
    }
    // More fragments, or not the first one.
    if fragment & 0x3FFF != 0 {
        return Some(Content::Fragment);
    }
    // Ethernet pads short packets; a length of 0 is what segmentation offload leaves.
    let end = if total_len == 0 { packet.len() } else { total_len.min(packet.len()) };
    let payload = packet.get(header_len..end)?;
    let ips = (Ipv4Addr::from(source).into(), Ipv4Addr::from(destination).into());
    udp(ips, payload)
}

/// RFC 8200 sections 3 and 4.
fn ipv6(packet: &[u8]) -> Option<Content<'_>> {
    let payload_len = usize::from(Endian::Big.u16_at(packet, 4)?);
    let mut next = *packet.get(6)?;
    let source: [u8; 16] = *packet.get(8..)?.first_chunk()?;
    let destination: [u8; 16] = *packet.get(24..)?.first_chunk()?;
    let rest = packet.get(40..)?;
    let mut payload = rest.get(..payload_len.min(rest.len()))?;
    for _extension in 0..EXTENSIONS_MAX {
        if next == FRAGMENT {
            return Some(Content::Fragment);
        }
        if !EXTENSIONS.contains(&next) {
            break;
        }
        next = *payload.first()?;
        let len = usize::from(*payload.get(1)?) * 8 + 8;
        payload = payload.get(len..)?;
    }
    let ips = (Ipv6Addr::from(source).into(), Ipv6Addr::from(destination).into());
    if next == UDP { udp(ips, payload) } else { None }
}

/// RFC 768.
fn udp((source, destination): (IpAddr, IpAddr), packet: &[u8]) -> Option<Content<'_>> {
    let field = |at| Endian::Big.u16_at(packet, at);
    let (from, to, len) = (field(0)?, field(2)?, usize::from(field(4)?));
    let captured = packet.get(8..)?;
    let sent = len.checked_sub(8)?;
    Some(Content::Udp(Datagram {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
        payload: captured.get(..sent).unwrap_or(captured),
        is_cut: captured.len() < sent,
    }))
}
