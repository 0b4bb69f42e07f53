//! Requests of the peer within a session: BYE, INFO, re-INVITE, UPDATE, OPTIONS (RFC 3261
//! section 12.2.2).

use std::mem;
use std::time::Instant;

use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::message::OwnedMessage;
use crate::sip::mint::Minted;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;
use crate::sip::session::PENDING_MAX;
use crate::sip::session::Phase;
use crate::sip::session::late::Late;
use crate::sip::transaction::ServerInvite;
use crate::sip::transaction::ServerOther;

use super::Endpoint;
use super::Reply;
use super::event::Event;
use super::incoming::Incoming;
use super::payload::Headers;
use super::table::Role;
use super::write;

/// What the 500 for an offer on top of another asks for; section 14.2 wants it random from 0 to
/// 10 seconds.
const GLARE_RETRY_SECONDS: u64 = 10;

impl Endpoint {
    /// Takes a request that belongs to the session `id` by all three of its names.
    pub(super) fn handle_within(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        id: SessionId,
    ) {
        let state = self.session_mut(id);
        if state.is_some_and(|state| state.phase == Phase::Departed) {
            return self.handle_late(incoming, id);
        }
        // A BYE is never refused for an extension: the call would stay.
        if incoming.method != Method::Bye && self.refuse_extensions(incoming) {
            return;
        }
        let Some(state) = self.session_mut(id) else { return };
        let before = state.remote_cseq();
        if !state.accept_cseq(incoming.names.from_tag, incoming.names.cseq) {
            self.counters.requests_stale += 1;
            return self.refuse(incoming, 500, "", &Headers::new());
        }
        match incoming.method {
            Method::Bye => self.handle_bye(now, incoming, id, before),
            Method::Options => self.answer_options_within(now, incoming, id),
            Method::Info => self.handle_info(now, incoming, id),
            _ => self.handle_offer(now, incoming, id),
        }
    }

    /// `before` is the peer's CSeq before that of its BYE.
    fn handle_bye(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        id: SessionId,
        before: Option<u32>,
    ) {
        let Some(phase) = self.session_mut(id).map(|state| state.phase) else { return };
        if matches!(phase, Phase::Calling | Phase::Cancelling) {
            // The called side may not end an early dialog by BYE (section 15).
            return self.refuse_stray(incoming);
        }
        let bye = self.start_other(now, incoming, id);
        self.reply(now, bye, &Reply::bare(200));
        if phase == Phase::Ringing {
            // No call, no key.
            let Some(session) = self.close_session(now, id) else { return };
            self.reply(now, session.invite, &Reply::bare(487));
        } else {
            let late = Late::new(now, before, Some(incoming.names.cseq));
            self.depart(now, id, late);
        }
        let request = OwnedMessage::from(incoming.message);
        self.emit(Event::HungUp { session: id, request });
    }

    /// A request within a session that is over gets 481 (RFC 3261 sections 12.2.2 and 15.1.2),
    /// whatever it says: by the letter its dialog is gone, and its sender has left. A key in an
    /// INFO that was sent before the end was pressed in time all the same, and is told.
    fn handle_late(&mut self, incoming: &Incoming<'_, '_>, id: SessionId) {
        let late = self.session_mut(id).and_then(|state| state.late.as_mut());
        let is_heard = incoming.method == Method::Info
            && late.is_some_and(|late| late.accept(incoming.names.cseq));
        if !is_heard {
            return self.refuse_stray(incoming);
        }
        self.counters.infos_late += 1;
        let request = OwnedMessage::from(incoming.message);
        self.emit(Event::LateInfo { session: id, request });
        self.refuse(incoming, 481, "", &Headers::new());
    }

    /// A session is over, and forgotten once nothing of it can be on its way any more. What it
    /// still owed the peer is answered with 487 (RFC 3261 section 15.1.2).
    pub(super) fn depart(&mut self, now: Instant, id: SessionId, late: Late) {
        let Some(state) = self.session_mut(id) else { return };
        (state.phase, state.late) = (Phase::Departed, Some(late));
        (state.unacknowledged, state.farewell) = (None, None);
        for pending in mem::take(&mut state.pending) {
            self.reply(now, pending, &Reply::bare(487));
        }
        self.arm_session(now, id);
    }

