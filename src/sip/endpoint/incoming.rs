//! What a datagram is: the first decisions, in the order of RFC 3261 section 8.2.

use std::net::SocketAddr;
use std::str;
use std::time::Instant;

use crate::sip::build::ResponseBuilder;
use crate::sip::error::ParseError;
use crate::sip::ids::ListenerId;
use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::message::Message;
use crate::sip::mint::Minted;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;
use crate::sip::transaction::key::Names;
use crate::sip::transaction::key::ServerKey;
use crate::sip::transport;
use crate::sip::via::Via;

use super::Endpoint;
use super::Reply;
use super::payload::Headers;
use super::table::Received;
use super::table::Role;
use super::table::Transaction;
use super::write;
use super::write::Draft;

/// What 503 asks for in Retry-After. Ours: long enough that a dialer turns to its next route,
/// short enough that it comes back.
const RETRY_AFTER_SECONDS: u64 = 10;

/// A request with what is known of it before anything is decided.
pub(super) struct Incoming<'a, 'm> {
    /// Where it arrived.
    pub(super) listener: ListenerId,
    /// Where it came from.
    pub(super) source: SocketAddr,
    /// The request.
    pub(super) message: &'a Message<'m>,
    /// Its method.
    pub(super) method: Method,
    /// Its topmost Via.
    pub(super) via: Via<'m>,
    /// The names in it by which its session is found.
    pub(super) names: Names<'m>,
    /// Its transaction.
    pub(super) key: ServerKey,
}

