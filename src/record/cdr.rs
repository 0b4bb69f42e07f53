//! The call record: one for each call that asked to come in, answered or not.
//!
//! Call records are for reports. They are written in batches and may be lost in a crash, which
//! opt-outs may not.

use serde::{Deserialize, Serialize};

use crate::model::AccountName;
use crate::model::CallId;
use crate::model::CampaignName;
use crate::model::DialerName;
use crate::model::ListName;
use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::TrunkName;
use crate::model::UnixMicros;

/// How a campaign treats its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallMode {
    /// The call is passed on over a trunk.
    Bridge,
    /// We answer and play prompts.
    Ivr,
}

impl CallMode {
    /// The name in columns and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Ivr => "ivr",
        }
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Answered, and ended without an opt-out.
    Answered,
    /// The called side was busy.
    Busy,
    /// The caller gave up before the answer.
    Cancelled,
    /// It could not be carried: no trunk, no media, an error of either side.
    Failed,
    /// Nobody answered in time.
    NoAnswer,
    /// The person opted out and the ledger could not keep it.
    NotRecorded,
    /// The person opted out.
    OptedOut,
    /// Turned away for another reason than a list: unknown dialer or campaign, bad number, limit.
    Refused,
    /// Turned away since the number stands on a list.
    Suppressed,
}

impl Disposition {
    /// The name in columns, metrics and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::NoAnswer => "no_answer",
            Self::NotRecorded => "not_recorded",
            Self::OptedOut => "opted_out",
            Self::Refused => "refused",
            Self::Suppressed => "suppressed",
        }
    }
}

/// How many keys were heard in a call, by the method that was heard first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounts {
    /// RFC 4733 telephone-events.
    pub event: u32,
    /// Tones.
    pub tone: u32,
    /// SIP INFO.
    pub info: u32,
}

/// One leg of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegRecord {
    /// Its SIP Call-ID.
    pub sip_call_id: String,
    /// From answer to end, in milliseconds; `None` when it was never answered.
    pub talk_ms: Option<u64>,
    /// The final SIP status of its INVITE.
    pub sip_status: Option<u16>,
    /// The Reason header that ended it, RFC 3326.
    pub reason: Option<String>,
    /// RTP packets that came from it and were believed.
    pub rtp_received: u64,
    /// RTP packets that were sent to it.
    pub rtp_sent: u64,
}

/// One call, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cdr {
    /// The call.
    pub call: CallId,
    /// The engine that carried it.
    pub node: NodeName,
    /// Who sent it; `None` for a stranger.
    pub dialer: Option<DialerName>,
    /// The campaign it belonged to, where one was found.
    pub campaign: Option<CampaignName>,
    /// That campaign's account.
    pub account: Option<AccountName>,
    /// The trunk it left by.
    pub trunk: Option<TrunkName>,
    /// How it was treated.
    pub mode: Option<CallMode>,
    /// The person's number, where one could be read.
    pub number: Option<Number>,
    /// What became of it.
    pub disposition: Disposition,
    /// The list that refused it, for [`Disposition::Suppressed`].
    pub list: Option<ListName>,
    /// The opt-out that came of it, or that refused it.
    pub record: Option<RecordId>,
    /// The final SIP status that the caller got.
    pub sip_status: Option<u16>,
    /// The Reason given to or by the caller, RFC 3326.
    pub reason: Option<String>,
    /// When the INVITE came.
    pub started_at: UnixMicros,
    /// When it was answered.
    pub answered_at: Option<UnixMicros>,
    /// When its last leg was gone.
    pub ended_at: UnixMicros,
    /// The leg that came to us.
    pub a: LegRecord,
    /// The leg that we dialled, in `bridge` mode.
    pub b: Option<LegRecord>,
    /// Keys heard.
    pub keys: KeyCounts,
}
