//! A SIP message as the datagram brought it: its bytes, and where each header stands in them.
//!
//! Reading is split in two. [`Message::parse`] refuses only what is no SIP message; the first
//! fault in the structure of one (a line without a colon, a body that is cut short) is kept, and
//! [`Message::validate`] names it together with the status that is owed, so that an error can be
//! answered with the very headers of the request. Nobody acts on a message it has not validated.
//!
//! Cost: one pass with memchr, a table of [`HEADERS_MAX`] places of 10 octets on the stack, no
//! allocation (`benches/sip_message.rs`). Header values keep their octets: Latin-1 and folding
//! included.

#![deny(clippy::indexing_slicing)]

use std::fmt;

use super::error::ParseError;
use super::error::SipError;
use super::name::HeaderName;
use super::name::Method;
use super::scan;
use super::scan::LineEnd;
use super::start::read_start_line;

pub use super::owned::OwnedMessage;
pub use super::start::StartLine;

/// Most header lines of a message. Ours: the longest torture message of RFC 4475 has 43, carriers
/// send 15 to 25; a bomb of headers costs us no more than this table.
pub const HEADERS_MAX: usize = 96;

/// Most octets of a message: what the length field of UDP can say (RFC 768), so that the offsets
/// of the header table fit 16 bits.
pub const MESSAGE_BYTES_MAX: usize = 65_535;

/// Where one header stands. `start..name_end` is its name, `value_start..value_end` its value.
#[derive(Clone, Copy, Debug)]
struct Slot {
    name: HeaderName,
    start: u16,
    name_end: u16,
    value_start: u16,
    value_end: u16,
}

const EMPTY_SLOT: Slot =
    Slot { name: HeaderName::Extension, start: 0, name_end: 0, value_start: 0, value_end: 0 };

/// A message that borrows the octets it was read from.
#[derive(Clone)]
pub struct Message<'a> {
    bytes: &'a [u8],
    start: StartLine<'a>,
    slots: [Slot; HEADERS_MAX],
    slots_len: usize,
    body: &'a [u8],
    pub(super) defect: Option<SipError>,
}

impl fmt::Debug for Message<'_> {
    /// Start line and sizes only: headers and body can hold phone numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("start", &self.start)
            .field("headers", &self.slots_len)
            .field("body_len", &self.body.len())
            .field("defect", &self.defect)
            .finish_non_exhaustive()
    }
}

