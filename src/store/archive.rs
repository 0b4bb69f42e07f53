//! A store that this process alone holds: the lock, recovery, and questions.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::suppression::Erasure;
use crate::suppression::Fact;
use crate::suppression::Index;
use crate::suppression::NumberStorage;
use crate::suppression::StorageMark;
use crate::suppression::proof::Kind;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::Record;

use super::Clock;
use super::StoreError;
use super::chunks;
use super::database::Cursor;
use super::database::Database;
use super::database::Projected;
use super::erase;
use super::journal::JournalEnd;
use super::journal::Stream;
use super::journal::Torn;
use super::journal::streams;
use super::journal::sync_dir;
use super::keys::KeyFile;
use super::ledger::LooseEnd;
use super::numbers;
use super::numbers::NumberChoice;
use super::proof::is_own_checkpoint;
use super::reader::Reader;
use super::site::Site;
use super::site::Target;
use super::snapshot::Snapshot;

/// Records that are taken in with one transaction.
const TAKE_IN_MAX: usize = 1024;

/// What was found when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Facts that were in the journal and not yet in the database, checkpoints not counted.
    pub facts: u64,
    /// Whether the database was missing and was made anew.
    pub rebuilt: bool,
    /// Writes that a crash had cut short; nothing in them was ever acknowledged.
    pub torn: Vec<Torn>,
    /// Facts whose key was destroyed, so that they stand in the database sealed only.
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
        let mut opening = Opening { database, keys, recovered, past: Vec::new() };
        for stream in &streams {
            opening.stream(stream, known)?;
        }
        let Opening { mut database, keys, recovered, past } = opening;
        if !database.is_shared() {
            loose_ends = database.loose_ends()?;
            erasures = database.erasures()?;
        }
        let completed = erase::complete(&site.dir, &keys, &erasures)?;
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

/// Learns from the journal what a shared database does not know of this node: which number has
/// which slot; and finds the ends of its streams that no later one names yet, and its erasures.
fn learn(
    streams: &[Stream],
    keys: &mut KeyFile,
) -> Result<(Vec<LooseEnd>, Vec<Erasure>), StoreError> {
    let mut erasures = Vec::new();
    let mut named = BTreeSet::new();
    let mut ends = Vec::new();
    for stream in streams {
        let (mut is_signed, mut is_beginning) = (false, true);
        let end = stream.read(0, |record| {
            if let Some((tag, slot)) = record.key_slot() {
                keys.learn(tag, slot);
            }
            if record.kind == Kind::Erasure
                && let Some(Fact::Erasure(erasure)) = open_record(keys, &record)?
            {
                erasures.push(*erasure);
            }
            let link = record.checkpoint().filter(|link| link.writer != stream.writer);
            is_beginning &= link.is_some();
            named.extend(link.filter(|_link| is_beginning).map(|link| link.record()));
            is_signed = is_own_checkpoint(&record);
            Ok::<_, StoreError>(())
        })?;
        let record = RecordId { writer: stream.writer, seq: end.seq };
        ends.push(LooseEnd { record, hash: end.hash, is_signed });
    }
    ends.retain(|end| end.record.seq > 0 && !named.contains(&end.record));
    Ok((ends, erasures))
}

/// A store that is being opened.
struct Opening {
    database: Database,
    keys: KeyFile,
    recovered: Recovered,
    past: Vec<Reach>,
}

