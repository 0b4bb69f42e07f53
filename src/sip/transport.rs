//! Where messages go: a response by RFC 3261 section 18.2.2 and RFC 3581, a request of ours by
//! its route or target.
//!
//! Addresses come from strangers, so two rules bound what they can do. A response goes to the
//! very address its request came from; the Via chooses at most the port. A request goes to the
//! address that its route or target names only when that is one host of the listener's family;
//! anything else - a name (there is no DNS in a pure room), broadcast, multicast, a private
//! address named by a peer with a public one (a phone behind NAT) - is replaced by the address
//! from which the peer has spoken.

use std::net::IpAddr;
use std::net::SocketAddr;

use super::uri::Host;
use super::uri::Scheme;
use super::uri::Uri;
use super::via::Via;

/// The port of `sip:` without one, RFC 3261 section 19.1.2.
const SIP_PORT: u16 = 5060;

/// Where the response to a request from `source` goes: back to where it came from when `rport`
/// asks for that (RFC 3581 section 4), else to the port that the Via names, at the same address.
pub(crate) fn response_address(via: &Via<'_>, source: SocketAddr) -> SocketAddr {
    match via.port.unwrap_or(SIP_PORT) {
        _ if via.rport().is_some() => source,
        0 => source,
        port => SocketAddr::new(source.ip(), port),
    }
}

/// Where a request to `uri` goes; `known` is the address at which its peer has been heard.
pub(crate) fn next_hop(uri: &[u8], known: SocketAddr) -> SocketAddr {
    let Ok(uri) = Uri::parse(uri) else { return known };
    let (Scheme::Sip | Scheme::Sips, Host::Ip(ip)) = (uri.scheme, uri.host) else { return known };
    let hides_behind_nat = is_private(ip) && !is_private(known.ip());
    if !is_one_host(ip) || ip.is_ipv4() != known.is_ipv4() || hides_behind_nat {
        return known;
    }
    match uri.port.unwrap_or(SIP_PORT) {
        0 => known,
        port => SocketAddr::new(ip, port),
    }
}

/// Whether packets to `ip` reach one host at most.
pub(crate) fn is_one_host(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}

/// Whether `ip` means something within a site or host only (RFC 1918, RFC 4193, RFC 6598).
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_go_to_the_source_and_at_most_to_another_port_of_it() {
        #[rustfmt::skip]
        let cases = [
            ("rport sends it back to the port", "SIP/2.0/UDP 10.0.0.9:5070;rport", "192.0.2.1:40000"),
            ("the Via's port without rport", "SIP/2.0/UDP 10.0.0.9:5070", "192.0.2.1:5070"),
            ("the port of sip without either", "SIP/2.0/UDP phone.example", "192.0.2.1:5060"),
            ("never to broadcast", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1", "192.0.2.1:5060"),
            ("never to a multicast maddr", "SIP/2.0/UDP 10.0.0.9:5070;maddr=224.0.1.75", "192.0.2.1:5070"),
            ("never to a claimed received", "SIP/2.0/UDP 10.0.0.9:5070;received=198.51.100.7", "192.0.2.1:5070"),
            ("port 0 is no port", "SIP/2.0/UDP 10.0.0.9:0", "192.0.2.1:40000"),
        ];
        let source = "192.0.2.1:40000".parse().unwrap();
        for (name, via, want) in cases {
            let via = Via::parse(via.as_bytes()).unwrap();
            assert_eq!(response_address(&via, source).to_string(), want, "{name}");
        }
    }

    #[test]
    fn requests_go_to_one_reachable_host() {
        #[rustfmt::skip]
        let cases = [
            ("the address in the URI", "sip:a@198.51.100.7:5080", "192.0.2.1:5062", "198.51.100.7:5080"),
            ("its default port", "sip:198.51.100.7", "192.0.2.1:5062", "198.51.100.7:5060"),
            ("a name is not looked up here", "sip:a@pbx.example:5080", "192.0.2.1:5062", "192.0.2.1:5062"),
            ("a telephone number has no address", "tel:+34600000001", "192.0.2.1:5062", "192.0.2.1:5062"),
            ("broadcast", "sip:a@255.255.255.255", "192.0.2.1:5062", "192.0.2.1:5062"),
            ("multicast", "sip:a@224.0.1.75", "192.0.2.1:5062", "192.0.2.1:5062"),
            ("the unspecified address", "sip:a@0.0.0.0:5060", "192.0.2.1:5062", "192.0.2.1:5062"),
            ("a private address behind a public one", "sip:a@192.168.1.5:5060", "192.0.2.1:5062", "192.0.2.1:5062"),
            ("a private address in a private net", "sip:a@192.168.1.5:5060", "10.0.0.1:5062", "192.168.1.5:5060"),
            ("loopback to loopback", "sip:a@127.0.0.1:5099", "127.0.0.2:5062", "127.0.0.1:5099"),
            ("an IPv6 reference", "sip:a@[2001:db8::7]:5070", "[2001:db8::1]:5062", "[2001:db8::7]:5070"),
            ("another family", "sip:a@[2001:db8::7]", "192.0.2.1:5062", "192.0.2.1:5062"),
            ("rubbish", "\u{1}", "192.0.2.1:5062", "192.0.2.1:5062"),
        ];
        for (name, uri, known, want) in cases {
            let got = next_hop(uri.as_bytes(), known.parse().unwrap());
            assert_eq!(got.to_string(), want, "{name}: {uri}");
        }
    }
}
