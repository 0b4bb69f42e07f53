//! The two SIP peers of a play, written by hand: the dialer `A` calls, the carrier `B` is called.

use std::net::SocketAddr;

use crate::sip::HeaderName;
use crate::sip::Message;
use crate::sip::Method;
use crate::sip::StartLine;

/// What the INVITE of a play says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening<'a> {
    /// The campaign's name, in `X-Campaign`; it is the Call-ID too.
    pub(super) campaign: &'a str,
    /// The user of the Request-URI.
    pub(super) to: &'a str,
    /// The whole From, without its tag.
    pub(super) from: &'a str,
    /// The number in `X-Person`.
    pub(super) person: &'a str,
    /// Whether the audio around a press is wanted.
    pub(super) audio: bool,
}

impl Default for Opening<'_> {
    fn default() -> Self {
        Self {
            campaign: "bridge",
            to: "+34600000001",
            from: "<sip:+34910000001@192.0.2.1>",
            person: "+34600000003",
            audio: false,
        }
    }
}

/// A side of the engine's calls.
pub(super) struct Peer<'a> {
    is_dialer: bool,
    opening: Opening<'a>,
    /// The engine's tag in this peer's dialog.
    engine_tag: String,
    /// The CSeq of our last request.
    cseq: u32,
    /// The CSeq of our last INVITE, which its ACK repeats.
    invite_cseq: u32,
    /// The requests that came from the engine.
    heard: Vec<Vec<u8>>,
    branches: u32,
}

impl<'a> Peer<'a> {
    pub(super) fn new(is_dialer: bool, opening: Opening<'a>) -> Self {
        let heard = Vec::new();
        let engine_tag = String::new();
        Self { is_dialer, opening, engine_tag, cseq: 0, invite_cseq: 1, heard, branches: 0 }
    }

    pub(super) fn address(&self) -> SocketAddr {
        let address = if self.is_dialer { "192.0.2.1:5060" } else { "192.0.2.2:5060" };
        address.parse().unwrap()
    }

    /// Takes what the engine sent; what is answered at once, as any peer would.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Vec<String> {
        let message = Message::parse(bytes).unwrap();
        match message.start() {
            StartLine::Response { status, .. } => {
                let tag = message.to().unwrap().tag();
                self.engine_tag = tag.map_or_else(String::new, text);
                let is_refusal = status >= 300 && message.cseq().unwrap().1 == Method::Invite;
                if is_refusal { vec!["ACK-refusal".into()] } else { Vec::new() }
            }
            StartLine::Request { method, .. } => {
                self.heard.push(bytes.to_vec());
                if !self.is_dialer {
                    self.engine_tag = text(message.from().unwrap().tag().unwrap());
                }
                match method {
                    Method::Bye => vec!["200/BYE".into()],
                    Method::Cancel => vec!["200/CANCEL".into(), "487".into()],
                    _ => Vec::new(),
                }
            }
        }
    }

    /// The message that a word means: `183=pcmu`, `481/INFO`, `REINVITE=pcma`, `INFO/2=9`.
    /// Nothing where it answers a request that never came.
    pub(super) fn say(&mut self, word: &str) -> Option<Vec<u8>> {
        let (head, body) = word.split_once('=').unwrap_or((word, ""));
        let text = if head.starts_with(|c: char| c.is_ascii_digit()) {
            self.response(head, body)?
        } else {
            self.request(head, body)
        };
        Some(text.into_bytes())
    }

    fn response(&self, head: &str, body: &str) -> Option<String> {
        let (status, method) = head.split_once('/').unwrap_or((head, "INVITE"));
        let (status, tag) = status.split_once('#').unwrap_or((status, "far"));
        let asked = self.heard.iter().rev().find(|bytes| bytes.starts_with(method.as_bytes()));
        let asked = Message::parse(asked?).unwrap();
        let header = |name| text(asked.header(name).unwrap_or_default());
        let mut to = header(HeaderName::To);
        if !to.contains(";tag=") {
            to.push_str(&format!(";tag={tag}"));
        }
        let contact = self.address();
        Some(format!(
            "SIP/2.0 {status} Whatever\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\n\
             CSeq: {}\r\nContact: <sip:{contact}>\r\n{}",
            header(HeaderName::Via),
            header(HeaderName::From),
            header(HeaderName::CallId),
            header(HeaderName::CSeq),
            self.body("INVITE", body)
        ))
    }

    fn request(&mut self, head: &str, body: &str) -> String {
        let (name, cseq) = head.split_once('/').unwrap_or((head, ""));
        let method = match name {
            "REINVITE" => "INVITE",
            "ACK-refusal" => "ACK",
            method => method,
        };
        let cseq = match (method, cseq.parse()) {
            ("ACK" | "CANCEL", _) => self.invite_cseq,
            (_, Ok(given)) => given,
            _ => self.cseq + 1,
        };
        if method != "ACK" {
            self.cseq = self.cseq.max(cseq);
        }
        if method == "INVITE" {
            self.invite_cseq = cseq;
        }
        self.branches += 1;
        let branch = match name {
            "INVITE" | "REINVITE" | "CANCEL" | "ACK-refusal" => format!("invite-{cseq}"),
            _ => self.branches.to_string(),
        };
        let (from, to, call_id) = self.names(name == "INVITE");
        let (address, contact) = (self.address(), self.address());
        let opening = &self.opening;
        format!(
            "{method} sip:{}@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address};branch=z9hG4bK-{call_id}-{branch}\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:{contact}>\r\nX-Campaign: {}\r\n\
             X-Person: {}\r\n{}",
            opening.to,
            opening.campaign,
            opening.person,
            self.body(method, body)
        )
    }

    /// From, To and Call-ID of a request of ours.
    fn names(&self, is_opening: bool) -> (String, String, String) {
        if self.is_dialer {
            let to = format!("<sip:{}@198.51.100.1>", self.opening.to);
            let tag = format!(";tag={}", self.engine_tag);
            let to = if is_opening { to } else { to + &tag };
            return (format!("{};tag=near", self.opening.from), to, self.opening.campaign.into());
        }
        let invite = Message::parse(&self.heard[0]).unwrap();
        let header = |name| text(invite.header(name).unwrap());
        (header(HeaderName::To) + ";tag=far", header(HeaderName::From), header(HeaderName::CallId))
    }

    fn body(&self, method: &str, body: &str) -> String {
        let (kind, body) = match (method, body) {
            (_, "") => ("", String::new()),
            ("INFO", key) => {
                ("application/dtmf-relay", format!("Signal={key}\r\nDuration=160\r\n"))
            }
            (_, "words") => ("text/plain", "words".to_owned()),
            (_, "nonsense") => ("application/sdp", "nonsense".to_owned()),
            (_, lines) if lines.starts_with("m=") => ("application/sdp", self.sdp_of(lines)),
            (_, sdp) => ("application/sdp", self.sdp(sdp)),
        };
        let kind =
            if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
        format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// Whole lines: `m=audio_7000_RTP/AVP_0|a=sendonly`
    fn sdp_of(&self, lines: &str) -> String {
        let ip = if self.is_dialer { "192.0.2.11" } else { "192.0.2.12" };
        let lines = lines.replace('_', " ").replace('|', "\r\n");
        format!("v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n{lines}\r\n")
    }

    /// `pcma+pcmu@192.0.2.11:7000!sendonly`
    fn sdp(&self, spec: &str) -> String {
        let (spec, direction) = spec.split_once('!').unwrap_or((spec, "sendrecv"));
        let ours = if self.is_dialer { "192.0.2.11:7000" } else { "192.0.2.12:7000" };
        let (codecs, address) = spec.split_once('@').unwrap_or((spec, ours));
        let (ip, port) = address.split_once(':').unwrap();
        let payload = |codec| match codec {
            "pcmu" => " 0",
            "pcma" => " 8",
            other => panic!("no such codec: {other}"),
        };
        let payloads: String = codecs.split('+').map(payload).collect();
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP{payloads} 101\r\na=rtpmap:101 telephone-event/8000\r\n\
             a={direction}\r\n"
        )
    }
}