impl<'a> Message<'a> {
    /// Reads a datagram. Line ends before the start line are skipped (RFC 3261 section 7.5), a
    /// bare LF ends a line as CR LF does, and without a Content-Length the body is the rest of
    /// the datagram (section 18.3).
    ///
    /// # Errors
    ///
    /// [`ParseError`] for what is no SIP message and is answered by silence.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(ParseError::TooLong { max: MESSAGE_BYTES_MAX, found: bytes.len() });
        }
        let skipped = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let bytes = bytes.get(skipped..).unwrap_or_default();
        if bytes.is_empty() {
            return Err(ParseError::KeepAlive);
        }
        let len = bytes.len();
        let first = scan::line_end(bytes, 0);
        let first = first.unwrap_or(LineEnd { end: len, next: len, has_bare_cr: false });
        let (start, fault) = read_start_line(bytes.get(..first.end).unwrap_or_default())?;
        let stray_cr = first.has_bare_cr.then_some(SipError::RequestLine);
        let mut message = Self {
            bytes,
            start,
            slots: [EMPTY_SLOT; HEADERS_MAX],
            slots_len: 0,
            body: &[],
            defect: fault.or(stray_cr),
        };
        let body_start = message.read_headers(first.next);
        message.read_body(body_start);
        Ok(message)
    }

    /// Fills the header table from `at`; gives where the body begins.
    fn read_headers(&mut self, mut at: usize) -> usize {
        let bytes = self.bytes;
        while let Some(mut line) = scan::line_end(bytes, at) {
            if line.end == at {
                return line.next;
            }
            // A line that begins with white space continues the one before it.
            while let Some(b' ' | b'\t') = bytes.get(line.next) {
                let Some(more) = scan::line_end(bytes, line.next) else {
                    self.note(SipError::HeadersUnfinished);
                    return bytes.len();
                };
                line = LineEnd { has_bare_cr: line.has_bare_cr || more.has_bare_cr, ..more };
            }
            if line.has_bare_cr {
                self.note(SipError::HeaderLine);
            } else {
                self.read_header(at, line.end);
            }
            at = line.next;
        }
        self.note(SipError::HeadersUnfinished);
        bytes.len()
    }

    /// Enters the header that stands in `start..end` into the table.
    fn read_header(&mut self, start: usize, end: usize) {
        let line = self.bytes.get(start..end).unwrap_or_default();
        let name_len = line.iter().position(|byte| !scan::is_token_byte(*byte)).unwrap_or(0);
        let (name, rest) = line.split_at_checked(name_len).unwrap_or_default();
        let colon = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
        let colon = colon.filter(|at| name_len > 0 && rest.get(*at) == Some(&b':'));
        let Some(colon) = colon else {
            return self.note(SipError::HeaderLine);
        };
        let value = rest.get(colon + 1..).unwrap_or_default();
        let lead = value.iter().take_while(|byte| scan::is_space(**byte)).count();
        let value_start = start + name_len + colon + 1 + lead;
        let value = scan::trim(value);
        let slot = Slot {
            name: HeaderName::from_bytes(name),
            start: offset(start),
            name_end: offset(start + name_len),
            value_start: offset(value_start),
            value_end: offset(value_start + value.len()),
        };
        match self.slots.get_mut(self.slots_len) {
            Some(place) => {
                *place = slot;
                self.slots_len += 1;
            }
            None => self.note(SipError::HeaderCount { max: HEADERS_MAX }),
        }
    }

    /// Sets the body: as long as Content-Length says, else all that is left.
    fn read_body(&mut self, start: usize) {
        let rest = self.bytes.get(start..).unwrap_or_default();
        self.body = rest;
        let Some(value) = self.header(HeaderName::ContentLength) else { return };
        let Some(declared) = scan::decimal(value) else {
            return self.note(SipError::Malformed(HeaderName::ContentLength));
        };
        match usize::try_from(declared).ok().and_then(|len| rest.get(..len)) {
            Some(body) => self.body = body,
            None => self.note(SipError::BodyShort { declared, found: rest.len() }),
        }
    }

    /// Keeps the first fault.
    fn note(&mut self, fault: SipError) {
        self.defect.get_or_insert(fault);
    }

    /// The octets of the message, without line ends before it; with what follows its body.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first line.
    pub const fn start(&self) -> StartLine<'a> {
        self.start
    }

    /// The method of a request; `None` for a response.
    pub const fn method(&self) -> Option<Method> {
        match self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The status of a response; `None` for a request.
    pub const fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// The body, maybe empty.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    fn slots(&self) -> &[Slot] {
        self.slots.get(..self.slots_len).unwrap_or_default()
    }

    fn value(&self, slot: &Slot) -> &'a [u8] {
        let (start, end) = (usize::from(slot.value_start), usize::from(slot.value_end));
        self.bytes.get(start..end).unwrap_or_default()
    }

    fn text_name(&self, slot: &Slot) -> &'a [u8] {
        let (start, end) = (usize::from(slot.start), usize::from(slot.name_end));
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Every header in its order: its name, its name as written, its value.
    pub fn all_headers(&self) -> impl Iterator<Item = (HeaderName, &'a [u8], &'a [u8])> {
        self.slots().iter().map(|slot| (slot.name, self.text_name(slot), self.value(slot)))
    }

    /// The values of each header of this name in order: white space trimmed at both ends,
    /// folding kept inside.
    pub fn headers(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.slots().iter().filter(move |slot| slot.name == name).map(|slot| self.value(slot))
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: HeaderName) -> Option<&'a [u8]> {
        self.headers(name).next()
    }

    /// The value of the first header with this text name, whatever its case; a known header is
    /// found under its compact form too.
    pub fn extension(&self, name: &str) -> Option<&'a [u8]> {
        let known = HeaderName::from_bytes(name.as_bytes());
        if known != HeaderName::Extension {
            return self.header(known);
        }
        self.slots()
            .iter()
            .filter(|slot| slot.name == HeaderName::Extension)
            .find(|slot| self.text_name(slot).eq_ignore_ascii_case(name.as_bytes()))
            .map(|slot| self.value(slot))
    }
}

