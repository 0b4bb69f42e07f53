//! The address form of From, To, Contact, Route and their like (RFC 3261 section 20.10):
//! `"Display Name" <uri>;parameters`, or a bare URI whose parameters are the header's.

#![deny(clippy::indexing_slicing)]

use std::fmt;

use super::error::SipError;
use super::scan;
use super::uri::Params;
use super::uri::Uri;
use super::uri::split_before;

/// One name-addr or addr-spec with its header parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name as written, without its quotes, escapes kept; `None` if there is none.
    pub display: Option<&'a [u8]>,
    /// The URI as written, without angle brackets; `*` for the Contact of that form.
    pub address: &'a [u8],
    /// The header's parameters, such as tag.
    pub params: Params<'a>,
}

impl fmt::Debug for NameAddr<'_> {
    /// Without display name and user: they can hold a phone number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.tag().map(|tag| tag.escape_ascii().to_string());
        f.debug_struct("NameAddr").field("tag", &tag).finish_non_exhaustive()
    }
}

impl<'a> NameAddr<'a> {
    /// Reads one address. White space just inside the angle brackets is let pass, and so is a
    /// display name that should have been quoted (RFC 4475 sections 3.1.2.14 and 3.1.2.15).
    ///
    /// # Errors
    ///
    /// [`SipError::Uri`] when a quote or bracket never closes, when there is no URI, or when a
    /// URI with `?`, `,` or white space stands without brackets (RFC 3261 section 20).
    pub fn parse(value: &'a [u8]) -> Result<Self, SipError> {
        let value = scan::trim(value);
        if value.first() == Some(&b'"') {
            let (display, rest) = scan::take_quoted(value).ok_or(SipError::Uri)?;
            return Self::parse_bracketed(Some(display), scan::trim(rest));
        }
        if memchr::memchr(b'<', value).is_some() {
            let (display, rest) = split_before(value, b'<');
            let display = scan::trim(display);
            if display.iter().any(|byte| b"\">".contains(byte)) {
                return Err(SipError::Uri);
            }
            return Self::parse_bracketed((!display.is_empty()).then_some(display), rest);
        }
        let (address, params) = split_before(value, b';');
        let address = scan::trim(address);
        // Half of a list that a comma in an unquoted display name has split is no address.
        let is_uri = address == b"*" || memchr::memchr(b':', address).is_some();
        if !is_uri || address.iter().copied().any(must_be_bracketed) {
            return Err(SipError::Uri);
        }
        Ok(Self { display: None, address, params: Params::parse(params)? })
    }

    fn parse_bracketed(display: Option<&'a [u8]>, rest: &'a [u8]) -> Result<Self, SipError> {
        let inner = rest.strip_prefix(b"<").ok_or(SipError::Uri)?;
        let (address, params) = scan::split_once(inner, b'>').ok_or(SipError::Uri)?;
        let address = scan::trim(address);
        if address.is_empty() {
            return Err(SipError::Uri);
        }
        Ok(Self { display, address, params: Params::parse(params)? })
    }

    /// The URI, read.
    ///
    /// # Errors
    ///
    /// Those of [`Uri::parse`].
    pub fn uri(&self) -> Result<Uri<'a>, SipError> {
        Uri::parse(self.address)
    }

    /// The tag parameter, if it has a value.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.value("tag").filter(|tag| !tag.is_empty())
    }
}

const fn must_be_bracketed(byte: u8) -> bool {
    matches!(byte, b'?' | b',' | b'"' | b'>') || scan::is_space(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Display name, URI, tag and number of parameters, between bars.
    fn check(text: &[u8]) -> String {
        let Ok(read) = NameAddr::parse(text) else { return "refused".to_owned() };
        let text = |bytes: Option<&[u8]>| bytes.unwrap_or_default().escape_ascii().to_string();
        let (display, address, tag) = (text(read.display), text(Some(read.address)), read.tag());
        format!("{display}|{address}|{}|{}", text(tag), read.params.iter().count())
    }

    #[test]
    fn addresses_are_taken_apart() {
        #[rustfmt::skip]
        let cases: [(&str, &[u8], &str); 28] = [
            ("bare",                       b"sip:a@b;tag=1",                      "|sip:a@b|1|1"),
            ("bracketed",                  b"<sip:a@b;x=y>;tag=1",                "|sip:a@b;x=y|1|1"),
            ("a token name",               b"Alice Doe <sip:a@b>",                "Alice Doe|sip:a@b||0"),
            ("no space",                   b"Alice<sip:a@b>;tag=7",               "Alice|sip:a@b|7|1"),
            ("a quoted name",              b"\"A, B\" <sip:a@b>;tag=1",           "A, B|sip:a@b|1|1"),
            ("an empty name",              b"\"\" <sip:a@b>",                     "|sip:a@b||0"),
            ("an escaped quote",           br#""a\"b" <sip:a@b>;tag=1"#,          r#"a\\\"b|sip:a@b|1|1"#),
            ("a trap inside quotes",       b"\"Camp;tag=evil, <sip:x@y>\" <sip:a@b>;tag=1", "Camp;tag=evil, <sip:x@y>|sip:a@b|1|1"),
            ("a Latin-1 octet",            b"\"Jos\xE9\" <sip:a@b>;tag=1",        r"Jos\xe9|sip:a@b|1|1"),
            ("folded",                     b"\"A\"\r\n <sip:a@b>\r\n ;\r\n\ttag = 1", "A|sip:a@b|1|1"),
            ("an unquoted comma",          b"Doe, Alice <sip:a@b>;tag=1",         "Doe, Alice|sip:a@b|1|1"),
            ("spaces in the brackets",     b"< sip:a@b >",                        "|sip:a@b||0"),
            ("a tel URI",                  b"<tel:+12025550143>;tag=1",           "|tel:+12025550143|1|1"),
            ("the star",                   b"*",                                  "|*||0"),
            ("a quoted parameter",         b"<sip:a@b>;p=\"x;tag=2\";tag=1",      "|sip:a@b|1|2"),
            ("tag in any case",            b"<sip:a@b>;TAG=1",                    "|sip:a@b|1|1"),
            ("empty parameters",           b"<sip:a@b>;;tag=1;",                  "|sip:a@b|1|1"),
            ("a question mark, bare",      b"sip:a@b?x=y",                        "refused"),
            ("a comma, bare",              b"sip:a@b,c",                          "refused"),
            ("a word",                     b"Bell",                               "refused"),
            ("a control in a parameter",   b"<sip:a@b>;tag=a\x01",                "refused"),
            ("an open quote",              b"\"A <sip:a@b>",                      "refused"),
            ("an open bracket",            b"<sip:a@b;tag=1",                     "refused"),
            ("nothing in the brackets",    b"<>;tag=1",                           "refused"),
            ("a name and no address",      b"\"A\"",                              "refused"),
            ("octets behind the bracket",  b"<sip:a@b>x;tag=1",                   "refused"),
            ("a parameter with a bracket", b"<sip:a@b>;p=<;tag=1",                "refused"),
            ("nothing",                    b"",                                   "refused"),
        ];
        for (name, text, want) in cases {
            assert_eq!(check(text), want, "{name}: {}", text.escape_ascii());
        }
    }
}
