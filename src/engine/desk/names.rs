//! Names and numbers as people type them, against those that the configuration knows.

use super::DeskError;
use crate::campaign::Campaign;
use crate::config::Checked;
use crate::config::nearest;
use crate::model::CampaignName;
use crate::model::Number;
use crate::model::NumberReader;
use crate::store::NumberChoice;

/// The number that `text` stands for in the node's default region, or the short code; or the keyed
/// number, as lists of a store show it that keeps numbers hashed.
pub(super) fn read_number(checked: &Checked, text: &str) -> Result<Number, DeskError> {
    let keyed = Number::from_record(text.trim()).filter(|number| number.is_keyed());
    if let (Some(keyed), NumberChoice::Keyed { .. }) = (keyed, &checked.store.numbers) {
        return Ok(keyed);
    }
    Ok(NumberReader::new(&checked.node.default_region)?.read_any(text)?)
}

/// The campaign of that name.
pub(super) fn campaign_of<'a>(
    checked: &'a Checked,
    name: &CampaignName,
) -> Result<&'a Campaign, DeskError> {
    checked.campaigns.get(name).map(AsRef::as_ref).ok_or_else(|| {
        let known = checked.campaigns.iter().map(|campaign| campaign.name.as_str());
        unknown("campaign", name.as_str(), known)
    })
}

/// `typed` names none of `known`.
pub(super) fn unknown<'a>(
    kind: &'static str,
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> DeskError {
    let near = nearest(typed, known).map(str::to_owned);
    DeskError::Unknown { kind, typed: typed.to_owned(), near }
}
