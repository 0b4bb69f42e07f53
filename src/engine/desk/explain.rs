//! Why a number may or must not be called: which list, which record, which line of the files.
//!
//! The answer is that of the gate, from the same index by the same rule; what is added is only
//! what the records and the configuration say about it.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::campaign::Campaign;
use crate::config::Checked;
use crate::config::Scope;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::suppression::Hit;
use crate::suppression::Index;
use crate::suppression::Origin;
use crate::suppression::export::Entry;
use crate::suppression::list::ListLimitError;
use crate::suppression::policy::checked_lists;

/// Whether a campaign may call a number now, and by what that is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The number, whole: who asks has it already.
    pub number: Number,
    /// The campaign that would call.
    pub campaign: CampaignName,
    /// Its account.
    pub account: AccountName,
    /// Where the campaign's table begins, `file:line`.
    pub campaign_at: String,
    /// What the gate would do.
    pub verdict: Verdict,
    /// Every list that the gate looks at, in its order.
    pub lists: Vec<Look>,
    /// Entries of the number on lists, or for accounts or campaigns, that do not concern this one.
    pub elsewhere: usize,
}

/// What the gate would do with a call to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No list that is looked at holds it.
    MayCall,
    /// At least one does.
    MustNotCall,
}

/// One list as the gate looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The list.
    pub list: ListName,
    /// What people call it.
    pub title: String,
    /// How far its entries reach: `global`, `account` or `campaign`.
    pub scope: String,
    /// Where the list's table begins, `file:line`.
    pub list_at: String,
    /// The line on whose account it is looked at: the campaign's, or that of one of its codes
    /// which adds to the list.
    pub looked_at_by: String,
    /// Why the number is refused on it; nothing when it is not.
    pub hit: Option<Cause>,
}

/// The entry that refuses a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The record behind it; nothing while the number is refused by memory alone.
    pub record: Option<String>,
    /// The account for which it was made.
    pub account: Option<AccountName>,
    /// The campaign in which it was made.
    pub campaign: Option<CampaignName>,
    /// What kind of act it was.
    pub origin: Option<Origin>,
    /// The keys that were pressed.
    pub digits: Option<String>,
    /// The call, as call records name it.
    pub call: Option<String>,
    /// The SIP Call-ID of the leg towards the person.
    pub sip_call_id: Option<String>,
    /// When the key was pressed, or the wish was entered.
    pub pressed_at: Option<UnixMicros>,
    /// Who entered it.
    pub actor: Option<String>,
    /// Why it was entered.
    pub reason: Option<String>,
}

/// Looks at every list as the gate would; `entries` is what is on record of `number`.
pub(super) fn explain(
    checked: &Checked,
    index: &Index,
    campaign: &Campaign,
    number: Number,
    entries: &[Entry],
) -> Result<Explanation, ListLimitError> {
    let add_to = campaign.codes.iter().flat_map(|code| &code.add_to);
    let mut lists = Vec::new();
    for list in checked_lists(&campaign.check, add_to) {
        let mask = index.mask([&list])?;
        let hit = index.check(number, mask, &campaign.account, &campaign.name);
        lists.push(look(checked, campaign, list, hit.map(|hit| cause(hit, entries))));
    }
    let hits = lists.iter().filter(|look| look.hit.is_some()).count();
    let verdict = if hits > 0 { Verdict::MustNotCall } else { Verdict::MayCall };
    Ok(Explanation {
        number,
        campaign: campaign.name.clone(),
        account: campaign.account.clone(),
        campaign_at: campaign.origin.to_string(),
        verdict,
        elsewhere: elsewhere(index, number, &lists),
        lists,
    })
}

/// Entries on lists that do not refuse this campaign's calls.
fn elsewhere(index: &Index, number: Number, lists: &[Look]) -> usize {
    let refuses = |hit: &Hit| lists.iter().any(|look| look.list == hit.list && look.hit.is_some());
    index.explain(number).iter().filter(|hit| !refuses(hit)).count()
}

fn look(checked: &Checked, campaign: &Campaign, list: ListName, hit: Option<Cause>) -> Look {
    let known = checked.lists.get(&list);
    let by_code = campaign.codes.iter().find(|code| code.add_to.contains(&list));
    let by = match by_code {
        Some(code) if !campaign.check.contains(&list) => &code.origin,
        _ => &campaign.origin,
    };
    Look {
        title: known.map_or_else(|| list.to_string(), |known| known.title.clone()),
        scope: known.map_or("global", |known| scope(known.scope)).to_owned(),
        list_at: known.map(|known| known.origin.to_string()).unwrap_or_default(),
        looked_at_by: by.to_string(),
        list,
        hit,
    }
}

