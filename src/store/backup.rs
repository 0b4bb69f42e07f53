//! Copies of a store: taken while it is being written, verified, and put back.
//!
//! ```text
//! backup/journal/*.journal   every stream up to its last whole batch
//! backup/segments/*.seg      the numbers of imports, each file named by its hash
//! backup/audio/*.wav         the audio around presses, where it is kept, each named by its hash
//! backup/keys                the keys of the numbers: who has them can read the rest
//! backup/number-key          by which numbers are hashed, where they are and it stands with them
//! backup/bajavoz.sqlite      for the call records; the rest of it is made anew from the journal
//! backup/manifest.json       what the journal held and where each stream ended; written last
//! ```
//!
//! The database is copied before the journal, and segments behind it: so the copy of the journal knows
//! everything that the copy of the database does, and every segment that its records name is there.
//! Keys and audio, which an erasure destroys once it is on record, are copied before the journal and
//! what is new of them behind it: so what an erasure that is not in the copy has destroyed is there. What
//! one that is in it destroys is removed from the copy, from its database too, or a backup would hold for
//! years what was erased before it was taken to its end. A backup is sound when each record continues its stream's chain,
//! opens with its number's key, and names segments that are what their names say; and when all of them
//! are as many as the manifest says, each stream ending with the hash that stands there.

use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::model::UnixMicros;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Fact;

use super::StoreError;
use super::archive::Archive;
use super::archive::RESTORING;
use super::archive::create_private;
use super::archive::journal_dir;
use super::archive::open_record;
use super::archive::sync_names;
use super::audio::AudioFiles;
use super::audio::audio_dir;
use super::database::Database;
use super::erase;
use super::journal::streams;
use super::journal::sync_dir;
use super::keys::KeyFile;
use super::numbers;
use super::segments::Segments;
use super::segments::segments_dir;
use super::site::Site;
use super::site::database_path;
use super::sqlite::Sqlite;

/// The form of a backup that we write and read.
const VERSION: u32 = 1;

/// Size in bytes up to which the indices of a database are compared with its tables too: beyond
/// that it takes minutes, and only the pages themselves are checked.
const CHECKED_WHOLE_LEN_MAX: u64 = 1024 * 1024 * 1024;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of the backup.
    pub version: u32,
    /// When it was taken.
    pub made_at: UnixMicros,
    /// Where each stream of the journal ends.
    pub streams: Vec<StreamEnd>,
    /// Facts in the journal, checkpoints not counted.
    pub facts: u64,
    /// Those of them that are opt-outs.
    pub opt_outs: u64,
    /// Segments of imports that the facts name.
    pub segments: u64,
    /// Files of audio that the facts name and that are there.
    #[serde(default)]
    pub audio: u64,
    /// Those of them whose key was destroyed.
    pub erased: u64,
    /// Call records.
    pub calls: u64,
}

/// What is done with the call records of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// They are checked, and put back with the opt-outs.
    Keep,
    /// They are left out, unread: for a copy whose database is damaged.
    LeaveOut,
}

/// Where a stream ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamEnd {
    /// Whose it is, in 16 hexadecimal digits.
    pub writer: String,
    /// Its last record.
    pub last_seq: u64,
    /// The hash of that one, which stands for all before it.
    pub last_hash: String,
}

/// Copies the store in `dir` to the new folder `to`, whether an engine is writing it or not, and
/// verifies the copy. Facts that are acknowledged while it runs may be in it or not.
///
/// # Errors
///
/// [`StoreError::Missing`] when there is no store, [`StoreError::Occupied`] when `to` is there
/// already, and every way in which a disk can refuse or a journal be damaged.
pub fn backup(dir: &Path, to: &Path, made_at: UnixMicros) -> Result<Manifest, StoreError> {
    backup_amid(dir, to, made_at, &mut |_step| {})
}

/// What is copied next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The journal: keys and audio are.
    Journal,
    /// What keys and audio have got since.
    Rest,
}

