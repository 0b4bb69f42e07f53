//! What happens when nothing happens.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::name::Method;
use crate::sip::transaction::Expiry;

use super::Endpoint;
use super::event::EndReason;
use super::payload::Headers;
use super::table::Owner;
use super::table::Role;

/// Most deadlines served at a time. Ours: a driver that was away for long then still reads its
/// sockets in between; `poll_timeout` stays in the past until all are served.
pub(super) const TIMEOUTS_MAX: usize = 4096;

/// How long a provisional response keeps a call from being given up: a minute, by RFC 3261
/// section 13.3.1.1.
pub(super) const EXTENSION: Duration = Duration::from_secs(60);

impl Endpoint {
    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMEOUTS_MAX {
            let Some((deadline, owner)) = self.timers.pop_due(now) else { return };
            match owner {
                Owner::Transaction(id) => self.wake_transaction(now, deadline, id),
                Owner::Session(id) => self.wake_session(now, deadline, id),
            }
        }
    }

    fn wake_transaction(&mut self, now: Instant, deadline: Instant, id: TransactionId) {
        let Some(transaction) = self.transactions.find_mut(id.0) else { return };
        if transaction.armed != Some(deadline) {
            return; // An earlier deadline took its place and armed the next by itself.
        }
        transaction.armed = None;
        match transaction.handle_timeout(now) {
            Expiry::Early => {}
            Expiry::Resend => self.resend(id),
            Expiry::TimedOut => {
                self.give_up(now, id);
                self.end_transaction(id);
            }
            Expiry::Terminated => self.end_transaction(id),
        }
        self.arm_transaction(now, id);
    }

    /// The peer was silent for 64*T1, or the room above.
    fn give_up(&mut self, now: Instant, id: TransactionId) {
        let Some(transaction) = self.transactions.find(id.0) else { return };
        let session = transaction.session;
        match (&transaction.role, session) {
            (Role::ClientInvite(..), _) => self.refused(now, id, 408, None),
            (Role::ClientOther(_, sent), Some(session)) if sent.method == Method::Bye => {
                self.counters.byes_unanswered += 1;
                self.end_session(now, session, EndReason::ByeUnanswered);
            }
            (Role::ServerOther(..), Some(session)) => {
                self.counters.requests_abandoned += 1;
                if let Some(state) = self.session_mut(session) {
                    state.pending.retain(|&pending| pending != id);
                }
            }
            (Role::ClientOther(..) | Role::ServerInvite(..) | Role::ServerOther(..), _) => {}
        }
    }

    fn wake_session(&mut self, now: Instant, deadline: Instant, id: SessionId) {
        let Some(state) = self.sessions.find_mut(id.0) else { return };
        if state.armed != Some(deadline) {
            return; // As above.
        }
        state.armed = None;
        if state.late.as_ref().is_some_and(|late| late.poll_timeout() <= now) {
            self.sessions.remove(id.0); // It owes nobody anything, and its end was told.
            return;
        }
        if state.ring_end.is_some_and(|end| end <= now) {
            let invite = state.invite;
            self.refused(now, invite, 408, None);
            return self.want_cancel(now, invite, Headers::new());
        }
        let extended = state.extend_at.filter(|&at| at <= now).map(|at| (at, state.invite));
        if let Some((at, invite)) = extended {
            state.extend_at = at.checked_add(EXTENSION);
            self.resend(invite);
            return self.arm_session(now, id);
        }
        match state.unacknowledged.as_mut().map(|waiting| waiting.handle_timeout(now)) {
            None | Some(Expiry::Early | Expiry::Terminated) => {}
            Some(Expiry::Resend) => self.resend_answer(id),
            Some(Expiry::TimedOut) => self.miss_ack(now, id),
        }
        self.arm_session(now, id);
    }

    fn resend_answer(&mut self, id: SessionId) {
        let Some(state) = self.sessions.find(id.0) else { return };
        let Some(waiting) = &state.unacknowledged else { return };
        let (listener, to) = (state.listener, waiting.to);
        let response = Arc::clone(&waiting.response);
        self.counters.retransmissions += 1;
        self.send(listener, to, response);
    }

    /// No ACK for 64*T1: section 13.3.1.4 ends the session by a BYE.
    fn miss_ack(&mut self, now: Instant, id: SessionId) {
        self.counters.acks_missing += 1;
        let farewell = self.session_mut(id).and_then(|state| state.farewell.take());
        self.send_bye(now, id, &farewell.unwrap_or_default());
        self.end_session(now, id, EndReason::AckMissing);
    }
}
