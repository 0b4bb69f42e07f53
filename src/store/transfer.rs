//! Moving to a shared database and back: every row from the one to the other, and read back.
//!
//! ```text
//! page of the source ──► which of them has the target? ──► insert the rest ──► read back, compare
//! ```
//!
//! Rows that are there already are not sent again, so that a copy that was cut off is gone on with
//! where it was. How far streams are taken in is copied last: no cursor ever says more than is
//! there. The journal stays where it is, since each node has one, whichever the database.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::model::WriterId;
use crate::suppression::proof::Hash;

use super::Clock;
use super::StoreError;
use super::archive::Archive;
use super::archive::journal_dir;
use super::backend::Backend;
use super::backend::Change;
use super::backend::Kind;
use super::backend::Table;
use super::backend::Value;
use super::backend::each;
use super::chunks;
use super::database::Cursor;
use super::database::Database;
use super::database::tables;
use super::journal::streams;
use super::numbers::NumberChoice;
use super::postgres;
use super::postgres::Postgres;
use super::postgres::Use;
use super::segments::Segments;
use super::site::Site;
use super::site::Target;
use super::site::database_path;
use super::sqlite::Sqlite;

/// Rows that are compared and sent at a time.
const PAGE_LEN: usize = 1_000;

/// The tables whose rows are the same in every database; cursors are another matter, and the slots
/// of keys are each node's own.
static COPIED: [&Table; 12] = [
    &tables::FACT,
    &tables::OPTOUT,
    &tables::SUPPRESSED,
    &tables::CONFIRMATION,
    &tables::IMPORTS,
    &tables::REVERSAL,
    &tables::REVERSED,
    &tables::AUDIO,
    &tables::ERASURE,
    &tables::EVIDENCE,
    &tables::ERASED,
    &tables::CALL_RECORD,
];

/// What a copy found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Each table.
    pub tables: Vec<CopiedTable>,
    /// Streams whose ends are known there now.
    pub streams: u64,
    /// Segments of imports that are there now.
    pub segments: u64,
    /// Records that were there before and that the source lacks, of the streams that both know of as
    /// this node's: it is the newer one of the two, or the source was meant to be the target.
    pub only_there: u64,
}

/// What was copied of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopiedTable {
    /// Its name.
    pub name: &'static str,
    /// Rows that both have now.
    pub rows: u64,
    /// Those of them that the copy brought.
    pub copied: u64,
    /// SHA-256 over them as they were read back, in the order of the source.
    pub sha256: String,
}

/// Copies the database of the store in the folder `dir` to the server of `settings`, or back;
/// `clock` times the tries to reach it.
///
/// # Errors
///
/// [`StoreError::Held`] while an engine has the store, [`StoreError::Missing`] where there is none,
/// [`StoreError::Others`] for a way back that would leave other nodes' opt-outs behind,
/// [`StoreError::CopyDiffers`] for a row that is another one there, and those of both databases.
pub fn copy(
    dir: &Path,
    settings: &postgres::Settings,
    is_to_server: bool,
    clock: &Clock,
) -> Result<Copied, StoreError> {
    let path = if is_to_server { database_path(dir) } else { journal_dir(dir) };
    if !path.exists() {
        return Err(StoreError::Missing { path });
    }
    let target = Target::Postgres(Box::new(settings.clone()));
    let site = Site::new(dir, target, NumberChoice::AsMade, Clock::clone(clock));
    let mut there = site.database()?;
    if !is_to_server {
        // Before a file is made for what is refused.
        check_all_ours(dir, &there.cursors()?)?;
    }
    // Holds the store, and has everything in its own database that the journal has.
    let (mut archive, _recovered) = Archive::open_exclusive(dir)?;
    let purpose = if is_to_server { Use::Writing } else { Use::Reading };
    let mut server = Postgres::new(settings.clone(), purpose, Clock::clone(clock));
    let mut file = Sqlite::open(&database_path(dir))?;
    there.keep_numbers_as(archive.keys.mark().map_err(StoreError::io("read", dir.join("keys")))?);
    there.claim()?;
    let (from, to): (&mut dyn Backend, &mut dyn Backend) =
        if is_to_server { (&mut file, &mut server) } else { (&mut server, &mut file) };
    let mut copied = Copied::default();
    for table in COPIED {
        copied.tables.push(copy_table(from, to, table)?);
    }
    if is_to_server {
        copied.segments = publish_segments(dir, from, to)?;
    }
    let (cursors, known) = match is_to_server {
        true => (archive.database.cursors()?, &mut there),
        false => (there.cursors()?, &mut archive.database),
    };
    copied.streams = copy_cursors(&cursors, known)?;
    // A server has other nodes' streams too, of which the file knows nothing.
    let of_file = archive.database.cursors()?;
    for writer in of_file.iter().map(|cursor| cursor.writer) {
        let (here, there) = (count_facts(from, writer)?, count_facts(to, writer)?);
        copied.only_there += there.saturating_sub(here);
    }
    Ok(copied)
}

