//! Ranges in the index: those of the configuration, and those of imports.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;
use crate::suppression::import::standing;
use crate::suppression::list::ListLimitError;
use crate::suppression::range::Range;
use crate::suppression::range::Ranges;
use crate::suppression::registry::Registries;

use super::Index;
use super::entry::Reason;

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

    /// Whether `number` is in a range that the import `record` has.
    pub(super) fn is_by(&self, number: Number, record: RecordId) -> bool {
        self.imported.find(number).iter().any(|(_range, reason)| reason.record == Some(record))
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
    /// In which campaign; `None` reaches every campaign.
    pub(super) campaign: Option<CampaignName>,
    /// What that campaign was about when it was said, where that is known.
    pub(super) topic: Option<TopicName>,
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
        self.imports.store(Arc::new(imports.to_vec()));
        let imports = standing(imports);
        self.registries.store(Arc::new(Registries::of(imports.clone().map(|it| &it.import))));
        let ranges = imports.flat_map(|Imported { record, import, .. }| {
            import.tally.ranges.iter().map(|&range| ImportedRange {
                range,
                list: import.list.clone(),
                account: import.account.clone(),
                campaign: import.campaign.clone(),
                topic: import.topic.clone(),
                record: *record,
            })
        });
        self.mount_ranges(ranges)
    }

    /// `imports` and those that were taken over before and are not among them, oldest first. A
    /// database may lack what this node knows: what it has just imported itself is on its way
    /// there, and a server that took the place of another may have lost some.
    pub fn with_known(&self, mut imports: Vec<Imported>) -> Vec<Imported> {
        let records: BTreeSet<RecordId> = imports.iter().map(|imported| imported.record).collect();
        let known = self.imports.load();
        // Whom one took off that may have been taken back stays refused.
        let takes_nobody = known.iter().filter(|it| it.import.taken_off.is_none());
        let takes_nobody: BTreeSet<RecordId> = takes_nobody.map(|it| it.record).collect();
        for imported in imports.iter_mut().filter(|it| takes_nobody.contains(&it.record)) {
            imported.import.taken_off = None;
        }
        // One whose answer was lost has no record here, and says the same there.
        let is_new = |it: &&Imported| {
            !records.contains(&it.record)
                && !imports.iter().any(|new| new.import.is_again(&it.import))
        };
        let unknown: Vec<Imported> = known.iter().filter(is_new).cloned().collect();
        imports.extend(unknown);
        imports.sort_by_key(|imported| (imported.import.imported_at, imported.record));
        imports
    }

    /// Whether [`Self::with_known`] has one of `on_record` take nobody off that takes somebody off and
    /// was not taken back: what is made of them refuses whom the records do not, and is not for the
    /// next start.
    pub fn doubts(&self, on_record: &[Imported]) -> bool {
        let known = self.imports.load();
        let takes_nobody = standing(&known).filter(|it| it.import.taken_off.is_none());
        let takes_nobody: BTreeSet<RecordId> = takes_nobody.map(|it| it.record).collect();
        let mut takes_off = standing(on_record).filter(|it| it.import.taken_off.is_some());
        takes_off.any(|it| takes_nobody.contains(&it.record))
    }

    /// Whether `imports`, in whatever order, are what was taken over last.
    pub fn has_taken(&self, imports: &[Imported]) -> bool {
        by_record(&self.imports.load()) == by_record(imports)
    }

    /// Takes over the ranges of all imports, in place of those before. Returns how many are left
    /// out: those on lists beyond the 64th, which no campaign can ask for either.
    pub(super) fn mount_ranges(&self, ranges: impl IntoIterator<Item = ImportedRange>) -> usize {
        let mut left_out = 0;
        let mut entries = Vec::new();
        for ImportedRange { range, list, account, campaign, topic, record } in ranges {
            let Ok(lists) = self.lists.mask([&list]) else {
                left_out += 1;
                continue;
            };
            let reason = Reason { lists, account, campaign, topic, record: Some(record) };
            entries.push((range, reason));
        }
        let imported = Ranges::new(entries);
        self.ranges.rcu(|all| AllRanges { imported: imported.clone(), ..(**all).clone() });
        if !imported.is_empty() {
            self.see_ranges();
        }
        left_out
    }

    /// Notes which reversals have waited for an import that has come, for the sake of its ranges.
    fn see_ranges(&self) {
        let ranges = self.ranges.load();
        for mut entry in self.numbers.iter_mut().filter(|entry| !entry.cancelled.is_empty()) {
            let number = *entry.key();
            let seen = entry.cancelled.see(|record| ranges.is_by(number, record));
            self.waiting.fetch_sub(seen, Ordering::Relaxed);
        }
    }
}

