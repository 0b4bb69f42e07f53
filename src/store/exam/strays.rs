//! Rows that no record stands for.

use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::backend::Row;
use crate::store::backend::Table;
use crate::suppression::proof::Kind;
use crate::suppression::proof::Record;

use super::FAULTS_MAX;
use super::rows::Rows;
use super::says::table_of;

/// Kinds of records that have one row each, in the table of their kind.
const KINDS: [Kind; 6] =
    [Kind::Audio, Kind::OptOut, Kind::Confirmed, Kind::Reversal, Kind::Erasure, Kind::Import];

/// What no reversal says is reversed.
const REVERSED: &str = "SELECT reversed.writer_id, reversed.writer_seq FROM reversed
     WHERE NOT EXISTS (SELECT reversal.writer_id FROM reversal
         WHERE reversal.writer_id = reversed.writer_id
         AND reversal.writer_seq = reversed.writer_seq)";

/// Lists that no opt-out says the number is on.
const SUPPRESSED: &str = "SELECT suppressed.writer_id, suppressed.writer_seq FROM suppressed
     WHERE NOT EXISTS (SELECT optout.writer_id FROM optout
         WHERE optout.writer_id = suppressed.writer_id
         AND optout.writer_seq = suppressed.writer_seq AND optout.number = suppressed.number)";

/// Streams that are neither open nor closed.
const STREAMS: &str = "SELECT writer_id, last_seq FROM writer WHERE is_closed NOT IN (0, 1)";

/// What no erasure says is erased.
const ERASED: &str = "SELECT erased.writer_id, erased.writer_seq FROM erased
     WHERE NOT EXISTS (SELECT erasure.writer_id FROM erasure
         WHERE erasure.writer_id = erased.writer_id
         AND erasure.writer_seq = erased.writer_seq)";

/// What proves nothing.
const EVIDENCE: &str = "SELECT evidence.writer_id, evidence.writer_seq FROM evidence
     WHERE NOT EXISTS (SELECT optout.writer_id FROM optout
         WHERE optout.writer_id = evidence.writer_id
         AND optout.writer_seq = evidence.writer_seq)
     AND NOT EXISTS (SELECT reversal.writer_id FROM reversal
         WHERE reversal.writer_id = evidence.writer_id
         AND reversal.writer_seq = evidence.writer_seq)";

/// Whichever the database.
const OTHERS: [(&str, &str); 5] = [
    ("writer", STREAMS),
    ("erased", ERASED),
    ("evidence", EVIDENCE),
    ("reversed", REVERSED),
    ("suppressed", SUPPRESSED),
];

/// In a file: pieces of segments and how numbers are kept, which only a server has.
const IN_FILES: [(&str, &str); 2] = [
    ("number_storage", "SELECT 0, id FROM number_storage"),
    ("segment_chunk", "SELECT 0, ordinal FROM segment_chunk"),
];

/// On a server: keys of numbers, which only files have, and how numbers are kept said again.
const ON_SERVERS: [(&str, &str); 2] = [
    ("number_key", "SELECT 0, slot FROM number_key"),
    ("number_storage", "SELECT 0, id FROM number_storage WHERE NOT id = 1"),
];

impl Rows {
    /// Rows that stand for no record of their kind, with their table; a row whose key is no number
    /// is told as record 0 of writer 0. As many as are told of one store.
    pub(super) fn strays(&self) -> Result<Vec<(&'static str, RecordId)>, StoreError> {
        let mut strays = Vec::new();
        let mut add = |stray| {
            // No more than are told: all rows are strays where the records are gone.
            if strays.len() < FAULTS_MAX {
                strays.push(stray);
            }
        };
        for kind in KINDS {
            let Some(&Table { name, .. }) = table_of(kind) else { continue };
            let sql = format!(
                "SELECT {name}.writer_id, {name}.writer_seq, record FROM {name} LEFT JOIN fact
                 ON fact.writer_id = {name}.writer_id AND fact.writer_seq = {name}.writer_seq"
            );
            self.each(&sql, &[], |row| {
                let record = row.octets(2).ok().and_then(|stored| Record::parse(stored).ok());
                // A record that cannot be read is told as such.
                if record.is_none_or(|record| record.kind != kind) {
                    add((name, id(row)));
                }
                Ok(())
            })?;
        }
        let others: &[(&'static str, &str)] = if self.is_shared { &ON_SERVERS } else { &IN_FILES };
        for (name, sql) in OTHERS.iter().chain(others) {
            self.each(sql, &[], |row| {
                add((*name, id(row)));
                Ok(())
            })?;
        }
        Ok(strays)
    }

    /// Keys of numbers that no record has taken: the tag and the slot, as they stand there.
    pub(super) fn keys(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let mut keys = Vec::new();
        self.each("SELECT tag, slot FROM number_key", &[], |row| {
            let tag = row.text(0).unwrap_or_default().to_owned();
            keys.push((tag, row.int(1).unwrap_or_default()));
            Ok(())
        })?;
        Ok(keys)
    }
}

fn id(row: Row<'_>) -> RecordId {
    let number = |at| row.unsigned(at).unwrap_or_default();
    RecordId { writer: WriterId(number(0)), seq: number(1) }
}
