//! How messages are written: requests within a dialog, requests that follow an INVITE hop by
//! hop, and responses.
//!
//! A response is a status line, the head that was prepared when the request came (everything
//! that RFC 3261 section 8.2.6.2 copies), and what the situation adds; so no response costs a
//! second look at its request. All values come from messages whose folding has been undone, or
//! from texts that were checked when they were handed in.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::sip::build::check_value;
use crate::sip::dialog::Dialog;
use crate::sip::message::Message;
use crate::sip::message::StartLine;
use crate::sip::mint::MAGIC_COOKIE;
use crate::sip::mint::Minted;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;

use super::payload::Body;
use super::payload::Headers;
use super::settings::Listener;

/// The methods we understand; 405 and OPTIONS name them (RFC 3261 sections 8.2.1 and 11.2).
pub(super) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE";

/// Max-Forwards of a request that we begin, section 8.1.1.6.
const HOPS: u8 = 70;

/// The texts of one listener that every message needs.
#[derive(Debug)]
pub(super) struct ListenerText {
    /// `SIP/2.0/UDP host:port;rport;branch=` and the cookie.
    via: Vec<u8>,
    /// `<sip:sSS@host:port>`
    contact: Vec<u8>,
    /// The host alone.
    pub(super) host: String,
}

impl ListenerText {
    /// The texts of `listener` in this shard.
    pub(super) fn new(listener: &Listener, shard: u8) -> Self {
        let address = listener.advertised;
        let host = match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        };
        let port = address.port();
        let mut via = format!("SIP/2.0/UDP {host}:{port};rport;branch=").into_bytes();
        via.extend_from_slice(MAGIC_COOKIE);
        let contact = format!("<sip:s{shard:02x}@{host}:{port}>").into_bytes();
        Self { via, contact, host }
    }
}

/// A message being written into a buffer that is used again and again.
pub(super) struct Draft<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Draft<'b> {
    /// Begins a request.
    pub(super) fn request(out: &'b mut Vec<u8>, method: Method, uri: &[u8]) -> Self {
        out.clear();
        let mut draft = Self { out };
        draft.push(&[method.as_str().as_bytes(), b" ", uri, b" SIP/2.0\r\n"]);
        draft
    }

    /// Begins a response with the head of its request; a phrase that would break the line gives
    /// way to the usual one.
    pub(super) fn response(
        out: &'b mut Vec<u8>,
        status: u16,
        reason_phrase: &str,
        head: &[u8],
    ) -> Self {
        out.clear();
        let is_fit = !reason_phrase.is_empty() && check_value(reason_phrase.as_bytes()).is_ok();
        let reason_phrase = if is_fit { reason_phrase } else { phrase(status) };
        write!(out, "SIP/2.0 {status} {reason_phrase}\r\n").expect("a vector takes every write");
        out.extend_from_slice(head);
        Self { out }
    }

    /// Our Via with the branch of this name.
    pub(super) fn via(&mut self, listener: &ListenerText, branch: Minted) -> &mut Self {
        self.push(&[b"Via: ", &listener.via, &branch.to_text(), b"\r\n"]);
        self
    }

    /// Our Contact.
    pub(super) fn contact(&mut self, listener: &ListenerText) -> &mut Self {
        self.line(HeaderName::Contact, &listener.contact)
    }

    /// A header whose value stands on one line.
    pub(super) fn line(&mut self, name: HeaderName, value: &[u8]) -> &mut Self {
        self.push(&[name.as_str().as_bytes(), b": ", value, b"\r\n"]);
        self
    }

    /// CSeq.
    pub(super) fn cseq(&mut self, number: u32, method: Method) -> &mut Self {
        write!(self.out, "CSeq: {number} {method}\r\n").expect("a vector takes every write");
        self
    }

    /// Max-Forwards.
    pub(super) fn max_forwards(&mut self, hops: u8) -> &mut Self {
        write!(self.out, "Max-Forwards: {hops}\r\n").expect("a vector takes every write");
        self
    }

    /// Lines that are complete as they are.
    pub(super) fn lines(&mut self, lines: &[u8]) -> &mut Self {
        self.push(&[lines]);
        self
    }

    /// Ends the message; true beside it when a body was left out for its unfit type.
    pub(super) fn finish(&mut self, body: Option<&Body>) -> (Arc<[u8]>, bool) {
        let fit = body.filter(|body| check_value(body.content_type.as_bytes()).is_ok());
        match fit.filter(|body| !body.bytes.is_empty()) {
            Some(body) => {
                self.line(HeaderName::ContentType, body.content_type.as_bytes());
                write!(self.out, "Content-Length: {}\r\n\r\n", body.bytes.len())
                    .expect("a vector takes every write");
                self.push(&[&body.bytes]);
            }
            None => self.push(&[b"Content-Length: 0\r\n\r\n"]),
        }
        (Arc::from(self.out.as_slice()), fit.is_none() && body.is_some())
    }

    fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }
}