/// The same, with `meanwhile` told of each step before it is taken.
pub(super) fn backup_amid(
    dir: &Path,
    to: &Path,
    made_at: UnixMicros,
    meanwhile: &mut dyn FnMut(Step),
) -> Result<Manifest, StoreError> {
    if !journal_dir(dir).is_dir() {
        return Err(StoreError::Missing { path: journal_dir(dir) });
    }
    if to.exists() {
        return Err(StoreError::Occupied { path: to.to_owned() });
    }
    in_new_folder(to, "unfinished", |unfinished| {
        let (keys, kept) = (dir.join("keys"), unfinished.join("keys"));
        copy(&keys, &kept)?;
        copy_named(&audio_dir(dir), &audio_dir(unfinished), "wav")?;
        if database_path(dir).exists() {
            let copy = database_path(unfinished);
            Sqlite::open_read_only(&database_path(dir))?.copy_to(&copy)?;
            sync(&copy)?;
        }
        meanwhile(Step::Journal);
        for stream in streams(&journal_dir(dir))? {
            let end = stream.end()?;
            stream.copy_to(&end, &journal_dir(unfinished))?;
        }
        meanwhile(Step::Rest);
        copy_named(&segments_dir(dir), &segments_dir(unfinished), "seg")?;
        copy_named(&audio_dir(dir), &audio_dir(unfinished), "wav")?;
        KeyFile::complete_copy(&keys, &kept).map_err(StoreError::io("copy", &keys))?;
        copy_number_key(dir, unfinished)?;
        erase::complete_copy(unfinished, database_of(unfinished)?)?;
        let mut manifest = survey(unfinished, made_at)?;
        manifest.calls = count_calls(unfinished)?;
        write_manifest(unfinished, &manifest)?;
        Ok(manifest)
    })
}

/// Whether the backup in `from` is whole, and what it holds; nothing is written.
///
/// # Errors
///
/// [`StoreError::Manifest`] when it has no manifest that we can read, [`StoreError::BackupDiffers`]
/// when it does not hold what that says, [`StoreError::BackupCalls`] when that is so of its call
/// records alone, and every way in which a journal can be damaged.
pub fn verify(from: &Path, calls: Calls) -> Result<Manifest, StoreError> {
    let path = manifest_path(from);
    let text = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let mut manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|source| StoreError::Manifest { path: path.clone(), source })?;
    compare("as its version", u64::from(VERSION), u64::from(manifest.version))?;
    let found = survey(from, manifest.made_at)?;
    compare("streams", manifest.streams.len() as u64, found.streams.len() as u64)?;
    for (expected, found) in manifest.streams.iter().zip(&found.streams) {
        compare("records of a stream", expected.last_seq, found.last_seq)?;
        if expected != found {
            let writer = expected.writer.clone();
            return Err(StoreError::OtherChain { writer, seq: expected.last_seq });
        }
    }
    compare("facts", manifest.facts, found.facts)?;
    compare("opt-outs", manifest.opt_outs, found.opt_outs)?;
    compare("segments", manifest.segments, found.segments)?;
    compare("files of audio", manifest.audio, found.audio)?;
    compare("erased facts", manifest.erased, found.erased)?;
    match calls {
        Calls::Keep => count_calls(from)
            .and_then(|found| compare("call records", manifest.calls, found))
            .map_err(|why| StoreError::BackupCalls { why: Box::new(why) })?,
        Calls::LeaveOut => manifest.calls = 0,
    }
    Ok(manifest)
}

/// Makes the store in `dir`, which must be missing or empty, from the backup in `from`. The
/// database is made anew from the journal; of the copy only the call records are kept.
///
/// # Errors
///
/// Those of [`verify`], before anything is written; [`StoreError::Occupied`]; and those of the
/// disk, after which `dir` is empty, or holds the mark that keeps engines away until a restore has
/// come to its end.
pub fn restore(from: &Path, dir: &Path, calls: Calls) -> Result<Manifest, StoreError> {
    let manifest = verify(from, calls)?;
    let unfinished = make_room(dir)?;
    if let Err(error) = prepare(from, &unfinished, calls, &manifest) {
        // Where it cannot be removed, its name says what it is.
        let _ = fs::remove_dir_all(&unfinished);
        return Err(error);
    }
    move_in(&unfinished, dir)?;
    Ok(manifest)
}

