//! What an import claims to be, and how that is held against what is on record.
//!
//! A claim says of one file which list it is for and for whose calls, how much was read of it, and
//! which segments hold its numbers. Judged here are whether the same file is on record already,
//! whether its registry can have shrunk so far, and from which imports it takes numbers off. Nothing
//! is made durable here, and no number refused: that is [`Desk::import`](super::Desk::import).

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use super::DeskError;
use super::NOTE_LEN_MAX;
use super::addition::account_known;
use super::names::unknown;
use crate::config::Checked;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::net::clock;
use crate::store::NumberChoice;
use crate::store::Reader;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;
use crate::suppression::import::Part;
use crate::suppression::import::REACH_MAX;
use crate::suppression::import::Shape;
use crate::suppression::import::TakenOff;
use crate::suppression::import::Tally;
use crate::suppression::import::is_name;
use crate::suppression::import::standing;
use crate::suppression::segment::Content;

/// By how much a registry may have shrunk since its last import: below one line in so many, the
/// file is taken for a cut one. Registries lose some per cent a year.
pub const SHRUNK_TO: u64 = 2;

/// The first record of an import that has none yet, or whose own is not known: no writer draws zero.
pub(super) const UNNAMED: RecordId = RecordId { writer: WriterId(0), seq: 0 };

/// Where an import goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPlace {
    /// The store's folder, in whose folder `segments` the segments belong.
    pub store: PathBuf,
    /// Whose national numbers are meant unless said otherwise.
    pub default_region: String,
    /// How the store keeps numbers.
    #[serde(default)]
    pub numbers: NumberChoice,
}

/// What a file held, to be taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The list.
    pub list: ListName,
    /// For whose calls; `None` is for everybody's.
    pub account: Option<AccountName>,
    /// In which campaign, where the file is an export of ours; `None` is in all.
    #[serde(default)]
    pub campaign: Option<CampaignName>,
    /// What that campaign was about then, where the export's rows say so.
    #[serde(default)]
    pub topic: Option<TopicName>,
    /// When the first and the last of it was said, where the file is an export of ours.
    #[serde(default)]
    pub said: Option<(UnixMicros, UnixMicros)>,
    /// Where the file comes from.
    pub source: String,
    /// For which day the source says so.
    pub as_of: Option<UnixMicros>,
    /// The file's shape.
    pub shape: Shape,
    /// What was read of it.
    pub tally: Tally,
    /// SHA-256 of it.
    pub file_sha256: [u8; 32],
    /// The segment of the numbers listed; not yet written while the claim is weighed.
    pub listed: Option<Part>,
    /// The segment of those taken off.
    pub taken_off: Option<Part>,
    /// Who imports.
    pub actor: Option<String>,
    /// Whether a registry may have far fewer lines than at its last import.
    pub may_shrink: bool,
}

impl Claim {
    /// Whether numbers were read for which it names no segment.
    pub(super) const fn is_unwritten(&self) -> bool {
        let has_numbers = self.tally.listed + self.tally.taken_off > 0;
        has_numbers && self.listed.is_none() && self.taken_off.is_none()
    }
}

/// An import of the same file into the same list, for the same account: the same import if it has the
/// same segments. By another column, or another region, a file has other numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Its record.
    pub record: String,
    /// When it was made.
    pub imported_at: UnixMicros,
    /// Where it came from, as its segments say.
    pub source: String,
    /// For which day, as they say.
    pub as_of: Option<UnixMicros>,
    /// The segment of the numbers that it listed.
    pub listed: Option<Part>,
    /// The segment of those that it took off.
    pub taken_off: Option<Part>,
}

/// Proof of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportDone {
    /// The record.
    pub record: String,
    /// When it was known to be on disk.
    pub durable_at: UnixMicros,
    /// Whether it is an earlier one, and nothing was done now.
    pub is_earlier: bool,
    /// Whether the database lacks it that is to have it, so that other nodes do not know it yet.
    #[serde(default)]
    pub is_pending: bool,
    /// How many imports of its registry speak of a later day than this change list: it takes nothing
    /// off from them.
    #[serde(default)]
    pub later: usize,
    /// For which day the earlier one says so, where it is one that does.
    #[serde(default)]
    pub as_of: Option<UnixMicros>,
}

