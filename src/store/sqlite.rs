//! The embedded database: the driver for SQLite, and what can be done to its file alone.
//!
//! Its transactions need not survive a power cut (`synchronous = NORMAL`): what is lost is taken
//! in again from the journal, from the cursor that stands in the same database.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::Statement;
use rusqlite::types::ToSqlOutput;
use rusqlite::types::ValueRef;

use super::StoreError;
use super::backend::Backend;
use super::backend::Change;
use super::backend::Row;
use super::backend::Table;
use super::backend::Value;
use super::backend::Visit;
use super::migrations;

/// How long somebody else's transaction (a shell on the file; readers never) is waited for
/// before ours is put off: short, since what is put off stays in the journal.
const BUSY_MAX: Duration = Duration::from_millis(250);

/// The version in which evidence got a table of its own: rows from before have it in their bodies,
/// where it would stay for ever, so they are made anew.
const REMADE_BEFORE: i32 = 8;

/// The tables that are made from the journal.
const MADE: [&str; 13] = [
    "writer",
    "fact",
    "optout",
    "suppressed",
    "confirmation",
    "number_key",
    "imports",
    "reversal",
    "reversed",
    "audio",
    "erasure",
    "evidence",
    "erased",
];

/// The driver.
#[derive(Debug)]
pub(super) struct Sqlite {
    connection: Connection,
    path: PathBuf,
}

impl Sqlite {
    /// Opens or creates the database for writing, and brings its tables up to date: those of a version
    /// before [`REMADE_BEFORE`] are emptied for it, so ask [`Self::open_outdated`] first.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path).map_err(failed_at(path))?;
        let set = |connection: &Connection| {
            connection.busy_timeout(BUSY_MAX)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            // What is deleted is not to be read in the file any more.
            connection.pragma_update(None, "secure_delete", "ON")?;
            connection.pragma_update(None, "foreign_keys", "OFF")
        };
        set(&connection).map_err(failed_at(path))?;
        let found = version(&connection).map_err(failed_at(path))?;
        if found.is_some_and(|found| found < REMADE_BEFORE) {
            forget_projection(&mut connection).map_err(failed_at(path))?;
            tracing::info!("the database is made anew from the journal");
        }
        migrations::runner()
            .run(&mut connection)
            .map_err(|source| StoreError::Migration { source: Box::new(source) })?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Opens a database for questions that [`Self::open`] will empty; nothing where it will not.
    pub(super) fn open_outdated(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        // What a crash has left half written is rolled back first, which who only reads may not do.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed_at(path))?;
        connection.busy_timeout(BUSY_MAX).map_err(failed_at(path))?;
        let found = version(&connection).map_err(failed_at(path))?;
        let database = Self { connection, path: path.to_owned() };
        Ok(found.is_some_and(|found| found < REMADE_BEFORE).then_some(database))
    }

    /// Opens the copy of a database, to take something out of it, and leaves its tables as they are:
    /// it may be read later where nothing can be written. Of a version before [`REMADE_BEFORE`],
    /// whose rows have all that is to be taken out, only what is not made from the journal is left.
    pub(super) fn open_copy(path: &Path) -> Result<Option<Self>, StoreError> {
        let mut connection = Connection::open(path).map_err(failed_at(path))?;
        connection.pragma_update(None, "secure_delete", "ON").map_err(failed_at(path))?;
        let found = version(&connection).map_err(failed_at(path))?;
        if found.is_none_or(|found| found < REMADE_BEFORE) {
            forget_projection(&mut connection).map_err(failed_at(path))?;
            return Ok(None);
        }
        Ok(Some(Self { connection, path: path.to_owned() }))
    }

