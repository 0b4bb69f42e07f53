//! Rows that no record stands for.

use rusqlite::Row;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::suppression::proof::Kind;
use crate::suppression::proof::Record;

use super::rows::Rows;

/// A table with one row for each record of a kind.
struct Table {
    name: &'static str,
    kind: Kind,
    sql: &'static str,
}

const TABLES: [Table; 6] = [
    Table {
        name: "audio",
        kind: Kind::Audio,
        sql: "SELECT one.writer_id, one.writer_seq, record FROM audio AS one LEFT JOIN fact
              ON fact.writer_id = one.writer_id AND fact.writer_seq = one.writer_seq",
    },
    Table {
        name: "optout",
        kind: Kind::OptOut,
        sql: "SELECT one.writer_id, one.writer_seq, record FROM optout AS one LEFT JOIN fact
              ON fact.writer_id = one.writer_id AND fact.writer_seq = one.writer_seq",
    },
    Table {
        name: "confirmation",
        kind: Kind::Confirmed,
        sql: "SELECT one.writer_id, one.writer_seq, record FROM confirmation AS one LEFT JOIN fact
              ON fact.writer_id = one.writer_id AND fact.writer_seq = one.writer_seq",
    },
    Table {
        name: "reversal",
        kind: Kind::Reversal,
        sql: "SELECT one.writer_id, one.writer_seq, record FROM reversal AS one LEFT JOIN fact
              ON fact.writer_id = one.writer_id AND fact.writer_seq = one.writer_seq",
    },
    Table {
        name: "erasure",
        kind: Kind::Erasure,
        sql: "SELECT one.writer_id, one.writer_seq, record FROM erasure AS one LEFT JOIN fact
              ON fact.writer_id = one.writer_id AND fact.writer_seq = one.writer_seq",
    },
    Table {
        name: "imports",
        kind: Kind::Import,
        sql: "SELECT one.writer_id, one.writer_seq, record FROM imports AS one LEFT JOIN fact
              ON fact.writer_id = one.writer_id AND fact.writer_seq = one.writer_seq",
    },
];

/// What no reversal says is reversed.
const REVERSED: &str =
    "SELECT writer_id, writer_seq FROM reversed AS one WHERE NOT EXISTS (SELECT 1 FROM reversal
     WHERE reversal.writer_id = one.writer_id AND reversal.writer_seq = one.writer_seq)";

/// Lists that no opt-out says the number is on, evidence of nothing, streams that are neither open nor closed, and pieces
/// of segments and how numbers are kept, which only a shared database has.
const OTHERS: [(&str, &str); 7] = [
    ("number_storage", "SELECT 0, id FROM number_storage"),
    ("segment_chunk", "SELECT 0, ordinal FROM segment_chunk"),
    ("writer", "SELECT writer_id, last_seq FROM writer WHERE is_closed NOT IN (0, 1)"),
    ("erased", ERASED),
    ("evidence", EVIDENCE),
    ("reversed", REVERSED),
    ("suppressed", SUPPRESSED),
];

/// What no erasure says is erased.
const ERASED: &str =
    "SELECT writer_id, writer_seq FROM erased AS one WHERE NOT EXISTS (SELECT 1 FROM erasure
     WHERE erasure.writer_id = one.writer_id AND erasure.writer_seq = one.writer_seq)";

/// What proves nothing.
const EVIDENCE: &str =
    "SELECT writer_id, writer_seq FROM evidence AS one WHERE NOT EXISTS (SELECT 1 FROM optout
     WHERE optout.writer_id = one.writer_id AND optout.writer_seq = one.writer_seq)
     AND NOT EXISTS (SELECT 1 FROM reversal
     WHERE reversal.writer_id = one.writer_id AND reversal.writer_seq = one.writer_seq)";

const SUPPRESSED: &str =
    "SELECT writer_id, writer_seq FROM suppressed AS one WHERE NOT EXISTS (SELECT 1 FROM optout
     WHERE optout.writer_id = one.writer_id AND optout.writer_seq = one.writer_seq
     AND optout.number = one.number)";

impl Rows {
    /// Rows that stand for no record of their kind, with their table; a row whose key is no number
    /// is told as record 0 of writer 0.
    pub(super) fn strays(&self) -> rusqlite::Result<Vec<(&'static str, RecordId)>> {
        let mut strays = Vec::new();
        for Table { name, kind, sql } in TABLES {
            let mut statement = self.connection().prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let stored: Option<Vec<u8>> = row.get(2).unwrap_or_default();
                let record = stored.and_then(|stored| Record::parse(&stored).ok());
                // A record that cannot be read is told as such.
                if record.is_none_or(|record| record.kind != kind) {
                    strays.push((name, id(row)));
                }
            }
        }
        for (name, sql) in OTHERS {
            let mut statement = self.connection().prepare(sql)?;
            let rows = statement.query_map([], |row| Ok((name, id(row))))?;
            for stray in rows {
                strays.push(stray?);
            }
        }
        Ok(strays)
    }

    /// Keys of numbers that no record has taken: the tag and the slot, as they stand there.
    pub(super) fn keys(&self) -> rusqlite::Result<Vec<(String, i64)>> {
        let mut statement = self.connection().prepare("SELECT tag, slot FROM number_key")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default()))
        })?;
        rows.collect()
    }
}

fn id(row: &Row<'_>) -> RecordId {
    let number = |index| row.get::<_, i64>(index).unwrap_or_default().cast_unsigned();
    RecordId { writer: WriterId(number(0)), seq: number(1) }
}
