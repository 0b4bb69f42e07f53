//! The journal and the database behind the suppression room's traits.
//!
//! ```text
//! submit -> queue -> commit thread: seal, append, fdatasync -> Ack
//!                         \-> projection thread: SQLite, behind; call records too
//! start:  lock -> journal streams behind each cursor -> SQLite -> Index
//! ```
//!
//! The journal is the truth; the database is what is asked. After an error of the disk nothing is
//! written to the same file again: facts are refused, and once the disk takes a new segment a new
//! stream begins in it. Opt-outs that were refused wait in memory and are written first then, with
//! the time when they were pressed; their person was told that it failed, and is not told anew.
//! Deliberately absent: a second way to write a fact, and any way to change one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::suppression::LedgerError;
use crate::suppression::StorageMark;
use crate::suppression::segment::SegmentError;

mod archive;
mod audio;
mod backend;
mod backup;
mod believed;
mod chunks;
mod database;
mod erase;
mod exam;
mod facade;
mod follow;
pub mod import;
mod imported;
pub mod journal;
mod keys;
pub mod ledger;
mod migrations;
mod numbers;
pub mod postgres;
mod projection;
mod proof;
mod publish;
mod random;
mod reader;
mod retain;
mod segments;
mod site;
mod snapshot;
mod sqlite;
mod transfer;
mod watch;

pub use archive::{Archive, Recovered, held_by};
pub use audio::AudioLook;
pub use backup::{Calls, Manifest, StreamEnd, backup, restore, verify};
pub use erase::Readable;
pub use exam::{Examined, Place, StoreFault, StoreFound, examine, examine_shared};
pub use facade::{Counters, Settings, Store};
pub use follow::{Followed, Following, Monotonic, OnNumber};
pub use ledger::{AckPolicy, Ledger};
pub use numbers::NumberChoice;
pub use reader::{CallFilter, Reader};
pub use retain::{Ageing, Ages, Expired, Found, Month};
pub use site::Target;
pub use snapshot::Snapshot;
pub use transfer::{Copied, CopiedTable, copy};
pub use watch::{OnEvent, StoreEvent};

/// Reads the wall clock; handed in, since only the driver of the clock may read it.
pub type Clock = Arc<dyn Fn() -> UnixMicros + Send + Sync>;