/// Begins a request within a dialog (RFC 3261 section 12.2.1.1): all but what its method adds.
pub(super) fn within<'b>(
    out: &'b mut Vec<u8>,
    dialog: &Dialog,
    call_id: &[u8],
    method: Method,
    listener: &ListenerText,
    branch: Minted,
) -> Draft<'b> {
    let mut draft = Draft::request(out, method, dialog.request_uri());
    draft.via(listener, branch).max_forwards(HOPS);
    for (route, is_bare) in dialog.routes() {
        if is_bare {
            draft.push(&[b"Route: <", route, b">\r\n"]);
        } else {
            draft.line(HeaderName::Route, route);
        }
    }
    draft
        .line(HeaderName::From, &dialog.local)
        .line(HeaderName::To, &dialog.remote)
        .line(HeaderName::CallId, call_id)
        .cseq(dialog.local_cseq, method);
    draft
}

/// Begins what follows an INVITE of ours over the same hop under the same branch: its CANCEL
/// (section 9.1), or the ACK of its refusal (section 17.1.1.3), whose To is the response's.
pub(super) fn along<'b>(
    out: &'b mut Vec<u8>,
    invite: &Message<'_>,
    method: Method,
    to: Option<&[u8]>,
) -> Draft<'b> {
    let uri = match invite.start() {
        StartLine::Request { uri, .. } => uri,
        StartLine::Response { .. } => b"",
    };
    let mut draft = Draft::request(out, method, uri);
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId] {
        draft.line(name, invite.header(name).unwrap_or_default());
    }
    draft.push(&[b"To: "]);
    let to = to.or_else(|| invite.header(HeaderName::To)).unwrap_or_default();
    let unfold = |octet: &u8| if matches!(octet, b'\r' | b'\n') { b' ' } else { *octet };
    draft.out.extend(to.iter().map(unfold));
    draft.push(&[b"\r\n"]);
    draft.max_forwards(HOPS).cseq(invite.cseq().map_or(1, |(number, _)| number), method);
    draft
}

/// The bodies that we read.
pub(super) const ACCEPT: &str = "application/sdp, application/dtmf-relay, application/dtmf";

/// The lines every response of ours to OPTIONS carries (section 11.2).
pub(super) fn abilities() -> Headers {
    Headers::new()
        .with("Accept", ACCEPT)
        .with("Accept-Encoding", "identity")
        .with("Accept-Language", "en")
        .with("Allow", ALLOW)
        .with("Supported", "")
}

/// The usual phrase of a status (RFC 3261 section 21, RFC 6665, RFC 8197, RFC 8688).
pub(super) const fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        420 => "Bad Extension",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => class_phrase(status),
    }
}

const fn class_phrase(status: u16) -> &'static str {
    match status / 100 {
        1 => "Progress",
        2 => "OK",
        3 => "Redirect",
        4 => "Request Failure",
        5 => "Server Failure",
        _ => "Global Failure",
    }
}
