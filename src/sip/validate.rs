//! What a message must be before anybody acts on it, and which status a request is owed if it is
//! not (RFC 3261 sections 8.1.1, 8.2, 16.3 and 18.3; RFC 4475 section 3).
//!
//! Judged here is the message alone. What depends on the one who receives it is judged by the
//! machines behind: 420 for an extension, 405 for a method, 415 for a body, 481 and 482.

use super::address::NameAddr;
use super::error::SipError;
use super::message::Message;
use super::message::StartLine;
use super::name::HeaderName;
use super::name::Method;
use super::scan::Pieces;
use super::uri::Scheme;
use super::uri::Uri;
use super::via::Via;

/// Longest body. Ours: ten times the largest offer of a carrier (1.5 kB), and room for SDP with
/// ISUP beside it; more gets 413.
pub const BODY_BYTES_MAX: usize = 16_384;

/// Longest Request-URI. Ours: RFC 4475's longest is 94 octets, RFC 3261 names no limit; more gets
/// 414.
pub const URI_BYTES_MAX: usize = 1_024;

/// Headers that may stand once (RFC 3261 section 7.3.1: no comma-separated list).
const SINGLE: u64 = MANDATORY & !bit(HeaderName::Via)
    | bit(HeaderName::ContentLength)
    | bit(HeaderName::ContentType)
    | bit(HeaderName::MaxForwards);

/// Headers that every message has (section 8.1.1; RFC 2543 knew no Max-Forwards).
const MANDATORY: u64 = bit(HeaderName::CallId)
    | bit(HeaderName::CSeq)
    | bit(HeaderName::From)
    | bit(HeaderName::To)
    | bit(HeaderName::Via);

/// The place of a name in a set of names; there are fewer than 64.
const fn bit(name: HeaderName) -> u64 {
    1 << name as u64
}

impl Message<'_> {
    /// Whether the message may be acted on.
    ///
    /// # Errors
    ///
    /// The first fault found. A request is answered with [`SipError::status`] (an ACK never is);
    /// a response is dropped.
    pub fn validate(&self) -> Result<(), SipError> {
        self.defect.map_or(Ok(()), Err)?;
        if let StartLine::Request { uri, .. } = self.start() {
            validate_request_uri(uri)?;
        }
        let mut seen = 0;
        for (name, _, value) in self.all_headers() {
            if seen & SINGLE & bit(name) != 0 {
                return Err(SipError::Repeated(name));
            }
            seen |= bit(name);
            validate_value(name, value)?;
        }
        if let Some(missing) =
            HeaderName::ALL.iter().find(|name| MANDATORY & !seen & bit(**name) != 0)
        {
            return Err(SipError::Missing(*missing));
        }
        self.call_id()?;
        self.max_forwards()?;
        self.validate_cseq()?;
        match self.body().len() {
            found if found > BODY_BYTES_MAX => {
                Err(SipError::BodyLong { max: BODY_BYTES_MAX, found })
            }
            _ => Ok(()),
        }
    }

    fn validate_cseq(&self) -> Result<(), SipError> {
        let (_, cseq_method) = self.cseq_token()?;
        match self.start() {
            StartLine::Request { method_token, .. } if cseq_method == method_token => Ok(()),
            StartLine::Request { method: Method::Other, .. } => Err(SipError::MethodUnknown),
            StartLine::Request { .. } => Err(SipError::MethodMismatch),
            StartLine::Response { .. } => Ok(()),
        }
    }
}

/// Whether each element of a header that we follow, or answer by, can be read.
fn validate_value(name: HeaderName, value: &[u8]) -> Result<(), SipError> {
    let malformed = SipError::Malformed(name);
    match name {
        HeaderName::Via if value.is_empty() => Err(malformed),
        HeaderName::Via => Pieces::commas(value).try_for_each(|via| Via::parse(via).map(drop)),
        HeaderName::From | HeaderName::To => {
            validate_tag(name, NameAddr::parse(value).map_err(|_| malformed)?)
        }
        HeaderName::Contact | HeaderName::RecordRoute | HeaderName::Route => Pieces::commas(value)
            .try_for_each(|address| NameAddr::parse(address).map(drop))
            .map_err(|_| malformed),
        _ => Ok(()),
    }
}

/// A tag may be absent (RFC 2543 had none in From), but not empty.
fn validate_tag(name: HeaderName, address: NameAddr<'_>) -> Result<(), SipError> {
    if address.params.contains("tag") && address.tag().is_none() {
        return Err(SipError::Malformed(name));
    }
    Ok(())
}

fn validate_request_uri(bytes: &[u8]) -> Result<(), SipError> {
    if bytes.len() > URI_BYTES_MAX {
        return Err(SipError::RequestUriLong { max: URI_BYTES_MAX, found: bytes.len() });
    }
    let uri = Uri::parse(bytes).map_err(|_| SipError::RequestUri)?;
    match uri.scheme {
        Scheme::Other(_) => Err(SipError::UriScheme),
        // Headers may not stand in a Request-URI (section 19.1.1, table 1).
        _ if uri.headers.is_some() => Err(SipError::RequestUri),
        _ => Ok(()),
    }
}
