//! The database as an examination reads it: as it is, and without a trace.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension;
use rusqlite::Statement;
use rusqlite::params;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::backend::Value;
use crate::store::database::Cursor;
use crate::store::database::tables::audio_values;
use crate::store::database::tables::confirmation_values;
use crate::store::database::tables::erased_values;
use crate::store::database::tables::erasure_values;
use crate::store::database::tables::import_values;
use crate::store::database::tables::optout_values;
use crate::store::database::tables::reversal_values;
use crate::store::database::tables::reversed_values;
use crate::store::database::tag_text;
use crate::store::sqlite;
use crate::suppression::Evidence;
use crate::suppression::Fact;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Record;

/// A connection that changes nothing, not even beside the file.
pub(super) struct Rows(Connection);

impl Rows {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let log = path.with_extension("sqlite-wal");
        if log.metadata().is_ok_and(|log| log.len() > 0) {
            return Connection::open_with_flags(path, flags).map(Self);
        }
        // Without a log nothing need be made beside the file, which may be on a read-only disk.
        flags |= OpenFlags::SQLITE_OPEN_URI;
        let mut uri = "file:".to_owned();
        for octet in path.as_os_str().as_encoded_bytes() {
            match octet {
                b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*octet)),
                octet if octet.is_ascii_alphanumeric() => uri.push(char::from(*octet)),
                octet => uri.push_str(&format!("%{octet:02x}")),
            }
        }
        uri.push_str("?immutable=1");
        Connection::open_with_flags(uri, flags).map(Self)
    }

    /// What SQLite itself finds wrong.
    pub(super) fn check(&self) -> rusqlite::Result<()> {
        let told: String = self.0.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if told == "ok" {
            return Ok(());
        }
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(rusqlite::Error::SqliteFailure(corrupt, Some(told)))
    }

    /// Every writer that any record is of.
    pub(super) fn writers(&self) -> rusqlite::Result<Vec<WriterId>> {
        let sql = "SELECT writer_id FROM writer WHERE last_seq > 0 UNION SELECT DISTINCT writer_id FROM fact";
        let mut statement = self.0.prepare(sql)?;
        let rows =
            statement.query_map([], |row| Ok(WriterId(row.get::<_, i64>(0)?.cast_unsigned())))?;
        rows.collect()
    }

    /// The checkpoints of streams before that of `writer`, as far as they can be read.
    pub(super) fn links(&self, writer: WriterId) -> Vec<Checkpoint> {
        let mut links = Vec::new();
        for seq in 1.. {
            let stored = self.0.query_row(
                "SELECT record FROM fact WHERE writer_id = ?1 AND writer_seq = ?2",
                params![writer.0.cast_signed(), seq],
                |row| row.get::<_, Vec<u8>>(0),
            );
            let record = stored.ok().and_then(|stored| Record::parse(&stored).ok());
            let link = record.and_then(|record| record.checkpoint());
            let Some(link) = link.filter(|link| link.writer != writer) else { break };
            links.push(link);
        }
        links
    }

    /// How far the stream of `writer` was taken in.
    pub(super) fn cursor(&self, writer: WriterId) -> rusqlite::Result<Option<Cursor>> {
        let sql = "SELECT last_seq, last_hash, is_closed FROM writer WHERE writer_id = ?1";
        let cursor = self.0.query_row(sql, [writer.0.cast_signed()], |row| {
            // What is not the form that we write must match no record either.
            let hash: String = row.get(1).unwrap_or_default();
            let mut cursor = Cursor::from_row(writer, row.get(0)?, &hash, row.get(2)?);
            if cursor.hash.to_string() != hash {
                cursor.hash = Hash::NONE;
            }
            Ok(cursor)
        });
        cursor.optional()
    }

    /// A record, as far as it can be read.
    pub(super) fn record(&self, id: RecordId) -> Option<Record> {
        let sql = "SELECT record FROM fact WHERE writer_id = ?1 AND writer_seq = ?2";
        let key = params![id.writer.0.cast_signed(), id.seq.cast_signed()];
        let stored = self.0.query_row(sql, key, |row| row.get::<_, Vec<u8>>(0));
        stored.ok().and_then(|stored| Record::parse(&stored).ok())
    }

    /// The records of a stream, for [`next_fact`].
    pub(super) fn facts(&self) -> rusqlite::Result<Statement<'_>> {
        self.0
            .prepare("SELECT writer_seq, record FROM fact WHERE writer_id = ?1 ORDER BY writer_seq")
    }

    /// Whether the other tables say of the record what it says.
    pub(super) fn says(&self, record: &Record, fact: &Fact) -> rusqlite::Result<bool> {
        if let Some((tag, slot)) = record.key_slot() {
            let sql = "SELECT 1 FROM number_key WHERE tag = ?1 AND slot = ?2";
            if !self.exists(sql, &[tag_text(tag).into(), i64::from(slot).into()])? {
                return Ok(false);
            }
        }
        match fact {
            Fact::OptOut(optout) => {
                let Ok(want) = optout_values(record, optout) else { return Ok(false) };
                if self.row("optout", &want, 2)? != Some(want) {
                    return Ok(false);
                }
                let mut lists: Vec<String> =
                    optout.lists.iter().map(|list| list.as_str().to_owned()).collect();
                lists.sort_unstable();
                lists.dedup();
                Ok(self.lists(record.id, optout.number.digits())? == lists)
            }
            Fact::Confirmed(confirmation) => {
                let want = confirmation_values(record, confirmation);
                Ok(self.row("confirmation", &want, 2)? == Some(want))
            }
            Fact::Import(import) => {
                let Ok(want) = import_values(record, import) else { return Ok(false) };
                Ok(self.row("imports", &want, 2)? == Some(want))
            }
            Fact::Reversal(reversal) => {
                let Ok(want) = reversal_values(record, reversal) else { return Ok(false) };
                if self.row("reversal", &want, 2)? != Some(want) {
                    return Ok(false);
                }
                Ok(self.reversed(record.id)? == reversed_values(record, reversal))
            }
            Fact::Audio(audio) => {
                let want = audio_values(record, audio);
                Ok(self.row("audio", &want, 2)? == Some(want))
            }
            Fact::Erasure(erasure) => {
                let Ok(want) = erasure_values(record, erasure) else { return Ok(false) };
                if self.row("erasure", &want, 2)? != Some(want) {
                    return Ok(false);
                }
                Ok(self.erased(record.id)? == erased_values(record, erasure))
            }
            Fact::Checkpoint(_) => Ok(true),
        }
    }

    /// Whether what proves the record `id` is there as it should be: without it, nothing is. What was
    /// erased may be gone before its key is, where a crash came in between.
    pub(super) fn proves(
        &self,
        id: RecordId,
        evidence: Option<&Evidence>,
    ) -> rusqlite::Result<bool> {
        let mut statement = self
            .0
            .prepare_cached("SELECT body FROM evidence WHERE writer_id = ?1 AND writer_seq = ?2")?;
        let key = params![id.writer.0.cast_signed(), id.seq.cast_signed()];
        let found = statement.query_row(key, |row| row.get_ref(0).map(sqlite::value)).optional()?;
        let want = evidence.and_then(|evidence| serde_json::to_string(evidence).ok());
        if found.is_none() && want.is_some() {
            let sql = "SELECT 1 FROM erased WHERE ref_writer = ?1 AND ref_seq = ?2";
            return self.exists(sql, &[id.writer.0.into(), id.seq.into()]);
        }
        Ok(found == want.map(Value::from))
    }

    /// The row of `table` whose first `keys` columns are those of `want`, in order of its columns.
    fn row(
        &self,
        table: &str,
        want: &[Value],
        keys: usize,
    ) -> rusqlite::Result<Option<Vec<Value>>> {
        let columns = match table {
            "audio" | "erasure" | "imports" | "optout" | "reversal" => ["writer_id", "writer_seq"],
            _ => ["ref_writer", "ref_seq"],
        };
        let sql =
            format!("SELECT * FROM {table} WHERE {} = ?1 AND {} = ?2", columns[0], columns[1]);
        let mut statement = self.0.prepare_cached(&sql)?;
        let key = rusqlite::params_from_iter(want.iter().take(keys));
        let row = statement.query_row(key, |row| {
            (0..want.len()).map(|index| row.get_ref(index).map(sqlite::value)).collect()
        });
        row.optional()
    }

    fn lists(&self, id: RecordId, number: u64) -> rusqlite::Result<Vec<String>> {
        let mut statement = self.0.prepare_cached(
            "SELECT list FROM suppressed WHERE number = ?1 AND writer_id = ?2 AND writer_seq = ?3
             ORDER BY list",
        )?;
        let (writer, seq) = (id.writer.0.cast_signed(), id.seq.cast_signed());
        let rows = statement.query_map(params![number.cast_signed(), writer, seq], |row| {
            Ok(row.get(0).unwrap_or_default())
        })?;
        rows.collect()
    }

    /// The rows of `reversed` that the reversal `id` made, in order.
    fn reversed(&self, id: RecordId) -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut statement = self.0.prepare_cached(
            "SELECT * FROM reversed WHERE writer_id = ?1 AND writer_seq = ?2
             ORDER BY ref_writer, ref_seq, number, list",
        )?;
        let columns = statement.column_count();
        let rows = statement
            .query_map(params![id.writer.0.cast_signed(), id.seq.cast_signed()], |row| {
                (0..columns).map(|column| row.get_ref(column).map(sqlite::value)).collect()
            })?;
        rows.collect()
    }

    /// The rows of `erased` that the erasure `id` made, in order.
    fn erased(&self, id: RecordId) -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut statement = self.0.prepare_cached(
            "SELECT * FROM erased WHERE writer_id = ?1 AND writer_seq = ?2
             ORDER BY ref_writer, ref_seq",
        )?;
        let columns = statement.column_count();
        let rows = statement
            .query_map(params![id.writer.0.cast_signed(), id.seq.cast_signed()], |row| {
                (0..columns).map(|column| row.get_ref(column).map(sqlite::value)).collect()
            })?;
        rows.collect()
    }

    fn exists(&self, sql: &str, values: &[Value]) -> rusqlite::Result<bool> {
        let mut statement = self.0.prepare_cached(sql)?;
        statement.exists(rusqlite::params_from_iter(values))
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.0
    }
}

/// The next record of a stream: its place and its stored form, empty when it is no octets.
pub(super) fn next_fact(rows: &mut rusqlite::Rows<'_>) -> rusqlite::Result<Option<(u64, Vec<u8>)>> {
    let Some(row) = rows.next()? else { return Ok(None) };
    let seq = row.get::<_, i64>(0)?.cast_unsigned();
    Ok(Some((seq, row.get(1).unwrap_or_default())))
}
