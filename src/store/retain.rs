//! Evidence that is past its time, found in this node's own journal.
//!
//! ```text
//! journal ──► age of each key ──► those past the limit, the oldest first ──► given out no more
//! journal again, settled ──► their records and audio ──► erasures, which the caller makes durable
//! ```
//!
//! A key's age is that of the newest opt-out or reversal that is sealed under it. What is found is
//! looked at a second time once nothing more is sealed under those keys, so that somebody who opts
//! out again meanwhile keeps all of their evidence. Other nodes' records are not in our journal, and
//! not ours to touch.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::sync::mpsc::sync_channel;

use serde::Deserialize;
use serde::Serialize;

use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Authority;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;
use crate::suppression::Fact;
use crate::suppression::Retention;
use crate::suppression::proof::Hash;
use crate::suppression::proof::KeyTag;
use crate::suppression::proof::Kind;
use crate::suppression::proof::Record;

use super::Reader;
use super::Store;
use super::StoreError;
use super::archive::journal_dir;
use super::archive::open_record;
use super::audio::AudioFiles;
use super::journal::streams;
use super::keys::KeyFile;
use super::projection::Forgetting;
use ages::Age;
use ages::ages;
use ages::slot_of_evidence;

mod ages;

pub use ages::Ages;

/// Numbers whose evidence one step destroys at most: some seconds of a slow disk's syncs.
pub(super) const STEP_MAX: usize = 1024;

/// Call records that one transaction takes away at most, and transactions of one step.
const CALLS_MAX: u64 = 1_000;
const CALLS_ROUNDS_MAX: u32 = 100;

/// Evidence of one number that is past its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Whose, as the store keeps it.
    pub number: Number,
    /// The slot of the key that it is sealed under.
    slot: u32,
    /// Opt-outs and reversals, and erasures from before that are sealed under the same key.
    pub records: Vec<RecordId>,
    /// Files of audio that no younger record names.
    pub audio: Vec<Hash>,
}

impl Expired {
    /// What is to be on record before it is destroyed, in this order: only the last of them names
    /// the key.
    pub fn erasures(&self, node: &NodeName, at: UnixMicros) -> Vec<Erasure> {
        let whole = Erasure {
            number: self.number,
            slots: vec![self.slot],
            audio: self.audio.clone(),
            records: self.records.clone(),
            cause: ErasureCause::Retention,
            authority: Authority::LocalOperator,
            actor: None,
            reason: None,
            node: node.clone(),
            erased_at: at,
            answers: None,
        };
        whole.parts()
    }
}

/// What one look at the journal found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is past its time, the oldest first, 1024 at most.
    pub expired: Vec<Expired>,
    /// Whether there is more of it.
    pub is_more: bool,
}

/// How old this node's evidence is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ageing {
    /// By which time it was looked at.
    pub today: UnixMicros,
    /// When the newest record was written.
    pub newest: Option<UnixMicros>,
    /// When the newest record was written of the number whose evidence goes first.
    pub oldest: Option<UnixMicros>,
    /// Numbers with evidence.
    pub numbers: u64,
    /// What would be deleted of it, by the month in which a number's newest record was written.
    pub past: Vec<Month>,
    /// Call records that would be deleted.
    pub calls: u64,
}

impl Ageing {
    /// Numbers whose evidence would be deleted.
    pub fn numbers_past(&self) -> u64 {
        self.past.iter().map(|month| month.numbers).sum()
    }
}

impl fmt::Display for Ageing {
    /// What would be deleted: `the evidence of 1 number, and 12 call records`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numbers, calls) = (self.numbers_past(), self.calls);
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(f, "the evidence of {numbers} number{}, ", plural(numbers))?;
        write!(f, "and {calls} call record{}", plural(calls))
    }
}

/// What would be deleted of one month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Month {
    /// As `2021-11`, in UTC.
    pub month: String,
    /// Numbers.
    pub numbers: u64,
    /// Their opt-outs and reversals.
    pub records: u64,
}

/// What is gathered of keys that are past their time.
struct Gathering<'a> {
    keys: &'a KeyFile,
    ages: &'a HashMap<u32, Age>,
    /// Slots that the first look did not find, and whether there is a key in them.
    looked: HashMap<u32, bool>,
    /// By slot; one that has more by now, or cannot be read, is taken out.
    found: BTreeMap<u32, Option<Expired>>,
    /// Whose audio stands in which file, of all records.
    audio: Vec<(RecordId, Hash)>,
    /// Records whose evidence stays.
    staying: HashSet<RecordId>,
    /// Erasures from before that are sealed under one of these keys, with its slot.
    erasures: Vec<(RecordId, KeyTag, u32)>,
}

