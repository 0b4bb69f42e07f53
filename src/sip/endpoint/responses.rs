//! Responses to what we sent: we call.

use std::sync::Arc;
use std::time::Instant;

use crate::sip::dialog::Dialog;
use crate::sip::ids::ListenerId;
use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::message::Message;
use crate::sip::message::OwnedMessage;
use crate::sip::mint::Minted;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;
use crate::sip::session::Phase;
use crate::sip::session::late::Late;
use crate::sip::session::uac::Accepted;
use crate::sip::session::uac::Cancel;
use crate::sip::session::uac::EARLY_DIALOGS_MAX;
use crate::sip::session::uac::EarlyDialog;
use crate::sip::session::uac::FORKS_MAX;
use crate::sip::transaction::client_invite::Reaction;

use super::Endpoint;
use super::Outgoing;
use super::event::EndReason;
use super::event::Event;
use super::payload::Headers;
use super::table::Role;
use super::write;

/// A 2xx that has been acknowledged, as far as the rest of the decision needs it.
struct Acked {
    listener: ListenerId,
    session: Option<SessionId>,
    is_first: bool,
    dialog: Dialog,
    call_id: Box<[u8]>,
}

impl Endpoint {
    pub(super) fn handle_response(&mut self, now: Instant, message: &Message<'_>) {
        // Section 8.1.3.3: a response with a second Via has gone astray.
        if message.validate().is_err() || message.vias().nth(1).is_some() {
            return self.counters.responses_invalid += 1;
        }
        let (Some(status), Ok((_, method))) = (message.status(), message.cseq()) else {
            return self.counters.responses_invalid += 1;
        };
        match self.find_request(message, method) {
            Some(id) if method == Method::Invite => {
                self.handle_invite_response(now, id, status, message);
            }
            Some(id) => self.handle_other_response(now, id, status),
            None => self.counters.responses_stray += 1,
        }
    }

    /// The client transaction of a response: its branch is ours to the last bit, and its method
    /// is that of the request (section 17.1.3). A CANCEL shares its INVITE's branch.
    fn find_request(&self, response: &Message<'_>, method: Method) -> Option<TransactionId> {
        let branch = Minted::read_branch(response.via().ok()?.branch()?)?;
        let (key, transaction) = self.transactions.find_at(branch.index)?;
        let found = match &transaction.role {
            Role::ClientInvite(_, attempt) if attempt.secret == branch.secret => {
                match (method, &attempt.cancel) {
                    (Method::Invite, _) => TransactionId(key),
                    (Method::Cancel, Cancel::Sent(cancel)) => *cancel,
                    _ => return None,
                }
            }
            Role::ClientOther(_, sent) if sent.secret == branch.secret && sent.method == method => {
                TransactionId(key)
            }
            _ => return None,
        };
        (branch.shard == self.settings.shard).then_some(found)
    }

    fn handle_other_response(&mut self, now: Instant, id: TransactionId, status: u16) {
        let Some(transaction) = self.transactions.find_mut(id.0) else { return };
        let Role::ClientOther(machine, sent) = &mut transaction.role else { return };
        let is_final = machine.handle_response(now, status);
        let (method, session) = (sent.method, transaction.session);
        self.arm_transaction(now, id);
        let Some(session) = session.filter(|_| is_final) else { return };
        match method {
            Method::Bye => self.left(now, session),
            Method::Info if status == 481 => self.lose_session(now, session),
            _ => {}
        }
    }