/// What the engine sent, in a word: `200=pcmu#1`, `BYE(ended;reason=hung-up)`, `INVITE=pcmu+pcma#1`.
pub(super) fn describe(bytes: &[u8]) -> String {
    let message = Message::parse(bytes).unwrap();
    assert_eq!(message.validate(), Ok(()), "{}", text(bytes));
    let (_, method) = message.cseq().unwrap();
    let mut told = match message.start() {
        StartLine::Request { method: Method::Invite, uri, .. } => {
            let user =
                |uri: &[u8]| text(uri).replace("sip:", "").split('@').next().map(str::to_owned);
            let (to, from) = (user(uri).unwrap(), user(message.from().unwrap().address).unwrap());
            format!("INVITE({from}>{to})")
        }
        StartLine::Request { method, .. } => method.to_string(),
        StartLine::Response { status, .. } if method == Method::Invite => status.to_string(),
        StartLine::Response { status, .. } => format!("{status}/{method}"),
    };
    if let Some(outcome) = message.extension("X-Bajavoz-Outcome") {
        let outcome = text(outcome);
        told.push_str(&format!("({})", outcome.split(";record=").next().unwrap()));
    }
    let is_sdp = message.content_type().is_some_and(|kind| kind == b"application/sdp");
    if is_sdp {
        told.push_str(&describe_sdp(&text(message.body())));
    }
    told
}

/// `=pcmu+pcma#1!recvonly`: codecs, version of the description, direction unless both ways; its
/// `m=` lines unless it is one with the usual events.
fn describe_sdp(sdp: &str) -> String {
    let line = |start: &str| sdp.lines().find_map(|line| line.strip_prefix(start));
    let version = line("o=").unwrap().split(' ').nth(2).unwrap();
    let streams: Vec<&str> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    let audio = streams.iter().find(|line| !line.contains(" 0 RTP/")).unwrap();
    let formats = audio.split(' ').skip(3);
    let is_usual = streams.len() == 1 && audio.ends_with(" 101");
    let shape = format!("[{}]", streams.join("|").replace(' ', "_"));
    let shape = if is_usual { String::new() } else { shape };
    let codecs: Vec<&str> = formats
        .filter_map(|format| match format {
            "0" => Some("pcmu"),
            "8" => Some("pcma"),
            _ => None,
        })
        .collect();
    let directions = ["sendonly", "recvonly", "inactive"];
    let direction = directions.into_iter().find(|it| sdp.contains(&format!("a={it}\r\n")));
    let direction = direction.map(|it| format!("!{it}")).unwrap_or_default();
    format!("={}#{version}{direction}{shape}", codecs.join("+"))
}

pub(super) fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
