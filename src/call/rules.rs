//! What calls are decided by: one immutable snapshot of the configuration.
//!
//! A reload makes a new snapshot; a running call keeps the one it started with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::campaign::Campaigns;
use crate::campaign::PromptName;
use crate::media::prompt::Prompt;
use crate::menu;
use crate::menu::CodeBook;
use crate::menu::Matcher;
use crate::model::CampaignName;
use crate::model::Codec;
use crate::model::DialerName;
use crate::model::Network;
use crate::model::NodeName;
use crate::model::TrunkName;
use crate::model::number::NumberReader;
use crate::sip::ListenerId;
use crate::suppression::ListMask;

use super::judgement::Checks;

/// Those of a campaign that there is none of.
static NO_CHECKS: Checks =
    Checks { called: ListMask::NONE, calling: ListMask::NONE, registries: Vec::new() };

/// Everything that decides what happens to a call.
#[derive(Debug)]
pub struct Rules {
    /// This engine's name, as it stands in every record.
    pub node: NodeName,
    /// The campaigns, each with its response codes.
    pub campaigns: Arc<Campaigns>,
    /// What is worked out of each campaign once.
    pub compiled: BTreeMap<CampaignName, Compiled>,
    /// Who may send calls, in the order of the configuration; networks do not overlap.
    pub dialers: Vec<Arc<Dialer>>,
    /// The ways to a carrier.
    pub trunks: BTreeMap<TrunkName, Arc<Trunk>>,
    /// The prompts that campaigns name, by name.
    pub prompts: BTreeMap<PromptName, Arc<Prompt>>,
    /// The ceilings and patience of this engine.
    pub limits: Limits,
    /// How much audio around a press is kept as evidence; none unless the operator wants it.
    pub audio: Option<AudioSpan>,
    /// The digest of the configuration files, kept in each call record.
    pub config_hash: Arc<str>,
}

/// What a call needs of its campaign, worked out once.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The codes as the matcher wants them; nothing where the campaign listens for none.
    pub book: Option<Arc<CodeBook>>,
    /// How long keys are waited for.
    pub listening: menu::Settings,
    /// What its calls are checked against.
    pub checks: Checks,
}

/// The ceilings and patience of an engine.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most calls at once; the next INVITE is answered 503.
    pub calls_max: usize,
    /// Longest call; a campaign may say less.
    pub call_max: Duration,
    /// How long after a hang-up packets already on their way still count. Issue's figure: 500 ms.
    pub linger: Duration,
    /// How long the person waits in silence for the record to become durable before the fallback
    /// prompt. Our choice: 2 s, four times the worst stall of a loaded disk that we measured.
    pub commit_max: Duration,
}

/// How much audio around a press is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpan {
    /// Before the press, up to [`crate::media::clip::SIDE_MAX`].
    pub before: Duration,
    /// Behind it, likewise.
    pub after: Duration,
}

/// Somebody who may send calls, known by source address.
#[derive(Debug)]
pub struct Dialer {
    /// The name in the configuration and in the records.
    pub name: DialerName,
    /// The addresses it sends from.
    pub allow: Vec<Network>,
    /// Most calls at once; the next one is answered 503.
    pub channels_max: usize,
    /// Reads the numbers it sends, with its default region.
    pub numbers: NumberReader,
    /// How a suppressed number is refused.
    pub refusal: Refusal,
    /// The header under which it is told the outcome of a call.
    pub outcome_header: String,
}

/// How a dialer wants to be told that a number is suppressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// SIP status, 400 to 699.
    pub status: u16,
    /// Reason phrase; never Network Blocked, which is another's word (603+).
    pub phrase: String,
    /// Value of the Reason header (RFC 3326), if one is sent.
    pub reason: Option<String>,
}

impl Default for Refusal {
    fn default() -> Self {
        Self {
            status: 603,
            phrase: "Decline".to_owned(),
            reason: Some("Q.850;cause=21;text=\"Call rejected\"".to_owned()),
        }
    }
}

/// A way to a carrier.
#[derive(Debug)]
pub struct Trunk {
    /// The name in the configuration and in the records.
    pub name: TrunkName,
    /// Where its INVITEs go.
    pub remote: SocketAddr,
    /// The socket they leave from.
    pub listener: ListenerId,
    /// Most calls at once.
    pub channels_max: usize,
    /// The codecs it speaks, in its order.
    pub codecs: Vec<Codec>,
    /// The only caller numbers that the carrier takes; empty takes any.
    pub caller_ids: Vec<String>,
}

impl Trunk {
    /// Whether the carrier takes calls that show `caller`; numbers are compared by their digits.
    pub fn takes_caller(&self, caller: &str) -> bool {
        let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).collect::<Vec<u8>>();
        let caller = digits(caller);
        self.caller_ids.is_empty() || self.caller_ids.iter().any(|known| digits(known) == caller)
    }
}

impl Rules {
    /// The dialer that sends from `source`.
    pub fn dialer_at(&self, source: IpAddr) -> Option<&Arc<Dialer>> {
        self.dialers.iter().find(|dialer| dialer.allow.iter().any(|net| net.contains(source)))
    }

    /// What calls of `campaign` are checked against.
    pub(super) fn checks(&self, campaign: &CampaignName) -> &Checks {
        self.compiled.get(campaign).map_or(&NO_CHECKS, |compiled| &compiled.checks)
    }

    /// A matcher for a call of `campaign`; nothing where the campaign listens for no code.
    pub fn matcher(&self, campaign: &CampaignName) -> Option<Matcher> {
        let compiled = self.compiled.get(campaign)?;
        let book = compiled.book.as_ref()?;
        Some(Matcher::new(Arc::clone(book), compiled.listening))
    }

    /// The prompt called `name`; the configuration check has seen that it exists.
    pub fn prompt(&self, name: &PromptName) -> Option<Arc<Prompt>> {
        self.prompts.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_takes_the_callers_it_names() {
        let trunk = |caller_ids: &[&str]| Trunk {
            name: "carrier".into(),
            remote: SocketAddr::from(([192, 0, 2, 1], 5060)),
            listener: ListenerId(0),
            channels_max: 1,
            codecs: Vec::new(),
            caller_ids: caller_ids.iter().map(|&id| id.to_owned()).collect(),
        };
        let cases = [
            ("a trunk that names nobody takes everybody", &[][..], "anonymous", true),
            ("the number itself", &["+34910000001"], "+34910000001", true),
            ("the number without its plus", &["+34910000001"], "34910000001", true),
            ("the number with its separators", &["+34 910 000 001"], "+34910000001", true),
            ("another number", &["+34910000001"], "+34910000002", false),
            ("no number at all", &["+34910000001"], "anonymous", false),
        ];
        for (name, known, caller, want) in cases {
            assert_eq!(trunk(known).takes_caller(caller), want, "{name}");
        }
    }
}
