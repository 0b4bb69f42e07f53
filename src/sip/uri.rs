//! URIs as SIP carries them: sip and sips (RFC 3261 section 19.1), tel (RFC 3966), and any other
//! scheme as opaque octets. IPv6 references as RFC 5118 asks, its tolerated `:::` included.
//!
//! ```text
//! sip:user:password@host:port;uri-parameters?headers
//! tel:number;parameters
//! ```

#![deny(clippy::indexing_slicing)]

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::str;

use super::error::SipError;
use super::scan;
use super::scan::Pieces;

/// Longest text of an IPv6 address: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255` and a colon.
const IPV6_TEXT_MAX: usize = 46;

/// The scheme of a URI; its case does not matter (RFC 3986 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other, as written.
    Other(&'a [u8]),
}

/// The host of a URI or of a Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An IPv4 address, or an IPv6 reference without its brackets.
    Ip(IpAddr),
    /// A domain name, not looked up and not lower-cased.
    Name(&'a [u8]),
    /// None: the URI is a tel URI or of a scheme we do not read.
    Absent,
}

impl<'a> Host<'a> {
    /// Reads `host`: a bracketed IPv6 address, an IPv4 address or a domain name.
    ///
    /// # Errors
    ///
    /// [`SipError::Uri`] for anything else, a bare IPv6 address among it (RFC 5118 section 4.1).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SipError> {
        if let Some(inner) = bytes.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
            return read_ipv6(inner).map(|ip| Self::Ip(IpAddr::V6(ip))).ok_or(SipError::Uri);
        }
        if let Some(ip) = read_ipv4(bytes) {
            return Ok(Self::Ip(IpAddr::V4(ip)));
        }
        if bytes.is_empty() || !bytes.iter().copied().all(scan::is_host_byte) {
            return Err(SipError::Uri);
        }
        Ok(Self::Name(bytes))
    }

    /// The address, if the host is one.
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            Self::Name(_) | Self::Absent => None,
        }
    }
}

/// Reads `host [ ":" port ]`, white space around the colon included, as Via has it.
pub(super) fn read_host_port(bytes: &[u8]) -> Result<(Host<'_>, Option<u16>), SipError> {
    let bytes = scan::trim(bytes);
    // In an IPv6 reference the port's colon is the one after the bracket.
    let from = memchr::memrchr(b']', bytes).unwrap_or(0);
    let tail = bytes.get(from..).unwrap_or_default();
    let Some(colon) = memchr::memchr(b':', tail) else {
        return Ok((Host::parse(bytes)?, None));
    };
    let (host, port) = scan::cut(bytes, from + colon);
    let port = scan::decimal(scan::trim(port)).and_then(|port| u16::try_from(port).ok());
    Ok((Host::parse(scan::trim(host))?, Some(port.ok_or(SipError::Uri)?)))
}

/// Reads an address with or without brackets, as `received` comes (RFC 5118 section 4.5).
pub(super) fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    let inner = bytes.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    match read_ipv4(bytes) {
        Some(ip) => Some(IpAddr::V4(ip)),
        None => read_ipv6(inner.unwrap_or(bytes)).map(IpAddr::V6),
    }
}

fn read_ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    let mut pieces = bytes.split(|byte| *byte == b'.');
    let mut octets = [0_u8; 4];
    for octet in &mut octets {
        let piece =
            pieces.next().filter(|piece| piece.len() == 1 || piece.first() != Some(&b'0'))?;
        *octet = scan::decimal(piece).and_then(|value| u8::try_from(value).ok())?;
    }
    pieces.next().is_none().then(|| Ipv4Addr::from(octets))
}

fn read_ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    if bytes.len() > IPV6_TEXT_MAX {
        return None;
    }
    let text = str::from_utf8(bytes).ok()?;
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    // The grammar of RFC 3261 yields three colons before an embedded IPv4 address; RFC 5118
    // section 4.10 wants that tolerated.
    let (before, after) = text.split_once(":::")?;
    let mut joined = [0_u8; IPV6_TEXT_MAX];
    let parts = before.bytes().chain(*b"::").chain(after.bytes());
    let mut len = 0;
    for (slot, byte) in joined.iter_mut().zip(parts) {
        *slot = byte;
        len += 1;
    }
    str::from_utf8(joined.get(..len)?).ok()?.parse().ok()
}

