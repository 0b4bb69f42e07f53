//! How old what is sealed under each key is, by this node's own journal.
//!
//! A record says when it was written by the clock of then, which may have stood in 1970 before the
//! time server had answered. So none counts as older than one that the journal has before it: in its
//! stream, or in those whose ends its stream names at its beginning. Times that are still to come,
//! from a clock that was ahead, say nothing of what was written after them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;

use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::archive::journal_dir;
use crate::store::journal::streams;
use crate::store::keys::KeyFile;
use crate::suppression::proof::Kind;
use crate::suppression::proof::Record;

/// How old what is sealed under a key is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    pub(super) newest: UnixMicros,
    pub(super) records: u64,
}

impl Age {
    /// With what else is sealed under the same key.
    fn with(self, other: Self) -> Self {
        let newest = self.newest.max(other.newest);
        Self { newest, records: self.records + other.records }
    }
}

/// How old the evidence of this node is.
#[derive(Clone, Debug, Default)]
pub struct Ages {
    /// By slot, of each key that is still there.
    pub(super) of: HashMap<u32, Age>,
    newest: Option<UnixMicros>,
}

impl Ages {
    /// When the newest record of all was written, as its clock said.
    pub const fn newest(&self) -> Option<UnixMicros> {
        self.newest
    }

    /// When the newest record was written of the number whose evidence goes first.
    pub fn oldest(&self) -> Option<UnixMicros> {
        self.of.values().map(|age| age.newest).min()
    }
}

/// What one stream says of times.
#[derive(Default)]
struct Stretch {
    ages: HashMap<u32, Age>,
    /// The streams that it names at its beginning, so that they were written before it.
    follows: Vec<WriterId>,
    is_begun: bool,
    /// The newest time of all, as the clock said.
    newest: Option<UnixMicros>,
    /// The newest time so far that is not to come.
    known: Option<UnixMicros>,
}

impl Stretch {
    /// Takes the next record, by the time that it is `now`.
    fn record(&mut self, record: &Record, now: UnixMicros) {
        let at = record.written_at;
        self.newest = self.newest.max(Some(at));
        self.known = self.known.max(Some(at).filter(|at| *at <= now));
        let link = record.checkpoint().filter(|link| link.writer != record.id.writer);
        self.is_begun |= link.is_none();
        self.follows.extend(link.filter(|_link| !self.is_begun).map(|link| link.writer));
        if let Some(slot) = slot_of_evidence(record) {
            let age = Age { newest: self.known.map_or(at, |known| known.max(at)), records: 1 };
            let known = self.ages.get(&slot).copied();
            self.ages.insert(slot, known.map_or(age, |known| known.with(age)));
        }
    }
}

/// What was known when each stream began.
fn beginnings(stretches: &BTreeMap<WriterId, Stretch>) -> HashMap<WriterId, UnixMicros> {
    let mut began: HashMap<WriterId, UnixMicros> = HashMap::new();
    loop {
        let mut is_settled = true;
        for (writer, stretch) in stretches {
            let end =
                |before: &WriterId| stretches.get(before)?.known.max(began.get(before).copied());
            let known = stretch.follows.iter().filter_map(end).max();
            if known > began.get(writer).copied() {
                began.extend(known.map(|known| (*writer, known)));
                is_settled = false;
            }
        }
        if is_settled {
            return began;
        }
    }
}

/// The ages of all `stretches`, none of them older than what was known when its own began: put into those
/// of the longest, so that a long one, of some ten million keys, is not there twice.
fn together(
    stretches: BTreeMap<WriterId, Stretch>,
    began: &HashMap<WriterId, UnixMicros>,
) -> HashMap<u32, Age> {
    let mut stretches: Vec<(WriterId, Stretch)> = stretches.into_iter().collect();
    stretches.sort_by_key(|(_writer, stretch)| Reverse(stretch.ages.len()));
    let mut all: HashMap<u32, Age> = HashMap::new();
    for (writer, Stretch { mut ages, .. }) in stretches {
        if let Some(began) = began.get(&writer) {
            ages.values_mut().for_each(|age| age.newest = age.newest.max(*began));
        }
        if all.is_empty() {
            all = ages;
            continue;
        }
        for (slot, age) in ages {
            let known = all.get(&slot).copied();
            all.insert(slot, known.map_or(age, |known| known.with(age)));
        }
    }
    all
}

/// The age of each key in the store in the folder `dir`, by the time that it is `now`.
pub(super) fn ages(dir: &Path, now: UnixMicros) -> Result<Ages, StoreError> {
    let path = dir.join("keys");
    let keys = KeyFile::open_read_only(&path).map_err(StoreError::io("open", &path))?;
    let mut stretches = BTreeMap::new();
    for stream in streams(&journal_dir(dir))? {
        let stretch: &mut Stretch = stretches.entry(stream.writer).or_default();
        stream.read(0, |record| {
            stretch.record(&record, now);
            Ok::<_, StoreError>(())
        })?;
    }
    let began = beginnings(&stretches);
    let newest = stretches.values().filter_map(|stretch| stretch.newest).max();
    let mut of = together(stretches, &began);
    let mut unread = Ok(());
    of.retain(|slot, _age| match keys.key_in(*slot) {
        Ok(key) => key.is_some(),
        Err(error) => {
            unread = Err(StoreError::io("read", &path)(error));
            false
        }
    });
    unread.map(|()| Ages { of, newest })
}

/// The slot of the key that the evidence in `record` is sealed under; an erasure is none.
pub(super) fn slot_of_evidence(record: &Record) -> Option<u32> {
    let has_evidence = matches!(record.kind, Kind::OptOut | Kind::Reversal);
    record.key_slot().filter(|_slot| has_evidence).map(|(_tag, slot)| slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ages_of_several_streams_are_one_whichever_is_the_longest() {
        let stretch = |ages: &[(u32, i64)]| Stretch {
            ages: ages
                .iter()
                .map(|(slot, at)| (*slot, Age { newest: UnixMicros(*at), records: 1 }))
                .collect(),
            ..Stretch::default()
        };
        let short = [(1, 5), (2, 90)];
        let long = [(1, 40), (3, 7), (4, 60)];
        for (first, second, began) in [(&short[..], &long[..], 50), (&long[..], &short[..], 50)] {
            let stretches =
                BTreeMap::from([(WriterId(1), stretch(first)), (WriterId(2), stretch(second))]);
            let began = HashMap::from([(WriterId(2), UnixMicros(began))]);
            let found: BTreeMap<u32, (i64, u64)> = together(stretches, &began)
                .into_iter()
                .map(|(slot, age)| (slot, (age.newest.0, age.records)))
                .collect();
            let is_long_first = first.len() == long.len();
            let [two, three, four] = if is_long_first { [90, 7, 60] } else { [90, 50, 60] };
            let want = [(1, (50, 2)), (2, (two, 1)), (3, (three, 1)), (4, (four, 1))];
            assert_eq!(found, BTreeMap::from(want), "the long one first: {is_long_first}");
        }
    }
}
