//! We call: an INVITE goes out, and maybe a CANCEL after it.

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
use crate::sip::transaction::ClientInvite;
use crate::sip::transaction::ClientOther;
use crate::sip::uri::Uri;

use super::Endpoint;
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
        let transaction = self.start_transaction(
            now,
            Transaction {
                listener: invite.listener,
                peer: invite.to,
                session: Some(session),
                message: Some(Arc::clone(&message)),
                armed: None,
                role: Role::ClientInvite(
                    ClientInvite::new(now, self.timing),
                    Attempt::new(branch.secret),
                ),
            },
        );
        let (listener, to) = (invite.listener, invite.to);
        let mut opened = Session::new(listener, tag.secret, &call_id, Phase::Calling, transaction);
        opened.ring_end = now.checked_add(invite.ring_max);
        self.sessions.insert(opened);
        self.arm_session(now, session);
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
            Phase::Ringing | Phase::Cancelling | Phase::Leaving | Phase::Departed => {
                self.counters.commands_late += 1;
            }
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
        self.arm_transaction(now, id);
        let cancel = self.start_transaction(
            now,
            Transaction {
                listener,
                peer,
                session: None,
                message: Some(Arc::clone(&message)),
                armed: None,
                role: Role::ClientOther(
                    ClientOther::new(now, self.timing),
                    Sent { secret, method: Method::Cancel },
                ),
            },
        );
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
