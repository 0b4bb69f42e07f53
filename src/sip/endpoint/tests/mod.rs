//! The endpoint on virtual time: rows of `millisecond:word`, and what must come out and when.
//!
//! [`play`] feeds the words and fires each deadline in its place. Words of the peer are requests
//! (`INVITE`, `BYE/2` with its CSeq, `INFO/3@replay` with an oddity) and responses (`180#a` with
//! its tag, `200/BYE` to our last BYE); words in small letters are orders (`answer`, `bye`).
//! What comes out is listed by the time it came: `0=100,Invited 500=200`. After the last word
//! the clock runs until nothing is due any more; `left 1/2` tells of sessions and transactions
//! that remain then. Every message sent is read and validated.

mod called;
mod calling;
mod link;
mod peer;
mod strangers;
mod torture;
mod within;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::model::token::Seed;
use crate::sip::ids::ListenerId;
use crate::sip::message::Message;
use crate::sip::message::OwnedMessage;
use crate::sip::message::StartLine;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;

use super::*;

use peer::Peer;

#[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
fn zero() -> Instant {
    Instant::now()
}

/// An endpoint with one listener at this address.
fn endpoint(address: &str, seed: u64) -> Endpoint {
    let mut settings = Settings::new("Test");
    let address = address.parse().unwrap();
    settings.listeners = vec![Listener { local: address, advertised: address }];
    settings.shard = 0x5a;
    Endpoint::new(settings, Seed(seed, 1))
}

fn play(script: &str) -> String {
    play_with(endpoint("198.51.100.1:5060", 7), script)
}

fn play_with(endpoint: Endpoint, script: &str) -> String {
    let mut play = Play {
        endpoint,
        start: zero(),
        at_ms: 0,
        session: None,
        asked: Vec::new(),
        peer: Peer::new(),
        told: Vec::new(),
    };
    for token in script.split_whitespace() {
        let (at, word) = token.split_once(':').unwrap();
        play.run_until(at.parse().unwrap());
        play.feed(word);
        play.drain();
    }
    play.run_until(u64::MAX);
    play.finish()
}

struct Play {
    endpoint: Endpoint,
    start: Instant,
    at_ms: u64,
    session: Option<SessionId>,
    asked: Vec<TransactionId>,
    peer: Peer,
    told: Vec<(u64, String)>,
}