/// The `;name=value` pairs behind a URI, an address or a Via. Empty ones (`;;`) are skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a [u8]);

impl<'a> Params<'a> {
    /// The parameters in `bytes`, which begin with a semicolon or are empty.
    ///
    /// # Errors
    ///
    /// [`SipError::Uri`] when something else stands where the first semicolon should, when a
    /// quote never closes, or when white space, a quote or an angle bracket stands inside a name
    /// or an unquoted value: whatever is written behind it would be swallowed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SipError> {
        let bytes = scan::trim(bytes);
        let params = match bytes {
            [] => return Ok(Self(bytes)),
            [b';', rest @ ..] => Self(rest),
            _ => return Err(SipError::Uri),
        };
        // Nearly always there is nothing to look at more closely.
        if !params.0.iter().copied().any(scan::is_delimiter) {
            return Ok(params);
        }
        let is_whole = |(name, value): (&[u8], Option<&[u8]>)| {
            !name.iter().copied().any(scan::is_delimiter) && value.is_none_or(is_whole_value)
        };
        if params.iter().all(is_whole) { Ok(params) } else { Err(SipError::Uri) }
    }

    /// Each name with its value, in order, as written; quotes stay on a quoted value.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        Pieces::new(self.0, b';').filter(|piece| !piece.is_empty()).map(|piece| {
            match scan::split_once(piece, b'=') {
                Some((name, value)) => (scan::trim(name), Some(scan::trim(value))),
                None => (piece, None),
            }
        })
    }

    /// The first parameter of this name, whatever its case: `Some(None)` if it has no value.
    pub fn find(self, name: &str) -> Option<Option<&'a [u8]>> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The value of the first parameter of this name; `None` also if it has none.
    pub fn value(self, name: &str) -> Option<&'a [u8]> {
        self.find(name).flatten()
    }

    /// Whether a parameter of this name is there, with or without a value.
    pub fn contains(self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

fn is_whole_value(value: &[u8]) -> bool {
    match scan::take_quoted(value) {
        Some((_, rest)) => rest.is_empty(),
        None => !value.iter().copied().any(scan::is_delimiter),
    }
}

/// A URI, its parts borrowed from the message as they were written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The scheme.
    pub scheme: Scheme<'a>,
    /// The user part without the password, escapes kept; the number of a tel URI; what follows
    /// the scheme of an opaque one. `None` if there is no `@`, or nothing before it.
    pub user: Option<&'a [u8]>,
    /// The password, which nobody should send (RFC 3261 section 19.1.1).
    pub password: Option<&'a [u8]>,
    /// The host; [`Host::Absent`] unless the scheme is sip or sips.
    pub host: Host<'a>,
    /// The port, if one is written.
    pub port: Option<u16>,
    /// The URI parameters.
    pub params: Params<'a>,
    /// What follows the question mark.
    pub headers: Option<&'a [u8]>,
}

