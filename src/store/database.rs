//! The database as the projection writes it: how far each stream is, and what its records say.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::model::NodeName;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::record::Cdr;
use crate::suppression::Erasure;
use crate::suppression::Fact;
use crate::suppression::StorageMark;
use crate::suppression::import::Import;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Hash;
use crate::suppression::proof::KeyTag;
use crate::suppression::proof::Record;

use super::StoreError;
use super::backend::Backend;
use super::backend::Change;
use super::backend::Value;
use super::backend::each;
use super::chunks::Step;
use super::chunks::publish;
use super::chunks::publish_all;
use super::erase::CutShort;
use super::keys::KeyFile;
use super::ledger::LooseEnd;
use super::proof::is_own_checkpoint;
use super::segments::Segments;

pub(super) mod rows;
pub(super) mod tables;

/// How far a writer's stream has been taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) writer: WriterId,
    pub(super) seq: u64,
    pub(super) hash: Hash,
    /// Whether its process is gone and nothing will follow.
    pub(super) is_closed: bool,
}

impl Cursor {
    /// The columns of its row, save the writer's own.
    pub(super) fn from_row(writer: WriterId, seq: i64, hash: &str, is_closed: bool) -> Self {
        Self { writer, seq: seq.cast_unsigned(), hash: parse_hash(hash), is_closed }
    }
}

/// A record with what the database's other tables say of it. This is the one way into them, so that
/// where numbers are hashed no row ever has one: there a record is its own outline, and what is
/// sealed in it stays in it.
#[derive(Debug)]
pub(super) struct Projected {
    record: Record,
    fact: Option<Fact>,
}

impl Projected {
    /// Of `record`, which says `fact`; without it, once the key is destroyed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Record`] for a record whose plain fields are none.
    pub(super) fn new(record: Record, fact: Option<Fact>) -> Result<Self, StoreError> {
        let RecordId { writer, seq } = record.id;
        let outline =
            record.outline().map_err(|source| StoreError::Record { writer, seq, source })?;
        Ok(Self { fact: outline.or(fact), record })
    }

    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    /// What is known of it; nothing where the key is destroyed and nothing is left.
    pub(super) const fn fact(&self) -> Option<&Fact> {
        self.fact.as_ref()
    }
}

/// The writing side of a database.
#[derive(Debug)]
pub(super) struct Database {
    backend: Box<dyn Backend>,
    /// The store's segments of imports.
    segments: Segments,
    /// How numbers are kept here.
    mark: StorageMark,
    /// Whether a shared database is known to keep them so too.
    is_claimed: bool,
}

impl Database {
    /// The database behind `backend`, of the store with `segments`.
    pub(super) fn new(backend: impl Backend + 'static, segments: Segments) -> Self {
        let (mark, is_claimed) = (StorageMark::default(), !backend.is_shared());
        Self { backend: Box::new(backend), segments, mark, is_claimed }
    }

    /// Says how numbers are kept here; a shared database is held to it before anything is put in.
    pub(super) const fn keep_numbers_as(&mut self, mark: StorageMark) {
        self.mark = mark;
    }

