//! What stands beside a transaction machine: the bytes it sends again and who waits for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::sip::ids::ListenerId;
use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::name::Method;
use crate::sip::session::uac::Attempt;
use crate::sip::transaction::ClientInvite;
use crate::sip::transaction::ClientOther;
use crate::sip::transaction::Expiry;
use crate::sip::transaction::ServerInvite;
use crate::sip::transaction::ServerOther;
use crate::sip::transaction::key::RequestKey;
use crate::sip::transaction::key::ServerKey;

/// One transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Where it is spoken.
    pub(super) listener: ListenerId,
    /// Where its messages go.
    pub(super) peer: SocketAddr,
    /// Whose it is; the session may be gone.
    pub(super) session: Option<SessionId>,
    /// What is sent again: a client's request, a server's last response.
    pub(super) message: Option<Arc<[u8]>>,
    /// The deadline that the timer queue knows of.
    pub(super) armed: Option<Instant>,
    /// The machine, and what its kind needs.
    pub(super) role: Role,
}

/// The four kinds.
#[derive(Debug)]
pub(super) enum Role {
    /// An INVITE of ours.
    ClientInvite(ClientInvite, Attempt),
    /// Another request of ours.
    ClientOther(ClientOther, Sent),
    /// An INVITE that came in.
    ServerInvite(ServerInvite, Received),
    /// Another request that came in.
    ServerOther(ServerOther, Received),
}

/// A request of ours other than INVITE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// The secret part of its branch.
    pub(super) secret: u64,
    /// Its method.
    pub(super) method: Method,
}

/// A request that came in.
#[derive(Debug)]
pub(super) struct Received {
    /// How its repetitions find it.
    pub(super) key: ServerKey,
    /// How the same request by another way finds it, for an INVITE that opens a session.
    pub(super) request: Option<RequestKey>,
    /// Its method.
    pub(super) method: Method,
    /// The number of its CSeq.
    pub(super) cseq: u32,
    /// What every response to it copies: Via to CSeq, as lines. Empty once all is said.
    pub(super) head: Box<[u8]>,
    /// The Contact URI of a re-INVITE or UPDATE, which a 2xx makes the remote target.
    pub(super) target: Option<Box<[u8]>>,
}

impl Transaction {
    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Expiry {
        match &mut self.role {
            Role::ClientInvite(machine, _) => machine.handle_timeout(now),
            Role::ClientOther(machine, _) => machine.handle_timeout(now),
            Role::ServerInvite(machine, _) => machine.handle_timeout(now),
            Role::ServerOther(machine, _) => machine.handle_timeout(now),
        }
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.role {
            Role::ClientInvite(machine, _) => machine.poll_timeout(),
            Role::ClientOther(machine, _) => machine.poll_timeout(),
            Role::ServerInvite(machine, _) => machine.poll_timeout(),
            Role::ServerOther(machine, _) => machine.poll_timeout(),
        }
    }

    /// The request behind a server transaction.
    pub(super) const fn received(&self) -> Option<&Received> {
        match &self.role {
            Role::ServerInvite(_, received) | Role::ServerOther(_, received) => Some(received),
            Role::ClientInvite(..) | Role::ClientOther(..) => None,
        }
    }

    /// Whether a final response of ours is still owed.
    pub(super) fn is_unanswered(&self) -> bool {
        match &self.role {
            Role::ServerInvite(machine, _) => machine.is_pending(),
            Role::ServerOther(machine, _) => machine.is_pending(),
            Role::ClientInvite(..) | Role::ClientOther(..) => false,
        }
    }
}

/// Who waits in the timer queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner {
    /// A session.
    Session(SessionId),
    /// A transaction.
    Transaction(TransactionId),
}