impl fmt::Debug for Uri<'_> {
    /// Without the user: it can be a phone number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uri")
            .field("scheme", &self.scheme)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl<'a> Uri<'a> {
    /// Reads a URI that stands alone, without angle brackets.
    ///
    /// # Errors
    ///
    /// [`SipError::Uri`] when there is no scheme, when octets stand in it that must be escaped
    /// (white space, controls, `<`, `>`, `"`), or when host or port are malformed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SipError> {
        if bytes.iter().copied().any(scan::is_delimiter) {
            return Err(SipError::Uri);
        }
        let (scheme, rest) = scan::split_once(bytes, b':').ok_or(SipError::Uri)?;
        if !is_scheme(scheme) || rest.is_empty() {
            return Err(SipError::Uri);
        }
        if scheme.eq_ignore_ascii_case(b"sip") {
            return Self::parse_sip(Scheme::Sip, rest);
        }
        if scheme.eq_ignore_ascii_case(b"sips") {
            return Self::parse_sip(Scheme::Sips, rest);
        }
        if scheme.eq_ignore_ascii_case(b"tel") {
            let (number, params) = split_before(rest, b';');
            let params = Params::parse(params)?;
            return Ok(Self { params, ..Self::opaque(Scheme::Tel, number) });
        }
        Ok(Self::opaque(Scheme::Other(scheme), rest))
    }

    fn parse_sip(scheme: Scheme<'a>, rest: &'a [u8]) -> Result<Self, SipError> {
        // The user part may hold `;`, `?` and `/`, but `@` stands nowhere else unescaped.
        let (user_info, rest) = match scan::split_once(rest, b'@') {
            Some((user_info, rest)) => (Some(user_info), rest),
            None => (None, rest),
        };
        let (user, password) = match user_info.map(|info| (info, scan::split_once(info, b':'))) {
            Some((_, Some((user, password)))) => (Some(user), Some(password)),
            Some((user, None)) => (Some(user), None),
            None => (None, None),
        };
        let (rest, headers) = match scan::split_once(rest, b'?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        let (host_port, params) = split_before(rest, b';');
        let (host, port) = read_host_port(host_port)?;
        let user = user.filter(|user| !user.is_empty());
        let params = Params::parse(params)?;
        Ok(Self { scheme, user, password, host, port, params, headers })
    }

    const fn opaque(scheme: Scheme<'a>, rest: &'a [u8]) -> Self {
        Self {
            scheme,
            user: Some(rest),
            password: None,
            host: Host::Absent,
            port: None,
            params: Params(&[]),
            headers: None,
        }
    }

    /// The user part with its escapes undone (RFC 3261 section 19.1.2); borrowed unless there
    /// are any. An escape that is none (`%zz`) stays as it is.
    pub fn decoded_user(&self) -> Option<Cow<'a, [u8]>> {
        self.user.map(decode_escapes)
    }
}

