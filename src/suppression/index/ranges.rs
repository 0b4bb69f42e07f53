//! Ranges in the index: those of the configuration, and those of imports.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::model::AccountName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::suppression::import::Imported;
use crate::suppression::list::ListLimitError;
use crate::suppression::range::Range;
use crate::suppression::range::Ranges;
use crate::suppression::registry::Registries;

use super::Index;
use super::Reason;

/// The ranges that numbers stand on lists by.
#[derive(Clone, Debug, Default)]
pub(super) struct AllRanges {
    configured: Ranges<Reason>,
    imported: Ranges<Reason>,
}

impl AllRanges {
    /// Those that `number` is in, the widest first.
    pub(super) fn find(&self, number: Number) -> impl Iterator<Item = (Option<Range>, &Reason)> {
        let mut found = self.configured.find(number);
        found.extend(self.imported.find(number));
        found.sort_by_key(|(range, _reason)| Reverse(range.width()));
        found.into_iter().map(|(range, reason)| (Some(range), reason))
    }
}

/// A range of an import.
#[derive(Clone, Debug)]
pub(super) struct ImportedRange {
    /// Its numbers.
    pub(super) range: Range,
    /// The list.
    pub(super) list: ListName,
    /// For whose calls; `None` reaches everybody.
    pub(super) account: Option<AccountName>,
    /// The import's record.
    pub(super) record: RecordId,
}

impl Index {
    /// Takes over the ranges of a new configuration, in place of those of the one before.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] when a list has no bit and gets none; nothing is changed then.
    pub fn set_ranges<'a>(
        &self,
        ranges: impl IntoIterator<Item = (&'a ListName, Range)>,
    ) -> Result<(), ListLimitError> {
        let entry =
            |(list, range)| Ok((range, Reason::pending(self.lists.mask([list])?, None, None)));
        let configured = Ranges::new(ranges.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?);
        self.ranges.rcu(|all| AllRanges { configured: configured.clone(), ..(**all).clone() });
        Ok(())
    }

    /// Takes over what all imports that there are say beside their numbers: of which day the
    /// registries are, and ranges. Returns how many ranges are left out, as [`Self::mount`] does.
    pub fn take_imports(&self, imports: &[Imported]) -> usize {
        self.registries.store(Arc::new(Registries::of(imports.iter().map(|it| &it.import))));
        let ranges = imports.iter().flat_map(|Imported { record, import, .. }| {
            import.tally.ranges.iter().map(|&range| ImportedRange {
                range,
                list: import.list.clone(),
                account: import.account.clone(),
                record: *record,
            })
        });
        self.mount_ranges(ranges)
    }

    /// Takes over the ranges of all imports, in place of those before. Returns how many are left
    /// out: those on lists beyond the 64th, which no campaign can ask for either.
    pub(super) fn mount_ranges(&self, ranges: impl IntoIterator<Item = ImportedRange>) -> usize {
        let mut left_out = 0;
        let mut entries = Vec::new();
        for ImportedRange { range, list, account, record } in ranges {
            let Ok(lists) = self.lists.mask([&list]) else {
                left_out += 1;
                continue;
            };
            let reason = Reason { lists, account, campaign: None, record: Some(record) };
            entries.push((range, reason));
        }
        let imported = Ranges::new(entries);
        self.ranges.rcu(|all| AllRanges { imported: imported.clone(), ..(**all).clone() });
        left_out
    }
}