    /// Opens the database for questions alone.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed_at(path))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Opens the database as it stands, for questions that leave no trace, not even beside the file.
    pub(super) fn open_as_it_is(path: &Path) -> Result<Self, StoreError> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let log = path.with_extension("sqlite-wal");
        let connection = if log.metadata().is_ok_and(|log| log.len() > 0) {
            Connection::open_with_flags(path, flags)
        } else {
            // Without a log nothing need be made beside the file, which may be on a read-only disk.
            flags |= OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(immutable_uri(path), flags)
        };
        Ok(Self { connection: connection.map_err(failed_at(path))?, path: path.to_owned() })
    }

    /// What no statement of both databases can ask.
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Empties every table that is made from the journal; call records stay.
    pub(super) fn forget_projection(&mut self) -> Result<(), StoreError> {
        forget_projection(&mut self.connection).map_err(failed_at(&self.path))
    }

    /// Writes everything to the new database `path`, as it stood at one moment.
    pub(super) fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let text = path.to_str().ok_or_else(|| StoreError::Io {
            doing: "name the copy of the database",
            path: path.to_owned(),
            source: std::io::ErrorKind::InvalidFilename.into(),
        })?;
        self.connection.execute("VACUUM INTO ?1", [text]).map_err(failed_at(&self.path))?;
        Ok(())
    }

    /// Whether every page of the database is sound; `is_quick` leaves the indices out.
    ///
    /// # Errors
    ///
    /// [`StoreError::DatabaseDamaged`] with the first thing that SQLite found.
    pub(super) fn check_sound(&self, is_quick: bool) -> Result<(), StoreError> {
        let sql = if is_quick { "PRAGMA quick_check(1)" } else { "PRAGMA integrity_check(1)" };
        let found: rusqlite::Result<String> = self.connection.query_row(sql, [], |row| row.get(0));
        let found = found.map_err(failed_at(&self.path))?;
        if found == "ok" {
            return Ok(());
        }
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(failed_at(&self.path)(rusqlite::Error::SqliteFailure(corrupt, Some(found))))
    }

    /// Whether all was as expected; otherwise nothing is changed.
    fn try_change(&mut self, changes: &[Change]) -> rusqlite::Result<bool> {
        let transaction = self.connection.transaction()?;
        for change in changes {
            match change {
                Change::Insert(table, rows) => {
                    let sql = insert(table);
                    #[cfg(test)]
                    super::tests::portable::note(&sql);
                    let mut statement = transaction.prepare_cached(&sql)?;
                    for row in rows {
                        bind(&mut statement, row)?;
                        statement.raw_execute()?;
                    }
                }
                Change::Wake => {}
                Change::Delete(table, keys) => {
                    let sql = delete(table);
                    #[cfg(test)]
                    super::tests::portable::note(&sql);
                    let mut statement = transaction.prepare_cached(&sql)?;
                    for key in keys {
                        bind(&mut statement, key)?;
                        statement.raw_execute()?;
                    }
                }
                Change::Move(sql, values) => {
                    #[cfg(test)]
                    super::tests::portable::note(sql);
                    let mut statement = transaction.prepare_cached(sql)?;
                    bind(&mut statement, values)?;
                    if statement.raw_execute()? == 0 {
                        return Ok(false);
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(true)
    }
}

impl Backend for Sqlite {
    fn select(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        #[cfg(test)]
        super::tests::portable::note(sql);
        let fail = || failed_at(&self.path);
        let mut statement = self.connection.prepare_cached(sql).map_err(fail())?;
        bind(&mut statement, values).map_err(fail())?;
        let width = statement.column_count();
        let mut rows = statement.raw_query();
        let mut found = Vec::with_capacity(width);
        while let Some(row) = rows.next().map_err(fail())? {
            found.clear();
            for at in 0..width {
                found.push(value(row.get_ref(at).map_err(fail())?));
            }
            if visit(Row(&found))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn change(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let done = self.try_change(changes);
        if done.map_err(failed_at(&self.path))? { Ok(()) } else { Err(StoreError::Moved) }
    }

    fn wait(&mut self, limit: Duration) {
        // Nobody else writes; unparked early, who asks only looks sooner.
        std::thread::park_timeout(limit);
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn scrub(&mut self) {
        // The log has pages from before; where a reader keeps it from being emptied, the next day is
        // early enough.
        let emptied = self.connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_row| Ok(()));
        if let Err(error) = emptied {
            tracing::warn!(%error, "the database's log still has what was deleted");
        }
    }
}

/// The version of the tables; nothing where there are none yet.
fn version(connection: &Connection) -> rusqlite::Result<Option<i32>> {
    if !connection.table_exists(None, "refinery_schema_history")? {
        return Ok(None);
    }
    let sql = "SELECT MAX(version) FROM refinery_schema_history";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Empties every table that is there and is made from the journal.
fn forget_projection(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for table in MADE {
        if transaction.table_exists(None, table)? {
            transaction.execute(&format!("DELETE FROM {table}"), [])?;
        }
    }
    transaction.commit()
}

/// The statement that takes one row out of `table`.
fn delete(table: &Table) -> String {
    let keys = table.columns.iter().take(table.key_len).enumerate();
    let keys: Vec<String> =
        keys.map(|(at, (name, _kind))| format!("{name} = ${}", at + 1)).collect();
    format!("DELETE FROM {} WHERE {}", table.name, keys.join(" AND "))
}

/// The file at `path` as one that nobody writes.
fn immutable_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for octet in path.as_os_str().as_encoded_bytes() {
        match octet {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*octet)),
            octet if octet.is_ascii_alphanumeric() => uri.push(char::from(*octet)),
            octet => uri.push_str(&format!("%{octet:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// The statement that puts one row into `table`.
pub(super) fn insert(table: &Table) -> String {
    let places: Vec<String> = (1..=table.columns.len()).map(|at| format!("${at}")).collect();
    let (name, columns, places) = (table.name, table.column_names(), places.join(", "));
    format!("INSERT INTO {name} ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING")
}

/// Gives `$1`, `$2` .. their values, in whatever order they stand in the text.
fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for (at, value) in values.iter().enumerate() {
        let name = format!("${}", at + 1);
        let index = statement.parameter_index(&name)?;
        let index = index.ok_or(rusqlite::Error::InvalidParameterName(name))?;
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Octets(value) => ValueRef::Blob(value),
        }))
    }
}

/// What stands in a column. No table of ours has fractions, and text is UTF-8: what is neither
/// reads as octets, which are of no use for either.
pub(super) fn value(found: ValueRef<'_>) -> Value {
    match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Octets(value.to_be_bytes().to_vec()),
        ValueRef::Text(value) => std::str::from_utf8(value)
            .map_or_else(|_error| Value::Octets(value.to_vec()), |text| text.into()),
        ValueRef::Blob(value) => Value::Octets(value.to_vec()),
    }
}

fn failed_at(path: &Path) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        if matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) {
            StoreError::DatabaseDamaged { path: path.to_owned(), source }
        } else {
            StoreError::Database(source)
        }
    }
}
