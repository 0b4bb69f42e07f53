//! What the rooms above put into messages: headers, bodies, and a whole INVITE.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::sip::build::check_name;
use crate::sip::build::check_value;
use crate::sip::ids::ListenerId;
use crate::sip::name::HeaderName;

/// Headers to add to a message. One that would break the message, or that the endpoint itself
/// writes (Via, From, To, Call-ID, CSeq, Contact, routes, lengths), is left out and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    lines: String,
    refused: u64,
}

impl Headers {
    /// No header.
    pub const fn new() -> Self {
        Self { lines: String::new(), refused: 0 }
    }

    /// Adds a header, unless its name is no token, is one that the endpoint writes, or its value
    /// holds CR, LF or NUL.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let is_fit = check_name(name).is_ok()
            && check_value(value.as_bytes()).is_ok()
            && !is_ours(HeaderName::from_bytes(name.as_bytes()));
        if is_fit {
            self.lines.reserve(name.len() + value.len() + 4);
            for part in [name, ": ", value, "\r\n"] {
                self.lines.push_str(part);
            }
        } else {
            self.refused += 1;
        }
        self
    }

    /// A number of seconds, as Retry-After wants it.
    pub(crate) fn with_seconds(mut self, name: HeaderName, seconds: u64) -> Self {
        write!(self.lines, "{name}: {seconds}\r\n").expect("a string takes every write");
        self
    }

    /// The headers as lines.
    pub(crate) const fn lines(&self) -> &[u8] {
        self.lines.as_bytes()
    }

    /// How many were left out.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }
}

const fn is_ours(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::Via
            | HeaderName::From
            | HeaderName::To
            | HeaderName::CallId
            | HeaderName::CSeq
            | HeaderName::Contact
            | HeaderName::MaxForwards
            | HeaderName::Route
            | HeaderName::RecordRoute
            | HeaderName::ContentType
            | HeaderName::ContentLength
    )
}

/// A body and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// `type/subtype` and parameters. A text with CR, LF or NUL sends the message without body.
    pub content_type: String,
    /// The body, byte for byte.
    pub bytes: Vec<u8>,
}

/// An INVITE to send.
#[derive(Clone, Debug)]
pub struct Invite {
    /// From which listener.
    pub listener: ListenerId,
    /// To which address.
    pub to: SocketAddr,
    /// The Request-URI.
    pub request_uri: String,
    /// From: a name-addr, or a URI that has no parameters, without a tag.
    pub from: String,
    /// To: likewise.
    pub to_header: String,
    /// The Call-ID; `None` mints one.
    pub call_id: Option<String>,
    /// Max-Forwards: 70, or one less than the INVITE had that this one passes on, so that a loop
    /// through us ends (RFC 7332).
    pub max_forwards: u8,
    /// Further headers.
    pub headers: Headers,
    /// The offer.
    pub body: Option<Body>,
    /// How long to wait for an answer before the call is cancelled and `Refused` with 408.
    pub ring_max: Duration,
}

/// Why an INVITE was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// As many sessions as the settings allow.
    #[error("all {max} sessions are in use")]
    Sessions {
        /// `sessions_max` of the settings.
        max: usize,
    },
    /// As many transactions as the settings allow.
    #[error("all {max} transactions are in use")]
    Transactions {
        /// `transactions_max` of the settings.
        max: usize,
    },
    /// There is no such listener.
    #[error("there is no listener {}", listener.0)]
    Listener {
        /// What was asked for.
        listener: ListenerId,
    },
    /// A text with white space or control characters where none may stand.
    #[error("{0} is not fit for a message")]
    Text(HeaderName),
    /// The Request-URI is none, or has white space or control characters.
    #[error("request-uri is not fit for a message")]
    RequestUri,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_cannot_break_the_message() {
        #[rustfmt::skip]
        let cases = [
            ("a plain one", "X-Bajavoz-Outcome", "suppressed;list=a", "X-Bajavoz-Outcome: suppressed;list=a\r\n"),
            ("an injection in the value", "X-A", "1\r\nVia: x", ""),
            ("a lone LF", "X-A", "1\nX-B: 2", ""),
            ("a name with a colon", "X-A: 1\r\nX-B", "2", ""),
            ("an empty name", "", "2", ""),
            ("a header of the endpoint", "Contact", "<sip:evil@example>", ""),
            ("and in its compact form", "v", "SIP/2.0/UDP evil", ""),
            ("an empty value", "X-A", "", "X-A: \r\n"),
        ];
        for (name, header, value, want) in cases {
            let headers = Headers::new().with(header, value);
            assert_eq!(headers.lines(), want.as_bytes(), "{name}");
            assert_eq!(headers.refused(), u64::from(want.is_empty()), "{name}");
        }
    }
}
