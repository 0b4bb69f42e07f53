//! Who must not be called: numbers to lists, with the record that put each there.
//!
//! Read by every INVITE, written by every opt-out. A sharded hash map for now; a bitmap base
//! under it can follow behind the same methods.

use dashmap::DashMap;

use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;

use super::list::ListLimitError;
use super::list::ListMask;
use super::list::ListTable;

/// Why a number is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The list it stands on; the first in configuration order that was asked about.
    pub list: ListName,
    /// The record that put it there; `None` while that is not durable yet, or never became so.
    pub record: Option<RecordId>,
}

/// The suppression index of one process.
#[derive(Debug, Default)]
pub struct Index {
    numbers: DashMap<Number, Entry>,
    lists: ListTable,
}

#[derive(Debug, Default)]
struct Entry {
    /// All lists of `reasons`.
    mask: ListMask,
    reasons: Vec<Reason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reason {
    lists: ListMask,
    record: Option<RecordId>,
}

impl Index {
    /// An empty index whose lists take their bits in the order of `lists`.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] for more than 64 lists.
    pub fn new<'a>(lists: impl IntoIterator<Item = &'a ListName>) -> Result<Self, ListLimitError> {
        let index = Self::default();
        index.mask(lists)?;
        Ok(index)
    }

    /// The set of `names` in this index's bits; ask once a campaign, not once a call.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] at the 65th name this process has met.
    pub fn mask<'a>(
        &self,
        names: impl IntoIterator<Item = &'a ListName>,
    ) -> Result<ListMask, ListLimitError> {
        self.lists.mask(names)
    }

    /// The names of the lists in `mask`, in configuration order.
    pub fn names(&self, mask: ListMask) -> Vec<ListName> {
        self.lists.names(mask)
    }

    /// Refuses `number` on `lists` from this moment on, before any record of it is durable.
    /// It stays refused when no record ever is.
    pub fn block(&self, number: Number, lists: ListMask) {
        self.insert(number, Reason { lists, record: None });
    }

    /// Names the durable record behind what [`Self::block`] did; also right without a block
    /// before it, as when facts are read back at start.
    pub fn settle(&self, number: Number, lists: ListMask, record: RecordId) {
        let mut entry = self.numbers.entry(number).or_default();
        let settled = Reason { lists, record: Some(record) };
        if entry.reasons.contains(&settled) {
            return;
        }
        let pending = Reason { lists, record: None };
        match entry.reasons.iter_mut().find(|reason| **reason == pending) {
            Some(reason) => *reason = settled,
            None => entry.reasons.push(settled),
        }
        entry.mask = entry.mask.union(lists);
    }

    /// Whether `number` stands on one of `lists`, and why. One shard read-lock and one hash;
    /// allocates only for a hit.
    pub fn check(&self, number: Number, lists: ListMask) -> Option<Hit> {
        let entry = self.numbers.get(&number)?;
        let first = entry.mask.intersection(lists).first();
        let list = self.lists.names(first).into_iter().next()?;
        let reason = entry
            .reasons
            .iter()
            .filter(|reason| !reason.lists.intersection(first).is_empty())
            .max_by_key(|reason| reason.record.is_some());
        Some(Hit { list, record: reason.and_then(|reason| reason.record) })
    }

    /// Everything that is known of `number`: each list with each record, for people who ask why.
    pub fn explain(&self, number: Number) -> Vec<Hit> {
        let Some(entry) = self.numbers.get(&number) else { return Vec::new() };
        let mut hits = Vec::new();
        for reason in &entry.reasons {
            let lists = self.lists.names(reason.lists).into_iter();
            hits.extend(lists.map(|list| Hit { list, record: reason.record }));
        }
        hits
    }

    /// How many numbers stand on any list.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether no number stands on any list.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    fn insert(&self, number: Number, reason: Reason) {
        let mut entry = self.numbers.entry(number).or_default();
        entry.mask = entry.mask.union(reason.lists);
        if !entry.reasons.contains(&reason) {
            entry.reasons.push(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WriterId;

    fn number(digits: u64) -> Number {
        Number::from_e164_digits(digits).expect("the test's numbers are E.164")
    }

    fn record(seq: u64) -> RecordId {
        RecordId { writer: WriterId(1), seq }
    }

    #[test]
    fn a_number_is_refused_from_the_press_on_and_explained_after_the_commit() {
        let lists = ["global", "acme", "spring"].map(ListName::from);
        let index = Index::new(&lists).unwrap();
        let all = index.mask(&lists).unwrap();
        let acme = index.mask([&lists[1]]).unwrap();
        let spring = index.mask([&lists[2]]).unwrap();
        let (ana, luis) = (number(34_600_000_001), number(34_600_000_002));
        assert_eq!(index.check(ana, all), None);

        index.block(ana, acme);
        let hit = |list: &str, record| Hit { list: list.into(), record };
        assert_eq!(index.check(ana, all), Some(hit("acme", None)), "before it is durable");
        assert_eq!(index.check(ana, spring), None, "another list does not refuse it");
        assert_eq!(index.check(luis, all), None, "nor another number");

        index.settle(ana, acme, record(1));
        assert_eq!(index.check(ana, all), Some(hit("acme", Some(record(1)))));
        index.settle(ana, spring.union(acme), record(2));
        let want = [
            hit("acme", Some(record(1))),
            hit("acme", Some(record(2))),
            hit("spring", Some(record(2))),
        ];
        assert_eq!(index.explain(ana), want);
        assert_eq!(index.check(ana, spring), Some(hit("spring", Some(record(2)))));
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn settling_twice_or_without_a_block_leaves_one_reason() {
        let index = Index::default();
        let lists = index.mask([&ListName::from("only")]).unwrap();
        index.settle(number(1), lists, record(1));
        index.settle(number(1), lists, record(1));
        index.block(number(2), lists);
        index.block(number(2), lists);
        index.settle(number(2), lists, record(2));
        assert_eq!((index.explain(number(1)).len(), index.explain(number(2)).len()), (1, 1));
    }

    #[test]
    fn a_second_press_stays_pending_beside_the_first_record() {
        let index = Index::default();
        let lists = index.mask([&ListName::from("only")]).unwrap();
        index.settle(number(1), lists, record(1));
        index.block(number(1), lists);
        let hit = index.check(number(1), lists).unwrap();
        assert_eq!(hit.record, Some(record(1)), "a durable reason is named before a pending one");
        assert_eq!(index.explain(number(1)).len(), 2);
    }
}
