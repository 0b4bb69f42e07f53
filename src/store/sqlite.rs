//! The embedded database: a projection of the journal for questions, and the call records.
//!
//! Its transactions need not survive a power cut (`synchronous = NORMAL`): what is lost is taken
//! in again from the journal, from the cursor that stands in the same database.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::Transaction;
use rusqlite::params;

use crate::model::WriterId;
use crate::record::Cdr;
use crate::suppression::Confirmation;
use crate::suppression::Fact;
use crate::suppression::OptOut;
use crate::suppression::proof::Hash;
use crate::suppression::proof::KeyTag;
use crate::suppression::proof::Record;

use super::StoreError;

mod imports;
mod query;
mod reversals;
mod streams;
mod values;

pub use query::{CallFilter, Reader};
pub(super) use values::{
    confirmation_values, import_values, optout_values, reversal_values, reversed_values,
};

mod migrations {
    refinery::embed_migrations!("src/store/migrations");
}

/// How long somebody else's transaction (a shell on the file; readers never) is waited for
/// before ours is put off: short, since what is put off stays in the journal.
const BUSY_MAX: Duration = Duration::from_millis(250);

/// How far a writer's stream has been taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) writer: WriterId,
    pub(super) seq: u64,
    pub(super) hash: Hash,
    pub(super) is_closed: bool,
}

impl Cursor {
    /// The columns of its row, save the writer's own.
    pub(super) fn from_row(writer: WriterId, seq: i64, hash: &str, is_closed: bool) -> Self {
        Self { writer, seq: from_sql(seq), hash: parse_hash(hash), is_closed }
    }
}

/// A record with the fact in it; without, once its key is destroyed.
#[derive(Debug)]
pub(super) struct Projected {
    pub(super) record: Record,
    pub(super) fact: Option<Fact>,
}

/// The writing connection.
#[derive(Debug)]
pub(super) struct Database(Connection);

