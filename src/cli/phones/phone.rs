//! One phone in one call: the calling or the called side of a dialog, sans-IO.
//!
//! It repeats its INVITE, BYE, INFO and 200 as RFC 3261 section 17 has it until they are answered,
//! and answers what it saw before with what it said before.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use rsip::Method;
use rsip::Request;
use rsip::Response;
use rsip::SipMessage;
use rsip::headers::UntypedHeader;
use rsip::message::HeadersExt;

use super::audio::Audio;
use super::audio::EVENT_PAYLOAD_TYPE;
use super::audio::Heard;
use super::message;
use super::message::DialogSide;
use super::script::Press;
use super::script::PressMethod;
use super::script::Script;

/// RFC 3261 section 17.1.1.1: the estimate of the round trip.
const T1: Duration = Duration::from_millis(500);

/// The longest pause between two repetitions.
const T2: Duration = Duration::from_secs(4);

/// How long a message is repeated.
const PATIENCE: Duration = Duration::from_secs(32);

/// What a phone wants sent.
#[derive(Clone, Debug)]
pub enum PhoneOutput {
    /// A SIP datagram from its signalling address.
    Sip(SocketAddr, Vec<u8>),
    /// An RTP packet from its media address.
    Rtp(SocketAddr, Vec<u8>),
}

/// One SIP message or key, for a ladder.
#[derive(Clone, Debug)]
pub struct Trace {
    /// When it was sent or received.
    pub at: Instant,
    /// Whether the phone sent it.
    pub sent: bool,
    /// The start line's essence, such as `INVITE` or `200 OK (INVITE)`.
    pub label: String,
}

/// What became of a call, as this phone saw it.
#[derive(Clone, Debug, Default)]
pub struct PhoneReport {
    /// Final status of the INVITE.
    pub status: Option<u16>,
    /// The outcome header of a refusal or of the other side's BYE.
    pub outcome: Option<String>,
    /// The Reason header beside it.
    pub reason: Option<String>,
    /// When the call was answered.
    pub answered_at: Option<Instant>,
    /// When it ended, and whether the other side ended it.
    pub ended_at: Option<(Instant, bool)>,
    /// What was said in SIP.
    pub trace: Vec<Trace>,
    /// What was sent and heard in RTP.
    pub heard: Heard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Calling side: INVITE sent.
    Calling,
    /// Called side: rings until the instant.
    Ringing(Instant),
    /// Answered.
    Up,
    /// Nothing more is expected.
    Over,
}

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

/// One phone in one call.
#[derive(Debug)]
pub struct Phone {
    script: Script,
    side: DialogSide,
    tag: String,
    cseq: u32,
    branches: u32,
    invite_branch: String,
    state: State,
    is_caller: bool,
    invite: Option<Request>,
    last_answer: Option<(u32, Method, Vec<u8>)>,
    ack: Option<Vec<u8>>,
    repeats: Vec<Repeat>,
    audio: Audio,
    rtp: SocketAddr,
    remaining: VecDeque<Press>,
    began_at: Instant,
    cancelled: bool,
    report: PhoneReport,
    out: VecDeque<PhoneOutput>,
}

impl Phone {
    /// A phone that calls `number` through `engine` and shows `caller`; `headers` go on the INVITE.
    #[expect(clippy::too_many_arguments, reason = "a call is this many facts, each its own type")]
    pub fn call(
        now: Instant,
        script: Script,
        sip: SocketAddr,
        rtp: SocketAddr,
        engine: SocketAddr,
        number: &str,
        caller: &str,
        headers: &[(&str, &str)],
        seed: u32,
    ) -> Self {
        let target = format!("sip:{number}@{engine}");
        let side = DialogSide {
            local: sip,
            remote: engine,
            call_id: format!("phone-{seed:08x}@{sip}"),
            local_party: format!("<sip:{caller}@{sip}>;tag=p{seed:08x}"),
            remote_party: format!("<{target}>"),
            target,
        };
        let mut phone = Self::new(now, script, side, rtp, true, seed);
        let sdp = message::sdp(rtp, EVENT_PAYLOAD_TYPE);
        phone.invite_branch = phone.branch();
        let uri = phone.side.target.clone();
        let branch = phone.invite_branch.clone();
        let bytes = message::request(
            &phone.side,
            Method::Invite,
            &uri,
            phone.cseq,
            &branch,
            headers,
            Some(("application/sdp", &sdp)),
        );
        phone.send_repeatedly(now, "INVITE", Method::Invite, bytes);
        phone
    }

