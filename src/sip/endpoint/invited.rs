//! The INVITE that opens a session, its CANCEL and its ACK: we are called.

use std::time::Instant;

use crate::sip::dialog::Dialog;
use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::message::OwnedMessage;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;
use crate::sip::session::Phase;
use crate::sip::session::Session;
use crate::sip::transaction::ServerInvite;

use super::Endpoint;
use super::Reply;
use super::event::Event;
use super::incoming::Incoming;
use super::payload::Headers;
use super::table::Role;

impl Endpoint {
    pub(super) fn handle_invite(&mut self, now: Instant, incoming: &Incoming<'_, '_>) {
        let request = self.digester.request_key(&incoming.names);
        if self.by_request.contains_key(&request) {
            // Section 8.2.2.2: the same request by another way.
            self.counters.requests_merged += 1;
            return self.refuse(incoming, 482, "", &Headers::new());
        }
        if self.refuse_extensions(incoming) || self.refuse_for_want(incoming) {
            return;
        }
        let session = SessionId(self.sessions.next_key());
        let tag = self.mint(session.0 as u32);
        let machine = ServerInvite::new(self.timing);
        let transaction = self.received(incoming, session, tag, |mut received| {
            received.request = Some(request);
            Role::ServerInvite(machine, received)
        });
        let invite = self.start_transaction(now, transaction);
        let call_id = incoming.names.call_id;
        let (listener, source) = (incoming.listener, incoming.source);
        let mut opened = Session::new(listener, tag.secret, call_id, Phase::Ringing, invite);
        opened.dialog =
            Some(Dialog::of_request(incoming.message, &incoming.names, &tag.to_text(), source));
        self.sessions.insert(opened);
        let trying = match incoming.message.header(HeaderName::Timestamp) {
            Some(stamp) => Headers::new().with("Timestamp", &String::from_utf8_lossy(stamp)),
            None => Headers::new(),
        };
        self.reply(now, invite, &Reply { headers: &trying, ..Reply::bare(100) });
        let request = OwnedMessage::from(incoming.message);
        self.emit(Event::Invited { session, listener, source, request });
    }

    /// Refuses an INVITE that we could not serve now, or that has gone in circles.
    fn refuse_for_want(&mut self, incoming: &Incoming<'_, '_>) -> bool {
        if incoming.message.max_forwards() == Ok(Some(0)) {
            // A proxy's duty (section 16.3), and ours too, since we pass calls on.
            self.counters.hops_exhausted += 1;
            self.refuse(incoming, 483, "", &Headers::new());
            return true;
        }
        let counter = if !self.is_open {
            &mut self.counters.refused_closed
        } else if self.sessions.len() >= self.settings.sessions_max {
            &mut self.counters.refused_sessions
        } else if !self.has_transactions_left() {
            &mut self.counters.refused_transactions
        } else {
            return false;
        };
        *counter += 1;
        self.refuse_busy(incoming);
        true
    }

    /// A CANCEL is answered by what it finds, each time it comes: section 9.2.
    pub(super) fn handle_cancel(&mut self, now: Instant, incoming: &Incoming<'_, '_>) {
        let (message, source) = (incoming.message, incoming.source.ip());
        let key = self.digester.server_key(
            message,
            &incoming.names,
            &incoming.via,
            Method::Invite,
            source,
        );
        let found = self.by_key.get(&key).copied();
        let Some((id, transaction)) =
            found.and_then(|id| self.transactions.find(id.0).map(|found| (id, found)))
        else {
            return self.refuse_stray(incoming);
        };
        let is_open = transaction.is_unanswered();
        let session = transaction.session.filter(|_| is_open);
        let tag = session.map_or_else(|| self.stateless_tag(incoming), |id| self.tag_of(id));
        self.refuse_as(incoming, tag, &Reply::bare(200));
        if !is_open {
            return;
        }
        self.reply(now, id, &Reply::bare(487));
        let Some(session) = session else { return };
        let Some(state) = self.session_mut(session) else { return };
        state.pending.retain(|&pending| pending != id);
        if state.phase == Phase::Ringing && state.invite == id {
            self.close_session(now, session);
            let request = OwnedMessage::from(message);
            self.emit(Event::Cancelled { session, request });
        }
    }

    /// An ACK ends the repetition of a refusal (within the transaction) or of a 2xx (within the
    /// session). It is never answered.
    pub(super) fn handle_ack(
        &mut self,
        now: Instant,
        incoming: &Incoming<'_, '_>,
        found: Option<TransactionId>,
    ) {
        let transaction = found.and_then(|id| Some((id, self.transactions.find_mut(id.0)?)));
        if let Some((id, transaction)) = transaction
            && let Role::ServerInvite(machine, _) = &mut transaction.role
            && !machine.handle_ack(now)
        {
            return self.arm_transaction(now, id);
        }
        // Some old agents acknowledge a 2xx under the INVITE's branch: the tags tell.
        if self.acknowledge(now, incoming).is_none() {
            self.counters.acks_stray += 1;
        }
    }

    fn acknowledge(&mut self, now: Instant, incoming: &Incoming<'_, '_>) -> Option<()> {
        let message = incoming.message;
        let id = self.find_session_of(incoming)?;
        let cseq = incoming.names.cseq;
        if !message.body().is_empty() {
            message.validate().ok()?; // Its answer is acted on, and may be cut short.
        }
        let state = self.session_mut(id)?;
        state.unacknowledged.take_if(|waiting| waiting.cseq == cseq)?;
        let farewell = state.farewell.take();
        let body = (!message.body().is_empty()).then(|| message.body().into());
        self.emit(Event::Acknowledged { session: id, body });
        if let Some(headers) = farewell {
            self.send_bye(now, id, &headers);
        }
        Some(())
    }
}