impl Gathering<'_> {
    fn record(&mut self, record: &Record) -> Result<(), StoreError> {
        if record.kind == Kind::Audio
            && let Ok(Fact::Audio(Audio { record: of, result, .. })) = record.open(None)
            && let AudioResult::Kept { sha256, .. } = result
        {
            self.audio.push((of, sha256));
        }
        if record.kind == Kind::Erasure
            && let Some((tag, slot)) = record.key_slot()
            && self.found.contains_key(&slot)
        {
            self.erasures.push((record.id, tag, slot));
        }
        let Some(slot) = slot_of_evidence(record) else { return Ok(()) };
        let Some(found) = self.found.get_mut(&slot) else {
            // Else gone already.
            if self.is_live(slot)? {
                self.staying.insert(record.id);
            }
            return Ok(());
        };
        let known = self.ages.get(&slot).map_or(0, |age| age.records);
        match found {
            // Somebody has opted out again since the first look, whatever the clock says.
            Some(found) if found.records.len() as u64 >= known => self.stays(slot, record.id),
            Some(found) if !is_of(self.keys, record, found.number) => {
                // What is left of the key could say one of them only.
                tracing::error!(
                    record = %record.id, other = ?found.records.first(),
                    "two numbers share a key: the evidence of both is kept"
                );
                self.stays(slot, record.id);
            }
            Some(found) => found.records.push(record.id),
            None => match number_of(self.keys, record)? {
                Some(number) => {
                    let (records, audio) = (vec![record.id], Vec::new());
                    *found = Some(Expired { number, slot, records, audio });
                }
                None => self.stays(slot, record.id),
            },
        }
        Ok(())
    }

    /// Whether there is a key in `slot`, one that was taken since the first look among them.
    fn is_live(&mut self, slot: u32) -> Result<bool, StoreError> {
        // Of each of these a note would be as much again as they are.
        if self.ages.contains_key(&slot) {
            return Ok(true);
        }
        if let Some(is_live) = self.looked.get(&slot) {
            return Ok(*is_live);
        }
        let is_live = self.keys.key_in(slot).map_err(StoreError::io("read", "keys"))?.is_some();
        self.looked.insert(slot, is_live);
        Ok(is_live)
    }

    /// What is under the key in `slot` is not past its time, by `record`.
    fn stays(&mut self, slot: u32, record: RecordId) {
        let found = self.found.remove(&slot).flatten();
        self.staying.extend(found.into_iter().flat_map(|found| found.records));
        self.staying.insert(record);
    }

    /// What an erasure says of whom it was goes with its key too, and is named like the rest.
    fn place_erasures(&mut self) {
        for (record, tag, slot) in std::mem::take(&mut self.erasures) {
            match self.found.get_mut(&slot) {
                Some(Some(found)) if self.keys.is_of(tag, found.number) => {
                    found.records.push(record);
                }
                Some(_another) => self.stays(slot, record),
                None => {}
            }
        }
    }

    /// Of a file that others name too, two presses amid the same silence being one, the last goes.
    fn end(mut self, files: &AudioFiles) -> Vec<Expired> {
        self.place_erasures();
        let mut expired: Vec<Expired> = self.found.into_values().flatten().collect();
        let mut of: HashMap<RecordId, usize> = HashMap::new();
        for (at, found) in expired.iter().enumerate() {
            of.extend(found.records.iter().map(|record| (*record, at)));
        }
        let others = self.audio.iter().filter(|(record, _sha256)| self.staying.contains(record));
        let mut taken: HashSet<Hash> = others.map(|(_record, sha256)| *sha256).collect();
        for (record, sha256) in &self.audio {
            let found = of.get(record).and_then(|at| expired.get_mut(*at));
            let Some(found) = found else { continue };
            if files.path(*sha256).exists() && taken.insert(*sha256) {
                found.audio.push(*sha256);
            }
        }
        expired
    }
}

/// Whether a record says of its key that it is of `number`.
fn is_of(keys: &KeyFile, record: &Record, number: Number) -> bool {
    record.key_slot().is_some_and(|(tag, _slot)| keys.is_of(tag, number))
}

