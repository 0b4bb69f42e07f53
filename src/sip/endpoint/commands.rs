//! What the room above can order. An order for a session that is gone does nothing but count:
//! it crossed the session's last event.

use std::time::Instant;

use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::name::Method;
use crate::sip::session::Phase;
use crate::sip::session::uas::Unacknowledged;

use super::Endpoint;
use super::Outgoing;
use super::Reply;
use super::event::EndReason;
use super::event::Event;
use super::payload::Body;
use super::payload::Headers;
use super::table::Role;
use super::timeouts::EXTENSION;

impl Endpoint {
    /// Answers a ringing session provisionally, `status` from 101 to 199; the last such response
    /// is repeated each minute, lest a proxy give the call up (RFC 3261 section 13.3.1.1).
    pub fn ring(
        &mut self,
        now: Instant,
        session: SessionId,
        status: u16,
        headers: Headers,
        body: Option<Body>,
    ) {
        let Some(invite) = self.ringing(session).filter(|_| (101..=199).contains(&status)) else {
            return self.counters.commands_late += 1;
        };
        let (headers, body) = (&headers, body.as_ref());
        self.reply(now, invite, &Reply { headers, body, ..Reply::bare(status) });
        if let Some(state) = self.session_mut(session) {
            state.extend_at = now.checked_add(EXTENSION);
        }
        self.arm_session(now, session);
    }

    /// Answers a ringing session with 200, repeated until its ACK comes. Without one for 64*T1
    /// it is hung up, and `Ended`.
    pub fn answer(
        &mut self,
        now: Instant,
        session: SessionId,
        headers: Headers,
        body: Option<Body>,
    ) {
        let Some(invite) = self.ringing(session) else {
            return self.counters.commands_late += 1;
        };
        let (headers, body) = (&headers, body.as_ref());
        if self.reply(now, invite, &Reply { headers, body, ..Reply::bare(200) }) {
            self.await_ack(now, session, invite);
        }
    }

    /// Refuses a ringing session with a final status from 300 to 699 (anything else becomes
    /// 500); an empty phrase is the usual one. The session is gone; no event follows.
    pub fn reject(
        &mut self,
        now: Instant,
        session: SessionId,
        status: u16,
        reason_phrase: &str,
        headers: Headers,
    ) {
        let Some(invite) = self.ringing(session) else {
            return self.counters.commands_late += 1;
        };
        let status = if (300..700).contains(&status) { status } else { 500 };
        self.close_session(now, session);
        self.reply(now, invite, &Reply { status, reason_phrase, headers: &headers, body: None });
    }

    /// Refuses a ringing session like [`Self::reject`], and forgets it at once: the response is
    /// sent once, and a repeated INVITE is judged anew (RFC 3261 section 8.2.7). This is for who
    /// is no peer of ours, so that a flood from strangers fills no table and a forged source
    /// gets no second datagram.
    pub fn dismiss(
        &mut self,
        now: Instant,
        session: SessionId,
        status: u16,
        reason_phrase: &str,
        headers: Headers,
    ) {
        let invite = self.ringing(session);
        self.reject(now, session, status, reason_phrase, headers);
        if let Some(invite) = invite {
            self.end_transaction(invite);
        }
    }

    /// Hangs up in either role and at any moment: a session that rings is refused with 480, one
    /// that we call is cancelled, and one that we have just answered gets its BYE once its ACK
    /// is there (RFC 3261 section 15). `Ended`, or whatever crosses it, follows.
    pub fn bye(&mut self, now: Instant, session: SessionId, headers: Headers) {
        let Some(state) = self.sessions.find_mut(session.0) else {
            return self.counters.commands_late += 1;
        };
        let waits = state.unacknowledged.as_ref().is_some_and(|waiting| waiting.opens_session);
        match state.phase {
            Phase::Ringing => {
                self.reject(now, session, 480, "", headers);
                self.emit(Event::Ended { session, why: EndReason::HungUp });
            }
            Phase::Calling => self.cancel(now, session, headers),
            Phase::Established if waits => state.farewell = Some(headers),
            Phase::Established => self.send_bye(now, session, &headers),
            Phase::Cancelling | Phase::Leaving | Phase::Departed => {
                self.counters.commands_late += 1;
            }
        }
    }