impl Endpoint {
    /// Takes a datagram that arrived at `listener` from `source`.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        listener: ListenerId,
        source: SocketAddr,
        bytes: &[u8],
    ) {
        self.counters.datagrams += 1;
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(ParseError::KeepAlive) => return self.counters.keep_alives += 1,
            Err(_) => return self.counters.unreadable += 1,
        };
        let Some(method) = message.method() else {
            return self.handle_response(now, &message);
        };
        let (Ok(via), true) = (message.via(), usize::from(listener.0) < self.listeners.len())
        else {
            return self.counters.unanswerable += 1;
        };
        let names = Names::of(&message);
        let keyed_as = if method == Method::Ack { Method::Invite } else { method };
        let key = self.digester.server_key(&message, &names, &via, keyed_as, source.ip());
        let incoming = Incoming { listener, source, message: &message, method, via, names, key };
        match (self.by_key.get(&key).copied(), method) {
            (found, Method::Ack) => self.handle_ack(now, &incoming, found),
            (Some(found), _) => self.handle_repetition(found),
            (None, _) => self.handle_request(now, &incoming),
        }
    }

    fn handle_repetition(&mut self, id: TransactionId) {
        self.counters.requests_repeated += 1;
        let is_answered = self.transactions.find(id.0).is_some_and(|found| match &found.role {
            Role::ServerInvite(machine, _) => machine.handle_request(),
            Role::ServerOther(machine, _) => machine.handle_request(),
            Role::ClientInvite(..) | Role::ClientOther(..) => false,
        });
        if is_answered {
            self.resend(id);
        }
    }

    fn handle_request(&mut self, now: Instant, incoming: &Incoming<'_, '_>) {
        if let Err(error) = incoming.message.validate() {
            self.counters.requests_invalid += 1;
            return self.refuse(incoming, error.status(), error.phrase(), &Headers::new());
        }
        match incoming.method {
            Method::Cancel => return self.handle_cancel(now, incoming),
            Method::Invite
            | Method::Bye
            | Method::Options
            | Method::Info
            | Method::Update
            | Method::Ack => {}
            Method::Prack
            | Method::Refer
            | Method::Notify
            | Method::Register
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other => return self.refuse_method(incoming),
        }
        match (incoming.names.to_tag, incoming.method) {
            (Some(_), _) => match self.find_session_of(incoming) {
                Some(id) => self.handle_within(now, incoming, id),
                None => self.refuse_stray(incoming),
            },
            (None, Method::Invite) => self.handle_invite(now, incoming),
            (None, Method::Options) => self.handle_options(incoming),
            (None, _) => self.refuse_stray(incoming),
        }
    }

    /// The session that a request within a dialog belongs to: our tag, its Call-ID and the
    /// peer's tag all agree.
    pub(super) fn find_session_of(&self, incoming: &Incoming<'_, '_>) -> Option<SessionId> {
        let names = &incoming.names;
        let (id, session) = self.find_session(names.to_tag?)?;
        session.is_with(names.call_id, names.from_tag).then_some(id)
    }

    /// OPTIONS outside a dialog: section 11.2.
    fn handle_options(&mut self, incoming: &Incoming<'_, '_>) {
        if self.refuse_extensions(incoming) {
            return;
        }
        if self.is_open {
            self.refuse(incoming, 200, "", &write::abilities());
        } else {
            self.refuse_busy(incoming);
        }
    }

    /// 420 for an extension that the request insists on and we lack (section 8.2.2.3); we have
    /// none.
    pub(super) fn refuse_extensions(&mut self, incoming: &Incoming<'_, '_>) -> bool {
        let mut lacking = String::new();
        for tag in incoming.message.option_tags(HeaderName::Require) {
            if !lacking.is_empty() {
                lacking.push_str(", ");
            }
            lacking.push_str(&String::from_utf8_lossy(tag));
        }
        if lacking.is_empty() {
            return false;
        }
        self.counters.extensions_refused += 1;
        self.refuse(incoming, 420, "", &Headers::new().with("Unsupported", &lacking));
        true
    }

    /// 503 with Retry-After.
    pub(super) fn refuse_busy(&mut self, incoming: &Incoming<'_, '_>) {
        let later = Headers::new().with_seconds(HeaderName::RetryAfter, RETRY_AFTER_SECONDS);
        self.refuse(incoming, 503, "", &later);
    }

    fn refuse_method(&mut self, incoming: &Incoming<'_, '_>) {
        self.counters.methods_refused += 1;
        self.refuse(incoming, 405, "", &Headers::new());
    }

    /// 481: no session of ours.
    pub(super) fn refuse_stray(&mut self, incoming: &Incoming<'_, '_>) {
        self.counters.requests_stray += 1;
        self.refuse(incoming, 481, "", &Headers::new());
    }

    /// Answers a request without remembering it, as section 8.2.7 allows: each repetition gets
    /// the same response again, and floods take no memory.
    pub(super) fn refuse(
        &mut self,
        incoming: &Incoming<'_, '_>,
        status: u16,
        reason_phrase: &str,
        headers: &Headers,
    ) {
        let tag = self.stateless_tag(incoming);
        self.refuse_as(incoming, tag, &Reply { status, reason_phrase, headers, body: None });
    }

    /// The same with a tag that the request's session already has.
    pub(super) fn refuse_as(
        &mut self,
        incoming: &Incoming<'_, '_>,
        tag: Minted,
        reply: &Reply<'_>,
    ) {
        let head = self.head(incoming, tag);
        let to = transport::response_address(&incoming.via, incoming.source);
        let phrase = reply.reason_phrase;
        let mut draft = Draft::response(&mut self.scratch, reply.status, phrase, &head);
        if matches!(reply.status, 405 | 501) {
            draft.line(HeaderName::Allow, write::ALLOW.as_bytes());
        }
        let (bytes, _) = draft.lines(&self.server).lines(reply.headers.lines()).finish(None);
        self.send(incoming.listener, to, bytes);
    }

    /// A tag for a response that nothing remembers, the same for each repetition.
    pub(super) fn stateless_tag(&self, incoming: &Incoming<'_, '_>) -> Minted {
        let secret = self.digester.stateless_tag(&incoming.names);
        Minted { shard: self.settings.shard, index: u32::MAX, secret }
    }

    /// What every response to this request copies, with our tag on To if it has none.
    pub(super) fn head(&mut self, incoming: &Incoming<'_, '_>, tag: Minted) -> Box<[u8]> {
        let tag = tag.to_text();
        let tag = str::from_utf8(&tag).unwrap_or_default();
        // Never finished: all that is wanted is what it copies.
        ResponseBuilder::new(
            &mut self.scratch,
            incoming.message,
            200,
            "OK",
            incoming.source,
            Some(tag),
        );
        let start = self.scratch.iter().position(|&octet| octet == b'\n').map_or(0, |at| at + 1);
        self.scratch.get(start..).unwrap_or_default().into()
    }

    /// A server transaction for this request that waits for its first response.
    pub(super) fn received(
        &mut self,
        incoming: &Incoming<'_, '_>,
        session: SessionId,
        tag: Minted,
        role: impl FnOnce(Received) -> Role,
    ) -> Transaction {
        // The INVITE that opens a session gives its target to the dialog at once.
        let is_offer_within = matches!(incoming.method, Method::Invite | Method::Update)
            && self.sessions.find(session.0).is_some();
        let contact = incoming.message.contact().ok().filter(|_| is_offer_within);
        Transaction {
            listener: incoming.listener,
            peer: transport::response_address(&incoming.via, incoming.source),
            session: Some(session),
            message: None,
            armed: None,
            role: role(Received {
                key: incoming.key,
                request: None,
                method: incoming.method,
                cseq: incoming.names.cseq,
                head: self.head(incoming, tag),
                target: contact.map(|contact| contact.address.into()),
            }),
        }
    }
}