impl From<Earlier> for ImportDone {
    fn from(Earlier { record, imported_at, as_of, .. }: Earlier) -> Self {
        Self { record, durable_at: imported_at, is_earlier: true, as_of, ..Self::default() }
    }
}

/// Where an import into `list` for `account` goes, once both are known; without a list, that of an
/// export whose rows say theirs.
///
/// # Errors
///
/// [`DeskError::Unknown`].
pub fn import_place(
    checked: &Checked,
    list: Option<&ListName>,
    account: Option<&AccountName>,
) -> Result<ImportPlace, DeskError> {
    if let Some(list) = list {
        list_known(checked, list)?;
    }
    account_known(checked, account)?;
    let path = &checked.store.path;
    // Who asks an engine may stand in another folder.
    let store = std::path::absolute(path).unwrap_or_else(|_error| path.clone());
    let numbers = absolute(&checked.store.numbers);
    Ok(ImportPlace { store, default_region: checked.node.default_region.clone(), numbers })
}

/// The same file, wherever one stands.
fn absolute(numbers: &NumberChoice) -> NumberChoice {
    match numbers {
        NumberChoice::Keyed { key: Some(key) } => {
            let key = std::path::absolute(key).unwrap_or_else(|_error| key.clone());
            NumberChoice::Keyed { key: Some(key) }
        }
        other => other.clone(),
    }
}

/// Whether an import has its record.
pub(super) const fn is_named(record: RecordId) -> bool {
    record.writer.0 != UNNAMED.writer.0
}

/// What is wrong with `claim` by itself.
pub(super) fn check(checked: &Checked, claim: &Claim) -> Result<(), DeskError> {
    list_known(checked, &claim.list)?;
    let names = [claim.account.as_ref().map(AccountName::as_str)];
    let names = names.into_iter().chain([claim.campaign.as_ref().map(CampaignName::as_str)]);
    let notes = [Some(claim.source.as_str()), claim.actor.as_deref()];
    if names.chain(notes).flatten().any(|text| !is_name(text)) {
        return Err(DeskError::Control);
    }
    // What an export says is of accounts and campaigns that may be gone, and come again.
    if claim.shape != Shape::Export {
        account_known(checked, claim.account.as_ref())?;
    }
    let notes = [Some(claim.source.len()), claim.actor.as_ref().map(String::len)];
    if let Some(found) = notes.into_iter().flatten().find(|&len| len > NOTE_LEN_MAX) {
        return Err(DeskError::Long { found });
    }
    Ok(())
}

fn list_known(checked: &Checked, list: &ListName) -> Result<(), DeskError> {
    match checked.lists.contains_key(list) {
        true => Ok(()),
        false => Err(unknown("list", list.as_str(), checked.lists.keys().map(ListName::as_str))),
    }
}

/// Reads the segments of `claim` whole.
pub(super) fn verify(reader: &Reader, claim: &Claim) -> Result<(), DeskError> {
    let parts = [(&claim.listed, Content::Listed), (&claim.taken_off, Content::TakenOff)];
    for (part, content) in parts {
        if let Some(part) = part {
            reader.verify_segment(part, &claim.list, content)?;
        }
    }
    Ok(())
}

/// Those of `imports` that hold on the list of `claim` for the same calls, the newest first.
fn of_place<'a>(
    claim: &Claim,
    imports: &'a [Imported],
) -> impl Iterator<Item = &'a Imported> + use<'a> {
    let Claim { list, account, campaign, topic, .. } = claim.clone();
    let mut found: Vec<&Imported> = standing(imports).collect();
    found.reverse();
    found.into_iter().filter(move |imported| {
        let import = &imported.import;
        (&import.list, &import.account) == (&list, &account)
            && (&import.campaign, &import.topic) == (&campaign, &topic)
    })
}

