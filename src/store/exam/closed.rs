//! Records whose key is gone and audio that is missing: each by an erasure of this store, or not
//! rightly.
//!
//! An erasure comes behind what it names, often in another stream, so that nothing is said before all
//! streams have been walked through.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use crate::model::Number;
use crate::model::RecordId;
use crate::suppression::Erasure;
use crate::suppression::proof::Hash;

use super::Place;
use super::StoreFound;

/// A record whose key is gone.
#[derive(Clone, Copy, Debug)]
struct Gone {
    slot: u32,
    /// Whose it is, as far as that is left.
    number: Option<Number>,
}

/// A file of audio that is missing.
#[derive(Clone, Copy, Debug)]
struct Missing {
    /// The record that names it.
    record: RecordId,
    sha256: Hash,
    /// Whose press was in it.
    of: RecordId,
}

/// What was met on the way.
#[derive(Debug, Default)]
pub(super) struct Closed {
    records: BTreeMap<RecordId, Gone>,
    missing: Vec<Missing>,
    /// Slots whose keys erasures destroy, and whose these were.
    slots: HashMap<u32, Number>,
    /// Records whose evidence erasures say is gone.
    named: HashSet<RecordId>,
    /// Audio that erasures remove.
    audio: HashSet<Hash>,
}

impl Closed {
    /// Notes that the key of `record` is gone, which was in `slot`.
    pub(super) fn note_gone(&mut self, record: RecordId, slot: u32, number: Option<Number>) {
        self.records.insert(record, Gone { slot, number });
    }

    /// Notes that the audio `sha256` is missing, which `record` names as that of `of`.
    pub(super) fn note_missing(&mut self, record: RecordId, sha256: Hash, of: RecordId) {
        self.missing.push(Missing { record, sha256, of });
    }

    /// Notes what an erasure of this store destroys.
    pub(super) fn note_erasure(&mut self, erasure: &Erasure) {
        self.slots.extend(erasure.slots.iter().map(|slot| (*slot, erasure.number)));
        self.named.extend(&erasure.records);
        self.audio.extend(&erasure.audio);
    }

    /// Whether all that is gone is so by an erasure that was met.
    pub(super) fn is_explained(&self) -> bool {
        self.faults().next().is_none()
    }

    /// What is gone, or missing, by no erasure.
    pub(super) fn faults(&self) -> impl Iterator<Item = (Place, RecordId, StoreFound)> {
        let gone = self.records.iter().filter(move |(_record, gone)| !self.is_erased(gone));
        let gone = gone.map(|(record, Gone { slot, .. })| {
            (Place::Keys, *record, StoreFound::Unerased { slot: *slot })
        });
        let missing = self.missing.iter().filter(move |missing| !self.is_removed(missing));
        gone.chain(missing.map(|Missing { record, sha256, .. }| {
            (Place::Audio(*sha256), *record, StoreFound::Missing { found: None })
        }))
    }

    fn is_erased(&self, gone: &Gone) -> bool {
        let erased = self.slots.get(&gone.slot);
        erased.is_some_and(|erased| gone.number.is_none_or(|number| number == *erased))
    }

    /// Whether an erasure removes the file, and whose it is was erased: the same silence may be
    /// somebody else's too. The key may be there yet, since it goes behind the file.
    fn is_removed(&self, missing: &Missing) -> bool {
        let is_gone = self.records.get(&missing.of).is_some_and(|gone| self.is_erased(gone));
        self.audio.contains(&missing.sha256) && (is_gone || self.named.contains(&missing.of))
    }
}
