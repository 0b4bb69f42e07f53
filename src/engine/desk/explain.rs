//! Why a number may or must not be called: which list, which record, which line of the files.
//!
//! The answer is that of the gate, from the same index by the same function,
//! [`crate::call::Checks::objection`]; what is added is only what the records and the configuration
//! say about it. Everything on record of the number is in it: what refuses it, what concerns others,
//! and what was reversed. Records that cannot be read now are left out, and that is said: the answer
//! needs none of them.

use serde::Deserialize;
use serde::Serialize;

use crate::call::Moment;
use crate::call::Numbers;
use crate::call::Objection;
use crate::campaign::Campaign;
use crate::campaign::Mode;
use crate::config::Checked;
use crate::config::Scope;
use crate::engine::registries::RegistryStanding;
use crate::engine::registries::RegistryState;
use crate::engine::registries::standing_of;
use crate::engine::rules::checks;
use crate::engine::rules::lists_looked_at;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::suppression::EvidenceDeleted;
use crate::suppression::Hit;
use crate::suppression::Index;
use crate::suppression::Origin;
use crate::suppression::Undone;
use crate::suppression::export::Entry;
use crate::suppression::list::ListLimitError;

#[cfg(test)]
mod tests;
mod text;

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
    /// By what it would refuse, where it would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<Ground>,
    /// For how long, in milliseconds, opt-outs of other engines may be unknown, where that is
    /// longer than is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_ms: Option<u64>,
    /// Why the records could not be read, where they could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// Every list that the gate looks at, in its order.
    pub lists: Vec<Look>,
    /// Every other list that has something on record of the number, by name.
    pub elsewhere: Vec<Aside>,
}

/// By what the gate refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// A short code is called by no campaign: 403.
    ShortCode,
    /// The number stands on a list that counts.
    Suppressed,
    /// Opt-outs of other engines may be unknown here: 503.
    Stale,
    /// A registry is too old: 503.
    StaleRegistry,
}

/// What the gate would do with a call to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It would let it pass.
    MayCall,
    /// It would refuse it.
    MustNotCall,
}

/// One list as the gate looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The list.
    pub list: ListName,
    /// What people call it.
    pub title: String,
    /// How far its entries reach: `global`, `account`, `topic` or `campaign`.
    pub scope: String,
    /// Where the list's table begins, `file:line`.
    pub list_at: String,
    /// The line on whose account it is looked at: the campaign's, or that of one of its codes
    /// which adds to the list.
    pub looked_at_by: String,
    /// How old it is, where it is a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryStanding>,
    /// Why the number is refused on it, as the gate says; nothing when it is not.
    pub hit: Option<Cause>,
    /// Everything on record of the number on this list, the oldest first.
    pub entries: Vec<Told>,
}

impl Look {
    /// Whether it refuses every number, since it is a registry that is too old.
    pub fn is_stale(&self) -> bool {
        self.registry.as_ref().is_some_and(|it| it.state == RegistryState::Refuses)
    }
}

/// A list that the gate does not look at, and on which the number is or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// The list.
    pub list: ListName,
    /// What people call it; nothing for a list that the configuration no longer has.
    pub title: Option<String>,
    /// Everything on record of the number on this list, the oldest first.
    pub entries: Vec<Told>,
}

/// One act that put a number on one list, and what it does there now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The act.
    #[serde(flatten)]
    pub cause: Cause,
    /// What it does.
    pub effect: Effect,
    /// How it was reversed, where it was; more than once where two did so at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reversed: Vec<Undone>,
}

/// What an act does to the calls of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It refuses them.
    Refuses,
    /// It is of another account or campaign, and refuses those, as far as the list's scope says.
    OfOthers,
    /// It is on a list that the campaign does not check.
    Unchecked,
    /// It refuses nobody any more.
    Reversed,
    /// It is on record, and the process that was asked does not know it yet.
    Unknown,
}

/// An act that put a number on a list.
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
    /// The range that the number is in, where it does not stand there by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// When the key was pressed, or the wish was entered.
    pub pressed_at: Option<UnixMicros>,
    /// Who entered it.
    pub actor: Option<String>,
    /// Why it was entered.
    pub reason: Option<String>,
    /// That what proves it was deleted, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_deleted: Option<EvidenceDeleted>,
}

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) checked: &'a Checked,
    pub(super) index: &'a Index,
    pub(super) campaign: &'a Campaign,
    pub(super) number: Number,
    /// What is on record of it.
    pub(super) entries: &'a [Entry],
    pub(super) at: Moment,
}

/// Judges as the gate would and looks at each list. Whether the number is the person's or, in a
/// bridge campaign of people who call, the one that they dial, nobody says: it must pass as both.
pub(super) fn explain(question: &Question<'_>) -> Result<Explanation, ListLimitError> {
    let &Question { checked, index, campaign, number, entries, at } = question;
    let dialled = (campaign.mode == Mode::Bridge).then_some(number);
    let numbers = Numbers { person: number, dialled };
    let objection = checks(checked, campaign, index)?.objection(index, campaign, numbers, at);
    let ground = objection.map(|objection| match objection {
        Objection::ShortCode => Ground::ShortCode,
        Objection::Suppressed(_) => Ground::Suppressed,
        Objection::Stale => Ground::Stale,
        Objection::StaleRegistry(_) => Ground::StaleRegistry,
    });
    let looked_at = lists_looked_at(checked, campaign);
    let known = Known { checked, index, campaign, entries, hits: index.explain(number) };
    let mut lists = Vec::new();
    for list in &looked_at {
        let mask = index.mask([list])?;
        let hit = index.check(number, mask, &campaign.account, &campaign.name);
        let look = known.look(list, hit.map(|hit| known.cause_of(&hit)));
        let standing = |known| standing_of(known, index, Some(&campaign.account));
        lists.push(Look { registry: checked.lists.get(list).and_then(standing), ..look });
    }
    let verdict = if ground.is_some() { Verdict::MustNotCall } else { Verdict::MayCall };
    Ok(Explanation {
        number,
        campaign: campaign.name.clone(),
        account: campaign.account.clone(),
        campaign_at: campaign.origin.to_string(),
        verdict,
        ground,
        stale_ms: None,
        unread: None,
        elsewhere: known.elsewhere(&looked_at),
        lists,
    })
}

