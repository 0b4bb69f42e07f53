//! What a phone wants sent, and what it says of its call.

use std::net::SocketAddr;
use std::time::Instant;

use super::audio::Heard;

/// What a phone wants sent.
#[derive(Clone, Debug)]
pub enum PhoneOutput {
    /// A SIP datagram from its signalling address.
    Sip(SocketAddr, Vec<u8>),
    /// An RTP packet from its media address.
    Rtp(SocketAddr, Vec<u8>),
}

/// One SIP message or key, for a ladder.
#[derive(Clone, Debug)]
pub struct Trace {
    /// When it was sent or received.
    pub at: Instant,
    /// Whether the phone sent it.
    pub sent: bool,
    /// The start line's essence, such as `INVITE` or `200 OK (INVITE)`.
    pub label: String,
}

/// What became of a call, as this phone saw it.
#[derive(Clone, Debug, Default)]
pub struct PhoneReport {
    /// Final status of the INVITE.
    pub status: Option<u16>,
    /// The outcome header of a refusal or of the other side's BYE.
    pub outcome: Option<String>,
    /// The Reason header beside it.
    pub reason: Option<String>,
    /// When the call was answered.
    pub answered_at: Option<Instant>,
    /// When it ended, and whether the other side ended it.
    pub ended_at: Option<(Instant, bool)>,
    /// What was said in SIP.
    pub trace: Vec<Trace>,
    /// What was sent and heard in RTP.
    pub heard: Heard,
}
