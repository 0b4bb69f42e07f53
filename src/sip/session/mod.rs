//! An INVITE session: one leg of a call, from its INVITE to its BYE (RFC 3261 sections 13 to 15).
//!
//! | phase       | began by              | leaves to                                          |
//! |-------------|-----------------------|----------------------------------------------------|
//! | Ringing     | an INVITE came        | Established by our 2xx; gone by CANCEL, BYE, reject |
//! | Calling     | we sent an INVITE     | Established by a 2xx; Cancelling; gone by >= 300    |
//! | Cancelling  | we cancelled it       | gone by any final response, or 64*T1 without        |
//! | Established | a 2xx                 | Leaving; gone by the peer's BYE or a missing ACK    |
//! | Leaving     | our BYE was sent      | Departed by its answer or the peer's BYE; gone by its timeout |
//! | Departed    | either side's BYE     | gone after [`late::LATE_MAX`]                       |
//!
//! Here is what a session remembers and the small decisions that need nothing else; the endpoint
//! moves it along, since each step sends messages.

pub(crate) mod late;
pub(crate) mod uac;
pub(crate) mod uas;

use std::time::Instant;

use crate::sip::dialog::Dialog;
use crate::sip::dialog::accept_cseq;
use crate::sip::endpoint::Headers;
use crate::sip::ids::ListenerId;
use crate::sip::ids::TransactionId;
use crate::sip::transaction::earlier;

use late::Late;
use uac::EarlyDialog;
use uas::Unacknowledged;

/// Most requests of one session that may wait for an answer of the room above. Ours: a person
/// presses no more keys in a round trip, and each waits for microseconds.
pub(crate) const PENDING_MAX: usize = 8;

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// An INVITE came and waits for our final response.
    Ringing,
    /// Our INVITE waits for its final response.
    Calling,
    /// So does it, but we have cancelled it.
    Cancelling,
    /// Answered.
    Established,
    /// Our BYE waits for its answer.
    Leaving,
    /// Over, save for an INFO that its end has overtaken.
    Departed,
}

/// What a session remembers.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where it is spoken.
    pub(crate) listener: ListenerId,
    /// The secret part of our tag.
    pub(crate) secret: u64,
    /// Its Call-ID.
    pub(crate) call_id: Box<[u8]>,
    /// Where it is.
    pub(crate) phase: Phase,
    /// Its dialog; none while our INVITE is unanswered.
    pub(crate) dialog: Option<Dialog>,
    /// The early dialogs of our INVITE, in the order in which their tags were seen.
    pub(crate) early: Vec<EarlyDialog>,
    /// The transaction of the INVITE that opened it.
    pub(crate) invite: TransactionId,
    /// Requests of the peer that the room above has not answered yet.
    pub(crate) pending: Vec<TransactionId>,
    /// Our 2xx that waits for its ACK.
    pub(crate) unacknowledged: Option<Unacknowledged>,
    /// What our BYE will say once the ACK is there (section 15).
    pub(crate) farewell: Option<Headers>,
    /// When our INVITE is given up.
    pub(crate) ring_end: Option<Instant>,
    /// When our provisional response is sent once more, so that no proxy gives the call up.
    pub(crate) extend_at: Option<Instant>,
    /// What is still listened for once the session is over.
    pub(crate) late: Option<Late>,
    /// The deadline that the timer queue knows of.
    pub(crate) armed: Option<Instant>,
}

impl Session {
    /// A session of this phase without anything else.
    pub(crate) fn new(
        listener: ListenerId,
        secret: u64,
        call_id: &[u8],
        phase: Phase,
        invite: TransactionId,
    ) -> Self {
        Self {
            listener,
            secret,
            call_id: call_id.into(),
            phase,
            dialog: None,
            early: Vec::new(),
            invite,
            pending: Vec::new(),
            unacknowledged: None,
            farewell: None,
            ring_end: None,
            extend_at: None,
            late: None,
            armed: None,
        }
    }

    /// Whether a request with this Call-ID and From tag is the peer's: both must be those that
    /// the peer chose, beside our tag that led here.
    pub(crate) fn is_with(&self, call_id: &[u8], remote_tag: &[u8]) -> bool {
        let knows_tag = match &self.dialog {
            Some(dialog) => *dialog.remote_tag == *remote_tag,
            None => self.early.iter().any(|early| *early.tag == *remote_tag),
        };
        knows_tag && *self.call_id == *call_id
    }

    /// The CSeq of the peer's last request in the dialog.
    pub(crate) fn remote_cseq(&self) -> Option<u32> {
        self.dialog.as_ref().and_then(|dialog| dialog.remote_cseq)
    }

    /// Takes note of the CSeq of a request; false when it is stale (section 12.2.2).
    pub(crate) fn accept_cseq(&mut self, remote_tag: &[u8], number: u32) -> bool {
        match &mut self.dialog {
            Some(dialog) => dialog.accept_cseq(number),
            None => self
                .early
                .iter_mut()
                .find(|early| *early.tag == *remote_tag)
                .is_some_and(|early| accept_cseq(&mut early.remote_cseq, number)),
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let acknowledge = self.unacknowledged.as_ref().map(Unacknowledged::poll_timeout);
        let late = self.late.as_ref().map(Late::poll_timeout);
        earlier(earlier(acknowledge, self.ring_end), earlier(self.extend_at, late))
    }
}