/// An empty folder in the store's own, which is made where it is missing. What a restore left that
/// was cut off is removed: no engine starts on it, so that nobody else can have written there.
fn make_room(dir: &Path) -> Result<PathBuf, StoreError> {
    create_private(dir).map_err(StoreError::io("create", dir))?;
    let unfinished = dir.join(RESTORING);
    let was_cut = unfinished.exists();
    for entry in fs::read_dir(dir).map_err(StoreError::io("read", dir))? {
        let path = entry.map_err(StoreError::io("read", dir))?.path();
        if !was_cut {
            return Err(StoreError::Occupied { path: dir.to_owned() });
        }
        // The mark goes last, as it came first.
        if path != unfinished {
            remove(&path).map_err(StoreError::io("remove", &path))?;
        }
    }
    if was_cut {
        remove(&unfinished).map_err(StoreError::io("remove", &unfinished))?;
    }
    let journal = journal_dir(&unfinished);
    create_private(&journal).map_err(StoreError::io("create", &journal))?;
    sync_dir(dir).map_err(StoreError::io("sync", dir))?;
    Ok(unfinished)
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Makes the store of `from` in the folder `unfinished`, whole and durable.
fn prepare(
    from: &Path,
    unfinished: &Path,
    calls: Calls,
    manifest: &Manifest,
) -> Result<(), StoreError> {
    for stream in streams(&journal_dir(from))? {
        stream.copy_to(&stream.end()?, &journal_dir(unfinished))?;
    }
    copy_named(&segments_dir(from), &segments_dir(unfinished), "seg")?;
    copy_named(&audio_dir(from), &audio_dir(unfinished), "wav")?;
    copy(&from.join("keys"), &unfinished.join("keys"))?;
    copy_number_key(from, unfinished)?;
    if calls == Calls::Keep && database_path(from).exists() {
        copy(&database_path(from), &database_path(unfinished))?;
        Sqlite::open(&database_path(unfinished))?.forget_projection()?;
    }
    let (mut archive, recovered) = Archive::open_exclusive(unfinished)?;
    let keys = unfinished.join("keys");
    archive.keys.leave_free_slots().map_err(StoreError::io("write", keys))?;
    compare("facts", manifest.facts, recovered.facts)?;
    compare("call records", manifest.calls, archive.reader()?.count_calls()?)?;
    drop(archive);
    for folder in [journal_dir(unfinished).as_path(), unfinished] {
        sync_dir(folder).map_err(StoreError::io("sync", folder))?;
    }
    Ok(())
}

/// Moves what was prepared into its place. Until the mark is gone no engine takes the folder for a
/// store, so that a crash in between costs a second restore and no opt-out.
fn move_in(unfinished: &Path, dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(unfinished).map_err(StoreError::io("read", unfinished))? {
        let entry = entry.map_err(StoreError::io("read", unfinished))?;
        let place = dir.join(entry.file_name());
        fs::rename(entry.path(), &place).map_err(StoreError::io("name", &place))?;
    }
    sync_dir(dir).map_err(StoreError::io("sync", dir))?;
    fs::remove_dir(unfinished).map_err(StoreError::io("remove", unfinished))?;
    sync_dir(dir).map_err(StoreError::io("sync", dir))?;
    sync_names(dir).map_err(StoreError::io("sync the name of", dir))
}

/// Has `fill` fill a new folder beside `dir`, which then takes that name; when it fails, nothing
/// is left of it.
fn in_new_folder(
    dir: &Path,
    suffix: &str,
    fill: impl FnOnce(&Path) -> Result<Manifest, StoreError>,
) -> Result<Manifest, StoreError> {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{suffix}"));
    let unfinished = dir.with_file_name(name);
    if unfinished.exists() {
        return Err(StoreError::Occupied { path: unfinished });
    }
    let journal = journal_dir(&unfinished);
    create_private(&journal).map_err(StoreError::io("create", &journal))?;
    let filled = fill(&unfinished).and_then(|manifest| {
        for folder in [&journal, &unfinished] {
            sync_dir(folder).map_err(StoreError::io("sync", folder))?;
        }
        fs::rename(&unfinished, dir).map_err(StoreError::io("name", dir))?;
        sync_names(dir).map_err(StoreError::io("sync the name of", dir))?;
        Ok(manifest)
    });
    if filled.is_err() {
        // Where it cannot be removed either, its name says what it is.
        let _ = fs::remove_dir_all(&unfinished);
    }
    filled
}

/// Reads every record of the journal in `dir`, by its chain and by its key, and counts.
fn survey(dir: &Path, made_at: UnixMicros) -> Result<Manifest, StoreError> {
    let keys = dir.join("keys");
    let keys = KeyFile::open_read_only(&keys).map_err(StoreError::io("open", &keys))?;
    let mut manifest = Manifest {
        version: VERSION,
        made_at,
        streams: Vec::new(),
        facts: 0,
        opt_outs: 0,
        segments: 0,
        audio: 0,
        erased: 0,
        calls: 0,
    };
    let segments = Segments::of(dir);
    let audio = AudioFiles::of(dir);
    let (mut sound, mut heard) = (HashSet::new(), HashSet::new());
    for stream in streams(&journal_dir(dir))? {
        let end = stream.read(0, |record| {
            let fact = open_record(&keys, &record)?;
            manifest.facts += u64::from(!matches!(fact, Some(Fact::Checkpoint(_))));
            manifest.erased += u64::from(fact.is_none());
            manifest.opt_outs += u64::from(matches!(fact, Some(Fact::OptOut(_))));
            if let Some(Fact::Audio(Audio { result: AudioResult::Kept { sha256, .. }, .. })) = &fact
                && heard.insert(*sha256)
            {
                manifest.audio += u64::from(audio.read(*sha256)?.is_some());
            }
            if let Some(Fact::Import(import)) = &fact {
                for (part, content) in import.parts() {
                    // The same numbers may be imported again.
                    if sound.insert(part.segment) {
                        segments.verify(part, &import.list, content)?;
                    }
                }
            }
            Ok::<_, StoreError>(())
        })?;
        manifest.streams.push(StreamEnd {
            writer: stream.writer.to_string(),
            last_seq: end.seq,
            last_hash: end.hash.to_string(),
        });
    }
    manifest.segments = sound.len() as u64;
    Ok(manifest)
}

/// The call records of the store in `dir`, whose database must be sound in every page.
fn count_calls(dir: &Path) -> Result<u64, StoreError> {
    let path = database_path(dir);
    if !path.exists() {
        return Ok(0);
    }
    let database = Sqlite::open_read_only(&path)?;
    let len = fs::metadata(&path).map_err(StoreError::io("measure", &path))?.len();
    database.check_sound(len > CHECKED_WHOLE_LEN_MAX)?;
    Site::embedded(dir).reader()?.count_calls()
}

fn compare(what: &'static str, expected: u64, found: u64) -> Result<(), StoreError> {
    if expected == found {
        Ok(())
    } else {
        Err(StoreError::BackupDiffers { what, expected, found })
    }
}

fn manifest_path(dir: &Path) -> PathBuf {
    dir.join("manifest.json")
}

fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), StoreError> {
    let path = manifest_path(dir);
    let mut text = serde_json::to_vec_pretty(manifest)
        .map_err(|source| StoreError::Manifest { path: path.clone(), source })?;
    text.push(b'\n');
    File::create(&path)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .map_err(StoreError::io("write", &path))
}