    fn handle_invite_response(
        &mut self,
        now: Instant,
        id: TransactionId,
        status: u16,
        response: &Message<'_>,
    ) {
        let Some(transaction) = self.transactions.find_mut(id.0) else { return };
        let Role::ClientInvite(machine, attempt) = &mut transaction.role else { return };
        let reaction = machine.handle_response(now, status);
        let ack = attempt.ack.clone();
        let (listener, peer) = (transaction.listener, transaction.peer);
        self.arm_transaction(now, id);
        match (reaction, status) {
            (Reaction::Ignore, _) => {}
            (Reaction::Acknowledge, _) => {
                if let Some(ack) = ack {
                    self.counters.retransmissions += 1;
                    self.send(listener, peer, ack);
                }
            }
            (Reaction::AcknowledgeAndDeliver, _) => {
                self.acknowledge_refusal(id, response);
                self.refused(now, id, status, Some(response));
            }
            (Reaction::Deliver, ..=199) => self.progressed(now, id, status, response),
            (Reaction::Deliver, _) => self.accepted(now, id, response),
        }
    }

    /// The ACK of a refusal goes the INVITE's way, within its transaction: section 17.1.1.3.
    fn acknowledge_refusal(&mut self, id: TransactionId, response: &Message<'_>) {
        let Some(transaction) = self.transactions.find_mut(id.0) else { return };
        let Role::ClientInvite(_, attempt) = &mut transaction.role else { return };
        let Some(invite) = &transaction.message else { return };
        let Ok(invite) = Message::parse(invite) else { return };
        let to = response.header(HeaderName::To);
        let (ack, _) = write::along(&mut self.scratch, &invite, Method::Ack, to).finish(None);
        attempt.ack = Some(Arc::clone(&ack));
        let (listener, peer) = (transaction.listener, transaction.peer);
        self.send(listener, peer, ack);
    }

