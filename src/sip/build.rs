//! The writer of responses, into a buffer that is used again and again.
//!
//! No value that we are handed can end its line: CR, LF and NUL are refused, the first refusal is
//! kept, and [`ResponseBuilder::finish`] then gives the error and an empty buffer, so that half a
//! message can never be sent.

#![deny(clippy::indexing_slicing)]

use std::io::Write;
use std::net::SocketAddr;

use super::error::BuildError;
use super::message::Message;
use super::name::HeaderName;
use super::scan;
use super::scan::Pieces;
use super::via::Via;

/// Whether `value` may stand as a header value.
///
/// # Errors
///
/// [`BuildError::Value`] when it holds CR, LF or NUL.
pub fn check_value(value: &[u8]) -> Result<(), BuildError> {
    if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(BuildError::Value);
    }
    Ok(())
}

/// Whether `name` may stand as a header name.
///
/// # Errors
///
/// [`BuildError::Name`] when it is no token.
pub fn check_name(name: &str) -> Result<(), BuildError> {
    if scan::is_token(name.as_bytes()) { Ok(()) } else { Err(BuildError::Name) }
}

/// The lines of a message in its buffer, and the first thing refused.
struct Lines<'b> {
    out: &'b mut Vec<u8>,
    refused: Option<BuildError>,
}

impl<'b> Lines<'b> {
    fn new(out: &'b mut Vec<u8>) -> Self {
        out.clear();
        Self { out, refused: None }
    }

    fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }

    fn check(&mut self, checked: Result<(), BuildError>) -> bool {
        if let Err(error) = checked {
            self.refused.get_or_insert(error);
        }
        checked.is_ok()
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        if self.check(check_name(name)) && self.check(check_value(value)) {
            self.push(&[name.as_bytes(), b": ", value, b"\r\n"]);
        }
    }

    /// Writes a header of another message: its octets as they are, but each CR and LF of its
    /// folding as a space, which means the same (RFC 3261 section 7.3.1).
    fn copied(&mut self, name: HeaderName, value: &[u8]) {
        self.push(&[name.as_str().as_bytes(), b": "]);
        self.unfolded(value);
        self.push(&[b"\r\n"]);
    }

    fn unfolded(&mut self, value: &[u8]) {
        if memchr::memchr2(b'\r', b'\n', value).is_none() {
            return self.out.extend_from_slice(value);
        }
        let unfold = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
        self.out.extend(value.iter().map(unfold));
    }

    fn finish(mut self, body: Option<(&str, &[u8])>) -> Result<(), BuildError> {
        let (content_type, body) = body.unwrap_or_default();
        if !body.is_empty() {
            self.header(HeaderName::ContentType.as_str(), content_type.as_bytes());
        }
        write!(self.out, "Content-Length: {}\r\n\r\n", body.len())
            .expect("a vector takes every write");
        self.push(&[body]);
        match self.refused {
            Some(error) => {
                self.out.clear();
                Err(error)
            }
            None => Ok(()),
        }
    }
}

/// Writes a response to a request.
pub struct ResponseBuilder<'b> {
    lines: Lines<'b>,
}

impl<'b> ResponseBuilder<'b> {
    /// Begins a response in `out`, whose former content is gone: the status line and what RFC
    /// 3261 section 8.2.6 copies from `request` (every Via, From, To, Call-ID, CSeq; Record-Route
    /// into 101 to 299, section 12.1.1; Timestamp into 100).
    ///
    /// - `source`: where the request came from; it goes into the topmost Via as `received` when
    ///   the host there is another or `rport` is asked for, and as the value of that (section
    ///   18.2.1, RFC 3581 section 4). What the sender itself claimed in these two is dropped.
    /// - `to_tag`: added to To if the request had no tag there; a 100 has none.
    pub fn new(
        out: &'b mut Vec<u8>,
        request: &Message<'_>,
        status: u16,
        reason: &str,
        source: SocketAddr,
        to_tag: Option<&str>,
    ) -> Self {
        let mut lines = Lines::new(out);
        if !(100..700).contains(&status) {
            lines.check(Err(BuildError::Status(status)));
        }
        if lines.check(check_value(reason.as_bytes()).map_err(|_| BuildError::Phrase)) {
            write!(lines.out, "SIP/2.0 {status} {reason}\r\n").expect("a vector takes every write");
        }
        copy_vias(&mut lines, request, source);
        if (101..300).contains(&status) {
            for route in request.headers(HeaderName::RecordRoute) {
                lines.copied(HeaderName::RecordRoute, route);
            }
        }
        copy_first(&mut lines, request, HeaderName::From);
        copy_to(&mut lines, request, to_tag.filter(|_| status != 100));
        copy_first(&mut lines, request, HeaderName::CallId);
        copy_first(&mut lines, request, HeaderName::CSeq);
        if status == 100 {
            copy_first(&mut lines, request, HeaderName::Timestamp);
        }
        Self { lines }
    }

