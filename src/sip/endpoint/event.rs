//! What the endpoint hands out: datagrams to send, and what happened.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::sip::ids::ListenerId;
use crate::sip::ids::SessionId;
use crate::sip::ids::TransactionId;
use crate::sip::message::OwnedMessage;

/// One thing for the driver to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// A datagram to send.
    Transmit(Transmit),
    /// Something happened to a session.
    Event(Event),
}

/// A datagram to send.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// From which listener's socket.
    pub listener: ListenerId,
    /// To whom.
    pub to: SocketAddr,
    /// The message.
    pub bytes: Arc<[u8]>,
}

/// What happened to a session. Each session that began ends with exactly one of `Cancelled`,
/// `Refused`, `HungUp` and `Ended`, or with our own `reject`; nothing follows that but `LateInfo`.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new INVITE, answered with 100 so far.
    Invited {
        /// The session it opened.
        session: SessionId,
        /// Where it arrived.
        listener: ListenerId,
        /// The address it came from, which no header can alter.
        source: SocketAddr,
        /// The INVITE.
        request: OwnedMessage,
    },
    /// The INVITE was cancelled before its final response; 200 and 487 are sent.
    Cancelled {
        /// The session, which is gone.
        session: SessionId,
        /// The CANCEL, for its Reason.
        request: OwnedMessage,
    },
    /// The ACK of a 2xx of ours arrived, once for each 2xx: the first INVITE's and any
    /// re-INVITE's.
    Acknowledged {
        /// The session.
        session: SessionId,
        /// Its body: the answer, if our 2xx made the offer.
        body: Option<Box<[u8]>>,
    },
    /// A response of 101 to 199 to an INVITE we sent.
    Progress {
        /// The session.
        session: SessionId,
        /// The response.
        response: OwnedMessage,
        /// Which of the early dialogs it belongs to: 0 for the first tag seen, 1 for the next.
        early_dialog: u32,
    },
    /// The first 2xx to an INVITE we sent; it has been acknowledged.
    Answered {
        /// The session.
        session: SessionId,
        /// The response.
        response: OwnedMessage,
    },
    /// An INVITE we sent was refused, or nobody answered it in time.
    Refused {
        /// The session, which is gone.
        session: SessionId,
        /// The final status, 300 to 699; 408 too when there was none.
        status: u16,
        /// The final response, if there was one.
        response: Option<OwnedMessage>,
    },
    /// An INFO within the session, each once.
    Info {
        /// The session.
        session: SessionId,
        /// What to answer by [`super::Endpoint::respond`].
        transaction: TransactionId,
        /// The INFO.
        request: OwnedMessage,
    },
    /// An INFO that the end of its session has overtaken, each once, up to half a second later. It
    /// has been answered with 481; what it says was said in time.
    LateInfo {
        /// The session, which is gone.
        session: SessionId,
        /// The INFO.
        request: OwnedMessage,
    },
    /// A re-INVITE or UPDATE within the session.
    Reoffered {
        /// The session.
        session: SessionId,
        /// What to answer by [`super::Endpoint::respond`].
        transaction: TransactionId,
        /// The request.
        request: OwnedMessage,
    },
    /// The peer hung up; its BYE has been answered.
    HungUp {
        /// The session, which is gone.
        session: SessionId,
        /// The BYE, for its Reason.
        request: OwnedMessage,
    },
    /// The session ended from our side.
    Ended {
        /// The session, which is gone.
        session: SessionId,
        /// How.
        why: EndReason,
    },
}

impl Event {
    /// The session that it happened to.
    pub const fn session(&self) -> SessionId {
        match self {
            Self::Invited { session, .. }
            | Self::Cancelled { session, .. }
            | Self::Acknowledged { session, .. }
            | Self::Progress { session, .. }
            | Self::Answered { session, .. }
            | Self::Refused { session, .. }
            | Self::Info { session, .. }
            | Self::LateInfo { session, .. }
            | Self::Reoffered { session, .. }
            | Self::HungUp { session, .. }
            | Self::Ended { session, .. } => *session,
        }
    }
}

/// How a session ended from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Our BYE was answered, whatever the status, or our wish to hang up was met by a refusal.
    HungUp,
    /// Our BYE was not answered within 64*T1.
    ByeUnanswered,
    /// Our 2xx was not acknowledged within 64*T1; a BYE is on its way.
    AckMissing,
    /// We cancelled, and the answer crossed the CANCEL: it was acknowledged, and a BYE is on its
    /// way.
    AnsweredAfterCancel,
    /// The peer knows nothing of the session any more: it answered a request in it with 481.
    Lost,
}
