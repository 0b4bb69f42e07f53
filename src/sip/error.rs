//! What can be wrong with a SIP message, and the one map from that to a status code.

use thiserror::Error;

use super::name::HeaderName;

/// A datagram that is no SIP message at all: it is counted and dropped, nobody is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Nothing but line ends: a keep-alive (RFC 5626 section 3.5.1), which is no mistake.
    #[error("keep-alive without a message")]
    KeepAlive,
    /// More octets than a datagram can carry.
    #[error("expected at most {max} octets, found {found}")]
    TooLong {
        /// [`super::message::MESSAGE_BYTES_MAX`].
        max: usize,
        /// What arrived.
        found: usize,
    },
    /// The first line is neither a request line nor a status line.
    #[error("first line is neither a request line nor a status line")]
    StartLine,
    /// A status line whose code is not three digits from 100 to 699 (RFC 3261 section 25.1).
    #[error("status code is not within 100 to 699")]
    StatusCode,
}

/// A message that can be read and yet breaks a rule: a request is owed [`SipError::status`], a
/// response is dropped (RFC 3261 sections 8.1.3 and 18.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SipError {
    /// The request line has other white space than its two single spaces (section 25.1).
    #[error("request line has stray white space")]
    RequestLine,
    /// The version is not SIP/2.0 (section 8.2, table of section 21.5.6).
    #[error("version is not SIP/2.0")]
    Version,
    /// A header line has no name that is a token, or no colon, or stray control octets.
    #[error("header line is not a name, a colon and a value")]
    HeaderLine,
    /// More header lines than [`super::message::HEADERS_MAX`].
    #[error("expected at most {max} header lines")]
    HeaderCount {
        /// The limit.
        max: usize,
    },
    /// The datagram ends before the empty line that closes the headers.
    #[error("headers end without an empty line")]
    HeadersUnfinished,
    /// Content-Length claims more than the datagram holds (section 18.3).
    #[error("body of {found} octets is shorter than its declared {declared}")]
    BodyShort {
        /// What Content-Length says.
        declared: u32,
        /// What there is.
        found: usize,
    },
    /// The body is longer than [`super::validate::BODY_BYTES_MAX`].
    #[error("expected a body of at most {max} octets, found {found}")]
    BodyLong {
        /// The limit.
        max: usize,
        /// What there is.
        found: usize,
    },
    /// A header that every message must carry is not there (section 8.1.1).
    #[error("{0} is missing")]
    Missing(HeaderName),
    /// A header that may stand once stands again (section 7.3.1).
    #[error("{0} stands more than once")]
    Repeated(HeaderName),
    /// The value of a header does not follow its grammar (section 25.1).
    #[error("{0} is malformed")]
    Malformed(HeaderName),
    /// A URI does not follow its grammar (section 19.1.1).
    #[error("uri is malformed")]
    Uri,
    /// The Request-URI is malformed, or carries headers (section 19.1.1).
    #[error("request-uri is malformed")]
    RequestUri,
    /// The Request-URI is longer than [`super::validate::URI_BYTES_MAX`].
    #[error("expected a request-uri of at most {max} octets, found {found}")]
    RequestUriLong {
        /// The limit.
        max: usize,
        /// What there is.
        found: usize,
    },
    /// The scheme of the Request-URI is neither sip, sips nor tel (section 8.2.2.1).
    #[error("request-uri scheme is not sip, sips or tel")]
    UriScheme,
    /// A known method, and another one in CSeq (section 8.1.1.5).
    #[error("method in CSeq differs from the request's")]
    MethodMismatch,
    /// An unknown method, and another one in CSeq (RFC 4475 section 3.1.2.18).
    #[error("method is unknown, and CSeq names another")]
    MethodUnknown,
}

impl SipError {
    /// The status code that a request with this mistake is owed.
    pub const fn status(self) -> u16 {
        match self {
            Self::BodyLong { .. } => 413,
            Self::RequestUriLong { .. } => 414,
            Self::UriScheme => 416,
            Self::MethodUnknown => 501,
            Self::Version => 505,
            _ => 400,
        }
    }

    /// The reason phrase that goes with [`Self::status`]; for 400 it names the problem, as RFC
    /// 3261 section 21.4.1 asks. The names in it are ours, never octets from the wire.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::RequestLine => "Bad Request Line",
            Self::Version => "Version Not Supported",
            Self::HeaderLine => "Bad Header Line",
            Self::HeaderCount { .. } => "Too Many Headers",
            Self::HeadersUnfinished => "Unfinished Headers",
            Self::BodyShort { .. } => "Body Shorter Than Content-Length",
            Self::BodyLong { .. } => "Request Entity Too Large",
            Self::Missing(name) => missing_phrase(name),
            Self::Repeated(_) => "Header Repeated",
            Self::Malformed(name) => malformed_phrase(name),
            Self::Uri => "Bad URI",
            Self::RequestUri => "Bad Request-URI",
            Self::RequestUriLong { .. } => "Request-URI Too Long",
            Self::UriScheme => "Unsupported URI Scheme",
            Self::MethodMismatch => "CSeq Method Mismatch",
            Self::MethodUnknown => "Not Implemented",
        }
    }
}

const fn missing_phrase(name: HeaderName) -> &'static str {
    match name {
        HeaderName::CallId => "Missing Call-ID",
        HeaderName::CSeq => "Missing CSeq",
        HeaderName::From => "Missing From",
        HeaderName::To => "Missing To",
        HeaderName::Via => "Missing Via",
        _ => "Missing Header",
    }
}

const fn malformed_phrase(name: HeaderName) -> &'static str {
    match name {
        HeaderName::CallId => "Bad Call-ID",
        HeaderName::Contact => "Bad Contact",
        HeaderName::ContentLength => "Bad Content-Length",
        HeaderName::CSeq => "Bad CSeq",
        HeaderName::From => "Bad From",
        HeaderName::MaxForwards => "Bad Max-Forwards",
        HeaderName::To => "Bad To",
        HeaderName::Via => "Bad Via",
        _ => "Bad Header",
    }
}

/// A message that must not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// CR, LF or NUL in a value would end the header and begin another (header injection).
    #[error("header value holds CR, LF or NUL")]
    Value,
    /// A header name that is no token.
    #[error("header name is not a token")]
    Name,
    /// CR, LF or NUL in a reason phrase.
    #[error("reason phrase holds CR, LF or NUL")]
    Phrase,
    /// The status code is not within 100 to 699.
    #[error("expected a status from 100 to 699, found {0}")]
    Status(u16),
}