/// Those of `imports` that `claim` may repeat, the newest first.
pub(super) fn earlier(claim: &Claim, imports: &[Imported]) -> Vec<Earlier> {
    // The same file of a later day is another import: it says that the registry is as it was.
    let is_same = |imported: &&Imported| {
        let Import { file_sha256, shape, tally, .. } = &imported.import;
        let day = imported.import.day();
        (file_sha256, shape) == (&claim.file_sha256, &claim.shape)
            && tally.ranges == claim.tally.ranges
            && claim.as_of.is_none_or(|as_of| day.is_some_and(|known| as_of <= known))
            && is_named(imported.record)
    };
    let earlier = |Imported { record, import, .. }: &Imported| Earlier {
        record: record.to_string(),
        imported_at: import.imported_at,
        source: import.source.clone(),
        as_of: import.as_of,
        listed: import.listed,
        taken_off: import.taken_off.as_ref().map(|taken_off| taken_off.part),
    };
    of_place(claim, imports).filter(is_same).map(earlier).collect()
}

/// Whether `import`, which is not known to be durable, says what `claim` does.
pub(super) fn is_same_but_taken(claim: &Claim, import: &Import) -> bool {
    let Import { list, account, campaign, topic, file_sha256, listed, tally, .. } = import;
    (list, account) == (&claim.list, &claim.account)
        && (campaign, topic) == (&claim.campaign, &claim.topic)
        && (file_sha256, listed) == (&claim.file_sha256, &claim.listed)
        && tally.ranges == claim.tally.ranges
}

/// A registry does not shrink by half unseen.
pub(super) fn check_size(claim: &Claim, imports: &[Imported]) -> Result<(), DeskError> {
    let last = of_place(claim, imports).find(|it| it.import.shape == claim.shape);
    let before = last.map_or(0, |last| last.import.tally.read);
    let found = claim.tally.read;
    let is_shrunk = claim.shape.is_whole_registry() && found < before / SHRUNK_TO;
    if is_shrunk && !claim.may_shrink {
        return Err(DeskError::Shrunk { found, before });
    }
    Ok(())
}

/// The import of `claim`, with what it takes off from; and how many imports of its registry speak of
/// a later day, from which it takes nothing off.
pub(super) fn import_of(
    checked: &Checked,
    claim: Claim,
    all: &[Imported],
) -> Result<(Import, usize), DeskError> {
    let Claim { list, account, campaign, topic, said, source, as_of, .. } = claim;
    let Claim { shape, tally, file_sha256, listed, actor, .. } = claim;
    let mut import = Import {
        account,
        campaign,
        topic,
        said,
        source,
        as_of,
        tally,
        file_sha256,
        listed,
        actor,
        ..Import::new(list, shape, checked.node.name.clone(), clock::unix_now())
    };
    let mut later = Vec::new();
    if let Some(part) = claim.taken_off {
        let of_registry = standing(all).filter(|it| it.import.is_of_registry(&import));
        // What a registry said later holds: a list that comes late may be about somebody who has
        // come back since.
        let is_later = |it: &&Imported| it.import.is_later_than(&import);
        let listed = of_registry.clone().filter(|it| it.import.listed.is_some());
        later = listed.clone().filter(is_later).map(|it| it.record).collect::<Vec<_>>();
        // A change list that comes again deletes what it deleted, and nothing that came since.
        let before = of_registry.clone().find(|it| it.import.file_sha256 == import.file_sha256);
        let before = before.and_then(|it| it.import.taken_off.as_ref());
        // Nothing can be said of one whose record is not known.
        let listed = listed.filter(|it| is_named(it.record));
        let mut from = match before {
            Some(before) => before.from.clone(),
            None => listed.map(|imported| imported.record).collect::<Vec<_>>(),
        };
        from.retain(|record| !later.contains(record));
        if from.len() > REACH_MAX {
            return Err(DeskError::Reach { found: from.len() });
        }
        import.taken_off = Some(TakenOff { part, from });
    }
    Ok((import, later.len()))
}