/// How many records there are of the stream of `writer`.
fn count_facts(backend: &mut dyn Backend, writer: WriterId) -> Result<u64, StoreError> {
    let mut count = 0;
    let sql = "SELECT COUNT(*) FROM fact WHERE writer_id = $1";
    each(backend, sql, &[writer.0.into()], |row| {
        count = row.unsigned(0)?;
        Ok(())
    })?;
    Ok(count)
}

/// An embedded database is made anew from this node's journal when it is lost, and a restore does
/// just that: what other nodes have written would be gone then.
fn check_all_ours(dir: &Path, cursors: &[Cursor]) -> Result<(), StoreError> {
    let ours = streams(&journal_dir(dir))?;
    let is_ours = |cursor: &&Cursor| ours.iter().any(|stream| stream.writer == cursor.writer);
    let others = cursors.iter().filter(|cursor| cursor.seq > 0 && !is_ours(cursor)).count();
    if others == 0 { Ok(()) } else { Err(StoreError::Others { streams: others }) }
}

fn copy_cursors(cursors: &[Cursor], to: &mut Database) -> Result<u64, StoreError> {
    let known = to.cursors()?;
    for cursor in cursors {
        let there = known.iter().find(|known| known.writer == cursor.writer);
        to.copy_cursor(*cursor, there)?;
    }
    let known = to.cursors()?;
    for cursor in cursors {
        let there = known.iter().find(|known| known.writer == cursor.writer);
        if there.is_none_or(|there| there.seq < cursor.seq) {
            return Err(StoreError::CopyDiffers { table: tables::WRITER.name });
        }
    }
    Ok(cursors.len() as u64)
}

fn publish_segments(
    dir: &Path,
    from: &mut dyn Backend,
    to: &mut dyn Backend,
) -> Result<u64, StoreError> {
    let mut count = 0;
    for (part, _content) in chunks::imports(from)?.iter().flat_map(|import| import.parts()) {
        chunks::publish(to, &Segments::of(dir), part, &mut |_octets| true)?;
        count += 1;
    }
    Ok(count)
}

fn copy_table(
    from: &mut dyn Backend,
    to: &mut dyn Backend,
    table: &'static Table,
) -> Result<CopiedTable, StoreError> {
    let mut copied = CopiedTable { name: table.name, rows: 0, copied: 0, sha256: String::new() };
    let (mut sent, mut found) = (Sha256::new(), Sha256::new());
    let mut page = rows(from, table, None)?;
    while let Some(last) = page.last().cloned() {
        let there = rows_between(to, table, &page)?;
        let is_missing = |row: &&Vec<Value>| !there.contains_key(&row[..table.key_len]);
        let missing: Vec<Vec<Value>> = page.iter().filter(is_missing).cloned().collect();
        copied.copied += missing.len() as u64;
        let there = if missing.is_empty() {
            there
        } else {
            to.change(&[Change::Insert(table, missing)])?;
            rows_between(to, table, &page)?
        };
        for row in &page {
            let read_back = there.get(&row[..table.key_len]);
            let read_back = read_back.ok_or(StoreError::CopyDiffers { table: table.name })?;
            digest(&mut sent, row);
            digest(&mut found, read_back);
        }
        copied.rows += page.len() as u64;
        page = rows(from, table, Some(&last))?;
    }
    let (sent, found) = (sent.finalize(), found.finalize());
    if sent != found {
        return Err(StoreError::CopyDiffers { table: table.name });
    }
    copied.sha256 = Hash(found.into()).to_string();
    Ok(copied)
}