    /// Adds a header; one that is refused shows in [`Self::finish`].
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.lines.header(name.as_ref(), value.as_ref());
        self
    }

    /// Ends the message with a body of a content type, or with none.
    ///
    /// # Errors
    ///
    /// The first thing that was refused; the buffer is empty then.
    pub fn finish(self, body: Option<(&str, &[u8])>) -> Result<(), BuildError> {
        self.lines.finish(body)
    }
}

fn copy_first(lines: &mut Lines<'_>, request: &Message<'_>, name: HeaderName) {
    if let Some(value) = request.header(name) {
        lines.copied(name, value);
    }
}

fn copy_to(lines: &mut Lines<'_>, request: &Message<'_>, to_tag: Option<&str>) {
    let Some(value) = request.header(HeaderName::To) else { return };
    let has_tag = request.to().is_ok_and(|to| to.tag().is_some());
    lines.push(&[b"To: "]);
    lines.unfolded(value);
    if let Some(tag) = to_tag.filter(|_| !has_tag)
        && lines.check(if scan::is_token(tag.as_bytes()) { Ok(()) } else { Err(BuildError::Value) })
    {
        lines.push(&[b";tag=", tag.as_bytes()]);
    }
    lines.push(&[b"\r\n"]);
}

/// Copies each Via line; the first value of the first line is completed with what we know of its
/// sender.
fn copy_vias(lines: &mut Lines<'_>, request: &Message<'_>, source: SocketAddr) {
    let mut values = request.headers(HeaderName::Via);
    if let Some(first) = values.next() {
        let end = scan::find_outside(first, b',').unwrap_or(first.len());
        let (top, others) = first.split_at_checked(end).unwrap_or((first, b""));
        lines.push(&[b"Via: "]);
        write_top_via(lines, top, source);
        lines.unfolded(others);
        lines.push(&[b"\r\n"]);
    }
    for value in values {
        lines.copied(HeaderName::Via, value);
    }
}