/// An offset into a message, whose length [`Message::parse`] has checked.
fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with these header lines, each ended, and this body.
    fn request(headers: &str, body: &str) -> String {
        format!(
            "INFO sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>;tag=2\r\nCall-ID: 7\r\nCSeq: 5 INFO\r\n{headers}\r\n{body}"
        )
    }

    fn verdict(text: &str) -> Result<(), SipError> {
        Message::parse(text.as_bytes()).expect("a message").validate()
    }

    #[test]
    fn what_carriers_send_is_read() {
        let plain = request("", "");
        #[rustfmt::skip]
        let cases: [(&str, Vec<u8>); 7] = [
            ("line ends before it",   format!("\r\n\r\n{plain}").into()),
            ("bare LF",               plain.replace("\r\n", "\n").into()),
            ("a space before colons", plain.replace(": ", " \t: ").into()),
            ("no space after them",   plain.replace(": ", ":").into()),
            ("compact names",         plain.replace("Via", "v").replace("From", "f").replace("To:", "t:").replace("Call-ID", "i").into()),
            ("names in capitals",     plain.replace("Via", "VIA").replace("Call-ID", "CALL-ID").into()),
            ("folded",                plain.replace(": ", ":\r\n ").replace(";", "\r\n\t;").into()),
        ];
        for (name, bytes) in cases {
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.validate(), Ok(()), "{name}");
            assert_eq!(message.method(), Some(Method::Info), "{name}");
            assert_eq!(message.cseq(), Ok((5, Method::Info)), "{name}");
            assert_eq!(message.call_id(), Ok(&b"7"[..]), "{name}");
            assert_eq!(message.from().unwrap().tag(), Some(&b"1"[..]), "{name}");
            assert_eq!(message.via().unwrap().branch(), Some(&b"z9hG4bK1"[..]), "{name}");
        }
        let latin =
            b"OPTIONS tel:+12025550143 SIP/2.0\r\nFrom: \"Jos\xE9\" <sip:a@b>\r\nX: 1\r\n\r\n!";
        let latin = Message::parse(latin).unwrap();
        assert_eq!(latin.from().unwrap().display, Some(&b"Jos\xE9"[..]));
        assert_eq!((latin.extension("x"), latin.body()), (Some(&b"1"[..]), &b"!"[..]));
        assert_eq!(latin.request_uri().unwrap().user, Some(&b"+12025550143"[..]));
    }

    #[test]
    fn the_body_ends_where_it_is_said_to() {
        let short = |declared, found| Err(SipError::BodyShort { declared, found });
        let malformed = Err(SipError::Malformed(HeaderName::ContentLength));
        let cases = [
            ("no length: the rest", "", "abc", "abc", Ok(())),
            ("a length", "l: 2\r\n", "abc", "ab", Ok(())),
            ("its own length", "Content-Length: 3\r\n", "abc", "abc", Ok(())),
            ("no body", "l: 0\r\n", "abc", "", Ok(())),
            ("one too many", "l: 4\r\n", "abc", "abc", short(4, 3)),
            ("the largest", "l: 4294967295\r\n", "abc", "abc", short(u32::MAX, 3)),
            ("beyond the largest", "l: 4294967296\r\n", "abc", "abc", malformed),
            ("negative", "l: -1\r\n", "abc", "abc", malformed),
            ("no number", "l:\r\n", "abc", "abc", malformed),
        ];
        for (name, header, body, want, verdict) in cases {
            let text = request(header, body);
            let message = Message::parse(text.as_bytes()).unwrap();
            assert_eq!(message.body(), want.as_bytes(), "{name}");
            assert_eq!(message.validate(), verdict, "{name}");
        }
    }

    #[test]
    fn faults_are_named() {
        let good = request("", "");
        let malformed = |name| Err(SipError::Malformed(name));
        #[rustfmt::skip]
        let cases = [
            ("good",                   good.clone(),                                   Ok(())),
            ("a line without colon",   request("nothing\r\n", ""),                     Err(SipError::HeaderLine)),
            ("a line without name",    request(": x\r\n", ""),                         Err(SipError::HeaderLine)),
            ("a name with a space",    request("X Y: x\r\n", ""),                      Err(SipError::HeaderLine)),
            ("a bare CR in a value",   request("X: a\rEvil: b\r\n", ""),               Err(SipError::HeaderLine)),
            ("a fold after nothing",   good.replacen("\r\nVia", "\r\n Via", 1),        Err(SipError::HeaderLine)),
            ("a CR in the first line", good.replacen("sip:h", "sip:h\rx", 1),          Err(SipError::RequestLine)),
            ("a tab in the first line", good.replacen(" sip:h", "\tsip:h", 1),         Err(SipError::RequestLine)),
            ("no empty line",          good.trim_end().to_owned() + "\r\n",            Err(SipError::HeadersUnfinished)),
            ("a fold that never ends", good.trim_end().to_owned() + "\r\n x",          Err(SipError::HeadersUnfinished)),
            ("no To",                  good.replace("To: ", "X: "),                    Err(SipError::Missing(HeaderName::To))),
            ("no Via",                 good.replace("Via: ", "X: "),                   Err(SipError::Missing(HeaderName::Via))),
            ("an empty Via",           request("Via:\r\n", ""),                        malformed(HeaderName::Via)),
            ("a bad second Via",       request("Via: SIP/2.0/UDP h,,\r\n", ""),        malformed(HeaderName::Via)),
            ("an empty Call-ID",       good.replace("ID: 7", "ID: "),                  malformed(HeaderName::CallId)),
            ("a split Call-ID",        good.replace("ID: 7", "ID: 7 8"),               malformed(HeaderName::CallId)),
            ("NUL in the Call-ID",     good.replace("ID: 7", "ID: 7\0"),              malformed(HeaderName::CallId)),
            ("a list split in two",    request("m: Doe, J <sip:a@b>\r\n", ""),       malformed(HeaderName::Contact)),
            ("two Call-IDs",           request("i: 8\r\n", ""),                        Err(SipError::Repeated(HeaderName::CallId))),
            ("an empty tag",           good.replace("tag=2", "tag="),                  malformed(HeaderName::To)),
            ("no CSeq number",         good.replace("5 INFO", "INFO"),                 malformed(HeaderName::CSeq)),
            ("a CSeq of 2^32",         good.replace("5 INFO", "4294967296 INFO"),      malformed(HeaderName::CSeq)),
            ("a CSeq of 2^32 - 1",     good.replace("5 INFO", "4294967295 INFO"),      Ok(())),
            ("Max-Forwards 255",       request("Max-Forwards: 255\r\n", ""),           Ok(())),
            ("Max-Forwards 256",       request("Max-Forwards: 256\r\n", ""),           malformed(HeaderName::MaxForwards)),
            ("a bad Route",            request("Route: <sip:p;lr\r\n", ""),            malformed(HeaderName::Route)),
            ("a bad Contact",          request("m: sip:a@b?x=y\r\n", ""),              malformed(HeaderName::Contact)),
            ("another method in CSeq", good.replace("5 INFO", "5 BYE"),                Err(SipError::MethodMismatch)),
            ("version 3",              good.replacen("SIP/2.0", "SIP/3.0", 1),         Err(SipError::Version)),
            ("version in small",       good.replacen("SIP/2.0", "sip/2.0", 1),         Ok(())),
            ("a mailto",               good.replacen("sip:h", "mailto:a@b", 1),        Err(SipError::UriScheme)),
            ("a tel",                  good.replacen("sip:h", "tel:112", 1),           Ok(())),
        ];
        for (name, text, want) in cases {
            assert_eq!(verdict(&text), want, "{name}: {text}");
        }
    }

    #[test]
    fn limits_hold_to_the_octet() {
        // Five headers stand in every request here.
        let many = |count: usize| request(&"X: 1\r\n".repeat(count - 5), "");
        assert_eq!(verdict(&many(HEADERS_MAX)), Ok(()));
        let over = Err(SipError::HeaderCount { max: HEADERS_MAX });
        assert_eq!(verdict(&many(HEADERS_MAX + 1)), over);
        let longest = vec![b'x'; MESSAGE_BYTES_MAX];
        assert_eq!(Message::parse(&longest).err(), Some(ParseError::StartLine));
        let too_long = vec![b'x'; MESSAGE_BYTES_MAX + 1];
        let (max, found) = (MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1);
        assert_eq!(Message::parse(&too_long).err(), Some(ParseError::TooLong { max, found }));
        let full = request("", "");
        let full = request("", &"x".repeat(MESSAGE_BYTES_MAX - full.len()));
        assert_eq!(Message::parse(full.as_bytes()).unwrap().call_id(), Ok(&b"7"[..]));
    }

    #[test]
    fn debug_shows_no_number() {
        let text = request("P-Asserted-Identity: <tel:+12025550143>\r\n", "")
            .replace("sip:h ", "sip:+12025550143@h ");
        let owned = OwnedMessage::parse(text.as_bytes()).unwrap();
        let message = owned.view();
        let shown = format!("{owned:?} {:?} {:?}", message.request_uri(), message.from());
        assert!(!shown.contains("555") && !shown.contains("53, 53, 53"), "{shown}");
    }
}