/// The rows behind `after`, in the order of the key.
fn rows(
    backend: &mut dyn Backend,
    table: &Table,
    after: Option<&[Value]>,
) -> Result<Vec<Vec<Value>>, StoreError> {
    let key = &table.columns[..table.key_len];
    let mut sql = format!("SELECT {} FROM {}", table.column_names(), table.name);
    let mut values = after.map(|row| row[..table.key_len].to_vec()).unwrap_or_default();
    if !values.is_empty() {
        sql.push_str(&format!(" WHERE {}", beyond(key, ">", 1)));
    }
    let order: Vec<&str> = key.iter().map(|(name, _kind)| *name).collect();
    values.push((PAGE_LEN as u64).into());
    sql.push_str(&format!(" ORDER BY {} LIMIT ${}", order.join(", "), values.len()));
    read_rows(backend, table, &sql, &values)
}

/// The rows of another database from the first of `page` to its last, by key. Only the columns at
/// the front of the key that hold numbers count, since databases order texts differently.
fn rows_between(
    backend: &mut dyn Backend,
    table: &Table,
    page: &[Vec<Value>],
) -> Result<BTreeMap<Vec<Value>, Vec<Value>>, StoreError> {
    let key = &table.columns[..table.key_len];
    let numbers = key.iter().take_while(|(_name, kind)| *kind == Kind::BigInt).count();
    // A key that begins with a text is one of calls, whose letters stand in one order everywhere.
    let front = &key[..numbers.max(1)];
    let (Some(first), Some(last)) = (page.first(), page.last()) else {
        return Ok(BTreeMap::new());
    };
    let values: Vec<Value> =
        [first, last].iter().flat_map(|row| row[..front.len()].to_vec()).collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE ({} OR {}) AND ({} OR {})",
        table.column_names(),
        table.name,
        beyond(front, ">", 1),
        equal(front, 1),
        beyond(front, "<", front.len() + 1),
        equal(front, front.len() + 1),
    );
    let found = read_rows(backend, table, &sql, &values)?;
    Ok(found.into_iter().map(|row| (row[..table.key_len].to_vec(), row)).collect())
}

/// `a > $1 OR (a = $1 AND b > $2)` and so on, from the parameter `first` on.
fn beyond(key: &[(&str, Kind)], sign: &str, first: usize) -> String {
    let at = |index: usize| first + index;
    let steps = key.iter().enumerate().map(|(index, (name, _kind))| {
        let before = equal(&key[..index], first);
        let and = if index == 0 { "" } else { " AND " };
        format!("({before}{and}{name} {sign} ${})", at(index))
    });
    format!("({})", steps.collect::<Vec<_>>().join(" OR "))
}

fn equal(key: &[(&str, Kind)], first: usize) -> String {
    let all = key.iter().enumerate().map(|(index, (name, _kind))| {
        let at = first + index;
        format!("{name} = ${at}")
    });
    all.collect::<Vec<_>>().join(" AND ")
}

fn read_rows(
    backend: &mut dyn Backend,
    table: &Table,
    sql: &str,
    values: &[Value],
) -> Result<Vec<Vec<Value>>, StoreError> {
    let mut rows = Vec::new();
    each(backend, sql, values, |row| {
        rows.push(row.0.to_vec());
        Ok(())
    })?;
    debug_assert!(rows.iter().all(|row| row.len() == table.columns.len()));
    Ok(rows)
}

/// Each value with its kind and length before it, so that no two rows look alike.
fn digest(hasher: &mut Sha256, row: &[Value]) {
    for value in row {
        let (kind, octets): (u8, Vec<u8>) = match value {
            Value::Null => (0, Vec::new()),
            Value::Int(value) => (1, value.to_be_bytes().to_vec()),
            Value::Text(value) => (2, value.as_bytes().to_vec()),
            Value::Octets(value) => (3, value.clone()),
        };
        hasher.update([kind]);
        hasher.update((octets.len() as u64).to_be_bytes());
        hasher.update(octets);
    }
}
