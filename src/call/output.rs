//! What the calls of a shard ask of their driver.

use std::time::Instant;

use serde::Deserialize;
use serde::Serialize;

use super::voice::VoiceCommand;
use super::voice::VoiceId;
use crate::campaign::Mode;
use crate::media::clip::Clip;
use crate::model::CallId;
use crate::model::CampaignName;
use crate::model::DialerName;
use crate::model::Digits;
use crate::model::ListName;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::record::Cdr;
use crate::sip::ListenerId;
use crate::sip::Transmit;
use crate::suppression::Fact;
use crate::suppression::Origin;

/// What the driver has to do.
#[derive(Debug)]
pub enum Output {
    /// Send a SIP datagram.
    Transmit(Transmit),
    /// Open RTP ports for a new call, then say so with [`super::Calls::handle_voice_opened`].
    OpenVoice {
        /// The call's media.
        voice: VoiceId,
        /// Which call it is, for people who watch.
        call: Box<LiveCall>,
        /// How many legs it has, 1 or 2.
        legs_count: u8,
        /// The listener that each leg's signalling runs over: its media stands beside it.
        listeners: [ListenerId; 2],
    },
    /// Tell a call's media something.
    Voice {
        /// The call.
        voice: VoiceId,
        /// What it is told.
        command: VoiceCommand,
    },
    /// Make a fact durable, then say so with [`super::Calls::handle_acknowledgement`].
    Submit {
        /// Comes back with the acknowledgement.
        token: u64,
        /// The fact.
        fact: Box<Fact>,
    },
    /// Keep the audio around a press as evidence, in a moment: nobody waits for it.
    KeepAudio {
        /// The opt-out that the press made, durable.
        record: RecordId,
        /// The audio; nothing where none was heard although it was wanted.
        clip: Option<Box<Clip>>,
    },
    /// Keep a call record.
    Record(Box<Cdr>),
    /// Count something.
    Measure(Measure),
}

/// A call in progress, as it is shown to people. It names no number of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCall {
    /// As its record will name it.
    pub call: CallId,
    /// Who sent it.
    pub dialer: DialerName,
    /// What it belongs to.
    pub campaign: CampaignName,
    /// What becomes of it.
    pub mode: Mode,
    /// The Call-ID of the dialer's leg.
    pub sip_call_id: String,
    /// When its INVITE came.
    pub began_at: UnixMicros,
}

/// What is worth counting and is in no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// An opt-out became durable.
    Committed {
        /// When the key was pressed.
        pressed_at: Instant,
        /// Whether the confirming press came, where one was asked for.
        origin: Origin,
        /// The lists.
        lists: Vec<ListName>,
        /// The campaign.
        campaign: CampaignName,
        /// The keys.
        digits: Digits,
    },
    /// An opt-out could not be made durable, or not in time: an alarm.
    NotRecorded,
    /// An INVITE of somebody who is no dialer of ours was refused; it leaves no record, so that a
    /// flood fills no disk.
    Stranger,
    /// Keys that are no code of the campaign.
    WrongCode,
    /// A call's step panicked, and the call is lost.
    CallLost,
}