    /// Answers an `Info` or `Reoffered` request; a 2xx to a re-INVITE is repeated until its ACK
    /// comes. A status outside 100 to 699 becomes 500.
    pub fn respond(
        &mut self,
        now: Instant,
        transaction: TransactionId,
        status: u16,
        headers: Headers,
        body: Option<Body>,
    ) {
        let status = if (100..700).contains(&status) { status } else { 500 };
        let (headers, body) = (&headers, body.as_ref());
        if !self.reply(now, transaction, &Reply { headers, body, ..Reply::bare(status) }) {
            return self.counters.commands_late += 1;
        }
        let answered = self.transactions.find_mut(transaction.0);
        let Some((session, role)) =
            answered.and_then(|found| Some((found.session?, &mut found.role)))
        else {
            return;
        };
        let (Role::ServerInvite(_, received) | Role::ServerOther(_, received)) = role else {
            return;
        };
        let (method, target) = (received.method, received.target.take_if(|_| status >= 200));
        let Some(state) = self.sessions.find_mut(session.0).filter(|_| status >= 200) else {
            return;
        };
        state.pending.retain(|&pending| pending != transaction);
        let is_offer = matches!(method, Method::Invite | Method::Update) && status < 300;
        if let (true, Some(dialog), Some(target)) = (is_offer, &mut state.dialog, target) {
            dialog.refresh(&target);
        }
        if is_offer && method == Method::Invite {
            self.await_ack(now, session, transaction);
        }
    }

    /// Sends an INFO in an established session. A 481 to it ends the session as `Lost`.
    pub fn info(&mut self, now: Instant, session: SessionId, body: Body) {
        if !self.has_transactions_left() {
            return self.counters.refused_transactions += 1;
        }
        let is_established =
            self.sessions.find(session.0).is_some_and(|it| it.phase == Phase::Established);
        if !is_established {
            return self.counters.commands_late += 1;
        }
        self.request_within(now, session, Method::Info, &Headers::new(), Some(&body));
    }

    /// The INVITE's transaction of a session that rings.
    fn ringing(&self, id: SessionId) -> Option<TransactionId> {
        let state = self.sessions.find(id.0)?;
        (state.phase == Phase::Ringing).then_some(state.invite)
    }

    /// The 2xx in this transaction has just been sent: repeat it until its ACK comes.
    fn await_ack(&mut self, now: Instant, id: SessionId, transaction: TransactionId) {
        let Some(answered) = self.transactions.find(transaction.0) else { return };
        let (Some(response), Some(received)) = (answered.message.clone(), answered.received())
        else {
            return;
        };
        let (peer, cseq) = (answered.peer, received.cseq);
        let Some(state) = self.sessions.find_mut(id.0) else { return };
        let opens_session = state.phase == Phase::Ringing;
        if opens_session {
            (state.phase, state.extend_at) = (Phase::Established, None);
        }
        let waiting = Unacknowledged::new(now, &self.timing, response, peer, cseq, opens_session);
        state.unacknowledged = Some(waiting);
        self.arm_session(now, id);
    }

    /// Sends the BYE of an established session.
    pub(super) fn send_bye(&mut self, now: Instant, id: SessionId, headers: &Headers) {
        self.request_within(now, id, Method::Bye, headers, None);
        if let Some(state) = self.session_mut(id) {
            state.phase = Phase::Leaving;
            state.unacknowledged = None;
        }
    }

    fn request_within(
        &mut self,
        now: Instant,
        id: SessionId,
        method: Method,
        headers: &Headers,
        body: Option<&Body>,
    ) {
        let Some(state) = self.sessions.find_mut(id.0) else { return };
        let Some(mut dialog) = state.dialog.take() else { return };
        let (listener, call_id) = (state.listener, std::mem::take(&mut state.call_id));
        let request = Outgoing { listener, session: Some(id), method, headers, body };
        self.request(now, (&mut dialog, &call_id), &request);
        if let Some(state) = self.sessions.find_mut(id.0) {
            (state.dialog, state.call_id) = (Some(dialog), call_id);
        }
    }
}