impl Opening {
    /// Brings the database up to the end of `stream`; when it is away, notes that it is behind.
    fn stream(&mut self, stream: &Stream, known: &[Cursor]) -> Result<(), StoreError> {
        let cursor = known.iter().find(|cursor| cursor.writer == stream.writer);
        if let Some(cursor) = cursor.filter(|cursor| cursor.is_closed) {
            if !self.database.is_shared() {
                return Ok(());
            }
            // It may have been told so by whoever ran a copy of this folder.
            let end = stream.end()?;
            if end.seq <= cursor.seq {
                self.note(stream, end.seq, end.seq);
                return Ok(());
            }
        }
        if !self.recovered.is_away {
            let mut taking = Taking::new(&mut self.database, &mut self.keys, &mut self.recovered);
            match taking.stream(stream, cursor) {
                Err(error) if error.is_of_data() => {
                    // It is behind for good; what comes after it is not to be.
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, writer = %stream.writer, "a record is never taken");
                }
                taken => match unless_away(taken)? {
                    Some(end_seq) => {
                        self.note(stream, end_seq, end_seq);
                        return Ok(());
                    }
                    None => self.recovered.is_away = true,
                },
            }
        }
        let end = stream.end()?;
        stream.secure(&end)?;
        stream.close(&end)?;
        self.note(stream, end.seq, 0);
        self.recovered.torn.extend(end.torn);
        Ok(())
    }

    /// Keeps in mind how far a stream reaches that a shared database is to have.
    fn note(&mut self, stream: &Stream, end_seq: u64, taken: u64) {
        if end_seq > 0 && self.database.is_shared() {
            let last = RecordId { writer: stream.writer, seq: end_seq };
            self.past.push(Reach { last, is_past: true, taken });
        }
    }
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

/// Locks the folder against other processes and leaves our process id for them to name.
fn lock(dir: &Path) -> Result<Hold, StoreError> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Whoever holds it may not have written its id yet; then none is named.
            let _ = file.read_to_string(&mut text);
            return Err(StoreError::Held { path: dir.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(source)) => {
            return Err(StoreError::Io { doing: "lock", path, source });
        }
    }
    let write = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    write.map_err(StoreError::io("write", &path))?;
    Ok(Hold(file))
}

/// Who holds the store in the folder `dir`, by the process id that it has left there; nothing where
/// nobody does.
pub fn held_by(dir: &Path) -> Option<String> {
    let mut file = File::open(dir.join("lock")).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // As above.
            let _ = file.read_to_string(&mut text);
            Some(text)
        }
        // What was taken is let go of with the file.
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The lock on a store's folder.
///
/// It is let go of in so many words: a child that this process has just begun shares the open
/// file until it runs a program of its own, and closing ours would leave the lock with it so long.
#[derive(Debug)]
pub(super) struct Hold(File);

impl Drop for Hold {
    fn drop(&mut self) {
        // If it fails, the system lets go of it with the last holder of the file.
        let _ = self.0.unlock();
    }
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

/// The fact in a record, by the key that its number has.
pub(super) fn open_record(keys: &KeyFile, record: &Record) -> Result<Option<Fact>, StoreError> {
    let fail = |source| StoreError::Record { writer: record.id.writer, seq: record.id.seq, source };
    let Some((_tag, slot)) = record.key_slot() else {
        return record.open(None).map(Some).map_err(fail);
    };
    let key = keys.key_in(slot).map_err(StoreError::io("read", "keys"))?;
    key.map(|key| record.open(Some(&key)).map_err(fail)).transpose()
}

/// Fills `index` with what this node itself has written, in the store of `site`, and with the
/// numbers of the imports that it knew at its last start; and returns how many they were, and how
/// many were left out. For a start while the shared database is away.
pub(super) fn fill_from_journal(site: &Site, index: &Index) -> Result<(u64, u64), StoreError> {
    let dir = site.dir.as_path();
    index.keep_numbers_as(&site.numbers);
    let path = dir.join("keys");
    let keys = KeyFile::open_read_only(&path).map_err(StoreError::io("open", &path))?;
    let (mut filled, mut left_out) = (0, 0);
    for stream in streams(&journal_dir(dir))? {
        stream.read(0, |record| {
            let (id, fact) = (record.id, open_record(&keys, &record)?);
            match Projected::new(record, fact)?.fact() {
                Some(Fact::OptOut(optout)) => {
                    let settled = index.settle_optout(optout, id);
                    *(if settled.is_ok() { &mut filled } else { &mut left_out }) += 1;
                }
                Some(Fact::Reversal(reversal)) => {
                    for cancelled in &reversal.cancels {
                        index.reverse(reversal.number, cancelled.record, &cancelled.lists);
                    }
                }
                Some(
                    Fact::Audio(_)
                    | Fact::Checkpoint(_)
                    | Fact::Confirmed(_)
                    | Fact::Erasure(_)
                    | Fact::Import(_),
                )
                | None => {}
            }
            Ok::<_, StoreError>(())
        })?;
    }
    match Snapshot::of_store(dir).load() {
        Ok(Some((base, _cursor))) => {
            filled += base.len();
            left_out += index.mount(base) as u64;
        }
        Ok(None) => {}
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the numbers of imports are not known until the database is back"
            );
        }
    }
    Ok((filled, left_out))
}

