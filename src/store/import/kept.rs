//! What an import that was ended in the middle leaves, so that the next try goes on where it stood.
//!
//! ```text
//! store/importing/NAME/lock      held by the process that imports
//! store/importing/NAME/0.run     sorted numbers, synced before the manifest names them
//! store/importing/NAME/manifest  SHA-256 of the rest, then JSON: the runs, and how far the file was
//!                                read; written under another name, synced, renamed
//! ```
//!
//! NAME stands for the file, by its size, its time and what its first and last MiB hold, and for all
//! that decides how it is read; so the same command finds it. Whether the file is the same is held
//! against a checksum of all text that was read of it, which is read again, though its numbers are not;
//! once it was read whole, against its SHA-256:
//! what is resumed is exactly what an import without an end would have come to. A manifest, a run or
//! rejected lines that are not what they should be are begun anew.
//!
//! Runs take 8 octets a number, 16 for an export of ours, and hold what the store's segments hold:
//! hashes where numbers are hashed. They are removed once the import is recorded, when a disk is full,
//! after a week, and all but the youngest few.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::model::UnixMicros;
use crate::model::hex;
use crate::store::journal::sync_dir;
use crate::suppression::import::Mark;
use crate::suppression::import::Settings;
use crate::suppression::import::Shape;

use super::Order;
use super::checked::Checked;
use super::checked::Sum;
use super::places::Placed;

/// The form of what is kept with the rules by which lines are read, counted up with either, and the
/// program that reads the files: others may read them otherwise.
const FORM: &str = concat!("3 ", env!("CARGO_PKG_VERSION"));
/// How much of the file's beginning and end its name is made of.
const ENDS_LEN: u64 = 1 << 20;
/// How long what is left is of use. Our choice: over a weekend and a holiday.
const LEFT_FOR_US: i64 = 7 * 24 * 60 * 60 * 1_000_000;
/// How many imports of other files may be left. Our choice: two registries and a mistake.
const OTHERS_MAX: usize = 3;
/// Octets of a manifest at most: 1,024 places of ranges take some.
const MANIFEST_LEN_MAX: u64 = 64 << 20;

/// Where an import is kept while it is not done, and when it is begun.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// The store's folder.
    pub store: PathBuf,
    /// The time now.
    pub now: UnixMicros,
}

/// An import that goes on where an earlier try stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Lines that were read then.
    pub lines: u64,
    /// When it was begun.
    pub begun_at: UnixMicros,
}

/// Which numbers a run holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Held {
    Listed,
    TakenOff,
    Placed,
}

/// How far an import is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    begun_at: UnixMicros,
    runs: Vec<(Held, Sum)>,
    /// How far the file is read; also where it is read whole.
    pub(super) mark: Mark,
    /// Of all text that was read of it.
    pub(super) text: Sum,
    pub(super) placed: Vec<Placed>,
    pub(super) one_list_rows: u64,
    /// Of the file of rejected lines.
    pub(super) rejects: Option<Sum>,
    /// What it is, once it is read whole.
    pub(super) whole: Option<Whole>,
}

/// What an earlier try left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) state: State,
    pub(super) runs: Vec<(Held, File)>,
    /// Of the rejected lines, to be written on.
    pub(super) rejects: Option<Checked>,
    pub(super) resumed: Resumed,
}

/// A file that was read whole.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Whole {
    pub(super) shape: Shape,
    pub(super) file_sha256: [u8; 32],
}

/// Where the state of one import is kept.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    now: UnixMicros,
    begun_at: UnixMicros,
    /// Held once there is a folder.
    lock: Option<File>,
    runs: Vec<(Held, Sum)>,
}

impl Kept {
    /// Of the import that `order` asks for, where it is to be kept and no other process is at it. What
    /// is left of others goes, where it is old or there is too much of it.
    pub(super) fn of(order: &Order) -> io::Result<Option<Self>> {
        let Some(Keeping { store, now }) = &order.keeping else { return Ok(None) };
        let all = store.join("importing");
        let folder = all.join(name(FORM, order)?);
        tidy(&all, &folder, *now);
        let lock = match lock(&folder, false) {
            Ok(Some(lock)) => Some(lock),
            // Somebody else is at it: this one is not kept.
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Some(Self { folder, now: *now, begun_at: *now, lock, runs: Vec::new() }))
    }

    /// What an earlier try left, where all of it is sound.
    pub(super) fn left(&mut self, order: &Order) -> Option<Left> {
        self.lock.as_ref()?;
        let state = read_manifest(&self.manifest()).ok()?;
        let mut runs = Vec::with_capacity(state.runs.len());
        for (at, (held, sum)) in state.runs.iter().enumerate() {
            let mut run = File::open(self.run(at)).ok()?;
            if Sum::of(&mut run).ok()? != *sum {
                return None;
            }
            runs.push((*held, run));
        }
        let rejects = match (&order.rejects, state.rejects) {
            (None, None) => None,
            (Some(path), Some(was)) => Some(Checked::reopen(path, was).ok()??),
            _ => return None,
        };
        self.begun_at = state.begun_at;
        self.runs.clone_from(&state.runs);
        let resumed = Resumed { lines: state.mark.lines, begun_at: self.begun_at };
        Some(Left { state, runs, rejects, resumed })
    }

