//! The facade over SIP: datagrams and commands go in, datagrams and events come out.
//!
//! ```text
//! handle_datagram -> incoming -> retransmission? -> transaction's last response
//!                            |-> initial INVITE, CANCEL, ACK -> invited
//!                            |-> within a session -> within
//!                            `-> responses
//! commands ------------------------------------------------> transactions, sessions
//! handle_timeout -> timeouts -> resend, give up
//! poll <- outputs: Transmit | Event
//! ```
//!
//! One endpoint is one shard: it owns its sessions and transactions and shares nothing. Tables
//! keyed by outsiders' text hash under a secret; sessions and our own requests are found by the
//! slot in the tag or branch that we minted, and then compared with its unguessable part.

mod commands;
mod counters;
mod dial;
mod event;
mod incoming;
mod invited;
mod payload;
mod responses;
mod send;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod timeouts;
mod within;
mod write;

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::model::keyed::KeyedMap;
use crate::model::token::Seed;
use crate::model::token::TokenSource;

use super::ids::SessionId;
use super::ids::TransactionId;
use super::mint::Minted;
use super::session::Session;
use super::slab::Slab;
use super::timers::TimerWheel;
use super::transaction::Timing;
use super::transaction::key::Digester;
use super::transaction::key::RequestKey;
use super::transaction::key::ServerKey;

pub use counters::Counters;
pub use event::EndReason;
pub use event::Event;
pub use event::Output;
pub use event::Transmit;
pub use payload::Body;
pub use payload::Headers;
pub use payload::Invite;
pub use payload::InviteError;
pub use settings::Listener;
pub use settings::Settings;

use send::Outgoing;
use send::Reply;
use table::Owner;
use table::Transaction;
use write::ListenerText;

/// The SIP side of one shard.
pub struct Endpoint {
    settings: Settings,
    timing: Timing,
    listeners: Vec<ListenerText>,
    /// `User-Agent: ..` and `Server: ..`, as lines.
    user_agent: Vec<u8>,
    server: Vec<u8>,
    tokens: TokenSource,
    digester: Digester,
    sessions: Slab<Session>,
    transactions: Slab<Transaction>,
    by_key: KeyedMap<ServerKey, TransactionId>,
    by_request: KeyedMap<RequestKey, TransactionId>,
    timers: TimerWheel<Owner>,
    outputs: VecDeque<Output>,
    scratch: Vec<u8>,
    counters: Counters,
    is_open: bool,
}

impl Endpoint {
    /// An endpoint whose tags and branches come from `seed`.
    pub fn new(settings: Settings, seed: Seed) -> Self {
        let mut tokens = TokenSource::new(seed);
        let named: String = settings.user_agent.chars().filter(|c| !c.is_control()).collect();
        let listeners = settings.listeners.iter();
        Self {
            timing: Timing {
                t1_ms: millis(settings.t1),
                t2_ms: millis(settings.t2),
                t4_ms: millis(settings.t4),
                reliable: false, // UDP is the only transport yet.
            },
            listeners: listeners.map(|it| ListenerText::new(it, settings.shard)).collect(),
            user_agent: format!("User-Agent: {named}\r\n").into_bytes(),
            server: format!("Server: {named}\r\n").into_bytes(),
            digester: Digester::new(&mut tokens),
            sessions: Slab::new(settings.shard),
            transactions: Slab::new(settings.shard),
            by_key: KeyedMap::with_hasher(tokens.next_keyed_hash()),
            by_request: KeyedMap::with_hasher(tokens.next_keyed_hash()),
            timers: TimerWheel::new(),
            outputs: VecDeque::new(),
            scratch: Vec::new(),
            counters: Counters::default(),
            is_open: true,
            tokens,
            settings,
        }
    }

    /// The next thing to do or to know; call it until it gives nothing after each other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.poll_timeout()
    }

    /// Opens or closes the door: closed, while draining, a new INVITE and an OPTIONS get 503
    /// with Retry-After, and running sessions go on.
    pub fn set_open(&mut self, open: bool) {
        self.is_open = open;
    }

    /// What was counted since the start.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many sessions there are.
    pub const fn sessions_len(&self) -> usize {
        self.sessions.len()
    }

    /// How many transactions there are, those among them that only absorb what comes again.
    pub const fn transactions_len(&self) -> usize {
        self.transactions.len()
    }

    /// A new name of ours for the slot `index`.
    fn mint(&mut self, index: u32) -> Minted {
        Minted { shard: self.settings.shard, index, secret: self.tokens.next_u64() }
    }

    /// The session whose tag this is.
    fn find_session(&self, tag: &[u8]) -> Option<(SessionId, &Session)> {
        let minted = Minted::read(tag).filter(|minted| minted.shard == self.settings.shard)?;
        let (key, session) = self.sessions.find_at(minted.index)?;
        (session.secret == minted.secret).then_some((SessionId(key), session))
    }

    fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.find_mut(id.0)
    }

    fn start_transaction(&mut self, now: Instant, transaction: Transaction) -> TransactionId {
        let keys = transaction.received().map(|received| (received.key, received.request));
        let id = TransactionId(self.transactions.insert(transaction));
        if let Some((key, request)) = keys {
            self.by_key.insert(key, id);
            if let Some(request) = request {
                self.by_request.insert(request, id);
            }
        }
        self.arm_transaction(now, id);
        id
    }

    fn end_transaction(&mut self, id: TransactionId) {
        let Some(transaction) = self.transactions.remove(id.0) else { return };
        if let Some(received) = transaction.received() {
            self.by_key.remove(&received.key);
            if let Some(request) = &received.request {
                self.by_request.remove(request);
            }
        }
    }

    fn arm_transaction(&mut self, now: Instant, id: TransactionId) {
        let Some(transaction) = self.transactions.find_mut(id.0) else { return };
        if let Some(deadline) = sooner(transaction.poll_timeout(), transaction.armed) {
            transaction.armed = Some(deadline);
            self.timers.insert(now, deadline, Owner::Transaction(id));
        }
    }

    fn arm_session(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.find_mut(id.0) else { return };
        if let Some(deadline) = sooner(session.poll_timeout(), session.armed) {
            session.armed = Some(deadline);
            self.timers.insert(now, deadline, Owner::Session(id));
        }
    }

    /// Takes a session out of the table; what it still owed the peer is answered with 487
    /// (RFC 3261 section 15.1.2).
    fn close_session(&mut self, now: Instant, id: SessionId) -> Option<Box<Session>> {
        let session = self.sessions.remove(id.0)?;
        for &pending in &session.pending {
            self.reply(now, pending, &Reply::bare(487));
        }
        Some(session)
    }

    /// Whether another transaction may begin that a peer or the room above could do without.
    const fn has_transactions_left(&self) -> bool {
        self.transactions.len() < self.settings.transactions_max
    }
}

/// The deadline to ask for: the wanted one, unless what is armed comes first.
fn sooner(wanted: Option<Instant>, armed: Option<Instant>) -> Option<Instant> {
    wanted.filter(|&wanted| armed.is_none_or(|armed| wanted < armed))
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
