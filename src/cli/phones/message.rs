//! A phone's SIP messages, written and read by `rsip`.

use std::net::SocketAddr;

use rsip::Header;
use rsip::Headers;
use rsip::Method;
use rsip::Request;
use rsip::Response;
use rsip::SipMessage;
use rsip::StatusCode;
use rsip::Version;
use rsip::headers;
use rsip::headers::UntypedHeader;
use rsip::message::HasHeaders;
use rsip::message::HeadersExt;

/// What a dialog needs to write its next request.
#[derive(Clone, Debug)]
pub(super) struct DialogSide {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) call_id: String,
    /// From of our requests, with our tag.
    pub(super) local_party: String,
    /// To of our requests; it gets the other side's tag when that is known.
    pub(super) remote_party: String,
    /// The request URI of requests in the dialog.
    pub(super) target: String,
}

/// Writes a request.
pub(super) fn request(
    side: &DialogSide,
    method: Method,
    uri: &str,
    cseq: u32,
    branch: &str,
    extra: &[(&str, &str)],
    body: Option<(&str, &str)>,
) -> Vec<u8> {
    let mut headers = Headers::default();
    headers.push(
        headers::Via::new(format!("SIP/2.0/UDP {};rport;branch={branch}", side.local)).into(),
    );
    headers.push(headers::MaxForwards::new("70").into());
    headers.push(headers::From::new(&side.local_party).into());
    headers.push(headers::To::new(&side.remote_party).into());
    headers.push(headers::CallId::new(&side.call_id).into());
    headers.push(headers::CSeq::new(format!("{cseq} {method}")).into());
    headers.push(headers::Contact::new(format!("<sip:phone@{}>", side.local)).into());
    for (name, value) in extra {
        headers.push(Header::Other((*name).into(), (*value).into()));
    }
    let body = push_body(&mut headers, body);
    let Ok(uri) = rsip::Uri::try_from(uri) else { return Vec::new() };
    SipMessage::from(Request { method, uri, version: Version::V2, headers, body }).into()
}

/// Writes the response to `request`; a To without a tag gets `tag`.
pub(super) fn response(
    request: &Request,
    status: u16,
    tag: &str,
    local: SocketAddr,
    body: Option<(&str, &str)>,
) -> Vec<u8> {
    let mut headers = Headers::default();
    for header in request.headers().iter() {
        match header {
            Header::Via(_)
            | Header::From(_)
            | Header::CallId(_)
            | Header::CSeq(_)
            | Header::RecordRoute(_) => headers.push(header.clone()),
            Header::To(to) => {
                let value = to.value();
                let has_tag = to.tag().ok().flatten().is_some() || status == 100;
                let value = if has_tag { value.to_owned() } else { format!("{value};tag={tag}") };
                headers.push(headers::To::new(value).into());
            }
            _ => {}
        }
    }
    headers.push(headers::Contact::new(format!("<sip:phone@{local}>")).into());
    let body = push_body(&mut headers, body);
    let status_code = StatusCode::from(status);
    SipMessage::from(Response { status_code, version: Version::V2, headers, body }).into()
}

fn push_body(headers: &mut Headers, body: Option<(&str, &str)>) -> Vec<u8> {
    if let Some((content_type, _)) = body {
        headers.push(headers::ContentType::new(content_type).into());
    }
    let bytes = body.map(|(_, text)| text.as_bytes().to_vec()).unwrap_or_default();
    headers.push(headers::ContentLength::new(bytes.len().to_string()).into());
    bytes
}

/// A header by name where `rsip` has no type for it.
pub(super) fn other(message: &impl HasHeaders, name: &str) -> Option<String> {
    message.headers().iter().find_map(|header| match header {
        Header::Other(found, value) if found.eq_ignore_ascii_case(name) => Some(value.clone()),
        _ => None,
    })
}

/// The number and method of CSeq.
pub(super) fn cseq(message: &impl HeadersExt) -> Option<(u32, Method)> {
    let header = message.cseq_header().ok()?;
    Some((header.seq().ok()?, header.method().ok()?))
}

/// The session description of a phone: PCMU and events under an unusual payload type.
pub(super) fn sdp(rtp: SocketAddr, event_payload_type: u8) -> String {
    let (ip, port) = (rtp.ip(), rtp.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 {event_payload_type}\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:{event_payload_type} telephone-event/8000\r\n\
         a=fmtp:{event_payload_type} 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

/// Where a session description wants its audio, and under which payload type its events.
pub(super) fn read_sdp(body: &[u8]) -> Option<(SocketAddr, Option<u8>)> {
    let text = std::str::from_utf8(body).ok()?;
    let ip = text.lines().find_map(|line| line.strip_prefix("c=IN IP4 "))?;
    let media = text.lines().find_map(|line| line.strip_prefix("m=audio "))?;
    let port: u16 = media.split(' ').next()?.parse().ok()?;
    let events = text.lines().find_map(|line| {
        let (payload_type, name) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        name.starts_with("telephone-event/8000").then(|| payload_type.parse().ok())?
    });
    Some((SocketAddr::new(ip.trim().parse().ok()?, port), events))
}