    /// How the numbers in a shared database are kept; nothing where nobody has said so yet.
    pub(super) fn mark(&mut self) -> Result<Option<StorageMark>, StoreError> {
        let mut found = None;
        each(self.backend.as_mut(), "SELECT mark FROM number_storage WHERE id = 1", &[], |row| {
            let mark = StorageMark::from_text(row.text(0)?);
            found = Some(mark.ok_or(StoreError::Column { at: 0 })?);
            Ok(())
        })?;
        if found.is_none() {
            // Who wrote before anybody could choose has not chosen.
            each(self.backend.as_mut(), "SELECT COUNT(*) FROM writer", &[], |row| {
                found = (row.int(0)? > 0).then_some(StorageMark::Plain);
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Makes sure that a shared database keeps numbers as they are kept here.
    ///
    /// # Errors
    ///
    /// [`StoreError::NumberStorage`] where it does not.
    pub(super) fn claim(&mut self) -> Result<(), StoreError> {
        if self.is_claimed {
            return Ok(());
        }
        let mark = self.mark()?.unwrap_or(self.mark);
        let row = vec![1_i64.into(), mark.to_string().into()];
        self.backend.change(&[Change::Insert(&tables::NUMBER_STORAGE, vec![row])])?;
        // Another node may have been first.
        let found = self.mark()?.unwrap_or(mark);
        if found != self.mark {
            let (place, expected) = ("the shared database".to_owned(), self.mark);
            return Err(StoreError::NumberStorage { place, expected, found });
        }
        self.is_claimed = true;
        Ok(())
    }

    /// Whether other nodes write to it too.
    pub(super) fn is_shared(&self) -> bool {
        self.backend.is_shared()
    }

    /// All cursors, by writer.
    pub(super) fn cursors(&mut self) -> Result<Vec<Cursor>, StoreError> {
        let sql = "SELECT writer_id, last_seq, last_hash, is_closed FROM writer ORDER BY writer_id";
        let mut cursors = Vec::new();
        each(self.backend.as_mut(), sql, &[], |row| {
            let writer = WriterId(row.unsigned(0)?);
            let is_closed = row.int(3)? != 0;
            cursors.push(Cursor::from_row(writer, row.int(1)?, row.text(2)?, is_closed));
            Ok(())
        })?;
        Ok(cursors)
    }

    /// All keys that numbers have taken. A shared database does not know them: each node has a key
    /// file of its own, and learns from its journal which number has which slot.
    pub(super) fn number_keys(&mut self) -> Result<Vec<(KeyTag, u32)>, StoreError> {
        let sql = "SELECT tag, slot FROM number_key ORDER BY slot";
        let mut keys = Vec::new();
        each(self.backend.as_mut(), sql, &[], |row| {
            let slot = u32::try_from(row.int(1)?).map_err(|_| StoreError::Column { at: 1 })?;
            keys.push((parse_tag(row.text(0)?), slot));
            Ok(())
        })?;
        Ok(keys)
    }

    /// The erasures that were not done to their end, by the keys that are still in `keys`.
    pub(super) fn erasures_due(&mut self, keys: &KeyFile) -> Result<Vec<Erasure>, StoreError> {
        let mut erasures = CutShort::default();
        let sql = "SELECT body FROM erasure ORDER BY writer_id, writer_seq";
        each(self.backend.as_mut(), sql, &[], |row| {
            let erasure = serde_json::from_str(row.text(0)?);
            erasures.look_at(keys, erasure.map_err(|source| StoreError::Row { source })?)
        })?;
        Ok(erasures.all())
    }

    /// Takes away what is there of the evidence of `records`.
    pub(super) fn forget_evidence(&mut self, records: &[RecordId]) -> Result<(), StoreError> {
        let keys = records.iter().copied().map(rows::record_key).collect();
        let changes: Vec<Change> = rows::without_evidence(keys).into_iter().collect();
        self.backend.change(&changes)?;
        self.backend.scrub();
        Ok(())
    }

    /// Takes away at most `len_max` call records of calls that ended before `limit`: of those of
    /// `node` where nodes share the database, of all where it is its own. How many they were.
    pub(super) fn forget_calls(
        &mut self,
        node: &NodeName,
        limit: UnixMicros,
        len_max: u64,
    ) -> Result<u64, StoreError> {
        let mut keys = Vec::new();
        let (mut sql, mut values) = (
            "SELECT call_id FROM call_record WHERE ended_us < $1".to_owned(),
            vec![Value::from(limit.0)],
        );
        if self.is_shared() {
            sql.push_str(" AND node = $2");
            values.push(node.as_str().into());
        }
        sql.push_str(&format!(" LIMIT {len_max}"));
        self.backend.search(&sql, &values, &mut |row| {
            keys.push(vec![row.text(0)?.into()]);
            Ok(ControlFlow::Continue(()))
        })?;
        let found = keys.len() as u64;
        if found > 0 {
            self.backend.change(&[Change::Delete(&tables::CALL_RECORD, keys)])?;
        }
        Ok(found)
    }

    /// As [`Backend::scrub`].
    pub(super) fn scrub(&mut self) {
        self.backend.scrub();
    }

    /// The ends of streams that no later stream names yet.
    pub(super) fn loose_ends(&mut self) -> Result<Vec<LooseEnd>, StoreError> {
        let cursors = self.cursors()?;
        let mut named = BTreeSet::new();
        for cursor in &cursors {
            let links = links(self.backend.as_mut(), cursor.writer)?.into_iter();
            named.extend(links.map(|(_place, link)| link.record()));
        }
        let mut loose = Vec::new();
        for cursor in cursors {
            let record = RecordId { writer: cursor.writer, seq: cursor.seq };
            if cursor.seq > 0 && !named.contains(&record) {
                let last = record_at(self.backend.as_mut(), record)?;
                let is_signed = last.is_some_and(|last| is_own_checkpoint(&last));
                loose.push(LooseEnd { record, hash: cursor.hash, is_signed });
            }
        }
        Ok(loose)
    }

    /// Takes in a writer's next records and calls, in one transaction. Records that are there
    /// already are left as they are, so that doing it twice is doing it once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Moved`] where the stream does not stand before the first of `records` there,
    /// nor at `cursor` already; those of the database, the journal's segments and the records.
    pub(super) fn take_in(
        &mut self,
        cursor: Option<Cursor>,
        records: &[Projected],
        calls: &[Cdr],
    ) -> Result<(), StoreError> {
        self.claim()?;
        let mut changes = rows::of_records(records, !self.is_shared())?;
        changes.extend(rows::of_calls(calls)?);
        if let Some(cursor) = cursor {
            let from =
                records.first().map_or(cursor.seq, |first| first.record.id.seq.saturating_sub(1));
            changes.extend(move_cursor(cursor, from));
            changes.push(Change::Wake);
        }
        self.backend.change(&changes)
    }

    /// Says how far a stream is whose records are there, by way of another database; `there` is
    /// what it says so far.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub(super) fn copy_cursor(
        &mut self,
        cursor: Cursor,
        there: Option<&Cursor>,
    ) -> Result<(), StoreError> {
        let is_there =
            |there: &Cursor| (there.seq, there.is_closed) >= (cursor.seq, cursor.is_closed);
        if there.is_some_and(is_there) {
            return Ok(());
        }
        let from = there.map_or(0, |there| there.seq);
        self.backend.change(&move_cursor(cursor, from))
    }

    /// Puts into a shared database what it lacks of the segments of `import`; see [`publish`].
    pub(super) fn publish(&mut self, import: &Import, step: Step<'_>) -> Result<(), StoreError> {
        for (part, _content) in import.parts() {
            publish(self.backend.as_mut(), &self.segments, part, step)?;
        }
        Ok(())
    }

    /// The same for every import that it knows; see [`publish_all`].
    pub(super) fn publish_all(&mut self, step: Step<'_>) -> Result<(), StoreError> {
        publish_all(self.backend.as_mut(), &self.segments, step)
    }
}

/// Moves a stream's cursor on from record `from`. A server that has another one in its place, and
/// knows less, is not to be told that it has what lies between; a cursor that is where it should be
/// was moved by a transaction whose answer was lost.
fn move_cursor(cursor: Cursor, from: u64) -> [Change; 2] {
    let begin = vec![cursor.writer.0.into(), 0_i64.into(), "".into(), false.into()];
    let moved = "UPDATE writer SET last_seq = $2, last_hash = $3, is_closed = $4
                 WHERE writer_id = $1 AND ((last_seq = $5 AND last_seq < $2)
                     OR (last_seq = $2 AND is_closed <= $4))";
    let place = vec![
        cursor.writer.0.into(),
        cursor.seq.into(),
        cursor.hash.to_string().into(),
        cursor.is_closed.into(),
        from.into(),
    ];
    [Change::Insert(&tables::WRITER, vec![begin]), Change::Move(moved, place)]
}

/// A record; nothing when it is not there.
pub(super) fn record_at(
    backend: &mut dyn Backend,
    id: RecordId,
) -> Result<Option<Record>, StoreError> {
    let sql = "SELECT record FROM fact WHERE writer_id = $1 AND writer_seq = $2";
    let mut found = None;
    each(backend, sql, &[id.writer.0.into(), id.seq.into()], |row| {
        let fail = |source| StoreError::Record { writer: id.writer, seq: id.seq, source };
        found = Some(Record::parse(row.octets(0)?).map_err(fail)?);
        Ok(())
    })?;
    Ok(found)
}

/// The checkpoints at the beginning of the stream of `writer` that are about streams before it,
/// each with its own place.
pub(super) fn links(
    backend: &mut dyn Backend,
    writer: WriterId,
) -> Result<Vec<(RecordId, Checkpoint)>, StoreError> {
    let mut links = Vec::new();
    for seq in 1.. {
        let id = RecordId { writer, seq };
        let Some(record) = record_at(backend, id)? else { break };
        let link = record.checkpoint().filter(|checkpoint| checkpoint.writer != writer);
        let Some(link) = link else { break };
        links.push((id, link));
    }
    Ok(links)
}

/// The text of a tag in its table.
pub(super) fn tag_text(tag: KeyTag) -> String {
    tag.0.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The reverse of [`tag_text`]; what is no tag names no key.
fn parse_tag(text: &str) -> KeyTag {
    KeyTag(parse_hex(text))
}

/// The hash that [`Hash`] printed; what is none matches no record.
fn parse_hash(text: &str) -> Hash {
    Hash(parse_hex(text))
}

fn parse_hex<const N: usize>(text: &str) -> [u8; N] {
    let mut octets = [0; N];
    for (octet, digits) in octets.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *octet = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    octets
}