const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Global => "global",
        Scope::Account => "account",
        Scope::Campaign => "campaign",
    }
}

fn cause(hit: Hit, entries: &[Entry]) -> Cause {
    let entry = entries.iter().find(|entry| Some(entry.record) == hit.record);
    let optout = entry.map(|entry| &entry.optout);
    let digits = optout.filter(|optout| !optout.digits.is_empty());
    Cause {
        record: hit.record.map(|record| record.to_string()),
        account: hit.account,
        campaign: hit.campaign,
        origin: optout.map(|optout| optout.origin),
        digits: digits.map(|optout| optout.digits.to_string()),
        call: optout.and_then(|optout| optout.call).map(|call| call.to_string()),
        sip_call_id: optout.and_then(|optout| optout.sip_call_id.clone()),
        pressed_at: optout.map(|optout| optout.pressed_at),
        actor: optout.and_then(|optout| optout.actor.clone()),
        reason: optout.and_then(|optout| optout.reason.clone()),
    }
}

impl fmt::Display for Explanation {
    /// For people, with the number whole; not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, campaign) = (self.number.reveal(), &self.campaign);
        match self.verdict {
            Verdict::MayCall => writeln!(f, "{number} may be called by campaign `{campaign}`")?,
            Verdict::MustNotCall => {
                writeln!(f, "{number} must not be called by campaign `{campaign}`")?;
            }
        }
        writeln!(f, "  campaign `{campaign}` of account `{}`, {}", self.account, self.campaign_at)?;
        for look in &self.lists {
            write!(f, "{look}")?;
        }
        if self.lists.is_empty() {
            writeln!(f, "  it looks at no list")?;
        }
        match self.elsewhere {
            0 => Ok(()),
            1 => writeln!(f, "  1 entry elsewhere does not concern this campaign"),
            count => writeln!(f, "  {count} entries elsewhere do not concern this campaign"),
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_on = if self.hit.is_some() { "ON" } else { "not on" };
        let (list, scope, at) = (&self.list, &self.scope, &self.list_at);
        writeln!(f, "  {is_on} list `{list}` ({scope}), {at}, checked by {}", self.looked_at_by)?;
        self.hit.as_ref().map_or(Ok(()), |cause| writeln!(f, "    {cause}"))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(record) = &self.record else {
            return write!(
                f,
                "refused by memory, not on disk: its record failed or is being written"
            );
        };
        match (&self.digits, self.origin) {
            (Some(digits), _) => write!(f, "pressed {digits}")?,
            (None, Some(origin)) => write!(f, "entered ({})", origin.as_str())?,
            (None, None) => write!(f, "entered")?,
        }
        if let Some(campaign) = &self.campaign {
            write!(f, " in campaign `{campaign}`")?;
        }
        if let Some(at) = self.pressed_at {
            write!(f, " at {}", at.iso8601())?;
        }
        if let Some(actor) = &self.actor {
            write!(f, " by {actor}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        if let Some(call) = &self.call {
            write!(f, ", call {call}")?;
        }
        write!(f, ", record {record}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_read_as_sentences() {
        let none = Cause {
            record: None,
            account: None,
            campaign: None,
            origin: None,
            digits: None,
            call: None,
            sip_call_id: None,
            pressed_at: None,
            actor: None,
            reason: None,
        };
        let pressed = Cause {
            record: Some("0123456789abcdef-42".to_owned()),
            campaign: Some("promo".into()),
            origin: Some(Origin::DialledCode),
            digits: Some("*9".to_owned()),
            call: Some("a-call".to_owned()),
            pressed_at: Some(UnixMicros(0)),
            ..none.clone()
        };
        let entered = Cause {
            record: pressed.record.clone(),
            origin: Some(Origin::ManualCli),
            actor: Some("ana".to_owned()),
            reason: Some("a letter".to_owned()),
            ..none.clone()
        };
        #[rustfmt::skip]
        let cases = [
            ("by memory",  none,    "refused by memory, not on disk: its record failed or is being written"),
            ("by a key",   pressed, "pressed *9 in campaign `promo` at 1970-01-01T00:00:00.000000Z, call a-call, record 0123456789abcdef-42"),
            ("by a person", entered, "entered (manual_cli) by ana (a letter), record 0123456789abcdef-42"),
        ];
        for (name, cause, want) in cases {
            assert_eq!(cause.to_string(), want, "{name}");
        }
    }
}
