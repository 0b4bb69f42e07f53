//! Reversals in the index: what they cancel of each number's records.

use std::sync::atomic::Ordering;

use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::suppression::list::ListMask;

use super::Index;
use super::entry::Entry;
use super::entry::Reason;

/// Reversals whose cancelled record has not come that are kept at most, counted by number and
/// record. Our choice: records come within seconds of each other, and one that is kept takes some
/// 200 octets, all together 13 MB. What finds no room leaves its number refused, and holds from
/// the next start on, which reads all records before any reversal.
pub const WAITING_MAX: usize = 65_536;

/// Records of one number that were reversed, and of each the lists on which it no longer refuses.
///
/// They are kept beside the reasons, never taken out of them: so it does not matter which of the
/// two comes first, nor how often either comes. A number has few.
#[derive(Debug, Default)]
pub(super) struct Cancelled(Box<[One]>);

#[derive(Clone, Copy, Debug)]
struct One {
    record: RecordId,
    lists: ListMask,
    /// Whether the record has come, or is an import that the base has.
    is_seen: bool,
}

impl Cancelled {
    /// Whether nothing was reversed.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lists on which `record` no longer refuses; none for what has no record yet, which no
    /// reversal can name.
    pub(super) fn of(&self, record: Option<RecordId>) -> ListMask {
        let one = self.0.iter().find(|one| Some(one.record) == record);
        one.map_or(ListMask::NONE, |one| one.lists)
    }

    /// Whether a reversal of `record` has come.
    pub(super) fn names(&self, record: RecordId) -> bool {
        self.0.iter().any(|one| one.record == record)
    }

    /// Cancels `record` on `lists` too.
    pub(super) fn add(&mut self, record: RecordId, lists: ListMask, is_seen: bool) {
        if let Some(one) = self.0.iter_mut().find(|one| one.record == record) {
            one.lists = one.lists.union(lists);
            return;
        }
        let mut all = std::mem::take(&mut self.0).into_vec();
        all.push(One { record, lists, is_seen });
        self.0 = all.into();
    }

    /// Notes which of the records that were not seen `is_seen` by now, and returns how many.
    pub(super) fn see(&mut self, mut is_seen: impl FnMut(RecordId) -> bool) -> usize {
        let unseen = self.0.iter_mut().filter(|one| !one.is_seen);
        unseen
            .map(|one| {
                one.is_seen = is_seen(one.record);
                usize::from(one.is_seen)
            })
            .sum()
    }
}

impl Entry {
    /// Whether `reason` refuses on any list still.
    fn is_standing(&self, reason: &Reason) -> bool {
        !reason.lists.without(self.cancelled.of(reason.record)).is_empty()
    }

    /// Whether nothing is known of the number.
    fn is_blank(&self) -> bool {
        self.reasons.is_empty() && self.cancelled.is_empty()
    }
}

impl Index {
    /// Cancels, for `number` alone, what `record` says about `lists`: the record refuses on them no
    /// more, whether it has come already or comes later. Whatever else refuses the number does so
    /// as before, an opt-out without a record among it. Call it once the reversal is durable.
    ///
    /// A record that never comes is kept; beyond [`WAITING_MAX`] of these the reversal is counted
    /// and left out, and the number stays refused.
    pub fn reverse(&self, number: Number, record: RecordId, lists: &[ListName]) {
        let number = self.stored(number);
        // A list without a bit refuses nobody, so that nothing on it can be cancelled.
        let (lists, _no_bit) = self.mask_of_known(lists);
        let mut entry = self.numbers.entry(number).or_default();
        if !entry.cancelled.names(record) {
            let is_it = |reason: &Reason| reason.record == Some(record);
            let is_seen = entry.reasons.iter().any(is_it)
                || self.ranges.load().is_by(number, record)
                || self.mounted.load().find(number).is_some_and(|(_mask, mut all)| all.any(is_it));
            if !is_seen && self.waiting.load(Ordering::Relaxed) >= WAITING_MAX {
                self.overflowed.fetch_add(1, Ordering::Relaxed);
                drop(entry);
                self.numbers.remove_if(&number, |_number, entry| entry.is_blank());
                return;
            }
            self.waiting.fetch_add(usize::from(!is_seen), Ordering::Relaxed);
            entry.cancelled.add(record, lists, is_seen);
        } else {
            entry.cancelled.add(record, lists, true);
        }
        self.recount(number, &mut entry);
    }

    /// Reversals of records that have not come, and those that found no room to wait in since the
    /// start.
    pub fn reversals_waiting(&self) -> (usize, u64) {
        (self.waiting.load(Ordering::Relaxed), self.overflowed.load(Ordering::Relaxed))
    }

    /// Brings what is counted of the entry up to date with it and with the base that is mounted
    /// now. The entry is locked, so that whoever made it before or after the base was exchanged, it
    /// is counted by the newer one.
    pub(super) fn recount(&self, number: Number, entry: &mut Entry) {
        let mounted = self.mounted.load();
        let is_in_base = mounted.base.contains(number);
        let mut is_on_any = entry.reasons.iter().any(|reason| entry.is_standing(reason));
        if entry.cancelled.is_empty() {
            is_on_any |= is_in_base;
        } else if let Some((_mask, imports)) = mounted.find(number) {
            let imports: Vec<&Reason> = imports.collect();
            is_on_any |= imports.iter().any(|reason| entry.is_standing(reason));
            let is_import = |record| imports.iter().any(|reason| reason.record == Some(record));
            self.waiting.fetch_sub(entry.cancelled.see(is_import), Ordering::Relaxed);
        }
        let surplus = isize::from(is_on_any) - isize::from(is_in_base);
        self.surplus.fetch_add(surplus - entry.surplus, Ordering::Relaxed);
        entry.surplus = surplus;
    }
}
