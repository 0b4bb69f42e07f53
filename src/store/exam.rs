//! Examines a whole store, a copy of one above all: journal and database against each other,
//! against the chain of hashes, and against the signed checkpoints; and the segments of imports
//! against their names. Nothing is written.
//!
//! The database is the file in the folder, or a server that nodes share. Of what other nodes have
//! written there, which has its journal and its keys with them, the chains and signatures are
//! examined, and that each record has its rows, and what these say as far as nothing is sealed of it.
//!
//! Each record is held twice, in the journal and in the table `fact`. Where the two differ, the
//! hash that the record behind it names tells which one was touched; where they agree, it tells
//! whether both were. What the other tables say of a record must be what the record says. Call
//! records are in no chain and are not looked at.

use std::fs::File;
use std::fs::TryLockError;
use std::path::Path;

use serde::Serialize;

use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::suppression::proof::Hash;
use crate::suppression::proof::PublicKey;

use super::Clock;
use super::StoreError;
use super::archive::Hold;
use super::archive::journal_dir;
use super::journal::Torn;
use super::journal::streams;
use super::keys::KeyFile;
use super::postgres;
use super::site::database_path;

mod closed;
mod fault;
mod judge;
mod pieces;
mod rows;
mod run;
mod says;
mod schema;
mod strays;
mod walk;

pub use fault::{Place, StoreFault, StoreFound};

use rows::Rows;
use run::Exam;
use run::Named;

/// Most faults that are told of one store.
const FAULTS_MAX: usize = 100;

/// What was found in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Whether there is a database, in the folder or a server; without, the journal alone is looked
    /// at.
    pub has_database: bool,
    /// Streams in the journal or the database, those of other nodes not counted.
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
    /// Streams of other nodes.
    pub other_streams: usize,
    /// Records in them that are what was written.
    pub others: u64,
    /// Those of them that no checkpoint covers yet.
    pub others_unsigned: u64,
    /// The keys that they are signed by.
    pub other_keys: Vec<PublicKey>,
    /// What is wrong, up to 100 faults.
    #[serde(skip)]
    pub faults: Vec<StoreFault>,
}

/// Examines the store in the folder `dir`, with the database in the same folder, where there is one.
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
    examine_rows(dir, None, key, heads)
}

/// The same with the server of `settings`, which nodes share; `clock` times the tries to reach it.
/// What it has is read as it stands at one moment, and the journal behind that, so that this node
/// and others may go on meanwhile.
///
/// # Errors
///
/// [`StoreError::Io`], and [`StoreError::Server`] where the server cannot be asked. Whatever else is
/// wrong is in [`Examined::faults`].
pub fn examine_shared(
    dir: &Path,
    settings: &postgres::Settings,
    clock: &Clock,
    key: Option<PublicKey>,
    heads: &[(RecordId, Hash)],
) -> Result<Examined, StoreError> {
    examine_rows(dir, Some(Rows::of_server(settings, clock)), key, heads)
}

fn examine_rows(
    dir: &Path,
    server: Option<Rows>,
    key: Option<PublicKey>,
    heads: &[(RecordId, Hash)],
) -> Result<Examined, StoreError> {
    if let Some(server) = &server {
        // Before the journal is looked at, which is never behind the server then.
        server.begin()?;
    }
    let journal_dir = journal_dir(dir);
    let streams = if journal_dir.is_dir() { streams(&journal_dir)? } else { Vec::new() };
    let mut exam = Exam::of(dir);
    let keys = match KeyFile::open_read_only(&dir.join("keys")) {
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
    exam.examined.has_database = server.is_some() || path.exists();
    let rows = match server {
        Some(server) => Some(server),
        None if path.exists() => exam.ask(Rows::of_file(&path)),
        None => None,
    };
    exam.examined.key = key.or_else(|| own.map(|signer| signer.public()));
    let named =
        heads.iter().map(|(record, hash)| Named { record: *record, hash: *hash, is_own: true });
    exam.run(&streams, rows.as_ref(), keys.as_ref(), named.collect())?;
    exam.end()
}

/// The store's lock, where there is one: nobody must write what is examined.
fn hold(dir: &Path) -> Result<Option<Hold>, StoreError> {
    let path = dir.join("lock");
    if !path.exists() {
        return Ok(None);
    }
    let file = File::open(&path).map_err(StoreError::io("open", &path))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(Hold::of(file))),
        Err(TryLockError::WouldBlock) => {
            let pid = std::fs::read_to_string(&path).ok();
            let pid = pid.and_then(|text| text.trim().parse().ok());
            Err(StoreError::Held { path: dir.to_owned(), pid })
        }
        Err(TryLockError::Error(source)) => Err(StoreError::io("lock", path)(source)),
    }
}
