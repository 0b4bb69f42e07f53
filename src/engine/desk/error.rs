//! Why the desk does not do what was asked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::addition::NOTE_LEN_MAX;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::NumberError;
use crate::model::RecordId;
use crate::model::RecordIdError;
use crate::store::StoreError;
use crate::suppression::LedgerError;
use crate::suppression::import::REACH_MAX;
use crate::suppression::list::ListLimitError;
use crate::suppression::reversal::CANCELS_MAX;

/// How long a person waits for the disk. A group commit takes milliseconds; a disk that needs
/// this long is failing.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(30);

/// Why the desk does not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// A campaign, list or account that the configuration does not have.
    #[error("there is no {kind} `{typed}`{}", hint(near.as_deref()))]
    Unknown {
        /// What was named: `campaign`, `list` or `account`.
        kind: &'static str,
        /// The name as typed.
        typed: String,
        /// What was probably meant.
        near: Option<String>,
    },
    /// No list was named.
    #[error("expected at least one list, found none")]
    NoList,
    /// Neither a record nor a list was named, and not all that there is; or both.
    #[error("say what to reverse: --record, --list, or --all alone")]
    NothingNamed,
    /// No reason was given.
    #[error("expected a reason, found none: a reversal says why")]
    NoReason,
    /// Nothing on record refuses the number any more.
    #[error("nothing on record refuses this number; there is nothing to reverse")]
    NothingStands,
    /// The text names no record.
    #[error(transparent)]
    Record(#[from] RecordIdError),
    /// A record of another number, or of none.
    #[error("record {record} is none of this number; `optout show` has those that are")]
    NotOfNumber {
        /// As it was typed.
        record: RecordId,
    },
    /// A record that was reversed already, on the lists that were named.
    #[error("record {record} refuses this number no more, or on other lists")]
    NotStanding {
        /// The record.
        record: RecordId,
    },
    /// A list on which none of the records that are meant refuses the number.
    #[error("no such record refuses this number on list `{list}`")]
    NotOnList {
        /// The list.
        list: ListName,
    },
    /// An entry that a registry made.
    #[error(
        "record {record} on list `{list}` is of the registry `{registry}`: {}; nothing was reversed",
        taken_off_by(*is_export, *record)
    )]
    OfRegistry {
        /// The import.
        record: RecordId,
        /// The list.
        list: ListName,
        /// The registry, or the list by which the configuration calls it.
        registry: String,
        /// Whether it came by an export of ours, which no change list of the registry reaches.
        is_export: bool,
    },
    /// A record that is no import.
    #[error("record {record} is no import; `optout show` of a number in it names the import")]
    NotImport {
        /// As it was typed.
        record: RecordId,
    },
    /// An import that was taken back before.
    #[error("the import {record} was taken back before, by record {by}")]
    Withdrawn {
        /// The import.
        record: RecordId,
        /// What took it back.
        by: RecordId,
    },
    /// More records than a reversal names.
    #[error("expected at most {CANCELS_MAX} records in a reversal, found {found}; name them")]
    ManyCancels {
        /// How many there are.
        found: usize,
    },
    /// The account is not that of the campaign.
    #[error("campaign `{campaign}` is of account `{account}`")]
    OtherAccount {
        /// The campaign that was named.
        campaign: CampaignName,
        /// Whose it is.
        account: AccountName,
    },
    /// A note that does not fit a record.
    #[error("expected at most {max} bytes of reason, source and actor each, found {found}", max = NOTE_LEN_MAX)]
    Long {
        /// Its length.
        found: usize,
    },
    /// More imports of one registry than a change list may take off from.
    #[error("this registry has {found} imports; a change list reaches {REACH_MAX}")]
    Reach {
        /// How many there are.
        found: usize,
    },
    /// An entry by hand on a list that is filled by imports alone.
    #[error("list `{list}` is a registry's; `bajavoz import` fills it, and no hand")]
    Registry {
        /// The list.
        list: ListName,
    },
    /// A registry with far fewer lines than at its last import.
    #[error(
        "expected about {before} lines, as at the last import of this registry, found {found}: the \
         file is probably cut; nothing was imported (--allow-fewer says that it is whole)"
    )]
    Shrunk {
        /// Lines now.
        found: u64,
        /// Lines then.
        before: u64,
    },
    /// A name or a note that not every database takes.
    #[error("expected names, source and actor without control characters")]
    Control,
    /// An import without its numbers: what it seemed to repeat is not there any more.
    #[error("the file's numbers were not written; import it again")]
    Unwritten,
    /// A note that says the number that is to be erased.
    #[error("the reason or the actor says the number, and stays on record for ever: leave it out")]
    NotesTell,
    /// The text is no number that a campaign may call.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// Nothing was ever kept where the configuration says.
    #[error("there is no store in `{}` yet; `run` or `optout add` makes it", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// The desk was opened for questions only.
    #[error("the store was opened for reading")]
    ReadOnly,
    /// More lists than an index tells apart.
    #[error(transparent)]
    Lists(#[from] ListLimitError),
    /// The ledger did not make it durable. The number is refused by this process all the same.
    #[error("not recorded: {0}")]
    Ledger(#[from] LedgerError),
    /// The disk has not answered; the record may still become durable.
    #[error("not known to be recorded: the disk has not answered for {} s", COMMIT_MAX.as_secs())]
    Slow,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever wanted the export does not take it.
    #[error("the output failed: {0}")]
    Output(#[from] io::Error),
}

impl DeskError {
    /// Whether the request itself is at fault, not the store.
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::Unknown { .. }
            | Self::NoList
            | Self::NothingNamed
            | Self::NoReason
            | Self::Record(_)
            | Self::NotOfNumber { .. }
            | Self::NotImport { .. }
            | Self::OfRegistry { .. }
            | Self::ManyCancels { .. }
            | Self::OtherAccount { .. }
            | Self::Control
            | Self::Long { .. }
            | Self::Registry { .. }
            | Self::Shrunk { .. }
            | Self::NotesTell
            | Self::Number(_) => true,
            Self::NoStore { .. }
            | Self::NothingStands
            | Self::NotStanding { .. }
            | Self::NotOnList { .. }
            | Self::Withdrawn { .. }
            | Self::Reach { .. }
            | Self::ReadOnly
            | Self::Unwritten
            | Self::Lists(_)
            | Self::Ledger(_)
            | Self::Slow
            | Self::Store(_)
            | Self::Output(_) => false,
        }
    }

    /// Whether all that was asked is in order, and nothing on record is left that it could be done
    /// to: the answer is no.
    pub const fn is_nothing(&self) -> bool {
        matches!(
            self,
            Self::NothingStands
                | Self::NotStanding { .. }
                | Self::NotOnList { .. }
                | Self::Withdrawn { .. }
        )
    }

    /// Whether the database is away, so that the same may be answered later.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_passing())
    }

    /// Whether another process holds the store.
    pub const fn is_held(&self) -> bool {
        matches!(self, Self::Store(StoreError::Held { .. }))
    }
}

/// What takes a number off that the import `record` of a registry has.
fn taken_off_by(is_export: bool, record: RecordId) -> String {
    let whole = format!("`bajavoz optout reverse --import {record}`");
    match is_export {
        true => format!(
            "it came with an export, which no change list reaches; take back the whole import by \
             {whole}, and import what the registry itself hands out"
        ),
        false => format!(
            "it alone takes numbers off: import its change list, or, where the whole import was a \
             mistake, take that back by {whole}"
        ),
    }
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}
