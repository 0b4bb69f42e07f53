//! Destroying what can be read of a number, on this node: its keys, and the audio around its presses.
//!
//! ```text
//! journal ──► which slots, which audio ──► erasure, durable ──► audio removed ──► slots zeroed
//! start: every erasure of our own whose slots are not all zero is done to its end
//! ```
//!
//! The journal says which slots a number has taken, since a shared database does not know them; it
//! is read whole for that, which takes a second for a million records: once to find its keys, and once
//! more when nothing more is sealed under them. What other nodes erase is done here by the hash alone,
//! see `others`.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;

use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;
use crate::suppression::Fact;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Kind;
use crate::suppression::proof::Record;

use super::Store;
use super::StoreError;
use super::archive::journal_dir;
use super::archive::open_record;
use super::audio::AudioFiles;
use super::audio::audio_dir;
use super::audio::fresh::Fresh;
use super::database::Database;
use super::journal::streams;
use super::journal::sync_dir;
use super::keys::KeyFile;
use super::site::Site;

mod others;

pub(super) use others::Erasures;

/// What can still be read of a number on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    /// Slots of its keys.
    pub slots: Vec<u32>,
    /// Files of audio around its presses, which nobody else's record names.
    pub audio: Vec<Hash>,
    /// Records that are sealed under these keys.
    pub records: Vec<RecordId>,
    /// When the first of them was written, and the last.
    pub written: Option<(UnixMicros, UnixMicros)>,
}

impl Readable {
    /// Whether there is nothing.
    pub const fn is_nothing(&self) -> bool {
        self.slots.is_empty() && self.audio.is_empty()
    }
}

/// What is looked for in the journal.
struct Asked<'a> {
    /// Which numbers.
    is_asked: &'a dyn Fn(Number) -> bool,
    /// Of them, what is sealed under the keys in these slots alone; else under all of them.
    slots: Option<HashSet<u32>>,
}

/// What the journal says of keys and audio.
struct Survey<'a> {
    keys: &'a KeyFile,
    asked_for: Asked<'a>,
    /// By number, what can be read of it.
    found: BTreeMap<Number, Readable>,
    /// Slots that were looked at, and whether there is a key in them.
    looked: HashMap<u32, bool>,
    /// Opt-outs whose key is there, with their number where it is asked about.
    live: HashMap<RecordId, Option<Number>>,
    /// Opt-outs of numbers that are asked about.
    asked: HashMap<RecordId, Number>,
    audio: Vec<(RecordId, Hash)>,
    /// The erasures by request of those numbers.
    erasures: Vec<(RecordId, Erasure)>,
}

/// What was found of some numbers.
struct Surveyed {
    /// By number, what can be read of it.
    found: BTreeMap<Number, Readable>,
    /// This node's own erasures of them, by request.
    erasures: Vec<(RecordId, Erasure)>,
}

/// What can be read of the numbers that are `asked` for, in the store in the folder `dir` that hashes
/// them.
fn survey(dir: &Path, asked_for: Asked<'_>) -> Result<Surveyed, StoreError> {
    let keys_path = dir.join("keys");
    let keys = KeyFile::open_read_only(&keys_path).map_err(StoreError::io("open", &keys_path))?;
    let mut survey = Survey {
        keys: &keys,
        asked_for,
        found: BTreeMap::new(),
        looked: HashMap::new(),
        live: HashMap::new(),
        asked: HashMap::new(),
        audio: Vec::new(),
        erasures: Vec::new(),
    };
    for stream in streams(&journal_dir(dir))? {
        stream.read(0, |record| survey.record(&record))?;
    }
    survey.place_audio(&AudioFiles::of(dir));
    let Survey { found, erasures, .. } = survey;
    Ok(Surveyed { found, erasures })
}

