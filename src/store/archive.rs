//! A store that this process alone holds: the lock, recovery, and questions.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use crate::model::RecordId;
use crate::suppression::Fact;
use crate::suppression::NumberStorage;
use crate::suppression::StorageMark;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::Record;

use super::Clock;
use super::StoreError;
use super::chunks;
use super::database::Cursor;
use super::database::Database;
use super::erase;
use super::journal::Stream;
use super::journal::Torn;
use super::journal::streams;
use super::journal::sync_dir;
use super::keys::KeyFile;
use super::keys::Slot;
use super::ledger::LooseEnd;
use super::numbers;
use super::numbers::NumberChoice;
use super::reader::Reader;
use super::site::Site;
use super::site::Target;
use hold::lock;
use recovery::Opening;
use recovery::check_end;
use recovery::learn;

mod hold;
mod own;
mod recovery;

pub(super) use hold::Hold;
pub use hold::held_by;
pub(super) use own::fill_from_journal;

/// What was found when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Facts that were in the journal and not yet in the database, checkpoints not counted.
    pub facts: u64,
    /// Whether the database was missing and was made anew.
    pub rebuilt: bool,
    /// Writes that a crash had cut short; nothing in them was ever acknowledged.
    pub torn: Vec<Torn>,
    /// Those of them whose key was destroyed, in a store that hashes numbers: what is sealed in them is
    /// gone, and by what is left they refuse.
    pub erased: u64,
    /// Reasons of this node's own, and numbers of imports it knew at its last start, that are in the
    /// index where other nodes are followed.
    pub filled: u64,
    /// What of them is left out of it.
    pub left_out: u64,
    /// Whether the shared database could not be reached, so that it is brought up to date later.
    pub is_away: bool,
}

/// How far a stream of the journal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Its last durable record.
    pub(super) last: RecordId,
    /// Whether its process is gone and nothing will follow.
    pub(super) is_past: bool,
    /// How much of it the database is known to have.
    pub(super) taken: u64,
}

/// A store held by this process, recovered, and open for questions; nothing is written to it.
#[derive(Debug)]
pub struct Archive {
    pub(super) site: Site,
    pub(super) database: Database,
    pub(super) keys: KeyFile,
    /// The streams of processes before us, where the database is a shared one: it may lack them, since
    /// it was away, or lose them.
    pub(super) past: Vec<Reach>,
    /// The ends of this store's streams that no later one names yet.
    pub(super) loose_ends: Vec<LooseEnd>,
    /// Held while the value lives.
    pub(super) lock: Hold,
}

/// The folder in a store's own in which a restore prepares it, there until the last step.
pub(super) const RESTORING: &str = "restoring";

impl Archive {
    /// Takes hold of the store in the folder `dir` with its own database, makes it when it is
    /// missing, and takes everything into the database that only the journal has.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_exclusive(dir: &Path) -> Result<(Self, Recovered), StoreError> {
        Self::open_site(Site::embedded(dir))
    }

    /// Takes hold of the store in the folder `dir`, makes it when it is missing, and takes
    /// everything into the database that only the journal has; a shared one that is away gets it
    /// later. `clock` times the tries to reach it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NumberStorage`] where it keeps numbers otherwise than `numbers` says,
    /// [`StoreError::Held`] while another process has it, [`StoreError::RestoreCut`] where a restore
    /// did not come to its end, [`StoreError::Server`] where the shared database refuses us, and
    /// every way in which a disk can refuse or a journal be damaged.
    pub fn open(
        dir: &Path,
        target: &Target,
        numbers: &NumberChoice,
        clock: &Clock,
    ) -> Result<(Self, Recovered), StoreError> {
        Self::open_site(Site::new(dir, target.clone(), numbers.clone(), Clock::clone(clock)))
    }

    pub(super) fn open_site(mut site: Site) -> Result<(Self, Recovered), StoreError> {
        let dir = &site.dir;
        let restoring = dir.join(RESTORING);
        if restoring.exists() {
            // What is missing here was to come from a backup: a new store would call those people.
            return Err(StoreError::RestoreCut { path: restoring });
        }
        let journal_dir = journal_dir(dir);
        create_private(&journal_dir).map_err(StoreError::io("create", &journal_dir))?;
        sync_dir(dir).map_err(StoreError::io("sync", dir))?;
        sync_names(dir).map_err(StoreError::io("sync the name of", dir))?;
        let lock = lock(dir)?;
        let streams = streams(&journal_dir)?;
        let rebuilt = !streams.is_empty() && site.lacks_database();
        if let Some(mut outdated) = site.outdated_database()? {
            // Nothing else knows it, should the journal have lost something.
            check_whole(&outdated.cursors()?, &streams)?;
        }
        let mut database = site.database()?;
        let cursors = unless_away(database.cursors())?;
        let keys_path = dir.join("keys");
        let known = cursors.as_deref().unwrap_or_default();
        // Without its keys a journal is unreadable: they are made once, with the store.
        let is_new = streams.is_empty() && (known.is_empty() || database.is_shared());
        let made = numbers::mark_of(&keys_path)?;
        let numbers = numbers_of(&site, &mut database, made, is_new, cursors.is_some())?;
        let mut keys = KeyFile::open(&keys_path, is_new, numbers.clone())
            .map_err(StoreError::io("open", &keys_path))?;
        keys.secure().map_err(StoreError::io("sync", &keys_path))?;
        database.keep_numbers_as(made.unwrap_or_else(|| numbers.mark()));
        if cursors.is_some() {
            // One that goes away meanwhile is asked again before anything is put in.
            unless_away(database.claim())?;
        }
        let (mut loose_ends, mut erasures) = (Vec::new(), Vec::new());
        if database.is_shared() {
            (loose_ends, erasures) = learn(&streams, &mut keys)?;
        } else {
            check_all_there(known, &streams)?;
            for (tag, slot) in database.number_keys()? {
                keys.learn(tag, slot);
            }
        }
        let recovered = Recovered { rebuilt, is_away: cursors.is_none(), ..Recovered::default() };
        let (past, lacks) = (Vec::new(), Vec::new());
        let mut opening = Opening { database, keys, recovered, past, lacks };
        for stream in &streams {
            opening.stream(stream, known)?;
        }
        let Opening { mut database, mut keys, recovered, past, lacks } = opening;
        keys.leave_slots_of(&lacks).map_err(StoreError::io("write", &keys_path))?;
        if !database.is_shared() {
            loose_ends = database.loose_ends()?;
            erasures = database.erasures_due(&keys)?;
        }
        let completed = erase::complete(&site.dir, &keys, &mut database, &erasures)?;
        if completed > 0 {
            tracing::warn!(completed, "erasures that a crash had cut short are done to their end");
        }
        if database.is_shared()
            && let Err(error) = chunks::sweep(&site.dir)
        {
            tracing::warn!(%error, "what was left of segments half fetched takes up the disk");
        }
        site.numbers = numbers;
        Ok((Self { site, database, keys, past, loose_ends, lock }, recovered))
    }

    /// The key that the store's checkpoints verify by; nothing where none was drawn yet.
    pub fn proof_key(&self) -> Option<PublicKey> {
        self.keys.signer_there().ok().flatten().map(|signer| signer.public())
    }

    /// A connection for questions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub fn reader(&self) -> Result<Reader, StoreError> {
        self.site.reader()
    }
}