/// Whose record that is; nothing where it cannot be opened, which is told.
fn number_of(keys: &KeyFile, record: &Record) -> Result<Option<Number>, StoreError> {
    let RecordId { writer, seq } = record.id;
    let outline = record.outline().map_err(|source| StoreError::Record { writer, seq, source })?;
    let fact = match outline {
        Some(outline) => Some(outline),
        None => match open_record(keys, record) {
            Ok(fact) => fact,
            Err(error) => {
                let (error, record) = (&error as &dyn std::error::Error, record.id);
                tracing::warn!(error, %record, "evidence that cannot be read is left as it is");
                None
            }
        },
    };
    Ok(match fact {
        Some(Fact::OptOut(optout)) => Some(optout.number),
        Some(Fact::Reversal(reversal)) => Some(reversal.number),
        _ => None,
    })
}

impl Store {
    /// How old the evidence of this node is. Reads the journal.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn ages(&self) -> Result<Ages, StoreError> {
        ages(&self.site.dir, self.site.wall())
    }

    /// Evidence of this node whose newest record was written before `limit`, by `ages`. Nothing more
    /// is sealed under those keys from then on. Reads the journal again, where there is any.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`], and those of the disk.
    pub fn past(&self, ages: &Ages, limit: UnixMicros) -> Result<Found, StoreError> {
        let (dir, ages) = (&self.site.dir, &ages.of);
        let mut past: Vec<(UnixMicros, u32)> = ages
            .iter()
            .filter(|(_slot, age)| age.newest < limit)
            .map(|(slot, age)| (age.newest, *slot))
            .collect();
        if past.is_empty() {
            return Ok(Found::default());
        }
        past.sort_unstable();
        let is_more = past.len() > STEP_MAX;
        past.truncate(STEP_MAX);
        let slots: Vec<u32> = past.into_iter().map(|(_newest, slot)| slot).collect();
        self.ledger.retire(slots.clone())?;
        // Whatever was sealed under them is in the journal then; the database is no matter.
        match self.flush() {
            Ok(()) | Err(StoreError::Behind) => {}
            Err(error) => return Err(error),
        }
        let path = dir.join("keys");
        let keys = KeyFile::open_read_only(&path).map_err(StoreError::io("open", &path))?;
        let found = slots.into_iter().map(|slot| (slot, None)).collect();
        let mut gathering = Gathering {
            keys: &keys,
            ages,
            looked: HashMap::new(),
            found,
            audio: Vec::new(),
            staying: HashSet::new(),
            erasures: Vec::new(),
        };
        for stream in streams(&journal_dir(dir))? {
            stream.read(0, |record| gathering.record(&record))?;
        }
        let expired = gathering.end(&AudioFiles::of(dir));
        Ok(Found { expired, is_more })
    }

    /// Takes away call records of calls of `node` that ended before `limit`, in many transactions; how
    /// many they were, and whether there may be more. Without a limit none; in either case nothing of
    /// what was deleted from an embedded database is left in its files.
    ///
    /// # Errors
    ///
    /// Those of the database; what was taken away until then is.
    pub fn forget_calls(
        &self,
        node: &NodeName,
        limit: Option<UnixMicros>,
    ) -> Result<(u64, bool), StoreError> {
        let mut forgotten = 0;
        for _ in 0..CALLS_ROUNDS_MAX {
            let (done, told) = sync_channel(1);
            let (node, len_max) = (node.clone(), CALLS_MAX);
            self.projection.feed.forget(Forgetting { node, limit, len_max, done })?;
            let found = told.recv().map_err(|_gone| StoreError::Closed)??;
            forgotten += found;
            if found < CALLS_MAX {
                return Ok((forgotten, false));
            }
        }
        Ok((forgotten, true))
    }
}

impl Reader {
    /// How old the evidence of this node is, and what of it and of `node`'s call records `retention`
    /// would delete if it were `today`. Reads the journal.
    ///
    /// # Errors
    ///
    /// Those of the disk and of the database.
    pub fn ageing(
        &self,
        retention: &Retention,
        today: UnixMicros,
        node: &NodeName,
    ) -> Result<Ageing, StoreError> {
        let ages = ages(self.dir(), today)?;
        let limit = retention.evidence_limit(today);
        let mut past: BTreeMap<String, Month> = BTreeMap::new();
        for age in ages.of.values().filter(|age| limit.is_some_and(|limit| age.newest < limit)) {
            let month: String = age.newest.iso8601().chars().take("2021-11".len()).collect();
            let sum =
                past.entry(month.clone()).or_insert_with(|| Month { month, ..Month::default() });
            sum.numbers += 1;
            sum.records += age.records;
        }
        let calls = retention.calls_limit(today);
        Ok(Ageing {
            today,
            newest: ages.newest(),
            oldest: ages.oldest(),
            numbers: ages.of.len() as u64,
            past: past.into_values().collect(),
            calls: calls.map_or(Ok(0), |limit| self.count_calls_before(limit, node))?,
        })
    }
}