impl Play {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.at_ms)
    }

    fn run_until(&mut self, at_ms: u64) {
        for _ in 0..10_000 {
            let Some(due) = self.endpoint.poll_timeout() else { break };
            let due_ms = due.saturating_duration_since(self.start).as_millis() as u64;
            if due_ms > at_ms {
                break;
            }
            self.at_ms = self.at_ms.max(due_ms);
            self.endpoint.handle_timeout(self.now());
            self.drain();
        }
        if at_ms != u64::MAX {
            self.at_ms = at_ms;
        }
    }

    fn feed(&mut self, word: &str) {
        let (now, order) = (self.now(), word.split_once('=').unwrap_or((word, "")));
        if word.starts_with(|c: char| c.is_ascii_lowercase()) {
            return self.order(now, order.0, order.1);
        }
        let (source, bytes) = self.peer.say(word);
        self.endpoint.handle_datagram(now, ListenerId(0), source, &bytes);
    }

    fn order(&mut self, now: Instant, order: &str, argument: &str) {
        let (headers, endpoint) = (Headers::new(), &mut self.endpoint);
        let number = argument.parse::<u64>();
        let session = self.session.unwrap_or(SessionId(0));
        let sdp = Body { content_type: "application/sdp".into(), bytes: b"v=0\r\n".to_vec() };
        match order {
            "wait" => {}
            "ring" => endpoint.ring(now, session, number.unwrap_or(180) as u16, headers, None),
            "answer" => endpoint.answer(now, session, headers, Some(sdp)),
            "reject" => endpoint.reject(now, session, number.unwrap() as u16, "", headers),
            "dismiss" => endpoint.dismiss(now, session, 403, "", headers),
            "bye" => endpoint.bye(now, session, headers.with("Reason", "Q.850;cause=16")),
            "cancel" => endpoint.cancel(now, session, headers),
            "info" => endpoint.info(now, session, sdp),
            "respond" => {
                let asked = self.asked.last().copied().unwrap();
                endpoint.respond(now, asked, number.unwrap() as u16, headers, None);
            }
            "close" => endpoint.set_open(false),
            "call" => {
                let invite = invite(self.peer.address(), number.unwrap_or(120_000));
                self.session = Some(endpoint.invite(now, invite).unwrap());
            }
            other => panic!("no such order: {other}"),
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll() {
            let told = match output {
                Output::Transmit(transmit) => {
                    assert_eq!(transmit.listener, ListenerId(0));
                    let told = describe(&transmit.bytes);
                    self.peer.hear(transmit.to, &transmit.bytes);
                    told
                }
                Output::Event(event) => self.note(event),
            };
            self.told.push((self.at_ms, told));
        }
    }

    fn note(&mut self, event: Event) -> String {
        match event {
            Event::Invited { session, .. } => {
                self.session = Some(session);
                "Invited".to_owned()
            }
            Event::Info { transaction, .. } => {
                self.asked.push(transaction);
                "Info".to_owned()
            }
            Event::LateInfo { .. } => "LateInfo".to_owned(),
            Event::Reoffered { transaction, .. } => {
                self.asked.push(transaction);
                "Reoffered".to_owned()
            }
            Event::Cancelled { .. } => "Cancelled".to_owned(),
            Event::Acknowledged { body, .. } => {
                format!("Acknowledged{}", if body.is_some() { "+" } else { "" })
            }
            Event::Progress { response, early_dialog, .. } => {
                format!("Progress({},{early_dialog})", status(&response))
            }
            Event::Answered { .. } => "Answered".to_owned(),
            Event::Refused { status, response, .. } => {
                format!("Refused({status}{})", if response.is_some() { "" } else { ",alone" })
            }
            Event::HungUp { .. } => "HungUp".to_owned(),
            Event::Ended { why, .. } => format!("Ended({why:?})"),
        }
    }

    fn finish(self) -> String {
        let mut text = String::new();
        let mut last = None;
        for (at, told) in &self.told {
            if last == Some(at) {
                text.push(',');
            } else {
                text.push_str(&format!("{}{at}=", if text.is_empty() { "" } else { " " }));
            }
            last = Some(at);
            text.push_str(told);
        }
        let (sessions, transactions) =
            (self.endpoint.sessions_len(), self.endpoint.transactions_len());
        if (sessions, transactions) != (0, 0) {
            text.push_str(&format!(" left {sessions}/{transactions}"));
        }
        text.trim_start().to_owned()
    }
}

fn status(response: &OwnedMessage) -> u16 {
    response.view().status().unwrap()
}

/// An INVITE of ours to `to`.
fn invite(to: SocketAddr, ring_max_ms: u64) -> Invite {
    Invite {
        listener: ListenerId(0),
        to,
        request_uri: format!("sip:+34600000001@{to}"),
        from: "\"Campaign\" <sip:+34910000000@198.51.100.1>".into(),
        to_header: format!("<sip:+34600000001@{to}>"),
        call_id: None,
        max_forwards: 70,
        headers: Headers::new(),
        body: Some(Body { content_type: "application/sdp".into(), bytes: b"v=0\r\n".to_vec() }),
        ring_max: Duration::from_millis(ring_max_ms),
    }
}

/// `INVITE`, `200` or `200/BYE`; fails on a message that a peer would refuse.
fn describe(bytes: &[u8]) -> String {
    let message = Message::parse(bytes).unwrap();
    assert_eq!(message.validate(), Ok(()), "{}", String::from_utf8_lossy(bytes));
    let (_, method) = message.cseq().unwrap();
    // RFC 3261 section 21.4.13: a 415 says which bodies would have done.
    let owes_types = matches!(message.start(), StartLine::Response { status: 415, .. });
    assert!(!owes_types || message.header(HeaderName::Accept).is_some(), "415 without Accept");
    match message.start() {
        StartLine::Request { method, .. } => method.to_string(),
        StartLine::Response { status, .. } if method == Method::Invite => status.to_string(),
        StartLine::Response { status, .. } => format!("{status}/{method}"),
    }
}
