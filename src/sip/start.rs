//! The first line of a message (RFC 3261 sections 7.1 and 7.2).

#![deny(clippy::indexing_slicing)]

use std::fmt;

use super::error::ParseError;
use super::error::SipError;
use super::name::Method;
use super::scan;

/// The first line of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// A request line.
    Request {
        /// The method, [`Method::Other`] if we do not know it.
        method: Method,
        /// The method as written.
        method_token: &'a [u8],
        /// The Request-URI as written.
        uri: &'a [u8],
    },
    /// A status line.
    Response {
        /// The status code, 100 to 699.
        status: u16,
        /// The reason phrase, maybe empty, in any encoding.
        reason: &'a [u8],
    },
}

impl fmt::Debug for StartLine<'_> {
    /// Without the Request-URI and the phrase: they can hold a phone number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { method, .. } => write!(f, "Request({method})"),
            Self::Response { status, .. } => write!(f, "Response({status})"),
        }
    }
}

/// What stands in the line, and the fault in it if there is one.
type Start<'a> = (StartLine<'a>, Option<SipError>);

pub(super) fn read_start_line(line: &[u8]) -> Result<Start<'_>, ParseError> {
    let prefix = line.get(..4).unwrap_or_default();
    if prefix.eq_ignore_ascii_case(b"SIP/") {
        read_status_line(line)
    } else {
        read_request_line(line)
    }
}

/// `SIP/2.0 SP 3DIGIT SP reason`; the last space is often lost when the phrase is empty.
fn read_status_line(line: &[u8]) -> Result<Start<'_>, ParseError> {
    let (version, rest) = scan::split_once(line, b' ').ok_or(ParseError::StartLine)?;
    let (code, reason) = scan::split_once(rest, b' ').unwrap_or((rest, b""));
    let status = scan::decimal(code).filter(|status| (100..700).contains(status));
    let status = status.and_then(|status| u16::try_from(status).ok());
    let status = status.filter(|_| code.len() == 3).ok_or(ParseError::StatusCode)?;
    let is_known = version.eq_ignore_ascii_case(b"SIP/2.0");
    Ok((StartLine::Response { status, reason }, (!is_known).then_some(SipError::Version)))
}

/// `method SP uri SP SIP/2.0`; other white space is noted, so that it can be answered.
fn read_request_line(line: &[u8]) -> Result<Start<'_>, ParseError> {
    let text = scan::trim(line);
    let method_end = text.iter().position(|byte| scan::is_space(*byte));
    let version_start = text.iter().rposition(|byte| scan::is_space(*byte));
    let (Some(method_end), Some(version_start)) = (method_end, version_start) else {
        return Err(ParseError::StartLine);
    };
    let (method_token, _) = scan::cut(text, method_end);
    let (_, version) = scan::cut(text, version_start);
    let uri = scan::trim(text.get(method_end..version_start).unwrap_or_default());
    let is_sip = version.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"));
    if !is_sip || uri.is_empty() || !scan::is_token(method_token) {
        return Err(ParseError::StartLine);
    }
    let is_plain = line.len() == method_token.len() + uri.len() + version.len() + 2
        && [method_end, version_start].iter().all(|at| line.get(*at) == Some(&b' '));
    let defect = if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        Some(SipError::Version)
    } else if !is_plain {
        Some(SipError::RequestLine)
    } else {
        None
    };
    let method = Method::from_token(method_token);
    Ok((StartLine::Request { method, method_token, uri }, defect))
}