/// Copies every file whose name ends so and that is not there yet: a few that no fact names yet are no
/// harm, nor one that is erased meanwhile.
fn copy_named(from: &Path, to: &Path, extension: &str) -> Result<(), StoreError> {
    if !from.exists() {
        return Ok(());
    }
    create_private(to).map_err(StoreError::io("create", to))?;
    for entry in fs::read_dir(from).map_err(StoreError::io("read", from))? {
        let path = entry.map_err(StoreError::io("read", from))?.path();
        let is_one = path.extension().is_some_and(|it| it == extension);
        let copied = path.file_name().filter(|_| is_one).map(|name| to.join(name));
        let Some(copied) = copied.filter(|copied| !copied.exists()) else { continue };
        match copy(&path, &copied) {
            Err(_gone) if !path.exists() => {}
            done => done?,
        }
    }
    sync_dir(to).map_err(StoreError::io("sync", to))
}

/// The database of a copy, for what is taken out of it.
fn database_of(dir: &Path) -> Result<Option<Database>, StoreError> {
    let path = database_path(dir);
    let copy = if path.exists() { Sqlite::open_copy(&path)? } else { None };
    Ok(copy.map(|copy| Database::new(copy, Segments::of(dir))))
}

/// Copies the secret by which numbers are hashed, where it stands with them; one that stands
/// elsewhere is kept there by whoever put it there.
fn copy_number_key(from: &Path, to: &Path) -> Result<(), StoreError> {
    let path = from.join(numbers::FILE_NAME);
    if path.exists() { copy(&path, &to.join(numbers::FILE_NAME)) } else { Ok(()) }
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::copy(from, to).map_err(StoreError::io("copy", from))?;
    sync(to)
}

fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", path))
}