    /// A phone that is called by `invite`, which came from `engine`.
    pub fn called(
        now: Instant,
        script: Script,
        sip: SocketAddr,
        rtp: SocketAddr,
        engine: SocketAddr,
        invite: Request,
        seed: u32,
    ) -> Self {
        let value = |header: Option<String>| header.unwrap_or_default();
        let to = value(invite.to_header().ok().map(|to| to.value().to_owned()));
        let side = DialogSide {
            local: sip,
            remote: engine,
            call_id: value(invite.call_id_header().ok().map(|id| id.value().to_owned())),
            local_party: format!("{to};tag=p{seed:08x}"),
            remote_party: value(invite.from_header().ok().map(|from| from.value().to_owned())),
            target: contact_uri(&invite).unwrap_or_else(|| format!("sip:{engine}")),
        };
        let mut phone = Self::new(now, script, side, rtp, false, seed);
        phone.learn_media(invite.body());
        phone.note(now, false, "INVITE");
        phone.state = State::Ringing(now + phone.script.ring);
        let ringing = message::response(&invite, 180, &phone.tag, sip, None);
        phone.invite = Some(invite);
        phone.answer_with(now, 180, ringing);
        phone
    }

    fn new(
        now: Instant,
        script: Script,
        side: DialogSide,
        rtp: SocketAddr,
        is_caller: bool,
        seed: u32,
    ) -> Self {
        let remaining = script.presses.iter().copied().collect();
        let audio = Audio::new(now, script.talks, seed);
        Self {
            script,
            side,
            tag: format!("p{seed:08x}"),
            cseq: 1,
            branches: seed,
            invite_branch: String::new(),
            state: State::Calling,
            is_caller,
            invite: None,
            last_answer: None,
            ack: None,
            repeats: Vec::new(),
            audio,
            rtp,
            remaining,
            began_at: now,
            cancelled: false,
            report: PhoneReport::default(),
            out: VecDeque::new(),
        }
    }

    /// The Call-ID of this phone's dialog.
    pub fn call_id(&self) -> &str {
        &self.side.call_id
    }

    /// The address at which it hears RTP.
    pub fn rtp(&self) -> SocketAddr {
        self.rtp
    }

    /// What became of the call so far.
    pub fn report(&self) -> PhoneReport {
        PhoneReport { heard: self.audio.heard.clone(), ..self.report.clone() }
    }

    /// Whether the call is over and nothing is being repeated any more.
    pub fn is_over(&self) -> bool {
        self.state == State::Over && self.repeats.is_empty()
    }

    /// The next thing to send.
    pub fn poll(&mut self) -> Option<PhoneOutput> {
        self.out.pop_front()
    }

    /// An RTP packet came in.
    pub fn handle_rtp(&mut self, now: Instant, datagram: &[u8]) {
        self.audio.handle_rtp(now, datagram);
    }

    /// A SIP message of this phone's dialog came in.
    pub fn handle_sip(&mut self, now: Instant, message: SipMessage) {
        match message {
            SipMessage::Request(request) => self.handle_request(now, &request),
            SipMessage::Response(response) => self.handle_response(now, &response),
        }
    }

