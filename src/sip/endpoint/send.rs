//! How anything leaves: responses in their transactions, requests within a dialog.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::sip::dialog::Dialog;
use crate::sip::ids::ListenerId;
use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::mint::Minted;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;
use crate::sip::transaction::ClientOther;

use super::Endpoint;
use super::event::Event;
use super::event::Output;
use super::event::Transmit;
use super::payload::Body;
use super::payload::Headers;
use super::table::Role;
use super::table::Sent;
use super::table::Transaction;
use super::write;
use super::write::Draft;

/// Most datagrams that may wait in [`Endpoint::poll`]. Ours: several times what one batch of
/// datagrams and timers makes; beyond, the driver does not poll, and UDP may lose anything.
pub(super) const TRANSMITS_MAX: usize = 65_536;

/// A response of ours.
#[derive(Clone, Copy)]
pub(super) struct Reply<'a> {
    pub(super) status: u16,
    /// Empty for the usual one.
    pub(super) reason_phrase: &'a str,
    pub(super) headers: &'a Headers,
    pub(super) body: Option<&'a Body>,
}

impl Reply<'_> {
    pub(super) const fn bare(status: u16) -> Self {
        const NONE: &Headers = &Headers::new();
        Self { status, reason_phrase: "", headers: NONE, body: None }
    }
}

/// A request of ours within a dialog.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) listener: ListenerId,
    /// Who is told how it ends.
    pub(super) session: Option<SessionId>,
    pub(super) method: Method,
    pub(super) headers: &'a Headers,
    pub(super) body: Option<&'a Body>,
}

impl Endpoint {
    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn send(&mut self, listener: ListenerId, to: SocketAddr, bytes: Arc<[u8]>) {
        if self.outputs.len() >= TRANSMITS_MAX {
            self.counters.transmits_dropped += 1;
            return;
        }
        self.outputs.push_back(Output::Transmit(Transmit { listener, to, bytes }));
    }

    /// Sends what a transaction holds once more.
    pub(super) fn resend(&mut self, id: TransactionId) {
        let Some(transaction) = self.transactions.find(id.0) else { return };
        let Some(message) = transaction.message.clone() else { return };
        let (listener, peer) = (transaction.listener, transaction.peer);
        self.counters.retransmissions += 1;
        self.send(listener, peer, message);
    }

    /// Sends a response in a server transaction; `false`, and nothing goes out, when that has
    /// had its final response or is gone.
    pub(super) fn reply(&mut self, now: Instant, id: TransactionId, reply: &Reply<'_>) -> bool {
        let Some(transaction) = self.transactions.find_mut(id.0) else { return false };
        let (may_send, received) = match &mut transaction.role {
            Role::ServerInvite(machine, received) => {
                (machine.handle_response(now, reply.status), received)
            }
            Role::ServerOther(machine, received) => {
                (machine.handle_response(now, reply.status), received)
            }
            Role::ClientInvite(..) | Role::ClientOther(..) => return false,
        };
        let Some(listener) = self.listeners.get(usize::from(transaction.listener.0)) else {
            return false;
        };
        if !may_send {
            return false;
        }
        let phrase = reply.reason_phrase;
        let mut draft = Draft::response(&mut self.scratch, reply.status, phrase, &received.head);
        if reply.status >= 200 {
            received.head = Box::default();
            draft.lines(&self.server);
        }
        if matches!(received.method, Method::Invite | Method::Update)
            && (101..=299).contains(&reply.status)
        {
            draft.contact(listener).line(HeaderName::Allow, write::ALLOW.as_bytes());
        }
        if reply.status == 415 {
            // Section 21.4.13: which bodies would have done.
            draft.line(HeaderName::Accept, write::ACCEPT.as_bytes());
        }
        let (bytes, left_out) = draft.lines(reply.headers.lines()).finish(reply.body);
        self.counters.headers_refused += reply.headers.refused() + u64::from(left_out);
        transaction.message = Some(Arc::clone(&bytes));
        let (listener, peer) = (transaction.listener, transaction.peer);
        self.send(listener, peer, bytes);
        self.arm_transaction(now, id);
        true
    }

    /// Sends a request within a dialog in a transaction of its own.
    pub(super) fn request(
        &mut self,
        now: Instant,
        (dialog, call_id): (&mut Dialog, &[u8]),
        request: &Outgoing<'_>,
    ) {
        let Some(listener) = self.listeners.get(usize::from(request.listener.0)) else { return };
        let index = self.transactions.next_key() as u32;
        let secret = self.tokens.next_u64();
        let branch = Minted { shard: self.settings.shard, index, secret };
        let method = request.method;
        dialog.local_cseq = dialog.local_cseq.wrapping_add(1);
        let (message, left_out) =
            write::within(&mut self.scratch, dialog, call_id, method, listener, branch)
                .lines(&self.user_agent)
                .lines(request.headers.lines())
                .finish(request.body);
        self.counters.headers_refused += request.headers.refused() + u64::from(left_out);
        self.start_transaction(
            now,
            Transaction {
                listener: request.listener,
                peer: dialog.next_hop,
                session: request.session,
                message: Some(Arc::clone(&message)),
                armed: None,
                role: Role::ClientOther(
                    ClientOther::new(now, self.timing),
                    Sent { secret, method },
                ),
            },
        );
        self.send(request.listener, dialog.next_hop, message);
    }
}
