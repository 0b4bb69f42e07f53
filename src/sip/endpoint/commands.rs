//! What the room above can order. An order for a session that is gone does nothing but count:
//! it crossed the session's last event.

use std::sync::Arc;
use std::time::Instant;

use crate::sip::build::check_value;
use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::message::Message;
use crate::sip::mint::Minted;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;
use crate::sip::session::Phase;
use crate::sip::session::Session;
use crate::sip::session::uac::Attempt;
use crate::sip::session::uac::Cancel;
use crate::sip::session::uas::Unacknowledged;
use crate::sip::transaction::ClientInvite;
use crate::sip::transaction::ClientOther;
use crate::sip::uri::Uri;

use super::Endpoint;
use super::Outgoing;
use super::Reply;
use super::event::EndReason;
use super::event::Event;
use super::payload::Body;
use super::payload::Headers;
use super::payload::Invite;
use super::payload::InviteError;
use super::table::Role;
use super::table::Sent;
use super::table::Transaction;
use super::write::ALLOW;
use super::write::Draft;
use super::write::along;

impl Endpoint {
    /// Answers a ringing session provisionally, `status` from 101 to 199.
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
            Phase::Cancelling | Phase::Leaving => self.counters.commands_late += 1,
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

    /// Sends an INVITE. `Progress` may follow, then `Answered` or `Refused`.
    ///
    /// # Errors
    ///
    /// [`InviteError`] when a limit is reached or a text is not fit; nothing is sent then.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> Result<SessionId, InviteError> {
        self.check_invite(&invite)?;
        let session = SessionId(self.sessions.next_key());
        let tag = self.mint(session.0 as u32);
        let branch = self.mint(self.transactions.next_key() as u32);
        let call_id_name = self.mint(session.0 as u32).to_text();
        let call_id = match &invite.call_id {
            Some(given) => given.clone().into_bytes(),
            None => {
                let host = self.listeners.get(usize::from(invite.listener.0));
                let host = host.map_or("invalid", |listener| listener.host.as_str());
                [&call_id_name, b"@".as_slice(), host.as_bytes()].concat()
            }
        };
        let message = self.write_invite(&invite, tag, branch, &call_id);
        let transaction = self.start_transaction(Transaction {
            listener: invite.listener,
            peer: invite.to,
            session: Some(session),
            message: Some(Arc::clone(&message)),
            armed: None,
            role: Role::ClientInvite(
                ClientInvite::new(now, self.timing),
                Attempt::new(branch.secret),
            ),
        });
        let (listener, to) = (invite.listener, invite.to);
        let mut opened = Session::new(listener, tag.secret, &call_id, Phase::Calling, transaction);
        opened.ring_end = now.checked_add(invite.ring_max);
        self.sessions.insert(opened);
        self.arm_session(session);
        self.send(listener, to, message);
        Ok(session)
    }

    /// Cancels an INVITE of ours. Before a provisional response the CANCEL waits for one
    /// (RFC 3261 section 9.1). `Refused` follows, mostly with 487, or `Ended` when the answer
    /// crossed it; an answer that the room above has not seen yet is hung up.
    pub fn cancel(&mut self, now: Instant, session: SessionId, headers: Headers) {
        let Some(state) = self.sessions.find_mut(session.0) else {
            return self.counters.commands_late += 1;
        };
        match state.phase {
            Phase::Calling => {
                (state.phase, state.ring_end) = (Phase::Cancelling, None);
                let invite = state.invite;
                self.want_cancel(now, invite, headers);
            }
            Phase::Established => self.bye(now, session, headers),
            Phase::Ringing | Phase::Cancelling | Phase::Leaving => {
                self.counters.commands_late += 1;
            }
        }
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
            state.phase = Phase::Established;
        }
        let waiting = Unacknowledged::new(now, &self.timing, response, peer, cseq, opens_session);
        state.unacknowledged = Some(waiting);
        self.arm_session(id);
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

    /// Sends a CANCEL for this INVITE now, or as soon as it may be sent.
    pub(super) fn want_cancel(&mut self, now: Instant, id: TransactionId, headers: Headers) {
        let Some(transaction) = self.transactions.find_mut(id.0) else { return };
        let Role::ClientInvite(machine, attempt) = &mut transaction.role else { return };
        if matches!(attempt.cancel, Cancel::Unwanted) && machine.is_pending() {
            attempt.cancel = Cancel::Wanted(headers);
            self.send_wanted_cancel(now, id);
        }
    }

    /// Sends the CANCEL that is wanted, if a provisional response has come: section 9.1.
    pub(super) fn send_wanted_cancel(&mut self, now: Instant, id: TransactionId) {
        let Some(transaction) = self.transactions.find_mut(id.0) else { return };
        let Role::ClientInvite(machine, attempt) = &mut transaction.role else { return };
        let (Cancel::Wanted(headers), true) = (&attempt.cancel, machine.is_proceeding()) else {
            return;
        };
        let Some(invite) = transaction.message.as_deref() else { return };
        let Ok(invite) = Message::parse(invite) else { return };
        let (message, _) = along(&mut self.scratch, &invite, Method::Cancel, None)
            .lines(&self.user_agent)
            .lines(headers.lines())
            .finish(None);
        self.counters.headers_refused += headers.refused();
        let (listener, peer, secret) = (transaction.listener, transaction.peer, attempt.secret);
        machine.limit(now);
        self.arm_transaction(id);
        let cancel = self.start_transaction(Transaction {
            listener,
            peer,
            session: None,
            message: Some(Arc::clone(&message)),
            armed: None,
            role: Role::ClientOther(
                ClientOther::new(now, self.timing),
                Sent { secret, method: Method::Cancel },
            ),
        });
        if let Some(transaction) = self.transactions.find_mut(id.0)
            && let Role::ClientInvite(_, attempt) = &mut transaction.role
        {
            attempt.cancel = Cancel::Sent(cancel);
        }
        self.send(listener, peer, message);
    }

    fn check_invite(&mut self, invite: &Invite) -> Result<(), InviteError> {
        if usize::from(invite.listener.0) >= self.listeners.len() {
            return Err(InviteError::Listener { listener: invite.listener });
        }
        if self.sessions.len() >= self.settings.sessions_max {
            self.counters.refused_sessions += 1;
            return Err(InviteError::Sessions { max: self.settings.sessions_max });
        }
        if !self.has_transactions_left() {
            self.counters.refused_transactions += 1;
            return Err(InviteError::Transactions { max: self.settings.transactions_max });
        }
        Uri::parse(invite.request_uri.as_bytes()).map_err(|_| InviteError::RequestUri)?;
        let call_id = invite.call_id.as_deref().unwrap_or("minted");
        let is_call_id_fit =
            !call_id.is_empty() && !call_id.contains(|c: char| c.is_ascii_whitespace());
        let texts = [
            (HeaderName::From, invite.from.as_str(), true),
            (HeaderName::To, invite.to_header.as_str(), true),
            (HeaderName::CallId, call_id, is_call_id_fit),
        ];
        for (name, text, is_fit) in texts {
            if !is_fit || text.is_empty() || check_value(text.as_bytes()).is_err() {
                return Err(InviteError::Text(name));
            }
        }
        Ok(())
    }

    fn write_invite(
        &mut self,
        invite: &Invite,
        tag: Minted,
        branch: Minted,
        call_id: &[u8],
    ) -> Arc<[u8]> {
        let uri = invite.request_uri.as_bytes();
        let from = [invite.from.as_bytes(), b";tag=", &tag.to_text()].concat();
        let mut draft = Draft::request(&mut self.scratch, Method::Invite, uri);
        if let Some(listener) = self.listeners.get(usize::from(invite.listener.0)) {
            draft.via(listener, branch).contact(listener);
        }
        let (message, left_out) = draft
            .max_forwards(invite.max_forwards)
            .line(HeaderName::From, &from)
            .line(HeaderName::To, invite.to_header.as_bytes())
            .line(HeaderName::CallId, call_id)
            .cseq(1, Method::Invite)
            .line(HeaderName::Allow, ALLOW.as_bytes())
            .lines(&self.user_agent)
            .lines(invite.headers.lines())
            .finish(invite.body.as_ref());
        self.counters.headers_refused += invite.headers.refused() + u64::from(left_out);
        message
    }
}
