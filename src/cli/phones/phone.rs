//! One phone in one call: the calling or the called side of a dialog, sans-IO.
//!
//! Its [`Dialog`] repeats what it sends until that is answered; the phone answers what it saw
//! before with what it said before.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use rsip::Method;
use rsip::Request;
use rsip::Response;
use rsip::SipMessage;
use rsip::headers::UntypedHeader;
use rsip::message::HeadersExt;

use super::audio::Audio;
use super::audio::EVENT_PAYLOAD_TYPE;
use super::dialog::Dialog;
use super::message;
use super::message::DialogSide;
use super::report::PhoneOutput;
use super::report::PhoneReport;
use super::script::Press;
use super::script::PressMethod;
use super::script::Script;

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

/// One phone in one call.
#[derive(Debug)]
pub struct Phone {
    script: Script,
    dialog: Dialog,
    invite_branch: String,
    state: State,
    is_caller: bool,
    invite: Option<Request>,
    last_answer: Option<(u32, Method, Vec<u8>)>,
    ack: Option<Vec<u8>>,
    audio: Audio,
    rtp: SocketAddr,
    remaining: VecDeque<Press>,
    began_at: Instant,
    cancelled: bool,
    report: PhoneReport,
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
        phone.invite_branch = phone.dialog.branch();
        let (branch, body) = (&phone.invite_branch, Some(("application/sdp", sdp.as_str())));
        let bytes = phone.dialog.first_request(Method::Invite, branch, headers, body);
        phone.dialog.send_repeatedly(now, "INVITE", Method::Invite, bytes);
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
        phone.dialog.note(now, false, "INVITE");
        phone.state = State::Ringing(now + phone.script.ring);
        let ringing = phone.dialog.response(&invite, 180, None);
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
            dialog: Dialog::new(side, seed),
            invite_branch: String::new(),
            state: State::Calling,
            is_caller,
            invite: None,
            last_answer: None,
            ack: None,
            audio,
            rtp,
            remaining,
            began_at: now,
            cancelled: false,
            report: PhoneReport::default(),
        }
    }

    /// The Call-ID of this phone's dialog.
    pub fn call_id(&self) -> &str {
        &self.dialog.side.call_id
    }

    /// The address at which it hears RTP.
    pub fn rtp(&self) -> SocketAddr {
        self.rtp
    }

    /// What became of the call so far.
    pub fn report(&self) -> PhoneReport {
        let (heard, trace) = (self.audio.heard.clone(), self.dialog.trace.clone());
        PhoneReport { heard, trace, ..self.report.clone() }
    }

    /// Whether the call is over and nothing is being repeated any more.
    pub fn is_over(&self) -> bool {
        self.state == State::Over && self.dialog.is_settled()
    }

    /// The next thing to send.
    pub fn poll(&mut self) -> Option<PhoneOutput> {
        self.dialog.out.pop_front()
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
        let repeat = self.dialog.poll_timeout();
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
        self.dialog.handle_timeout(now);
        match self.state {
            State::Ringing(until) if until <= now => self.pick_up(now),
            State::Calling => self.give_up(now),
            State::Up => self.talk(now),
            _ => {}
        }
    }

    fn pick_up(&mut self, now: Instant) {
        let Some(invite) = self.invite.clone() else { return };
        if let Some(status) = self.script.refuse {
            let refusal = self.dialog.response(&invite, status, None);
            self.answer_with(now, status, refusal);
            return self.over(now, false);
        }
        let sdp = message::sdp(self.rtp, EVENT_PAYLOAD_TYPE);
        let body = Some(("application/sdp", sdp.as_str()));
        let answer = self.dialog.response(&invite, 200, body);
        self.answer_with(now, 200, answer.clone());
        // RFC 3261 section 13.3.1.4: the 200 is repeated until its ACK.
        self.dialog.repeat(now, Method::Ack, answer);
        self.up(now);
    }

    fn give_up(&mut self, now: Instant) {
        let is_due = self.script.cancel_after.is_some_and(|after| self.began_at + after <= now);
        if is_due && !self.cancelled {
            self.cancelled = true;
            let branch = &self.invite_branch;
            let bytes = self.dialog.first_request(Method::Cancel, branch, &[], None);
            self.dialog.send_repeatedly(now, "CANCEL", Method::Cancel, bytes);
        }
    }

    fn up(&mut self, now: Instant) {
        self.state = State::Up;
        self.report.status = Some(200);
        self.report.answered_at = Some(now);
        self.audio.begin(now);
    }

    fn talk(&mut self, now: Instant) {
        let Some(answered_at) = self.report.answered_at else { return };
        while let Some(press) = self.remaining.front().copied()
            && answered_at + press.at <= now
        {
            self.remaining.pop_front();
            self.dialog.note(now, true, &format!("key {} by {:?}", press.digit, press.method));
            if press.method == PressMethod::Info {
                self.send_info(now, press);
            } else {
                self.audio.press(press);
            }
        }
        let out = &mut self.dialog.out;
        self.audio.handle_timeout(now, |to, packet| out.push_back(PhoneOutput::Rtp(to, packet)));
        if self.script.hang_up_after.is_some_and(|after| answered_at + after <= now) {
            self.hang_up(now);
        }
    }

    fn send_info(&mut self, now: Instant, press: Press) {
        let body = format!("Signal={}\r\nDuration={}\r\n", press.digit, press.hold.as_millis());
        let body = Some(("application/dtmf-relay", body.as_str()));
        self.dialog.send_next(now, Method::Info, body);
    }

    fn hang_up(&mut self, now: Instant) {
        self.dialog.send_next(now, Method::Bye, None);
        self.over(now, false);
    }

    fn over(&mut self, now: Instant, by_other_side: bool) {
        self.state = State::Over;
        self.report.ended_at.get_or_insert((now, by_other_side));
    }

    fn answer_with(&mut self, now: Instant, status: u16, bytes: Vec<u8>) {
        self.dialog.note(now, true, &status.to_string());
        if let Some((cseq, method)) = self.invite.as_ref().and_then(message::cseq) {
            self.last_answer = Some((cseq, method, bytes.clone()));
        }
        self.dialog.send(bytes);
    }

    fn handle_request(&mut self, now: Instant, request: &Request) {
        let Some((cseq, method)) = message::cseq(request) else { return };
        if method == Method::Ack {
            self.dialog.settle(Method::Ack);
            return self.dialog.note(now, false, "ACK");
        }
        if let Some((seen, seen_method, bytes)) = &self.last_answer
            && (*seen, *seen_method) == (cseq, method)
        {
            self.dialog.send(bytes.clone());
            return;
        }
        self.dialog.note(now, false, &method.to_string());
        let status = match method {
            Method::Bye => self.told_goodbye(now, request),
            Method::Cancel => self.told_to_stop(now),
            Method::Info | Method::Options => 200,
            _ => 405,
        };
        let answer = self.dialog.response(request, status, None);
        self.last_answer = Some((cseq, method, answer.clone()));
        self.dialog.send(answer);
    }

    fn told_goodbye(&mut self, now: Instant, request: &Request) -> u16 {
        self.report.outcome = message::other(request, "X-Bajavoz-Outcome");
        self.report.reason = message::other(request, "Reason");
        if self.state == State::Over {
            return 200;
        }
        self.dialog.settle(Method::Ack);
        self.over(now, true);
        200
    }

    fn told_to_stop(&mut self, now: Instant) -> u16 {
        if let (State::Ringing(_), Some(invite)) = (self.state, self.invite.clone()) {
            let refusal = self.dialog.response(&invite, 487, None);
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
        if status >= 200 && self.dialog.settle(method) {
            self.dialog.note(now, false, &format!("{status} ({method})"));
        }
    }

    fn invite_answered(&mut self, now: Instant, response: &Response, status: u16, cseq: u32) {
        if !self.is_caller || cseq != 1 {
            return;
        }
        self.dialog.settle(Method::Invite);
        if status < 200 {
            return self.dialog.note(now, false, &status.to_string());
        }
        if let Some(ack) = &self.ack {
            self.dialog.send(ack.clone());
            return;
        }
        self.dialog.note(now, false, &status.to_string());
        self.report.status = Some(status);
        if let Ok(to) = response.to_header() {
            self.dialog.side.remote_party = to.value().to_owned();
        }
        if status < 300 {
            if let Some(target) = response.contact_header().ok().and_then(|c| c.uri().ok()) {
                self.dialog.side.target = target.to_string();
            }
            self.learn_media(response.body());
            let branch = self.dialog.branch();
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
        let ack = self.dialog.first_request(Method::Ack, branch, &[], None);
        self.dialog.note(now, true, "ACK");
        self.dialog.send(ack.clone());
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