/// Why a store cannot be opened, read or closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The call records of a backup cannot be used; its opt-outs are another matter.
    #[error(
        "the call records of the backup are damaged ({why}); `restore --without-calls` puts \
         back every opt-out without them"
    )]
    BackupCalls {
        /// What is wrong with them.
        why: Box<Self>,
    },
    /// A backup does not hold what its manifest says.
    #[error("the backup is not whole: expected {expected} {what}, found {found}")]
    BackupDiffers {
        /// What was counted.
        what: &'static str,
        /// What the manifest says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The database cannot be asked: it is away, or has not yet what this node wrote.
    #[error(
        "the records cannot be read now, since the database is away or behind the journal; nothing \
         is lost, and `bajavoz explain` answers from memory"
    )]
    Away,
    /// The database cannot be written; facts wait in the journal and nothing is lost.
    #[error("the database is behind the journal and cannot be written")]
    Behind,
    /// The ledger or the projection is gone.
    #[error("the store is closed")]
    Closed,
    /// Numbers are not hashed.
    #[error(
        "this store keeps numbers as they are, and one that is erased would be refused no more: make \
         a new store with number-storage = \"hmac\" in [store], and bring the opt-outs over by \
         `bajavoz optout export` and `bajavoz import`"
    )]
    KeepsNumbers,
    /// A column of a row is not of its table's kind.
    #[error("column {at} of a row of the database is not what was written")]
    Column {
        /// Which, from 0 on.
        at: usize,
    },
    /// A row that was copied is another one there.
    #[error("the table `{table}` is not the same in both databases; engines go on with the one")]
    CopyDiffers {
        /// The table.
        table: &'static str,
    },
    /// SQLite refused.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    /// The database's file is no database any more.
    #[error(
        "the database `{path}` is damaged; move it away and it is made anew from the journal, \
         save the call records"
    )]
    DatabaseDamaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// All that is on record was written by other nodes, which alone have the keys that open and
    /// prove it.
    #[error(
        "other nodes wrote all that is on record of the number, record {record} first: run `bajavoz \
         proof` there"
    )]
    Foreign {
        /// The first of the records.
        record: RecordId,
    },
    /// Another process holds the store.
    #[error("the store `{path}` is held by {}", holder(*.pid))]
    Held {
        /// The store's folder.
        path: PathBuf,
        /// The process that holds it, where it said so.
        pid: Option<u32>,
    },
    /// A segment that a record names cannot be read; whoever is in it would be called.
    #[error("the import's segment `{}` cannot be {}", path.display(), fault(source))]
    Segment {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: SegmentError,
    },
    /// The imports together are more than an index of numbers can hold.
    #[error("the imported numbers cannot be held together")]
    Imports {
        /// What is too much.
        source: Box<crate::suppression::base::BuildError<Self>>,
    },
    /// The system refused.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
    /// The database knows records that the journal does not have any more.
    #[error(
        "the journal of writer {writer} ends at record {journal}, but the database knows it up \
         to record {database}; restore the journal from a copy"
    )]
    JournalBehind {
        /// Whose stream.
        writer: WriterId,
        /// The last record in the journal.
        journal: u64,
        /// The last record in the database.
        database: u64,
    },
    /// The audio around a press is not what was kept.
    #[error("the audio `{path}` is not what its name says")]
    Audio {
        /// Its file.
        path: PathBuf,
    },
    /// A backup's manifest is not what was written.
    #[error("the manifest `{path}` cannot be read")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// There is no store.
    #[error("there is no store: `{path}` is missing")]
    Missing {
        /// What is missing.
        path: PathBuf,
    },
    /// The secret by which numbers are hashed cannot be had.
    #[error(
        "the number key `{path}` is {what}: numbers cannot be hashed without it, and whoever is \
         listed would be called; put back the file that the store was made with, which other nodes \
         of one database have too"
    )]
    NumberKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Numbers are kept otherwise than the configuration says.
    #[error("{place} keeps numbers as \"{found}\", and the configuration says \"{expected}\": {}",
        numbers_hint(*expected, *found))]
    NumberStorage {
        /// What says so.
        place: String,
        /// How the configuration has it.
        expected: StorageMark,
        /// How they are kept.
        found: StorageMark,
    },
    /// More records lead from a number's own to their signatures than a bundle holds.
    #[error("expected at most {max} records in one bundle, found more")]
    Long {
        /// How many it holds.
        max: usize,
    },
    /// The tables could not be brought up to date.
    #[error("cannot bring the database's tables up to date")]
    Migration {
        /// What the migration said.
        source: Box<refinery::Error>,
    },
    /// The database and the journal disagree about a record.
    #[error("record {seq} of writer {writer} is not the same in journal and database")]
    Mismatch {
        /// Whose stream.
        writer: WriterId,
        /// The record.
        seq: u64,
    },
    /// The shared database has opt-outs of other nodes, which an embedded one cannot keep.
    #[error(
        "the server has {streams} streams of other nodes, and an embedded database keeps what this \
         node's journal does: put them into this node's own by `bajavoz optout export --imports` and \
         `bajavoz import`"
    )]
    Others {
        /// How many.
        streams: usize,
    },
    /// Something is where a new folder was to be made.
    #[error("`{path}` is there already; name a folder that is not, or move it away")]
    Occupied {
        /// What is there.
        path: PathBuf,
    },
    /// A restore has not come to its end, and what it was to bring back is not all there.
    #[error(
        "a restore of this store was cut off (`{path}` is there): run `bajavoz restore` again, which \
         begins anew; an engine without it would call people who have opted out"
    )]
    RestoreCut {
        /// Where it was prepared.
        path: PathBuf,
    },
    /// A stream of a backup ends with another record than its manifest says.
    #[error("the backup is not what was taken: record {seq} of writer {writer} is another one")]
    OtherChain {
        /// Whose stream.
        writer: String,
        /// Its last record.
        seq: u64,
    },
    /// What the database says of an opt-out is not what was written.
    #[error(
        "the opt-out {} in {place} cannot be read: {what}; an embedded database is made anew from \
         the journal, save the call records, when it is moved away",
        named(*.record)
    )]
    OptOutRow {
        /// The database.
        place: String,
        /// The record that the row is of, where it names one.
        record: Option<RecordId>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A record does not open although its key is there.
    #[error("record {seq} of writer {writer} cannot be read")]
    Record {
        /// Whose stream.
        writer: WriterId,
        /// The record.
        seq: u64,
        /// What is wrong with it.
        source: crate::suppression::proof::RecordError,
    },
    /// The database is not where we left it: it has lost records, or has some that we have not heard
    /// of; what to forward is found out anew.
    #[error("the database has a stream from elsewhere on than expected")]
    Moved,
    /// The shared database did not do what it was asked.
    #[error(transparent)]
    Server(#[from] postgres::ServerError),
    /// A row is not what was written.
    #[error("a row of the database cannot be read")]
    Row {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The journal did not take a record that the store itself has to write.
    #[error("what is to be erased is not on record yet")]
    Unwritten {
        /// Why.
        source: LedgerError,
    },
    /// Nothing is left of the key of a record, which no program of ours brings about where numbers are
    /// kept as they are.
    #[error(
        "record {seq} of writer {writer} does not say any more whose it is: expected its key or its \
         number in slot {slot} of the file `keys`, found neither; put back a copy of that file, since \
         whoever it refuses would be called"
    )]
    Unkept {
        /// Whose stream.
        writer: WriterId,
        /// The record.
        seq: u64,
        /// Where its key was.
        slot: u32,
    },
    /// A record that no checkpoint covers, since the journal takes none.
    #[error("record {record} cannot be signed while the journal cannot be written")]
    Unsigned {
        /// The record.
        record: RecordId,
    },
}