    fn answer_options_within(&mut self, now: Instant, incoming: &Incoming<'_, '_>, id: SessionId) {
        if !self.has_room_within(incoming, id) {
            return;
        }
        let options = self.start_other(now, incoming, id);
        self.reply(now, options, &Reply { headers: &write::abilities(), ..Reply::bare(200) });
    }

    fn handle_info(&mut self, now: Instant, incoming: &Incoming<'_, '_>, id: SessionId) {
        if !self.has_room_within(incoming, id) {
            return;
        }
        let transaction = self.start_other(now, incoming, id);
        self.await_answer(id, transaction);
        let request = OwnedMessage::from(incoming.message);
        self.emit(Event::Info { session: id, transaction, request });
    }

    /// A re-INVITE or UPDATE.
    fn handle_offer(&mut self, now: Instant, incoming: &Incoming<'_, '_>, id: SessionId) {
        if !self.has_room_within(incoming, id) || self.refuse_glare(incoming, id) {
            return;
        }
        let transaction = if incoming.method == Method::Invite {
            let tag = self.tag_of(id);
            let machine = ServerInvite::new(self.timing);
            let transaction =
                self.received(incoming, id, tag, |received| Role::ServerInvite(machine, received));
            let transaction = self.start_transaction(now, transaction);
            self.reply(now, transaction, &Reply::bare(100));
            transaction
        } else {
            self.start_other(now, incoming, id)
        };
        self.await_answer(id, transaction);
        let request = OwnedMessage::from(incoming.message);
        self.emit(Event::Reoffered { session: id, transaction, request });
    }

    /// Refuses an offer that meets another: one that we have not answered (500 with Retry-After,
    /// section 14.2 and RFC 3311 section 5.2), or one whose ACK is still to come (491, RFC 5407
    /// section 3.1.5). After our BYE there is no session to change: 481.
    fn refuse_glare(&mut self, incoming: &Incoming<'_, '_>, id: SessionId) -> bool {
        let Some(state) = self.sessions.find(id.0) else { return true };
        let is_offer = |pending: &TransactionId| {
            let received = self.transactions.find(pending.0).and_then(|found| found.received());
            received.is_some_and(|it| matches!(it.method, Method::Invite | Method::Update))
        };
        let is_reinvite = incoming.method == Method::Invite;
        if state.phase == Phase::Leaving {
            self.refuse_stray(incoming);
        } else if state.pending.iter().any(is_offer)
            || is_reinvite && state.phase != Phase::Established
        {
            self.counters.refused_glare += 1;
            let seconds = self.tokens.next_u64() % (GLARE_RETRY_SECONDS + 1);
            let later = Headers::new().with_seconds(HeaderName::RetryAfter, seconds);
            self.refuse(incoming, 500, "", &later);
        } else if state.unacknowledged.is_some() {
            self.counters.refused_glare += 1;
            self.refuse(incoming, 491, "", &Headers::new());
        } else {
            return false;
        }
        true
    }

    /// Whether the session and the shard have room for another request; refuses it if not.
    fn has_room_within(&mut self, incoming: &Incoming<'_, '_>, id: SessionId) -> bool {
        let waiting = self.session_mut(id).map_or(PENDING_MAX, |state| state.pending.len());
        if waiting >= PENDING_MAX {
            self.counters.refused_pending += 1;
        } else if !self.has_transactions_left() {
            self.counters.refused_transactions += 1;
        } else {
            return true;
        }
        self.refuse_busy(incoming);
        false
    }

    fn start_other(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        id: SessionId,
    ) -> TransactionId {
        let (tag, machine) = (self.tag_of(id), ServerOther::new(now, self.timing));
        let transaction =
            self.received(incoming, id, tag, |received| Role::ServerOther(machine, received));
        self.start_transaction(now, transaction)
    }

    fn await_answer(&mut self, id: SessionId, transaction: TransactionId) {
        if let Some(state) = self.session_mut(id) {
            state.pending.push(transaction);
        }
    }

    /// Our tag in this session.
    pub(super) fn tag_of(&self, id: SessionId) -> Minted {
        let secret = self.sessions.find(id.0).map_or(0, |state| state.secret);
        Minted { shard: self.settings.shard, index: id.0 as u32, secret }
    }
}