/// What each says, by its record; when that was written is told of it later.
fn by_record(imports: &[Imported]) -> Vec<(RecordId, &Import)> {
    let mut all: Vec<_> = imports.iter().map(|it| (it.record, &it.import)).collect();
    all.sort_unstable_by_key(|(record, _import)| *record);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixMicros;
    use crate::model::WriterId;
    use crate::suppression::import::Part;
    use crate::suppression::import::Shape;
    use crate::suppression::import::TakenOff;
    use crate::suppression::segment::SegmentName;

    #[test]
    fn one_number_of_a_range_is_let_go_whether_the_import_or_its_reversal_comes_first() {
        let record = RecordId { writer: WriterId(1), seq: 5 };
        let (list, range) = (ListName::from("global"), "+34800*".parse().expect("a range"));
        let (gone, other) = (34_800_123_456, 34_800_123_457);
        for is_first in [false, true] {
            let index = Index::default();
            let all = index.mask([&list]).expect("it has its bit");
            let is_refused = |digits, campaign: &str| {
                let number = Number::from_e164_digits(digits).expect("it is E.164");
                index.check(number, all, &"acme".into(), &campaign.into()).is_some()
            };
            let reverse = || {
                let number = Number::from_e164_digits(gone).expect("it is E.164");
                index.reverse(number, record, std::slice::from_ref(&list));
            };
            if is_first {
                reverse();
                assert_eq!(index.reversals_waiting(), (1, 0));
            }
            let (list, account, campaign, topic) = (list.clone(), None, None, None);
            index.mount_ranges([ImportedRange { range, list, account, campaign, topic, record }]);
            if !is_first {
                reverse();
            }
            assert_eq!(index.reversals_waiting(), (0, 0), "first: {is_first}");
            assert_eq!((is_refused(gone, "promo"), is_refused(other, "promo")), (false, true));
        }
    }

    #[test]
    fn an_import_that_may_have_been_taken_back_takes_nobody_off_again() {
        let imported = |seq, from: Option<u64>| {
            let part = Part { segment: SegmentName([7; 32]), count: 1 };
            let from = from.map(|seq| vec![RecordId { writer: WriterId(1), seq }]);
            let mut import =
                Import::new("us".into(), Shape::FtcChange, "node".into(), UnixMicros(1));
            import.taken_off = from.map(|from| TakenOff { part, from });
            let record = RecordId { writer: WriterId(1), seq };
            Imported { record, written_at: UnixMicros(1), import }
        };
        let index = Index::default();
        index.take_imports(&[imported(2, None), imported(3, Some(1))]);
        let on_record = vec![imported(2, Some(1)), imported(3, Some(1)), imported(4, Some(1))];
        let want = [imported(2, None), imported(3, Some(1)), imported(4, Some(1))];
        assert!(index.doubts(&on_record), "what is made of them is not for the next start");
        assert!(!index.doubts(&on_record[1..]), "what takes off as ever is");
        assert!(!index.doubts(&want), "and what takes nobody off on record");
        assert_eq!(index.with_known(on_record), want);
    }
}