/// What was answered; nothing when the database is only away.
fn unless_away<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_passing() => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the shared database is away; facts wait in the journal");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How numbers are kept in the store of `site`, which was `made` so where it was; a store that
/// `is_new` may draw a secret, where no node of the same database has done so.
fn numbers_of(
    site: &Site,
    database: &mut Database,
    made: Option<StorageMark>,
    is_new: bool,
    is_there: bool,
) -> Result<NumberStorage, StoreError> {
    let is_shared = database.is_shared();
    // Nothing while it is away, and nothing within where nobody has said so yet.
    let told = if is_shared && is_there { unless_away(database.mark())? } else { None };
    let kept = told.flatten();
    let may_draw = is_new && kept.is_none() && (told.is_some() || !is_shared);
    let numbers = site.choice.resolve(&site.dir, made, may_draw)?;
    if let Some(kept) = kept.filter(|_kept| site.choice != NumberChoice::AsMade) {
        numbers::check(&numbers, kept, || "the shared database".to_owned())?;
    }
    Ok(numbers)
}

pub(super) fn journal_dir(dir: &Path) -> PathBuf {
    dir.join("journal")
}

/// Makes the folder and those above it that are missing, for our user alone: what is in them
/// says who opted out.
pub(super) fn create_private(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
    builder.create(dir)
}

/// Makes the names of the folder `dir` and of those above it durable, as far as we may have made
/// them: on the same disk, in folders that we may read. Without them all that is in it would be out
/// of reach after a power cut, however well it was synced.
pub(super) fn sync_names(dir: &Path) -> io::Result<()> {
    let dir = std::path::absolute(dir)?;
    let disk = fs::metadata(&dir)?.dev();
    for above in dir.ancestors().skip(1) {
        let is_ours = fs::metadata(above).is_ok_and(|found| found.dev() == disk);
        match if is_ours { sync_dir(above) } else { break } {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            synced => synced?,
        }
    }
    Ok(())
}

/// Every stream that the database knows must still be in the journal.
fn check_all_there(cursors: &[Cursor], streams: &[Stream]) -> Result<(), StoreError> {
    for cursor in cursors {
        let is_there = streams.iter().any(|stream| stream.writer == cursor.writer);
        if !is_there && cursor.seq > 0 {
            let (writer, database) = (cursor.writer, cursor.seq);
            return Err(StoreError::JournalBehind { writer, journal: 0, database });
        }
    }
    Ok(())
}

/// Every record that the database knows must still be in the journal.
fn check_whole(cursors: &[Cursor], streams: &[Stream]) -> Result<(), StoreError> {
    check_all_there(cursors, streams)?;
    for stream in streams {
        if let Some(cursor) = cursors.iter().find(|cursor| cursor.writer == stream.writer) {
            check_end(&stream.end()?, cursor)?;
        }
    }
    Ok(())
}

/// The fact in a record, by the key that its number has. Once that is destroyed, its outline, where the
/// number was kept of it; and nothing where numbers are hashed, since a record is its own outline there.
///
/// # Errors
///
/// [`StoreError::Unkept`] where numbers are kept as they are, and neither key nor number is left.
pub(super) fn open_record(keys: &KeyFile, record: &Record) -> Result<Option<Fact>, StoreError> {
    let RecordId { writer, seq } = record.id;
    let fail = |source| StoreError::Record { writer, seq, source };
    let Some((tag, slot)) = record.key_slot() else {
        return record.open(None).map(Some).map_err(fail);
    };
    match keys.slot(slot).map_err(StoreError::io("read", "keys"))? {
        Slot::Key(key) => record.open(Some(&key)).map(Some).map_err(fail),
        Slot::Kept(number) if keys.is_of(tag, number) => record.outline_of(number).map_err(fail),
        Slot::Kept(_) | Slot::Destroyed => {
            let mark = keys.mark().map_err(StoreError::io("read", "keys"))?;
            // Whoever is on record there would be called without a word.
            let is_lost = mark == StorageMark::Plain;
            if is_lost { Err(StoreError::Unkept { writer, seq, slot }) } else { Ok(None) }
        }
    }
}
