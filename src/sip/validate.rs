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

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(user_len: usize, body_len: usize) -> Result<(), SipError> {
        let text = format!(
            "INFO sip:{}@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>\r\nCall-ID: 7\r\nCSeq: 5 INFO\r\n\r\n{}",
            "u".repeat(user_len),
            "x".repeat(body_len)
        );
        Message::parse(text.as_bytes()).expect("a message").validate()
    }

    #[test]
    fn limits_hold_to_the_octet() {
        let user = URI_BYTES_MAX - "sip:@h".len();
        let (max, found) = (URI_BYTES_MAX, URI_BYTES_MAX + 1);
        assert_eq!(verdict(user, 0), Ok(()));
        assert_eq!(verdict(user + 1, 0), Err(SipError::RequestUriLong { max, found }));
        let (max, found) = (BODY_BYTES_MAX, BODY_BYTES_MAX + 1);
        assert_eq!(verdict(1, BODY_BYTES_MAX), Ok(()));
        assert_eq!(verdict(1, BODY_BYTES_MAX + 1), Err(SipError::BodyLong { max, found }));
    }

    #[test]
    fn every_name_has_a_place_in_a_set() {
        let all = HeaderName::ALL.iter().fold(0, |set, name| set | bit(*name));
        assert_eq!(all.count_ones() as usize, HeaderName::ALL.len());
    }

    #[test]
    fn each_fault_has_the_status_of_the_standard() {
        let (max, found) = (1, 2);
        let cases = [
            (SipError::Missing(HeaderName::To), 400, "Missing To"),
            (SipError::Malformed(HeaderName::Via), 400, "Bad Via"),
            (
                SipError::BodyShort { declared: 2, found: 1 },
                400,
                "Body Shorter Than Content-Length",
            ),
            (SipError::BodyLong { max, found }, 413, "Request Entity Too Large"),
            (SipError::RequestUriLong { max, found }, 414, "Request-URI Too Long"),
            (SipError::UriScheme, 416, "Unsupported URI Scheme"),
            (SipError::MethodUnknown, 501, "Not Implemented"),
            (SipError::Version, 505, "Version Not Supported"),
        ];
        for (error, status, phrase) in cases {
            assert_eq!((error.status(), error.phrase()), (status, phrase), "{error}");
        }
    }
}
