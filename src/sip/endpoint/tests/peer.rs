//! The other side of a `play`: writes what the words mean, and remembers what it was sent.

use std::net::SocketAddr;

use crate::sip::message::Message;
use crate::sip::message::StartLine;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;

pub(super) struct Peer {
    /// Our endpoint's tag as last heard.
    our_tag: String,
    /// The requests that our endpoint sent.
    heard: Vec<Vec<u8>>,
}

impl Peer {
    pub(super) const fn new() -> Self {
        Self { our_tag: String::new(), heard: Vec::new() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        "192.0.2.1:5060".parse().unwrap()
    }

    /// Takes what was sent to `to`.
    pub(super) fn hear(&mut self, to: SocketAddr, bytes: &[u8]) {
        assert!(to.ip().to_string().starts_with("192.0.2."), "sent to {to}");
        let message = Message::parse(bytes).unwrap();
        match message.start() {
            StartLine::Request { .. } => {
                self.our_tag = text(message.from().unwrap().tag().unwrap());
                self.heard.push(bytes.to_vec());
            }
            // What was refused in passing bears a tag of nobody.
            StartLine::Response { status, .. } if !matches!(status, 400.. | 200) => {
                self.our_tag = text(message.to().unwrap().tag().unwrap());
            }
            StartLine::Response { .. } => {
                let tag = text(message.to().unwrap().tag().unwrap());
                if self.our_tag.is_empty() || message.cseq().unwrap() == (1, Method::Invite) {
                    self.our_tag = tag;
                }
            }
        }
    }

    /// The datagram that a word means, and where it comes from.
    pub(super) fn say(&self, word: &str) -> (SocketAddr, Vec<u8>) {
        let mut source = self.address();
        if word.contains("@elsewhere") {
            source = "192.0.2.66:5060".parse().unwrap();
        }
        let text = if word.starts_with(|c: char| c.is_ascii_digit()) {
            self.response(word)
        } else {
            self.request(word)
        };
        (source, text.into_bytes())
    }

    /// `180#tag/METHOD`
    fn response(&self, word: &str) -> String {
        let (rest, method) = word.split_once('/').unwrap_or((word, "INVITE"));
        let (status, tag) = rest.split_once('#').unwrap_or((rest, "far"));
        let request = self
            .heard
            .iter()
            .rev()
            .find(|bytes| bytes.starts_with(method.as_bytes()))
            .unwrap_or_else(|| panic!("no {method} to answer by {word}"));
        let request = Message::parse(request).unwrap();
        let header = |name| text(request.header(name).unwrap_or_default());
        let mut to = header(HeaderName::To);
        if !to.contains(";tag=") {
            to.push_str(&format!(";tag={tag}"));
        }
        format!(
            "SIP/2.0 {status} Whatever\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\n\
             CSeq: {}\r\nContact: <sip:far@192.0.2.1:5060>\r\nContent-Length: 0\r\n\r\n",
            header(HeaderName::Via),
            header(HeaderName::From),
            header(HeaderName::CallId),
            header(HeaderName::CSeq),
        )
    }

    /// `METHOD/cseq@oddity@oddity`
    fn request(&self, word: &str) -> String {
        let (rest, odd) = word.split_once('@').unwrap_or((word, ""));
        let (name, cseq) = rest.split_once('/').unwrap_or((rest, ""));
        let is = |oddity| odd.split('@').any(|found| found == oddity);
        let method = if name == "REINVITE" { "INVITE" } else { name };
        let opens = name == "INVITE" || name == "CANCEL" && cseq.is_empty();
        let cseq = match cseq {
            "" if matches!(name, "INVITE" | "ACK" | "CANCEL") => "1",
            "" => "2",
            given => given,
        };
        // A CANCEL, and the ACK of a refusal, go under the branch of their INVITE.
        let shares_branch = name == "CANCEL" || is("hop");
        let branch = if shares_branch { "INVITE" } else { method };
        let mut to = String::from("<sip:+34600000001@198.51.100.1>");
        if is("stranger") {
            to.push_str(";tag=5a00000000000000000000000f");
        } else if (!opens || is("tagged")) && !is("untagged") {
            to.push_str(&format!(";tag={}", self.our_tag));
        }
        let extra = match () {
            () if is("require") => "Require: 100rel, foo\r\n",
            () if is("answer") => "Content-Type: application/sdp\r\n",
            () => "",
        };
        format!(
            "{method} sip:+34600000001@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK-{branch}-{cseq}{}\r\n\
             Max-Forwards: {}\r\nFrom: <sip:dialer@192.0.2.1>;tag={}\r\nTo: {to}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {}\r\nContact: <sip:dialer@192.0.2.{}>\r\n{extra}\
             Content-Length: {}\r\n\r\n{}",
            if is("replay") { "-again" } else { "" },
            if is("hops0") { 0 } else { 70 },
            if is("imposter") { "evil" } else { "near" },
            if is("othercall") { "other" } else { "call-1" },
            if is("mismatch") { "BYE" } else { method },
            if is("moved") { "2:5062" } else { "1:5060" },
            if is("answer") { 5 } else { 0 },
            if is("answer") { "v=0\r\n" } else { "" },
        )
        .replace("tag=near", if is("called") { "tag=far" } else { "tag=near" })
        .replace("Call-ID: call-1", &self.called_call_id(is("called")))
    }

    /// The Call-ID of the call that our endpoint made, for requests of its called side.
    fn called_call_id(&self, is_called: bool) -> String {
        let invite = self.heard.iter().find(|bytes| bytes.starts_with(b"INVITE"));
        let id = invite.filter(|_| is_called).map(|bytes| {
            let message = Message::parse(bytes).unwrap();
            text(message.call_id().unwrap())
        });
        format!("Call-ID: {}", id.unwrap_or_else(|| "call-1".to_owned()))
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
