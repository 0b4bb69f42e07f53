//! Destroying what can be read of a number, on this node: its keys, and the audio around its presses.
//!
//! ```text
//! journal ──► which slots, which audio ──► erasure, durable ──► audio removed ──► slots zeroed
//! start: every erasure of our own whose slots are not all zero is done to its end
//! ```
//!
//! The journal says which slots a number has taken, since a shared database does not know them; it
//! is read whole for that, which takes a second for a million records. What other nodes erase is
//! done here by the hash alone, when their record comes in, or at the next start.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::thread::JoinHandle;

use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;
use crate::suppression::Fact;
use crate::suppression::erasure::DESTROYED_MAX;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Kind;
use crate::suppression::proof::Record;

use super::Store;
use super::StoreError;
use super::archive::journal_dir;
use super::audio::AudioFiles;
use super::audio::AudioLook;
use super::audio::audio_dir;
use super::audio::fresh::Fresh;
use super::database::Database;
use super::journal::streams;
use super::journal::sync_dir;
use super::keys::KeyFile;
use super::site::Site;

/// Rounds of the follower after which what could not be destroyed is tried again: five seconds.
const PAUSE_ROUNDS: u32 = 20;

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

/// What the journal says of keys and audio.
struct Survey<'a> {
    keys: &'a KeyFile,
    /// By number, what can be read of it.
    found: BTreeMap<Number, Readable>,
    /// Slots that were looked at, and whether there is a key in them.
    looked: HashMap<u32, bool>,
    /// Opt-outs whose key is there, with their number where it is asked about.
    live: HashMap<RecordId, Option<Number>>,
    /// Opt-outs of numbers that are asked about.
    asked: HashMap<RecordId, Number>,
    audio: Vec<(RecordId, Hash)>,
}

/// What can be read of the numbers that `is_asked`, in the store in the folder `dir` that hashes
/// them.
pub(super) fn survey(
    dir: &Path,
    is_asked: &dyn Fn(Number) -> bool,
) -> Result<BTreeMap<Number, Readable>, StoreError> {
    let keys_path = dir.join("keys");
    let keys = KeyFile::open_read_only(&keys_path).map_err(StoreError::io("open", &keys_path))?;
    let mut survey = Survey {
        keys: &keys,
        found: BTreeMap::new(),
        looked: HashMap::new(),
        live: HashMap::new(),
        asked: HashMap::new(),
        audio: Vec::new(),
    };
    for stream in streams(&journal_dir(dir))? {
        stream.read(0, |record| survey.record(&record, is_asked))?;
    }
    survey.place_audio(&AudioFiles::of(dir));
    Ok(survey.found)
}

