//! A second opinion: on well-formed messages that both understand, our reader and `rsip` say the
//! same, and a response that we write says to `rsip` what it says to us. What `rsip` cannot read
//! (IPv6, compact names, folding, tel) is shown elsewhere.

use std::net::SocketAddr;

use rsip::SipMessage;
use rsip::headers::ToTypedHeader;
use rsip::headers::UntypedHeader;
use rsip::message::HasHeaders;
use rsip::message::HeadersExt;

use crate::model::token::Seed;
use crate::model::token::TokenSource;

use super::super::build::ResponseBuilder;
use super::super::message::Message;
use super::super::message::StartLine;
use super::super::uri::Host;
use super::CARRIER_INVITE;
use super::corpus;

/// What both can be asked.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    start: Start,
    call_id: String,
    cseq: (u32, String),
    from_tag: Option<String>,
    to_tag: Option<String>,
    branch: Option<String>,
    headers: usize,
    body: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Start {
    Request { method: String, user: Option<String>, host: String, port: Option<u16> },
    Response(u16),
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn ours(bytes: &[u8]) -> Option<Facts> {
    let message = Message::parse(bytes).ok()?;
    message.validate().ok()?;
    let start = match message.start() {
        StartLine::Response { status, .. } => Start::Response(status),
        StartLine::Request { method_token, .. } => {
            let uri = message.request_uri().ok()?;
            let host = match uri.host {
                Host::Ip(ip) => ip.to_string(),
                Host::Name(name) => text(name)?,
                Host::Absent => return None,
            };
            let (method, user) = (text(method_token)?, uri.user.and_then(text));
            Start::Request { method, user, host, port: uri.port }
        }
    };
    let (number, method) = message.cseq_token().ok()?;
    Some(Facts {
        start,
        call_id: text(message.call_id().ok()?)?,
        cseq: (number, text(method)?),
        from_tag: message.from().ok()?.tag().and_then(text),
        to_tag: message.to().ok()?.tag().and_then(text),
        branch: message.via().ok()?.branch().and_then(text),
        headers: message.all_headers().count(),
        body: message.body().to_vec(),
    })
}

fn theirs(bytes: &[u8]) -> Option<Facts> {
    let message = SipMessage::try_from(bytes).ok()?;
    let start = match &message {
        SipMessage::Response(response) => Start::Response(response.status_code.code()),
        SipMessage::Request(rsip::Request { method, uri, .. }) => Start::Request {
            method: method.to_string(),
            user: uri.user().map(str::to_owned),
            host: uri.host().to_string(),
            port: uri.port().map(|port| *port.value()),
        },
    };
    let cseq = message.cseq_header().ok()?.typed().ok()?;
    let from = message.from_header().ok()?.typed().ok()?;
    let to = message.to_header().ok()?.typed().ok()?;
    let via = message.via_header().ok()?.typed().ok()?;
    Some(Facts {
        start,
        call_id: message.call_id_header().ok()?.value().to_owned(),
        cseq: (cseq.seq, cseq.method.to_string()),
        from_tag: from.tag().map(|tag| tag.value().to_owned()),
        to_tag: to.tag().map(|tag| tag.value().to_owned()),
        branch: via.branch().map(|branch| branch.value().to_owned()),
        headers: message.headers().iter().count(),
        body: message.body().clone(),
    })
}

/// A request of our own making, plain enough for both, every part of it drawn from the seed.
fn drawn(tokens: &mut TokenSource) -> Vec<u8> {
    let mut draw = |choices: &[&str]| {
        let end = u64::try_from(choices.len()).unwrap();
        choices[usize::try_from(tokens.next_u64() % end).unwrap()].to_owned()
    };
    let method = draw(&["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK"]);
    let user = draw(&["", "+12025550143@", "alice@", "bob7@", "1002@", "x:secret@"]);
    let host = draw(&["example.com", "203.0.113.5", "a-b.example.net", "127.0.0.1"]);
    let port = draw(&["", ":5060", ":5070", ":65535", ":1"]);
    let params = draw(&["", ";transport=udp", ";user=phone", ";lr"]);
    let display = draw(&["", "Alice ", "\"A, B\" ", "\"Example Dialer\" "]);
    let to_tag = draw(&["", ";tag=9f3", ";tag=as-1.2_3"]);
    let body = draw(&["", "v=0\r\n", "Signal=5\r\nDuration=160\r\n"]);
    let call_id = draw(&["abc@192.0.2.1", "f81d4fae-7dec-11d0", "1409286657_88313046@x"]);
    let (cseq, branch) = (tokens.next_u32(), tokens.next_u64());
    format!(
        "{method} sip:{user}{host}{port}{params} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK{branch:x}\r\n\
         From: {display}<sip:alice@example.org>;tag=77a\r\nTo: {display}<sip:{user}{host}>{to_tag}\r\n\
         Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Our response to a request.
fn response(tokens: &mut TokenSource, request: &[u8]) -> Vec<u8> {
    let request = Message::parse(request).expect("a request of our own making");
    let statuses = [100, 180, 183, 200, 302, 404, 481, 486, 487, 503, 603];
    let end = u64::try_from(statuses.len()).expect("a few");
    let status = statuses[usize::try_from(tokens.next_u64() % end).expect("one of a few")];
    let source = SocketAddr::from(([192, 0, 2, 4], 5060));
    let mut out = Vec::new();
    ResponseBuilder::new(&mut out, &request, status, "Phrase", source, Some("o.1"))
        .header("X-Bajavoz-Outcome", "suppressed;list=all")
        .finish((status == 200).then_some(("application/sdp", b"v=0\r\n")))
        .expect("clean values");
    out
}

#[test]
fn both_readers_say_the_same() {
    let mut tokens = TokenSource::new(Seed(3261, 0));
    let requests: Vec<Vec<u8>> = (0..2_000).map(|_| drawn(&mut tokens)).collect();
    let responses: Vec<Vec<u8>> =
        requests.iter().map(|request| response(&mut tokens, request)).collect();
    let messages = corpus()
        .map(|case| (case.name, case.bytes))
        .chain([("the carrier's INVITE", CARRIER_INVITE)])
        .chain(requests.iter().chain(&responses).map(|bytes| ("drawn", &bytes[..])));
    let mut compared = 0;
    for (name, bytes) in messages {
        // A message that one of them does not understand is no matter of dispute.
        let (Some(ours), Some(theirs)) = (ours(bytes), theirs(bytes)) else {
            assert_ne!(name, "drawn", "a plain message was refused: {}", bytes.escape_ascii());
            continue;
        };
        assert_eq!(ours, theirs, "{name}: {}", bytes.escape_ascii());
        compared += 1;
    }
    assert!(compared > 4_000, "only {compared} messages were understood by both");
}
