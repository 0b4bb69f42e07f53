//! The opt-out: who must not be called again, on which lists, and how we know.

use serde::{Deserialize, Serialize};

use crate::model::AccountName;
use crate::model::CallId;
use crate::model::CampaignName;
use crate::model::DialerName;
use crate::model::Digit;
use crate::model::Digits;
use crate::model::ListName;
use crate::model::NodeName;
use crate::model::Number;
use crate::model::TopicName;
use crate::model::TrunkName;
use crate::model::UnixMicros;

/// One person's wish, as it was expressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptOut {
    /// The person's number.
    pub number: Number,
    /// The lists it is added to, at least one.
    pub lists: Vec<ListName>,
    /// The account of the campaign, where there was one.
    pub account: Option<AccountName>,
    /// The campaign whose call it was, where there was one.
    pub campaign: Option<CampaignName>,
    /// What that campaign was about then, where it named a topic: the wish holds for that topic too,
    /// whatever the campaign is about later. Records from before there were topics have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicName>,
    /// The dialer that sent the call.
    pub dialer: Option<DialerName>,
    /// The trunk over which the person was reached.
    pub trunk: Option<TrunkName>,
    /// The keys pressed; empty where none were.
    pub digits: Digits,
    /// How the keys reached us, by the first that was heard.
    pub method: Option<KeyMethod>,
    /// What kind of act it was.
    pub origin: Origin,
    /// The SIP Call-ID of the leg towards the person.
    pub sip_call_id: Option<String>,
    /// The leg on which the keys were heard.
    pub leg: Option<Leg>,
    /// The engine that took it down.
    pub node: NodeName,
    /// The call.
    pub call: Option<CallId>,
    /// SHA-256 of the audio that offered the code.
    pub prompt_sha256: Option<[u8; 32]>,
    /// What was heard of each key, in order.
    pub key_events: Vec<KeyEvidence>,
    /// Who entered it, for the manual origins.
    pub actor: Option<String>,
    /// Why, for the manual origins.
    pub reason: Option<String>,
    /// When the last key was pressed, or the wish was entered.
    pub pressed_at: UnixMicros,
}

impl OptOut {
    /// The wish of `number` for `lists`, of which nothing is known but its kind, who took it down
    /// and when it was expressed: no call, no keys, nobody who entered it.
    pub fn new(
        number: Number,
        lists: Vec<ListName>,
        origin: Origin,
        node: NodeName,
        pressed_at: UnixMicros,
    ) -> Self {
        Self {
            number,
            lists,
            account: None,
            campaign: None,
            topic: None,
            dialer: None,
            trunk: None,
            digits: Digits::default(),
            method: None,
            origin,
            sip_call_id: None,
            leg: None,
            node,
            call: None,
            prompt_sha256: None,
            key_events: Vec::new(),
            actor: None,
            reason: None,
            pressed_at,
        }
    }
}

/// The way of a key to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyMethod {
    /// RFC 4733 telephone-event.
    Event,
    /// Tones in the audio.
    Tone,
    /// SIP INFO.
    Info,
}

impl KeyMethod {
    /// The name in records, columns and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Tone => "tone",
            Self::Info => "info",
        }
    }
}

/// The kind of act that an opt-out came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A live agent noted it.
    Agent,
    /// The person called back.
    Callback,
    /// The person pressed the code, and the confirming press where one was asked for.
    DialledCode,
    /// The person pressed the code, and did not complete the confirming press.
    DialledUnconfirmed,
    /// A list was imported.
    Import,
    /// Entered over the HTTP interface.
    ManualApi,
    /// Entered on the command line.
    ManualCli,
    /// Entered in the portal.
    ManualWeb,
    /// The called side answered 607 Unwanted, RFC 8197.
    Sip607,
}

impl Origin {
    /// Every origin, in the order of the variants.
    pub const ALL: [Self; 9] = [
        Self::Agent,
        Self::Callback,
        Self::DialledCode,
        Self::DialledUnconfirmed,
        Self::Import,
        Self::ManualApi,
        Self::ManualCli,
        Self::ManualWeb,
        Self::Sip607,
    ];

    /// The name in records, columns, filters and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Callback => "callback",
            Self::DialledCode => "dialled_code",
            Self::DialledUnconfirmed => "dialled_unconfirmed",
            Self::Import => "import",
            Self::ManualApi => "manual_api",
            Self::ManualCli => "manual_cli",
            Self::ManualWeb => "manual_web",
            Self::Sip607 => "sip607",
        }
    }

    /// The origin of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == name)
    }
}

/// A side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// The leg that came to us.
    A,
    /// The leg that we dialled.
    B,
}

impl Leg {
    /// The other side of the call.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The name in columns and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// What was heard of one key, as the detector saw it; the fields that the method has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEvidence {
    /// The key.
    pub digit: Digit,
    /// Its way to us.
    pub method: KeyMethod,
    /// When it was first heard.
    pub at: UnixMicros,
    /// RTP timestamp of the event or of the first sample, RFC 3550.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtp_timestamp: Option<u32>,
    /// RTP sequence number of the packet that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtp_sequence: Option<u16>,
    /// How long it was known to last, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u16>,
    /// Volume of the event, RFC 4733 section 2.3.4, in dBm0 (0 to -63).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_dbm0: Option<i8>,
    /// Level of the low tone in dBm0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_dbm0: Option<i8>,
    /// Level of the high tone in dBm0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_dbm0: Option<i8>,
    /// The detector's confidence, 0 to 100.
    pub confidence: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_serde() {
        for origin in Origin::ALL {
            let json = serde_json::to_string(&origin).unwrap();
            assert_eq!(json, format!("\"{}\"", origin.as_str()));
            assert_eq!(Origin::from_name(origin.as_str()), Some(origin));
        }
        for method in [KeyMethod::Event, KeyMethod::Tone, KeyMethod::Info] {
            assert_eq!(serde_json::to_string(&method).unwrap(), format!("\"{}\"", method.as_str()));
        }
        assert_eq!(serde_json::to_string(&Leg::B).unwrap(), format!("\"{}\"", Leg::B.as_str()));
        assert_eq!(Origin::from_name("telepathy"), None);
    }
}