impl Database {
    /// Opens or creates the database and brings its tables up to date.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_file(path).map_err(|error| match error {
            StoreError::Database(source) if is_damage(&source) => {
                StoreError::DatabaseDamaged { path: path.to_owned(), source }
            }
            other => other,
        })
    }

    fn open_file(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_MAX)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", "OFF")?;
        migrations::migrations::runner()
            .run(&mut connection)
            .map_err(|source| StoreError::Migration { source: Box::new(source) })?;
        Ok(Self(connection))
    }

    /// All cursors, by writer.
    pub(super) fn cursors(&self) -> Result<Vec<Cursor>, StoreError> {
        let sql = "SELECT writer_id, last_seq, last_hash, is_closed FROM writer ORDER BY writer_id";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let writer = WriterId(from_sql(row.get(0)?));
            Ok(Cursor::from_row(writer, row.get(1)?, &row.get::<_, String>(2)?, row.get(3)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All keys that numbers have taken.
    pub(super) fn number_keys(&self) -> Result<Vec<(KeyTag, u32)>, StoreError> {
        let mut statement = self.0.prepare("SELECT tag, slot FROM number_key ORDER BY slot")?;
        let rows = statement.query_map([], |row| {
            let tag: String = row.get(0)?;
            Ok((parse_tag(&tag), row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Takes in a writer's next records and calls, in one transaction. Records that are there
    /// already are left as they are, so that doing it twice is doing it once.
    pub(super) fn take_in(
        &mut self,
        cursor: Option<Cursor>,
        records: &[Projected],
        calls: &[Cdr],
    ) -> Result<(), StoreError> {
        let transaction = self.0.transaction()?;
        for projected in records {
            insert_record(&transaction, projected)?;
        }
        for call in calls {
            insert_call(&transaction, call)?;
        }
        if let Some(cursor) = cursor {
            move_cursor(&transaction, cursor)?;
        }
        Ok(transaction.commit()?)
    }
}

impl Database {
    /// Empties every table that is made from the journal; call records stay.
    pub(super) fn forget_projection(&mut self) -> Result<(), StoreError> {
        const MADE: [&str; 9] = [
            "writer",
            "fact",
            "optout",
            "suppressed",
            "confirmation",
            "number_key",
            "imports",
            "reversal",
            "reversed",
        ];
        let transaction = self.0.transaction()?;
        for table in MADE {
            transaction.execute(&format!("DELETE FROM {table}"), [])?;
        }
        Ok(transaction.commit()?)
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

fn move_cursor(transaction: &Transaction<'_>, cursor: Cursor) -> Result<(), StoreError> {
    let writer = to_sql(cursor.writer.0);
    transaction
        .prepare_cached(
            "INSERT INTO writer (writer_id, last_seq, last_hash, is_closed)
             VALUES (?1, 0, '', 0) ON CONFLICT DO NOTHING",
        )?
        .execute([writer])?;
    transaction
        .prepare_cached(
            "UPDATE writer SET last_seq = ?2, last_hash = ?3, is_closed = ?4 WHERE writer_id = ?1",
        )?
        .execute(params![writer, to_sql(cursor.seq), cursor.hash.to_string(), cursor.is_closed])?;
    Ok(())
}

fn insert_record(transaction: &Transaction<'_>, projected: &Projected) -> Result<(), StoreError> {
    let record = &projected.record;
    let mut stored = Vec::new();
    record.write(&mut stored);
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO fact (writer_id, writer_seq, record) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![to_sql(record.id.writer.0), to_sql(record.id.seq), stored])?;
    if inserted == 0 {
        return Ok(());
    }
    if let Some((tag, slot)) = record.key_slot() {
        transaction
            .prepare_cached(
                "INSERT INTO number_key (tag, slot) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute(params![tag_text(tag), slot])?;
    }
    match &projected.fact {
        Some(Fact::OptOut(optout)) => insert_optout(transaction, record, optout),
        Some(Fact::Confirmed(confirmation)) => {
            insert_confirmation(transaction, record, confirmation)
        }
        Some(Fact::Import(import)) => imports::insert(transaction, record, import),
        Some(Fact::Reversal(reversal)) => reversals::insert(transaction, record, reversal),
        // What it says is in the record, which is asked for by its place.
        Some(Fact::Checkpoint(_)) | None => Ok(()),
    }
}

fn insert_optout(
    transaction: &Transaction<'_>,
    record: &Record,
    optout: &OptOut,
) -> Result<(), StoreError> {
    let (writer, seq) = (to_sql(record.id.writer.0), to_sql(record.id.seq));
    let number = to_sql(optout.number.digits());
    transaction
        .prepare_cached(
            "INSERT INTO optout (writer_id, writer_seq, number, pressed_us, written_us, account,
                 campaign, dialer, trunk, digits, method, origin, node, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT DO NOTHING",
        )?
        .execute(rusqlite::params_from_iter(optout_values(record, optout)?))?;
    for list in &optout.lists {
        transaction
            .prepare_cached(
                "INSERT INTO suppressed (number, list, writer_id, writer_seq)
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            )?
            .execute(params![number, list.as_str(), writer, seq])?;
    }
    Ok(())
}

fn insert_confirmation(
    transaction: &Transaction<'_>,
    record: &Record,
    confirmation: &Confirmation,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO confirmation (ref_writer, ref_seq, writer_id, writer_seq, durable_us,
                 confirmed_us, outcome)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )?
        .execute(rusqlite::params_from_iter(confirmation_values(record, confirmation)))?;
    Ok(())
}

fn insert_call(transaction: &Transaction<'_>, call: &Cdr) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO call_record (call_id, started_us, ended_us, dialer, campaign, account,
                 trunk, number, disposition, sip_status, node, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            call.call.to_string(),
            call.started_at.0,
            call.ended_at.0,
            call.dialer.as_ref().map(|name| name.as_str()),
            call.campaign.as_ref().map(|name| name.as_str()),
            call.account.as_ref().map(|name| name.as_str()),
            call.trunk.as_ref().map(|name| name.as_str()),
            call.number.map(|number| to_sql(number.digits())),
            call.disposition.as_str(),
            call.sip_status,
            call.node.as_str(),
            json(call)?,
        ])?;
    Ok(())
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Row { source })
}

/// SQL's BIGINT is signed; what goes in has at most 63 bits (writer ids, sequence numbers, and
/// E.164 digits below 10^15).
const fn to_sql(value: u64) -> i64 {
    value.cast_signed()
}

const fn from_sql(value: i64) -> u64 {
    value.cast_unsigned()
}

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