/// What is known of a number, by the files, the records and the index.
struct Known<'a> {
    checked: &'a Checked,
    index: &'a Index,
    campaign: &'a Campaign,
    entries: &'a [Entry],
    /// All that refuses it in this process.
    hits: Vec<Hit>,
}

impl Known<'_> {
    fn look(&self, list: &ListName, hit: Option<Cause>) -> Look {
        let known = self.checked.lists.get(list);
        let by_code = self.campaign.codes.iter().find(|code| code.add_to.contains(list));
        let by = match by_code {
            Some(code) if !self.campaign.check.contains(list) => &code.origin,
            _ => &self.campaign.origin,
        };
        Look {
            title: known.map_or_else(|| list.to_string(), |known| known.title.clone()),
            scope: known.map_or("global", |known| scope(known.scope)).to_owned(),
            list_at: known.map(|known| known.origin.to_string()).unwrap_or_default(),
            looked_at_by: by.to_string(),
            list: list.clone(),
            registry: None,
            hit,
            entries: self.told(list, true),
        }
    }

    /// Lists that are not among `looked_at`, with what is on record there.
    fn elsewhere(&self, looked_at: &[ListName]) -> Vec<Aside> {
        let on_record = self.entries.iter().flat_map(|entry| &entry.optout.lists);
        let mut lists: Vec<&ListName> =
            on_record.chain(self.hits.iter().map(|hit| &hit.list)).collect();
        lists.retain(|list| !looked_at.contains(list));
        lists.sort_unstable();
        lists.dedup();
        let aside = |list: &ListName| Aside {
            list: list.clone(),
            title: self.checked.lists.get(list).map(|known| known.title.clone()),
            entries: self.told(list, false),
        };
        lists.into_iter().map(aside).collect()
    }

    /// What is on record on `list`, and behind it what only memory knows.
    fn told(&self, list: &ListName, is_checked: bool) -> Vec<Told> {
        let of_list = self.entries.iter().filter(|entry| entry.optout.lists.contains(list));
        let on_record = of_list.map(|entry| {
            let its: Vec<Undone> =
                entry.reversed.iter().filter(|undone| undone.list == *list).cloned().collect();
            // The closest of several ranges of one import comes last.
            let by = self.hits.iter().rfind(|hit| hit.record == Some(entry.record));
            let range = by.and_then(|hit| hit.range).map(|range| range.to_string());
            let cause = Cause { range, ..cause(entry) };
            let effect = if !its.is_empty() {
                Effect::Reversed
            } else {
                let its = |hit: &&Hit| hit.list == *list && hit.record == Some(entry.record);
                let hit = self.hits.iter().find(its);
                hit.map_or(Effect::Unknown, |hit| self.effect(hit, is_checked))
            };
            Told { cause, effect, reversed: its }
        });
        let is_on_record =
            |hit: &&Hit| self.entries.iter().any(|entry| Some(entry.record) == hit.record);
        let beside = self.hits.iter().filter(|hit| hit.list == *list && !is_on_record(hit));
        let in_memory = beside.map(|hit| {
            let cause = self.cause_of(hit);
            let effect = self.effect(hit, is_checked);
            Told { cause, effect, reversed: Vec::new() }
        });
        on_record.chain(in_memory).collect()
    }

    /// What an act that still holds does to the campaign's calls.
    fn effect(&self, hit: &Hit, is_checked: bool) -> Effect {
        let campaign = self.campaign;
        match (is_checked, self.index.concerns(hit, &campaign.account, &campaign.name)) {
            (false, _) => Effect::Unchecked,
            (true, false) => Effect::OfOthers,
            (true, true) => Effect::Refuses,
        }
    }

    /// The act behind what the index says, as far as it is on record.
    fn cause_of(&self, hit: &Hit) -> Cause {
        let entry = self.entries.iter().find(|entry| Some(entry.record) == hit.record);
        let act = entry.map_or_else(
            || Cause {
                record: hit.record.map(|record| record.to_string()),
                account: hit.account.clone(),
                campaign: hit.campaign.clone(),
                origin: None,
                digits: None,
                call: None,
                sip_call_id: None,
                range: None,
                pressed_at: None,
                actor: None,
                reason: None,
                evidence_deleted: None,
            },
            cause,
        );
        Cause { range: hit.range.map(|range| range.to_string()), ..act }
    }
}

const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Global => "global",
        Scope::Account => "account",
        Scope::Topic => "topic",
        Scope::Campaign => "campaign",
    }
}

fn cause(entry: &Entry) -> Cause {
    let optout = &entry.optout;
    Cause {
        record: Some(entry.record.to_string()),
        account: optout.account.clone(),
        campaign: optout.campaign.clone(),
        origin: Some(optout.origin),
        digits: (!optout.digits.is_empty()).then(|| optout.digits.to_string()),
        call: optout.call.map(|call| call.to_string()),
        sip_call_id: optout.sip_call_id.clone(),
        range: None,
        pressed_at: Some(optout.pressed_at),
        actor: optout.actor.clone(),
        reason: optout.reason.clone(),
        evidence_deleted: entry.evidence_deleted,
    }
}