    /// Makes the folder, where there is none yet; false where another process has made it.
    pub(super) fn begin(&mut self) -> io::Result<bool> {
        if self.lock.is_none() {
            let mut builder = fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
            builder.create(&self.folder)?;
            self.lock = lock(&self.folder, true)?;
            for folder in self.folder.ancestors().skip(1).take(2) {
                sync_dir(folder)?;
            }
        }
        Ok(self.lock.is_some())
    }

    /// A file for the next run.
    pub(super) fn new_run(&self) -> io::Result<Checked> {
        Checked::create(&self.run(self.runs.len()))
    }

    /// The run is written: it counts with the next state.
    pub(super) fn written(&mut self, held: Held, run: &Checked) -> io::Result<()> {
        run.sync()?;
        self.runs.push((held, run.sum()));
        Ok(())
    }

    /// Keeps how far the import is, with all runs so far.
    pub(super) fn keep(&self, progress: Progress<'_>) -> io::Result<()> {
        let Progress { mark, text, placed, one_list_rows, rejects, whole } = progress;
        let state = State {
            begun_at: self.begun_at,
            runs: self.runs.clone(),
            mark: mark.clone(),
            text,
            placed: placed.to_vec(),
            one_list_rows,
            rejects,
            whole,
        };
        let json = serde_json::to_vec(&state)?;
        let unfinished = self.folder.join("manifest.new");
        let file = private().truncate(true).open(&unfinished)?;
        io::Write::write_all(&mut &file, hex(&Sha256::digest(&json)).as_bytes())?;
        io::Write::write_all(&mut &file, &json)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.manifest())?;
        sync_dir(&self.folder)
    }

    /// Whether anything of it is kept by now.
    pub(super) const fn has_runs(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Nothing of it is kept any more: the next try begins anew.
    pub(super) fn forget(&mut self) {
        if self.lock.is_some() {
            remove(&self.folder);
        }
        self.lock = None;
        self.begun_at = self.now;
        self.runs.clear();
    }

    fn manifest(&self) -> PathBuf {
        self.folder.join("manifest")
    }

    fn run(&self, at: usize) -> PathBuf {
        self.folder.join(format!("{at}.run"))
    }
}

/// How far an import is, to be kept.
pub(super) struct Progress<'a> {
    pub(super) mark: &'a Mark,
    pub(super) text: Sum,
    pub(super) placed: &'a [Placed],
    pub(super) one_list_rows: u64,
    pub(super) rejects: Option<Sum>,
    pub(super) whole: Option<Whole>,
}

/// By which the same import is known, where `form` is kept.
pub(super) fn name(form: &str, order: &Order) -> io::Result<String> {
    let mut file = File::open(&order.file)?;
    let found = file.metadata()?;
    let len = found.len();
    let time = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let Settings { shape, numbers, column, whole: _, wide_ranges, number_key } = &order.settings;
    let rejects = order.rejects.as_ref().map(std::path::absolute).transpose()?;
    let how = format!(
        "{form} {len} {time} {shape:?} {} {column:?} {wide_ranges} {number_key:?} {rejects:?} {} {} {}",
        numbers.region(),
        order.run_numbers,
        order.is_one_list,
        order.numbers.mark(),
    );
    let mut ends = Vec::new();
    (&mut file).take(ENDS_LEN).read_to_end(&mut ends)?;
    file.seek(SeekFrom::Start(len.saturating_sub(ENDS_LEN)))?;
    file.take(ENDS_LEN).read_to_end(&mut ends)?;
    let digest: [u8; 32] = Sha256::new_with_prefix(how).chain_update(&ends).finalize().into();
    Ok(hex(&digest))
}

/// The manifest at `path`, where it is whole.
fn read_manifest(path: &Path) -> io::Result<State> {
    let mut octets = Vec::new();
    File::open(path)?.take(MANIFEST_LEN_MAX).read_to_end(&mut octets)?;
    let (sum, json) = octets.split_at_checked(64).unwrap_or_default();
    if sum != hex(&Sha256::digest(json)).as_bytes() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(serde_json::from_slice(json)?)
}

fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true).create(true);
    // What numbers of people are in is for our user alone, as the store is.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The lock of a folder; nothing where another process holds it.
fn lock(folder: &Path, is_new: bool) -> io::Result<Option<File>> {
    let mut options = private();
    let lock = options.create(is_new).truncate(false).open(folder.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes what is left of imports in `all`, save that of `ours`: what is old, and all but the
/// youngest few. What cannot be removed is tried again by the next import.
fn tidy(all: &Path, ours: &Path, now: UnixMicros) {
    let mut others = Vec::new();
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|found| found.modified()).unwrap_or(UNIX_EPOCH);
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        if entry.path() != ours {
            others.push((at, entry.path()));
        }
    }
    others.sort_unstable();
    let too_many = others.len().saturating_sub(OTHERS_MAX);
    for (nth, (at, folder)) in others.iter().enumerate() {
        let is_old = now.0.saturating_sub(*at) > LEFT_FOR_US;
        let is_free = || !matches!(lock(folder, false), Ok(None));
        if (is_old || nth < too_many) && is_free() {
            remove(folder);
        }
    }
}

/// The manifest first: without it, what stays of the rest is nothing.
fn remove(folder: &Path) {
    // What stays is overwritten by the same import, or removed by the next when it is old.
    let _ = fs::remove_file(folder.join("manifest"));
    let _ = fs::remove_dir_all(folder);
}