    /// The INVITE failed: by a refusal, or (without a response) by silence.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        id: TransactionId,
        status: u16,
        response: Option<&Message<'_>>,
    ) {
        let session = self.transactions.find(id.0).and_then(|found| found.session);
        let Some(session) = session else { return };
        let is_waiting = self.session_mut(session).is_some_and(|state| {
            state.invite == id && matches!(state.phase, Phase::Calling | Phase::Cancelling)
        });
        if is_waiting {
            self.close_session(now, session);
            let response = response.map(OwnedMessage::from);
            self.emit(Event::Refused { session, status, response });
        }
    }

    fn progressed(&mut self, now: Instant, id: TransactionId, status: u16, response: &Message<'_>) {
        self.send_wanted_cancel(now, id);
        let session = self.transactions.find(id.0).and_then(|found| found.session);
        let Some(session) = session.filter(|_| status > 100) else { return };
        let tag = response.to().ok().and_then(|to| to.tag()).unwrap_or_default();
        let Some(state) = self.sessions.find_mut(session.0) else { return };
        if state.phase != Phase::Calling {
            return;
        }
        let early = state.early.iter().position(|early| *early.tag == *tag);
        let early = match early {
            Some(place) => place,
            None if state.early.len() < EARLY_DIALOGS_MAX => {
                state.early.push(EarlyDialog { tag: tag.into(), remote_cseq: None });
                state.early.len() - 1
            }
            None => return self.counters.early_dialogs_refused += 1,
        };
        let response = OwnedMessage::from(response);
        self.emit(Event::Progress { session, response, early_dialog: early as u32 });
    }

    /// A 2xx: section 13.2.2.4. The first one is the answer; one of another fork, and one that
    /// comes when nobody waits any more, is acknowledged and hung up; one that comes again gets
    /// its ACK again.
    fn accepted(&mut self, now: Instant, id: TransactionId, response: &Message<'_>) {
        let tag = response.to().ok().and_then(|to| to.tag()).unwrap_or_default();
        let Some(transaction) = self.transactions.find(id.0) else { return };
        let Role::ClientInvite(_, attempt) = &transaction.role else { return };
        let listener = transaction.listener;
        if let Some(accepted) = attempt.accepted.iter().find(|accepted| *accepted.tag == *tag) {
            let (ack, to) = (Arc::clone(&accepted.ack), accepted.to);
            self.counters.retransmissions += 1;
            return self.send(listener, to, ack);
        }
        if attempt.accepted.len() >= FORKS_MAX {
            return self.counters.forks_ignored += 1;
        }
        let Some(mut acked) = self.acknowledge_answer(id, tag, response) else { return };
        let session = acked.session.filter(|_| acked.is_first);
        let waiting = session.and_then(|session| Some((session, self.session_mut(session)?)));
        match waiting {
            Some((session, state)) if state.phase == Phase::Calling => {
                let early = state.early.iter().find(|early| *early.tag == *tag);
                acked.dialog.remote_cseq = early.and_then(|early| early.remote_cseq);
                (state.dialog, state.phase, state.ring_end) =
                    (Some(acked.dialog), Phase::Established, None);
                state.early = Vec::new();
                let response = OwnedMessage::from(response);
                self.emit(Event::Answered { session, response });
            }
            Some((session, state)) if state.phase == Phase::Cancelling => {
                self.counters.cancels_crossed += 1;
                self.hang_up_alone(now, &mut acked);
                self.end_session(now, session, EndReason::AnsweredAfterCancel);
            }
            _ => {
                self.counters.forks_ended += 1;
                self.hang_up_alone(now, &mut acked);
            }
        }
    }

    /// Sends the ACK of a 2xx not seen before, and remembers it for when that comes again.
    fn acknowledge_answer(
        &mut self,
        id: TransactionId,
        tag: &[u8],
        response: &Message<'_>,
    ) -> Option<Acked> {
        let branch = self.mint(u32::MAX);
        let transaction = self.transactions.find_mut(id.0)?;
        let Role::ClientInvite(_, attempt) = &mut transaction.role else { return None };
        let invite = Message::parse(transaction.message.as_deref()?).ok()?;
        let dialog = Dialog::of_response(&invite, response, transaction.peer);
        let call_id = invite.call_id().ok()?;
        let (listener, to) = (transaction.listener, dialog.next_hop);
        let text = self.listeners.get(usize::from(listener.0))?;
        let (ack, _) =
            write::within(&mut self.scratch, &dialog, call_id, Method::Ack, text, branch)
                .finish(None);
        let is_first = attempt.accepted.is_empty();
        let acked = Acked {
            listener,
            session: transaction.session,
            is_first,
            call_id: call_id.into(),
            dialog,
        };
        attempt.accepted.push(Accepted { tag: tag.into(), ack: Arc::clone(&ack), to });
        self.send(listener, to, ack);
        Some(acked)
    }

    /// A BYE whose end nobody waits for.
    fn hang_up_alone(&mut self, now: Instant, acked: &mut Acked) {
        let bye = Outgoing {
            listener: acked.listener,
            session: None,
            method: Method::Bye,
            headers: &Headers::new(),
            body: None,
        };
        self.request(now, (&mut acked.dialog, &acked.call_id), &bye);
    }

    /// Section 12.2.1.2: a 481 within the dialog says that the peer has lost it.
    fn lose_session(&mut self, now: Instant, id: SessionId) {
        if self.session_mut(id).is_some_and(|state| state.phase == Phase::Established) {
            self.send_bye(now, id, &Headers::new());
            self.end_session(now, id, EndReason::Lost);
        }
    }

    /// Our BYE was answered; the peer's own may have ended the session before.
    fn left(&mut self, now: Instant, id: SessionId) {
        let Some(state) = self.session_mut(id).filter(|state| state.phase == Phase::Leaving) else {
            return;
        };
        let late = Late::new(now, state.remote_cseq(), None);
        self.depart(now, id, late);
        self.emit(Event::Ended { session: id, why: EndReason::HungUp });
    }

    /// Ends a session that nothing more is heard of, unless it has ended already.
    pub(super) fn end_session(&mut self, now: Instant, id: SessionId, why: EndReason) {
        if self.session_mut(id).is_none_or(|state| state.phase == Phase::Departed) {
            return;
        }
        if self.close_session(now, id).is_some() {
            self.emit(Event::Ended { session: id, why });
        }
    }
}