/// Takes the journal into the database.
struct Taking<'a> {
    database: &'a mut Database,
    keys: &'a mut KeyFile,
    recovered: &'a mut Recovered,
    waiting: Vec<Projected>,
}

impl<'a> Taking<'a> {
    const fn new(
        database: &'a mut Database,
        keys: &'a mut KeyFile,
        recovered: &'a mut Recovered,
    ) -> Self {
        Self { database, keys, recovered, waiting: Vec::new() }
    }

    /// Takes in one stream of a process that is gone, and closes it; its last record.
    fn stream(&mut self, stream: &Stream, cursor: Option<&Cursor>) -> Result<u64, StoreError> {
        let known = cursor.map_or(0, |cursor| cursor.seq);
        stream.secure(&stream.end()?)?;
        let end = stream.read(known, |record| self.record(record))?;
        if end.seq < known {
            let writer = stream.writer;
            if self.database.is_shared() {
                // As after a restore: what is missing here is safe there.
                tracing::warn!(%writer, journal = end.seq, database = known, "the journal is older");
                stream.close(&end)?;
                return Ok(end.seq);
            }
            return Err(StoreError::JournalBehind { writer, journal: end.seq, database: known });
        }
        if let Some(cursor) = cursor
            && end.seq == cursor.seq
            && known > 0
            && end.hash != cursor.hash
        {
            return Err(StoreError::Mismatch { writer: stream.writer, seq: known });
        }
        stream.close(&end)?;
        self.recovered.torn.extend(end.torn.clone());
        self.flush(stream.writer, Some(&end))?;
        Ok(end.seq)
    }

    fn record(&mut self, record: Record) -> Result<(), StoreError> {
        if let Some((tag, slot)) = record.key_slot() {
            self.keys.learn(tag, slot);
        }
        let fact = open_record(self.keys, &record)?;
        self.recovered.facts += u64::from(!matches!(fact, Some(Fact::Checkpoint(_))));
        self.recovered.erased += u64::from(fact.is_none());
        let writer = record.id.writer;
        self.waiting.push(Projected::new(record, fact)?);
        if self.waiting.len() == TAKE_IN_MAX { self.flush(writer, None) } else { Ok(()) }
    }

    /// Takes in what waits; the cursor moves to the end of the stream, or to the last record.
    fn flush(&mut self, writer: WriterId, end: Option<&JournalEnd>) -> Result<(), StoreError> {
        let last = self.waiting.last().map(Projected::record);
        let cursor = match (end, last) {
            (Some(end), _) if end.seq == 0 => None,
            (Some(end), _) => {
                Some(Cursor { writer, seq: end.seq, hash: end.hash, is_closed: true })
            }
            (None, Some(last)) => {
                Some(Cursor { writer, seq: last.id.seq, hash: last.hash(), is_closed: false })
            }
            (None, None) => None,
        };
        self.database.take_in(cursor, &self.waiting, &[])?;
        self.waiting.clear();
        Ok(())
    }
}
