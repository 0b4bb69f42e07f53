//! Questions about streams as such: their records in order, and what is signed about their ends.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::params;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::ledger::LooseEnd;
use crate::suppression::Fact;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Record;

use super::Database;
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
                let is_signed = record_at(&self.0, record)?
                    .and_then(|last| checkpoint_in(&last))
                    .is_some_and(|checkpoint| checkpoint.writer == cursor.writer);
                loose.push(LooseEnd { record, hash: cursor.hash, is_signed });
            }
        }
        Ok(loose)
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
        let link = checkpoint_in(&record).filter(|checkpoint| checkpoint.writer != writer);
        let Some(link) = link else { break };
        links.push((id, link));
    }
    Ok(links)
}

/// The checkpoint that a record is, where it is one.
pub(super) fn checkpoint_in(record: &Record) -> Option<Checkpoint> {
    match record.open(None) {
        Ok(Fact::Checkpoint(checkpoint)) => Some(checkpoint),
        _ => None,
    }
}