    /// The next moment at which the phone does something by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let repeat = self.repeats.iter().map(|repeat| repeat.next_at).min();
        let ring = match self.state {
            State::Ringing(until) => Some(until),
            _ => None,
        };
        let up = (self.state == State::Up).then(|| self.audio.poll_timeout());
        let cancel = (self.state == State::Calling && !self.cancelled)
            .then(|| self.script.cancel_after.map(|after| self.began_at + after))
            .flatten();
        [repeat, ring, up, cancel].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.repeat_due(now);
        match self.state {
            State::Ringing(until) if until <= now => self.pick_up(now),
            State::Calling => self.give_up(now),
            State::Up => self.talk(now),
            _ => {}
        }
    }

    fn repeat_due(&mut self, now: Instant) {
        self.repeats.retain(|repeat| repeat.until > now);
        for repeat in &mut self.repeats {
            while repeat.next_at <= now {
                repeat.interval = (repeat.interval * 2).min(T2);
                repeat.next_at += repeat.interval;
                self.out.push_back(PhoneOutput::Sip(self.side.remote, repeat.bytes.clone()));
            }
        }
    }

    fn pick_up(&mut self, now: Instant) {
        let Some(invite) = self.invite.clone() else { return };
        if let Some(status) = self.script.refuse {
            let refusal = message::response(&invite, status, &self.tag, self.side.local, None);
            self.answer_with(now, status, refusal);
            return self.over(now, false);
        }
        let sdp = message::sdp(self.rtp, EVENT_PAYLOAD_TYPE);
        let body = Some(("application/sdp", sdp.as_str()));
        let answer = message::response(&invite, 200, &self.tag, self.side.local, body);
        self.answer_with(now, 200, answer.clone());
        // RFC 3261 section 13.3.1.4: the 200 is repeated until its ACK.
        self.repeat(now, Method::Ack, answer);
        self.up(now);
    }

    fn give_up(&mut self, now: Instant) {
        let is_due = self.script.cancel_after.is_some_and(|after| self.began_at + after <= now);
        if is_due && !self.cancelled {
            self.cancelled = true;
            let (uri, branch) = (self.side.target.clone(), self.invite_branch.clone());
            let bytes =
                message::request(&self.side, Method::Cancel, &uri, self.cseq, &branch, &[], None);
            self.send_repeatedly(now, "CANCEL", Method::Cancel, bytes);
        }
    }

    fn up(&mut self, now: Instant) {
        self.state = State::Up;
        self.report.status = Some(200);
        self.report.answered_at = Some(now);
        let heard = std::mem::take(&mut self.audio.heard);
        let (remote, events) = (self.audio.remote, self.audio.event_payload_type);
        self.audio = Audio::new(now, self.script.talks, self.branches);
        self.audio.heard = heard;
        self.audio.remote = remote;
        self.audio.event_payload_type = events;
    }

    fn talk(&mut self, now: Instant) {
        let Some(answered_at) = self.report.answered_at else { return };
        while let Some(press) = self.remaining.front().copied()
            && answered_at + press.at <= now
        {
            self.remaining.pop_front();
            self.note(now, true, &format!("key {} by {:?}", press.digit, press.method));
            if press.method == PressMethod::Info {
                self.send_info(now, press);
            } else {
                self.audio.press(press);
            }
        }
        let out = &mut self.out;
        self.audio.handle_timeout(now, |to, packet| out.push_back(PhoneOutput::Rtp(to, packet)));
        if self.script.hang_up_after.is_some_and(|after| answered_at + after <= now) {
            self.hang_up(now);
        }
    }

    fn send_info(&mut self, now: Instant, press: Press) {
        let body = format!("Signal={}\r\nDuration={}\r\n", press.digit, press.hold.as_millis());
        let body = Some(("application/dtmf-relay", body.as_str()));
        self.send_in_dialog(now, Method::Info, body);
    }

    fn hang_up(&mut self, now: Instant) {
        self.send_in_dialog(now, Method::Bye, None);
        self.over(now, false);
    }

    fn send_in_dialog(&mut self, now: Instant, method: Method, body: Option<(&str, &str)>) {
        self.cseq += 1;
        let (uri, branch) = (self.side.target.clone(), self.branch());
        let bytes = message::request(&self.side, method, &uri, self.cseq, &branch, &[], body);
        self.send_repeatedly(now, &method.to_string(), method, bytes);
    }

    fn branch(&mut self) -> String {
        self.branches = self.branches.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("z9hG4bK-{:08x}-{}", self.branches, self.tag)
    }

    fn send_repeatedly(&mut self, now: Instant, label: &str, method: Method, bytes: Vec<u8>) {
        self.note(now, true, label);
        self.out.push_back(PhoneOutput::Sip(self.side.remote, bytes.clone()));
        self.repeat(now, method, bytes);
    }

    fn repeat(&mut self, now: Instant, method: Method, bytes: Vec<u8>) {
        let (next_at, until) = (now + T1, now + PATIENCE);
        self.repeats.push(Repeat { bytes, next_at, interval: T1, until, method });
    }

    fn note(&mut self, at: Instant, sent: bool, label: &str) {
        self.report.trace.push(Trace { at, sent, label: label.to_owned() });
    }

    fn over(&mut self, now: Instant, by_other_side: bool) {
        self.state = State::Over;
        self.report.ended_at.get_or_insert((now, by_other_side));
    }

    fn answer_with(&mut self, now: Instant, status: u16, bytes: Vec<u8>) {
        self.note(now, true, &status.to_string());
        if let Some((cseq, method)) = self.invite.as_ref().and_then(message::cseq) {
            self.last_answer = Some((cseq, method, bytes.clone()));
        }
        self.out.push_back(PhoneOutput::Sip(self.side.remote, bytes));
    }

    fn handle_request(&mut self, now: Instant, request: &Request) {
        let Some((cseq, method)) = message::cseq(request) else { return };
        if method == Method::Ack {
            self.repeats.retain(|repeat| repeat.method != Method::Ack);
            return self.note(now, false, "ACK");
        }
        if let Some((seen, seen_method, bytes)) = &self.last_answer
            && (*seen, *seen_method) == (cseq, method)
        {
            self.out.push_back(PhoneOutput::Sip(self.side.remote, bytes.clone()));
            return;
        }
        self.note(now, false, &method.to_string());
        let status = match method {
            Method::Bye => self.told_goodbye(now, request),
            Method::Cancel => self.told_to_stop(now),
            Method::Info | Method::Options => 200,
            _ => 405,
        };
        let answer = message::response(request, status, &self.tag, self.side.local, None);
        self.last_answer = Some((cseq, method, answer.clone()));
        self.out.push_back(PhoneOutput::Sip(self.side.remote, answer));
    }

    fn told_goodbye(&mut self, now: Instant, request: &Request) -> u16 {
        self.report.outcome = message::other(request, "X-Bajavoz-Outcome");
        self.report.reason = message::other(request, "Reason");
        if self.state == State::Over {
            return 200;
        }
        self.repeats.retain(|repeat| repeat.method != Method::Ack);
        self.over(now, true);
        200
    }

    fn told_to_stop(&mut self, now: Instant) -> u16 {
        if let (State::Ringing(_), Some(invite)) = (self.state, self.invite.clone()) {
            let refusal = message::response(&invite, 487, &self.tag, self.side.local, None);
            self.report.status = Some(487);
            self.answer_with(now, 487, refusal);
            self.over(now, true);
        }
        200
    }

    fn handle_response(&mut self, now: Instant, response: &Response) {
        let Some((cseq, method)) = message::cseq(response) else { return };
        let status = response.status_code().code();
        if method == Method::Invite {
            return self.invite_answered(now, response, status, cseq);
        }
        if status >= 200 {
            let before = self.repeats.len();
            self.repeats.retain(|repeat| repeat.method != method);
            if self.repeats.len() < before {
                self.note(now, false, &format!("{status} ({method})"));
            }
        }
    }

    fn invite_answered(&mut self, now: Instant, response: &Response, status: u16, cseq: u32) {
        if !self.is_caller || cseq != 1 {
            return;
        }
        self.repeats.retain(|repeat| repeat.method != Method::Invite);
        if status < 200 {
            return self.note(now, false, &status.to_string());
        }
        if let Some(ack) = &self.ack {
            self.out.push_back(PhoneOutput::Sip(self.side.remote, ack.clone()));
            return;
        }
        self.note(now, false, &status.to_string());
        self.report.status = Some(status);
        if let Ok(to) = response.to_header() {
            self.side.remote_party = to.value().to_owned();
        }
        if status < 300 {
            if let Some(target) = response.contact_header().ok().and_then(|c| c.uri().ok()) {
                self.side.target = target.to_string();
            }
            self.learn_media(response.body());
            let branch = self.branch();
            self.acknowledge(now, &branch);
            self.up(now);
            if self.cancelled {
                self.hang_up(now); // The 200 crossed our CANCEL.
            }
        } else {
            self.report.outcome = message::other(response, "X-Bajavoz-Outcome");
            self.report.reason = message::other(response, "Reason");
            let branch = self.invite_branch.clone();
            self.acknowledge(now, &branch);
            self.over(now, true);
        }
    }

    fn acknowledge(&mut self, now: Instant, branch: &str) {
        let uri = self.side.target.clone();
        let ack = message::request(&self.side, Method::Ack, &uri, 1, branch, &[], None);
        self.note(now, true, "ACK");
        self.out.push_back(PhoneOutput::Sip(self.side.remote, ack.clone()));
        self.ack = Some(ack);
    }

    fn learn_media(&mut self, sdp: &[u8]) {
        if let Some((remote, events)) = message::read_sdp(sdp) {
            self.audio.remote = Some(remote);
            self.audio.event_payload_type = events.unwrap_or(EVENT_PAYLOAD_TYPE);
        }
    }
}

fn contact_uri(request: &Request) -> Option<String> {
    Some(request.contact_header().ok()?.uri().ok()?.to_string())
}
