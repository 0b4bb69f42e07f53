//! Examines a whole store, a copy of one above all: journal and database against each other,
//! against the chain of hashes, and against the signed checkpoints; and the segments of imports
//! against their names. Nothing is written.
//!
//! Each record is held twice, in the journal and in the table `fact`. Where the two differ, the
//! hash that the record behind it names tells which one was touched; where they agree, it tells
//! whether both were. What the other tables say of a record must be what the record says. Call
//! records are in no chain and are not looked at.

use std::collections::HashSet;
use std::fs::File;
use std::fs::TryLockError;
use std::path::Path;

use serde::Serialize;

use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::suppression::proof::Hash;
use crate::suppression::proof::PublicKey;
use crate::suppression::segment::SegmentName;

use super::StoreError;
use super::archive::journal_dir;
use super::audio::AudioFiles;
use super::journal::Stream;
use super::journal::Torn;
use super::journal::streams;
use super::keys::KeyFile;
use super::segments::Segments;
use super::site::database_path;

mod fault;
mod judge;
mod rows;
mod schema;
mod strays;
mod walk;

pub use fault::{Place, StoreFault, StoreFound};

use rows::Rows;
use walk::Walk;

/// Most faults that are told of one store.
const FAULTS_MAX: usize = 100;

/// What was found in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Whether there is a database in the folder; without, the journal alone is looked at.
    pub has_database: bool,
    /// Streams in the journal or the database.
    pub streams: usize,
    /// Records that are what was written.
    pub records: u64,
    /// Those of them that are opt-outs whose key is still there.
    pub opt_outs: u64,
    /// Those of them that are imports, whose segments are what their names say.
    pub imports: u64,
    /// Those of them that name audio, which is what its name says.
    pub audio: u64,
    /// Those whose key is destroyed.
    pub erased: u64,
    /// Records whose evidence was deleted since it had been kept for long enough.
    pub expired: u64,
    /// When the last of them was.
    pub expired_at: Option<UnixMicros>,
    /// Signed checkpoints.
    pub checkpoints: u64,
    /// Records that no checkpoint covers yet.
    pub unsigned: u64,
    /// Records in the journal that the database takes in at the next start.
    pub waiting: u64,
    /// The first of them of each stream.
    #[serde(skip)]
    pub waiting_from: Vec<RecordId>,
    /// What looks like a write that a crash had cut short; nothing in such was ever acknowledged.
    pub torn: Vec<Torn>,
    /// The key that the checkpoints were checked under; nothing where there are none.
    pub key: Option<PublicKey>,
    /// What is wrong, up to 100 faults.
    #[serde(skip)]
    pub faults: Vec<StoreFault>,
}

/// Examines the store in the folder `dir`.
///
/// - `key`: the store's public key, known from elsewhere; without it, that of the store's own keys,
///   or else that of its first checkpoint.
/// - `heads`: where its streams ended once, as [`super::Store::heads`] said; each of those records
///   must still be there.
///
/// # Errors
///
/// [`StoreError::Held`] while a process has it, and [`StoreError::Io`]. Whatever else is wrong is
/// in [`Examined::faults`].
pub fn examine(
    dir: &Path,
    key: Option<PublicKey>,
    heads: &[(RecordId, Hash)],
) -> Result<Examined, StoreError> {
    let _held = hold(dir)?;
    let journal_dir = journal_dir(dir);
    let streams = if journal_dir.is_dir() { streams(&journal_dir)? } else { Vec::new() };
    let keys_path = dir.join("keys");
    let mut exam = Exam {
        audio: AudioFiles::of(dir),
        segments: Segments::of(dir),
        sound: HashSet::new(),
        taken: HashSet::new(),
        examined: Examined::default(),
        faults: Vec::new(),
    };
    let keys = match KeyFile::open_read_only(&keys_path) {
        Ok(keys) => Some(keys),
        Err(error) => {
            exam.fault(Place::Keys, None, StoreFound::Unusable(error.to_string()));
            None
        }
    };
    let own = keys.as_ref().and_then(|keys| {
        let told = |error: std::io::Error| {
            exam.fault(Place::Keys, None, StoreFound::Unusable(error.to_string()));
        };
        keys.signer_there().map_err(told).ok().flatten()
    });
    // A node of a shared store has none, and one that was lost is made anew from the journal.
    let path = database_path(dir);
    exam.examined.has_database = path.exists();
    let rows = match Rows::open(&path) {
        _ if !exam.examined.has_database => None,
        Ok(rows) => Some(rows),
        Err(error) => {
            exam.fault(Place::Database, None, StoreFound::Unusable(error.to_string()));
            None
        }
    };
    exam.examined.key = key.or_else(|| own.map(|signer| signer.public()));
    let named = heads.iter().map(|(record, hash)| Named { record: *record, hash: *hash });
    exam.run(&streams, rows.as_ref(), keys.as_ref(), named.collect())?;
    let mut examined = exam.examined;
    examined.faults = exam.faults;
    Ok(examined)
}

