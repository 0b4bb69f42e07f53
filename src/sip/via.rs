//! The Via header (RFC 3261 section 20.42), with `rport` (RFC 3581).

#![deny(clippy::indexing_slicing)]

use std::net::IpAddr;

use super::error::SipError;
use super::name::HeaderName;
use super::scan;
use super::uri::Host;
use super::uri::Params;
use super::uri::read_host_port;
use super::uri::read_ip;
use super::uri::split_before;

/// What every branch of this protocol begins with (RFC 3261 section 8.1.1.7).
pub const BRANCH_COOKIE: &[u8] = b"z9hG4bK";

/// One Via value: the hop a request came over, and the way its response goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The transport as written: `UDP`, `TCP`, `TLS`, or one that is not known yet.
    pub transport: &'a [u8],
    /// The host the sender claims to be.
    pub host: Host<'a>,
    /// The port the sender claims to listen on, if it says one.
    pub port: Option<u16>,
    /// Host and port as written, white space inside kept: a part of the transaction's key.
    pub sent_by: &'a [u8],
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one Via value: white space may stand around its slashes and its colon.
    ///
    /// # Errors
    ///
    /// [`SipError::Malformed`] when it is not `name/version/transport host[:port]` and
    /// parameters.
    pub fn parse(value: &'a [u8]) -> Result<Self, SipError> {
        Self::read(value).ok_or(SipError::Malformed(HeaderName::Via))
    }

    fn read(value: &'a [u8]) -> Option<Self> {
        let (protocol, rest) = scan::split_once(value, b'/')?;
        let (version, rest) = scan::split_once(rest, b'/')?;
        let rest = scan::trim(rest);
        let end = rest.iter().position(|byte| scan::is_space(*byte))?;
        let (transport, rest) = scan::cut(rest, end);
        let parts = [scan::trim(protocol), scan::trim(version), transport];
        if !parts.into_iter().all(scan::is_token) {
            return None;
        }
        let (sent_by, params) = split_before(rest, b';');
        let sent_by = scan::trim(sent_by);
        let (host, port) = read_host_port(sent_by).ok()?;
        Some(Self { transport, host, port, sent_by, params: Params::parse(params).ok()? })
    }

    /// The branch, if it has a value; one without [`BRANCH_COOKIE`] is of RFC 2543 times.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.params.value("branch").filter(|branch| !branch.is_empty())
    }

    /// Where the hop before us saw the request come from, brackets or none.
    pub fn received(&self) -> Option<IpAddr> {
        self.params.value("received").and_then(read_ip)
    }

    /// The rport parameter: `Some(None)` asks for the port, `Some(Some(_))` tells it.
    pub fn rport(&self) -> Option<Option<u16>> {
        let value = self.params.find("rport")?;
        Some(value.and_then(scan::decimal).and_then(|port| u16::try_from(port).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transport, sent-by, host, port, branch, received and rport, between bars.
    fn check(text: &str) -> String {
        let Ok(via) = Via::parse(text.as_bytes()) else { return "refused".to_owned() };
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let host = match via.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => text(name),
            Host::Absent => String::new(),
        };
        let port = via.port.map(|port| port.to_string()).unwrap_or_default();
        let received = via.received().map(|ip| ip.to_string()).unwrap_or_default();
        let rport = via.rport().map_or_else(String::new, |rport| format!("{rport:?}"));
        let branch = text(via.branch().unwrap_or_default());
        format!("{}|{host}|{port}|{branch}|{received}|{rport}", text(via.transport))
    }

    #[test]
    fn vias_are_taken_apart() {
        #[rustfmt::skip]
        let cases = [
            ("usual",              "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport",    "UDP|192.0.2.1|5060|z9hG4bKx||None"),
            ("answered",           "SIP/2.0/UDP h;branch=z9hG4bKx;received=192.0.2.9;rport=4", "UDP|h||z9hG4bKx|192.0.2.9|Some(4)"),
            ("spaced",             "SIP / 2.0 / TCP  h : 5070 ; branch = x",              "TCP|h|5070|x||"),
            ("folded",             "SIP/2.0\r\n /UDP\r\n  h;branch=\r\n x",               "UDP|h||x||"),
            ("IPv6",               "SIP/2.0/UDP [2001:db8::1]:6050;branch=x",             "UDP|2001:db8::1|6050|x||"),
            ("RFC 2543",           "SIP/2.0/UDP h",                                       "UDP|h||||"),
            ("no known transport", "SIP/2.0/UNKNOWN h;branch=x",                          "UNKNOWN|h||x||"),
            ("an empty branch",    "SIP/2.0/UDP h;branch=",                               "UDP|h||||"),
            ("a bad received",     "SIP/2.0/UDP h;received=nobody;rport=x",               "UDP|h||||None"),
            ("no transport",       "SIP/2.0 h",                                           "refused"),
            ("no host",            "SIP/2.0/UDP ;branch=x",                               "refused"),
            ("no space",           "SIP/2.0/UDP",                                         "refused"),
            ("bare IPv6",          "SIP/2.0/UDP 2001:db8::1;branch=x",                    "refused"),
            ("an open quote",      "SIP/2.0/UDP h;branch=\"x",                            "refused"),
            ("a split branch",     "SIP/2.0/UDP h;branch=x y",                            "refused"),
            ("two hosts",          "SIP/2.0/UDP a b;branch=x",                            "refused"),
            ("nothing",            "",                                                    "refused"),
        ];
        for (name, text, want) in cases {
            assert_eq!(check(text), want, "{name}: {text}");
        }
    }
}
