//! The side that calls: its INVITE may fork, be cancelled, and be answered all the same.
//!
//! What belongs to the INVITE rather than to the session lives with its transaction, since it
//! must outlive the session: a 2xx that comes after we gave up still wants its ACK and a BYE,
//! and one that comes again wants the same ACK again (RFC 3261 sections 13.2.2.4 and 9.1).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::sip::endpoint::Headers;
use crate::sip::ids::TransactionId;

/// Most early dialogs of one INVITE. Ours: carriers ring a handful of gateways in turn; a
/// provisional beyond is dropped and counted.
pub(crate) const EARLY_DIALOGS_MAX: usize = 16;

/// Most 2xx of one INVITE that are acknowledged. Ours, as above.
pub(crate) const FORKS_MAX: usize = 16;

/// A dialog that a provisional response began.
#[derive(Debug)]
pub(crate) struct EarlyDialog {
    /// The peer's tag; empty for one that has none.
    pub(crate) tag: Box<[u8]>,
    /// The CSeq of the peer's last request in it.
    pub(crate) remote_cseq: Option<u32>,
}

/// An INVITE of ours, beside its transaction machine.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The secret part of its branch.
    pub(crate) secret: u64,
    /// Whether it is to be cancelled.
    pub(crate) cancel: Cancel,
    /// The ACK of its refusal, for when that comes again.
    pub(crate) ack: Option<Arc<[u8]>>,
    /// Each 2xx seen, by its tag.
    pub(crate) accepted: Vec<Accepted>,
}

/// How far the cancelling of an INVITE is.
#[derive(Debug)]
pub(crate) enum Cancel {
    /// Nobody wants it.
    Unwanted,
    /// Wanted, but no provisional response has come, before which a CANCEL may not be sent.
    Wanted(Headers),
    /// Sent, in this transaction.
    Sent(TransactionId),
}

/// A 2xx that was acknowledged.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Its To tag.
    pub(crate) tag: Box<[u8]>,
    /// Its ACK.
    pub(crate) ack: Arc<[u8]>,
    /// Where that goes.
    pub(crate) to: SocketAddr,
}

impl Attempt {
    /// An INVITE whose branch has this secret.
    pub(crate) const fn new(secret: u64) -> Self {
        Self { secret, cancel: Cancel::Unwanted, ack: None, accepted: Vec::new() }
    }
}