/// The store's lock, where there is one: nobody must write what is examined.
fn hold(dir: &Path) -> Result<Option<File>, StoreError> {
    let path = dir.join("lock");
    if !path.exists() {
        return Ok(None);
    }
    let file = File::open(&path).map_err(StoreError::io("open", &path))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let pid = std::fs::read_to_string(&path).ok();
            let pid = pid.and_then(|text| text.trim().parse().ok());
            Err(StoreError::Held { path: dir.to_owned(), pid })
        }
        Err(TryLockError::Error(source)) => Err(StoreError::io("lock", path)(source)),
    }
}

/// An examination at work.
struct Exam {
    audio: AudioFiles,
    segments: Segments,
    /// Segments of imports that are what their names say, with as many numbers.
    sound: HashSet<(SegmentName, u64)>,
    /// The keys that records have taken, as the database writes them.
    taken: HashSet<(String, i64)>,
    examined: Examined,
    faults: Vec<StoreFault>,
}

/// A stream's end as something else names it.
#[derive(Clone, Copy, Debug)]
struct Named {
    record: RecordId,
    hash: Hash,
}

impl Exam {
    fn fault(&mut self, place: Place, record: Option<RecordId>, found: StoreFound) {
        let fault = StoreFault { place, record, found };
        if self.faults.len() < FAULTS_MAX && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn run(
        &mut self,
        streams: &[Stream],
        rows: Option<&Rows>,
        keys: Option<&KeyFile>,
        mut named: Vec<Named>,
    ) -> Result<(), StoreError> {
        let mut writers: Vec<WriterId> = streams.iter().map(|stream| stream.writer).collect();
        let mut links = Vec::new();
        for stream in streams {
            links.extend(walk::links(stream)?);
        }
        if let Some(rows) = rows {
            self.ask(rows.check());
            if let Some(Some(what)) = self.ask(rows.odd_schema()) {
                self.fault(Place::Database, None, StoreFound::Frame { what });
            }
            writers.extend(self.ask(rows.writers()).unwrap_or_default());
            for writer in &writers {
                links.extend(rows.links(*writer));
            }
        }
        writers.sort_unstable();
        writers.dedup();
        self.examined.streams = writers.len();
        let first = links.first().map(|link| link.key);
        self.examined.key = self.examined.key.or(first);
        // Only what is signed can say how another stream ended.
        links.retain(|link| self.examined.key.is_some_and(|key| link.is_signed_by(key)));
        named.extend(links.iter().map(|link| Named { record: link.record(), hash: link.hash }));
        for writer in writers {
            let stream = streams.iter().find(|stream| stream.writer == writer);
            Walk::new(self, rows, keys, &named, writer).run(stream)?;
        }
        for named in &named {
            let is_there = streams.iter().any(|stream| stream.writer == named.record.writer);
            if !is_there {
                let found = StoreFound::Missing { found: None };
                self.fault(Place::Journal, Some(named.record), found);
            }
        }
        if let Some(rows) = rows {
            self.strays(rows);
        }
        Ok(())
    }

    /// Rows of the database that no record stands for.
    fn strays(&mut self, rows: &Rows) {
        for (table, record) in self.ask(rows.strays()).unwrap_or_default() {
            self.fault(Place::Table(table), Some(record), StoreFound::Stray);
        }
        // What the records say cannot be told while one of them cannot be read.
        if self.faults.is_empty() {
            for (tag, slot) in self.ask(rows.keys()).unwrap_or_default() {
                if !self.taken.contains(&(tag, slot)) {
                    self.fault(Place::Table("number_key"), None, StoreFound::StrayKey { slot });
                }
            }
        }
    }

    /// The answer of the database; that it gives none is a fault.
    fn ask<T>(&mut self, answer: rusqlite::Result<T>) -> Option<T> {
        answer
            .map_err(|error| {
                self.fault(Place::Database, None, StoreFound::Unusable(error.to_string()));
            })
            .ok()
    }
}
