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
use super::uri::Scheme;
use super::uri::Uri;

/// Longest body. Ours: ten times the largest offer of a carrier (1.5 kB), and room for SDP with
/// ISUP beside it; more gets 413.
pub const BODY_BYTES_MAX: usize = 16_384;

/// Longest Request-URI. Ours: RFC 4475's longest is 94 octets, RFC 3261 names no limit; more gets
/// 414.
pub const URI_BYTES_MAX: usize = 1_024;

/// Headers that may stand once (RFC 3261 section 7.3.1: no comma-separated list).
const SINGLE: [HeaderName; 7] = [
    HeaderName::CallId,
    HeaderName::ContentLength,
    HeaderName::ContentType,
    HeaderName::CSeq,
    HeaderName::From,
    HeaderName::MaxForwards,
    HeaderName::To,
];

/// Headers whose every address must be readable: routes and targets are followed.
const FOLLOWED: [HeaderName; 3] = [HeaderName::Contact, HeaderName::RecordRoute, HeaderName::Route];

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
        self.validate_single()?;
        self.validate_mandatory()?;
        for name in FOLLOWED {
            self.addresses(name).try_for_each(|address| address.map(|_| ()))?;
        }
        match self.body().len() {
            found if found > BODY_BYTES_MAX => {
                Err(SipError::BodyLong { max: BODY_BYTES_MAX, found })
            }
            _ => Ok(()),
        }
    }

    fn validate_single(&self) -> Result<(), SipError> {
        let mut seen = 0_u64;
        for (name, _, _) in self.all_headers().filter(|(name, _, _)| SINGLE.contains(name)) {
            let bit = 1 << name as u64;
            if seen & bit != 0 {
                return Err(SipError::Repeated(name));
            }
            seen |= bit;
        }
        Ok(())
    }

    fn validate_mandatory(&self) -> Result<(), SipError> {
        self.via()?;
        self.vias().try_for_each(|via| via.map(|_| ()))?;
        validate_tag(HeaderName::From, self.from()?)?;
        validate_tag(HeaderName::To, self.to()?)?;
        self.call_id()?;
        self.max_forwards()?;
        let (_, cseq_method) = self.cseq_token()?;
        match self.start() {
            StartLine::Request { method_token, .. } if cseq_method == method_token => Ok(()),
            StartLine::Request { method: Method::Other, .. } => Err(SipError::MethodUnknown),
            StartLine::Request { .. } => Err(SipError::MethodMismatch),
            StartLine::Response { .. } => Ok(()),
        }
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
