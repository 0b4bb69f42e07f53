//! Recovery: brings the database up to what the journal has, stream by stream.

use std::collections::BTreeSet;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::database::Cursor;
use crate::store::database::Database;
use crate::store::database::Projected;
use crate::store::erase::CutShort;
use crate::store::journal::JournalEnd;
use crate::store::journal::Stream;
use crate::store::keys::KeyFile;
use crate::store::keys::Lack;
use crate::store::ledger::LooseEnd;
use crate::store::proof::is_own_checkpoint;
use crate::suppression::Erasure;
use crate::suppression::Fact;
use crate::suppression::proof::Record;

use super::Reach;
use super::Recovered;
use super::open_record;
use super::unless_away;

/// Records that are taken in with one transaction.
const TAKE_IN_MAX: usize = 1024;

/// Learns from the journal what a shared database does not know of this node: which number has
/// which slot; and finds the ends of its streams that no later one names yet, and the erasures that
/// were not done to their end.
pub(super) fn learn(
    streams: &[Stream],
    keys: &mut KeyFile,
) -> Result<(Vec<LooseEnd>, Vec<Erasure>), StoreError> {
    let mut erasures = CutShort::default();
    let mut named = BTreeSet::new();
    let mut ends = Vec::new();
    for stream in streams {
        let (mut is_signed, mut is_beginning) = (false, true);
        let end = stream.read(0, |record| {
            if let Some((tag, slot)) = record.key_slot() {
                keys.learn(tag, slot);
            }
            match erasures.look_in(keys, &record) {
                // The server has it, or is told once it is forwarded; what it destroys, nobody knows.
                Err(error @ (StoreError::Unkept { .. } | StoreError::Record { .. })) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "an erasure may not have been done to its end");
                }
                looked => looked?,
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
    Ok((ends, erasures.all()))
}

/// A store that is being opened.
pub(super) struct Opening {
    pub(super) database: Database,
    pub(super) keys: KeyFile,
    pub(super) recovered: Recovered,
    pub(super) past: Vec<Reach>,
    /// Records that are in a shared database and not in the journal.
    pub(super) lacks: Vec<Lack>,
}

impl Opening {
    /// Brings the database up to the end of `stream`; when it is away, notes that it is behind.
    pub(super) fn stream(&mut self, stream: &Stream, known: &[Cursor]) -> Result<(), StoreError> {
        let cursor = known.iter().find(|cursor| cursor.writer == stream.writer);
        if let Some(cursor) = cursor.filter(|cursor| cursor.is_closed) {
            if !self.database.is_shared() {
                return Ok(());
            }
            // It may have been told so by whoever ran a copy of this folder.
            let end = stream.end()?;
            if end.seq < cursor.seq {
                note_older(&mut self.lacks, stream.writer, end.seq, cursor.seq);
            }
            if end.seq <= cursor.seq {
                self.note(stream, end.seq, end.seq);
                return Ok(());
            }
        }
        if !self.recovered.is_away {
            let mut taking = Taking {
                database: &mut self.database,
                keys: &mut self.keys,
                recovered: &mut self.recovered,
                lacks: &mut self.lacks,
                waiting: Vec::new(),
            };
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

/// A shared database has more of a stream than its journal, as after a restore: what is missing here
/// is safe there, and names slots of keys that nobody here knows to be taken.
fn note_older(lacks: &mut Vec<Lack>, writer: WriterId, journal: u64, database: u64) {
    tracing::warn!(%writer, journal, database, "the journal is older");
    lacks.push((writer, journal, database));
}

/// A stream must not end before what the database knows of it, nor with another record there.
pub(super) fn check_end(end: &JournalEnd, cursor: &Cursor) -> Result<(), StoreError> {
    let Cursor { writer, seq: database, hash, .. } = *cursor;
    if end.seq < database {
        return Err(StoreError::JournalBehind { writer, journal: end.seq, database });
    }
    if end.seq == database && database > 0 && end.hash != hash {
        return Err(StoreError::Mismatch { writer, seq: database });
    }
    Ok(())
}

/// Takes the journal into the database.
struct Taking<'a> {
    database: &'a mut Database,
    keys: &'a mut KeyFile,
    recovered: &'a mut Recovered,
    lacks: &'a mut Vec<Lack>,
    waiting: Vec<Projected>,
}

impl Taking<'_> {
    /// Takes in one stream of a process that is gone, and closes it; its last record.
    fn stream(&mut self, stream: &Stream, cursor: Option<&Cursor>) -> Result<u64, StoreError> {
        let known = cursor.map_or(0, |cursor| cursor.seq);
        stream.secure(&stream.end()?)?;
        let end = stream.read(known, |record| self.record(record))?;
        if end.seq < known && self.database.is_shared() {
            note_older(self.lacks, stream.writer, end.seq, known);
            stream.close(&end)?;
            return Ok(end.seq);
        }
        cursor.map_or(Ok(()), |cursor| check_end(&end, cursor))?;
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
