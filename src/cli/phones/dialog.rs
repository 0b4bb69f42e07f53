//! A phone's side of a dialog: it numbers what it sends, repeats it as RFC 3261 section 17 has it
//! until it is answered, and keeps a trace of what was said.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use rsip::Method;
use rsip::Request;

use super::message;
use super::message::DialogSide;
use super::report::PhoneOutput;
use super::report::Trace;

/// RFC 3261 section 17.1.1.1: the estimate of the round trip.
const T1: Duration = Duration::from_millis(500);

/// The longest pause between two repetitions.
const T2: Duration = Duration::from_secs(4);

/// How long a message is repeated.
const PATIENCE: Duration = Duration::from_secs(32);

/// A message that is repeated until it is answered.
#[derive(Debug)]
struct Repeat {
    bytes: Vec<u8>,
    next_at: Instant,
    interval: Duration,
    until: Instant,
    /// The CSeq method whose answer ends it.
    method: Method,
}

/// One side of a dialog.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) side: DialogSide,
    /// The tag of this side.
    tag: String,
    /// Of the newest request of this side.
    cseq: u32,
    branches: u32,
    repeats: Vec<Repeat>,
    pub(super) trace: Vec<Trace>,
    pub(super) out: VecDeque<PhoneOutput>,
}

impl Dialog {
    /// A side that has said nothing; `seed` tells it from those of other phones.
    pub(super) fn new(side: DialogSide, seed: u32) -> Self {
        Self {
            side,
            tag: format!("p{seed:08x}"),
            cseq: 1,
            branches: seed,
            repeats: Vec::new(),
            trace: Vec::new(),
            out: VecDeque::new(),
        }
    }

    /// A branch that no other request has.
    pub(super) fn branch(&mut self) -> String {
        self.branches = self.branches.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("z9hG4bK-{:08x}-{}", self.branches, self.tag)
    }

    /// A request outside of the numbering, on `branch`: INVITE, CANCEL and ACK, which are all of
    /// number 1.
    pub(super) fn first_request(
        &self,
        method: Method,
        branch: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &str)>,
    ) -> Vec<u8> {
        message::request(&self.side, method, &self.side.target, 1, branch, headers, body)
    }

    /// Sends the next request of this dialog until it is answered.
    pub(super) fn send_next(&mut self, now: Instant, method: Method, body: Option<(&str, &str)>) {
        self.cseq += 1;
        let (branch, uri) = (self.branch(), &self.side.target);
        let bytes = message::request(&self.side, method, uri, self.cseq, &branch, &[], body);
        self.send_repeatedly(now, &method.to_string(), method, bytes);
    }

    /// Sends a request until an answer with this CSeq method comes.
    pub(super) fn send_repeatedly(
        &mut self,
        now: Instant,
        label: &str,
        method: Method,
        bytes: Vec<u8>,
    ) {
        self.note(now, true, label);
        self.send(bytes.clone());
        self.repeat(now, method, bytes);
    }

    /// Sends once.
    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        self.out.push_back(PhoneOutput::Sip(self.side.remote, bytes));
    }

    /// Sends what was already sent once more, and again, until `method` is answered.
    pub(super) fn repeat(&mut self, now: Instant, method: Method, bytes: Vec<u8>) {
        let (next_at, until) = (now + T1, now + PATIENCE);
        self.repeats.push(Repeat { bytes, next_at, interval: T1, until, method });
    }

    /// Nothing of `method` is repeated any more; whether something was.
    pub(super) fn settle(&mut self, method: Method) -> bool {
        let before = self.repeats.len();
        self.repeats.retain(|repeat| repeat.method != method);
        self.repeats.len() < before
    }

    /// Repeats what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.repeats.retain(|repeat| repeat.until > now);
        for repeat in &mut self.repeats {
            while repeat.next_at <= now {
                repeat.interval = (repeat.interval * 2).min(T2);
                repeat.next_at += repeat.interval;
                self.out.push_back(PhoneOutput::Sip(self.side.remote, repeat.bytes.clone()));
            }
        }
    }

    /// The next moment at which something is repeated.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.repeats.iter().map(|repeat| repeat.next_at).min()
    }

    /// Whether nothing is being repeated.
    pub(super) fn is_settled(&self) -> bool {
        self.repeats.is_empty()
    }

    /// The response of this side to `request`.
    pub(super) fn response(
        &self,
        request: &Request,
        status: u16,
        body: Option<(&str, &str)>,
    ) -> Vec<u8> {
        message::response(request, status, &self.tag, self.side.local, body)
    }

    /// Adds a line to the trace.
    pub(super) fn note(&mut self, at: Instant, sent: bool, label: &str) {
        self.trace.push(Trace { at, sent, label: label.to_owned() });
    }
}
