//! Records whose key is gone: each by an erasure of this store, or not rightly.
//!
//! An erasure comes behind what it names, often in another stream, so that nothing is said before all
//! streams have been walked through.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::model::Number;
use crate::model::RecordId;
use crate::suppression::Erasure;

use super::Place;
use super::StoreFound;

/// A record whose key is gone.
#[derive(Clone, Copy, Debug)]
struct Gone {
    slot: u32,
    /// Whose it is, as far as that is left.
    number: Option<Number>,
}

/// What was met on the way.
#[derive(Debug, Default)]
pub(super) struct Closed {
    records: BTreeMap<RecordId, Gone>,
    /// Slots whose keys erasures destroy, and whose these were.
    slots: HashMap<u32, Number>,
}

impl Closed {
    /// Notes that the key of `record` is gone, which was in `slot`.
    pub(super) fn note_gone(&mut self, record: RecordId, slot: u32, number: Option<Number>) {
        self.records.insert(record, Gone { slot, number });
    }

    /// Notes what an erasure of this store destroys.
    pub(super) fn note_erasure(&mut self, erasure: &Erasure) {
        self.slots.extend(erasure.slots.iter().map(|slot| (*slot, erasure.number)));
    }

    /// Whether all that is gone is so by an erasure that was met.
    pub(super) fn is_explained(&self) -> bool {
        self.faults().next().is_none()
    }

    /// What is gone by no erasure.
    pub(super) fn faults(&self) -> impl Iterator<Item = (Place, RecordId, StoreFound)> {
        let gone = self.records.iter().filter(move |(_record, gone)| !self.is_erased(gone));
        gone.map(|(record, Gone { slot, .. })| {
            (Place::Keys, *record, StoreFound::Unerased { slot: *slot })
        })
    }

    fn is_erased(&self, gone: &Gone) -> bool {
        let erased = self.slots.get(&gone.slot);
        erased.is_some_and(|erased| gone.number.is_none_or(|number| number == *erased))
    }
}
