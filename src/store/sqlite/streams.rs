//! Questions about streams as such: their records in order, and what is signed about their ends.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::params;

use crate::model::Number;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::ledger::LooseEnd;
use crate::store::proof::is_own_checkpoint;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Record;

use super::Database;
use super::Reader;
use super::from_sql;
use super::to_sql;

impl Database {
    /// The ends of streams that no later stream names yet.
    pub(in crate::store) fn loose_ends(&self) -> Result<Vec<LooseEnd>, StoreError> {
        let cursors = self.cursors()?;
        let mut named = BTreeSet::new();
        for cursor in &cursors {
            named.extend(links(&self.0, cursor.writer)?.into_iter().map(|(_, link)| link.record()));
        }
        let mut loose = Vec::new();
        for cursor in cursors {
            let record = RecordId { writer: cursor.writer, seq: cursor.seq };
            if cursor.seq > 0 && !named.contains(&record) {
                let is_signed =
                    record_at(&self.0, record)?.is_some_and(|last| is_own_checkpoint(&last));
                loose.push(LooseEnd { record, hash: cursor.hash, is_signed });
            }
        }
        Ok(loose)
    }
}

impl Reader {
    /// The records that concern `number`, in order: its opt-outs and what became of their
    /// confirmations.
    pub(in crate::store) fn records_of(&self, number: Number) -> Result<Vec<RecordId>, StoreError> {
        let sql = "SELECT writer_id, writer_seq FROM suppressed WHERE number = ?1
                   UNION
                   SELECT confirmation.writer_id, confirmation.writer_seq
                   FROM confirmation JOIN suppressed ON suppressed.writer_id = ref_writer
                       AND suppressed.writer_seq = ref_seq
                   WHERE number = ?1
                   UNION
                   SELECT writer_id, writer_seq FROM reversal WHERE number = ?1";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([to_sql(number.digits())], |row| {
            let writer = WriterId(from_sql(row.get(0)?));
            Ok(RecordId { writer, seq: from_sql(row.get(1)?) })
        })?;
        let mut records = rows.collect::<Result<Vec<_>, _>>()?;
        records.sort_unstable();
        Ok(records)
    }

    /// The records from `first` to the next checkpoint of their stream, or to the end; `len_max`
    /// and one more at most.
    pub(in crate::store) fn run_from(
        &self,
        first: RecordId,
        len_max: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let sql = "SELECT record FROM fact WHERE writer_id = ?1 AND writer_seq >= ?2
                   ORDER BY writer_seq";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params![to_sql(first.writer.0), to_sql(first.seq)])?;
        let mut run = Vec::new();
        while let Some(row) = rows.next()? {
            let seq = first.seq + run.len() as u64;
            let fail = |source| StoreError::Record { writer: first.writer, seq, source };
            let stored: Vec<u8> = row.get(0)?;
            let record = Record::parse(&stored).map_err(fail)?;
            let is_last = is_own_checkpoint(&record) || run.len() == len_max;
            run.push(record);
            if is_last {
                break;
            }
        }
        Ok(run)
    }

    /// The last checkpoint that a later stream has made of the stream of `record`, at it or behind
    /// it, with its own place.
    pub(in crate::store) fn link_over(
        &self,
        record: RecordId,
    ) -> Result<Option<(RecordId, Checkpoint)>, StoreError> {
        let mut statement = self.0.prepare("SELECT writer_id FROM writer ORDER BY writer_id")?;
        let writers = statement.query_map([], |row| Ok(WriterId(from_sql(row.get(0)?))))?;
        let mut found: Option<(RecordId, Checkpoint)> = None;
        for writer in writers {
            let links = links(&self.0, writer?)?.into_iter();
            let is_over =
                |link: &Checkpoint| link.writer == record.writer && link.seq >= record.seq;
            found = links
                .filter(|(_place, link)| is_over(link))
                .chain(found)
                .max_by_key(|(_place, link)| link.seq);
        }
        Ok(found)
    }
}

/// The stored form of a record; nothing when it is not there.
pub(super) fn stored_at(
    connection: &Connection,
    id: RecordId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT record FROM fact WHERE writer_id = ?1 AND writer_seq = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let at = params![to_sql(id.writer.0), to_sql(id.seq)];
    Ok(statement.query_row(at, |row| row.get(0)).optional()?)
}

/// A record; nothing when it is not there.
pub(super) fn record_at(
    connection: &Connection,
    id: RecordId,
) -> Result<Option<Record>, StoreError> {
    let fail = |source| StoreError::Record { writer: id.writer, seq: id.seq, source };
    stored_at(connection, id)?.map(|stored| Record::parse(&stored).map_err(fail)).transpose()
}

/// The checkpoints at the beginning of the stream of `writer` that are about streams before it,
/// each with its own place.
pub(super) fn links(
    connection: &Connection,
    writer: WriterId,
) -> Result<Vec<(RecordId, Checkpoint)>, StoreError> {
    let mut links = Vec::new();
    for seq in 1.. {
        let id = RecordId { writer, seq };
        let Some(record) = record_at(connection, id)? else { break };
        let link = record.checkpoint().filter(|checkpoint| checkpoint.writer != writer);
        let Some(link) = link else { break };
        links.push((id, link));
    }
    Ok(links)
}
