//! What proves a record, apart from what refuses by it.
//!
//! The number, the lists and whose calls they reach are kept for ever: somebody is refused by them.
//! All else that is personal proves how the record came about, and is kept for as long as
//! [`super::Retention`] says. So a database has it in rows of its own, which can go by themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::RecordId;
use crate::model::UnixMicros;

use super::erasure::ErasureCause;
use super::fact::Fact;
use super::optout::KeyEvidence;
use super::optout::OptOut;
use super::reversal::Reversal;

/// The personal fields of a record, the number excepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// [`OptOut::sip_call_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_call_id: Option<String>,
    /// [`OptOut::key_events`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_events: Vec<KeyEvidence>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Evidence {
    /// That of `fact`; nothing where it has none, or is of a kind that has none.
    pub fn of(fact: &Fact) -> Option<Self> {
        let evidence = match fact {
            Fact::OptOut(optout) => Self {
                sip_call_id: optout.sip_call_id.clone(),
                key_events: optout.key_events.clone(),
                actor: optout.actor.clone(),
                reason: optout.reason.clone(),
            },
            Fact::Reversal(reversal) => Self {
                actor: reversal.actor.clone(),
                reason: Some(reversal.reason.clone()).filter(|reason| !reason.is_empty()),
                ..Self::default()
            },
            Fact::Audio(_)
            | Fact::Checkpoint(_)
            | Fact::Confirmed(_)
            | Fact::Erasure(_)
            | Fact::Import(_) => return None,
        };
        Some(evidence).filter(|evidence| *evidence != Self::default())
    }

    /// Puts it back where [`outline_of_optout`] has taken it from.
    pub fn complete_optout(self, optout: &mut OptOut) {
        let Self { sip_call_id, key_events, actor, reason } = self;
        optout.sip_call_id = sip_call_id;
        optout.key_events = key_events;
        optout.actor = actor;
        optout.reason = reason;
    }

    /// Puts it back where [`outline_of_reversal`] has taken it from.
    pub fn complete_reversal(self, reversal: &mut Reversal) {
        reversal.actor = self.actor;
        reversal.reason = self.reason.unwrap_or_default();
    }
}

/// `optout` without its evidence: what is left of it in the end.
pub fn outline_of_optout(optout: &OptOut) -> OptOut {
    let mut outline = optout.clone();
    Evidence::default().complete_optout(&mut outline);
    outline
}

/// `reversal` without its evidence; its reason is empty.
pub fn outline_of_reversal(reversal: &Reversal) -> Reversal {
    let mut outline = reversal.clone();
    Evidence::default().complete_reversal(&mut outline);
    outline
}

/// That a record's evidence is gone, as people ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceDeleted {
    /// When.
    pub at: UnixMicros,
    /// What for.
    pub cause: ErasureCause,
    /// The erasure's own record, in its text form.
    #[serde(with = "crate::model::record_text")]
    pub record: RecordId,
}

impl fmt::Display for EvidenceDeleted {
    /// `its evidence was deleted on 2031-11-22 by retention policy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.iso8601();
        let day = at.split('T').next().unwrap_or_default();
        let by = match self.cause {
            ErasureCause::Request => "by request",
            ErasureCause::Retention => "by retention policy",
        };
        write!(f, "its evidence was deleted on {day} {by}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WriterId;

    #[test]
    fn what_is_gone_is_told_by_its_day_and_cause() {
        let record = RecordId { writer: WriterId(1), seq: 2 };
        let told = |cause| {
            EvidenceDeleted { at: UnixMicros(1_795_293_016_000_123), cause, record }.to_string()
        };
        let want = "its evidence was deleted on 2026-11-21 by retention policy";
        assert_eq!(told(ErasureCause::Retention), want);
        assert_eq!(
            told(ErasureCause::Request),
            "its evidence was deleted on 2026-11-21 by request"
        );
    }
}