impl Survey<'_> {
    fn record(&mut self, record: &Record) -> Result<(), StoreError> {
        let is_asked = self.asked_for.is_asked;
        if record.kind == Kind::Erasure
            && let Ok(Fact::Erasure(erasure)) = record.open(None)
            && erasure.cause == ErasureCause::Request
            && is_asked(erasure.number)
        {
            self.erasures.push((record.id, *erasure));
        }
        self.audio.extend(audio_in(record));
        let Some((_tag, slot)) = record.key_slot() else { return Ok(()) };
        let RecordId { writer, seq } = record.id;
        let outline =
            record.outline().map_err(|source| StoreError::Record { writer, seq, source })?;
        let number = match outline {
            Some(Fact::OptOut(optout)) => Some(optout.number),
            Some(Fact::Reversal(reversal)) => Some(reversal.number),
            _ => None,
        };
        let is_meant = |slots: &HashSet<u32>| slots.contains(&slot);
        let is_meant = self.asked_for.slots.as_ref().is_none_or(is_meant);
        let number = number.filter(|number| is_meant && is_asked(*number));
        self.asked.extend(number.map(|number| (record.id, number)));
        if !self.is_live(slot)? {
            return Ok(());
        }
        self.live.insert(record.id, number);
        let Some(number) = number else { return Ok(()) };
        let found = self.found.entry(number).or_default();
        if !found.slots.contains(&slot) {
            found.slots.push(slot);
        }
        found.records.push(record.id);
        let at = record.written_at;
        let (first, last) = found.written.unwrap_or((at, at));
        found.written = Some((first.min(at), last.max(at)));
        Ok(())
    }

    fn is_live(&mut self, slot: u32) -> Result<bool, StoreError> {
        if let Some(is_live) = self.looked.get(&slot) {
            return Ok(*is_live);
        }
        let is_live = self.keys.key_in(slot).map_err(StoreError::io("read", "keys"))?.is_some();
        self.looked.insert(slot, is_live);
        Ok(is_live)
    }

    /// Two presses amid the same silence are the same file: it stays until both are erased.
    fn place_audio(&mut self, files: &AudioFiles) {
        let is_others =
            |of: &RecordId| matches!(self.live.get(of), Some(number) if number.is_none());
        let kept: HashSet<Hash> = {
            let others = self.audio.iter().filter(|(of, _sha256)| is_others(of));
            others.map(|(_of, sha256)| *sha256).collect()
        };
        for (of, sha256) in &self.audio {
            let Some(number) = self.asked.get(of) else { continue };
            if kept.contains(sha256) || !files.path(*sha256).exists() {
                continue;
            }
            let found = self.found.entry(*number).or_default();
            if !found.audio.contains(sha256) {
                found.audio.push(*sha256);
            }
        }
    }
}

/// Removes the audio, save what is `fresh`, and then destroys the keys, of which `kept` is left where
/// there is such: durable when this returns. Doing it twice is doing it once.
fn destroy(
    dir: &Path,
    fresh: &Fresh,
    slots: &[u32],
    audio: &[Hash],
    kept: Option<Number>,
) -> Result<(), StoreError> {
    let files = AudioFiles::of(dir);
    for sha256 in audio {
        let path = files.path(*sha256);
        fresh.remove(*sha256, &path).map_err(StoreError::io("remove", path))?;
    }
    if !audio.is_empty() && audio_dir(dir).is_dir() {
        sync_dir(&audio_dir(dir)).map_err(StoreError::io("sync", audio_dir(dir)))?;
    }
    let path = dir.join("keys");
    KeyFile::destroy(&path, slots, kept).map_err(StoreError::io("destroy keys in", path))
}

/// What is left of the keys that `erasure` destroys.
pub(super) fn kept_of(erasure: &Erasure) -> Option<Number> {
    Some(erasure.number).filter(|number| !number.is_keyed())
}

/// Erasures of our own, looked at one after the other, of which a crash has cut some short.
#[derive(Debug, Default)]
pub(super) struct CutShort {
    /// Those that destroy a key which is still there.
    due: Vec<Erasure>,
    /// Those that destroy audio and no key, by which nobody can tell.
    keyless: Vec<Erasure>,
}