fn write_top_via(lines: &mut Lines<'_>, top: &[u8], source: SocketAddr) {
    let Ok(via) = Via::parse(top) else { return lines.unfolded(top) };
    for (at, piece) in Pieces::new(top, b';').enumerate() {
        let (name, _) = scan::split_once(piece, b'=').unwrap_or((piece, b""));
        let name = scan::trim(name);
        if name.eq_ignore_ascii_case(b"received") || name.eq_ignore_ascii_case(b"rport") {
            continue;
        }
        if at > 0 {
            lines.push(&[b";"]);
        }
        lines.unfolded(piece);
    }
    let has_rport = via.rport().is_some();
    if has_rport || via.host.ip() != Some(source.ip()) {
        write!(lines.out, ";received={}", source.ip()).expect("a vector takes every write");
    }
    if has_rport {
        write!(lines.out, ";rport={}", source.port()).expect("a vector takes every write");
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::OwnedMessage;
    use super::*;

    const VIA: &str = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1";

    /// An OPTIONS with these Via lines, and Record-Route, Timestamp and a folded From.
    fn request(vias: &[&str], to: &str) -> OwnedMessage {
        let vias: String = vias.iter().map(|via| format!("v: {via}\r\n")).collect();
        let text = format!(
            "OPTIONS sip:h SIP/2.0\r\n{vias}f: \"A\"\r\n <sip:a@b>;tag=1\r\nt: {to}\r\n\
             i: 7@b\r\nCSeq: 5  OPTIONS\r\nRecord-Route: <sip:p;lr>,\r\n <sip:q;lr>\r\n\
             Timestamp: 3.14\r\n\r\n"
        );
        OwnedMessage::parse(text.as_bytes()).expect("a request")
    }

    fn source(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn respond(request: &OwnedMessage, status: u16, from: &str) -> String {
        let mut out = b"what stood here before".to_vec();
        ResponseBuilder::new(&mut out, &request.view(), status, "Phrase", source(from), Some("us"))
            .header("Server", "x")
            .finish(None)
            .expect("clean values");
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn a_response_copies_what_its_request_said() {
        let request = request(&[VIA, "SIP/2.0/UDP up.example;branch=z9hG4bK2"], "<sip:c@d>");
        let head = "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n\
            Via: SIP/2.0/UDP up.example;branch=z9hG4bK2\r\n";
        let routes = "Record-Route: <sip:p;lr>,   <sip:q;lr>\r\n";
        let from = "From: \"A\"   <sip:a@b>;tag=1\r\n";
        let ids = "Call-ID: 7@b\r\nCSeq: 5  OPTIONS\r\n";
        let tail = "Server: x\r\nContent-Length: 0\r\n\r\n";
        let to = "To: <sip:c@d>;tag=us\r\n";
        for (status, routes, to, stamp) in [
            (100, "", "To: <sip:c@d>\r\n", "Timestamp: 3.14\r\n"),
            (180, routes, to, ""),
            (200, routes, to, ""),
            (300, "", to, ""),
            (486, "", to, ""),
        ] {
            let want =
                format!("SIP/2.0 {status} Phrase\r\n{head}{routes}{from}{to}{ids}{stamp}{tail}");
            assert_eq!(respond(&request, status, "192.0.2.1:9"), want, "{status}");
        }
    }

    #[test]
    fn a_tag_that_is_there_stays() {
        let answer = respond(&request(&[VIA], "<sip:c@d>;tag=theirs"), 200, "192.0.2.1:9");
        assert!(answer.contains("To: <sip:c@d>;tag=theirs\r\n"), "{answer}");
    }

    #[test]
    fn the_topmost_via_says_where_the_request_came_from() {
        #[rustfmt::skip]
        let cases = [
            ("the host is the source",       "192.0.2.1:5060;branch=z",             "192.0.2.1:5060;branch=z"),
            ("the host is another",          "192.0.2.7;branch=z",                  "192.0.2.7;branch=z;received=192.0.2.1"),
            ("the host is a name",           "h.example;branch=z",                  "h.example;branch=z;received=192.0.2.1"),
            ("the port is asked for",        "192.0.2.1;rport;branch=z",            "192.0.2.1;branch=z;received=192.0.2.1;rport=4060"),
            ("a port is claimed",            "192.0.2.1;rport=9;branch=z",          "192.0.2.1;branch=z;received=192.0.2.1;rport=4060"),
            ("a source is claimed",          "192.0.2.1;received=192.0.2.66;branch=z", "192.0.2.1;branch=z"),
            ("both are claimed, in capitals", "h;RPORT=1;Received=1.1.1.1;x=\";\"", "h;x=\";\";received=192.0.2.1;rport=4060"),
            ("two values in one line",       "192.0.2.7;branch=z, SIP/2.0/UDP h2;rport", "192.0.2.7;branch=z;received=192.0.2.1, SIP/2.0/UDP h2;rport"),
            ("a bracket that is IPv6",       "[2001:db8::1];branch=z",              "[2001:db8::1];branch=z;received=192.0.2.1"),
        ];
        for (name, via, want) in cases {
            let request = request(&[&format!("SIP/2.0/UDP {via}")], "<sip:c@d>");
            let answer = respond(&request, 200, "192.0.2.1:4060");
            let line = answer.lines().nth(1);
            assert_eq!(line, Some(&*format!("Via: SIP/2.0/UDP {want}")), "{name}");
        }
        let request = request(&["SIP/2.0/UDP h;rport"], "<sip:c@d>");
        let answer = respond(&request, 200, "[2001:db8::9]:4060");
        assert!(answer.contains("Via: SIP/2.0/UDP h;received=2001:db8::9;rport=4060\r\n"));
    }

    #[test]
    fn no_value_can_begin_a_header_of_its_own() {
        let request = request(&[VIA], "<sip:c@d>");
        let request = request.view();
        let from = source("192.0.2.1:9");
        #[rustfmt::skip]
        let cases = [
            ("CR LF in a value",   "OK", "t", "X", "a\r\nEvil: 1", Err(BuildError::Value)),
            ("a bare LF",          "OK", "t", "X", "a\nEvil: 1",   Err(BuildError::Value)),
            ("a bare CR",          "OK", "t", "X", "a\rEvil: 1",   Err(BuildError::Value)),
            ("NUL",                "OK", "t", "X", "a\0",          Err(BuildError::Value)),
            ("a fold",             "OK", "t", "X", "a\r\n b",      Err(BuildError::Value)),
            ("CR LF in a name",    "OK", "t", "X: 1\r\nY", "a",    Err(BuildError::Name)),
            ("a colon in a name",  "OK", "t", "X:",  "a",          Err(BuildError::Name)),
            ("an empty name",      "OK", "t", "",    "a",          Err(BuildError::Name)),
            ("CR LF in a phrase",  "OK\r\nX: 1", "t", "X", "a",    Err(BuildError::Phrase)),
            ("CR LF in a tag",     "OK", "t\r\nX: 1", "X", "a",    Err(BuildError::Value)),
            ("a tag and more",     "OK", "t;x=y", "X", "a",        Err(BuildError::Value)),
            ("Latin-1 is harmless", "OK", "t", "X", "caf\u{e9}",   Ok(())),
        ];
        for (name, phrase, tag, header, value, want) in cases {
            let mut out = Vec::new();
            let got = ResponseBuilder::new(&mut out, &request, 200, phrase, from, Some(tag))
                .header(header, value)
                .finish(None);
            assert_eq!(got, want, "{name}");
            assert_eq!(out.is_empty(), want.is_err(), "{name}: half a message was left");
        }
        let mut out = Vec::new();
        let wrong = ResponseBuilder::new(&mut out, &request, 99, "OK", from, None).finish(None);
        assert_eq!(wrong, Err(BuildError::Status(99)));
        let wrong = ResponseBuilder::new(&mut out, &request, 200, "OK", from, None)
            .finish(Some(("a/b\r\nX: 1", b"body")));
        assert_eq!((wrong, out.len()), (Err(BuildError::Value), 0));
    }
}