impl StoreError {
    /// Whether another process has the store or its database, which says nothing of its soundness.
    pub fn is_held(&self) -> bool {
        match self {
            Self::Held { .. } => true,
            Self::Database(error) => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
            ),
            _ => false,
        }
    }

    /// Whether the database is only away, and may do later what it was asked.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Away | Self::Behind | Self::Moved => true,
            Self::Server(error) => error.is_passing(),
            _ => false,
        }
    }

    /// Whether the tables are not those that we have made, which a server says when it is asked for
    /// them.
    fn is_of_tables(&self) -> bool {
        matches!(self, Self::Server(error) if error.is_of_tables())
    }

    /// Whether the database refused what was to be kept itself, which nothing will change.
    fn is_of_data(&self) -> bool {
        matches!(self, Self::Server(error) if error.is_of_data())
    }

    /// An I/O error's context, for `map_err`.
    fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// What cannot be done with a segment, and what helps: one that is whole needs no copy.
fn fault(source: &SegmentError) -> &'static str {
    match source {
        SegmentError::Io(error) if error.kind() != io::ErrorKind::NotFound => "read",
        _ => "used; restore it from a copy",
    }
}

const fn numbers_hint(expected: StorageMark, found: StorageMark) -> &'static str {
    match (expected, found) {
        (StorageMark::Keyed(_), StorageMark::Keyed(_)) => {
            "`number-key` must name the file that it was made with"
        }
        (_, StorageMark::Keyed(_)) => {
            "write number-storage = \"hmac\" in [store], since it is chosen when a store is made"
        }
        (_, StorageMark::Plain) => {
            "write number-storage = \"plain\" in [store], since it is chosen when a store is made; \
             or `bajavoz optout export`, and `bajavoz import` into a new store"
        }
    }
}

fn named(record: Option<RecordId>) -> String {
    record.map_or_else(|| "without a record".to_owned(), |record| format!("of record {record}"))
}

#[cfg(test)]
mod tests;