impl Survey<'_> {
    fn record(
        &mut self,
        record: &Record,
        is_asked: &dyn Fn(Number) -> bool,
    ) -> Result<(), StoreError> {
        if record.kind == Kind::Audio
            && let Ok(Fact::Audio(Audio { record: of, result, .. })) = record.open(None)
            && let AudioResult::Kept { sha256, .. } = result
        {
            self.audio.push((of, sha256));
        }
        let Some((_tag, slot)) = record.key_slot() else { return Ok(()) };
        let RecordId { writer, seq } = record.id;
        let outline =
            record.outline().map_err(|source| StoreError::Record { writer, seq, source })?;
        let number = match outline {
            Some(Fact::OptOut(optout)) => Some(optout.number),
            Some(Fact::Reversal(reversal)) => Some(reversal.number),
            _ => None,
        };
        let number = number.filter(|number| is_asked(*number));
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

/// Whether a crash has cut an erasure of our own short: a key that it destroys is still there.
pub(super) fn is_due(keys: &KeyFile, erasure: &Erasure) -> Result<bool, StoreError> {
    for slot in &erasure.slots {
        if keys.key_in(*slot).map_err(StoreError::io("read", "keys"))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does to their end the erasures of our own that a crash has cut short.
pub(super) fn complete(
    dir: &Path,
    keys: &KeyFile,
    database: &mut Database,
    erasures: &[Erasure],
) -> Result<u64, StoreError> {
    let (mut completed, fresh) = (0, Fresh::default());
    for erasure in erasures {
        if is_due(keys, erasure)? {
            let mut audio = erasure.audio.clone();
            if !audio.is_empty() {
                let others = named_by_others(dir, keys, erasure)?;
                audio.retain(|sha256| !others.contains(sha256));
            }
            destroy(dir, &fresh, &erasure.slots, &audio, kept_of(erasure))?;
            match database.forget_evidence(&erasure.records) {
                // It takes the erasure in once it is back, and the evidence away by it.
                Err(error) if error.is_passing() => {}
                forgotten => forgotten?,
            }
            completed += 1;
        }
    }
    Ok(completed)
}

/// Files of audio that `erasure` removes and that a record names whose key is there and stays:
/// somebody may have had the same silence since the erasure was written down.
fn named_by_others(
    dir: &Path,
    keys: &KeyFile,
    erasure: &Erasure,
) -> Result<HashSet<Hash>, StoreError> {
    let (mut staying, mut audio) = (HashSet::new(), Vec::new());
    for stream in streams(&journal_dir(dir))? {
        stream.read(0, |record| {
            if let Some((_tag, slot)) = record.key_slot()
                && !erasure.slots.contains(&slot)
                && keys.key_in(slot).map_err(StoreError::io("read", "keys"))?.is_some()
            {
                staying.insert(record.id);
            }
            if record.kind == Kind::Audio
                && let Ok(Fact::Audio(Audio { record: of, result, .. })) = record.open(None)
                && let AudioResult::Kept { sha256, .. } = result
                && erasure.audio.contains(&sha256)
            {
                audio.push((of, sha256));
            }
            Ok::<_, StoreError>(())
        })?;
    }
    audio.retain(|(of, _sha256)| staying.contains(of));
    Ok(audio.into_iter().map(|(_of, sha256)| sha256).collect())
}

/// Destroys here what other nodes have erased: of each number, the keys that were first used at its
/// time or before.
fn follow(site: &Site, erased: &[(Number, UnixMicros)]) -> Result<u64, StoreError> {
    let (dir, _look) = (&site.dir, AudioLook::begin(&site.fresh));
    let mut until: BTreeMap<Number, UnixMicros> = BTreeMap::new();
    for (number, at) in erased {
        let known = until.entry(*number).or_insert(*at);
        *known = (*known).max(*at);
    }
    let mut destroyed = 0;
    for (number, found) in survey(dir, &|number| until.contains_key(&number))? {
        let is_before = |(first, _last)| until.get(&number).is_some_and(|until| first <= *until);
        if found.written.is_none_or(is_before) {
            destroyed += found.slots.len() as u64;
            destroy(dir, &site.fresh, &found.slots, &found.audio, None)?;
        }
    }
    Ok(destroyed)
}

/// Why it was not done, and what is to be done again.
type Undone = (StoreError, Vec<(Number, UnixMicros)>);

/// Destroys here what other nodes have erased, on a thread of its own, since the journal is read for
/// it.
#[derive(Default)]
pub(super) struct Erasures {
    due: Vec<(Number, UnixMicros)>,
    thread: Option<JoinHandle<Result<u64, Undone>>>,
    /// Rounds to wait after a failure.
    pause: u32,
}

impl Erasures {
    /// Another node has erased a number: here go the keys that were first used at `until` or before;
    /// without a time, whatever there is now. What it has kept long enough is its own to destroy.
    pub(super) fn are_due(&mut self, erasure: &Erasure, until: Option<UnixMicros>) {
        match erasure.cause {
            ErasureCause::Request => {
                self.due.push((erasure.number, until.unwrap_or(UnixMicros(i64::MAX))));
            }
            ErasureCause::Retention => {}
        }
    }

    /// Begins what is due, and looks after what was begun.
    pub(super) fn look_after(&mut self, site: &Site) {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(Ok(done)) = self.thread.take().map(JoinHandle::join)
        {
            match done {
                Ok(keys) => tracing::info!(keys, "what other nodes have erased is erased here"),
                Err((error, due)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "what other nodes have erased is not erased here yet");
                    self.due.extend(due);
                    self.pause = PAUSE_ROUNDS;
                }
            }
        }
        self.pause = self.pause.saturating_sub(1);
        if self.due.is_empty() || self.pause > 0 || self.thread.is_some() {
            return;
        }
        let (site, due) = (site.clone(), std::mem::take(&mut self.due));
        let again = due.clone();
        let work = move || follow(&site, &due).map_err(|error| (error, due));
        match std::thread::Builder::new().name("erase".to_owned()).spawn(work) {
            Ok(thread) => self.thread = Some(thread),
            Err(_no_thread) => self.due = again,
        }
    }
}

impl Store {
    /// What can be read of `number` on this node. Reads the journal.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeepsNumbers`] where numbers are not hashed, and those of the disk.
    pub fn readable(&self, number: Number) -> Result<Readable, StoreError> {
        if !self.site.numbers.is_keyed() {
            return Err(StoreError::KeepsNumbers);
        }
        let stored = self.site.numbers.stored(number);
        let mut found = survey(&self.site.dir, &|number| number == stored)?;
        let mut found = found.remove(&stored).unwrap_or_default();
        found.slots.truncate(DESTROYED_MAX);
        found.audio.truncate(DESTROYED_MAX);
        found.records.truncate(DESTROYED_MAX);
        Ok(found)
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