impl CutShort {
    /// Looks at one.
    pub(super) fn look_at(&mut self, keys: &KeyFile, erasure: Erasure) -> Result<(), StoreError> {
        if is_due(keys, &erasure)? {
            self.due.push(erasure);
        } else if erasure.slots.is_empty() && !erasure.audio.is_empty() {
            self.keyless.push(erasure);
        }
        Ok(())
    }

    /// Looks at what `record` says, where it is one.
    pub(super) fn look_in(&mut self, keys: &KeyFile, record: &Record) -> Result<(), StoreError> {
        match erasure_in(keys, record)? {
            Some(erasure) => self.look_at(keys, erasure),
            None => Ok(()),
        }
    }

    /// Those that are to be done to their end: which parts without a key are, the part of the same act
    /// says that has one. Audio goes before keys.
    pub(super) fn all(self) -> Vec<Erasure> {
        let Self { due, keyless } = self;
        let act = |part: &Erasure| (part.number, part.cause, part.erased_at, part.node.clone());
        let acts: Vec<_> = due.iter().map(act).collect();
        let cut_short = keyless.into_iter().filter(|part| acts.contains(&act(part)));
        let mut all: Vec<Erasure> = cut_short.collect();
        all.extend(due);
        all
    }
}

/// Whether a key that `erasure` destroys is still there.
pub(super) fn is_due(keys: &KeyFile, erasure: &Erasure) -> Result<bool, StoreError> {
    for slot in &erasure.slots {
        if keys.key_in(*slot).map_err(StoreError::io("read", "keys"))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The erasure in `record`, where it is one.
fn erasure_in(keys: &KeyFile, record: &Record) -> Result<Option<Erasure>, StoreError> {
    if record.kind == Kind::Erasure
        && let Some(Fact::Erasure(erasure)) = open_record(keys, record)?
    {
        return Ok(Some(*erasure));
    }
    Ok(None)
}

/// Removes from the copy of a store in `dir` what the erasures in its journal destroy: keys, audio and
/// `database` were copied before that.
pub(super) fn complete_copy(dir: &Path, mut database: Option<Database>) -> Result<(), StoreError> {
    let path = dir.join("keys");
    let keys = KeyFile::open_read_only(&path).map_err(StoreError::io("open", &path))?;
    let mut cut_short = CutShort::default();
    for stream in streams(&journal_dir(dir))? {
        stream.read(0, |record| {
            let Some(erasure) = erasure_in(&keys, &record)? else { return Ok(()) };
            // Its key may be gone from the copy, which was made later than that of the database.
            if let Some(database) = &mut database {
                database.forget_evidence(&erasure.records)?;
            }
            cut_short.look_at(&keys, erasure)
        })?;
    }
    finish(dir, &Fresh::default(), &keys, &cut_short.all())
}

/// Does to their end the erasures of our own that a crash has cut short, all of which are due; how many
/// they are.
pub(super) fn complete(
    dir: &Path,
    keys: &KeyFile,
    database: &mut Database,
    erasures: &[Erasure],
) -> Result<u64, StoreError> {
    // Before their keys: by those they are due again where this is cut short too.
    for erasure in erasures {
        match database.forget_evidence(&erasure.records) {
            // It takes the erasure in once it is back, and the evidence away by it.
            Err(error) if error.is_passing() => {}
            forgotten => forgotten?,
        }
    }
    finish(dir, &Fresh::default(), keys, erasures)?;
    Ok(erasures.len() as u64)
}

/// Removes what `erasures` destroy that were cut short, save audio that somebody may have had too since
/// they were written down.
fn finish(
    dir: &Path,
    fresh: &Fresh,
    keys: &KeyFile,
    erasures: &[Erasure],
) -> Result<(), StoreError> {
    let staying = named_by_others(dir, keys, erasures)?;
    for erasure in erasures {
        let mut audio = erasure.audio.clone();
        audio.retain(|sha256| !staying.contains(sha256));
        destroy(dir, fresh, &erasure.slots, &audio, kept_of(erasure))?;
    }
    Ok(())
}

/// Files of audio that `erasures` remove and that a record names whose key is there and stays. Reads
/// the journal twice, however many they are; not at all where they have no audio.
fn named_by_others(
    dir: &Path,
    keys: &KeyFile,
    erasures: &[Erasure],
) -> Result<HashSet<Hash>, StoreError> {
    let removed: HashSet<Hash> = erasures.iter().flat_map(|it| it.audio.iter().copied()).collect();
    if removed.is_empty() {
        return Ok(HashSet::new());
    }
    let destroyed: HashSet<u32> = erasures.iter().flat_map(|it| it.slots.iter().copied()).collect();
    let streams = streams(&journal_dir(dir))?;
    let mut named: HashMap<RecordId, Vec<Hash>> = HashMap::new();
    for stream in &streams {
        stream.read(0, |record| {
            if let Some((of, sha256)) = audio_in(&record)
                && removed.contains(&sha256)
            {
                named.entry(of).or_default().push(sha256);
            }
            Ok::<_, StoreError>(())
        })?;
    }
    let mut staying = HashSet::new();
    for stream in &streams {
        stream.read(0, |record| {
            if let Some(audio) = named.get(&record.id)
                && let Some((_tag, slot)) = record.key_slot()
                && !destroyed.contains(&slot)
                && keys.key_in(slot).map_err(StoreError::io("read", "keys"))?.is_some()
            {
                staying.extend(audio);
            }
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(staying)
}

/// The file of audio that `record` names, and of which record it is.
fn audio_in(record: &Record) -> Option<(RecordId, Hash)> {
    if record.kind != Kind::Audio {
        return None;
    }
    match record.open(None) {
        Ok(Fact::Audio(Audio { record: of, result: AudioResult::Kept { sha256, .. }, .. })) => {
            Some((of, sha256))
        }
        _ => None,
    }
}

impl Store {
    /// What can be read of `number` on this node. Reads the journal.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeepsNumbers`] where numbers are not hashed, and those of the disk.
    pub fn readable(&self, number: Number) -> Result<Readable, StoreError> {
        self.readable_in(number, None)
    }

    /// What can be read of `number` on this node, for good: nothing more is sealed under its keys from
    /// then on. Reads the journal, and once more where there is any. Keep a [`Self::look`] from before
    /// until it is destroyed.
    ///
    /// # Errors
    ///
    /// As [`Self::readable`], and [`StoreError::Closed`].
    pub fn readable_for_good(&self, number: Number) -> Result<Readable, StoreError> {
        let found = self.readable(number)?;
        if found.slots.is_empty() {
            return Ok(found);
        }
        self.ledger.retire(found.slots.clone())?;
        // Whatever was sealed under them is in the journal then; the database is no matter.
        match self.flush() {
            Ok(()) | Err(StoreError::Behind) => {}
            Err(error) => return Err(error),
        }
        self.readable_in(number, Some(found.slots.into_iter().collect()))
    }

    fn readable_in(
        &self,
        number: Number,
        slots: Option<HashSet<u32>>,
    ) -> Result<Readable, StoreError> {
        if !self.site.numbers.is_keyed() {
            return Err(StoreError::KeepsNumbers);
        }
        let stored = self.site.numbers.stored(number);
        let is_asked = |number| number == stored;
        let Surveyed { mut found, .. } =
            survey(&self.site.dir, Asked { is_asked: &is_asked, slots })?;
        Ok(found.remove(&stored).unwrap_or_default())
    }

    /// Destroys what `erasure` names, which is durable: what is done when this returns is for ever.
    /// What a crash keeps from being done, the next start does. Audio that somebody has kept since the
    /// [`Self::look`] began by which it was found is left.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn destroy(&self, erasure: &Erasure) -> Result<(), StoreError> {
        let Site { dir, fresh, .. } = &self.site;
        destroy(dir, fresh, &erasure.slots, &erasure.audio, kept_of(erasure))
    }

    /// A number as the store keeps it.
    pub fn stored(&self, number: Number) -> Number {
        self.site.numbers.stored(number)
    }
}
