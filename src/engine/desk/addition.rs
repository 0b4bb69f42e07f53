//! An opt-out entered by hand: what was typed, judged whole before anything is done.

use serde::Deserialize;
use serde::Serialize;

use super::DeskError;
use super::names::campaign_of;
use super::names::read_number;
use super::names::unknown;
use crate::config::Checked;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::net::clock;
use crate::suppression::OptOut;
use crate::suppression::Origin;

/// Longest actor or reason, in bytes: they stand in the record, whose size the journal bounds.
pub const NOTE_LEN_MAX: usize = 1024;

/// An opt-out to enter by hand, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addition {
    /// The number, in any form that the node's default region knows.
    pub number: String,
    /// The lists, at least one.
    pub lists: Vec<ListName>,
    /// For whose calls; nothing means for everybody's, or those of the campaign's account.
    pub account: Option<AccountName>,
    /// In which campaign, where it was one.
    pub campaign: Option<CampaignName>,
    /// Why.
    pub reason: Option<String>,
    /// Who enters it.
    pub actor: Option<String>,
}

/// Proof of an opt-out that was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The number as it was read.
    pub number: Number,
    /// The lists it is on now.
    pub lists: Vec<ListName>,
    /// The record.
    pub record: String,
    /// When it was known to be on disk.
    pub durable_at: UnixMicros,
    /// Whether the database that other engines share did not have it yet: until it does, they do
    /// not know of it.
    #[serde(default)]
    pub is_pending: bool,
}

/// Whether `addition` makes sense, before anything is opened for it.
///
/// # Errors
///
/// As [`super::Desk::add`] for what was typed wrong.
pub fn judge(checked: &Checked, addition: &Addition) -> Result<(), DeskError> {
    taken_down(checked, addition.clone()).map(drop)
}

/// The opt-out of what was typed, once all of it makes sense.
pub(super) fn taken_down(checked: &Checked, addition: Addition) -> Result<OptOut, DeskError> {
    let Addition { number, lists, account, campaign, reason, actor } = addition;
    let number = read_number(checked, &number)?;
    if let Some(list) = lists.iter().find(|list| !checked.lists.contains_key(*list)) {
        return Err(unknown("list", list.as_str(), checked.lists.keys().map(ListName::as_str)));
    }
    if let Some(list) = lists.iter().find(|list| is_registry(checked, list)) {
        return Err(DeskError::Registry { list: list.clone() });
    }
    if lists.is_empty() {
        return Err(DeskError::NoList);
    }
    let account = account_of(checked, account, campaign.as_ref())?;
    let notes = [&reason, &actor].into_iter().flatten();
    if let Some(found) = notes.map(String::len).find(|&len| len > NOTE_LEN_MAX) {
        return Err(DeskError::Long { found });
    }
    let about = campaign.as_ref().and_then(|name| checked.campaigns.get(name));
    let topic = about.and_then(|campaign| campaign.topic.clone());
    Ok(OptOut {
        account,
        campaign,
        topic,
        actor,
        reason,
        ..OptOut::new(
            number,
            lists,
            Origin::ManualCli,
            checked.node.name.clone(),
            clock::unix_now(),
        )
    })
}

/// Whether a list is a registry's, which is filled by imports alone.
fn is_registry(checked: &Checked, list: &ListName) -> bool {
    checked.lists.get(list).is_some_and(|list| list.registry.is_some())
}

/// Whether a campaign is of the account `named`, where one is named.
pub(super) fn account_known(
    checked: &Checked,
    named: Option<&AccountName>,
) -> Result<(), DeskError> {
    let mut accounts = checked.campaigns.iter().map(|campaign| &campaign.account);
    match named.filter(|named| !accounts.any(|known| known == *named)) {
        Some(named) => {
            let known = checked.campaigns.iter().map(|campaign| campaign.account.as_str());
            Err(unknown("account", named.as_str(), known))
        }
        None => Ok(()),
    }
}

/// The account an entry is for: that of its campaign, or the one named.
fn account_of(
    checked: &Checked,
    named: Option<AccountName>,
    campaign: Option<&CampaignName>,
) -> Result<Option<AccountName>, DeskError> {
    account_known(checked, named.as_ref())?;
    let Some(campaign) = campaign else { return Ok(named) };
    let campaign = campaign_of(checked, campaign)?;
    match named {
        Some(named) if named != campaign.account => Err(DeskError::OtherAccount {
            campaign: campaign.name.clone(),
            account: campaign.account.clone(),
        }),
        _ => Ok(Some(campaign.account.clone())),
    }
}