/// Undoes `%41` escapes; borrows when there are none.
pub fn decode_escapes(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        if let [b'%', high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            decoded.push(high << 4 | low);
            rest = after;
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    Cow::Owned(decoded)
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn is_scheme(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// Cuts `bytes` before the first `separator`, which stays with the second part.
pub(super) fn split_before(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let at = memchr::memchr(separator, bytes).unwrap_or(bytes.len());
    (bytes.get(..at).unwrap_or_default(), bytes.get(at..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scheme, user, password, host, port, parameters and headers, between bars.
    fn check(text: &str) -> String {
        let Ok(uri) = Uri::parse(text.as_bytes()) else { return "refused".to_owned() };
        let scheme = match uri.scheme {
            Scheme::Sip => "sip".to_owned(),
            Scheme::Sips => "sips".to_owned(),
            Scheme::Tel => "tel".to_owned(),
            Scheme::Other(scheme) => scheme.escape_ascii().to_string(),
        };
        let host = match uri.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.escape_ascii().to_string(),
            Host::Absent => String::new(),
        };
        let text = |bytes: Option<&[u8]>| bytes.unwrap_or_default().escape_ascii().to_string();
        let port = uri.port.map(|port| port.to_string()).unwrap_or_default();
        let params = uri.params.iter().map(|(name, value)| match value {
            Some(_) => format!("{}={}", text(Some(name)), text(value)),
            None => text(Some(name)),
        });
        let params = params.collect::<Vec<_>>().join("&");
        let (user, password, headers) = (text(uri.user), text(uri.password), text(uri.headers));
        format!("{scheme}|{user}|{password}|{host}|{port}|{params}|{headers}")
    }

    #[test]
    fn uris_are_taken_apart() {
        #[rustfmt::skip]
        let cases = [
            ("the shortest",                "sip:a",                            "sip|||a|||"),
            ("schemes have no case",        "SIPS:bob@Example.COM",             "sips|bob||Example.COM|||"),
            ("all parts",                   "sip:u:p@h.example:5061;x;y=z?a=b", "sip|u|p|h.example|5061|x&y=z|a=b"),
            ("a number as user",            "sip:+12025550143@192.0.2.1",       "sip|+12025550143||192.0.2.1|||"),
            ("parameters in the user",      "sip:1;phone-context=+1@h;user=phone", "sip|1;phone-context=+1||h||user=phone|"),
            ("an IPv6 reference",           "sip:[2001:db8::1]",                "sip|||2001:db8::1|||"),
            ("an IPv6 reference and port",  "sip:[2001:db8::1]:5070",           "sip|||2001:db8::1|5070||"),
            ("three colons (RFC 5118 4.10)", "sip:[2001:db8:::192.0.2.1]",      "sip|||2001:db8::c000:201|||"),
            ("an underscore in the host",   "sip:my_pbx.example",               "sip|||my_pbx.example|||"),
            ("a Latin-1 octet in the user", "sip:jos\u{e9}@h",                  r"sip|jos\xc3\xa9||h|||"),
            ("nothing before the @",        "sip:@h",                           "sip|||h|||"),
            ("a tel URI",                   "tel:+1-202-555-0143;ext=7",        "tel|+1-202-555-0143||||ext=7|"),
            ("another scheme",              "isbn:2983792873",                  "isbn|2983792873|||||"),
            ("an odd but legal parameter",  "sip:h;;lr",                        "sip|||h||lr|"),
            ("not an IPv4 address",         "sip:1.2.3.256",                    "sip|||1.2.3.256|||"),
            ("leading zeros are a name",    "sip:01.2.3.4",                     "sip|||01.2.3.4|||"),
            ("port 0",                      "sip:h:0",                          "sip|||h|0||"),
            ("port 65535",                  "sip:h:65535",                      "sip|||h|65535||"),
            ("port 65536",                  "sip:h:65536",                      "refused"),
            ("an empty port",               "sip:h:",                           "refused"),
            ("IPv6 without brackets",       "sip:2001:db8::10",                 "refused"),
            ("a bracket that stays open",   "sip:[2001:db8::1",                 "refused"),
            ("no IPv6 address in brackets", "sip:[h]",                          "refused"),
            ("octets behind the bracket",   "sip:[::1]x",                       "refused"),
            ("four colons",                 "sip:[2001::::1]",                  "refused"),
            ("two @",                       "sip:a@b@c",                        "refused"),
            ("no host",                     "sip:bob@",                         "refused"),
            ("nothing behind the scheme",   "sip:",                             "refused"),
            ("no scheme",                   "bob@h",                            "refused"),
            ("an empty scheme",             ":h",                               "refused"),
            ("a scheme that is a number",   "1sip:h",                           "refused"),
            ("white space",                 "sip:a b@h",                        "refused"),
            ("a line end",                  "sip:a@h\r\nX: y",                  "refused"),
            ("brackets",                    "<sip:h>",                          "refused"),
            ("nothing",                     "",                                 "refused"),
        ];
        for (name, text, want) in cases {
            assert_eq!(check(text), want, "{name}: {text}");
        }
    }

    #[test]
    fn escapes_are_undone_once() {
        let cases: [(&str, &[u8]); 8] = [
            ("alice", b"alice"),
            ("%61lice", b"alice"),
            ("a%2525", b"a%25"),
            ("%00%FF", b"\x00\xFF"),
            ("%e9%E9", b"\xE9\xE9"),
            ("100%", b"100%"),
            ("%4", b"%4"),
            ("%zz%4g", b"%zz%4g"),
        ];
        for (text, want) in cases {
            assert_eq!(decode_escapes(text.as_bytes()).as_ref(), want, "{text}");
        }
        assert!(matches!(decode_escapes(b"plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn received_comes_with_brackets_or_without() {
        let cases = [
            ("192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::9:255", Some("2001:db8::9:255")),
            ("[2001:db8::9:255]", Some("2001:db8::9:255")),
            ("[192.0.2.1]", None),
            ("[2001:db8::9", None),
            ("host.example", None),
            ("192.0.2.1.5", None),
            ("", None),
        ];
        for (text, want) in cases {
            let want = want.map(|text| text.parse().unwrap());
            assert_eq!(read_ip(text.as_bytes()), want, "{text}");
        }
    }
}
